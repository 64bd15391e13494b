"""The lines of recorded series as curves: which are drawn, in which style, under which name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.query.views.pages import Line, Series
from watchkeeper.show.report.drawing.curves import Curve

MOST_LINES = 20
MOST_POINTS = 50
"""Of a validation loss, up to which each value is a point."""


def losses_of(series: Mapping[str, Series]) -> list[Curve]:
    """One line for each run, labelled with its name: its newest rows, its superseded ones left
    out. At most 20 runs.
    """
    curves = []
    for style, (name, one) in enumerate(list(series.items())[:MOST_LINES]):
        lines = [line for line in one.lines if not line.superseded]
        for line in lines:
            label = name if line is lines[-1] else ""
            curves.append(Curve(label=label, style=style, x=line.x, drawn=line.smooth))
    return curves


def runs_drawn(series: Mapping[str, Series], runs: int) -> str:
    """Of how many runs a chart of `losses_of` has a line: `20 of 45 runs`, `6 runs`. `runs`: how
    many there are.
    """
    drawn = min(len(series), MOST_LINES)
    if drawn < runs:
        return f"{drawn} of {runs:,} runs"
    return f"{drawn} runs"


def curves_of(series: Series, styles: Mapping[str, int], labels: Mapping[str, str]) -> list[Curve]:
    """Every line of a run, with its band. Superseded rows are pale, and have no label.

    `styles`: metric → number of its style; one that is not in it is not drawn. `labels`: metric →
    what stands at the end of its newest line.
    """
    curves = []
    for line in series.lines:
        if line.metric in styles:
            curves.append(_curve(line, styles[line.metric], labels, series.lines))
    return curves


def _curve(line: Line, style: int, labels: Mapping[str, str], lines: Sequence[Line]) -> Curve:
    """A line as a curve. A validation loss (style 1) of a few values has a point at each, and no
    band: each is what it is, and the least of nothing.
    """
    label = ""
    if line is _last_of(line.metric, lines):
        label = labels.get(line.metric, "")
    is_dotted = style == 1 and sum(line.n) <= MOST_POINTS
    return Curve(
        label=label,
        style=style,
        x=line.x,
        drawn=line.smooth,
        least=() if is_dotted else line.min,
        greatest=() if is_dotted else line.max,
        is_pale=line.superseded,
        has_points=is_dotted,
    )


def _last_of(metric: str, lines: Sequence[Line]) -> Line | None:
    """The newest line of a metric that nothing superseded."""
    newest = None
    for line in lines:
        if line.metric == metric and not line.superseded:
            newest = line
    return newest
