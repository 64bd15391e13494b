"""Bytes and files of a tree, as du counts them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from watchkeeper.query.disk.measure import Amount, Measure, sums


def du(*paths: Path) -> int:
    """What coreutils' du says that these hold together, in bytes."""
    done = subprocess.run(
        ["du", "-s", "-c", "-B1", "--", *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.splitlines()[-1].split()[0])


def measured(*paths: Path) -> Amount:
    """What these hold together by our count."""
    measure, whole = Measure(), Amount()
    for path in paths:
        for amount in measure.tree(path).own.values():
            whole.add(amount)
    return whole


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Hard links inside and out of it, a sparse file, links, hidden and odd names, empty files."""
    top = tmp_path / "top"
    for folder in ("a/b/c", ".hidden/x", "empty", "odd \n\x1b name"):
        (top / folder).mkdir(parents=True)
    (top / "a/file").write_bytes(b"x" * 100_000)
    os.link(top / "a/file", top / "a/b/again")
    os.link(top / "a/file", top / ".hidden/x/and again")
    (tmp_path / "outside").write_bytes(b"y" * 50_000)
    os.link(tmp_path / "outside", top / "a/b/c/shared")
    with (top / "sparse").open("wb") as file:
        file.truncate(2**40)
        file.write(b"z")
    (top / "nothing").touch()
    (top / "odd \n\x1b name" / "one").write_bytes(b"1")
    (top / "out").symlink_to("/usr")
    (top / "round").symlink_to(top)
    (top / "nowhere").symlink_to("/not/there")
    os.mkfifo(top / "pipe")
    return top


def test_it_counts_as_du_does(tree: Path) -> None:
    """Hard links once, holes not, links as themselves, folders with their own blocks."""
    assert measured(tree).bytes == du(tree)
    assert measured(tree).bytes < 2**30


def test_several_folders_count_each_inode_once(tree: Path) -> None:
    """A folder inside another one, and a file with names in both, are counted once in all."""
    both = (tree / "a", tree / ".hidden")
    assert measured(*both).bytes == du(*both)
    nested = (tree, tree / "a" / "b")
    assert measured(*nested).bytes == du(*nested)
    assert measured(*nested).files == measured(tree).files


def test_files_are_inodes_that_are_no_folders(tree: Path) -> None:
    """Three names of one file are one; a link, a pipe and an empty file are one each."""
    assert measured(tree).files == 9


def test_a_file_is_measured_alone(tree: Path) -> None:
    """A path may be a file: a checkpoint may be one."""
    assert measured(tree / "sparse").bytes == du(tree / "sparse")
    assert measured(tree / "sparse").files == 1


def test_shared_bytes_are_those_that_a_removal_would_not_free(tree: Path) -> None:
    """A file with further names keeps its blocks when one of them goes."""
    amount = measured(tree / "a" / "b" / "c")
    assert amount.shared_bytes == (tree / "a/b/c/shared").stat().st_blocks * 512
    assert measured(tree / "empty").shared_bytes == 0


def test_sums_are_of_all_that_lies_below(tree: Path) -> None:
    """A folder's sum includes its folders', at any depth; one that was not asked for has none."""
    measured_tree = Measure().tree(tree)
    found = sums([measured_tree], frozenset({str(tree), str(tree / "a" / "b")}))
    assert set(found) == {str(tree), str(tree / "a" / "b")}
    assert found[str(tree)].bytes == du(tree)
    assert found[str(tree / "a" / "b")].files == 2 - 1  # `again` is counted as `a/file`


def test_what_cannot_be_read_is_a_problem_and_the_rest_is_counted(tmp_path: Path) -> None:
    """A folder that went away, or that may not be read, is named and stops nothing."""
    measure = Measure()
    assert measure.tree(tmp_path / "gone").own == {}
    (problem,) = measure.problems
    assert str(tmp_path / "gone") in problem.message
    for number in range(4):
        measure.tree(tmp_path / f"gone{number}")
    assert "and 2 more" in measure.problems[0].message


def test_a_folder_of_50_000_entries_is_counted(tmp_path: Path) -> None:
    """One flat folder: the count is du's, and nothing but folders is kept of it."""
    for number in range(50_000):
        os.close(os.open(tmp_path / f"f{number}", os.O_CREAT | os.O_WRONLY))
    (tmp_path / "f7").write_bytes(b"x" * 9_000)
    tree = Measure().tree(tmp_path)
    assert len(tree.own) == 1
    assert measured(tmp_path).files == 50_000
    assert measured(tmp_path).bytes == du(tmp_path)
