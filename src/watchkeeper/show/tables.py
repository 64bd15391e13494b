"""An experiment's standing as a table: run × task × epoch, its figures, state and duration."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.state import State
from watchkeeper.launch.plan import Plan
from watchkeeper.query.rows import IN_DOUBT, NOT_TAKEN, Row
from watchkeeper.show.text import duration, number, printable, size, table
from watchkeeper.watch.health.judge import ALARMS
from watchkeeper.watch.outcome.compute import ComputeRow

_MAX_METRICS = 3
_MOST_COMPUTE = 12
_MOST_WORDS = 10
_ORDER = ("done", "running", "to do", "failed", "blocked", "unknown", "not needed")


def experiment_table(rows: Sequence[Row]) -> str:
    """The rows as a table, a line of totals below it, and a word on each that did not end well."""
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))[:_MAX_METRICS]
    header = [
        "run",
        "task",
        "epoch",
        *names,
        "state",
        "duration",
        "job",
        "attempt",
        "health",
        "progress",
    ]
    lines = [
        [
            row.run,
            row.task,
            "" if row.phase == "preparation" else "base" if row.epoch is None else str(row.epoch),
            *(number(row.metrics[name]) if name in row.metrics else "" for name in names),
            row.state,
            duration(row.elapsed_s),
            row.job_id,
            str(row.attempt) if row.attempt > 1 else "",
            (row.health or "").upper() if row.health in ALARMS else row.health or "",
            row.progress,
        ]
        for row in rows
    ]
    right = (2, *range(3, 3 + len(names)), 4 + len(names), 5 + len(names), 6 + len(names))
    counts = {standing: sum(row.standing == standing for row in rows) for standing in _ORDER}
    total = ", ".join(f"{count} {standing}" for standing, count in counts.items() if count)
    bad = [
        f"{row.key}: {row.state}" + (f": {row.why}" if row.why else "")
        for row in rows
        if row.standing in ("failed", "blocked", "unknown")
    ]
    bad += [
        f"{row.key}: {row.health}: {row.health_why}"
        for row in rows
        if row.health in ALARMS | {"slow"}
    ]
    waits = [
        row
        for row in rows
        if row.why and (row.state == "PENDING" or row.why.startswith((NOT_TAKEN, IN_DOUBT)))
    ]
    bad += [
        f"{row.key}: {row.state}: {row.why}"
        for row in waits
        if row.standing in ("running", "to do")
    ]
    more = len(bad) - _MOST_WORDS
    bad = bad[:_MOST_WORDS] + ([f"and {more} more: watchkeeper status --json"] if more > 0 else [])
    return "\n".join([table(header, lines, right=right), "", total, *map(printable, bad)])


def compute_table(rows: Sequence[ComputeRow]) -> str:
    """What the attempts took, the longest first; "" where no row says more than its time."""
    told = [row for row in rows if row.says_something]
    if not told:
        return ""
    shown = sorted(told, key=lambda row: -(row.elapsed_s or 0.0))[:_MOST_COMPUTE]
    header = [
        "compute",
        "attempt",
        "node",
        "elapsed",
        "expected",
        "of it",
        "memory",
        "GPU busy",
        "GPU memory",
        "rate",
    ]
    lines = [
        [
            row.key,
            str(row.attempt),
            row.node,
            duration(row.elapsed_s),
            duration(row.estimate_s),
            f"{row.of_estimate:.0%}" if row.of_estimate is not None else "",
            size(row.peak_bytes),
            f"{row.gpu_busy:.0%}" if row.gpu_busy is not None else "",
            size(row.gpu_peak_bytes),
            f"{row.rate_per_s:.3g} {row.unit}/s" if row.rate_per_s is not None else "",
        ]
        for row in shown
    ]
    more = len(told) - len(shown)
    if more:
        rest = f"\nand {more} more: watchkeeper status --json"
    else:
        rest = ""
    return table(header, lines, right=(1, 3, 4, 5, 6, 7, 8, 9)) + rest


def standings_words(plan: Plan, state: State) -> str:
    """One line for a terminal: `6 done, 2 running, 14 waiting`."""
    jobs = [attempt.state for attempt in state.active]
    waiting = sum(decision.action in ("submit", "retry", "wait") for decision in plan.decisions)
    done = sum(decision.action in ("skip", "blocked") for decision in plan.decisions)
    parts = [f"{done} settled", *(f"{jobs.count(one)} {one}" for one in dict.fromkeys(jobs))]
    return ", ".join(parts + ([f"{waiting} waiting"] if waiting else []))
