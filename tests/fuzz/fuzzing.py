"""One reader against many inputs, within bounds on time and memory."""

from __future__ import annotations

import resource
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import Target

SLOWEST_S = 20  # of CPU time for one input of at most 200 kB
MEMORY_BYTES = 2 * 2**30  # of addresses beyond what the process has at its start
CHUNK = 200  # inputs between two looks at the clock


class TooSlowError(Exception):
    """A reader took more than 20 seconds of CPU time for one input."""


@dataclass
class Tally:
    """What was tried of one reader; `slowest_s` is CPU time."""

    inputs: int = 0
    slowest_s: float = 0.0


@contextmanager
def bounded() -> Iterator[None]:
    """Within it, a reader that takes too much memory meets MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooSlowError


def read_one(target: Target, data: bytes, tally: Tally) -> None:
    """Read one input in a folder of its own.

    Raises:
        Exception: what no reader may raise, TooSlowError included.
    """
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    handler = signal.signal(signal.SIGPROF, _alarm)
    signal.setitimer(signal.ITIMER_PROF, SLOWEST_S)
    began = time.process_time()
    try:
        target.try_one(folder, data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        tally.slowest_s = max(tally.slowest_s, time.process_time() - began)
        tally.inputs += 1
        shutil.rmtree(folder, ignore_errors=True)


def try_many(
    target: Target, inputs: int, number: int, tally: Tally, *, shrink: bool = True
) -> None:
    """Read so many mutated inputs; `number` decides which.

    Raises:
        Exception: what no reader may raise; Hypothesis prints the input.
    """
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(number)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=mutated((*target.seeds, *target.crashes)))
    def check(data: bytes) -> None:
        read_one(target, data, tally)

    with bounded():
        check()


def try_for(target: Target, seconds: float, first: int) -> Tally:
    """Read mutated inputs until the time is over; `first` is the number of the first chunk.

    Raises:
        Exception: what no reader may raise.
    """
    tally = Tally()
    end = time.monotonic() + seconds
    number = first
    while time.monotonic() < end:
        try_many(target, CHUNK, number, tally)
        number += 1
    return tally
