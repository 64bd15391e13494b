"""The overview of `ls`: what needs a person, then a line for each place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from watchkeeper.query.views.counts import SETTLED
from watchkeeper.query.views.pages import Overview, PlaceRow
from watchkeeper.query.views.shared import Best
from watchkeeper.show.listing.figures import figures, when
from watchkeeper.show.listing.grid import Column, grid, one_line
from watchkeeper.show.listing.screen import Screen, kind_of
from watchkeeper.show.screens import words
from watchkeeper.show.screens.needs import overview_needs, wrapped
from watchkeeper.show.text import width

MOST_PLACES = 200
_BAR = 10
_LEAST_NAME = 12
_LEAST_NOTE = 20
# Which goes first where there is no room.
_DROP_BAR, _DROP_NOTE, _DROP_TAGS, _DROP_BEST, _DROP_LAST = 50, 40, 30, 20, 10


def overview_lines(overview: Overview, screen: Screen, now: datetime) -> list[str]:
    """The counts, the needs, and the table of places, with an empty line between them.

    `now` says how old things are, and in which zone times are shown.
    """
    lines = wrapped(heading(overview), screen)
    needs = overview_needs(overview, screen, now)
    if needs:
        lines += ["", *needs]
    if overview.places:
        lines += ["", *_places(overview, screen, now)]
    return lines


def heading(overview: Overview) -> str:
    """`night: 7 failed, 3 running, 110 done`; while it is read, of how many."""
    counts = words.counts_line(overview.counts) or "nothing is planned"
    reading = overview.reading
    if reading.done < reading.total:
        counts = f"at least {counts} ({reading.done:,} of {reading.total:,} read)"
    return one_line(f"{overview.name}: {counts}")


def _places(overview: Overview, screen: Screen, now: datetime) -> list[str]:
    """The table, and how many places it leaves out."""
    places = overview.places
    shown = places[:MOST_PLACES]
    lines = grid(_columns(shown, screen, now), screen).splitlines()
    return lines + words.more(overview.more.places + len(places) - len(shown))


def _columns(places: Sequence[PlaceRow], screen: Screen, now: datetime) -> list[Column]:
    """Name, standing, share, bar, best figure, last event, tags and note."""
    narrow = {"standing": 0, "bar": _BAR + 1, "best": 22, "last": 7}
    wide = {"standing": 46, "bar": _BAR, "best": 22, "last": 12}
    widths = narrow
    standing_of, time_of = _worst_standing, words.age
    if screen.is_wide:
        widths = wide
        standing_of, time_of = _whole_standing, when
    return [
        Column(header="name", cells=list(map(_name, places)), least=_LEAST_NAME),
        Column(
            header="",
            cells=list(map(standing_of, places)),
            kinds=list(map(_kind, places)),
            wide=widths["standing"],
        ),
        Column(header="done", cells=list(map(_share, places)), right=True),
        Column(
            header="",
            cells=list(map(partial(_bar, screen), places)),
            drop=_DROP_BAR,
            wide=widths["bar"],
        ),
        Column(header="best", cells=_best(places), drop=_DROP_BEST, wide=widths["best"]),
        Column(
            header="last",
            cells=[time_of(place.last, now) for place in places],
            right=True,
            drop=_DROP_LAST,
            wide=widths["last"],
        ),
        Column(header="tags", cells=list(map(_tags, places)), drop=_DROP_TAGS),
        Column(header="note", cells=list(map(_note, places)), drop=_DROP_NOTE, least=_LEAST_NOTE),
    ]


def _name(place: PlaceRow) -> str:
    """Its name."""
    return place.name


def _tags(place: PlaceRow) -> str:
    """Its tags."""
    return ", ".join(place.tags)


def _note(place: PlaceRow) -> str:
    """Its last note."""
    return place.note


def _kind(place: PlaceRow) -> str:
    """The kind by which its standing has its colour."""
    return kind_of(words.worst(place.counts))


def _worst_standing(place: PlaceRow) -> str:
    """The worst state, and how many are in it where that is not all that there is: `7 failed`,
    `done`.
    """
    state = words.worst(place.counts)
    if place.kind == "run" or state in SETTLED:
        return state
    count = place.counts.get(state, 0)
    return f"{count:,} {state}"


def _whole_standing(place: PlaceRow) -> str:
    """What is not done, the worst first; of a single run its state, attempt and step."""
    if place.kind == "run":
        return _standing_of_run(place)
    unsettled = words.unsettled(place.counts)
    if not unsettled and place.kind == "runs":
        return f"{place.total:,} recorded runs"
    return words.counts_line(unsettled)


def _standing_of_run(place: PlaceRow) -> str:
    """`running, attempt 2, step 18,350/24,000`."""
    state = words.worst(place.counts)
    attempt, step = "", ""
    if place.attempt > 1:
        attempt = f"attempt {place.attempt}"
    if place.step is not None and state not in SETTLED:
        step = f"step {words.steps(place.step, place.total_steps)}"
    return words.joined(", ", state, attempt, step)


def _share(place: PlaceRow) -> str:
    """`18/45`; of a single run that has a total, the share of its steps."""
    if _has_steps(place):
        return f"{int(100 * _fraction(place))} %"
    if _is_endless(place):
        return ""
    return f"{place.done:,}/{place.total:,}"


def _is_endless(place: PlaceRow) -> bool:
    """Whether it is a single run under way of which nobody says how far it will go."""
    return place.kind == "run" and not place.done and not _has_steps(place)


def _has_steps(place: PlaceRow) -> bool:
    """Whether it is a single run of which it is known how far it is."""
    if place.kind != "run" or place.step is None:
        return False
    return bool(place.total_steps)


def _fraction(place: PlaceRow) -> float:
    """How much is done, from 0 to 1."""
    if _has_steps(place):
        return min(1.0, (place.step or 0) / (place.total_steps or 1))
    return place.done / max(1, place.total)


def _bar(screen: Screen, place: PlaceRow) -> str:
    """How much is done; "" where there is nothing to do."""
    if not place.total or _is_endless(place):
        return ""
    return screen.bar(_fraction(place), _BAR)


def _best(places: Sequence[PlaceRow]) -> list[str]:
    """Figure and name side by side, the names in one column. A place without a best figure has an
    empty cell.
    """
    bests = [place.best for place in places]
    texts = list(map(_figure, bests))
    wide = max(map(width, texts))
    pairs = zip(texts, bests, strict=True)
    return [f"{text:<{wide}} {_metric(best)}".rstrip() for text, best in pairs]


def _figure(best: Best | None) -> str:
    """The best figure; "" for none."""
    if best is None:
        return ""
    (text,) = figures([best.value])
    return text


def _metric(best: Best | None) -> str:
    """Of a result, its task; else its metric."""
    if best is None:
        return ""
    task, _, _ = best.metric.partition(" ")
    return task
