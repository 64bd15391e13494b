"""What the sidecar measured of the machine, as strips below the curves."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from watchkeeper.query.series.columns import grid_of
from watchkeeper.query.series.executions import RunRows
from watchkeeper.query.series.track import At
from watchkeeper.query.views.pages import Strip
from watchkeeper.query.views.run_page.numbers import plain
from watchkeeper.query.views.run_page.subject import Subject
from watchkeeper.query.views.shared import Real
from watchkeeper.runfolder.telemetry import Gpu, Sample, read_samples

MOST_VALUES = 2_000
"""Of one strip: of more samples, the least in each column."""
_GIB = 2**30
_HOST = (("CPU", "CPUs"), ("memory", "GiB"), ("disk free", "GiB"))
_Value = tuple[float, float | None]
"""When, in seconds since 1970, and how much; None: it could not be measured."""


class _Clock(NamedTuple):
    """Which training step was the last at which second."""

    seconds: list[float]
    steps: list[float]

    def step_at(self, second: float) -> Real | None:
        """The last training step that was done at a second; None: before the first one."""
        place = bisect.bisect_right(self.seconds, second) - 1
        if place < 0:
            return None
        return plain(self.steps[place])


class _Measure(NamedTuple):
    name: str
    unit: str
    values: list[_Value]


def strips_of(subject: Subject, rows: RunRows) -> list[Strip]:
    """Each GPU's share of time busy and its memory, the CPUs kept busy, memory, and free disk;
    those that were measured at least once.

    The samples of all folders are put together by time. [] where no telemetry was recorded.
    """
    samples: list[Sample] = []
    for one in subject.folders:
        samples += read_samples(one.folder)
    samples.sort(key=lambda sample: sample.time)
    clock = _clock_of(rows)
    strips = []
    for measure in (*_gpus(samples), *_host(samples)):
        if any(value is not None for _, value in measure.values):
            strips.append(_strip(measure, clock))
    return strips


def strip_after(strip: Strip, second: float) -> Strip:
    """What of a strip was measured after a second, in seconds since 1970; its last value stays that
    of the whole. A page that has the strip so far asks for the rest.
    """
    begin = bisect.bisect_right(strip.x, second)
    return msgspec.structs.replace(
        strip, x=strip.x[begin:], step=strip.step[begin:], value=strip.value[begin:]
    )


def _clock_of(rows: RunRows) -> _Clock:
    """The clock of a run, by the ends of its blocks: up to 512 rows apart, which is near enough for
    a strip. Rows without a training step are left out.
    """
    ends: set[tuple[float, float]] = set()
    for execution in rows.executions:
        for track in execution.tracks():
            ends.update(zip(track.column(At.TIME), track.column(At.STEP), strict=True))
            ends.update(zip(track.column(At.FIRST_TIME), track.column(At.FIRST_STEP), strict=True))
    clock = _Clock([], [])
    for second, step in sorted(ends):
        if not math.isnan(step):
            clock.seconds.append(second)
            clock.steps.append(step)
    return clock


def _gpus(samples: Sequence[Sample]) -> Iterator[_Measure]:
    """Two measures of each GPU that was seen at least once, in the order of their numbers: `GPU 0
    busy` in percent, `GPU 0 memory` in GiB.
    """
    seen: dict[int, list[tuple[float, Gpu]]] = {}
    for sample in samples:
        for gpu in sample.gpus:
            seen.setdefault(gpu.index, []).append((sample.time.timestamp(), gpu))
    for index, measured in sorted(seen.items()):
        busy: list[_Value] = [(at, gpu.busy * 100) for at, gpu in measured]
        memory: list[_Value] = [(at, _gib(gpu.used_bytes)) for at, gpu in measured]
        yield _Measure(f"GPU {index} busy", "%", busy)
        yield _Measure(f"GPU {index} memory", "GiB", memory)


def _host(samples: Sequence[Sample]) -> Iterator[_Measure]:
    """What the job used of the machine, and what the disk had left: how many CPUs it kept busy, the
    memory of its processes and the free disk in GiB.
    """
    busy, memory, disk = (_Measure(*one, []) for one in _HOST)
    for sample in samples:
        at = sample.time.timestamp()
        busy.values.append((at, sample.cpus))
        memory.values.append((at, _gib(sample.rss_bytes)))
        disk.values.append((at, _gib(sample.free_bytes)))
    yield from (busy, memory, disk)


def _gib(size: int | None) -> float | None:
    """Bytes in GiB, to four digits behind the point; None stays."""
    if size is None:
        return None
    return round(size / _GIB, 4)


def _strip(measure: _Measure, clock: _Clock) -> Strip:
    """A measure as a page has it: each value with its second and training step. `last` is the last
    value that could be measured.
    """
    strip = Strip(name=measure.name, unit=measure.unit, x=[], step=[], value=[], last=None)
    last: float | None = None
    for at, value in _thinned(measure.values):
        strip.x.append(at)
        strip.step.append(clock.step_at(at))
        strip.value.append(value)
        if value is not None:
            last = value
    return msgspec.structs.replace(strip, last=last)


def _thinned(values: list[_Value]) -> list[_Value]:
    """At most `MOST_VALUES` of the values: of each column the least, so that a stop is seen."""
    if len(values) <= MOST_VALUES:
        return values
    grid = grid_of(values[0][0], values[-1][0], MOST_VALUES)
    columns: dict[int, list[_Value]] = {}
    for one in values:
        columns.setdefault(grid.column(one[0]), []).append(one)
    return [min(column, key=_least_known) for column in columns.values()]


def _least_known(value: _Value) -> float:
    """Sorts values: what was not measured comes last."""
    if value[1] is None:
        return math.inf
    return value[1]
