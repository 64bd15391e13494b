"""Records of other hands: what is no record costs itself, and nothing else."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from watchkeeper.core.disk.records import MOST_BYTES, UnreadableRecordError, read_record
from watchkeeper.core.events import Observed
from watchkeeper.core.journal import Journal, Writer, read
from watchkeeper.core.text.zones import zone_of

DEEP = "[" * 10_000 + "]" * 10_000


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        DEEP,
        f'{{"x":1,"y":{DEEP}}}',
        '{"x":"1"}',
        "[]",
        '{"x":1' + "0" * 5000 + "}",
        "\udcff",
    ],
)
def test_what_is_no_record_is_one_error(tmp_path: Path, text: str) -> None:
    """Whatever a file holds in the place of a record, the reader raises the one error that its
    callers expect.
    """
    path = tmp_path / "claim.1"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(UnreadableRecordError):
        read_record(path, Point)


def test_a_record_is_read(tmp_path: Path) -> None:
    """Fields that this version does not know are left out."""
    path = tmp_path / "claim.1"
    path.write_text('{"x":1,"later":[2]}\n')
    assert read_record(path, Point) == Point(1)


def test_a_record_has_a_largest_size(tmp_path: Path) -> None:
    """A sparse file of terabytes in the place of a record is not read to its end."""
    path = tmp_path / "claim.1"
    path.write_bytes(b'{"x":1}')
    os.truncate(path, 2**40)
    with pytest.raises(UnreadableRecordError, match=f"{MOST_BYTES:,}"):
        read_record(path, Point)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    """A pipe is not waited for, and a device not read for ever."""
    path = tmp_path / "claim.1"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match=r"directory|regular"):
        read_record(path, Point)


def journal_of(folder: Path) -> Path:
    """A journal of one writer, three events; the file."""
    writer = Writer(folder, "test")
    writer.write(Observed, what="scheduler answers", detail="y")
    writer.close()
    (path,) = folder.glob("*.jsonl")
    return path


def with_second_line(path: Path, change: Callable[[str], str]) -> None:
    """Change the second of three lines."""
    first, second, third = path.read_text().splitlines(keepends=True)
    changed = change(second)
    assert changed != second
    path.write_text(first + changed + third)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line.replace('"seq":1', f'"seq":1,"x":{DEEP}'), "not an event"),
        (lambda line: line.replace('"observed"', f'"later","x":{DEEP}'), "not an event"),
        (lambda line: line.replace('"writer":"', '"writer":"x'), "of another writer, 'x"),
    ],
    ids=["nested", "nested-unknown", "another-writer"],
)
def test_one_bad_line_costs_that_line(
    tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    """A line that is nested too deeply, or names another writer, is a problem with its place; the
    others are read.
    """
    path = journal_of(tmp_path)
    with_second_line(path, change)
    journal = read(tmp_path)
    assert [event.seq for own in journal.events.values() for event in own] == [0, 2]
    assert journal.problems[0].where == f"{path}:2"
    assert words in journal.problems[0].message


def test_a_time_without_a_zone_is_a_damaged_line(tmp_path: Path) -> None:
    """A time that could mean any of 24 hours is not taken for UTC."""
    path = journal_of(tmp_path)
    with_second_line(path, lambda line: re.sub(r'("time":"[^"]*)Z"', r'\1"', line))
    journal = read(tmp_path)
    assert [event.seq for own in journal.events.values() for event in own] == [0, 2]


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_pipe_in_the_journal_is_a_problem_said_once(tmp_path: Path, kind: str) -> None:
    """What is no file among the writers' files is named once, and the others are read."""
    journal_of(tmp_path)
    odd = tmp_path / "20260101-000000-aaaaaaaaaa.jsonl"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to("/dev/zero")
    journal = Journal(tmp_path)
    journal.refresh()
    journal.refresh()
    assert [problem.where for problem in journal.problems] == [str(odd)]
    assert sum(map(len, journal.events.values())) == 3


def test_a_line_that_never_ends_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line longer than an event can be is skipped: damaged where it has an end, a torn tail where
    it has none.
    """
    monkeypatch.setattr("watchkeeper.core.journal.MOST_LINE_BYTES", 1000)
    path = journal_of(tmp_path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "x" * 5000 + "\n" + lines[1] + "y" * 5000)
    journal = read(tmp_path)
    assert [event.seq for own in journal.events.values() for event in own] == [0, 1]
    assert [problem.where for problem in journal.problems] == [f"{path}:2"]
    assert journal.torn_tails == {path: 5000}


@pytest.mark.parametrize(
    "name", ["Mars/Base", "../../etc/passwd", "/etc/passwd", "", "\0", "Europe", "x" * 5000]
)
def test_an_unknown_zone_is_utc(name: str) -> None:
    """A zone that this machine does not know, or that is no name of one, is UTC."""
    assert zone_of(name).key == "UTC"
    assert zone_of("Europe/Berlin").key == "Europe/Berlin"
