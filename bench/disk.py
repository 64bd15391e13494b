"""How long `watchkeeper du` takes for one folder of many entries, over coreutils' du.

    python -m bench.disk [--entries 50000]

Both count the same warm folder, in CPU time, by turns. `start` is what `watchkeeper --version`
takes; the command's own figure includes it. `growth` is the exponent from a tenth of the entries.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5
COMMAND = [sys.executable, "-m", "watchkeeper"]


def main() -> None:
    """Make the folders, and print one line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=50_000)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory(prefix="wk-disk-") as scratch:
        large, small = Path(scratch, "large"), Path(scratch, "small")
        fill(large, entries)
        fill(small, entries // 10)
        start_s = cpu_s([*COMMAND, "--version"])
        pairs = []
        for _ in range(ROUNDS):
            pairs.append((cpu_s([*COMMAND, "du", str(large)]), cpu_s(["du", "-s", str(large)])))
        small_s = statistics.median(cpu_s([*COMMAND, "du", str(small)]) for _ in range(ROUNDS))
    ours_s = statistics.median(ours for ours, _ in pairs)
    theirs_s = statistics.median(theirs for _, theirs in pairs)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    growth = math.log10((ours_s - start_s) / max(small_s - start_s, 0.001))
    print(f"{entries:,} entries in one folder")
    print(f"start   {1000 * start_s:6.0f} ms")
    print(f"ours    {1000 * ours_s:6.0f} ms")
    print(f"du -s   {1000 * theirs_s:6.0f} ms")
    print(f"ratio   {ratio:6.2f}")
    print(f"growth  N^{growth:.2f}")


def fill(folder: Path, entries: int) -> None:
    """Make a folder with so many files, each of a few bytes."""
    folder.mkdir()
    for number in range(entries):
        descriptor = os.open(folder / f"sample_{number}.json", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"{}")
        os.close(descriptor)


def cpu_s(command: list[str]) -> float:
    """What a command takes of the processor, its children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
