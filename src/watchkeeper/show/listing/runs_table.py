"""Runs as a table, one line each."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from datetime import datetime

from watchkeeper.query.catalogue.listing import Run, metrics_of, varying
from watchkeeper.show.listing.figures import figures, when
from watchkeeper.show.listing.grid import Column, grid
from watchkeeper.show.listing.screen import Screen, kind_of
from watchkeeper.show.text import shorten

MOST_SETTINGS = 8
MOST_METRICS = 4
_MOST_SETTING = 24  # columns of one value
_LEAST_NOTE = 20
_SPARK = 16  # columns of one sparkline
_NARROW_SPARK = 8
_NARROW = 100  # columns of a terminal below which a sparkline is narrow
_VERY_NARROW = 80  # below which it is the first to go

# Which column goes first where there is no room: the largest number. Of settings and metrics the
# later ones go before the earlier; a sparkline goes before all in a terminal that is narrow.
_DROP_USER = 90
_DROP_NOTE = 34
_DROP_SPARK = 31
_DROP_SETTING = 30
_DROP_METRIC = 28
_DROP_NAME = 15
_DROP_BEST = 12
_DROP_TAGS = 10
_DROP_FIRST_METRIC = 5
_DROP_STARTED = 3
_DROP_FIRST = 100


def runs_table(runs: Sequence[Run], screen: Screen, now: datetime) -> str:
    """The runs in their order. What is the same in all of them is not shown."""
    return grid(list(_columns(runs, screen, now)), screen)


def counts_words(runs: Sequence[Run]) -> str:
    """`7 failed, 3 running, 110 finished`: what needs somebody first, any other state behind."""
    counts = count_states(runs)
    order = ("failed", "died", "interrupted", "running", "waiting", "not ended")
    states = [state for state in order if state in counts]
    states += sorted(set(counts) - set(order))
    return ", ".join(f"{counts[state]:,} {state}" for state in states)


def count_states(runs: Sequence[Run]) -> dict[str, int]:
    """State → runs."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    return counts


def _columns(runs: Sequence[Run], screen: Screen, now: datetime) -> Iterator[Column]:
    """All columns, from left to right; `grid` leaves out the empty ones and those without room."""
    kinds = [kind_of(run.state) for run in runs]
    yield Column(header="run", cells=[run.label for run in runs])
    yield Column(header="name", cells=[run.name for run in runs], drop=_DROP_NAME)
    yield Column(header="state", cells=[_state(run, screen) for run in runs], kinds=kinds)
    started = [when(run.started, now) for run in runs]
    yield Column(header="started", cells=started, right=True, drop=_DROP_STARTED)
    yield from _settings(runs)
    yield from _metrics(runs)
    yield _spark(runs, screen)
    yield Column(header="tags", cells=[", ".join(run.tags) for run in runs], drop=_DROP_TAGS)
    yield Column(
        header="note", cells=[_last_note(run) for run in runs], drop=_DROP_NOTE, least=_LEAST_NOTE
    )
    yield _users(runs)


def _last_note(run: Run) -> str:
    """What was written about the run last; "": nothing."""
    if not run.notes:
        return ""
    return run.notes[-1].text


def _state(run: Run, screen: Screen) -> str:
    """The state behind its sign, `✓ finished`; the word alone on a terminal without UTF-8."""
    if not screen.is_utf8:
        return run.state
    return f"{screen.glyph(kind_of(run.state))} {run.state}"


def _settings(runs: Sequence[Run]) -> Iterator[Column]:
    """The settings in which the runs differ."""
    for number, key in enumerate(varying(runs)[:MOST_SETTINGS]):
        cells = [shorten(run.config.get(key, ""), _MOST_SETTING) for run in runs]
        yield Column(header=key, cells=cells, right=True, drop=_DROP_SETTING + 3 * number)


def _metrics(runs: Sequence[Run]) -> Iterator[Column]:
    """The main metrics: the last value, and the best where one is known to be better."""
    for number, metric in enumerate(metrics_of(runs)[:MOST_METRICS]):
        lasts = [_last_of(run, metric) for run in runs]
        bests = [_best_of(run, metric) for run in runs]
        drop, drop_best = _DROP_FIRST_METRIC, _DROP_BEST
        if number:
            drop = _DROP_METRIC + 4 * number
            drop_best = drop + 1
        yield Column(header=metric, cells=figures(lasts), right=True, drop=drop)
        yield Column(header="best", cells=figures(bests), right=True, drop=drop_best)


def _last_of(run: Run, metric: str) -> float | None:
    """The metric's last value; None: the run has none."""
    if metric not in run.figures:
        return None
    return run.figures[metric].last


def _best_of(run: Run, metric: str) -> float | None:
    """The metric's best value; None: the run has none, or no direction is known to be better."""
    best = run.best(metric)
    if best is None:
        return None
    return best.value


def _spark(runs: Sequence[Run], screen: Screen) -> Column:
    """The course of each run's loss. The header names the metric, where it is one."""
    columns, drop = _SPARK, _DROP_SPARK
    if screen.width is not None and screen.width < _NARROW:
        columns = _NARROW_SPARK
    if screen.width is not None and screen.width < _VERY_NARROW:
        drop = _DROP_FIRST
    names = {run.spark_metric for run in runs if run.spark_metric}
    header = "course"
    if len(names) == 1:
        header = names.pop()
    cells = [screen.spark(run.spark, columns) for run in runs]
    return Column(header=shorten(header, columns), cells=cells, drop=drop)


def _users(runs: Sequence[Run]) -> Column:
    """Whose the runs are, where they are not all this user's."""
    users = {run.user for run in runs if run.user}
    cells = [run.user for run in runs]
    if users <= {_me()}:
        cells = [""] * len(runs)
    return Column(header="user", cells=cells, drop=_DROP_USER)


def _me() -> str:
    """This user's name; "": the machine has none for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
