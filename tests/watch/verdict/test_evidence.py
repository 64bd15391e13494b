"""What lies on disk: remembered between two looks, as long as it is known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watchkeeper.core.events import Intended, Judged, Opened, Submitted
from watchkeeper.core.state import State, fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.retries import Rules
from watchkeeper.watch.verdict.evidence import EvidenceBook

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
SCRIPT = "r8/finetune.slurm"


def lost_node() -> State:
    """The journal of one training whose node failed."""
    of_attempt: dict[str, Any] = {
        "time": NOW,
        "writer": "w",
        "key": "r8",
        "phase": "preparation",
        "attempt": 1,
    }
    events = [
        Opened(time=NOW, writer="w", seq=0, schema=1, software="", purpose="", zone="UTC"),
        Intended(**of_attempt, seq=1, token="t", script=SCRIPT, script_sha256=""),
        Submitted(**of_attempt, seq=2, job_id="1", scheduler="local", command="c"),
        Judged(**of_attempt, seq=3, outcome="lost", state="NODE_FAIL", cause="node"),
    ]
    return fold({"w": events})


def test_what_the_disk_refused_is_looked_at_again(tmp_path: Path, refused_files: set[Path]) -> None:
    """How a job can be tried again is remembered for its attempt, but not that nobody knew it."""
    (tmp_path / "r8").mkdir()
    (tmp_path / SCRIPT).write_text("#!/bin/bash\npython train.py\n")
    program = tmp_path / "r8/train.py"
    program.write_text("WATCHKEEPER_RESUME_FROM\n")
    book = EvidenceBook(experiments.read(tmp_path))
    refused_files.add(program)
    assert str(program) in book.means(lost_node(), Rules())["r8"].unreadable
    refused_files.clear()
    means = book.means(lost_node(), Rules())["r8"]
    assert means.unreadable == ""
    refused_files.add(program)
    assert book.means(lost_node(), Rules())["r8"] == means
