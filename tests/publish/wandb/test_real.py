"""Runs that wandb itself wrote, against what `wandb leet inspect` reads in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.publish.wandb.importing import import_run
from watchkeeper.publish.wandb.offline import grouped, wandb_files

PROGRAM = """
import sys, wandb
how = sys.argv[1]
settings = wandb.Settings(x_disable_stats=True, console="off")
run = wandb.init(project="p", id="id1", resume="allow", name="first", tags=["t"], notes="a note",
                 config={"lr": 1e-3, "net": {"wide": [1, 2]}}, settings=settings)
begin = 0 if how == "first" else 6
for step in range(begin, begin + 5):
    bad = float("nan")
    run.log({"loss": 1 / (step + 1), "eval/acc": step / 10, "bad": bad, "名": step}, step=step)
table = wandb.Table(columns=["a"], data=[[1]])
run.log({"table": table, "hist": wandb.Histogram([1, 2, 3]), "loss": 0.5})
run.summary["best"] = 0.75
run.finish(exit_code=3 if how == "failed" else 0)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which wandb kept a run that was resumed, and failed then."""
    folder = tmp_path_factory.mktemp("real")
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    for how in ("first", "failed"):
        command = [sys.executable, "-c", PROGRAM, how]
        subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder


def inspected(path: Path) -> list[dict[str, object]]:
    """The rows that wandb's own viewer reads in a file."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


def test_every_row_is_read_as_wandb_reads_it(source: Path, tmp_path: Path) -> None:
    """Steps, times and each figure are those of `wandb leet inspect`, over both segments; the end
    is that of the last, and media are counted.
    """
    runs, problems = grouped(wandb_files(source))
    (segments,) = runs.values()
    assert problems == [] and len(segments) == 2
    run = import_run(segments, tmp_path)
    loaded = wk.load(run.folder, all_rows=True)
    expected = [item for segment in segments for item in inspected(segment.path)]
    assert len(loaded.rows) == len(expected) == 10
    for row, item in zip(loaded.rows, expected, strict=True):
        assert row.step == item["_step"]
        assert row.time.timestamp() == pytest.approx(item["_timestamp"], abs=1e-5)
        figures = {name: value for name, value in row.metrics.items() if name != "bad"}
        assert figures == {name: item[name] for name in figures}
        assert "loss" in figures
    assert loaded.state == "failed" and loaded.totals == {"best": 0.75}
    assert loaded.config["net"] == {"wide": [1, 2]} and loaded.notes == ["a note", "a note"]
    assert run.media == {"table": 2, "hist": 2}
