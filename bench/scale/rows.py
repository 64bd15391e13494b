"""What a row of `make bench-scale` is, and how it is measured."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time

Seconds = float
Measure = Callable[[], Seconds]


@dataclass(frozen=True)
class Pair:
    """Ours and the baseline for one number of items: each call does the work once, and returns the
    CPU seconds that it took.
    """

    ours: Measure
    baseline: Measure


@dataclass(frozen=True)
class Row:
    """A row of the table. `prepare` writes what N items need into an empty folder. `most_ratio` to
    the baseline and `most_exponent` of the growth are its goals; None: it has none. `items` is N;
    0: nothing grows.
    """

    name: str
    items: int
    prepare: Callable[[Path, int], Pair]
    baseline: str
    most_ratio: float | None = None
    most_exponent: float | None = None
    rounds: int = 3


@dataclass(frozen=True)
class Result:
    """What was measured of a row: CPU seconds at N and 10 N, and of the baseline at 10 N.
    `exponent` is None where nothing grows.
    """

    row: Row
    small_s: Seconds
    large_s: Seconds
    baseline_s: Seconds
    exponent: float | None

    @property
    def ratio(self) -> float:
        """Ours over the baseline."""
        return self.large_s / self.baseline_s

    @property
    def missed(self) -> list[str]:
        """The goals that were missed, in words."""
        words: list[str] = []
        if self.row.most_ratio is not None and self.ratio > self.row.most_ratio:
            words.append(f"ratio over {self.row.most_ratio:g}")
        if self.exponent is not None and self.exponent > (self.row.most_exponent or math.inf):
            words.append(f"exponent over {self.row.most_exponent:g}")
        return words


def measure(row: Row) -> Result:
    """Measure a row in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as parent:
        if row.items == 0:
            pair = _prepared(row, Path(parent), 0)
            ours = _least(pair.ours, row.rounds)
            return Result(row, ours, ours, _least(pair.baseline, row.rounds), None)
        one, small, large = (
            _prepared(row, Path(parent), items) for items in (1, row.items, 10 * row.items)
        )
        fixed_s = _least(one.ours, row.rounds)
        small_s = _least(small.ours, row.rounds)
        large_s = _least(large.ours, row.rounds)
        exponent = growth(small_s - fixed_s, large_s - fixed_s)
        return Result(row, small_s, large_s, _least(large.baseline, row.rounds), exponent)


def growth(small_s: Seconds, large_s: Seconds) -> float:
    """The exponent of the growth from N to 10 N; 0 where the work cannot be told from noise."""
    if small_s <= 0 or large_s <= 0:
        return 0.0
    return math.log10(large_s / small_s)


def _prepared(row: Row, parent: Path, items: int) -> Pair:
    folder = parent / str(items)
    folder.mkdir()
    return row.prepare(folder, items)


def _least(work: Measure, rounds: int) -> Seconds:
    """The least of several: noise only adds."""
    return min(work() for _ in range(rounds))


def cpu_of(command: Sequence[str], cache: Path) -> Seconds:
    """The CPU seconds of a program and its children; its cache is in `cache`, and its modules are
    compiled once, as on a user's machine.

    Raises:
        subprocess.CalledProcessError: it could not be started, or its command line was wrong.
    """
    cache.mkdir(parents=True, exist_ok=True)
    own = {
        "XDG_CACHE_HOME": str(cache),
        "WATCHKEEPER_STATE_DIR": str(cache),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": f"{tempfile.gettempdir()}/watchkeeper-bench",
    }
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, env=os.environ | own, stdin=quiet, stdout=quiet, stderr=quiet
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 2:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    return used.ru_utime + used.ru_stime


def own_cpu(work: Callable[[], object], times: int = 1) -> Seconds:
    """The CPU seconds of one call in this process; what it starts works beside it."""
    began = process_time()
    for _ in range(times):
        work()
    return (process_time() - began) / times


def watchkeeper(*words: str) -> list[str]:
    """The command line of a command of ours."""
    return [sys.executable, "-m", "watchkeeper", *words]


def python(code: str, *words: str) -> list[str]:
    """The command line of a baseline in Python."""
    return [sys.executable, "-c", code, *words]
