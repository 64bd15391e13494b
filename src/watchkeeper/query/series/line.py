"""One metric of one file as points of a line: blocks where these are fine enough, else values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain, groupby, pairwise
from typing import Literal, NamedTuple, TypeVar

from watchkeeper.query.series.columns import Points, no_points
from watchkeeper.query.series.reader import Values, read_figures, read_metric
from watchkeeper.query.series.smoothing import Average
from watchkeeper.query.series.track import At, Block, Track, size_of
from watchkeeper.query.series.tracks import FileTracks

T = TypeVar("T")
Axis = Literal["step", "time"]
MOST_READ = 50_000
"""Of no more values in the range the values themselves are read."""


class Window(NamedTuple):
    """What is asked for of a line: from where to where on the axis, both included (infinite: no
    bound), how smooth, how many columns, and from which training step on it is superseded
    (infinite: it is not).
    """

    axis: Axis
    begin: float
    end: float
    smoothing: float
    width: int
    cut: float


class Part(NamedTuple):
    """A line within a window, sorted. The `bad` are the places of values that are not finite;
    `pauses` are those between its values, in seconds, or their means of each block.
    """

    kept: Points
    superseded: Points
    bad: list[float]
    superseded_bad: list[float]
    pauses: list[float]

    def extend(self, other: Part) -> None:
        """Take the points of another process in, and sort all of them."""
        for points, more in ((self.kept, other.kept), (self.superseded, other.superseded)):
            points.extend(more)
            points.sort()
        self.bad.extend(other.bad)
        self.superseded_bad.extend(other.superseded_bad)
        self.pauses.extend(other.pauses)


def part_of(file: FileTracks, metric: str, window: Window) -> Part:
    """One metric of one file within a window.

    Where the file's values are in memory, they are taken. Else, of a window with very many values,
    each block is one point and only the blocks at its edges are read; of another, all are read.

    Raises:
        OSError: the file cannot be read.
    """
    track = file.tracks[metric]
    values = track.values()
    if values is not None:
        return part_of_values(values, window)
    _ensure_average(file, metric, track, window.smoothing)
    part = empty_part()
    part.pauses.extend(_mean_pauses(track))
    numbers = [number for number in range(len(track)) if _touches(track.block(number), window)]
    rows = sum(size_of(track.block(number)) for number in numbers)
    # Blocks are fine enough where there is one for every two columns.
    is_fine = rows > MOST_READ and 2 * len(numbers) >= window.width

    def is_to_be_read(number: int) -> bool:
        """Whether a block's values are needed, and not only its range."""
        return not is_fine or _is_cut(track.block(number), window)

    runs = groupby(numbers, is_to_be_read)
    for is_read, run in runs:
        if is_read:
            _read_blocks(file, metric, list(run), window, part)
        else:
            _take_blocks(track, list(run), window, part)
    part.kept.sort()
    part.superseded.sort()
    return part


def part_of_values(values: Values, window: Window) -> Part:
    """A line of which all values are at hand, within a window. Those before the window count for
    its smoothing, and all of them for the pauses.
    """
    part = empty_part()
    part.pauses.extend(after - before for before, after in pairwise(values.times))
    _take_values(values, Average(window.smoothing), window, part)
    part.kept.sort()
    part.superseded.sort()
    return part


def empty_part() -> Part:
    """A line without a point."""
    return Part(no_points(), no_points(), [], [], [])


def _ensure_average(file: FileTracks, metric: str, track: Track, smoothing: float) -> None:
    """Smooth all values of a metric once, where that was not done when they were read.

    What is kept is the running sum at the end of each block: with it, any block can be smoothed
    without those before it. A smoothing of 0 needs none.
    """
    if not smoothing or smoothing in track.averages:
        return
    begin = int(track.block(0)[At.PIECE])
    if file.is_damaged:
        figures = read_metric(file.path, metric, begin, 0, track.rows).figures
    else:
        figures = list(chain.from_iterable(read_figures(file.path, metric, begin)))
    track.begin_average(smoothing, figures)


def _mean_pauses(track: Track) -> Iterator[float]:
    """The mean pause between two rows, in seconds, of each block with several: of 512 values over
    1,022 seconds that is 2.
    """
    for number in range(len(track)):
        block = track.block(number)
        if size_of(block) > 1:
            yield (block[At.TIME] - block[At.FIRST_TIME]) / (size_of(block) - 1)


def _bounds(block: Block, axis: Axis) -> tuple[float, float]:
    """Where a block begins and ends on an axis: in training steps, or in seconds since 1970."""
    if axis == "time":
        return block[At.FIRST_TIME], block[At.TIME]
    return block[At.FIRST_STEP], block[At.STEP]


def _touches(block: Block, window: Window) -> bool:
    """Whether a block has rows within the window. One without steps (NaN) is never ruled out, as
    no comparison with NaN holds: its rows decide.
    """
    first, last = _bounds(block, window.axis)
    is_before = last < window.begin
    is_behind = first > window.end
    return not (is_before or is_behind)


def _is_cut(block: Block, window: Window) -> bool:
    """Whether an edge of the window, or of what is superseded, lies within the block."""
    first, last = _bounds(block, window.axis)
    is_inside = window.begin <= first and last <= window.end
    is_split = block[At.FIRST_STEP] < window.cut <= block[At.STEP]
    return not is_inside or is_split


def _read_blocks(
    file: FileTracks, metric: str, numbers: Sequence[int], window: Window, part: Part
) -> None:
    """Take the values of some blocks. Those that follow each other are read at once."""
    track = file.tracks[metric]
    for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        blocks = [number for _, number in run]
        first = track.block(blocks[0])
        count = sum(size_of(track.block(number)) for number in blocks)
        values = read_metric(file.path, metric, int(first[At.PIECE]), int(first[At.SKIP]), count)
        average = track.average_before(blocks[0], window.smoothing)
        _take_values(values, average, window, part)


def _take_values(values: Values, average: Average, window: Window, part: Part) -> None:
    """Add values, each as a point, to a part: what counts and what was superseded apart. Those that
    are not finite are only places.

    `average` is that of the values before, which smoothing continues.
    """
    smooth = average.line(values.figures)
    for is_superseded in (False, True):
        points, bad = _target(part, is_superseded=is_superseded)
        places = _places(values, window, is_superseded=is_superseded)
        if not places:
            continue
        figures = _picked(values.figures, places)
        if not math.isfinite(sum(figures)):
            x, _ = _ordered(window, values.steps, values.times)
            bad.extend(x[place] for place in places if not math.isfinite(values.figures[place]))
            places = [place for place in places if math.isfinite(values.figures[place])]
            figures = _picked(values.figures, places)
        steps, times = _picked(values.steps, places), _picked(values.times, places)
        x, other = _ordered(window, steps, times)
        count = [1] * len(places)
        smoothed = _picked(smooth, places)
        points.extend(Points(x, other, figures, figures, smoothed, count, times, times))


def _places(values: Values, window: Window, *, is_superseded: bool) -> Sequence[int]:
    """Which values are to be drawn, as what counts or as what was superseded: their places.

        steps 1, 2, 3, 4, window from 2 on, cut at 4 → what counts: [1, 2]; superseded: [3]

    A value without a step (NaN) is not superseded. Over steps it has no place, and is not drawn.
    """
    begin, end, cut = window.begin, window.end, window.cut
    x, _ = _ordered(window, values.steps, values.times)
    if cut == math.inf:
        if is_superseded:
            return []
        return [place for place, at in enumerate(x) if begin <= at <= end]
    places: list[int] = []
    for place, (at, step) in enumerate(zip(x, values.steps, strict=True)):
        is_meant = (step >= cut) == is_superseded
        if is_meant and begin <= at <= end:
            places.append(place)
    return places


def _picked(column: list[float], places: Sequence[int]) -> list[float]:
    """The values of a column at these places; the column itself where those are all."""
    if len(places) == len(column):
        return column
    return list(map(column.__getitem__, places))


def _take_blocks(track: Track, numbers: Sequence[int], window: Window, part: Part) -> None:
    """Add blocks of a long track to a part, each as one point with its range: what is drawn has
    fewer columns than that.
    """
    for number in numbers:
        block = track.block(number)
        points, bad = _target(part, is_superseded=block[At.STEP] >= window.cut)
        if block[At.BAD]:
            bad.append(_ordered(window, block[At.BAD_STEP], block[At.BAD_TIME])[0])
        if not block[At.N]:
            continue
        smooth = block[At.LAST]
        if window.smoothing:
            smooth = track.average_before(number + 1, window.smoothing).value
        places = _ordered(window, block[At.STEP], block[At.TIME])
        figures = (block[At.LOW], block[At.HIGH], smooth)
        points.add(places, figures, int(block[At.N]), (block[At.FIRST_TIME], block[At.TIME]))


def _ordered(window: Window, step: T, time: T) -> tuple[T, T]:
    """The place on the axis, and that on the other one: of step 40 at 12:00 over steps `40, 12:00`,
    over time `12:00, 40`. Likewise for whole columns.
    """
    if window.axis == "step":
        return step, time
    return time, step


def _target(part: Part, *, is_superseded: bool) -> tuple[Points, list[float]]:
    """Where a point belongs, and the place of one that is not finite."""
    if is_superseded:
        return part.superseded, part.superseded_bad
    return part.kept, part.bad
