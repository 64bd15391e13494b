"""A file's chain is followed as its writer made it, and breaks where somebody changed it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.chain.forge import reseal
from watchkeeper.core import journal
from watchkeeper.core.chain import follow as follow_module
from watchkeeper.core.chain.follow import Break, follow, follow_all
from watchkeeper.core.disk import user_cache
from watchkeeper.core.events import Chained, Observed, Opened, RunStarted, Sealed
from watchkeeper.core.journal import Writer, read

SECRET = bytes(range(32))


def write(folder: Path, number: int, *, after: journal.Journal | None = None) -> Path:
    """The closed file of a writer with so many events."""
    writer = Writer(folder, "test", zone="UTC", read=after, new_secret=lambda: SECRET)
    for index in range(number):
        writer.write(Observed, what="scheduler busy", detail=f"event {index}")
    writer.close()
    return folder / f"{writer.id}.jsonl"


def lines_of(path: Path) -> list[bytes]:
    """The lines of a file, each with its end."""
    return path.read_bytes().splitlines(keepends=True)


def test_a_closed_file_has_one_chain_and_no_break(tmp_path: Path) -> None:
    """The seal covers every event before it, and the chain goes over the seal as well."""
    path = write(tmp_path, 3)
    followed = follow(path, wanted={4})
    assert (followed.events, followed.seals, followed.sealed_events) == (5, 1, 4)
    assert followed.breaks == () and followed.software.startswith("watchkeeper ")
    (events,) = read(tmp_path).events.values()
    opened, sealed = events[0], events[-1]
    assert isinstance(opened, Opened) and opened.secret == SECRET.hex()
    assert isinstance(sealed, Sealed) and sealed.chain == followed.after[4] != followed.chain


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(
    "change",
    [
        lambda lines, at: [*lines[:at], *lines[at + 1 :]],
        lambda lines, at: [*lines[: at + 1], *lines[at:]],
        lambda lines, at: [*lines[:at], lines[at].replace(b"event", b"evenT"), *lines[at + 1 :]],
        lambda lines, at: [*lines[: at - 1], lines[at], lines[at - 1], *lines[at + 1 :]],
    ],
    ids=["dropped", "doubled", "changed", "swapped"],
)
def test_a_change_anywhere_breaks_the_chain(
    tmp_path: Path, at: int, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    """Each event of the file, dropped, doubled, changed or swapped, breaks the seal behind it."""
    path = write(tmp_path, 5)
    lines = lines_of(path)
    path.write_bytes(b"".join(change(lines, at + 1)))
    (place,) = follow(path).breaks
    assert place.first == 0 and place.line == len(lines_of(path))


def test_without_its_first_line_a_file_has_no_chain(tmp_path: Path) -> None:
    """The secret stands in the first line: without it no seal of the file holds."""
    path = write(tmp_path, 2)
    path.write_bytes(b"".join(lines_of(path)[1:]))
    followed = follow(path)
    assert followed.chain == "" and len(followed.breaks) == followed.seals == 1


def test_a_long_file_is_chained_in_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A break names its segment, and the later segments are verified by themselves."""
    monkeypatch.setattr(journal, "SEGMENT_EVENTS", 4)
    path = write(tmp_path, 10)
    kinds = [type(event) for event in read(tmp_path).events[path.stem]]
    assert [at for at, kind in enumerate(kinds) if kind is Chained] == [4, 8, 12]
    assert (follow(path).seals, follow(path).breaks) == (4, ())
    lines = lines_of(path)
    lines[6] = lines[6].replace(b"event", b"evenT")
    path.write_bytes(b"".join(lines))
    assert follow(path).breaks == (Break(line=9, first=4, last=7),)


def test_stating_the_chain_changes_no_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that is asked for its chain while it writes says what its file says, and writes its
    chain down as often as one that is not.
    """
    monkeypatch.setattr(journal, "SEGMENT_EVENTS", 4)
    writer = journal.Writer(tmp_path, "test", zone="UTC")
    path = tmp_path / f"{writer.id}.jsonl"
    for number in range(10):
        writer.write(Observed, what="scheduler busy", detail=f"event {number}")
        followed = follow(path)
        assert writer.chain == (followed.events, followed.chain)
    kinds = [type(event) for event in read(tmp_path).events[writer.id]]
    assert [at for at, kind in enumerate(kinds) if kind is Chained] == [4, 8, 12]
    writer.close()
    assert follow(path).breaks == ()


def test_a_killed_writer_has_a_chain_over_what_it_left(tmp_path: Path) -> None:
    """Without a seal the chain is followed all the same, up to the last whole line."""
    path = write(tmp_path, 3)
    whole = lines_of(path)
    path.write_bytes(b"".join(whole[:3]) + whole[3][:9])
    followed = follow(path)
    assert (followed.events, followed.seals, followed.sealed_events) == (3, 0, 0)
    path.write_bytes(b"".join(whole))
    assert follow(path, wanted={3}).after == {3: followed.chain}


def test_a_file_from_before_chains_has_none(tmp_path: Path) -> None:
    """Nothing is invented for an older file: its chain is empty, and its version is named."""
    golden = Path("tests/core/golden/v1/journal")
    folder = tmp_path / "journal"
    shutil.copytree(golden, folder)
    followed = list(follow_all(folder))
    assert followed
    for one in followed:
        assert (one.chain, one.seals, one.breaks) == ("", 0, ())
        assert one.events and one.software.startswith("watchkeeper 0.")


def test_what_is_no_event_is_passed_over(tmp_path: Path) -> None:
    """Damage between two events, a hole and a line of another writer leave the chain as it was."""
    path = write(tmp_path, 2)
    lines = lines_of(path)
    foreign = lines[1].replace(path.stem.encode(), b"another")
    odd = [lines[0], b"garbage\n", b"[]\n", foreign, b"\0\0" + lines[1], *lines[2:]]
    whole = follow(path)
    path.write_bytes(b"".join(odd))
    assert follow(path).chain == whole.chain and follow(path).breaks == ()


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """A folder in the place of a file is no file to follow."""
    path = write(tmp_path, 1)
    (tmp_path / "x.jsonl").mkdir()
    assert [one.writer for one in follow_all(tmp_path)] == [path.stem]


def test_a_value_nested_too_deeply_ends_the_chain_and_not_the_job(tmp_path: Path) -> None:
    """A configuration too deep to be hashed is recorded, and the file is sealed without a chain."""
    deep: dict[str, object] = {}
    for _ in range(700):
        deep = {"a": deep}
    writer = Writer(tmp_path, "test")
    writer.write(RunStarted, run_id="r", pipeline="p", folder="f", config=deep)
    writer.close()
    last = read(tmp_path).events[writer.id][-1]
    assert isinstance(last, Sealed) and last.chain == ""
    assert follow(tmp_path / f"{writer.id}.jsonl").seals == 0


def test_a_file_that_was_cut_and_sealed_again_contradicts_who_came_later(tmp_path: Path) -> None:
    """An event taken out, every later number, hash and seal made anew: the next process knows
    another chain, and `losses` says so.
    """
    first = write(tmp_path, 6)
    second = write(tmp_path, 1, after=read(tmp_path))
    assert journal.losses(read(tmp_path)) == []
    reseal(first, leave_out=3, pad=True)
    assert follow(first).breaks == () and follow(first).events == 8
    assert journal.verify_seals(journal.read(tmp_path))[1] == []
    (problem,) = journal.losses(read(tmp_path))
    assert problem.where == str(first) and second.stem in problem.message


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what is kept, of files of any length."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(follow_module, "LEAST_BYTES", 0)
    return tmp_path / "cache/watchkeeper/chains"


def count_followed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The writers whose files are followed event by event from now on."""
    followed: list[str] = []
    original = follow_module._Walk.end

    def end(walk: follow_module._Walk) -> follow_module.Followed:
        followed.append(walk._writer)
        return original(walk)

    monkeypatch.setattr(follow_module._Walk, "end", end)
    return followed


def test_a_file_of_the_same_bytes_is_followed_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found in a file is found again without hashing its events."""
    folder = tmp_path / "journal"
    write(folder, 3)
    first = list(follow_all(folder))
    followed = count_followed(monkeypatch)
    assert list(follow_all(folder)) == first == [follow(folder / f"{first[0].writer}.jsonl")]
    assert followed == [first[0].writer]  # by `follow`


def test_changed_bytes_are_followed_whatever_is_kept(tmp_path: Path, cache: Path) -> None:
    """A byte changed under the same size and times still breaks the chain."""
    folder = tmp_path / "journal"
    path = write(folder, 3)
    assert [one.breaks for one in follow_all(folder)] == [()]
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"event 1", b"event 7"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(follow_all(folder)) == [follow(path)]
    assert follow(path).breaks


@pytest.mark.parametrize("damage", ["cut", "garbage", "version", "folder"])
def test_a_cache_that_cannot_be_trusted_changes_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Damaged, of another version or not to be written, it costs time and never an answer."""
    folder = tmp_path / "journal"
    write(folder, 3)
    first = list(follow_all(folder))
    (kept,) = cache.iterdir()
    if damage == "cut":
        kept.write_bytes(kept.read_bytes()[:-1])
    if damage == "garbage":
        kept.write_bytes(b"garbage")
    if damage == "version":
        monkeypatch.setattr(user_cache, "SOFTWARE", "watchkeeper 99.0")
    if damage == "folder":
        kept.unlink()
        kept.mkdir()
    followed = count_followed(monkeypatch)
    assert list(follow_all(folder)) == first
    assert followed == [first[0].writer]
