"""The journal: acknowledged means kept; torn tails are tolerated, torn middles reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.core import journal as journal_module
from watchkeeper.core.errors import NotAWriterError
from watchkeeper.core.events import Observed, Opened, Sealed
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.journal import Journal, Writer, read, verify_seals


def fill(folder: Path, number: int, close: bool = True) -> Writer:
    """A writer with so many events."""
    writer = Writer(folder, "test")
    for index in range(number):
        writer.write(Observed, what="scheduler busy", detail=f"event {index}")
    if close:
        writer.close()
    return writer


def test_a_command_with_nothing_to_record_leaves_nothing(tmp_path: Path) -> None:
    """A writer that wrote no event makes no file."""
    fill(tmp_path / "journal", 0)
    assert not (tmp_path / "journal").exists()


def test_the_first_event_is_opened_and_the_last_a_seal(tmp_path: Path) -> None:
    """Each file begins with `opened` and, closed, ends with a seal that holds."""
    fill(tmp_path, 3)
    (events,) = read(tmp_path).events.values()
    assert isinstance(events[0], Opened) and isinstance(events[-1], Sealed)
    assert [event.seq for event in events] == list(range(5))
    assert verify_seals(read(tmp_path)) == (1, [])


def test_a_byte_changed_before_a_seal_is_found(tmp_path: Path) -> None:
    """A journal edited after it was sealed no longer agrees with its seal."""
    writer = fill(tmp_path, 3)
    path = tmp_path / f"{writer.id}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"event 1", b"event 9"))
    held, problems = verify_seals(read(tmp_path))
    assert held == 0 and str(path) in problems[0].where


@settings(deadline=None, max_examples=60)
@given(cut=st.integers(min_value=0))
def test_a_journal_cut_anywhere_loses_only_its_tail(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    """Cut at any byte, what is before the cut is read, the torn tail is no event and no problem."""
    folder = tmp_path_factory.mktemp("cut")
    writer = fill(folder, 4)
    path = folder / f"{writer.id}.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % (len(whole) + 1)])
    journal = read(folder)
    assert journal.problems == []
    assert sum(map(len, journal.events.values())) == path.read_bytes().count(b"\n")


_ODD_LINES = (
    b"garbage\n",
    b"\n",
    b"{}\n",
    b'{"kind":"judged"}\n',
    b'{"kind":"later","time":"2026-03-11T15:00:00Z","writer":"w","seq":3}\n',
    b'{"kind":"detached","time":"2026-03-11T15:00:00Z","writer":"another","seq":3}\n',
    b"\0\0\0",
)


@settings(deadline=None, max_examples=150)
@given(
    order=st.lists(st.integers(0, 6), max_size=8),
    at=st.lists(st.integers(0, 7), max_size=4),
    odd=st.lists(st.sampled_from(_ODD_LINES), min_size=4, max_size=4),
    cut=st.integers(0, 40),
    block=st.integers(1, 900),
)
def test_blocks_are_read_as_their_lines_are(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[int],
    at: list[int],
    odd: list[bytes],
    cut: int,
    block: int,
) -> None:
    """Whatever a file holds and wherever its blocks end, the same events, problems and torn bytes
    are read as line by line.
    """
    folder = tmp_path_factory.mktemp("blocks")
    writer = fill(folder, 5)
    path = folder / f"{writer.id}.jsonl"
    good = path.read_bytes().splitlines(keepends=True)
    lines = good + [good[number] for number in order]
    for place, line in zip(at, odd, strict=False):
        lines.insert(place, line)
    data = b"".join(lines)
    path.write_bytes(data[: len(data) - cut])
    answers = []
    for name, value in (("decode_known", lambda _: None), ("BLOCK_BYTES", block)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal_module, name, value)
            journal = read(folder)
        answers.append((journal.events, journal.problems, journal.torn_tails))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "garbage", [b"\0\0\0\0", b"garbage\n", b"\xff\xfe{\n", b"{}\n", b'{"kind":"judged"}\n']
)
def test_garbage_in_the_middle_is_reported_and_the_rest_is_read(
    tmp_path: Path, garbage: bytes
) -> None:
    """Damage in the middle becomes a problem with file and line; every whole event around it is
    read.
    """
    writer = fill(tmp_path, 4)
    path = tmp_path / f"{writer.id}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + garbage + b"".join(lines[2:]))
    journal = read(tmp_path)
    assert [event.seq for event in journal.events[writer.id]] == list(range(6))
    assert journal.problems and all(f"{path}:3" in problem.where for problem in journal.problems)


def test_a_large_hole_costs_its_line_alone(tmp_path: Path) -> None:
    """A quarter of a gigabyte of NULs, which hold no block on the disk, is one problem; what was
    written behind it is read.
    """
    writer = fill(tmp_path, 4)
    path = tmp_path / f"{writer.id}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    with path.open("r+b") as file:
        kept = b"".join(lines[:2])
        file.truncate(len(kept))
        file.seek(len(kept) + 2**28)
        file.write(b"\n" + b"".join(lines[2:]))
    journal = read(tmp_path)
    assert [event.seq for event in journal.events[writer.id]] == list(range(6))
    assert f"{path}:3" in journal.problems[0].where


def test_a_lost_line_is_noticed(tmp_path: Path) -> None:
    """A line taken out of the middle leaves a gap in the sequence, which is reported."""
    writer = fill(tmp_path, 4)
    path = tmp_path / f"{writer.id}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    (problem,) = read(tmp_path).problems
    assert "event 2 was expected and 3 found" in problem.message


def test_a_reader_goes_on_where_it_stood(tmp_path: Path) -> None:
    """Refreshing reads only what is new, a line completed meanwhile included."""
    writer = fill(tmp_path, 2, close=False)
    path = tmp_path / f"{writer.id}.jsonl"
    journal = Journal(tmp_path)
    assert len(journal.refresh()[writer.id]) == 3
    assert journal.refresh() == {}
    writer.write(Observed, what="scheduler busy", detail="new")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert journal.refresh() == {} and journal.torn_tails
    path.write_bytes(whole)
    (new,) = journal.refresh()[writer.id]
    assert isinstance(new, Observed) and new.detail == "new" and not journal.torn_tails


def test_four_threads_write_one_sequence(tmp_path: Path) -> None:
    """Events written from several threads have each their own number, and none is lost or torn."""
    writer = Writer(tmp_path, "test")

    def write() -> None:
        for _ in range(200):
            writer.write(Observed, what="scheduler busy")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    journal = read(tmp_path)
    assert journal.problems == []
    assert len(of_kind(journal.events, Observed)) == 800


def test_a_forked_child_cannot_write_its_parents_file(tmp_path: Path) -> None:
    """After a fork the child is refused, and the parent's file stays whole."""
    writer = fill(tmp_path, 1, close=False)
    pid = os.fork()
    if pid == 0:
        try:
            writer.write(Observed, what="scheduler busy")
        except NotAWriterError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    writer.close()
    assert read(tmp_path).problems == []


KILLED = """
import sys
from pathlib import Path
from watchkeeper.core.events import Observed
from watchkeeper.core.journal import Writer
writer = Writer(Path(sys.argv[1]), "test")
for index in range(100000):
    writer.write(Observed, what="scheduler busy", detail=str(index))
    print(index, flush=True)
"""


def test_sigkill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Whatever `write` returned from before SIGKILL is in the journal."""
    for round_number in range(5):
        folder = tmp_path / str(round_number)
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        last = -1
        for line in process.stdout:
            last = int(line)
            if last == 50 * round_number + 7:
                process.send_signal(signal.SIGKILL)
        process.wait()
        (events,) = read(folder).events.values()
        details = [event.detail for event in events if isinstance(event, Observed)]
        assert details[: last + 1] == [str(index) for index in range(last + 1)]


def test_what_is_recorded_is_kept_out_of_git(tmp_path):
    """A journal in a `.watchkeeper` tells Git to take nothing of it; a `.gitignore` of the user's
    stays as it is, and other journals get none.
    """
    for name in ("a/.watchkeeper", "b/.watchkeeper", "c/elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b/.watchkeeper/.gitignore").write_text("mine\n")
    for name in ("a/.watchkeeper", "b/.watchkeeper", "c/elsewhere"):
        writer = Writer(tmp_path / name / "journal", "test")
        writer.write(Observed, what="scheduler busy", detail="x")
        writer.close()
    assert (tmp_path / "a/.watchkeeper/.gitignore").read_text() == "*\n"
    assert (tmp_path / "b/.watchkeeper/.gitignore").read_text() == "mine\n"
    assert not (tmp_path / "c/elsewhere/.gitignore").exists()
