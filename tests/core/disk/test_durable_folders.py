"""A synced file is only as durable as the names of its folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.disk import files
from watchkeeper.core.disk.files import AppendFile, make_folder

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """The calls of mkdir and fsync in their order, fsync with the path of its file."""
    seen: Calls = []
    mkdir, fsync = os.mkdir, os.fsync

    def seen_mkdir(path: os.PathLike[str], *more: object, **named: object) -> None:
        mkdir(path, *more, **named)  # type: ignore[arg-type]
        seen.append(("mkdir", os.fspath(path)))

    def seen_fsync(fd: int) -> None:
        fsync(fd)
        seen.append(("fsync", str(Path(f"/proc/self/fd/{fd}").readlink())))

    monkeypatch.setattr(os, "mkdir", seen_mkdir)
    monkeypatch.setattr(os, "fsync", seen_fsync)
    yield seen


def unsynced(calls: Calls) -> list[str]:
    """The new folders that hold a synced file and whose own names were never synced after they were
    made.
    """
    synced = [path for what, path in calls if what == "fsync"]
    lacking = []
    for at, (what, folder) in enumerate(calls):
        holds = what == "mkdir" and any(
            path.startswith(f"{folder}/") or path == folder for path in synced
        )
        if holds and ("fsync", str(Path(folder).parent)) not in calls[at:]:
            lacking.append(folder)
    return lacking


def test_a_new_folder_survives_the_node(tmp_path: Path, calls: Calls) -> None:
    """Each folder that is made is named durably in its parent."""
    make_folder(tmp_path / "a" / "b" / "c")
    assert [path for what, path in calls if what == "mkdir"][-1].endswith("a/b/c")
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a/b"):
        assert ("fsync", str(folder)) in calls
    calls.clear()
    make_folder(tmp_path / "a" / "b" / "c")
    assert calls == []


def test_a_durable_line_makes_its_folders_durable(tmp_path: Path, calls: Calls) -> None:
    """What was made for a file is synced with its first durable line, after the line, and not
    again.
    """
    file = AppendFile(tmp_path / "x" / "y" / "w.jsonl")
    file.append(b"1\n")
    assert not [path for what, path in calls if what == "fsync"]
    file.append(b"2\n", durable=True)
    expected = [tmp_path / "x/y/w.jsonl", tmp_path / "x/y", tmp_path / "x", tmp_path]
    assert [Path(path) for what, path in calls if what == "fsync"] == expected
    calls.clear()
    file.append(b"3\n", durable=True)
    assert calls == [("fsync", str(tmp_path / "x/y/w.jsonl"))]
    file.close()


def test_a_synced_file_of_rows_keeps_its_name(tmp_path: Path, calls: Calls) -> None:
    """The sync of rows covers the name of their file as well as its bytes."""
    file = AppendFile(tmp_path / "w.jsonl")
    file.append(b"1\n")
    file.sync()
    assert calls == [("fsync", str(tmp_path / "w.jsonl")), ("fsync", str(tmp_path))]
    file.close()


def test_a_recorded_run_names_its_folders_durably(tmp_path: Path, calls: Calls) -> None:
    """No folder of a run that holds a synced file may be gone after the death of the node."""
    with wk.start_run(
        tmp_path / "artifacts" / "training", pipeline="t", console=False, sidecar=False
    ) as run:
        run.log(1, loss=1.0)
    assert any(what == "mkdir" for what, _ in calls)
    assert unsynced(calls) == []


def test_a_parent_that_cannot_be_listed_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in one that may be entered and not listed is made all the same."""

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(files, "fsync_folder", refuse)
    assert make_folder(tmp_path / "a").is_dir()
