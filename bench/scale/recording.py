"""The rows of the recorder: what it costs the program that it records."""

from __future__ import annotations

import csv
import itertools
import resource
import shlex
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

import watchkeeper as wk
from bench.scale.rows import Pair, Row, cpu_of, own_cpu, watchkeeper
from watchkeeper.runfolder.rows import encode_row

_BEGAN = datetime(2026, 3, 11, tzinfo=UTC)
_CALLS = 2000  # of what takes microseconds
_STARTS = 20  # of a run, in one measurement


def _children_s(work: Callable[[], object], times: int) -> float:
    """The CPU seconds of the processes that one call starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent / times


def _repository(folder: Path) -> Path:
    folder.mkdir()
    for number in range(200):
        (folder / f"module{number}.py").write_text(f"x = {number}\n")
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "bench")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def _start_and_close(folder: Path, items: int) -> Pair:
    """A run that begins and ends, in a repository; its baseline is one `git status` there."""
    del items
    repository = _repository(folder / "repository")
    numbers = itertools.count()

    def start_and_close() -> None:
        wk.start_run(
            folder=folder / f"run{next(numbers)}",
            pipeline="bench",
            code_folder=repository / "module1.py",
            console=False,
            sidecar=False,
        ).close()

    status = ["git", "-C", str(repository), "status", "--porcelain"]
    return Pair(
        ours=lambda: own_cpu(start_and_close, _STARTS),
        baseline=lambda: _children_s(lambda: subprocess.run(status, check=True), _STARTS),
    )


def _read_rows(folder: Path, items: int) -> Pair:
    """All rows of a run; its baseline decodes each line into a dictionary, and keeps none."""
    place = folder / ".watchkeeper/metrics/writer.jsonl"
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        for step in range(items):
            time = _BEGAN + timedelta(microseconds=1_234_567 * step)
            file.write(encode_row(time, step, {"loss": 1 / (step + 1)}))
    decode = msgspec.json.Decoder(dict[str, Any]).decode

    def decode_all() -> None:
        with place.open("rb") as file:
            for line in file:
                decode(line)

    return Pair(
        ours=lambda: own_cpu(lambda: wk.read_rows(folder)), baseline=lambda: own_cpu(decode_all)
    )


def _exec(folder: Path, items: int) -> Pair:
    """`exec` of a command that writes N MB of short lines; its baseline is `tee` to a file."""
    write = f"seq 1 {140_000 * items}"
    shown = f"{shlex.join(watchkeeper('exec', '--folder', str(folder / 'run')))} -- {write}"
    kept = f"{write} | tee {shlex.quote(str(folder / 'kept'))}"

    def ours() -> float:
        shutil.rmtree(folder / "run", ignore_errors=True)
        return cpu_of(["sh", "-c", f"cd {shlex.quote(str(folder))} && {shown}"], folder / "cache")

    return Pair(ours=ours, baseline=lambda: cpu_of(["sh", "-c", kept], folder))


def _append(folder: Path, items: int) -> Pair:
    """Rows of a table; its baseline writes each with `csv` and flushes it."""
    del items
    run = wk.start_run(
        folder=folder / "run", pipeline="bench", code_folder=folder, console=False, sidecar=False
    )
    table = run.table("bench")
    row = {"sample": 1, "prompt": "what is it", "accuracy": 0.5, "loss": 1.25}
    file = (folder / "plain.csv").open("w", newline="")
    writer = csv.writer(file)

    def write() -> None:
        writer.writerow(row.values())
        file.flush()

    return Pair(
        ours=lambda: own_cpu(lambda: table.append(row), _CALLS),
        baseline=lambda: own_cpu(write, _CALLS),
    )


ROWS = (
    Row("table.append", 0, _append, "csv and flush", most_ratio=4, rounds=20),
    Row("exec of N MB", 10, _exec, "tee", 12, 1.15),
    Row("start_run and close", 0, _start_and_close, "git status", most_ratio=6, rounds=5),
    Row("read_rows", 100_000, _read_rows, "decode each line", 3, 1.15),
)
