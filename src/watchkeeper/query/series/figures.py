"""Each metric's last and best figure, over what no later execution superseded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from watchkeeper.query.series.executions import RowedExecution, RunRows
from watchkeeper.query.series.reader import read_metric
from watchkeeper.query.series.track import At, Block, Track, size_of
from watchkeeper.query.series.tracks import FileTracks

Point = tuple[float, float]
"""A training step (NaN: none) and a figure."""


class Figure(NamedTuple):
    """Of one metric: how many values count; the last one, which may be NaN or infinite; the least
    and the greatest finite one. None: no value counts.
    """

    rows: int
    last: Point | None
    low: Point | None
    high: Point | None


_NONE = Figure(0, None, None, None)


def figure_of(run: RunRows, metric: str) -> Figure:
    """What counts of a metric. The last value is that of the last execution which has one.

    Raises:
        OSError: a file of rows can no longer be read.
    """
    figure = _NONE
    for execution in run.executions:
        for file in _by_end(execution, metric):
            figure = _after(figure, _of_file(file, metric, execution.end_of(metric)))
    return figure


def values_of(run: RunRows, metric: str, most: int) -> list[Point]:
    """The values that count, where there are at most so many; else the last of each block.

    Raises:
        OSError: a file of rows can no longer be read.
    """
    files = [(file, one.end_of(metric)) for one in run.executions for file in one.having(metric)]
    is_short = sum(file.tracks[metric].rows for file, _ in files) <= most
    points: list[Point] = []
    for file, cut in files:
        track = file.tracks[metric]
        if is_short:
            points += _kept(file, metric, range(len(track)), cut)
        else:
            ends = zip(track.column(At.STEP), track.column(At.LAST), strict=True)
            points += [end for end in ends if not end[0] >= cut]
    return points


def _by_end(execution: RowedExecution, metric: str) -> Sequence[FileTracks]:
    """The files with the metric, the one that was written to last at the end."""
    files = execution.having(metric)
    return sorted(files, key=lambda file: file.tracks[metric].block(-1)[At.TIME])


def _of_file(file: FileTracks, metric: str, cut: float) -> Figure:
    """The figure of a metric in one file, over its rows before the training step `cut`, from which
    on later rows supersede them. Blocks that lie before it are not read anew.
    """
    track = file.tracks[metric]
    if cut == math.inf:
        return _of_track(track)
    if cut == -math.inf:
        return _NONE
    figure = _NONE
    for number in range(len(track)):
        block = track.block(number)
        if not block[At.STEP] >= cut:
            figure = _after(figure, _of_block(block))
        elif block[At.FIRST_STEP] < cut:
            figure = _after(figure, _of_values(_kept(file, metric, [number], cut)))
    return figure


def _of_track(track: Track) -> Figure:
    """The figure of a metric over all blocks of its track."""
    figure = _NONE
    for number in range(len(track)):
        figure = _after(figure, _of_block(track.block(number)))
    return figure


def _of_block(block: Block) -> Figure:
    """The figure of a block of rows, from what was kept of it."""
    low = high = None
    if block[At.N]:
        low = (block[At.LOW_STEP], block[At.LOW])
        high = (block[At.HIGH_STEP], block[At.HIGH])
    return Figure(size_of(block), (block[At.STEP], block[At.END]), low, high)


def _kept(file: FileTracks, metric: str, blocks: Sequence[int], cut: float) -> Iterator[Point]:
    """The values of these blocks, which follow each other, that come before the cut."""
    track = file.tracks[metric]
    if not blocks:
        return
    first = track.block(blocks[0])
    count = sum(size_of(track.block(number)) for number in blocks)
    values = read_metric(file.path, metric, int(first[At.PIECE]), int(first[At.SKIP]), count)
    for step, figure in zip(values.steps, values.figures, strict=True):
        if not step >= cut:
            yield step, figure


def _of_values(points: Iterable[Point]) -> Figure:
    """The figure of single values, (step, value) in order."""
    figure = _NONE
    for point in points:
        extreme = None
        if math.isfinite(point[1]):
            extreme = point
        figure = _after(figure, Figure(1, point, extreme, extreme))
    return figure


def _after(one: Figure, other: Figure) -> Figure:
    """Both together, of which the other comes later."""
    lows = filter(None, (one.low, other.low))
    highs = filter(None, (one.high, other.high))
    return Figure(
        one.rows + other.rows,
        other.last or one.last,
        min(lows, key=itemgetter(1), default=None),
        max(highs, key=itemgetter(1), default=None),
    )
