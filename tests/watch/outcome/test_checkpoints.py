"""All checkpoints that are whole, the one that the training holds for its best, and what a job
made.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from watchkeeper.core.events import Artifact, Checkpoint, OutputFile, RunEnded
from watchkeeper.schedulers.wrapper.hashes import HashedFile
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.outcome import checkpoints

AT = datetime(2026, 3, 11, 15, tzinfo=UTC)


def finding(path: str, state: str = "good") -> Finding:
    """What a look at one promised checkpoint found."""
    return Finding(subject=f"r/{path}", state=state, path=path, why="")


def saved(seq: int, path: str) -> Checkpoint:
    """What a recorder tells of a checkpoint."""
    return Checkpoint(time=AT + timedelta(minutes=seq), writer="w", seq=seq, path=path, files=())


def test_the_promised_ones_that_are_whole_are_kept(tmp_path: Path) -> None:
    """A damaged one is not kept, and the order is that of the epochs."""
    findings = [finding("a/epoch_0"), finding("a/epoch_1", "damaged"), finding("a/epoch_2")]
    assert checkpoints.kept(tmp_path, None, findings, []) == [
        tmp_path / "a/epoch_0",
        tmp_path / "a/epoch_2",
    ]


def test_without_promises_the_recorders_ones_that_are_still_there_are_kept(tmp_path: Path) -> None:
    """A checkpoint that was pruned since is not kept; one that was saved twice counts once."""
    for name in ("step_2", "step_3"):
        (tmp_path / name).mkdir()
    events = [saved(1, "step_1"), saved(2, "step_2"), saved(4, "step_2"), saved(3, "step_3")]
    assert checkpoints.kept(tmp_path, tmp_path, [], events) == [
        tmp_path / "step_2",
        tmp_path / "step_3",
    ]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (
            {"best_model_checkpoint": "out/epoch_0", "best_metric": 0.25},
            "the Trainer's best metric, 0.25",
        ),
        (
            {"best_model_checkpoint": "/scratch/out/epoch_0", "best_metric": None},
            "by the Trainer's own choice",
        ),
        ({"best_model_checkpoint": "out/epoch_7", "best_metric": 0.25}, None),
        ({"best_model_checkpoint": None, "best_metric": None}, None),
        ({"best_model_checkpoint": 7}, None),
        ([], None),
    ],
)
def test_the_best_is_the_trainers_own_word(tmp_path: Path, state: object, why: str | None) -> None:
    """What `trainer_state.json` names counts where it is one of those that are kept; nothing else
    is judged.
    """
    places = [tmp_path / "epoch_0", tmp_path / "epoch_1"]
    for place in places:
        place.mkdir()
    (places[1] / "trainer_state.json").write_text(json.dumps(state))
    assert checkpoints.best(places) == ((places[0], why) if why else None)


def test_what_a_pipeline_made_has_size_and_hash(tmp_path: Path) -> None:
    """A recorder's outputs have the hash that it wrote down; a promised file without a recorder is
    hashed.
    """
    output = OutputFile(path="04_pack/table.parquet", size_bytes=12, sha256="ab" * 32)
    end = RunEnded(time=AT, writer="w", seq=1, status="finished", duration_s=1.0, outputs=(output,))
    made = checkpoints.artifacts(tmp_path, tmp_path / "run", [], [end])
    assert made == [
        Artifact(path=str(tmp_path / "run/04_pack/table.parquet"), size_bytes=12, sha256="ab" * 32)
    ]
    (tmp_path / "table.bin").write_bytes(b"rows")
    (promised,) = checkpoints.artifacts(tmp_path, None, [finding("table.bin")], [])
    assert (promised.size_bytes, promised.sha256) == (4, hashlib.sha256(b"rows").hexdigest())
    (tmp_path / "folder").mkdir()
    assert checkpoints.artifacts(tmp_path, None, [finding("folder")], []) == []


def test_a_file_that_its_job_hashed_is_not_read_again(tmp_path):
    """The job's hash counts while the file is as it saw it, however large that is."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"rows")
    status = path.stat()
    known = {path: HashedFile(status.st_size, status.st_mtime_ns, "cd" * 32)}
    (taken,) = checkpoints.artifacts(tmp_path, None, [finding("model.pt")], [], known)
    assert taken.sha256 == "cd" * 32
    os.utime(path, ns=(1, 1))
    (read,) = checkpoints.artifacts(tmp_path, None, [finding("model.pt")], [], known)
    assert read.sha256 == hashlib.sha256(b"rows").hexdigest()
