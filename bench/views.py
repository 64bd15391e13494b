"""How long the data of a run's page takes, over decoding the same rows with msgspec alone.

    python -m bench.views [--rows 1000000] [--runs 1500] [--metrics 1500] [--json]

A run of `--rows` rows with eight metrics: the answer of its curves before its cache is built (the
last rows), the build, and the answer from the cache, in another shelf each time. Then `--runs` runs
of `--metrics` metrics over a hundred rows: reading all of them, and every figure of the first page
of their table (200 runs, 8 metrics) from the cache. The baseline decodes the same files into rows,
as fast as msgspec can. A hundred outliers are planted in the long run; `outliers` says how many of
them the curve shows.
"""

from __future__ import annotations

import argparse
import bisect
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bench.measure import by_turns, seconds, show
from watchkeeper.core import layout
from watchkeeper.query.series.executions import Recorded, RunRows, read_run_rows
from watchkeeper.query.series.figures import figure_of
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.series.tracks import place_of
from watchkeeper.query.views.charts import Chart, series_of
from watchkeeper.query.views.pages import Line, Series

ROUNDS = 3
OUTLIERS = 100
ROWS_OF_MANY = 100
TABLE_RUNS = 200
TABLE_METRICS = 8
BEGIN = datetime(2026, 11, 27, 4, 20, tzinfo=UTC)
CHART = Chart(metrics=("loss", "val_loss"), width=816)
PIECE = 2**20


def main() -> None:
    """Make the runs, and print the figures of both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1_500)
    parser.add_argument("--metrics", type=int, default=1_500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-views-") as scratch:
        os.environ["XDG_CACHE_HOME"] = str(Path(scratch, "cache"))
        if options.rows:
            show(f"one run of {options.rows:,} rows", long_run(Path(scratch, "long"), options.rows))
        if options.runs:
            many = many_runs(Path(scratch, "many"), options.runs, options.metrics)
            show(f"{options.runs:,} runs of {options.metrics:,} metrics", many)


def long_run(run: Path, rows: int) -> dict[str, Any]:
    """The figures of one long run."""
    path = rows_file(run)
    planted = write_long(path, rows)
    decode_s = seconds(lambda: decode(path))
    soon_s = seconds(lambda: curves(run, waits=False))
    build_s = seconds(lambda: read(run, waits=True))
    answer = curves(run, waits=False)
    warm = by_turns(lambda: curves(run, waits=False), lambda: decode(path), ROUNDS)
    return {
        "file_MB": path.stat().st_size / 1e6,
        "decode_s": decode_s,
        "before_the_build_s": soon_s,
        "build_s": build_s,
        "build_over_decode": build_s / decode_s,
        "from_the_cache_s": warm["ours_s"],
        "from_the_cache_over_decode": warm["ratio"],
        "answer_kB": len(msgspec.json.encode(answer)) / 1e3,
        "cache_kB": place_of(path).stat().st_size / 1e3,
        "is_whole": answer.is_whole,
        "outliers": sum(reaches(answer.lines[0], *one) for one in planted.items()),
    }


def many_runs(folder: Path, runs: int, metrics: int) -> dict[str, Any]:
    """The figures of many wide runs. All of them have the same rows: one file with many names."""
    first = rows_file(folder / "0")
    write_wide(first, metrics)
    names = [folder / str(number) for number in range(runs)]
    for run in names[1:]:
        rows_file(run).hardlink_to(first)
    decode_s = seconds(lambda: decode(first)) * runs
    build_s = seconds(lambda: [read(run, waits=True) for run in names])
    table_s = seconds(lambda: table(names[:TABLE_RUNS]))
    return {
        "file_MB": first.stat().st_size / 1e6,
        "decode_all_s": decode_s,
        "build_all_s": build_s,
        "build_over_decode": build_s / decode_s,
        "table_s": table_s,
        "cache_MB": place_of(first).stat().st_size * runs / 1e6,
    }


def table(runs: list[Path]) -> list[float]:
    """The last and the best figure of some metrics of these runs, from the cache."""
    figures = []
    for run in runs:
        rows = read(run, waits=True)
        for number in range(TABLE_METRICS):
            figure = figure_of(rows, f"layer{number}/norm")
            assert figure.last is not None and figure.low is not None
            figures += [figure.last[1], figure.low[1]]
    return figures


def read(run: Path, *, waits: bool) -> RunRows:
    """The rows of a run, on a shelf of their own."""
    return read_run_rows([Recorded(folder=run, events={})], Shelf(), waits=waits)


def curves(run: Path, *, waits: bool) -> Series:
    """The answer of a run's first chart."""
    return series_of(read(run, waits=waits), CHART)


def decode(path: Path) -> int:
    """The baseline: every row decoded, in pieces."""
    decoder = msgspec.json.Decoder(dict[str, float | str | None])
    count = 0
    with path.open("rb") as file:
        while data := file.read(PIECE):
            count += len(decoder.decode_lines(data + file.readline()))
    return count


def rows_file(run: Path) -> Path:
    """Where the rows of a run lie."""
    folder = run / layout.METRICS
    folder.mkdir(parents=True)
    return folder / "20261127-042000-aaaaaaaaaa.jsonl"


def reaches(line: Line, step: int, loss: float) -> bool:
    """Whether the column over a training step reaches as high as this loss."""
    steps = [x for x in line.x if x is not None]
    high = line.max[bisect.bisect_left(steps, step)]
    return high is not None and high >= loss


def write_long(path: Path, count: int) -> dict[int, float]:
    """A file of rows with outliers in its loss: step → loss."""
    source = random.Random(1)
    planted = {
        place: 10.0 + number / 100
        for number, place in enumerate(source.sample(range(count), min(OUTLIERS, count)))
    }
    with path.open("wb") as file:
        for step, row in enumerate(long_rows(count, source)):
            row["loss"] = planted.get(step, row["loss"])
            file.write(msgspec.json.encode(row) + b"\n")
    return planted


def long_rows(count: int, source: random.Random) -> Iterator[dict[str, Any]]:
    """Rows of a training, two a second."""
    for step in range(count):
        row: dict[str, Any] = {"time": BEGIN + timedelta(seconds=step / 2), "step": step}
        row["loss"] = round(3 / (1 + step / 1000) + source.random(), 4)
        for name in ("grad_norm", "lr", "gap", "entropy", "kl"):
            row[name] = round(source.random(), 4)
        row["tokens_per_s"] = source.randrange(18_000, 19_000)
        if step % 500 == 0:
            row["val_loss"] = round(source.random(), 4)
        yield row


def write_wide(path: Path, metrics: int) -> None:
    """A file of a hundred rows with many metrics."""
    source = random.Random(2)
    with path.open("wb") as file:
        for step in range(ROWS_OF_MANY):
            row: dict[str, Any] = {"time": BEGIN + timedelta(seconds=step), "step": step}
            for number in range(metrics):
                row[f"layer{number}/norm"] = round(source.random(), 5)
            file.write(msgspec.json.encode(row) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
