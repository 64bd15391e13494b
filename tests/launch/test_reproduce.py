"""What an attempt was submitted with, again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.experiments import state_of, write_experiment
from tests.launch.test_kept_code import repository
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import UsageError
from watchkeeper.launch import reproduce
from watchkeeper.launch.reproduce import CannotReproduceError, Recipe, recipe, restore
from watchkeeper.schedulers.fake.scheduler import FakeScheduler

BINARY = bytes(range(256)) * 40


def git(folder: Path, *words: str) -> str:
    """A git command that must succeed; its output."""
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def experiment(folder: Path) -> Path:
    """An experiment whose script names a configuration, with code and binary data beside it."""
    write_experiment(folder)
    script = folder / "one" / "finetune.slurm"
    script.write_text(script.read_text() + "true --config ../conf.yaml\n")
    (folder / "conf.yaml").write_text("lr: 0.1\n")
    (folder / "model.py").write_text("layers = 2\n")
    (folder / "vocab.bin").write_bytes(BINARY)
    (folder / ".gitignore").write_text(
        "run_logs\n.watchkeeper\n*.log\nran.txt\n*.ran.txt\nartifacts\n"
    )
    return folder


def ran(folder: Path) -> Path:
    """The experiment, run to its end."""
    assert keep(folder, FakeScheduler())
    return folder


def of(folder: Path, key: str = "one") -> Recipe:
    """The recipe of its first attempt."""
    return recipe(folder, state_of(folder).run(key).attempts[1])


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without Git's own."""
    paths = (
        path
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    )
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("hostile", [False, True])
def test_a_dirty_tree_comes_back_to_the_same_bytes(tmp_path: Path, hostile: bool) -> None:
    """Uncommitted changes, a binary file's and a deletion's too, come back byte for byte, whatever
    the user's git is set to show of a diff, and the tree that is there stays as it is.
    """
    repo = tmp_path / "repo"
    folder = experiment(repo / "exps" / "a b")
    (folder / "gone.py").write_text("old\n")
    repository(repo)
    if hostile:
        for name, value in (
            ("noprefix", "true"),
            ("relative", "true"),
            ("submodule", "log"),
            ("context", "0"),
            ("renames", "copies"),
        ):
            git(repo, "config", f"diff.{name}", value)
        git(repo, "config", "color.ui", "always")
    (folder / "model.py").write_text("layers = 4\r\nno newline at the end")
    (folder / "vocab.bin").write_bytes(BINARY[::-1])
    (folder / "gone.py").unlink()
    tracked = git(repo, "-c", "core.quotePath=false", "ls-files").splitlines()
    at_start = {name: (repo / name).read_bytes() for name in tracked if (repo / name).exists()}
    ran(folder)
    (folder / "model.py").write_text("layers = 8\n")
    (folder / "conf.yaml").write_text("lr: 0.9\n")
    (folder / "one" / "finetune.slurm").write_text("#!/bin/bash\nexit 1\n")
    git(repo, "commit", "-q", "-a", "-m", "went on")
    (folder / "vocab.bin").write_bytes(b"other")
    before, head = tree(repo), git(repo, "rev-parse", "HEAD")
    found = of(folder)
    assert found.faults == () and found.diff is not None and found.commit != head
    assert [part.today for part in (found.script, *found.configs)] == ["changed", "changed"]
    made = restore(found, tmp_path / "again")
    assert tree(tmp_path / "again") == at_start
    assert tree(repo) == before and git(repo, "rev-parse", "HEAD") == head
    script = tmp_path / "again" / "exps" / "a b" / "one"
    assert made.run == f"cd '{script}' && fake finetune.slurm"
    done = subprocess.run(
        ["bash", "-c", made.run.replace("fake", "bash")],
        env={"PATH": "/usr/bin:/bin", "SLURM_JOB_ID": "1"},
        check=False,
    )
    assert done.returncode == 0 and (script / "artifacts" / "epoch_0" / "model.bin").exists()


def test_an_untracked_experiment_gets_its_script_and_configurations(tmp_path: Path) -> None:
    """Script and configurations that Git never tracked are put where they lay; that other files
    were not kept is said.
    """
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "lib.py").write_text("x = 1\n")
    repository(repo)
    folder = ran(experiment(repo / "exp"))
    found = of(folder)
    made = restore(found, tmp_path / "again")
    assert sorted(made.placed) == ["exp/conf.yaml", "exp/one/finetune.slurm"]
    assert (tmp_path / "again" / "exp" / "conf.yaml").read_text() == "lr: 0.1\n"
    assert (tmp_path / "again" / "lib.py").exists() and any(
        "did not track" in note for note in found.notes
    )


def test_a_detached_head_is_restored_by_its_commit(tmp_path: Path) -> None:
    """A run from a detached HEAD is named as such, and its commit comes back."""
    repo = experiment(tmp_path / "repo")
    repository(repo)
    git(repo, "checkout", "-q", "--detach")
    ran(repo)
    git(repo, "checkout", "-q", "trunk")
    found = of(repo)
    assert found.branch == "(detached)" and not found.faults
    restore(found, tmp_path / "again")
    assert git(tmp_path / "again", "rev-parse", "HEAD") == found.commit


def test_submodules_are_told_by_the_commit_they_were_at(tmp_path: Path) -> None:
    """Of a submodule it is said at which commit it was, that it is not the recorded one, and that
    its own changes were not kept; the rest of the uncommitted changes comes back.
    """
    for name in ("moved", "same"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("1\n")
        repository(tmp_path / name)
    repo = experiment(tmp_path / "repo")
    repository(repo)
    for name in ("moved", "same"):
        git(repo, "submodule", "-q", "add", str(tmp_path / name), f"vendor/{name}")
    git(repo, "commit", "-q", "-m", "with submodules")
    inside = repo / "vendor" / "moved"
    (inside / "a.py").write_text("2\n")
    git(inside, "commit", "-q", "-a", "-m", "two")
    (inside / "a.py").write_text("3\n")
    (repo / "model.py").write_text("layers = 4\n")
    ran(repo)
    found = of(repo)
    moved, same = found.submodules
    assert (moved.path, moved.used, moved.changed) == (
        "vendor/moved",
        git(inside, "rev-parse", "HEAD"),
        True,
    )
    assert moved.used != moved.recorded and same.used == same.recorded and not same.changed
    made = restore(found, tmp_path / "again")
    assert (tmp_path / "again" / "model.py").read_text() == "layers = 4\n"
    assert any(
        f"checkout {moved.used}; its own uncommitted changes were not kept" in note
        for note in made.notes
    )


def test_what_is_not_changed_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """A new file inside a submodule, or a file that was touched and is the same, makes no tree
    dirty that could not be made again.
    """
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.py").write_text("1\n")
    repository(tmp_path / "lib")
    repo = experiment(tmp_path / "repo")
    repository(repo)
    git(repo, "submodule", "-q", "add", str(tmp_path / "lib"), "lib")
    git(repo, "commit", "-q", "-m", "with a submodule")
    (repo / "lib" / "new.txt").write_text("new\n")
    (repo / "model.py").write_text((repo / "model.py").read_text())
    ran(repo)
    found = of(repo)
    assert found.dirty is False and found.faults == () and found.diff is None


def test_an_experiment_inside_a_submodule_is_restored_from_it(tmp_path: Path) -> None:
    """The commit of an experiment that lies in a submodule is the submodule's, and comes back as a
    tree of that.
    """
    repository(experiment(tmp_path / "exp"))
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "a").write_text("a")
    repository(outer)
    git(outer, "submodule", "-q", "add", str(tmp_path / "exp"), "sub")
    git(outer, "commit", "-q", "-m", "sub")
    folder = ran(outer / "sub")
    (folder / "model.py").write_text("layers = 9\n")
    restore(of(folder), tmp_path / "again")
    assert (tmp_path / "again" / "model.py").read_text() == "layers = 2\n"


def test_without_git_a_plain_folder_holds_what_was_kept(tmp_path: Path) -> None:
    """No repository is no obstacle: script and configurations come back, and that the code is not
    among them is said.
    """
    folder = ran(experiment(tmp_path / "exp"))
    found = of(folder)
    assert found.commit == "" and any("no Git repository was there" in note for note in found.notes)
    restore(found, tmp_path / "again")
    assert set(tree(tmp_path / "again")) == {"conf.yaml", "one/finetune.slurm"}


def test_what_is_missing_or_damaged_stops_it(tmp_path: Path) -> None:
    """A kept object that is gone or has other bytes, or a commit that is gone, is named, and no
    tree is made.
    """
    repo = experiment(tmp_path / "repo")
    repository(repo)
    (repo / "model.py").write_text("layers = 4\n")
    ran(repo)
    found = of(repo)
    kept = [Path(part.kept) for part in (found.diff, found.configs[0]) if part]
    kept[0].chmod(0o644)
    kept[0].write_bytes(b"x" * 10)
    kept[1].unlink()
    shutil.rmtree(repo / ".git")
    faults = of(repo).faults
    assert ["missing" in faults[0], "damaged" in faults[1], "no Git repository" in faults[2]] == [
        True
    ] * 3
    with pytest.raises(CannotReproduceError, match="damaged"):
        restore(of(repo), tmp_path / "again")
    assert not (tmp_path / "again").exists()
    git(repo, "init", "-q")
    assert any("is gone from" in fault for fault in of(repo).faults)


def test_changes_that_do_not_apply_leave_nothing(tmp_path: Path) -> None:
    """Where the kept changes do not apply, the tree that was begun is taken away again, and git's
    reason told.
    """
    repo = experiment(tmp_path / "repo")
    repository(repo)
    (repo / "model.py").write_text("layers = 4\n")
    ran(repo)
    (repo / "model.py").write_text("entirely = 'another'\n")
    git(repo, "commit", "-q", "-a", "-m", "other")
    wrong = msgspec.structs.replace(of(repo), commit=git(repo, "rev-parse", "HEAD"))
    with pytest.raises(CannotReproduceError, match="git apply"):
        restore(wrong, tmp_path / "again")
    assert not (tmp_path / "again").exists() and "again" not in git(repo, "worktree", "list")


def test_a_target_that_exists_or_lies_inside_is_refused(tmp_path: Path) -> None:
    """Nothing is written over anything, nor into the tree that is there."""
    repo = experiment(tmp_path / "repo")
    repository(repo)
    ran(repo)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for target in (tmp_path, tmp_path / "link", repo / "again"):
        with pytest.raises(UsageError):
            restore(of(repo), target)
    assert not (repo / "again").exists()


def test_no_name_leads_out_of_the_tree(tmp_path: Path) -> None:
    """A link of the tree, or a name with `..`, does not lead a kept file out of the folder that was
    asked for; an absolute one gets a place of its own.
    """
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "c.yaml").write_text("a: 1\n")
    repo = experiment(tmp_path / "repo")
    script = repo / "one" / "finetune.slurm"
    script.write_text(script.read_text() + f"true --config {outside}/c.yaml\n")
    (repo / "link").symlink_to(outside)
    repository(repo)
    ran(repo)
    found = of(repo)
    made = restore(found, tmp_path / "again")
    place = tmp_path / "again" / reproduce._OUTSIDE / str(outside / "c.yaml").lstrip("/")
    assert place.read_text() == "a: 1\n" and any("outside the tree" in note for note in made.notes)
    for name in ("link/new.yaml", "../../new.yaml"):
        part = msgspec.structs.replace(found.configs[0], name=name)
        with pytest.raises(CannotReproduceError, match="would be written outside"):
            restore(msgspec.structs.replace(found, configs=(part,)), tmp_path / "again2")
        assert not (tmp_path / "again2").exists()
    assert sorted(path.name for path in outside.iterdir()) == ["c.yaml"]


def test_the_environment_is_kept_once(tmp_path: Path) -> None:
    """The packages installed at submission are kept with each attempt, and stored once."""
    folder = ran(experiment(tmp_path / "exp"))
    found, other = of(folder), of(folder, "one/clean/epoch0")
    assert found.environment is not None and "msgspec" in found.environment.submitter.packages
    assert found.environment_sha256 == other.environment_sha256 != ""
