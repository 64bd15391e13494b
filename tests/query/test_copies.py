"""A folder that was copied with its state, and others that only look like it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.experiments import state_of, wk, write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import UsageError
from watchkeeper.query import copies
from watchkeeper.schedulers.fake.scheduler import FakeScheduler


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """An experiment that has run."""
    folder = write_experiment(tmp_path / "first")
    assert keep(folder, FakeScheduler())
    return folder


def test_a_copy_is_neither_run_nor_changed(first: Path, tmp_path: Path) -> None:
    """A folder copied with its journal is refused by what writes, with what to type; the first
    one's logs stay as they are. What only looks says it too.
    """
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert copies.original_of(copy, state_of(copy)) == first
    for words in (["run"], ["submit"], ["watch"], ["cancel"], ["rebuild"]):
        done = wk(*words, copy, state=tmp_path / "state")
        assert done.returncode == 2, words
        assert (
            f"is a copy of {first}" in done.stderr and f"rm -r {copy}/.watchkeeper" in done.stderr
        )
    for words in (["status"], ["plan"]):
        assert f"is a copy of {first}" in wk(*words, copy, state=tmp_path / "state").stderr
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == before


def test_the_first_one_is_no_copy(first: Path, tmp_path: Path) -> None:
    """That somebody copied a folder changes nothing for the folder itself, and a copy without the
    state is none.
    """
    shutil.copytree(first, tmp_path / "copy")
    shutil.copytree(first, tmp_path / "bare", ignore=shutil.ignore_patterns(".watchkeeper"))
    copies.refuse(first, state_of(first))
    copies.refuse(tmp_path / "bare", state_of(tmp_path / "bare"))


def test_a_moved_folder_is_no_copy(first: Path, tmp_path: Path) -> None:
    """A folder that was renamed goes on, also where another experiment has taken its old name
    since.
    """
    first.rename(tmp_path / "moved")
    copies.refuse(tmp_path / "moved", state_of(tmp_path / "moved"))
    other = write_experiment(tmp_path / "first")
    assert keep(other, FakeScheduler())
    copies.refuse(tmp_path / "moved", state_of(tmp_path / "moved"))


def test_another_path_to_the_same_folder_is_no_copy(first: Path, tmp_path: Path) -> None:
    """A link to the folder, or to one above it, leads to the experiment itself."""
    (tmp_path / "link").symlink_to(first)
    (tmp_path / "above").symlink_to(tmp_path)
    copies.refuse(tmp_path / "link", state_of(tmp_path / "link"))
    copies.refuse(tmp_path / "above" / "first", state_of(tmp_path / "above" / "first"))


def test_a_copy_by_hard_links_is_a_copy(first: Path, tmp_path: Path) -> None:
    """Files that are shared by hard links do not make two folders one."""
    shutil.copytree(
        first, tmp_path / "copy", copy_function=lambda old, new: Path(new).hardlink_to(old)
    )
    with pytest.raises(UsageError, match="is a copy of"):
        copies.refuse(tmp_path / "copy", state_of(tmp_path / "copy"))
