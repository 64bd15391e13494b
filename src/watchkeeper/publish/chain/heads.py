"""The heads of a journal's chains: how far each writer had come, as a passport states it.

A journal only grows, so a head that was right stays right: the file still holds that many events,
and the chain after them is the one stated.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.chain.follow import Followed, follow, follow_all
from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import SUFFIX
from watchkeeper.publish.checks import Check

_EMPTY_SHA256 = "0" * 64
_Stamp = tuple[int, int, int]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One writer's chain after so many events: 64 hexadecimal digits, "" where the writer's file
    has no chain.
    """

    writer: str
    events: int
    chain: str = ""


def heads_of(folder: Path) -> list[Head]:
    """The head of every file of a journal, in the order of the writers; none where there is none.
    A file that cannot be read has none.
    """
    return [Head(one.writer, one.events, one.chain) for one in follow_all(folder) if one.events]


class HeadsMemory:
    """The heads of one journal, asked for again and again while it grows: a file is followed once
    more only where it has changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[_Stamp, Head]] = {}

    def heads(self, own: Head) -> list[Head]:
        """As `heads_of`. `own` is the head of the caller's own file, which is not followed."""
        heads = [own] if own.events else []
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path.stem != own.writer:
                heads += self._head(path)
        return sorted(heads, key=lambda head: head.writer)

    def _head(self, path: Path) -> list[Head]:
        """The head of one file; nothing where it has none."""
        try:
            stamp = _stamp(path)
            if path not in self._known or self._known[path][0] != stamp:
                one = follow(path)
                self._known[path] = stamp, Head(one.writer, one.events, one.chain)
        except OSError:
            return []
        head = self._known[path][1]
        return [head] if head.events else []


def _stamp(path: Path) -> _Stamp:
    """What changes when a journal is written to: its inode, its size, and the time of its last
    write.
    """
    seen = path.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def head_of(heads: Iterable[Head]) -> str:
    """One SHA-256 over all heads, whatever their order: 64 hexadecimal digits."""
    lines = sorted(f"{head.writer} {head.events} {head.chain or _EMPTY_SHA256}\n" for head in heads)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def to_document(heads: Sequence[Head]) -> dict[str, Any]:
    """The heads as a passport holds them, in `provenance.journal_chain`."""
    return {"head": head_of(heads), "writers": msgspec.to_builtins(list(heads))}


def from_document(value: object) -> list[Head]:
    """The heads that a passport states.

    Raises:
        UsageError: they are not as `to_document` writes them, or do not give the head beside them.
    """
    try:
        stated = msgspec.convert(value, _Stated)
    except msgspec.ValidationError as error:
        raise UsageError(f"provenance.journal_chain is not a list of heads: {error}") from error
    if head_of(stated.writers) != stated.head:
        raise UsageError("provenance.journal_chain: its writers do not give the head beside them")
    return stated.writers


class _Stated(msgspec.Struct, frozen=True):
    head: str
    writers: list[Head]


def verify_heads(folders: Sequence[Path], heads: Iterable[Head]) -> list[Check]:
    """Whether the journals in these folders still hold what the heads state, one check per head."""
    paths: dict[str, Path] = {}
    for folder in folders:
        paths |= {path.stem: path for path in folder.glob(f"*{SUFFIX}")}
    by_writer: dict[str, list[Head]] = defaultdict(list)
    for head in heads:
        by_writer[head.writer].append(head)
    checks: list[Check] = []
    for writer, stated in by_writer.items():
        checks += [_verify(paths.get(writer), head) for head in stated]
    return checks


def _verify(path: Path | None, head: Head) -> Check:
    """Whether a writer's journal still begins with the events that a head states. `path` None: its
    journal is in none of the folders.
    """
    if path is None:
        return _failed(
            head,
            "journal-missing",
            "its journal is not here",
            "give the folder of the experiment or run that made the checkpoint",
        )
    if not head.chain:
        return Check(
            category="provenance",
            name="journal-unchained",
            status="not_checked",
            message="its journal was written before journals were chained",
            where=head.writer,
        )
    try:
        followed = follow(path, wanted={head.events})
    except OSError as error:
        return _failed(head, "journal-missing", f"it cannot be read: {error.strerror}", "")
    return _compare(followed, head)


def _compare(followed: Followed, head: Head) -> Check:
    """The check of a head against the chain as it was followed just now: events were cut off,
    changed, or are as stated.
    """
    if followed.events < head.events:
        why = f"{head.events} events are stated, and {followed.events} are there"
        return _failed(head, "journal-cut", why, "restore it from a backup")
    if followed.after.get(head.events) != head.chain:
        why = f"its first {head.events} events are not those that are stated"
        return _failed(head, "journal-changed", why, "restore it from a backup")
    return Check(
        category="provenance",
        name="journal-holds",
        status="pass",
        message=f"its first {head.events} events are those that are stated",
        where=head.writer,
    )


def _failed(head: Head, name: str, message: str, hint: str) -> Check:
    return Check(
        category="provenance",
        name=name,
        status="fail",
        message=message,
        where=head.writer,
        hint=hint,
    )
