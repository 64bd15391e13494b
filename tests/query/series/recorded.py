"""Runs for tests of curves: files of rows as a recorder writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.query.series.executions import Recorded, RunRows, read_run_rows
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.views.charts import Chart, series_of
from watchkeeper.query.views.pages import Line
from watchkeeper.runfolder.rows import encode_row

BEGIN = datetime(2026, 11, 27, 4, 20, tzinfo=UTC)
Row = tuple[float, object, Mapping[str, object]]
"""Seconds since `BEGIN`, the training step, and the metrics."""


def rows_file(run: Path, writer: str = "20261127-042000-aaaaaaaaaa") -> Path:
    """Where a writer's rows lie."""
    folder = run / layout.METRICS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{writer}.jsonl"


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add rows to a file."""
    with path.open("ab") as file:
        for seconds, step, metrics in rows:
            file.write(encode_row(BEGIN + timedelta(seconds=seconds), step, dict(metrics)))


def losses(figures: Iterable[object], *, pause: float = 1.0) -> list[Row]:
    """A row with a loss at each training step from 0."""
    return [(step * pause, step, {"loss": figure}) for step, figure in enumerate(figures)]


def read(run: Path, shelf: Shelf | None = None, *, waits: bool = True) -> RunRows:
    """The run's rows, without a journal."""
    recorded = Recorded(folder=run, events={})
    return read_run_rows([recorded], shelf or Shelf(), waits=waits)


def line_of(run: Path, shelf: Shelf | None = None, **asked) -> Line:
    """The only line of a chart of the loss."""
    lines = series_of(read(run, shelf), Chart(metrics=["loss"], **asked)).lines
    assert len(lines) == 1
    return lines[0]
