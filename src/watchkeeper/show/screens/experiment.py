"""Where an experiment stands, as `status`, `run` and `watch` show it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from watchkeeper.query.rows import IN_DOUBT, NOT_TAKEN
from watchkeeper.query.views.pages import Experiment, WorkRow
from watchkeeper.show.listing.grid import one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.screens.jobs import array_lines, array_words, job_lines
from watchkeeper.show.screens.matrix import matrix_lines
from watchkeeper.show.screens.needs import experiment_needs, wrapped
from watchkeeper.show.screens.running import running_lines

_MOST_WAITS = 10
_PUT_OFF = (NOT_TAKEN, IN_DOUBT)


def experiment_lines(
    experiment: Experiment, screen: Screen, now: datetime, metric: str = ""
) -> list[str]:
    """The counts; what needs a person; the evaluations, or the jobs where there are none; what
    runs; what waits for a reason that its scheduler names. An empty line between them.
    """
    table = matrix_lines(experiment, screen, metric)
    arrays = array_lines(experiment, screen)
    if not table:
        table, arrays = job_lines(experiment, screen), []
    parts = [
        wrapped(heading(experiment), screen),
        experiment_needs(experiment, screen, now),
        table,
        arrays,
        running_lines(experiment.running, screen, now),
        list(_waits(experiment, screen)),
        _watched(experiment, screen),
    ]
    lines: list[str] = []
    for part in filter(None, parts):
        if lines:
            lines.append("")
        lines += part
    return lines


def heading(experiment: Experiment) -> str:
    """`cap_rank: 7 failed, 2 running, 18 done`, with the arrays among them."""
    counts = words.counts_line(experiment.counts) or "nothing is planned"
    counts = words.joined("; ", counts, *array_words(experiment))
    return one_line(f"{experiment.name}: {counts}")


def _waits(experiment: Experiment, screen: Screen) -> Iterator[str]:
    """A line for each reason for which the scheduler lets jobs wait, or has not taken them.

        ○ r8 and 5 more: PENDING: Priority

    Of many reasons the first ten are shown.
    """
    groups: dict[tuple[str, str], list[WorkRow]] = {}
    for row in experiment.rows:
        if row.why and _is_put_off(row):
            groups.setdefault((row.state, row.why), []).append(row)
    for (state, why), rows in list(groups.items())[:_MOST_WAITS]:
        name = rows[0].key
        if len(rows) > 1:
            name = f"{name} and {len(rows) - 1:,} more"
        text = one_line(f"{screen.glyph('waiting')} {name}: {state}: {why}")
        yield from wrapped(text, screen)


def _is_put_off(row: WorkRow) -> bool:
    """Whether its scheduler has it wait, or has not taken it."""
    if row.standing not in ("running", "to do"):
        return False
    return row.state == "PENDING" or row.why.startswith(_PUT_OFF)


def _watched(experiment: Experiment, screen: Screen) -> list[str]:
    """Who watches; that nobody does is among the needs."""
    watcher = experiment.watcher
    text = ""
    if watcher.alive:
        text = f"Watched by process {watcher.process} on {watcher.host}."
    elif watcher.alive is None and watcher.host:
        text = f"Last watched from {watcher.host}; whether it still is cannot be known here."
    return list(filter(None, wrapped(one_line(text), screen)))
