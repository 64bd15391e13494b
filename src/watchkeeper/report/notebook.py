"""Recorded runs as HTML for a notebook: a table of the runs, and their first curves as SVG. Text
of runs is escaped; nothing is fetched.
"""

from __future__ import annotations

import html
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
    """The runs as a table of at most `MOST_BYTES` bytes."""
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
    """The metrics that have a column: those of most runs first."""
    counts: dict[str, int] = {}
    for line in lines:
        for metric in line.last:
            counts[metric] = counts.get(metric, 0) + 1
    return sorted(counts, key=lambda metric: -counts[metric])[:MOST_METRICS]


def _row(line: Line, metrics: Sequence[str]) -> str:
    figures = [_figure(line.last.get(metric)) for metric in metrics]
    cells = [_escaped(line.name), _escaped(line.state), f"{line.rows:,}", *figures]
    cells.append(" ".join(_svg(curve) for curve in line.curves))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4g}"


def _svg(curve: Curve) -> str:
    points = _reduced([(x, y) for x, y in curve.points if math.isfinite(x + y)])
    if len(points) < 2:
        return ""
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    placed = " ".join(
        f"{_scaled(x, min(xs), max(xs)) * _WIDTH:.1f},"
        f"{2 + (1 - _scaled(y, min(ys), max(ys))) * (_HEIGHT - 4):.1f}"
        for x, y in points
    )
    label = f"{curve.metric}: {_figure(ys[0])} to {_figure(ys[-1])}"
    return _CURVE.format(w=_WIDTH, h=_HEIGHT, label=_escaped(label), points=placed)


def _reduced(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_COLUMNS` points, by means of neighbours."""
    share = math.ceil(len(points) / _COLUMNS) or 1
    groups = [points[at : at + share] for at in range(0, len(points), share)]
    return [_mean(group) for group in groups]


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    xs = [x for x, _ in points]
    ys = [y for _, y in points]
    return math.fsum(xs) / len(points), math.fsum(ys) / len(points)


def _scaled(value: float, least: float, most: float) -> float:
    """Where the value is between the two, from 0 to 1; the middle where they are equal."""
    if most <= least:
        return 0.5
    return value / 2 / (most / 2 - least / 2) - least / 2 / (most / 2 - least / 2)


def _escaped(text: str) -> str:
    """Harmless text: no markup, control and format characters as escapes."""
    shown = "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in text
    )
    if len(shown) > _MOST_NAME:
        shown = shown[: _MOST_NAME - 1] + "…"
    return html.escape(shown)
