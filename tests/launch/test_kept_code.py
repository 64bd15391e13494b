"""The code that a job was submitted with can be had again."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from tests.experiments import state_of, wk, write_experiment
from tests.watch.test_keeper import keeper, run_pending
from watchkeeper.core.code import git
from watchkeeper.core.disk import objects
from watchkeeper.launch import submit
from watchkeeper.publish.names import PASSPORT
from watchkeeper.schedulers.fake.scheduler import FakeScheduler


def repository(folder: Path) -> list[str]:
    """Make the folder a repository with everything committed; the words before each of its
    commands.
    """
    words = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "-q", "-b", "trunk"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*words, *command], check=True)
    return words


def test_script_commit_and_changes_are_kept_with_the_attempt(tmp_path: Path) -> None:
    """An attempt names its commit, and its script and uncommitted changes are there under their
    hashes; applying the changes to the commit gives the code that ran.
    """
    folder = write_experiment(tmp_path / "exp")
    (folder / "model.py").write_text("layers = 2\n")
    words = repository(folder)
    (folder / "model.py").write_text("layers = 4\n")
    assert wk("run", folder, state=tmp_path / "state").returncode == 0
    kept = folder / ".watchkeeper" / "objects"
    intended = [a.intended for run in state_of(folder).runs.values() for a in run.attempts.values()]
    assert intended
    sha = git.state(folder).sha
    for one in intended:
        assert one is not None and (one.git_sha, one.git_branch, one.git_dirty) == (
            sha,
            "trunk",
            True,
        )
        assert (kept / one.script_sha256).read_bytes() == (folder / one.script).read_bytes()
    (diff,) = {one.diff_sha256 for one in intended if one}
    again = tmp_path / "again"
    subprocess.run([*words, "worktree", "add", "-q", str(again), sha], check=True)
    subprocess.run(["git", "-C", str(again), "apply", str(kept / diff)], check=True)
    assert (again / "model.py").read_text() == "layers = 4\n"
    (environment,) = {one.environment_sha256 for one in intended if one}
    scripts = {one.script_sha256 for one in intended if one}
    passports = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob(PASSPORT)}
    assert {path.name for path in kept.iterdir()} == {diff, environment} | passports | scripts


def test_git_is_asked_once_for_the_folders_of_a_repository(tmp_path: Path, monkeypatch) -> None:
    """However many runs a repository has, its state is read once for all that are submitted
    together; a repository inside it is another one.
    """
    folder = write_experiment(tmp_path / "exp", runs=("a", "b", "c"))
    words = repository(folder)
    inner = folder / "c"
    repository(inner)
    words = [str(inner) if word == str(folder) else word for word in words]
    subprocess.run([*words, "commit", "-q", "--allow-empty", "-m", "two"], check=True)
    asked, state = [], git.state
    monkeypatch.setattr(submit, "_CODE_STANDS_S", 3600.0)
    monkeypatch.setattr(git, "state", lambda place: asked.append(place) or state(place))
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    shas = {run.key: run.attempts[1].intended.git_sha for run in state_of(folder).runs.values()}
    assert shas["a"] == shas["b"] == state(folder).sha != shas["c"] == state(inner).sha
    # A passport asks once more, for the experiment's own folder.
    assert len([place for place in asked if place != folder]) == 2


def test_no_repository_is_no_obstacle(tmp_path: Path) -> None:
    """Without git the script is kept all the same, and nothing is said of commits."""
    folder = write_experiment(tmp_path / "exp")
    assert wk("run", folder, state=tmp_path / "state").returncode == 0
    for run in state_of(folder).runs.values():
        for attempt in run.attempts.values():
            assert attempt.intended is not None
            assert (
                attempt.intended.git_sha,
                attempt.intended.git_dirty,
                attempt.intended.diff_sha256,
            ) == ("", None, "")
            assert (folder / ".watchkeeper" / "objects" / attempt.intended.script_sha256).is_file()


def test_check_finds_a_kept_script_that_was_changed(tmp_path: Path) -> None:
    """What was kept under a hash and no longer has it is named by `check`, which fails."""
    folder = write_experiment(tmp_path / "exp")
    assert wk("run", folder, state=tmp_path / "state").returncode == 0
    kept = next((folder / ".watchkeeper" / "objects").iterdir())
    kept.chmod(0o644)
    kept.write_text("something else")
    done = wk("check", folder, state=tmp_path / "state")
    assert done.returncode != 0 and kept.name in done.stdout + done.stderr


def test_an_object_cut_short_by_a_crash_is_written_again(tmp_path: Path) -> None:
    """A kept object whose size differs from its bytes is replaced; equal bytes are kept once."""
    data = b"#!/bin/sh\n"
    sha256 = objects.keep(tmp_path / "objects", data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    path = tmp_path / "objects" / sha256
    path.chmod(0o644)
    path.write_bytes(data[:3])
    assert objects.keep(tmp_path / "objects", data) == sha256
    assert path.read_bytes() == data and objects.is_whole(path)
    assert [one.name for one in path.parent.iterdir()] == [sha256]
