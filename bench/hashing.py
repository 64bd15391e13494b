"""Hashing a checkpoint on one core, and on all, beside `openssl dgst -sha256` of the same file:
`python -m bench.hashing [MIB] [--json]`. Budget: at least 0.9 of openssl's speed per core.

The file lies in memory (/dev/shm, where there is one), so that the disk is not measured. Each round
hashes it by turns, here in one thread and there in one process; the ratio is the median of the
rounds' ratios.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import by_turns, show
from watchkeeper.publish.manifest.hashing import cores, hash_files

ROUNDS = 9
MEMORY = Path("/dev/shm")
NAME = "model.safetensors"


def main() -> None:
    """Measure and print."""
    mebibytes = next((int(word) for word in sys.argv[1:] if word.isdigit()), 256)
    place = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        show("hashing a checkpoint, over openssl dgst -sha256", figures_of(folder, mebibytes))


def figures_of(folder: Path, mebibytes: int) -> dict[str, float]:
    """The figures for a file of this size, and for one such file for each core."""
    paths = [f"{number}-{NAME}" for number in range(cores())]
    data = os.urandom(2**20)
    for path in paths:
        with (folder / path).open("wb") as file:
            for _ in range(mebibytes):
                file.write(data)
    one = by_turns(lambda: openssl(folder, paths[:1]), lambda: ours(folder, paths[:1]), ROUNDS)
    every = by_turns(lambda: openssl(folder, paths), lambda: ours(folder, paths), ROUNDS)
    return {
        "MiB": mebibytes,
        "cores": len(paths),
        "one file, MiB/s": mebibytes / one["baseline_s"],
        "one file, openssl's MiB/s": mebibytes / one["ours_s"],
        "one file, of openssl's speed": one["ratio"],
        "a file per core, MiB/s": mebibytes * len(paths) / every["baseline_s"],
        "a file per core, openssl's MiB/s": mebibytes * len(paths) / every["ours_s"],
        "a file per core, of openssl's speed": every["ratio"],
    }


def ours(folder: Path, paths: list[str]) -> None:
    """Hash the files as the manifest does."""
    hash_files(folder, paths)


def openssl(folder: Path, paths: list[str]) -> None:
    """Hash the files with a process of openssl for each, all at a time."""
    started = [
        subprocess.Popen(["openssl", "dgst", "-sha256", path], cwd=folder, stdout=subprocess.PIPE)
        for path in paths
    ]
    for process in started:
        process.communicate()


if __name__ == "__main__":
    main()
