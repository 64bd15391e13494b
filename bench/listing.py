"""How long `watchkeeper ls` takes for thousands of recorded runs, over a plain walk of the same
tree.

    python -m bench.listing [--runs 5000] [--folder DIR]

The first run is recorded; the others are copies of its files under ids of their own. `walk` is
`os.walk` with the status of each file, in the same process tree and on the same, warm files. `ls`
is the whole command, Python's start included: `cold` without an index, `warm` with the one that
cold left; the median of several. `start` is what `watchkeeper --version` takes.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import watchkeeper as wk
from watchkeeper.core.ids import writer_id
from watchkeeper.core.journal import utc_now

REPEATS = 5
COMMAND = [sys.executable, "-m", "watchkeeper"]


def main() -> None:
    """Make the runs, and print one line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument(
        "--folder", type=Path, help="keep the runs here, and use those that are there"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-listing-") as scratch:
        folder = options.folder or Path(scratch, "runs")
        made = make_runs(folder, options.runs)
        print(f"{options.runs} runs in {folder} ({made} made)")
        measure(folder, Path(scratch, "cache"))


def measure(folder: Path, cache: Path) -> None:
    """Print what the walk and the command take."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    walk_s = median_of(lambda: walk(folder))
    start_s = median_of(lambda: call(["--version"], environment))
    cold_s = timed(lambda: call(["ls", str(folder)], environment))
    warm_s = median_of(lambda: call(["ls", str(folder)], environment))
    before = cpu_s()
    call(["ls", str(folder)], environment)
    warm_cpu_s = cpu_s() - before
    size = sum(path.stat().st_size for path in cache.rglob("*.index"))
    print(f"walk  {walk_s:6.2f} s")
    print(f"start {start_s:6.2f} s")
    print(f"cold  {cold_s:6.2f} s  {cold_s / walk_s:5.1f} x the walk")
    print(f"warm  {warm_s:6.2f} s  {warm_s / walk_s:5.1f} x the walk; {warm_cpu_s:.2f} s of CPU")
    print(f"index {size / 2**20:6.1f} MiB")


def make_runs(folder: Path, count: int) -> int:
    """Record one run, and copy it under other ids; returns how many were made."""
    folder.mkdir(parents=True, exist_ok=True)
    present = sum(1 for entry in os.scandir(folder) if entry.is_dir())
    if present >= count:
        return 0
    model = folder / "20260101-000000-model"
    writer = record(model)
    files = {
        path.relative_to(model): path.read_bytes() for path in model.rglob("*") if path.is_file()
    }
    for number in range(present, count - 1):
        copy(folder / f"20260101-{number:06d}-copy", files, writer, number)
    return count - present


def record(folder: Path) -> str:
    """Record the run that the others are copies of; returns its writer."""
    config = {
        "lr": "@lr@",
        "rank": 16,
        "optimizer": {"name": "adamw", "betas": [0.9, 0.95]},
        "seed": 1,
    }
    options = {"console": False, "sidecar": False, "run_id": folder.name, "tags": ["sweep"]}
    with wk.start_run(folder.parent, pipeline="training", config=config, **options) as run:
        for step in range(1, 21):
            run.log(step, loss=3.0 / step, accuracy=1 - 1 / step)
        run.log(20, val_loss=0.1875)
        return run.writer


def copy(folder: Path, files: dict[Path, bytes], writer: str, number: int) -> None:
    """Write one copy, with its own writer, learning rate and figures."""
    new = writer_id(utc_now()).encode()
    rate = f"{random.Random(number).choice([1e-4, 3e-4, 1e-3])}".encode()
    figure = f"{0.1 + number % 997 / 1000}".encode()
    for path, data in files.items():
        target = folder / str(path).replace(writer, new.decode())
        target.parent.mkdir(parents=True, exist_ok=True)
        renamed = data.replace(writer.encode(), new)
        target.write_bytes(renamed.replace(b"@lr@", rate).replace(b"0.1875", figure))


def walk(folder: Path) -> None:
    """The baseline: each folder is read, and the status of each file."""
    for root, _, names in os.walk(folder):
        for name in names:
            Path(root, name).stat()


def call(words: list[str], environment: dict[str, str]) -> None:
    """The command, its output thrown away."""
    subprocess.run([*COMMAND, *words], env=environment, stdout=subprocess.DEVNULL, check=True)


def cpu_s() -> float:
    """The CPU time of the commands so far: what other processes do meanwhile does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(action: Callable[[], None]) -> float:
    """The seconds that it takes once."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def median_of(action: Callable[[], None]) -> float:
    """The median of several, in seconds."""
    return statistics.median(timed(action) for _ in range(REPEATS))


if __name__ == "__main__":
    main()
