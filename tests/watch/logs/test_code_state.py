"""The code state of a run covers what ran: run log, trace, compare and reproduce."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.watch.logs.test_run_logs import committed, keep, log, logs, told
from watchkeeper.core.events import Intended
from watchkeeper.launch import reproduce
from watchkeeper.query.compare import compared
from watchkeeper.query.trace.of_experiment import attempt_of, trace
from watchkeeper.schedulers.fake.scheduler import FakeScheduler

SCRIPT = "#!/bin/bash\nmkdir -p artifacts/epoch_0\npython3 train.py\n"
TRAIN = "print('step 5/5 loss: 0.5')\nopen('artifacts/epoch_0/model.bin', 'w').write('w')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment whose batch script is committed, and whose train.py is not."""
    run = tmp_path / "exp" / "a"
    run.mkdir(parents=True)
    (run / "finetune.slurm").write_text(SCRIPT)
    folder = committed(tmp_path / "exp")
    (run / "train.py").write_text(TRAIN)
    return folder


def commit_line(folder: Path) -> str:
    """The line of the run log that names the commit."""
    return next(line for line in logs(folder)["a.md"].splitlines() if line.startswith("- commit:"))


@pytest.mark.parametrize("ignored", [False, True])
def test_code_that_no_commit_holds_is_said_to_be_so(folder: Path, ignored: bool) -> None:
    """An untracked or ignored train.py is named beside the commit, kept with the attempt, and
    traced when it is edited.
    """
    if ignored:
        (folder / ".git/info/exclude").write_text("train.py\n")
    assert keep(folder, FakeScheduler())
    assert "not in the commit: a/train.py; kept with the attempt" in commit_line(folder)
    (intended,) = told(folder, Intended)
    assert intended.uncommitted == ("a/train.py",) and intended.git_dirty is False
    assert (folder / ".watchkeeper/objects" / intended.code["a/train.py"]).read_text() == TRAIN
    assert trace(folder, "a").sound
    (folder / "a/train.py").write_text("print('something else')\n")
    (link,) = [link for link in trace(folder, "a").links if link.what == "file"]
    assert (link.name, link.holds) == ("a/train.py", "changed") and "no commit holds it" in link.why


def test_code_is_kept_without_git(tmp_path: Path) -> None:
    """Without a repository the files that the script names are kept all the same, and a deleted one
    is missing.
    """
    run = tmp_path / "exp" / "a"
    run.mkdir(parents=True)
    (run / "finetune.slurm").write_text(SCRIPT)
    (run / "train.py").write_text(TRAIN)
    assert keep(tmp_path / "exp", FakeScheduler())
    (run / "train.py").unlink()
    holds = {
        link.name: link.holds for link in trace(tmp_path / "exp", "a").links if link.what == "file"
    }
    assert holds == {"a/train.py": "missing"}


def test_what_no_commit_holds_is_there_again(folder: Path, tmp_path: Path) -> None:
    """The tree that is made again holds the train.py that ran, which git never had."""
    assert keep(folder, FakeScheduler())
    (folder / "a/train.py").write_text("another\n")
    where, attempt = attempt_of(folder, "a", None)
    recipe = reproduce.recipe(where, attempt)
    assert [(part.name, part.today) for part in recipe.code] == [("a/train.py", "changed")]
    reproduce.restore(recipe, tmp_path / "again")
    assert (tmp_path / "again/a/train.py").read_text() == TRAIN


def test_runs_at_one_commit_with_other_code_differ(folder: Path) -> None:
    """Two runs of the same commit and script whose untracked train.py differs are not of the same
    code.
    """
    (folder / "b").mkdir()
    (folder / "b/finetune.slurm").write_text(SCRIPT)
    (folder / ".git/info/exclude").write_text("train.py\n")
    committed(folder)
    (folder / "b/train.py").write_text(TRAIN.replace("0.5", "0.4"))
    assert keep(folder, FakeScheduler())
    found = compared([folder])
    assert [side.dirty for side in found.runs] == [True, True]
    assert [one.files for one in found.differences] == [("train.py",)]


def test_a_later_attempt_with_other_code_says_so(folder: Path) -> None:
    """A retry of the same script whose train.py was mended names the file in its own job block."""
    (folder / "a/train.py").write_text("raise SystemExit(3)\n")
    (folder / "a/finetune.slurm").write_text(
        "#!/bin/bash\nset -e\nmkdir -p artifacts/epoch_0\npython3 train.py\n"
    )
    committed(folder)
    fake = FakeScheduler()
    keep(folder, fake)
    (folder / "a/train.py").write_text(TRAIN)
    assert keep(folder, fake, retry_failed=True)
    block = log(folder, "a.md").of("job")[1]
    field = block.field("code_changed_since")
    assert field is not None and field.value == "a/train.py"
    again = block.field("commit")
    assert again is not None
