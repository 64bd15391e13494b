"""The overview as text: what needs a person, then a line for each place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from watchkeeper.query.views.counts import SETTLED, worst_first
from watchkeeper.query.views.pages import Overview, PlaceRow
from watchkeeper.query.views.shared import Need
from watchkeeper.show.listing.figures import figures, when
from watchkeeper.show.listing.grid import Column, grid
from watchkeeper.show.listing.screen import Screen, kind_of
from watchkeeper.show.text import printable, shorten, width

_BAR = 10
_WIDE = 100  # columns from which all counts are shown, not only the worst
_LEAST_CAUSE = 16
_LEAST_NOTE = 20
_KINDS_OF_NEEDS = {
    "failed": "failed",
    "invalid": "failed",
    "lost": "failed",
    "unknown": "unknown",
}


def overview_text(told: Overview, screen: Screen, now: datetime) -> str:
    """Needs, an empty line, and the table of places. A cause stands there once."""
    parts = []
    if told.needs:
        parts.append("\n".join(_needs(told, screen, now)))
    parts.append(_places(told, screen, now))
    return "\n\n".join(parts)


def counts_line(counts: Mapping[str, int]) -> str:
    """`7 failed, 3 running, 110 done`, the worst first."""
    return ", ".join(f"{count:,} {state}" for state, count in worst_first(counts).items())


# ── needs


def _needs(told: Overview, screen: Screen, now: datetime) -> Iterator[str]:
    shown = told.needs
    more = told.more.needs
    kinds = [_KINDS_OF_NEEDS.get(need.kind, "warning") for need in shown]
    lines = [printable(need.line) for need in shown]
    causes = [_one_line(_cause(need)) for need in shown]
    places = [printable(need.experiment) for need in shown]
    times = [when(need.last, now) for need in shown]
    fixed = sum(max(map(width, column)) for column in (lines, places, times)) + 2 + 3 * 2
    if screen.width is not None:
        room = max(_LEAST_CAUSE, screen.width - fixed)
        causes = [shorten(cause, room) for cause in causes]
    widths = [max(map(width, column)) for column in (lines, causes, places, times)]
    for number, kind in enumerate(kinds):
        texts = (lines[number], causes[number], places[number])
        cells = [
            text + " " * (wide - width(text)) for text, wide in zip(texts, widths, strict=False)
        ]
        cells.append(times[number].rjust(widths[-1]))
        glyph = screen.paint(screen.glyph(kind), kind)
        yield f"{glyph} {'  '.join(cells)}".rstrip()
    if more:
        yield f"and {more} more: watchkeeper ls --json --limit 0"


def _cause(need: Need) -> str:
    """What the program wrote, else what we say; and what waits for it in vain."""
    cause = need.cause or need.why
    if need.blocks:
        return f"{cause}; {need.blocks:,} blocked"
    return cause


def _one_line(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return printable(lines[-1])


# ── places


def _places(told: Overview, screen: Screen, now: datetime) -> str:
    shown = told.places
    is_wide = screen.width is None or screen.width >= _WIDE
    best = [_best(place) for place in shown]
    columns = [
        Column(header="name", cells=[place.name for place in shown]),
        Column(
            header="",
            cells=[_standing(place, is_wide=is_wide) for place in shown],
            kinds=[kind_of(_worst(place)) for place in shown],
        ),
        Column(header="done", cells=[_share(place) for place in shown], right=True),
        Column(header="", cells=[_bar(place, screen) for place in shown], drop=50),
        Column(header="best", cells=_left(best), drop=20),
        Column(
            header="last", cells=[when(place.last, now) for place in shown], right=True, drop=10
        ),
        Column(header="tags", cells=[", ".join(place.tags) for place in shown], drop=30),
        Column(header="note", cells=[place.note for place in shown], drop=40, least=_LEAST_NOTE),
    ]
    text = grid(columns, screen)
    if told.more.places:
        text += f"\nand {told.more.places} more: watchkeeper ls --json --limit 0"
    return text


def _worst(place: PlaceRow) -> str:
    """The state that matters most of those that something is in."""
    return next(iter(place.counts), "unknown")


def _standing(place: PlaceRow, *, is_wide: bool) -> str:
    """What is not done, the worst first; of a single run its state and step."""
    if place.kind == "run":
        if place.step is None:
            return _worst(place)
        return f"{_worst(place)}, step {place.step:,}"
    unsettled = {state: count for state, count in place.counts.items() if state not in SETTLED}
    if not unsettled:
        if is_wide and place.kind == "runs":
            return f"{place.total:,} recorded runs"
        return _worst(place)
    if is_wide:
        return counts_line(unsettled)
    worst = _worst(place)
    return f"{place.counts[worst]:,} {worst}"


def _share(place: PlaceRow) -> str:
    return f"{place.done:,}/{place.total:,}"


def _bar(place: PlaceRow, screen: Screen) -> str:
    if not place.total:
        return ""
    return screen.bar(place.done / place.total, _BAR)


def _best(place: PlaceRow) -> tuple[str, str]:
    """The best figure, and of which metric; of an experiment's result, of which task."""
    if place.best is None:
        return "", ""
    (figure,) = figures([place.best.value])
    task, _, _ = place.best.metric.partition(" ")
    return figure, task


def _left(best: Sequence[tuple[str, str]]) -> list[str]:
    """Figure and name side by side, the names in one column."""
    wide = max((width(figure) for figure, _ in best), default=0)
    return [f"{figure.ljust(wide)} {name}".rstrip() for figure, name in best]
