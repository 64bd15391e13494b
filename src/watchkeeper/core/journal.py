"""The journal: a folder with one append-only file per writer, merged when it is read.

A writer is one process. Its file `<writer>.jsonl` begins with `opened` and is created by the first
event, so that a command with nothing to record leaves nothing. Readers never change a file: they
stop at a torn tail (a last line without its newline: the writer died, or is writing), and report a
torn middle as a problem and continue at the next line.

A file whose `opened` states a newer schema would be misread, so none of it is read. Whoever works
on the journal itself is refused (`NewerJournalError`). Whoever reads it as one piece of evidence
among others (`is_evidence=True`: a watcher that looks into a job's run folder, a recorder that is
already at work) gets a problem, and does without it.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from watchkeeper.core import layout, processes
from watchkeeper.core.chain import links, tree, witness
from watchkeeper.core.collector import collector_paused
from watchkeeper.core.disk.files import TEMPORARY_PREFIX, AppendFile, keep_out_of_git, open_regular
from watchkeeper.core.errors import NewerJournalError, NotAWriterError, Problem
from watchkeeper.core.events import (
    DURABLE,
    SCHEMA,
    AnyEvent,
    Chained,
    DamagedLineError,
    Event,
    Leased,
    Opened,
    Opening,
    Sealed,
    Unknown,
    decode,
    decode_known,
    encode,
    newer_opening,
)
from watchkeeper.core.ids import writer_id
from watchkeeper.core.text import lazy, odd_bytes
from watchkeeper.core.version import SOFTWARE

Clock = Callable[[], datetime]
E = TypeVar("E", bound=Event)

SUFFIX = ".jsonl"
MOST_LINE_BYTES = 64 * 2**20  # of an event; a longer line is damaged
SEGMENT_EVENTS = 256  # after this many the chain is written down, and not only at the end
BLOCK_BYTES = 2**18  # so much is read at a time
MOST_OPENING_BYTES = 2**20  # of the first line, which names every writer that was read before

RESTORE = "restore it from a backup"
_RELEASE = lazy.pattern(r"watchkeeper ([0-9][0-9A-Za-z.+!-]{0,40})")


def utc_now() -> datetime:
    """The wall clock, aware, UTC."""
    return datetime.now(UTC)


def local_zone() -> str:
    """The machine's IANA time zone: TZ, else /etc/timezone, else the target of /etc/localtime, else
    UTC.
    """
    named = os.environ.get("TZ", "").removeprefix(":")
    if named and not named.startswith("/") and Path("/usr/share/zoneinfo", named).is_file():
        return named
    try:
        target = os.path.realpath("/etc/localtime")
    except OSError:
        return "UTC"
    return target.partition("/zoneinfo/")[2].removeprefix("posix/") or "UTC"


def _user() -> str:
    """The name of the user; the number where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class Writer:
    """The one writer of one file of a journal. Safe from threads; after a fork the child must open
    its own.
    """

    def __init__(
        self,
        folder: Path,
        purpose: str,
        *,
        clock: Clock = utc_now,
        zone: str = "",
        read: Journal | None = None,
        new_secret: Callable[[], bytes] = tree.new_secret,
    ) -> None:
        """`purpose` is the command or the pipeline's name; `read` is the journal as this process
        has read it when the file is opened (None: it has not); `new_secret` gives 32 bytes.
        """
        self.id = writer_id(clock())
        self.events_written = 0
        self._folder = folder
        self._purpose = purpose
        self._clock = clock
        self._zone = zone or local_zone()
        self._read = read
        self._secret = new_secret()
        self._file = AppendFile(folder / f"{self.id}{SUFFIX}")
        self._digest = hashlib.sha256()
        self._sealed = ""
        self._chain: links.Chain | None = links.Chain(self.id)
        self._segment: list[bytes] = []
        """The lines that the chain does not cover yet. They are hashed when it is written down or
        stated, so that a process that is killed has spent nothing on it."""
        self._unstated = 0
        """How many events were written since the chain was last written down."""
        self._lock = threading.RLock()

    @property
    def opened(self) -> bool:
        """Whether anything was written."""
        return self.events_written > 0

    def write(self, kind: type[E], /, **fields: Any) -> E:
        """Append one event and return it. On return it is kept (see `AppendFile.append`; kinds in
        `events.DURABLE` also survive the death of the node).

        Raises:
            StorageError: it could not be written, and is not part of the journal.
        """
        with self._lock:
            if not self.opened and kind is not Opened:
                self._open()
            if self._unstated >= SEGMENT_EVENTS and kind not in (Chained, Sealed):
                self._unstated = 0
                self.write(Chained, chain=self._follow())
            self._file.revive()
            event = kind(time=self._clock(), writer=self.id, seq=self.events_written, **fields)
            try:
                line = encode(event)  # type: ignore[arg-type]  # every Event subclass is one of AnyEvent
            except UnicodeEncodeError:
                event = odd_bytes.in_all(event)
                line = encode(event)  # type: ignore[arg-type]
            self._file.append(line, durable=kind.__struct_config__.tag in DURABLE)
            self._digest.update(line)
            self._segment.append(line)
            self._unstated += 1
            self.events_written += 1
            return event

    def _open(self) -> None:
        """Write the first event of the file: who writes, and what of the other files was read by
        then.
        """
        me = processes.this_process()
        read = self._read or Journal(self._folder)
        self.write(
            Opened,
            schema=SCHEMA,
            software=SOFTWARE,
            purpose=self._purpose,
            zone=self._zone,
            host=me.host,
            boot_id=me.boot_id,
            pid=me.pid,
            start_ticks=me.start_ticks,
            user=_user(),
            saw=read.saw,
            secret=self._secret.hex(),
            heads=witness.unnamed_heads(read.events),
        )
        if self._folder.parent.name == layout.OURS:
            keep_out_of_git(self._folder.parent)

    @property
    def chain(self) -> tuple[int, str]:
        """How many events were written, and the chain over them: 64 hexadecimal digits, "" where
        one of them is nested too deeply to be hashed.
        """
        with self._lock:
            return self.events_written, self._follow()

    def _follow(self) -> str:
        """Hash the lines of the segment; returns the chain over all events so far, "" from where
        one of them is nested too deeply to be hashed.
        """
        lines, self._segment = self._segment, []
        if self._chain is None:
            return ""
        try:
            for line in lines:
                self._chain.add(links.hash_line(line, self._secret))
        except RecursionError:
            self._chain = None
            return ""
        return self._chain.value

    def seal(self) -> None:
        """Write down the hash of everything before, so that `check` can tell a later change."""
        with self._lock:
            if not self.opened:
                return
            sha256 = self._digest.hexdigest()
            self._unstated = 0
            self.write(
                Sealed,
                file=self._file.path.name,
                bytes=self._file.size_bytes,
                sha256=sha256,
                previous=self._sealed,
                chain=self._follow(),
            )
            self._sealed = sha256

    def sync(self) -> None:
        """Make what was written survive the death of the node."""
        self._file.sync()

    def close(self) -> None:
        """Seal and close, if anything was written. In a forked child: nothing happens."""
        with self._lock:
            try:
                self.seal()
            except NotAWriterError:
                return
            self._file.close()


def _skip_line(file: BinaryIO, begin: bytes) -> tuple[bytes, int]:
    """The rest of a line that is too long, read and not kept: a damaged line in its place (without
    an end where the file has none), and how many bytes it has.
    """
    size = len(begin)
    while piece := file.readline(MOST_LINE_BYTES):
        size += len(piece)
        if piece.endswith(b"\n"):
            return b"\n", size
    return b"", size


class _Tail:
    """How far one writer's file has been read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = path.stem
        self.fault = ""
        """Why it cannot be read; "" where it can."""
        self.offset = 0
        self.lines = 0
        self.events: list[AnyEvent | Unknown] = []
        self.torn_bytes = 0
        self.is_irregular = False
        self.newer: Opening | None = None
        """What its first line says, where that is of a newer schema: nothing else is read of it."""

    def refresh(self) -> tuple[list[AnyEvent | Unknown], list[Problem]]:
        """The events that were added since the last call, and the problems met. A file that has not
        grown is not opened. One that cannot be read is a problem, and no event.
        """
        new: list[AnyEvent | Unknown] = []
        problems: list[Problem] = []
        try:
            seen = self.path.stat()
            if not stat.S_ISREG(seen.st_mode):
                return new, self._irregular()
            if self.offset and seen.st_size == self.offset + self.torn_bytes:
                return new, problems  # nothing was added
            opened = open_regular(self.path)
        except OSError as error:
            return new, self._unreadable(error)
        with opened as file, collector_paused():
            file.seek(self.offset)
            self._take(file, new, problems)
        self.events += new
        return new, problems

    def _take(self, file: BinaryIO, new: list[AnyEvent | Unknown], problems: list[Problem]) -> None:
        """Read on to the end, or to a torn tail: sound lines by the block, any other one by one."""
        first = 0 if self.events else self.offset + 1
        if not self._take_lines(file, first, new, problems):
            return
        while block := file.read(BLOCK_BYTES):
            end = block.rfind(b"\n") + 1
            events = self._sound_events(block[:end], new)
            if events:
                new += events
                self.lines += len(events)
                self.offset += end
                self.torn_bytes = 0
            file.seek(self.offset)
            if not events and not self._take_lines(file, self.offset + max(end, 1), new, problems):
                return

    def _sound_events(
        self, block: bytes, new: Sequence[AnyEvent | Unknown]
    ) -> list[AnyEvent] | None:
        """The events on whole lines; None where one of these is not simply this writer's next
        event of a known kind, or where the first is still to come, which may be of a newer schema.
        """
        if not (new or self.events):
            return None
        events = decode_known(block.split(b"\n")[:-1])
        if events is None or {event.writer for event in events} != {self.writer}:
            return None
        expected = self._next_seq(new)
        if [event.seq for event in events] != list(range(expected, expected + len(events))):
            return None
        return events

    def _next_seq(self, new: Sequence[AnyEvent | Unknown]) -> int:
        """The number that the event after these has."""
        read = new or self.events
        if not read:
            return 0
        return read[-1].seq + 1

    def _take_lines(
        self, file: BinaryIO, until: int, new: list[AnyEvent | Unknown], problems: list[Problem]
    ) -> bool:
        """Read line by line, as far as lines begin before the byte `until`. False: nothing more is
        to be read.
        """
        while self.offset < until:
            line = file.readline(MOST_LINE_BYTES)
            size = len(line)
            if size == MOST_LINE_BYTES and not line.endswith(b"\n"):
                line, size = _skip_line(file, line)
            self.torn_bytes = 0 if line.endswith(b"\n") else size
            if self.torn_bytes or not line:
                return False
            is_first = not (self.events or new)
            if is_first and (newer := newer_opening(line.lstrip(b"\0"))) is not None:
                self.newer = newer
                return False
            self.offset += size
            self.lines += 1
            event, fault = self._decode(line)
            problems += fault
            if event is not None:
                problems += self._gap(event, new)
                new.append(event)
        return True

    def _unreadable(self, error: OSError) -> list[Problem]:
        """The fault as a problem, the first time."""
        before, self.fault = self.fault, f"it cannot be read: {error.strerror}"
        if before:
            return []
        return [
            Problem(
                where=str(self.path),
                message=self.fault,
                hint="its events are missing",
                code="journal-damaged",
            )
        ]

    def _decode(self, line: bytes) -> tuple[AnyEvent | Unknown | None, list[Problem]]:
        """The event on a line, None: it holds none of this writer's; and the problems with it."""
        problems: list[Problem] = []
        event: AnyEvent | Unknown | None = None
        try:
            event = decode(line)
        except DamagedLineError as error:
            problems.append(self._damaged(str(error)))
        # A node's death can leave a hole of NULs in front of a good line.
        if event is None and line.startswith(b"\0"):
            with contextlib.suppress(DamagedLineError):
                event = decode(line.lstrip(b"\0"))
        if event is not None and event.writer != self.writer:
            problems.append(self._damaged(f"it is of another writer, {event.writer[:100]!r}"))
            event = None
        return event, problems

    def _irregular(self) -> list[Problem]:
        """That it is a pipe, a device or a folder: said once."""
        if self.is_irregular:
            return []
        self.is_irregular = True
        hint = "no writer makes one: remove it, or move it away"
        return [
            Problem(
                where=str(self.path),
                message="not a regular file",
                hint=hint,
                code="journal-damaged",
            )
        ]

    def _damaged(self, why: str) -> Problem:
        """The problem of a line that holds no event of this writer's."""
        where = f"{self.path}:{self.lines}"
        return Problem(
            where=where,
            message=f"damaged line: {why}",
            hint="the other lines are read",
            code="journal-damaged",
        )

    def _gap(self, event: AnyEvent | Unknown, new: list[AnyEvent | Unknown]) -> list[Problem]:
        """The problem of an event whose number is not the next one; [] where it is. `new` are the
        events before it that were just read.
        """
        expected = self._next_seq(new)
        if event.seq == expected:
            return []
        message = f"event {expected} was expected and {event.seq} found"
        return [
            Problem(
                where=f"{self.path}:{self.lines}",
                message=message,
                hint="events in between are lost or damaged",
                code="journal-damaged",
            )
        ]


class Journal:
    """A journal's reader: `events[w]` are the events of writer w so far, in order; `refresh` reads
    what is new.
    """

    def __init__(self, folder: Path, *, is_evidence: bool = False) -> None:
        """`is_evidence`: a file of a newer schema is a problem, and no error."""
        self.folder = folder
        self.problems: list[Problem] = []
        self._is_evidence = is_evidence
        self._is_newer = False
        self._tails: dict[str, _Tail] = {}

    @property
    def events(self) -> dict[str, list[AnyEvent | Unknown]]:
        """The events read so far, by writer, writers in the order of their ids (of their start)."""
        return {name: tail.events for name, tail in sorted(self._tails.items())}

    @property
    def saw(self) -> dict[str, int]:
        """How many events of each writer were read."""
        return {name: len(tail.events) for name, tail in sorted(self._tails.items())}

    @property
    def torn_tails(self) -> dict[Path, int]:
        """Files that end in the middle of a line: name → bytes after the last newline."""
        return {tail.path: tail.torn_bytes for tail in self._tails.values() if tail.torn_bytes}

    def refresh(self) -> dict[str, list[AnyEvent | Unknown]]:
        """Read what was added since; returns the new events by writer. A missing folder is an empty
        journal.

        Raises:
            NewerJournalError: a file is of a newer schema; not where the journal is evidence.
        """
        try:
            names = sorted(os.listdir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        new: dict[str, list[AnyEvent | Unknown]] = {}
        for name in names:
            if not name.endswith(SUFFIX) or name.startswith(TEMPORARY_PREFIX):
                continue
            writer = name.removesuffix(SUFFIX)
            tail = self._tails.get(writer)
            if tail is None:
                tail = self._tails[writer] = _Tail(self.folder / name)
            events, problems = tail.refresh()
            self.problems += problems
            if events:
                new[writer] = events
        self._refuse_newer()
        return new

    def _refuse_newer(self) -> None:
        """Say of the file with the newest schema which version can read it."""
        newer = {tail.path: tail.newer for tail in self._tails.values() if tail.newer is not None}
        if not newer:
            return
        path, opening = max(newer.items(), key=lambda named: named[1].schema)
        error = _newer_journal(path, opening)
        if not self._is_evidence:
            raise error
        if not self._is_newer:
            self._is_newer = True
            message = str(error).removeprefix(f"{path}: ")
            self.problems.append(
                Problem(
                    where=str(path),
                    message=message,
                    hint=error.hint,
                    severity="warning",
                    code=error.code,
                )
            )


def _newer_journal(path: Path, opening: Opening) -> NewerJournalError:
    """The error of a journal that a later version wrote, with how to get that version."""
    release = _RELEASE.fullmatch(opening.software)
    writer = opening.software[:60] or "a later version"
    if release is not None:
        wanted = f"'watchkeeper>={release[1]}'"
    else:
        wanted = "--upgrade watchkeeper"
    return NewerJournalError(
        f"{path}: the journal has schema {opening.schema}, written by {writer}; "
        f"{SOFTWARE} reads schemas up to {SCHEMA}",
        hint=f"use the version that wrote it, or a later one: python -m pip install {wanted}",
    )


def read(folder: Path, *, is_evidence: bool = False) -> Journal:
    """The journal in `folder`, read once.

    Raises:
        NewerJournalError: a file is of a newer schema; not where the journal is evidence.
    """
    journal = Journal(folder, is_evidence=is_evidence)
    journal.refresh()
    return journal


def refuse_newer(folder: Path) -> None:
    """Read the first line of each file of a journal, and no more.

    Raises:
        NewerJournalError: a file is of a newer schema.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            with open_regular(path) as file:
                line = file.readline(MOST_OPENING_BYTES)
        except OSError:
            continue  # whoever reads the journal reports it
        opening = newer_opening(line.lstrip(b"\0"))
        if opening is not None:
            raise _newer_journal(path, opening)


def losses(journal: Journal) -> list[Problem]:
    """What a journal lacks by its own word: lines that are damaged or gone, files that another
    writer had read, files that were changed after their seal.
    """
    return [
        *journal.problems,
        *verify_seals(journal)[1],
        *_missing_events(journal),
        *_missing_heads(journal),
        *_added_events(journal),
    ]


def _missing_events(journal: Journal) -> Iterator[Problem]:
    """What other writers had read of a file, and is no longer there."""
    held = journal.saw
    read_counts: dict[str, int] = {}
    for writer, count in _counts_read(journal):
        read_counts[writer] = max(count, read_counts.get(writer, 0))
    for writer, count in sorted(read_counts.items()):
        left = held.get(writer, 0)
        if left >= count:
            continue
        rest = f"only {left} are there" if left else "the file is gone"
        message = f"another process had read {count} events of this writer, and {rest}"
        yield Problem(
            where=_file_of(journal, writer), message=message, hint=RESTORE, code="journal-damaged"
        )


def _missing_heads(journal: Journal) -> Iterator[Problem]:
    """The files that no longer have the chain that another writer had read."""
    for writer, witnesses in witness.contradicted(journal.events).items():
        message = (
            f"{witnesses[0]} had read it with another chain: events before its seal were changed "
            "or cut out, and it was sealed again"
        )
        yield Problem(
            where=_file_of(journal, writer), message=message, hint=RESTORE, code="journal-damaged"
        )


def _counts_read(journal: Journal) -> Iterator[tuple[str, int]]:
    """(writer, how many of its events had been read): each time that another writer says so."""
    for events in journal.events.values():
        for event in events:
            if isinstance(event, Opened | Leased):
                yield from event.saw.items()


def _added_events(journal: Journal) -> Iterator[Problem]:
    """What was added to a file after its last seal."""
    for writer, events in journal.events.items():
        seals = [index for index, event in enumerate(events) if isinstance(event, Sealed)]
        if not seals or seals[-1] == len(events) - 1:
            continue
        added = len(events) - 1 - seals[-1]
        message = f"{added} events stand behind the last seal: they were added afterwards"
        yield Problem(
            where=_file_of(journal, writer), message=message, hint=RESTORE, code="journal-damaged"
        )


def _file_of(journal: Journal, writer: str) -> str:
    """The path of a writer's file, as text."""
    return str(journal.folder / f"{writer}{SUFFIX}")


def unsealed(journal: Journal) -> dict[str, bool | None]:
    """The writers whose files end without a seal, and whether their process lives (None: nobody
    knows). A file that another writer has read to its end since is none of them.
    """
    read_to_its_end = set(_counts_read(journal))
    lives: dict[str, bool | None] = {}
    for writer, events in journal.events.items():
        if not events or isinstance(events[-1], Sealed):
            continue
        if (writer, len(events)) in read_to_its_end:
            continue
        first = events[0]
        lives[writer] = (
            processes.is_alive(process_of(first)) if isinstance(first, Opened) else False
        )
    return lives


def process_of(opened: Opened) -> processes.ProcessName:
    """The process that writes a journal's file."""
    return processes.ProcessName(
        host=opened.host, boot_id=opened.boot_id, pid=opened.pid, start_ticks=opened.start_ticks
    )


def verify_seals(journal: Journal) -> tuple[int, list[Problem]]:
    """Compare each seal that was read of a writer with its file. Returns the number of seals that
    hold, and the problems.
    """
    held = 0
    problems: list[Problem] = []
    for writer, events in journal.events.items():
        path = journal.folder / f"{writer}{SUFFIX}"
        seals = [event for event in events if isinstance(event, Sealed)]
        try:
            if seals:
                with open_regular(path) as file:
                    data = file.read()
            else:
                data = b""
        except OSError:
            continue  # reading the journal reports it
        previous = ""
        for seal in seals:
            if (
                hashlib.sha256(data[: seal.bytes]).hexdigest() != seal.sha256
                or seal.previous != previous
            ):
                message = (
                    f"the first {seal.bytes} bytes are not what seal {seal.seq} says: the file "
                    "was changed afterwards"
                )
                problems.append(
                    Problem(where=str(path), message=message, hint=RESTORE, code="journal-damaged")
                )
            else:
                held += 1
            previous = seal.sha256
    return held, problems


def encode_json(value: object) -> bytes:
    """Indented JSON with a final newline, as whole files have it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
