"""What is said before runs are submitted for the first time."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.experiments import state_of, write_experiment
from tests.launch.test_kept_code import repository
from tests.launch.test_reproduce import git
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.disk import files
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query import prior
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.logs.log_files import OFF
from watchkeeper.watch.logs.said import Said

HAND = """# one — by hand
## Config
- script: `one/finetune.slurm`
- config: `conf.yaml`
- dataset: digits
## Job
- execution_id: 7
## Status
- 2026-03-11 15:00 — completed, it worked
## Results
- end_val_loss: 0.028
"""
TABLE = """| run | description | val_loss | status | notes |
|---|---|---|---|---|
| one_2026-03-11 | x | 0.028 | keep | baseline |
"""


def told(
    folder: Path, setting: str | None = None, runs: str | None = None, **said: str
) -> list[str]:
    """What is said of the experiment in `folder`."""
    found = prior.notes(
        experiments.read(folder),
        Selection(runs=runs),
        setting,
        Said(**said),
        state=state_of(folder),
    )
    return [one.message for one in found]


def second(folder: Path, runs: tuple[str, ...] = ("one",)) -> Path:
    """Another experiment of the same scripts, in the same repository."""
    return write_experiment(folder.parent / "again", runs=runs)


def repo_with(tmp_path: Path, *, configured: bool = False) -> Path:
    """An experiment in a repository, whose run logs lie at its top."""
    folder = write_experiment(tmp_path / "repo" / "exp")
    if configured:
        configure(folder)
    repository(tmp_path / "repo")
    return folder


def configure(folder: Path) -> Path:
    """Let its script name a configuration."""
    script = folder / "one" / "finetune.slurm"
    script.write_text(script.read_text() + "true --config ../conf.yaml\n")
    (folder / "conf.yaml").write_text("lr: 0.1\n")
    return folder


def test_the_same_bytes_are_found_in_another_experiment(tmp_path: Path) -> None:
    """A run whose script and configurations were run elsewhere is named with that log and how it
    ended; one changed byte, and it was not tried before; once submitted nothing is said any more.
    """
    folder = repo_with(tmp_path, configured=True)
    assert told(folder) == []
    assert keep(folder, FakeScheduler())
    assert told(folder) == []
    again = configure(second(folder))
    (line,) = told(again)
    assert line.startswith("tried before: run_logs/exp/") or line.startswith(
        "tried before: run_logs/2"
    )
    assert "_one.md (completed" in line
    assert told(again, runs="two*") == [] and told(again, setting=OFF) == []
    (again / "conf.yaml").write_text("lr: 0.2\n")
    assert told(again) == []


def test_a_log_by_hand_is_found_with_its_verdict(tmp_path: Path) -> None:
    """A log that a person wrote of the same script, configuration and dataset is named with its
    loss, and the verdict and notes of experiments.md.
    """
    folder = repo_with(tmp_path, configured=True)
    logs = tmp_path / "repo" / "run_logs"
    logs.mkdir()
    (logs / "2026-03-11_one.md").write_text(HAND)
    (logs / "experiments.md").write_text(TABLE)
    (line,) = told(folder, dataset="digits")
    assert "(completed, val_loss 0.028, keep: 'baseline', matched by its words)" in line
    assert told(folder, dataset="other digits") == []


def test_many_are_counted_and_odd_files_do_no_harm(tmp_path: Path) -> None:
    """Ten are shown and the rest counted; folders, binary files and files over the limit among the
    logs are passed over.
    """
    folder = repo_with(tmp_path, configured=True)
    logs = tmp_path / "repo" / "run_logs"
    logs.mkdir()
    for day in range(1, 15):
        (logs / f"2026-03-{day:02d}_one.md").write_text(HAND)
    (logs / "2026-04-01_one.md").mkdir()
    (logs / "2026-04-02_one.md").write_bytes(HAND.encode() + b"\0")
    (logs / "2026-04-03_one.md").write_bytes(HAND.encode() + b"x" * (2 * 1024 * 1024))
    lines = told(folder)
    assert (
        len(lines) == 11
        and lines[0].startswith("tried before: run_logs/2026-03-14")
        and lines[-1].startswith("4 more")
    )


def test_code_without_a_name_is_told_once(tmp_path: Path) -> None:
    """An experiment whose commit is on no branch or tag, or whose tree is dirty, or that has no
    commit, is told so once, however many runs it has; a replication is not.
    """
    folder = repo_with(tmp_path)
    repo = tmp_path / "repo"
    assert told(folder) == []
    git(repo, "checkout", "-q", "--detach")
    assert len(told(folder)) == 1 and "which is on no branch" not in told(folder)[0]
    git(repo, "commit", "-q", "--allow-empty", "-m", "lost")
    (detached,) = told(folder)
    assert "which is on no branch or tag" in detached
    git(repo, "tag", "kept")
    assert "which is on no branch" not in told(folder)[0]
    (folder / "one" / "finetune.slurm").write_text("#!/bin/bash\n")
    assert len(told(folder)) == 2 and "tracked files differ" in told(folder)[1]
    assert told(folder, mode="replication") == []
    shutil.rmtree(repo / ".git")
    (none,) = told(folder)
    assert "there is no commit of it" in none


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Path) -> None:
    """Let the disk refuse one file each time that it is read."""
    read = files._read_regular

    def reading(path: str | os.PathLike[str], most: int) -> bytes:
        if Path(path) == refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(path, most)

    monkeypatch.setattr(files, "_read_regular", reading)


@pytest.mark.parametrize("name", ["one/finetune.slurm", "conf.yaml"])
def test_work_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A script or configuration that the disk refuses twice is named: it cannot be compared with
    earlier work, which does not mean that there was none.
    """
    folder = repo_with(tmp_path, configured=True)
    (tmp_path / "repo" / "run_logs").mkdir()
    refuse(monkeypatch, folder / name)
    found = prior.notes(
        experiments.read(folder), Selection(runs="one"), None, state=state_of(folder)
    )
    (note,) = [one for one in found if "tried before" in one.message]
    assert note.where == "one" and str(folder / name) in note.message
    assert os.strerror(errno.EIO) in note.message and note.severity == "note"


def test_a_log_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run log that the disk refuses twice is named, and the other logs are searched; one that is
    absent, or holds no text, says nothing.
    """
    folder = repo_with(tmp_path, configured=True)
    logs = tmp_path / "repo" / "run_logs"
    logs.mkdir()
    (logs / "2026-03-11_one.md").write_text(HAND)
    (logs / "2026-03-12_one.md").write_text(HAND)
    refuse(monkeypatch, logs / "2026-03-12_one.md")
    found = prior.notes(
        experiments.read(folder), Selection(runs="one"), None, state=state_of(folder)
    )
    unread, match = [one for one in found if "tried before" in one.message]
    assert unread.where.endswith("run_logs/2026-03-12_one.md")
    assert os.strerror(errno.EIO) in unread.message and unread.severity == "note"
    assert match.message.startswith("tried before: run_logs/2026-03-11_one.md")
