"""What the report of a folder says: what needs a person, what runs, and a line for each place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from watchkeeper.query.views.pages import Compare, Overview, PlaceRow, RunningRow, Series
from watchkeeper.show.report.drawing.curves import chart
from watchkeeper.show.report.drawing.loss_chart import losses_of, runs_drawn
from watchkeeper.show.report.parts.pieces import (
    Section,
    Table,
    best_line,
    counts_line,
    needs_section,
    table_section,
)
from watchkeeper.show.report.wording import Clock, count, duration, figure, figures

MOST_ROWS = 200


def sentence_of(overview: Overview) -> tuple[str, str]:
    """The first sentence, in bold, and what stands behind it."""
    places = len(overview.places)
    noun = "place" if places == 1 else "places"
    return f"{counts_line(overview.counts)}.", f"{places:,} {noun} below this folder."


def sections_of(
    overview: Overview, compare: Compare | None, series: Mapping[str, Series]
) -> Iterator[Section]:
    """The sections in their order. `compare` are the recorded runs side by side, None where there
    are none; `series` their losses by name.
    """
    yield from needs_section(overview.needs)
    clock = Clock(overview.zone)
    yield from _running_section(overview.running)
    yield from _places_section(overview.places, clock)
    if compare is not None:
        yield from _compared_section(compare)
    drawn = runs_drawn(series, overview.recorded)
    drawing = chart(losses_of(series), title=f"Loss of {drawn} by training step")
    if drawing is not None:
        yield Section("Losses", [drawing], f"{drawn}, by training step")


def _running_section(running: Sequence[RunningRow]) -> Iterator[Section]:
    """What runs: its health, how far it is, and when it ends."""
    columns = ("Run", "Health", "Step", "Loss", "Ends in")
    rows = list(map(_running_row, running))
    yield from table_section("Running", Table(columns, rows, right=frozenset({2, 3, 4})))


def _running_row(one: RunningRow) -> Sequence[str]:
    """`r8`, `advancing`, `18,350/24,000`, `0.468`, `49 min`."""
    progress = one.progress
    step = count(progress.step)
    if progress.total:
        step = f"{step}/{count(progress.total)}"
    loss, left = figure(progress.loss), duration(progress.eta_s)
    return one.key or one.experiment, one.health, step, loss, left


def _places_section(places: Sequence[PlaceRow], clock: Clock) -> Iterator[Section]:
    """A line for each place, of very many the first 200."""
    rows = [_place_row(place, clock) for place in places[:MOST_ROWS]]
    aside = ""
    if len(places) > len(rows):
        aside = f"{len(places) - len(rows):,} more"
    columns = ("Name", "What", "State", "Done", "Best", "Last event")
    table = Table(columns, rows, right=frozenset({3}))
    yield from table_section("Experiments and runs", table, aside)


def _place_row(place: PlaceRow, clock: Clock) -> Sequence[str]:
    """`night`, `6 runs, 3 tasks`, `7 failed, 18 done`, `18/25`, its best figure, its last event."""
    best = ""
    if place.best is not None:
        best = best_line(place.best)
    done = f"{place.done:,}/{place.total:,}"
    last = clock.minute(place.last)
    return place.name, place.what, counts_line(place.counts), done, best, last


def _compared_section(compare: Compare) -> Iterator[Section]:
    """A row for each run: the settings that differ, and the figures.

    The columns are filled one by one, as the page has a row for each setting and figure.
    """
    columns: dict[str, Sequence[str]] = {
        "Run": [run.name for run in compare.runs],
        "State": [run.state for run in compare.runs],
    }
    for one in compare.differs:
        if one.kind == "setting":
            columns[one.key] = [value or "" for value in one.values]
    for row in compare.figures:
        columns[row.metric] = figures(row.values)
    rows = list(zip(*columns.values(), strict=True))[:MOST_ROWS]
    table = Table(list(columns), rows, right=frozenset(range(2, len(columns))))
    yield from table_section("Runs", table, compare.heading)
