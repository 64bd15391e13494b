"""Folders that were asked for have names of their own, and ids begin with them."""

from __future__ import annotations

from pathlib import Path

from watchkeeper.query.catalogue.roots import roots_of, run_id


def test_two_folders_of_one_name_have_two_names(tmp_path: Path) -> None:
    """No two roots share a name, not even with a folder that is called like the second."""
    paths = [tmp_path / "a" / "night", tmp_path / "b" / "night-2", tmp_path / "c" / "night"]
    for path in paths:
        path.mkdir(parents=True)
    assert [root.name for root in roots_of(paths)] == ["night", "night-2", "night-3"]


def test_a_folder_within_another_is_no_root_of_its_own(tmp_path: Path) -> None:
    """What lies below a root has one id only, also where it was named, twice, or through a link."""
    inner = tmp_path / "night" / "inner"
    inner.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "night")
    roots = roots_of([inner, tmp_path / "night", link])
    assert [(root.name, root.path) for root in roots] == [("night", tmp_path / "night")]


def test_ids_name_the_root_itself_and_what_lies_below(tmp_path: Path) -> None:
    """The root's id is its name, a place's has its path, a run's has its key behind that."""
    (root,) = roots_of([tmp_path])
    assert root.id_of("") == tmp_path.name
    assert root.id_of("exp/one") == f"{tmp_path.name}/exp/one"
    assert run_id(root.id_of("exp"), "r8/clean/epoch0") == f"{tmp_path.name}/exp/r8/clean/epoch0"


def test_bytes_that_are_no_text_still_make_an_id(tmp_path: Path) -> None:
    """An id is text that JSON holds, whatever the folder's name is."""
    (root,) = roots_of([tmp_path])
    assert root.id_of("odd\udcff").encode()
