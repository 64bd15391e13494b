"""What is kept of one metric of one file: blocks of up to 512 values, and the values themselves of
a metric that has few. Pure.

A block also ends where the training step goes back, and where nothing was logged for a minute: so
a block is one stretch of a line.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum
from itertools import islice, pairwise
from operator import le, sub

from watchkeeper.query.series.reader import Values
from watchkeeper.query.series.smoothing import Average

BLOCK_ROWS = 512
PAUSE_S = 60.0
"""A line never breaks at a shorter pause."""
MOST_AVERAGES = 8
"""Smoothings of one metric that are kept."""
MOST_RAW = 4096
"""Of a metric with more values, only the blocks are kept."""


class At(IntEnum):
    """The places of a block's figures: finite values and others; least and greatest value with
    their training steps; the last finite one; the first and last training step and second; the
    file's piece in which it begins and how many of the piece's values come before; where the first
    value lies that is not finite; and the last value of any kind. NaN: there is none.
    """

    N = 0
    BAD = 1
    LOW = 2
    LOW_STEP = 3
    HIGH = 4
    HIGH_STEP = 5
    LAST = 6
    FIRST_STEP = 7
    STEP = 8
    FIRST_TIME = 9
    TIME = 10
    PIECE = 11
    SKIP = 12
    BAD_STEP = 13
    BAD_TIME = 14
    END = 15


WIDTH = len(At)
Block = list[float]


class Track:
    """One metric. `cells` holds its blocks one behind the other; `raw` its `rows` values in
    parts, None where there are too many; `averages` the running sums at the end of
    each block, by smoothing.
    """

    def __init__(self) -> None:
        self.cells = array("d")
        self.raw: list[Values] | None = []
        self.rows = 0
        self.averages: dict[float, array[float]] = {}

    def __len__(self) -> int:
        """How many blocks there are."""
        return len(self.cells) // WIDTH

    @property
    def figures(self) -> int:
        """About how many numbers it holds in memory."""
        raw = 0
        if self.raw is not None:
            raw = 3 * self.rows
        return 32 + len(self.cells) + raw + sum(map(len, self.averages.values()))

    def column(self, place: At) -> array[float]:
        """One figure of all blocks."""
        return self.cells[place::WIDTH]

    def block(self, number: int) -> Block:
        """One block, from 0; -1 is the last."""
        if number < 0:
            number += len(self)
        return list(self.cells[number * WIDTH : (number + 1) * WIDTH])

    def add(self, values: Values, piece: int, cuts: Sequence[int]) -> None:
        """Take in the values of a piece. `cuts` are the places at which a block ends within."""
        self._keep_raw(values)
        begin = 0
        for end in (*cuts, len(values.figures)):
            while begin < end:
                begin = self._fill(values, begin, end, piece)

    def values(self) -> Values | None:
        """The values, where they were kept."""
        if self.raw is None:
            return None
        values = Values([], [], [])
        for part in self.raw:
            values.extend(part)
        return values

    def _keep_raw(self, values: Values) -> None:
        """Keep the values themselves as well, as long as they are few."""
        self.rows += len(values.figures)
        if self.rows > MOST_RAW:
            self.raw = None
        if self.raw is not None:
            self.raw.append(values)

    def _fill(self, values: Values, begin: int, end: int, piece: int) -> int:
        """Add values to the last block or begin one; the place up to which they are in."""
        room = self._room(values.steps[begin], values.times[begin])
        stop = min(end, begin + (room or BLOCK_ROWS))
        figures = values.figures[begin:stop]
        block = _block(values, begin, figures, piece)
        if room:
            block = _joined(self.block(-1), block)
            del self.cells[-WIDTH:]
        self.cells.extend(block)
        for smoothing, sums in self.averages.items():
            self._average(smoothing, sums, figures, is_new=not room)
        return stop

    def _room(self, step: float, time: float) -> int:
        """How many values the last block still takes, of which the next one is at this place."""
        if not self.cells:
            return 0
        last = self.block(-1)
        if step < last[At.STEP] or time - last[At.TIME] >= PAUSE_S:
            return 0
        return BLOCK_ROWS - size_of(last)

    def copy(self) -> Track:
        """A track that grows alone: whoever reads this one is not disturbed."""
        track = Track()
        track.cells = self.cells[:]
        track.raw = None
        if self.raw is not None:
            track.raw = self.raw[:]
        track.rows = self.rows
        track.averages = {smoothing: sums[:] for smoothing, sums in self.averages.items()}
        return track

    def begin_average(self, smoothing: float, figures: Sequence[float]) -> None:
        """Keep the running sums of a smoothing, of all its values; those of the oldest are dropped
        where there are many.
        """
        sums = array("d")
        average = Average(smoothing)
        begin = 0
        for number in range(len(self)):
            end = begin + size_of(self.block(number))
            average.add(figures[begin:end])
            sums.extend((average.total, average.weight))
            begin = end
        while len(self.averages) >= MOST_AVERAGES:
            del self.averages[next(iter(self.averages))]
        self.averages[smoothing] = sums

    def average_before(self, block: int, smoothing: float) -> Average:
        """The running sum of a smoothing in front of a block."""
        sums = self.averages.get(smoothing)
        if not block or sums is None:
            return Average(smoothing)
        return Average(smoothing, *sums[2 * block - 2 : 2 * block])

    def _average(
        self, smoothing: float, sums: array[float], figures: Sequence[float], *, is_new: bool
    ) -> None:
        """Take a block's values into the average at one smoothing. `is_new` False: the last block
        grew, and its sums are replaced.
        """
        average = Average(smoothing)
        if sums:
            average.total, average.weight = sums[-2:]
        average.add(figures)
        if not is_new:
            del sums[-2:]
        sums.extend((average.total, average.weight))


def size_of(block: Block) -> int:
    """How many values a block has."""
    return int(block[At.N] + block[At.BAD])


def cuts_of(steps: Sequence[float], times: Sequence[float]) -> list[int]:
    """The places at which a training step goes back or a minute passed without a value."""
    is_rising = all(map(le, steps, islice(steps, 1, None)))
    longest = max(map(sub, islice(times, 1, None), times), default=0.0)
    if is_rising and longest < PAUSE_S:
        return []
    return list(_cuts(steps, times))


def _cuts(steps: Sequence[float], times: Sequence[float]) -> Iterator[int]:
    """Where a column of rows is to be cut into blocks: before a step that goes back, and after a
    pause.
    """
    places = zip(pairwise(steps), pairwise(times), strict=True)
    for place, ((step, next_step), (time, next_time)) in enumerate(places, 1):
        if next_step < step or next_time - time >= PAUSE_S:
            yield place


def _block(values: Values, begin: int, figures: list[float], piece: int) -> Block:
    """The block of these figures of a piece: those from place `begin` on."""
    steps, times = values.steps, values.times
    last = begin + len(figures) - 1
    block = [math.nan] * WIDTH
    block[At.FIRST_STEP], block[At.STEP] = steps[begin], steps[last]
    block[At.FIRST_TIME], block[At.TIME] = times[begin], times[last]
    block[At.PIECE], block[At.SKIP] = piece, begin
    block[At.END] = figures[-1]
    finite = figures
    if not math.isfinite(sum(figures)):
        finite = list(filter(math.isfinite, figures))
    block[At.N] = len(finite)
    block[At.BAD] = len(figures) - len(finite)
    if len(finite) < len(figures):
        bad = begin + list(map(math.isfinite, figures)).index(False)
        block[At.BAD_STEP], block[At.BAD_TIME] = steps[bad], times[bad]
    if finite:
        low, high = min(finite), max(finite)
        block[At.LOW], block[At.LOW_STEP] = low, steps[begin + figures.index(low)]
        block[At.HIGH], block[At.HIGH_STEP] = high, steps[begin + figures.index(high)]
        block[At.LAST] = finite[-1]
    return block


def _joined(one: Block, other: Block) -> Block:
    """Two blocks that follow each other, as one."""
    joined = list(one)
    for place in (At.STEP, At.TIME, At.END):
        joined[place] = other[place]
    if not one[At.BAD]:
        joined[At.BAD_STEP], joined[At.BAD_TIME] = other[At.BAD_STEP], other[At.BAD_TIME]
    joined[At.N] += other[At.N]
    joined[At.BAD] += other[At.BAD]
    if not other[At.N]:
        return joined
    joined[At.LAST] = other[At.LAST]
    if not one[At.N] or other[At.LOW] < one[At.LOW]:
        joined[At.LOW], joined[At.LOW_STEP] = other[At.LOW], other[At.LOW_STEP]
    if not one[At.N] or other[At.HIGH] > one[At.HIGH]:
        joined[At.HIGH], joined[At.HIGH_STEP] = other[At.HIGH], other[At.HIGH_STEP]
    return joined
