"""Following the chain of a file that lies there, and finding where it breaks.

To hash a million values takes seconds, to hash the file as a whole a hundredth of that. So what was
found in a long file is kept in the user's cache folder, under the SHA-256 of all its bytes: it
counts only for exactly these, which are read each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from watchkeeper.core.chain import links
from watchkeeper.core.chain.tree import SECRET_BYTES
from watchkeeper.core.disk.files import MOST_LINE_BYTES, open_regular
from watchkeeper.core.disk.user_cache import Drawer

LEAST_BYTES = 64 * 2**10
"""Of a file that is worth keeping: a shorter one is followed in some milliseconds."""
_CLOSE = ("sealed", "chained")


class Break(msgspec.Struct, frozen=True):
    """A seal that does not fit the events before it: it stands on this line, counted from 1, and is
    about the events from `first` to `last`, counted from 0.
    """

    line: int
    first: int
    last: int


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """One writer's file. `chain` is that of all its events as they lie there, "" where the file
    has no secret, as one from before journals were chained; `seals` how many of its seals name one,
    and `sealed_events` how many events the last of these covers. `software` wrote it. `after[n]` is
    the chain after n events, for the numbers that were wanted.
    """

    writer: str
    events: int = 0
    chain: str = ""
    seals: int = 0
    sealed_events: int = 0
    software: str = ""
    breaks: tuple[Break, ...] = ()
    after: dict[int, str] = {}


class _Known(msgspec.Struct, frozen=True, array_like=True):
    """What was found in a file of these bytes."""

    sha256: str
    followed: Followed


# Of a journal: what was found in its long files, by name.
_drawer: Drawer[dict[str, _Known]] = Drawer("chains", "chains", dict[str, _Known], 1)


def follow(path: Path, wanted: Collection[int] = ()) -> Followed:
    """Follow the chain of a journal's file. Damaged lines and a torn last line are passed over.

    Raises:
        OSError: it cannot be read.
    """
    return _follow(path, wanted).followed


def _follow(path: Path, wanted: Collection[int] = ()) -> _Known:
    """The hash of a journal's file, and its chain; `wanted`: after how many events the chain is
    asked for. A torn last line counts for the hash alone.
    """
    walk = _Walk(path.stem, wanted)
    digest = hashlib.sha256()
    with open_regular(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES), b""), 1):
            digest.update(line)
            if line.endswith(b"\n"):
                walk.take(number, line.lstrip(b"\0"))
    return _Known(digest.hexdigest(), walk.end())


def follow_all(folder: Path) -> Iterator[Followed]:
    """Follow every file of a journal, in the order of the writers. What cannot be read is left out:
    reading the journal reports it.
    """
    before = _drawer.recall(folder) or {}
    now: dict[str, _Known] = {}
    for path in sorted(folder.glob("*.jsonl")):
        try:
            if path.stat().st_size < LEAST_BYTES:
                yield follow(path)
                continue
            now[path.name] = _follow_once(path, before.get(path.name))
        except OSError:
            continue
        yield now[path.name].followed
    if now != before:
        _drawer.keep(folder, now)


def _follow_once(path: Path, known: _Known | None) -> _Known:
    """Follow a file, unless it has the very bytes in which this was found."""
    if known is not None:
        with open_regular(path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == known.sha256:
                return known
    return _follow(path)


class _Walk:
    """What is known of a file after some of its lines."""

    def __init__(self, writer: str, wanted: Iterable[int]) -> None:
        self._wanted = frozenset(wanted)
        self._chain = links.Chain(writer)
        self._writer = writer
        self._secret: bytes | None = None
        self._software = ""
        self._seals = 0
        self._sealed_events = 0
        self._breaks: list[Break] = []
        self._after: dict[int, str] = {}

    def take(self, number: int, line: bytes) -> None:
        """One more line, with its number."""
        try:
            event = msgspec.json.decode(line)
            if event["writer"] != self._writer:
                return
            self._take_opening(event)
            self._take_seal(number, event)
            self._chain.add(links.hash_event(event, self._secret or b""))
        except links.FAULTS:
            return
        if self._chain.events in self._wanted:
            self._after[self._chain.events] = self._chain.value

    def _take_opening(self, event: dict[str, object]) -> None:
        """Take the secret and the software from the first event of a file, where that is an
        opening.
        """
        if self._chain.events or event["kind"] != "opened":
            return
        self._secret = links.read_hex(event.get("secret"), SECRET_BYTES)
        self._software = str(event.get("software", ""))

    def _take_seal(self, number: int, event: dict[str, object]) -> None:
        """Compare the chain that a seal states with the events before it. Where they differ, one of
        the events since the seal before was changed, and the walk continues with what the seal
        states.
        """
        chain = event.get("chain")
        if event["kind"] not in _CLOSE or not chain:
            return
        if chain != self._chain.value:
            last = self._chain.events - 1
            self._breaks.append(Break(number, self._sealed_events, last))
            self._chain.resume(str(chain))
        self._seals += 1
        self._sealed_events = self._chain.events

    def end(self) -> Followed:
        """All of it."""
        chain = self._chain.value if self._secret is not None else ""
        return Followed(
            writer=self._writer,
            events=self._chain.events,
            chain=chain,
            seals=self._seals,
            sealed_events=self._sealed_events,
            software=self._software,
            breaks=tuple(self._breaks),
            after=self._after,
        )
