"""The rows of commands: how long one waits for an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import watchkeeper as wk
from bench import many_runs
from bench.scale.rows import Pair, Row, cpu_of, python, watchkeeper

# Every line of the journal as JSON, and one look at each promised file.
_READ_ALL = """
import json, os, pathlib, sys
top = pathlib.Path(sys.argv[1])
for file in top.glob(".watchkeeper/journal/*.jsonl"):
    for line in file.open("rb"):
        json.loads(line)
for folder, _, names in os.walk(top):
    for name in names:
        os.stat(os.path.join(folder, name))
"""
_ROWS = 1000  # of a recorded run


def _start(*words: str) -> Callable[[Path, int], Pair]:
    """A command that starts and ends; its baseline imports the library that reads options."""

    def prepare(folder: Path, items: int) -> Pair:
        del items
        return Pair(
            ours=lambda: cpu_of(watchkeeper(*words), folder),
            baseline=lambda: cpu_of(python("import click"), folder),
        )

    return prepare


def _ten_runs(folder: Path, items: int) -> Pair:
    del items
    many_runs.write(folder / "many", 10)
    return Pair(
        ours=lambda: cpu_of(watchkeeper("status", str(folder / "many")), folder / "cache"),
        baseline=lambda: cpu_of(python("import click, msgspec, yaml"), folder),
    )


def _of_experiment(*words: str, key: str = "") -> Callable[[Path, int], Pair]:
    """A command on an experiment of N runs and N evaluations; its baseline reads the same bytes."""

    def prepare(folder: Path, items: int) -> Pair:
        experiment = folder / "many"
        many_runs.write(experiment, items)
        command = watchkeeper(words[0], str(experiment), *filter(None, [key]), *words[1:])
        return Pair(
            ours=lambda: cpu_of(command, folder / "cache"),
            baseline=lambda: cpu_of(python(_READ_ALL, str(experiment)), folder),
        )

    return prepare


def _of_recorded(folder: Path, items: int) -> Pair:
    """`compare` of N recorded runs, once they were compared before."""
    runs = folder / "runs"
    for number in range(items):
        with wk.start_run(
            folder=runs / f"run{number}",
            pipeline="training",
            config={"lr": number},
            console=False,
            sidecar=False,
        ) as run:
            for step in range(_ROWS):
                run.log(step, loss=1 / (step + 1), accuracy=0.5)
    return Pair(
        ours=lambda: cpu_of(watchkeeper("compare", str(runs)), folder / "cache"),
        baseline=lambda: cpu_of(python(_READ_ALL, str(runs)), folder),
    )


ROWS = (
    Row("status --help", 0, _start("status", "--help"), "import click", most_ratio=2, rounds=10),
    Row("status of 10 runs", 0, _ten_runs, "import click, msgspec, yaml", most_ratio=3, rounds=10),
    Row("plan", 500, _of_experiment("plan"), "the same bytes", 3, 1.15),
    Row("status", 500, _of_experiment("status"), "the same bytes", 3, 1.15),
    Row("run, nothing to do", 500, _of_experiment("run"), "the same bytes", 6, 1.15),
    Row("check", 500, _of_experiment("check"), "the same bytes", 9, 1.15),
    Row("compare", 500, _of_experiment("compare"), "the same bytes", 3, 1.15),
    Row("trace", 500, _of_experiment("trace", key="run00000"), "the same bytes", 3, 1.15),
    Row("compare, recorded", 20, _of_recorded, "the same bytes", 3, 1.15),
)
