"""A head states how far a journal had come: it holds while the journal grows, and no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.chain.forge import reseal
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Observed
from watchkeeper.core.journal import Writer
from watchkeeper.publish.chain.heads import (
    Head,
    HeadsMemory,
    from_document,
    head_of,
    heads_of,
    to_document,
    verify_heads,
)
from watchkeeper.publish.checks import verdict


def write(folder: Path, number: int) -> Writer:
    """An open writer with so many events."""
    writer = Writer(folder, "test", zone="UTC")
    for index in range(number):
        writer.write(Observed, what="scheduler busy", detail=f"event {index}")
    return writer


def names(folder: Path, heads: list[Head]) -> list[str]:
    """The names of what was checked."""
    return [check.name for check in verify_heads([folder], heads)]


def test_a_head_holds_while_its_journal_grows(tmp_path: Path) -> None:
    """More events, a seal and further writers take nothing away from what was stated."""
    writer = write(tmp_path, 3)
    heads = heads_of(tmp_path)
    assert [(head.writer, head.events) for head in heads] == [(writer.id, 4)]
    writer.write(Observed, what="scheduler busy")
    writer.close()
    write(tmp_path, 1).close()
    assert names(tmp_path, heads) == ["journal-holds"]
    assert len(heads_of(tmp_path)) == 2 and head_of(heads_of(tmp_path)) != head_of(heads)


def test_remembered_heads_are_those_of_the_files(tmp_path: Path) -> None:
    """Whatever was asked before, and whoever has written since, the heads are what all files give;
    the own one comes from the writer, also while its file is open.
    """
    own, other = write(tmp_path, 2), write(tmp_path, 3)
    memory = HeadsMemory(tmp_path)
    assert memory.heads(Head(own.id, *own.chain)) == heads_of(tmp_path)
    own.write(Observed, what="scheduler busy")
    assert memory.heads(Head(own.id, *own.chain)) == heads_of(tmp_path)
    other.write(Observed, what="scheduler busy")
    own.close()
    assert memory.heads(Head(own.id, *own.chain)) == heads_of(tmp_path)
    (tmp_path / "gone.jsonl").mkdir()
    assert memory.heads(Head("none", 0)) == heads_of(tmp_path)


def test_an_unchanged_file_is_followed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A passport costs no more the longer the journals before it are."""
    write(tmp_path, 3).close()
    memory = HeadsMemory(tmp_path)
    first = memory.heads(Head("own", 0))
    monkeypatch.setattr("watchkeeper.publish.chain.heads.follow", None)
    assert memory.heads(Head("own", 0)) == first


@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("pad", [True, False], ids=["replaced", "cut out"])
def test_a_journal_that_was_cut_and_sealed_again_is_noticed(
    tmp_path: Path, at: int, pad: bool
) -> None:
    """Wherever an event was taken out, and whatever was put in its place, the head fails."""
    writer = write(tmp_path, 4)
    writer.close()
    heads = heads_of(tmp_path)
    reseal(tmp_path / f"{writer.id}.jsonl", leave_out=at, pad=pad)
    assert names(tmp_path, heads) == ["journal-changed" if pad else "journal-cut"]
    assert verdict(verify_heads([tmp_path], heads)) == "fail"


def test_a_journal_that_is_gone_or_unreadable_fails(tmp_path: Path) -> None:
    """Without the file nothing holds."""
    heads = [Head("gone", 3, "0" * 64), Head("folder", 3, "0" * 64)]
    (tmp_path / "folder.jsonl").mkdir()
    assert names(tmp_path, heads) == ["journal-missing", "journal-missing"]


def test_a_file_from_before_chains_is_not_checked(tmp_path: Path) -> None:
    """An older journal gives heads without a chain, and nothing is said to hold."""
    golden = Path("tests/core/golden/v1/journal")
    heads = heads_of(golden)
    assert heads and not any(head.chain for head in heads)
    assert set(names(golden, heads)) == {"journal-unchained"}
    assert verdict(verify_heads([golden], heads)) == "not_checked"
    assert heads_of(tmp_path / "nothing") == []


def test_one_number_stands_for_all_heads(tmp_path: Path) -> None:
    """The head of heads depends on each of them and not on their order."""
    one, other = Head("a", 1, "1" * 64), Head("b", 2, "2" * 64)
    assert head_of([one, other]) == head_of([other, one])
    differing = [[one], [one, Head("b", 3, "2" * 64)], [one, Head("b", 2)], []]
    assert head_of([one, other]) not in map(head_of, differing)


def test_heads_survive_a_passport() -> None:
    """What a passport holds reads back as it was."""
    heads = [Head("a", 1, "1" * 64), Head("b", 2)]
    assert from_document(to_document(heads)) == heads


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"head": "0" * 64},
        {"head": "0" * 64, "writers": []},
        {"head": head_of([]), "writers": [{"writer": "a", "events": "1", "chain": ""}]},
        to_document([Head("a", 1)]) | {"head": "0" * 64},
    ],
)
def test_heads_that_do_not_fit_are_refused(value: object) -> None:
    """A list of another form, or one that does not give its own head, is an error with a reason."""
    with pytest.raises(UsageError, match=r"provenance\.journal_chain"):
        from_document(value)
