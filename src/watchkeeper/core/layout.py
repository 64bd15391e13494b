"""Where things lie below `.watchkeeper/`: the one home of these paths.

In an experiment's folder (`EXP`):

    EXP/.watchkeeper/
        journal/<writer>.jsonl      events, one append-only file per writer
        objects/<sha256>            scripts, diffs, package lists; stored once
        runs/<key>/<n>/             attempt n of a run, created exclusively
        starts/start.<n>            which job started when, for staggered starts
        lease/<n>.json              who writes the logs
        watch/                      scripts and output of watch jobs
        scripts/<key>.json          scripts that were submitted as they lie
        view/index.html             the report of `report --in-place`

In a recorded run's folder (`RUN`):

    RUN/.watchkeeper/
        journal/<writer>.jsonl
        metrics/<writer>.jsonl      metric rows
        tables/<name>.<writer>…     rows of result tables, before they are sealed
        examples/<writer>.jsonl     samples that the run showed
        telemetry/<writer>.jsonl    what the sidecar measured
        heartbeats/<process>        signs of life: a run id, or rank-<n>
        groups/<name>.json          the ranks of one start
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from watchkeeper.core.ids import encoded_key

OURS = ".watchkeeper"
TRASH = ".watchkeeper-trash"
"""Beside a run that was put away: the folder that it was moved into."""

JOURNAL = Path(OURS, "journal")

OBJECTS = Path(OURS, "objects")
RUNS = Path(OURS, "runs")
STARTS = Path(OURS, "starts")
LEASE = Path(OURS, "lease")
WATCH = Path(OURS, "watch")
SCRIPTS = Path(OURS, "scripts")
VIEW = Path(OURS, "view")

METRICS = Path(OURS, "metrics")
TABLES = Path(OURS, "tables")
EXAMPLES = Path(OURS, "examples")
TELEMETRY = Path(OURS, "telemetry")
HEARTBEATS = Path(OURS, "heartbeats")
GROUPS = Path(OURS, "groups")


@lru_cache(maxsize=2**14)  # a watch asks for the same ones at each look
def attempt_folder(experiment: Path, key: str, attempt: int) -> Path:
    """The folder of attempt `attempt` (counted from 1): `EXP/.watchkeeper/runs/<key>/<n>`."""
    return experiment / f"{RUNS}/{encoded_key(key)}/{attempt}"


def workdir_of(experiment: Path, script: str, workdir: str) -> Path:
    """The folder in which a job begins: `workdir`, relative to the experiment or absolute, or "":
    its script's own.
    """
    if workdir:
        return experiment / workdir
    return (experiment / script).parent
