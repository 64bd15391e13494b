"""Where an experiment stands, as `status`, `run` and `watch` answer it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from watchkeeper.core.criteria import Standing as Expectation
from watchkeeper.core.errors import Problem
from watchkeeper.query.rows import Row
from watchkeeper.query.rows import Standing as Place
from watchkeeper.query.usage.nodes import BadNode
from watchkeeper.query.usage.sizing import Sizing
from watchkeeper.query.views.pages import RunningRow, WaitingRow
from watchkeeper.query.views.parts.alike import alike, code_of
from watchkeeper.query.views.shared import Need, Watcher
from watchkeeper.show.envelope import PROGRAM
from watchkeeper.watch.health.judge import ALARMS
from watchkeeper.watch.outcome.compute import ComputeRow
from watchkeeper.watch.tally import NOT_SUBMITTED

LOCAL = "local"
_MOST_NAMED = 4
"""Keys that one problem names beside its own."""

# What a person must act on first, and what is settled last.
URGENCY: tuple[Place, ...] = (
    "failed",
    "blocked",
    "unknown",
    "running",
    "to do",
    "done",
    "not needed",
)
_IN_WORDS: tuple[Place, ...] = (
    "done",
    "running",
    "to do",
    "failed",
    "blocked",
    "unknown",
    "not needed",
)


class StandingData(msgspec.Struct, frozen=True, kw_only=True):
    """Where an experiment stands. `rows` come most urgent first. `watcher`: who watches, in words,
    null where the command itself did. `ended`: whether a watch came to its end, null of `status`,
    which is none. `compute` is what the attempts that have ended took. `needs`, `running`,
    `waiting` and `watched` are those of the experiment's page: what needs a person, each cause
    once, how far what runs is, in figures, what waits for which reason, and who watches since when.
    `watched` is null where the command itself watched. `expected` is
    each criterion that was stated, and what came of it. `sizing` is what jobs with equal requests
    asked for and used, and `bad_nodes` are the nodes that failed jobs which ran elsewhere.
    """

    experiment: str
    folder: str
    rows: list[Row]
    watcher: str | None = None
    ended: bool | None = None
    needs: list[Need] = []
    running: list[RunningRow] = []
    waiting: list[WaitingRow] = []
    compute: list[ComputeRow] = []
    watched: Watcher | None = None
    expected: list[Expectation] = []
    sizing: list[Sizing] = []
    bad_nodes: list[BadNode] = []


class WatchedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One of several experiments that were watched. `exit_code` is what its own watch would end
    with; `ended`: whether that came to its end; `counts`: each standing → how many pieces of work
    have it; `why`: why the watch left, "" where it did not; `error`: what it failed by, "" for
    nothing; `led_by`: the process that polls it and keeps its logs, "" where this one did.
    """

    experiment: str
    folder: str
    exit_code: int
    ended: bool
    counts: dict[str, int] = {}
    why: str = ""
    error: str = ""
    led_by: str = ""


class WatchedData(msgspec.Struct, frozen=True, kw_only=True):
    """Where several experiments stand after their watch, in the order in which they were named.
    The rows of each: `status FOLDER --json`.
    """

    experiments: list[WatchedEntry]


def most_urgent_first(rows: Sequence[Row]) -> list[Row]:
    """The rows: failed, blocked, unknown and running before what is settled. An array's tasks stay
    below it.
    """
    blocks: list[list[Row]] = []
    for row in rows:
        if row.array_task is None or not blocks:
            blocks.append([row])
        else:
            blocks[-1].append(row)
    blocks.sort(key=lambda block: URGENCY.index(block[0].standing))
    return [row for block in blocks for row in block]


def counts_of(rows: Sequence[Row]) -> dict[str, int]:
    """Each standing that there is → how many pieces of work have it. An array is one."""
    counts = Counter(row.standing for row in rows if row.array_task is None)
    return {standing: counts[standing] for standing in _IN_WORDS if counts[standing]}


def totals(rows: Sequence[Row]) -> str:
    """`22 done, 1 not needed`, with the arrays among them: `2 done; 1 array of 10`. `nothing is
    planned` for no rows.
    """
    return "; ".join(filter(None, [counts_words(counts_of(rows)), _arrays(rows)]))


def counts_words(counts: Mapping[str, int]) -> str:
    """`22 done, 1 not needed`: how many pieces of work have each standing. `nothing is planned`
    where none has any.
    """
    known = [standing for standing in _IN_WORDS if counts.get(standing)]
    return ", ".join(f"{counts[one]} {one}" for one in known) or "nothing is planned"


def _arrays(rows: Sequence[Row]) -> str:
    """How large the arrays are, in words; "" where there is none."""
    sizes = Counter(row.key.rpartition("[")[0] for row in rows if row.array_task is not None)
    counts = Counter(sizes.values())
    return ", ".join(
        f"{count} array{'' if count == 1 else 's'} of {size}" for size, count in counts.items()
    )


def problems_of(rows: Sequence[Row], folder: str, cluster: str = "") -> list[Problem]:
    """A problem for each way in which rows ended badly, are unhealthy, or unknown: it stands at the
    first of the rows, and names the others that share it. `cluster` is the profile that the jobs
    run on; "": this machine.
    """
    run = run_words(folder, cluster)
    troubled = filter(_is_problem, most_urgent_first(rows))
    return [_problem(group, run) for group in alike(troubled)]


def run_words(folder: str, cluster: str) -> tuple[str, ...]:
    """The command that runs the experiment, where it ran before."""
    words = (PROGRAM, "run", folder)
    if cluster in ("", LOCAL):
        return words
    return (*words, "--cluster", cluster)


def _is_problem(row: Row) -> bool:
    """Whether it is one; what went wrong in a task, its array says."""
    if row.array_task is not None:
        return False
    return row.standing in ("failed", "blocked", "unknown") or row.health in ALARMS


def _problem(rows: Sequence[Row], run: tuple[str, ...]) -> Problem:
    """The problem that all these rows have."""
    first, *others = rows
    message = _message(first)
    if others:
        message += f" (and {len(others)} more like it: {_named(others)})"
    return Problem(
        where=first.key,
        message=message,
        severity="error" if first.standing == "failed" else "warning",
        code=code_of(first),
        next=_next(first, run),
    )


def _named(rows: Sequence[Row]) -> str:
    names = [row.key for row in rows[:_MOST_NAMED]]
    if len(rows) > _MOST_NAMED:
        names.append("…")
    return ", ".join(names)


def _next(row: Row, run: tuple[str, ...]) -> tuple[str, ...] | None:
    """The command that helps; None where something must be changed first, or awaited."""
    if row.standing == "unknown" or row.state == NOT_SUBMITTED:
        return run
    if row.standing == "failed":
        return (*run, "--retry-failed")
    return None


def _message(row: Row) -> str:
    if row.standing in ("failed", "blocked", "unknown"):
        return _words(row.state, row.why)
    return _words(str(row.health), row.health_why)


def _words(state: str, why: str) -> str:
    return f"{state}: {why}" if why else state
