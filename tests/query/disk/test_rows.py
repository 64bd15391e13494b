"""Which checkpoints further work needs, and what is shown of runs, weights and trash."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import watchkeeper as wk
from tests.experiments import wk as typed
from tests.experiments import write_experiment
from watchkeeper.core import layout
from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import utc_now
from watchkeeper.query.disk import checkpoints
from watchkeeper.query.disk import rows as disk_rows
from watchkeeper.query.disk.checkpoints import Word, Words, signed_by_people
from watchkeeper.query.disk.rows import Disk, DiskRow, disk_of


def recorded(folder: Path, steps: tuple[int, ...] = (1, 2, 3), end: bool = True) -> Path:
    """A recorded run with a checkpoint at each step."""
    run = wk.start_run(folder=folder, pipeline="training", sidecar=False, console=False)
    for step in steps:
        place = folder / "checkpoints" / f"step_{step}"
        place.mkdir(parents=True)
        (place / "model.safetensors").write_bytes(b"w" * 10_000 * step)
        run.checkpoint(place, training_step=step)
    if end:
        run.close()
    return folder


def found(*paths: Path) -> Disk:
    """What lies below these folders."""
    return disk_of(paths, clock=utc_now)


def by_name(disk: Disk, kind: str) -> dict[str, DiskRow]:
    """The rows of one kind, by the last part of their paths."""
    return {Path(row.path).name: row for row in disk.rows if row.kind == kind}


def test_only_the_newest_checkpoint_of_a_recorded_run_is_needed(tmp_path: Path) -> None:
    """A resume starts from the newest; the older ones are named as unneeded, and their bytes are
    what a removal would free.
    """
    recorded(tmp_path / "r8")
    disk = found(tmp_path)
    checkpoints = by_name(disk, "checkpoint")
    assert {name: row.needed for name, row in checkpoints.items()} == {
        "step_1": False,
        "step_2": False,
        "step_3": True,
    }
    assert "newest" in checkpoints["step_3"].why
    assert disk.unneeded_bytes == checkpoints["step_1"].bytes + checkpoints["step_2"].bytes
    assert [row.bytes for row in disk.rows] == sorted((r.bytes for r in disk.rows), reverse=True)
    (run,) = by_name(disk, "run").values()
    assert run.bytes > sum(row.bytes for row in checkpoints.values())
    assert run.needed is None


def test_a_run_without_an_end_keeps_all_it_has(tmp_path: Path) -> None:
    """It may be under way: which checkpoint it needs next is its own affair."""
    run = wk.start_run(folder=tmp_path / "r8", pipeline="t", sidecar=False, console=False)
    for step in (1, 2):
        place = tmp_path / "r8" / f"step_{step}"
        place.mkdir()
        (place / "model.bin").write_bytes(b"w")
        run.checkpoint(place, training_step=step)
    checkpoints = by_name(found(tmp_path), "checkpoint")
    run.close()
    assert [row.needed for row in checkpoints.values()] == [True, True]
    assert all("under way" in row.why for row in checkpoints.values())


def test_the_trainers_best_is_kept(tmp_path: Path) -> None:
    """What the Trainer itself names as its best is needed, with the figure."""
    folder = recorded(tmp_path / "r8")
    state = {"best_model_checkpoint": "out/step_1", "best_metric": 0.25}
    (folder / "checkpoints/step_3/trainer_state.json").write_text(json.dumps(state))
    row = by_name(found(tmp_path), "checkpoint")["step_1"]
    assert row.needed
    assert "0.25" in row.why


def test_what_is_hard_linked_elsewhere_frees_nothing(tmp_path: Path) -> None:
    """Removing one name of a file leaves its blocks: they are not promised to be freed."""
    folder = recorded(tmp_path / "r8")
    os.link(folder / "checkpoints/step_1/model.safetensors", tmp_path / "kept.safetensors")
    disk = found(tmp_path)
    checkpoints = by_name(disk, "checkpoint")
    own = sum(row.bytes - row.shared_bytes for row in checkpoints.values() if not row.needed)
    assert disk.unneeded_bytes == own
    assert own < checkpoints["step_2"].bytes + 10_000


def test_weights_that_no_journal_names_are_unknown(tmp_path: Path) -> None:
    """Unknown is an answer: a base model in a folder of its own is never called unneeded."""
    recorded(tmp_path / "r8")
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(b"b" * 5_000)
    (row,) = by_name(found(tmp_path), "weights").values()
    assert row.needed is None
    assert "no journal" in row.why


def test_what_was_put_away_is_not_needed(tmp_path: Path) -> None:
    """The trash of `rm` is one row, and what lies in it is not listed again."""
    recorded(tmp_path / "r8")
    done = typed("rm", tmp_path / "r8", state=tmp_path.parent / "state")
    assert done.returncode == 0, done.stderr
    disk = found(tmp_path)
    assert [row.kind for row in disk.rows] == ["trash"]
    assert disk.rows[0].needed is False
    assert disk.unneeded_bytes == disk.rows[0].bytes


def test_an_experiments_promised_checkpoints_are_needed(tmp_path: Path) -> None:
    """An evaluation uses one of them, and the other's training would be done again without it; a
    folder inside the experiment says the same.
    """
    experiment = write_experiment(tmp_path / "exp", tasks=("clean",), epochs=(0,))
    done = typed("run", experiment, state=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    disk = found(experiment)
    (row,) = by_name(disk, "checkpoint").values()
    assert row.needed
    assert row.why == "the evaluation one/clean/epoch0 uses it"
    assert row.run == "one"
    assert set(by_name(disk, "experiment")) == {"exp"}
    assert set(by_name(disk, "run")) == {"one"}
    inside = by_name(found(experiment / "one"), "checkpoint")
    assert [one.why for one in inside.values()] == [row.why]


def test_an_experiment_that_submitted_nothing_yet_is_one(tmp_path: Path) -> None:
    """Its summary makes it one, whatever its journal holds: it is no recorded run."""
    experiment = write_experiment(tmp_path / "exp")
    (experiment / layout.JOURNAL).mkdir(parents=True)
    assert set(by_name(found(experiment), "experiment")) == {"exp"}
    assert set(by_name(found(experiment), "run")) == {"one"}


def test_a_persons_sign_off_keeps_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that Watchkeeper wrote by itself keeps nothing; one that cannot be read may be a
    person's; one that is gone again is none.
    """
    signoffs = {
        "person": SimpleNamespace(is_automatic=False),
        "tool": SimpleNamespace(is_automatic=True),
        "gone": None,
    }

    def read(root: Path) -> SimpleNamespace | None:
        if root.name not in signoffs:
            raise UsageError("it is no sign-off")
        return signoffs[root.name]

    monkeypatch.setattr(checkpoints, "read_signoff", read)
    signed = signed_by_people(["/x/person", "/x/tool", "/x/gone", "/x/torn"])
    assert set(signed) == {"/x/person", "/x/torn"}
    assert "cannot be read" in signed["/x/torn"]


@pytest.mark.parametrize(
    ("signed", "named", "needed"),
    [
        ({}, {}, False),
        ({"/x/c": "signed"}, {}, True),
        ({"/x/c/below": "signed"}, {}, True),
        ({"/x": "signed"}, {}, True),
        ({"/y": "signed"}, {}, False),
        ({}, {"/x/c": "key"}, True),
        ({}, {"/x": "key"}, True),
        ({}, {"/x/c/model.bin": "key"}, True),
        ({}, {"/x/cc": "key"}, False),
    ],
)
def test_a_word_from_anybody_keeps_a_checkpoint(
    signed: dict[str, str], named: dict[str, str], needed: bool
) -> None:
    """A sign-off in it, beside it or below; a script that names it, a part of it, or a folder that
    it lies in.
    """
    words = Words()
    words.say(Path("/x/c"), Word(False, run="r8"))
    words.named.update(named)
    (judgement,) = words.judgements(signed)
    assert judgement.needed is needed
    assert judgement.run == "r8"
    assert judgement.why


def test_one_who_needs_it_outweighs_all_who_do_not() -> None:
    """Two runs speak of one checkpoint: it is needed if one of them needs it."""
    words = Words()
    words.say(Path("/x/c"), Word(False, run="r8"))
    words.say(Path("/x/c"), Word(True, "a reason", "r9"))
    (judgement,) = words.judgements({})
    assert (judgement.needed, judgement.why) == (True, "a reason")


def test_a_journal_that_cannot_be_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is called unneeded where its journal was not read, and the folder is named."""
    folder = recorded(tmp_path / "r8")

    def refuse(place: Path, words: Words) -> None:
        raise OSError(13, "Permission denied", str(place))

    monkeypatch.setattr(disk_rows, "of_recording", refuse)
    disk = found(tmp_path)
    assert disk.unneeded_bytes == 0
    assert [problem.where for problem in disk.problems] == [str(folder)]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It is named as it was typed."""
    with pytest.raises(UsageError, match=r"there is no .*gone"):
        found(tmp_path / "gone")


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A link to a run is not measured; a link that was typed itself is."""
    real = recorded(tmp_path / "elsewhere" / "r8")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(real)
    assert found(tmp_path / "here").rows == []
    assert by_name(found(tmp_path / "here" / "link"), "run")


def test_state_of_ours_is_part_of_its_run(tmp_path: Path) -> None:
    """The journal's bytes count as the run's, and the total is all there is."""
    folder = recorded(tmp_path / "r8", steps=())
    disk = found(tmp_path)
    (run,) = disk.rows
    assert (folder / layout.JOURNAL).is_dir()
    assert run.files == disk.files > 0
