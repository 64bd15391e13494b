"""Where an experiment stands, as `status`, `run` and `watch` answer it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.query.rows import Row
from watchkeeper.query.rows import Standing as Place
from watchkeeper.show.envelope import PROGRAM
from watchkeeper.watch.health.judge import ALARMS
from watchkeeper.watch.outcome.compute import ComputeRow
from watchkeeper.watch.tally import NOT_SUBMITTED

LOCAL = "local"

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
    which is none. `compute` is what the
    attempts that have ended took.
    """

    experiment: str
    folder: str
    rows: list[Row]
    watcher: str | None = None
    ended: bool | None = None
    compute: list[ComputeRow] = []


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
    counts = counts_of(rows)
    if not counts:
        return "nothing is planned"
    words = ", ".join(f"{count} {standing}" for standing, count in counts.items())
    return "; ".join(filter(None, [words, _arrays(rows)]))


def _arrays(rows: Sequence[Row]) -> str:
    """How large the arrays are, in words; "" where there is none."""
    sizes = Counter(row.key.rpartition("[")[0] for row in rows if row.array_task is not None)
    counts = Counter(sizes.values())
    return ", ".join(
        f"{count} array{'' if count == 1 else 's'} of {size}" for size, count in counts.items()
    )


def problems_of(rows: Sequence[Row], folder: str, cluster: str = "") -> list[Problem]:
    """A problem for each row that ended badly, is unhealthy, or of which nothing is known. `cluster`
    is the profile that the jobs run on; "": this machine.
    """
    run = run_words(folder, cluster)
    return [_problem(row, run) for row in most_urgent_first(rows) if _is_problem(row)]


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


def _problem(row: Row, run: tuple[str, ...]) -> Problem:
    kind = "evaluation" if row.phase == "evaluation" else "run"
    if row.state == NOT_SUBMITTED:
        return Problem(
            where=row.key, message=_words(row.state, row.why), code="submission-refused", next=run
        )
    if row.standing == "failed":
        return Problem(
            where=row.key,
            message=_words(row.state, row.why),
            code=f"{kind}-failed",
            next=(*run, "--retry-failed"),
        )
    if row.standing == "blocked":
        return Problem(
            where=row.key,
            message=_words(row.state, row.why),
            severity="warning",
            code=f"{kind}-blocked",
        )
    if row.standing == "unknown":
        return Problem(
            where=row.key,
            message=_words(row.state, row.why),
            severity="warning",
            code=f"{kind}-unknown",
            next=run,
        )
    return Problem(
        where=row.key,
        message=_words(str(row.health), row.health_why),
        severity="warning",
        code=f"{kind}-{row.health}",
    )


def _words(state: str, why: str) -> str:
    return f"{state}: {why}" if why else state
