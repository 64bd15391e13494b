"""The rows of run logs: reading many of them, and naming new ones."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from bench.scale.rows import Pair, Row, cpu_of, own_cpu, python, watchkeeper
from watchkeeper.report.runlog.dates import human
from watchkeeper.report.runlog.timeline import parse_timeline, with_entries

_READ_LINES = """
import pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.md"):
    for line in path.read_text().splitlines():
        line.strip().partition(":")
"""
_FIRST = date(2026, 1, 1)
_SAMPLE = """\
# {task}

## Config

- run_type: experiment
- commit: `{number:040x}`
- lr: {number}e-5
- seed: {number}

## Job

- execution_id: {number}
- start: {day}T09:00:00Z
- start_human: {human}

## Status

- {day} 09:00 UTC — submitted
- {day} 10:00 UTC — completed

## Results

- train_loss: 0.{number:04d}
"""


def _named(number: int) -> tuple[str, date]:
    """The name of a log's file, and its day; twenty to a day."""
    day = _FIRST + timedelta(days=number // 20)
    return f"{day}_train_r{number}.md", day


def write_logs(folder: Path, count: int) -> Path:
    """A folder of run logs with a timeline and an `experiments.md` that name each of them."""
    group = folder / "run_logs/arm"
    group.mkdir(parents=True)
    entries = ["# Arm Timeline", ""]
    table = ["# Experiments", "", "| run | val_loss | status |", "| --- | --- | --- |"]
    for number in range(count):
        name, day = _named(number)
        task = name.removesuffix(".md").partition("_")[2]
        text = _SAMPLE.format(task=task, number=number, day=day, human=human(day))
        (group / name).write_text(text)
        entries.append(f"{number + 1}. `{name}` — {human(day)}")
        table.append(f"| {task}_{day} | 0.5 | completed |")
    (group / "timeline.md").write_text("\n".join(entries) + "\n")
    (folder / "run_logs/experiments.md").write_text("\n".join(table) + "\n")
    return folder / "run_logs"


def _lint(folder: Path, items: int) -> Pair:
    """`lint` of N run logs; its baseline reads the same lines."""
    place = write_logs(folder, items)
    return Pair(
        ours=lambda: cpu_of(watchkeeper("lint", str(place)), folder / "cache"),
        baseline=lambda: cpu_of(python(_READ_LINES, str(place)), folder),
    )


def _name_all(folder: Path, items: int) -> Pair:
    """A timeline of bullets with N new logs; its baseline reads the page once."""
    del folder
    logs = [_named(number) for number in range(items)]
    begun = "- `2025-12-31_first.md`\n"
    page = with_entries(begun, logs, "arm")

    return Pair(
        ours=lambda: own_cpu(lambda: with_entries(begun, logs, "arm")),
        baseline=lambda: own_cpu(lambda: parse_timeline(page)),
    )


ROWS = (
    Row("timeline", 300, _name_all, "read the page", 6, 1.15),
    Row("lint", 500, _lint, "read the same lines", 60, 1.15),
)
