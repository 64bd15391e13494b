"""What torchtune's logs say of an epoch, where they say it only in part."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper.tools.look import look
from watchkeeper.tools.promise import Promise, Training
from watchkeeper.tools.torchtune import TrainingLog, of_epoch, read_log

NAN = "nan"


def log(
    *losses: str,
    first: int = 1,
    every: int = 1,
    steps: int | None = None,
    saved: tuple[int, ...] = (),
    name="log",
):
    rows = tuple((first + every * index, loss) for index, loss in enumerate(losses))
    time = datetime(2026, 3, 11, tzinfo=UTC)
    saved_ = frozenset(saved)
    return TrainingLog(
        source=name, size_bytes=1, modified=time, whole=True, losses=rows, steps=steps, saved=saved_
    )


TWO_OF_THREE = Training(epochs=2, steps=3)
OF_25 = Training(epochs=2, steps=25, log_every=10)


@pytest.mark.parametrize(
    ("logs", "epoch", "training", "fault"),
    [
        ([log("2", "2", "2", "2", NAN, NAN)], 0, TWO_OF_THREE, ""),
        ([log("2", "2", "2", "2", NAN, NAN)], 1, TWO_OF_THREE, "nan at step 6, since step 5"),
        ([log("2", NAN, NAN, NAN, NAN, NAN)], 0, TWO_OF_THREE, "nan at step 3, since step 2"),
        ([log("2", NAN, "2")], 0, Training(epochs=1), ""),
        ([log("2", "inf")], 0, Training(epochs=1), "inf at step 2"),
        (
            [log("2", NAN, steps=2, saved=(0,)), log("2", "2", steps=2)],
            0,
            Training(),
            "nan at step 2",
        ),
        ([log("2", steps=2), log("2", NAN, steps=2)], 0, Training(), "nan at step 2"),
        ([log("2", steps=2), log("2", "2", steps=2), log("2", NAN, steps=2)], 0, Training(), ""),
        (
            [log("2", NAN, first=10, every=10)],
            0,
            Training(epochs=1, steps=25, log_every=10),
            "nan at step 20",
        ),
        ([log("2", NAN, "2", "2", "2", first=10, every=10)], 0, OF_25, "nan at step 20"),
        ([log("2", "2.1e")], 0, Training(epochs=1), ""),
        ([], 0, TWO_OF_THREE, ""),
    ],
    ids=[
        ("nan in a later "
            "epoch"), "nan in its own", "nan before", "nan that passed", "infinite", "by bars",
        ("by an older log that "
            "reached it"), "of a newer that reached it", "logged now and then", "one epoch of two",
        "a number cut off", "nobody says",
    ],
)  # fmt: skip
def test_an_epoch_is_as_good_as_the_last_loss_before_it_was_saved(logs, epoch, training, fault):
    """The newest log that reached the epoch's end decides, and of it the last loss within the
    epoch.
    """
    judged = of_epoch(logs, epoch, training)
    assert (fault in judged.fault) if fault else judged.fault == ""


def test_nan_in_nobody_knows_which_epoch_is_a_caution():
    """Where the length of an epoch is not known, the last one is blamed, and the others are not
    cleared either.
    """
    logs, training = [log("2", NAN, NAN)], Training(epochs=3)
    assert of_epoch(logs, 2, training).fault
    first = of_epoch(logs, 0, training)
    assert first.fault == "" and "perhaps of another epoch" in first.cautions[0]


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path):
    """A log of any length costs the same, and what was not read is not held against an epoch before
    it.
    """
    path = tmp_path / "log_1.txt"
    path.write_text(
        "".join(
            f"Step {step} | loss:{2 if step < 9_000 else 'nan'} lr:0.1 \n"
            for step in range(1, 20_001)
        )
    )
    told = read_log(path, "log_1.txt")
    assert not told.whole and told.losses[-1] == (20_000, "nan") and len(told.losses) < 12_000
    assert of_epoch([told], 0, Training(epochs=20, steps=1_000)).fault == ""
    assert "nan at step 20000" in of_epoch([told], 19, Training(epochs=20, steps=1_000)).fault


def test_what_a_job_prints_is_read_in_its_order(tmp_path: Path):
    """Bars overwrite themselves; `Checkpoint saved` is of the epoch whose files were saved before
    it.
    """
    path = tmp_path / "out"
    path.write_text(
        "\r1|1|Loss: 6.2:  50%|███▎   | 1/2 [00:00<00:00, 76.25it/s]\r1|2|Loss: nan: 100%|██████| "
        "2/2 [00:00<00:00]"
        "Starting checkpoint save...\nModel checkpoint of size 0.0 GiB saved to /a "
        "b/epoch_0/m-00001-of-00001.safetensors\n"
        "Recipe checkpoint of size 0.00 GiB saved to /a b/recipe_state/recipe_state.pt\nCheckpoint "
        "saved in 0.01 seconds.\n"
        "2|3|Loss: nan:  50%|███▎   | 1/2 [00:00]Adapter checkpoint of size 0.00 GiB saved to /a "
        "b/epoch_1/adapter.pt\n"
    )
    told = read_log(path, "out")
    assert told.losses == ((1, "6.2"), (2, "nan"), (3, "nan"))
    assert (told.steps, told.saved) == (2, frozenset({0}))


def test_the_log_written_last_decides(tmp_path: Path):
    """A retry that prints elsewhere is not blamed for the nan of the attempt before it."""
    save(tmp_path / "epoch_0")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/log_1.txt").write_text("Step 1 | loss:2 \nStep 2 | loss:nan \n")
    output = tmp_path / "slurm-2.out"
    output.write_text("\r1|2|Loss: 1.5: 100%|██████| 2/2 [00:00<00:00]")
    promise = Promise(
        subject="r", kind="checkpoint", patterns=("epoch_0",), epoch=0, training=Training(epochs=1)
    )
    for newest, state in ((output, "good"), (tmp_path / "logs/log_1.txt", "damaged")):
        for path in (output, tmp_path / "logs/log_1.txt"):
            os.utime(path, (2, 2) if path == newest else (1, 1))
        assert look(tmp_path, promise, [output]).state == state


def test_a_log_that_cannot_be_read_says_nothing(tmp_path: Path):
    """Neither a pipe nor a loop of links in a log's place is waited for, or held against whole
    files.
    """
    save(tmp_path / "epoch_0")
    promise = Promise(
        subject="r", kind="checkpoint", patterns=("epoch_0",), epoch=0, training=Training(epochs=1)
    )
    (tmp_path / "logs").symlink_to("logs")
    os.mkfifo(tmp_path / "out")
    assert look(tmp_path, promise, [tmp_path / "out", tmp_path / "gone"]).state == "good"
    (tmp_path / "logs").unlink()
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs/log_1.txt")
    assert look(tmp_path, promise).state == "good"


def test_shards_are_counted(tmp_path: Path):
    """Of `…-of-00002` both must be there, whatever an index of fewer says."""
    save(tmp_path / "epoch_0", "model-00001-of-00002.safetensors")
    (tmp_path / "epoch_0/model.safetensors.index.json").write_text(
        '{"weight_map": {"t": "model-00001-of-00002.safetensors"}}'
    )
    promise = Promise(
        subject="r", kind="checkpoint", patterns=("epoch_0",), epoch=0, training=Training()
    )
    assert "epoch_0 lacks shard 2 of 2" in look(tmp_path, promise).why


def save(folder: Path, name: str = "model.safetensors") -> None:
    header = b'{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    folder.mkdir()
    (folder / name).write_bytes(len(header).to_bytes(8, "little") + header + b"1")
