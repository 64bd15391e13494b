"""Recorded runs as HTML for a notebook: a table of the runs, and their first curves as SVG. Text
of runs is escaped; nothing is fetched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

MOST_RUNS = 50
MOST_METRICS = 6
MOST_BYTES = 200_000
"""Of all the HTML; runs that do not fit are counted."""

_WIDTH, _HEIGHT = 160, 32  # px of one curve
_COLUMNS = 80  # points of one curve: each is the mean of as many rows as fall on it
_MOST_NAME = 80  # characters

_CURVE = (
    '<svg width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">'
    '<polyline fill="none" stroke="#0072b2" stroke-width="1.5" points="{points}"/></svg>'
)


class Curve(NamedTuple):
    """One metric over its steps: `points` are (step, value), in the order written."""

    metric: str
    points: Sequence[tuple[float, float]]


class Line(NamedTuple):
    """What is shown of one run. `last` has the last figure of each metric."""

    name: str
    state: str
    rows: int
    last: dict[str, float]
    curves: Sequence[Curve]


def runs_html(lines: Sequence[Line]) -> str:
    """The runs as a table of at most `MOST_BYTES` bytes, in their order: name, state, rows, the
    last figure of each metric, and the curves.

    A notebook keeps its output: what does not fit is counted in a line below the table.
    """
    metrics = _metrics_of(lines)
    head = "".join(f"<th>{_escaped(name)}</th>" for name in ("run", "state", "rows", *metrics, ""))
    rows: list[str] = []
    size = 0
    for line in lines[:MOST_RUNS]:
        row = _row(line, metrics)
        size += len(row.encode())
        if size > MOST_BYTES - 2_000:
            break
        rows.append(row)
    left_out = len(lines) - len(rows)
    note = f"<p>{left_out:,} more runs</p>" if left_out else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{note}"


def _metrics_of(lines: Sequence[Line]) -> list[str]:
    """The metrics that have a column, at most `MOST_METRICS`: those of most runs first, of equally
    many the one met first.
    """
    counts: dict[str, int] = {}
    for line in lines:
        for metric in line.last:
            counts[metric] = counts.get(metric, 0) + 1
    return sorted(counts, key=lambda metric: -counts[metric])[:MOST_METRICS]


def _row(line: Line, metrics: Sequence[str]) -> str:
    """A run as a row of HTML. A metric that the run does not have is an empty cell, and its curves
    stand beside one another in the last cell.
    """
    cells = [_escaped(line.name), _escaped(line.state), f"{line.rows:,}"]
    for metric in metrics:
        cells.append(_figure(line.last.get(metric)))
    cells.append(" ".join(map(_svg, line.curves)))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _figure(value: float | None) -> str:
    """A figure to four digits; "" for none."""
    if value is None:
        return ""
    return f"{value:.4g}"


def _svg(curve: Curve) -> str:
    """A curve as a small picture; "": it has fewer than two finite points.

    Its label reads it to whoever does not see it: `train_loss: 1.999 to 0.361`.
    """
    points = _reduced([(x, y) for x, y in curve.points if math.isfinite(x + y)])
    if len(points) < 2:
        return ""
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    placed = []
    for x, y in points:
        across = _scaled(x, min(xs), max(xs)) * _WIDTH
        # down from the top, with two pixels left for the line's own width
        down = 2 + (1 - _scaled(y, min(ys), max(ys))) * (_HEIGHT - 4)
        placed.append(f"{across:.1f},{down:.1f}")
    label = f"{curve.metric}: {_figure(ys[0])} to {_figure(ys[-1])}"
    return _CURVE.format(w=_WIDTH, h=_HEIGHT, label=_escaped(label), points=" ".join(placed))


def _reduced(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_COLUMNS` points, by means of neighbours: more would fall on the same pixels.

    The last group may have fewer members than the others.
    """
    share = math.ceil(len(points) / _COLUMNS) or 1
    reduced = []
    for at in range(0, len(points), share):
        reduced.append(_mean(points[at : at + share]))
    return reduced


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The point in the middle of some: the mean of their steps, and that of their values. `points`
    has at least one.

    `fsum`: single values may be many orders of magnitude apart.
    """
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    return math.fsum(xs) / len(points), math.fsum(ys) / len(points)


def _scaled(value: float, least: float, most: float) -> float:
    """Where the value is between the two, from 0 to 1; the middle where they are equal."""
    if most <= least:
        return 0.5
    # halved first: the difference of two large floats of unlike sign is infinite
    width = most / 2 - least / 2
    return value / 2 / width - least / 2 / width


def _escaped(text: str) -> str:
    """Harmless text: no markup, control and format characters as escapes, at most `_MOST_NAME`
    letters.
    """
    letters = []
    for character in text:
        if character.isprintable():
            letters.append(character)
        else:
            letters.append(f"\\x{ord(character):02x}")
    shown = "".join(letters)
    if len(shown) > _MOST_NAME:
        shown = shown[: _MOST_NAME - 1] + "…"
    from html import escape  # with all names of characters: only where a notebook is read

    return escape(shown)
