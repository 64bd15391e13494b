"""The events of a run as a package carries them: verifiable by those who may not see everything.

JSON lines. The first says what follows. Then, writer by writer, come the events in their order: of
those that the package is about the public form, of the others the hash alone, so that the chain can
be followed over all of them. A line `head` closes each writer. No secret of a journal is in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.chain import links
from watchkeeper.core.chain.tree import SECRET_BYTES
from watchkeeper.core.disk.files import MOST_LINE_BYTES, open_regular
from watchkeeper.core.journal import SUFFIX
from watchkeeper.publish.chain.form import FormError, hash_of, public_form, shown
from watchkeeper.publish.chain.heads import Head, head_of
from watchkeeper.publish.checks import Check, of_provenance

FORMAT = "watchkeeper public events 1"
_WITH_KEYS = ("items", "decisions", "changes")
_OF_KEYS = ("keys", "missing", "after")
Wanted = Callable[[dict[str, Any]], bool]


def write_bundle(folders: Iterable[Path], wanted: Wanted) -> Iterator[bytes]:
    """The lines of the bundle of the journals in these folders. `wanted` chooses the events whose
    public form is given. A file from before journals were chained gives its head without a chain,
    and none of its events.

    Raises:
        OSError: a file cannot be read.
    """
    heads: list[Head] = []
    yield _line({"format": FORMAT})
    for folder in folders:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            head = yield from _of_file(path, wanted)
            heads.append(head)
    yield _line({"head": head_of(heads)})


def about(keys: Collection[str]) -> Wanted:
    """Chooses the events that speak of no other runs and evaluations than these."""
    chosen = frozenset(keys)
    return lambda event: _keys_of(event) <= chosen


def verify_bundle(lines: Iterable[bytes], heads: Iterable[Head] = ()) -> list[Check]:
    """Follow every chain of a bundle: one check for each writer, one for the whole, and one for
    each of these `heads`, which a passport states. A line that fits nothing ends the reading with a
    failure.

    Without heads from elsewhere a bundle proves only that it fits itself.
    """
    reading = _Reading(heads)
    try:
        for number, line in enumerate(lines, 1):
            reading.number = number
            reading.take(_object_of(line))
        reading.end()
    except (FormError, RecursionError) as error:
        where = f"line {reading.number}"
        reading.checks.append(of_provenance("fail", "events-unreadable", str(error), where))
    return reading.checks


def events_of(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """What the events of a bundle show, hidden parts left out. Verify the bundle first."""
    return map(shown, event_nodes(lines))


def event_nodes(lines: Iterable[bytes]) -> Iterator[object]:
    """The public form of each event in a bundle."""
    for line in lines:
        node = _object_of(line).get("event")
        if node is not None:
            yield node


def _keys_of(event: dict[str, Any]) -> set[str]:
    """The runs and evaluations that an event speaks of where all can read it.

    They stand in its own `key`, in that of each of its `items`, `decisions` or `changes`, and in
    lists of keys.
    """
    parts = [event]
    for name in _WITH_KEYS:
        parts += event.get(name, [])
    keys = {part["key"] for part in parts if part.get("key")}
    for name in _OF_KEYS:
        keys.update(event.get(name, []))
    return keys


def _of_file(path: Path, wanted: Wanted) -> Generator[bytes, None, Head]:
    """The lines of one writer's journal, and its head as what the generator returns.

    The first event holds the journal's secret. One without it was written before journals were
    chained: its head has no chain.
    """
    chain = links.Chain(path.stem)
    secret: bytes | None = None
    yield _line({"writer": path.stem})
    for event in events_of_file(path):
        if not chain.events:
            secret = links.read_hex(event.get("secret"), SECRET_BYTES)
        if secret is None:
            break
        event_hash = links.hash_event(event, secret)
        chain.add(event_hash)
        if wanted(event):
            yield _line({"event": public_form(event, secret)})
        else:
            yield _line({"hash": event_hash.hex()})
    head = Head(path.stem, chain.events, chain.value if secret is not None else "")
    yield _line({"end": msgspec.to_builtins(head)})
    return head


def events_of_file(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a journal's file as JSON has them, what is none left out.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        for line in iter(lambda: file.readline(MOST_LINE_BYTES), b""):
            event = _event_of(line.lstrip(b"\0"), path.stem)
            if event is not None:
                yield event


def _event_of(line: bytes, writer: str) -> dict[str, Any] | None:
    """The event in a line; None: a torn line, no event, or another writer's.

    It is hashed once with an empty secret only to see that it can be.
    """
    if not line.endswith(b"\n"):
        return None
    try:
        event: dict[str, Any] = msgspec.json.decode(line)
        links.hash_event(event, b"")
    except links.FAULTS:
        return None
    if event["writer"] != writer:
        return None
    return event


class _Reading:
    """What is known of a bundle after some of its lines."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self._wanted = {(head.writer, head.events): head for head in heads}
        self._chains: dict[tuple[str, int], str] = {}
        self.number = 0
        self.checks: list[Check] = []
        self._heads: list[Head] = []
        self._chain: links.Chain | None = None
        self._writer = ""
        self._whole = ""

    def take(self, line: dict[str, Any]) -> None:
        """One more line."""
        if self.number == 1 or self._whole:
            self._take_first(line)
        elif "writer" in line:
            self._begin(str(line["writer"]))
        elif "event" in line:
            self._take_event(line["event"])
        elif "hash" in line:
            self._add(hash_of(line))
        elif "end" in line:
            self._end_writer(line["end"])
        else:
            self._take_head(line)

    def end(self) -> None:
        """There are no more lines."""
        if not self._whole:
            raise FormError("the end is missing: it was cut off")
        self.checks += [self._compare_stated(head) for head in self._wanted.values()]
        if self._whole == head_of(self._heads):
            message = f"the chains of {len(self._heads)} writers make up the head"
            self.checks.append(of_provenance("pass", "events-whole", message, self._whole))
            return
        message = "the chains do not make up the head that is stated"
        self.checks.append(of_provenance("fail", "events-changed", message, self._whole))

    def _compare_stated(self, head: Head) -> Check:
        """A head that a passport states against the chain after as many events. More events may
        follow: the journal was written on after the passport.
        """
        if not head.chain:
            message = "the passport states no chain of it"
            return of_provenance("not_checked", "events-unchained", message, head.writer)
        if self._chains.get((head.writer, head.events)) == head.chain:
            message = f"its first {head.events} events are those that the passport states"
            return of_provenance("pass", "passport-holds", message, head.writer)
        message = f"its first {head.events} events are not those that the passport states"
        return of_provenance("fail", "passport-differs", message, head.writer)

    def _take_first(self, line: dict[str, Any]) -> None:
        """The first line, which names the format, and no line behind the head."""
        if self._whole or line.get("format") != FORMAT:
            raise FormError(f"the first line is to be {FORMAT!r}, and the head is to be the last")

    def _begin(self, writer: str) -> None:
        """A line `writer`: the events that follow are that writer's."""
        if self._chain is not None:
            raise FormError(f"the events of {self._writer} have no end")
        self._writer = writer
        self._chain = links.Chain(writer)

    def _take_event(self, node: object) -> None:
        """A line `event`: its public form, of which writer and number are always shown."""
        event = shown(node)
        chain = self._chain
        if not isinstance(event, dict) or chain is None:
            raise FormError("an event shows nothing, or belongs to no writer")
        if (event.get("writer"), event.get("seq")) != (self._writer, chain.events):
            raise FormError("an event is of another writer, or not in its place")
        self._add(hash_of(node))

    def _add(self, event_hash: bytes) -> None:
        """The hash of the next event, shown or hidden."""
        if self._chain is None:
            raise FormError("an event belongs to no writer")
        self._chain.add(event_hash)
        place = (self._writer, self._chain.events)
        if place in self._wanted:
            self._chains[place] = self._chain.value

    def _end_writer(self, stated: object) -> None:
        """A line `end`: the head of the writer, which its events have to make up."""
        chain = self._chain
        if chain is None:
            raise FormError("a writer ends that has not begun")
        here = Head(self._writer, chain.events, chain.value)
        self._chain = None
        self._heads.append(_head_of_line(stated))
        self.checks.append(_compare(here, self._heads[-1]))

    def _take_head(self, line: dict[str, Any]) -> None:
        """The last line: one hash over the heads of all writers."""
        if self._chain is not None or not isinstance(line.get("head"), str):
            raise FormError("the line is none of a bundle")
        self._whole = line["head"]


def _compare(here: Head, stated: Head) -> Check:
    """The check of one writer: the head that its events make up here against the one in
    the bundle.
    """
    if not stated.chain and not here.events and stated.writer == here.writer:
        message = "its journal was written before journals were chained"
        return of_provenance("not_checked", "events-unchained", message, stated.writer)
    if here == stated:
        message = f"its {here.events} events make up its chain"
        return of_provenance("pass", "events-hold", message, here.writer)
    message = "its events do not make up the chain that is stated"
    return of_provenance("fail", "events-changed", message, here.writer)


def _head_of_line(stated: object) -> Head:
    """The head in a line `end`; FormError: it is none."""
    try:
        return msgspec.convert(stated, Head)
    except msgspec.ValidationError as error:
        raise FormError(f"the end of a writer is no head: {error}") from error


def _object_of(line: bytes) -> dict[str, Any]:
    """The object in a line of JSON; FormError: it is none."""
    try:
        value = json.loads(line, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise FormError(f"it is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormError("it is no object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Of two values under one name, programs take one or the other: what was
    verified might not be what is read.
    """
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FormError("a name stands twice in one object")
    return value


def _line(value: object) -> bytes:
    """A value as one line of JSON, in ASCII and without spaces: the same value is the
    same bytes.
    """
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
