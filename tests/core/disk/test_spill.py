"""Bytes that wait on the node for a filesystem that hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core import processes
from watchkeeper.core.disk import spill
from watchkeeper.core.disk.spill import SpillingFile, Word
from watchkeeper.core.errors import StorageError

LINES = st.lists(
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=12
)


@pytest.fixture(autouse=True)
def node(tmp_path, monkeypatch):
    """The only folder for what is kept on the node, which is left empty: the real ones hold what
    runs beside these tests keep there.
    """
    place = tmp_path / "node"
    place.mkdir()
    monkeypatch.setattr(
        "watchkeeper.core.disk.node.folders", lambda name: [place / f"{name}-{os.getuid()}"]
    )
    return place


def left(node: Path) -> list[Path]:
    """What lies on the node."""
    return [path for path in node.rglob("*") if path.is_file()]


@settings(max_examples=40)
@given(parts=st.lists(st.tuples(LINES, st.booleans()), max_size=6), calm=st.booleans())
def test_whatever_is_slow_the_bytes_are_the_same(tmp_path_factory, parts, calm):
    """Lines come to their place whole and in order, whichever writes were slow and whether it has
    calmed down since.
    """
    path = tmp_path_factory.mktemp("target") / "file.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "CALM_S", 0.0 if calm else 600.0)
        patch.setattr(spill, "LOOK_S", 0.001)
        file = SpillingFile(path)
        for lines, slow in parts:
            for line in lines:
                file.append(line)
            if slow:
                file.was_slow()
        file.sync()
        file.close()
    whole = b"".join(line for lines, _ in parts for line in lines)
    assert (path.read_bytes() if path.exists() else b"") == whole
    assert not file.spilling


def test_a_slow_file_has_neighbours(tmp_path):
    """A slow write spares the other files of its filesystem their own."""
    one, other = SpillingFile(tmp_path / "one"), SpillingFile(tmp_path / "other")
    for file in (one, other):
        file.append(b"first\n")
    one.was_slow()
    other.append(b"second\n")
    assert other.spilling and not one.spilling, "there is nothing of it to keep yet"
    for file in (one, other):
        file.close()
    assert (tmp_path / "other").read_bytes() == b"first\nsecond\n"


@pytest.fixture
def stuck(monkeypatch):
    """The target takes nothing until this is set."""
    gate = threading.Event()
    plain = spill._Spill._bring_over
    monkeypatch.setattr(spill._Spill, "_bring_over", lambda self: gate.wait(60) and plain(self))
    yield gate
    gate.set()


def test_more_than_there_is_room_for_is_refused(tmp_path, node, stuck, monkeypatch):
    """The room on the node has a bound: what does not fit is refused with the file's name, and the
    rest is not lost.
    """
    monkeypatch.setattr(spill, "ROOM_BYTES", 100)
    file = SpillingFile(tmp_path / "file")
    file.append(b"first\n")
    file.was_slow()
    file.append(b"x" * 90 + b"\n")
    with pytest.raises(StorageError, match=r"file takes nothing"):
        file.append(b"y" * 30 + b"\n")
    file.append(b"z\n")
    stuck.set()
    file.sync()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"first\n" + b"x" * 90 + b"\nz\n"
    assert left(node) == []


def test_room_is_made_again(tmp_path, node, monkeypatch):
    """A file that stays behind its spill for days uses no more than the room there is."""
    monkeypatch.setattr(spill, "ROOM_BYTES", 1000)
    monkeypatch.setattr(spill, "LOOK_S", 0.001)
    file = SpillingFile(tmp_path / "file")
    file.append(b"first\n")
    file.was_slow()
    for number in range(500):
        while True:
            try:
                file.append(b"line %04d\n" % number)
                break
            except StorageError:
                pass  # the thread has not come to it yet
    file.sync()
    file.close()
    assert (tmp_path / "file").read_bytes() == b"first\n" + b"".join(
        b"line %04d\n" % number for number in range(500)
    )
    assert left(node) == []


def test_without_room_on_the_node_it_is_written_directly(tmp_path, monkeypatch):
    """Where nothing can be kept, a slow write changes nothing."""
    monkeypatch.setattr("watchkeeper.core.disk.node.folders", lambda name: [])
    file = SpillingFile(tmp_path / "file")
    file.append(b"first\n")
    file.was_slow()
    file.append(b"second\n")
    assert (tmp_path / "file").read_bytes() == b"first\nsecond\n"
    file.close()


def test_what_the_target_refuses_to_the_end_is_kept_and_brought_over_later(
    tmp_path, node, monkeypatch
):
    """If the target is full at the end, the bytes' place is named; a later run moves them."""

    def refuse(self):
        if self._file.size_bytes > self._done:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(spill._Spill, "_bring_over", refuse)
    monkeypatch.setattr(spill, "AGAIN_S", 0.0)
    file = SpillingFile(tmp_path / "file")
    file.append(b"first\n")
    file.was_slow()
    file.append(b"second\n")
    with pytest.raises(StorageError, match=r"No space left on device.*kept in .*\.bytes"):
        file.sync()
    file.close()
    assert spill.recover() == [], "its process lives"
    monkeypatch.setattr(processes, "is_alive", lambda process: False)
    assert spill.recover() == [tmp_path / "file"]
    assert (tmp_path / "file").read_bytes() == b"first\nsecond\n"
    assert left(node) == []


def leave_behind(folder: Path, base: int, data: bytes, target: Path) -> None:
    """A spill of a process that is gone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "left.bytes").open("wb") as file:
        file.seek(base)
        file.write(data + b"\0" * 50)
    gone = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = processes.name_of(gone.pid)
    gone.communicate(b"\n")
    assert owner is not None
    (folder / "left.word").write_text(Word(target, base, "", owner).text())


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (b"a\n", b"a\nb\nc\n"),
        (b"a\nb\n", b"a\nb\nc\n"),
        (b"a\nb\nc\n", b"a\nb\nc\n"),
        (b"a\nb", b"a\nb\nc\n"),
        (b"", b"\0\0b\nc\n"),
    ],
)
def test_bringing_over_may_be_done_twice(tmp_path, node, there, expected):
    """However much had come over when the process died, the file is the same in the end; a torn
    line is left out.
    """
    target = tmp_path / "file"
    target.write_bytes(there)
    leave_behind(node / f"watchkeeper-spill-{os.getuid()}", 2, b"b\nc\ntorn", target)
    assert spill.recover() == [target]
    assert target.read_bytes() == expected
    assert left(node) == []


def test_what_somebody_has_gone_on_with_is_not_overwritten(tmp_path, node):
    """Where the file has other lines by now, the ones from the node are kept beside it."""
    target = tmp_path / "run.log"
    target.write_bytes(b"a\nnew\n")
    leave_behind(node / f"watchkeeper-spill-{os.getuid()}", 2, b"b\nc\n", target)
    (beside,) = spill.recover()
    assert target.read_bytes() == b"a\nnew\n"
    assert (beside.parent, beside.read_bytes()) == (tmp_path, b"b\nc\n")
    assert left(node) == []


@pytest.mark.parametrize(
    "word", ["", "watchkeeper spill 2\nx\n0\n\n{}\n", "watchkeeper spill 1\n/x\nno\n\n{}\n"]
)
def test_what_is_no_spill_is_let_be(node, word):
    """A strange file in the folder is not touched, and stops nothing."""
    folder = node / f"watchkeeper-spill-{os.getuid()}"
    folder.mkdir(mode=0o700)
    (folder / "strange.word").write_text(word)
    assert spill.recover() == []
    assert (folder / "strange.word").read_text() == word


def test_a_folder_of_somebody_else_is_not_used(tmp_path, node):
    """A folder that others may write to, or a link, is no place for what is kept."""
    folder = node / f"watchkeeper-spill-{os.getuid()}"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    file = SpillingFile(tmp_path / "file")
    file.append(b"first\n")
    file.was_slow()
    file.append(b"second\n")
    assert left(folder) == []
    file.close()
    assert (tmp_path / "file").read_bytes() == b"first\nsecond\n"
