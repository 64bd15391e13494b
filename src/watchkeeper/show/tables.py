"""An experiment's standing as a table: run × task × epoch, its figures, state and duration."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from watchkeeper.core.state import State
from watchkeeper.launch.plan import Plan
from watchkeeper.query.rows import IN_DOUBT, NOT_TAKEN, Row
from watchkeeper.query.views.parts.alike import alike, error_of
from watchkeeper.show.standing import totals
from watchkeeper.show.text import duration, number, printable, size, table
from watchkeeper.watch.health.judge import ALARMS
from watchkeeper.watch.outcome.compute import ComputeRow

_MAX_METRICS = 3
_MOST_COMPUTE = 12
_MOST_NOTES = 10
_MOST_KEYS = 6
# What ended badly, or did not begin.
_SIGNS = {"failed": "✗", "blocked": "⊘", "unknown": "?"}
_MOST_TASKS = 20  # of one array


def experiment_table(rows: Sequence[Row]) -> str:
    """The rows as a table, a line of totals below it, and a line on each that did not end well. Of
    a large array, the tasks that are not done.
    """
    shown, left_out = _without_done_tasks(rows)
    names = _metric_names(rows)
    header = ["run", "task", "epoch", *names, "state", "duration", "job", "attempt"]
    header += ["health", "progress"]
    lines = [_cells(row, names) for row in shown]
    first_metric, after_metrics = 3, 3 + len(names)
    numbers = (2, *range(first_metric, after_metrics))
    numbers += (after_metrics + 1, after_metrics + 2, after_metrics + 3)
    notes = [printable(note) for note in _bounded(_notes(rows))]
    text = [table(header, lines, right=numbers), *left_out, "", totals(rows), *notes]
    return "\n".join(text)


def _without_done_tasks(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows without the tasks that are one too many of their array, those that are done first;
    and a line that says so.
    """
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        if row.array_task is not None:
            tasks.setdefault(_array_of(row), []).append(row)
    kept: set[str] = set()
    for members in tasks.values():
        if len(members) > _MOST_TASKS:
            members.sort(key=_is_done)
        kept.update(row.key for row in members[:_MOST_TASKS])
    shown = [row for row in rows if row.array_task is None or row.key in kept]
    more = len(rows) - len(shown)
    if more:
        return shown, [f"and {more:,} more tasks of arrays: watchkeeper status --json --limit 0"]
    return shown, []


def _is_done(row: Row) -> bool:
    return row.standing == "done"


def _array_of(row: Row) -> str:
    """The key of a task's array."""
    return row.key.rpartition("[")[0]


def _metric_names(rows: Sequence[Row]) -> list[str]:
    """The first few metrics that the rows have, in the order in which they appear."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row.metrics))
    return list(names)[:_MAX_METRICS]


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    """One row's cells, in the order of the header."""
    figures = [number(row.metrics[name]) if name in row.metrics else "" for name in names]
    attempt = str(row.attempt) if row.attempt > 1 else ""
    return [
        _name(row),
        row.task,
        _epoch(row),
        *figures,
        row.state,
        duration(row.elapsed_s),
        row.job_id,
        attempt,
        _health(row),
        row.progress,
    ]


def _name(row: Row) -> str:
    """The run's name; of an array's task, with the task's number."""
    if row.array_task is None:
        return row.run
    return f"{row.run}[{row.array_task}]"


def _epoch(row: Row) -> str:
    if row.phase == "preparation":
        return ""
    if row.epoch is None:
        return "base"
    return str(row.epoch)


def _health(row: Row) -> str:
    """The health's word, in capitals where it is an alarm; "" where there is none."""
    health = row.health or ""
    if health in ALARMS:
        return health.upper()
    return health


def _notes(rows: Sequence[Row]) -> list[str]:
    """A line on each row that is unhealthy or waits for a reason, and on each way in which rows
    ended badly.
    """
    rows = [row for row in rows if row.array_task is None]
    ended_badly = (row for row in rows if row.standing in _SIGNS)
    notes = list(map(_note_on_alike, alike(ended_badly)))
    for row in rows:
        if row.health in ALARMS | {"slow"}:
            notes.append(f"{row.key}: {row.health}: {row.health_why}")
    for row in rows:
        if row.standing in ("running", "to do") and _waits_for_a_reason(row):
            notes.append(f"{row.key}: {row.state}: {row.why}")
    return notes


def _note_on_alike(rows: Sequence[Row]) -> str:
    """What is wrong with rows that have one problem, as the newest of them says it, and which they
    are.
    """
    if len(rows) == 1:
        return _note(rows[0])
    newest = max(rows, key=_job_number)
    jobs = {"preparation": "runs", "evaluation": "evaluations"}[newest.phase]
    keys = ", ".join(row.key for row in rows[:_MOST_KEYS])
    if len(rows) > _MOST_KEYS:
        keys += f" and {len(rows) - _MOST_KEYS} more"
    sign = _SIGNS[newest.standing]
    return f"{sign} {len(rows)} {jobs} {newest.standing}: {error_of(newest)}\n  {keys}"


def _note(row: Row) -> str:
    reason = f": {row.why}" if row.why else ""
    return f"{row.key}: {row.state}{reason}"


def _job_number(row: Row) -> int:
    """The number in its job's id, which grows; -1: it had no job."""
    digits = re.match(r"[0-9]{1,18}", row.job_id)
    return int(digits.group()) if digits else -1


def _waits_for_a_reason(row: Row) -> bool:
    if not row.why:
        return False
    return row.state == "PENDING" or row.why.startswith((NOT_TAKEN, IN_DOUBT))


def _bounded(notes: list[str]) -> list[str]:
    """The first notes, and how many more there are."""
    more = len(notes) - _MOST_NOTES
    if more <= 0:
        return notes
    return [*notes[:_MOST_NOTES], f"and {more} more: watchkeeper status --json --limit 0"]


def compute_table(rows: Sequence[ComputeRow]) -> str:
    """What the attempts used, the longest first; "" where no row says more than its time."""
    informative = [row for row in rows if row.says_something]
    if not informative:
        return ""
    informative.sort(key=lambda row: -(row.elapsed_s or 0.0))
    shown = informative[:_MOST_COMPUTE]
    header = ["compute", "attempt", "node", "elapsed", "expected", "of it"]
    header += ["memory", "GPU busy", "GPU memory", "rate"]
    text = table(header, [_compute_cells(row) for row in shown], right=(1, 3, 4, 5, 6, 7, 8, 9))
    more = len(informative) - len(shown)
    if more:
        text += f"\nand {more} more: watchkeeper status --json --limit 0"
    return text


def _compute_cells(row: ComputeRow) -> list[str]:
    """One attempt's cells, in the order of the header."""
    rate = f"{row.rate_per_s:.3g} {row.unit}/s" if row.rate_per_s is not None else ""
    return [
        row.key,
        str(row.attempt),
        row.node or "",
        duration(row.elapsed_s),
        duration(row.estimate_s),
        _percent(row.of_estimate),
        size(row.peak_bytes),
        _percent(row.gpu_busy),
        size(row.gpu_peak_bytes),
        rate,
    ]


def _percent(share: float | None) -> str:
    """`42%`; "" for None."""
    if share is None:
        return ""
    return f"{share:.0%}"


def standings_words(plan: Plan, state: State) -> str:
    """One line for a terminal: `6 done, 2 running, 14 waiting`."""
    jobs = [attempt.state for attempt in state.active]
    waiting = sum(decision.action in ("submit", "retry", "wait") for decision in plan.decisions)
    done = sum(decision.action in ("skip", "blocked") for decision in plan.decisions)
    parts = [f"{done} settled"]
    parts += [f"{count} {name}" for name, count in Counter(jobs).items()]
    if waiting:
        parts.append(f"{waiting} waiting")
    return ", ".join(parts)
