"""Recorded runs as a table: one line each, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from watchkeeper.query.recording import Recording
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.show.text import number, table

_MOST_METRICS = 4
_NEVER = datetime.min.replace(tzinfo=UTC)


def newest_first(recording: Recording) -> list[Recording]:
    """The runs, by their last start; one whose journal names no start comes last."""
    return sorted(recording, key=lambda run: run.started or _NEVER, reverse=True)


def facts_of(run: Recording) -> dict[str, Any]:
    """A run's facts, as `--json` prints them. Times are in UTC; `last` has each metric's last
    value.
    """
    last = run.last
    return {
        "name": run.name,
        "run_id": run.run_id,
        "folder": str(run.folder),
        "state": run.state,
        "started": run.started,
        "rows": len(run.rows),
        "step": last.pop("step", None),
        "last": last,
        "totals": run.totals,
    }


def recorded_table(runs: Sequence[dict[str, Any]]) -> str:
    """The facts of runs as a table; the metrics are those of most runs, losses first."""
    metrics = _metrics(runs)
    header = ["run", "state", "started (UTC)", "rows", "step", *metrics]
    lines = [_cells(run, metrics) for run in runs]
    return table(header, lines, right=tuple(range(3, len(header))))


def _metrics(runs: Sequence[dict[str, Any]]) -> list[str]:
    counts: dict[str, int] = {}
    for run in runs:
        for name in run["last"]:
            counts[name] = counts.get(name, 0) + 1
    losses = [name for name in (*TRAIN_LOSS, *VAL_LOSS) if name in counts]
    others = sorted((name for name in counts if name not in losses), key=lambda name: -counts[name])
    return [*losses, *others][:_MOST_METRICS]


def _cells(run: dict[str, Any], metrics: Sequence[str]) -> list[str]:
    started = f"{run['started']:%Y-%m-%d %H:%M}" if run["started"] else ""
    step = "" if run["step"] is None else str(run["step"])
    figures = [number(run["last"].get(name, "")) for name in metrics]
    return [run["name"], run["state"], started, f"{run['rows']:,}", step, *figures]
