"""Curves as SVG: lines with their band, labelled at their ends, and strips below them.

The charts are made here and not by a script, so that a report can be read where scripts are blocked
(mail, a CI system's pages) and is on paper what it is on the screen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from watchkeeper.query.views.shared import Real
from watchkeeper.show.report.drawing.scales import Scale, step_scale, value_scale
from watchkeeper.show.report.markup import Markup, tag
from watchkeeper.show.report.wording import figure

WIDTH = 680.0
_LEFT = 44.0
_RIGHT = 104.0
_TOP = 10.0
_BOTTOM = 22.0
_LABEL_ROOM = 12.0
SERIES = 4
"""Colours; a fifth line has the first again, with another dash."""
_DASHES = (None, "5 3", "1.5 2", "7 2 1.5 2", "10 3", "3 3")
_MOST_LABELLED = 12
_MOST_LABEL = 15
_MOST_MARK = 52
_MARK_ROWS = 3


@dataclass(frozen=True)
class Curve:
    """A line: places on the axis, with the least, the greatest and the drawn value at each; None
    is a gap. `style` chooses colour and dash; `is_pale`: superseded; `has_points`: a ring at each
    value.
    """

    label: str
    style: int
    x: Sequence[Real | None]
    drawn: Sequence[float | None]
    least: Sequence[float | None] = ()
    greatest: Sequence[float | None] = ()
    is_pale: bool = False
    has_points: bool = False

    def values(self) -> Iterator[float]:
        """Every finite value that the drawing has to hold: of the line, and of the band
        around it.
        """
        for one in itertools.chain(self.drawn, self.least, self.greatest):
            if one is not None and math.isfinite(one):
                yield one


def chart(
    curves: Sequence[Curve],
    *,
    title: str,
    height: float = 200.0,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup | None:
    """One chart over training steps; None where there is nothing to draw. `marks` are steps with
    words, as vertical lines. `title` is its sentence for those who do not see it.

    It is 680 wide and `height` high, in the units of its own view box: a page scales it.
    """
    scales = _scales(curves, height - _BOTTOM, _TOP)
    if scales is None:
        return None
    across, up = scales
    return tag(
        "svg",
        tag("title", title),
        _grid(across, up, height),
        [_mark(across, mark, number, height) for number, mark in enumerate(marks)],
        [_band(curve, across, up) for curve in curves],
        [_line(curve, across, up) for curve in curves],
        _labels(curves, across, up),
        class_="chart",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=title,
    )


def strip(curves: Sequence[Curve], *, name: str, height: float = 44.0) -> Markup | None:
    """A low chart of one metric, without an axis of its own: its range is at the left."""
    scales = _scales(curves, height - 4, 4)
    if scales is None:
        return None
    across, up = scales
    last = next((one for one in reversed(curves[-1].drawn) if one is not None), None)
    sentence = f"{name}: {figure(up.least)} to {figure(up.greatest)}, last {figure(last)}"
    return tag(
        "svg",
        tag("title", sentence),
        tag("line", x1=0.0, x2=WIDTH, y1=height - 0.5, y2=height - 0.5, class_="rule"),
        [_band(curve, across, up) for curve in curves],
        [_line(curve, across, up) for curve in curves],
        _text(WIDTH - _RIGHT + 8, 14.0, shortened(name, _MOST_LABEL), class_="strong"),
        _text(WIDTH - _RIGHT + 8, 29.0, figure(last), class_="quiet"),
        class_="chart",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        role="img",
        aria_label=sentence,
    )


def _scales(curves: Sequence[Curve], bottom: float, top: float) -> tuple[Scale, Scale] | None:
    """The scales that hold all curves, across and up; None where there is nothing to draw.

    `bottom` and `top` are places on the drawing, whose y grows downwards.
    """
    values: list[float] = []
    steps: list[Real] = []
    for curve in curves:
        values += curve.values()
        steps += [x for x in curve.x if x is not None]
    if not values or not steps:
        return None
    across = step_scale(min(steps), max(steps), _LEFT, WIDTH - _RIGHT)
    return across, value_scale(values, bottom, top)


def _grid(across: Scale, up: Scale, height: float) -> Iterator[Markup]:
    """A line at each value of the scale, with its words at the left, and the steps at the foot."""
    for value, words in up.ticks:
        y = up.place(value)
        yield tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="rule")
        yield _text(0.0, y + 4, words, class_="quiet")
    for value, words in across.ticks:
        yield _text(across.place(value), height - 4, words, class_="quiet", text_anchor="middle")


def _mark(across: Scale, mark: tuple[float, str], number: int, height: float) -> list[Markup]:
    """A vertical line with its words, which lie lower for each further mark, up to three.

    Right of the middle the words stand left of their line, so that they stay on the chart.
    """
    step, words = mark
    x = across.place(step)
    y = _TOP + 8 + number % _MARK_ROWS * _LABEL_ROOM
    is_late = x > (_LEFT + WIDTH - _RIGHT) / 2
    side = {"x": x - 4, "text_anchor": "end"} if is_late else {"x": x + 4}
    return [
        tag("line", x1=x, x2=x, y1=_TOP, y2=height - _BOTTOM, class_="mark"),
        tag("text", shortened(words, _MOST_MARK), y=y, class_="quiet", **side),
    ]


def shortened(words: str, most: int) -> str:
    """The words in at most this many characters."""
    if len(words) <= most:
        return words
    return f"{words[: most - 1]}…"


def _text(x: float, y: float, words: str, **attributes: str | None) -> Markup:
    return tag("text", words, x=x, y=y, **attributes)


def _class(curve: Curve, kind: str) -> str:
    """The classes of a curve's part, such as `line s2`: what it is, and one of four colours."""
    colour = "pale" if curve.is_pale else f"s{curve.style % SERIES + 1}"
    return f"{kind} {colour}"


def _line(curve: Curve, across: Scale, up: Scale) -> Iterator[Markup]:
    """The line, and a ring at each value where there are few, or only one.

    Colours repeat after four lines, dashes after six: together they tell more lines apart.
    """
    pieces = _places(curve.x, curve.drawn, across, up)
    dash = "3 3" if curve.is_pale else _DASHES[curve.style % len(_DASHES)]
    path = Markup("".join(map(_path, pieces)))
    yield tag("path", d=path, class_=_class(curve, "line"), stroke_dasharray=dash)
    points = list(itertools.chain.from_iterable(pieces))
    if not curve.has_points and len(points) != 1:
        return
    for x, y in points:
        yield tag("circle", cx=x, cy=y, r=2.2, class_=_class(curve, "dot"))


def _band(curve: Curve, across: Scale, up: Scale) -> Markup | None:
    """The area between the least and the greatest of each column; None where they are the same.

    Each piece goes along the greatest values and back along the least.
    """
    if not curve.least or list(curve.least) == list(curve.greatest):
        return None
    pieces = []
    low = _places(curve.x, curve.least, across, up)
    high = _places(curve.x, curve.greatest, across, up)
    for below, above in zip(low, high, strict=False):
        pieces.append(_path([*above, *reversed(below)]) + "z")
    return tag("path", d=Markup("".join(pieces)), class_=_class(curve, "band"))


def _places(
    x: Sequence[Real | None], values: Sequence[float | None], across: Scale, up: Scale
) -> list[list[tuple[float, float]]]:
    """The points of a line in pieces: a gap ends a piece. None and what is not finite is a gap."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in zip(x, values, strict=False):
        if at is None or value is None or not math.isfinite(value):
            pieces.append([])
            continue
        pieces[-1].append((across.place(at), up.place(value)))
    return [piece for piece in pieces if piece]


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Points as SVG draws a line through them: `M44.0 10.0L52.5 12.1`."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _labels(curves: Sequence[Curve], across: Scale, up: Scale) -> Iterator[Markup]:
    """The lines' names at their ends, moved apart where they would cover one another.

    They are written from the top down, each at least 12 below the one before. Of many lines the
    first 12 are named.
    """
    wanted = []
    for curve in curves[:_MOST_LABELLED]:
        pieces = _places(curve.x, curve.drawn, across, up)
        if curve.label and pieces:
            wanted.append((pieces[-1][-1][1], curve))
    wanted.sort(key=lambda one: one[0])
    lowest = -math.inf
    for y, curve in wanted:
        lowest = max(y, lowest + _LABEL_ROOM)
        yield _text(
            WIDTH - _RIGHT + 8,
            lowest + 4,
            shortened(curve.label, _MOST_LABEL),
            class_=_class(curve, "strong name"),
        )
