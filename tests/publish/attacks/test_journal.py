"""Attacks on the way from a figure back to the first event: each is noticed by what came later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.core.chain.forge import rewrite
from watchkeeper.core import criteria, journal
from watchkeeper.core.chain.follow import follow
from watchkeeper.core.events import Expected, Intended, Judged
from watchkeeper.core.journal import Writer
from watchkeeper.publish.chain.heads import Head, heads_of, verify_heads
from watchkeeper.publish.checks import verdict

Events = list[dict[str, Any]]


def write(folder: Path) -> Path:
    """The file of a process that submitted an evaluation, and judged it."""
    writer = Writer(folder, "run", zone="UTC")
    common = {"key": "r8/clean/epoch0", "phase": "evaluation", "attempt": 1}
    writer.write(Intended, **common, token="t", script="s", script_sha256="0")
    metrics = {"accuracy": 0.93}
    writer.write(Judged, **common, outcome="done", state="COMPLETED", metrics=metrics)
    writer.close()
    return folder / f"{writer.id}.jsonl"


def come_later(folder: Path) -> None:
    """Another process, which has read the journal."""
    writer = Writer(folder, "run", zone="UTC", read=journal.read(folder))
    writer.write(Expected, metric="accuracy", relation=">=", value=0.9)
    writer.close()


def worsen(events: Events) -> Events:
    """Another figure in the place of the one that was judged."""
    events[2]["metrics"]["accuracy"] = 0.99
    return events


def state_before(events: Events) -> Events:
    """A criterion in front of the submission, written after the result."""
    expected = {"kind": "expected", "metric": "accuracy", "relation": ">=", "value": 0.9}
    common = {name: events[1][name] for name in ("time", "writer")}
    return [events[0], common | expected, *events[1:]]


FORGERIES: dict[str, Callable[[Events], Events]] = {
    "figure": worsen,
    "criterion": state_before,
    "cut": lambda events: [events[0], *events[2:]],
    "insert": lambda events: [*events[:2], events[2], *events[2:]],
    "reorder": lambda events: [events[0], events[2], events[1], *events[3:]],
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_file_forged_whole_contradicts_who_came_later(tmp_path: Path, forgery: str) -> None:
    """Every seal, hash and chain of the file is made anew: it fits itself, the passport's head
    fails, and the process that came later knows another chain.
    """
    path = write(tmp_path)
    heads = heads_of(tmp_path)
    come_later(tmp_path)
    rewrite(path, FORGERIES[forgery](decode(path)))
    assert follow(path).breaks == () and journal.verify_seals(journal.read(tmp_path))[1] == []
    assert verdict(verify_heads([tmp_path], heads)) == "fail"
    assert str(path) in {problem.where for problem in journal.losses(journal.read(tmp_path))}


def test_a_chain_taken_away_does_not_pass_for_an_older_file(tmp_path: Path) -> None:
    """A file stripped of secret and chain looks like one from before; the head and the process that
    came later say otherwise.
    """
    path = write(tmp_path)
    heads = heads_of(tmp_path)
    come_later(tmp_path)
    events = decode(path)
    rewrite(path, events)
    stripped = [
        {name: value for name, value in event.items() if name not in ("secret", "chain", "heads")}
        for event in events
    ]
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in stripped))
    assert follow(path).chain == ""
    assert verdict(verify_heads([tmp_path], heads)) == "fail"
    assert str(path) in {problem.where for problem in journal.losses(journal.read(tmp_path))}


def test_a_criterion_added_after_the_result_never_counts(tmp_path: Path) -> None:
    """Appended as the program itself would, with any clock, it is shown as added after."""
    write(tmp_path)
    come_later(tmp_path)
    (one,) = criteria.standings(journal.read(tmp_path).events)
    assert one.verdict == "does not count" and list(one.met) == ["r8/clean/epoch0"]


def test_a_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Wherever a bit of a sealed file flips, `losses`, the chain or the head says so."""
    path = write(tmp_path)
    whole = path.read_bytes()
    heads = heads_of(tmp_path)
    for at in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        path.write_bytes(bytes(flipped))
        assert is_noticed(tmp_path, path, heads), (at, whole[at - 20 : at + 20])


def is_noticed(folder: Path, path: Path, heads: list[Head]) -> bool:
    """Whether anything speaks against the journal."""
    if verdict(verify_heads([folder], heads)) == "fail":
        return True
    return bool(follow(path).breaks or journal.losses(journal.read(folder)))


def decode(path: Path) -> Events:
    """The events of a file, to be changed."""
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
