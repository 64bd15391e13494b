"""One format of metric rows, with one reader for all who read them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.query.compare import compared
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS, loss_of, rename_losses
from watchkeeper.runfolder.rows import decode_fields, encode_row, read_file
from watchkeeper.watch.health.vitals import Recorded
from watchkeeper.watch.outcome.learned import of as learned_of
from watchkeeper.watch.outcome.losses import Tried

NOW = datetime(2026, 3, 11, tzinfo=UTC)


def put_row_behind_hole(folder: Path, step: int, **metrics: float) -> None:
    """Add a row as the death of a node can leave it: behind a torn row and NULs."""
    (path,) = (folder / ".watchkeeper/metrics").glob("*.jsonl")
    row = encode_row(NOW, step, metrics)
    path.write_bytes(path.read_bytes() + row[:9] + b"\0" * 30 + row)


def test_a_row_behind_a_hole_reaches_everybody(tmp_path):
    """A row behind a hole of NULs counts in `read_rows`, in the run log, in `compare`, and in the
    health verdict alike.
    """
    folder = tmp_path / "run"
    with wk.start_run(folder=folder, pipeline="train", console=False, sidecar=False) as run:
        run.log(1, loss=4.0)
        run.log(2, loss=2.0)
    put_row_behind_hole(folder, 3, loss=1.0)
    rows, problems = wk.read_rows(folder)
    assert [row.step for row in rows] == [1, 2, 3]
    assert len(problems) == 1
    learned = learned_of(folder, [Tried(recorder=folder)], [])
    assert (learned.final_step, learned.last_train_loss) == (3, 1.0)
    (side,) = compared([folder]).runs
    assert side.metrics["end_train_loss"] == 1.0
    recorded = Recorded(folder)
    recorded.look()
    assert (recorded.position.step, recorded.position.loss) == (3, "1.0")


@pytest.mark.parametrize("most_bytes", [1, 60, 100, 150, 10_000])
def test_the_end_of_a_file_is_read_in_whole_rows(tmp_path, most_bytes):
    """Of a long file the rows within its last bytes are read, and no part of one."""
    path = tmp_path / "w.jsonl"
    lines = [encode_row(NOW, step, {"loss": 0.5}) for step in range(4)]
    path.write_bytes(b"".join(lines))
    rows, problems = read_file(path, most_bytes)
    expected = min(4, max(0, (most_bytes - 1) // len(lines[0])))
    assert [row.step for row in rows] == list(range(4))[4 - expected :]
    assert problems == []


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b'{"step":1,"loss":0.5}\n', {"step": 1, "loss": 0.5}),
        (b'{"st\0\0{"step":1}\n', {"step": 1}),
        (b'{"st\n', None),
        (b"[1]\n", None),
        (b"\xff\n", None),
        (b"\n", None),
    ],
)
def test_the_fields_of_a_line(line, fields):
    """A line has the fields of its row, or none when it is damaged."""
    assert decode_fields(line) == fields


@pytest.mark.parametrize("name", TRAIN_LOSS)
def test_each_name_of_the_training_loss_is_known_everywhere(tmp_path, name):
    """A training loss under any usual name is in the run log, the health verdict and the status,
    and an integration renames it.
    """
    assert rename_losses({name: 0.5}) == {"loss": 0.5}
    assert loss_of({name: 0.5}, TRAIN_LOSS) == 0.5
    with wk.start_run(folder=tmp_path, pipeline="train", console=False, sidecar=False) as run:
        run.cadence(log_every=1)
        run.log(1, **{name: 0.5})
    assert learned_of(tmp_path, [Tried(recorder=tmp_path)], []).last_train_loss == 0.5
    recorded = Recorded(tmp_path)
    recorded.look()
    assert recorded.position.loss == "0.5"
    assert '"loss": 0.5' in (tmp_path / "status/training_status.json").read_text()


@pytest.mark.parametrize("name", VAL_LOSS)
def test_each_name_of_the_validation_loss_is_known(tmp_path, name):
    """A validation loss under any usual name is in the run log, and an integration renames it."""
    assert rename_losses({name: 0.5}) == {"val_loss": 0.5}
    with wk.start_run(folder=tmp_path, pipeline="train", console=False, sidecar=False) as run:
        run.log(1, **{name: 0.5})
    learned = learned_of(tmp_path, [Tried(recorder=tmp_path)], [])
    assert (learned.last_val_loss, learned.last_train_loss) == (0.5, None)


def test_a_loss_is_not_renamed_over_another():
    """The metrics keep both losses when they have the new name already."""
    both = {"loss": 1.0, "train_loss": 2.0}
    assert rename_losses(both) == both


def test_the_mean_of_a_whole_run_is_not_its_current_loss(tmp_path):
    """The status keeps to the name that the run used first: the Trainer's last row has a mean."""
    with wk.start_run(folder=tmp_path, pipeline="train", console=False, sidecar=False) as run:
        run.cadence(log_every=1)
        run.log(1, loss=0.5)
        run.log(1, train_loss=2.0)
    assert '"loss": 0.5' in (tmp_path / "status/training_status.json").read_text()
