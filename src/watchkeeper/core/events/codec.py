"""Events to lines and back; unknown kinds are kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from watchkeeper.core.events.base import SCHEMA, Chained, Event, Opened, Sealed, Time
from watchkeeper.core.events.commands import (
    Answered,
    Assessed,
    CancelAsked,
    Concluded,
    Decided,
    Detached,
    Documented,
    Doubted,
    Halted,
    Intended,
    Judged,
    Leased,
    Observed,
    Planned,
    Polled,
    Postponed,
    Rejected,
    Submitted,
    Verified,
)
from watchkeeper.core.events.exchange import Imported, Published, Synced
from watchkeeper.core.events.expected import Expected
from watchkeeper.core.events.job import (
    Advanced,
    CadenceSet,
    Checkpoint,
    CodeCompared,
    Interrupted,
    Progressed,
    Renamed,
    RowsSealed,
    RunEnded,
    RunStarted,
    Stalled,
    StepFinished,
    StepStarted,
    TableOpened,
    TableSealed,
    TimedOut,
    Vanished,
)
from watchkeeper.core.events.vouching import UnsignedAllowed, Vouched
from watchkeeper.core.events.words import Noted, Tagged


class Unknown(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A line whose kind this version does not know: kept, and shown as unknown."""

    kind: str
    time: Time
    writer: str
    seq: int
    line: bytes


AnyEvent = (
    Opened | Leased | Planned | Decided | Intended | Submitted | Rejected | Doubted | Postponed
    | Polled | Observed | Assessed | Verified | Judged | Documented | Concluded | Detached
    | CancelAsked | RunStarted | StepStarted | StepFinished | Checkpoint | TableOpened | TableSealed
    | Progressed | CadenceSet | Interrupted | TimedOut | Stalled | Advanced | Answered | Vanished
    | Renamed | RowsSealed | RunEnded | Sealed | Chained | Tagged | Noted | Halted | Vouched
    | UnsignedAllowed | Imported | Expected | Synced | Published | CodeCompared
)  # fmt: skip
# What the death of the node may not take: these are fsynced before `Writer.write` returns.
DURABLE = frozenset(
    {
        "opened",
        "leased",
        "expected",
        "intended",
        "submitted",
        "run_started",
        "checkpoint",
        "table_sealed",
        "rows_sealed",
        "interrupted",
        "stalled",
        "vanished",
        "run_ended",
        "sealed",
        "unsigned_allowed",
    }
)
KINDS: dict[str, type[Event]] = {kind.__struct_config__.tag: kind for kind in get_args(AnyEvent)}
_KINDS_IN_BYTES = {name.encode(): kind for name, kind in KINDS.items()}

_encoder = msgspec.json.Encoder()
_KIND_AT = len(b'{"kind":"')  # in every line that `encode` makes


class _Head(msgspec.Struct, frozen=True):
    kind: str
    time: Time
    writer: str
    seq: int
    line: UnsetType = UNSET


# JSON that is nested too deeply is a RecursionError of msgspec's.
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_head_decoder = msgspec.json.Decoder(_Head)


class Opening(msgspec.Struct, frozen=True):
    """What the first line of a journal's file says in every schema."""

    kind: Literal["opened"]
    schema: int
    software: str = ""


_opening_decoder = msgspec.json.Decoder(Opening)


class DamagedLineError(ValueError):
    """The line is no event: not JSON, no common fields, or a known kind with bad fields."""


def encode(event: AnyEvent) -> bytes:
    """The event as one JSON line, newline included."""
    return _encoder.encode(event) + b"\n"


class _Decoders(dict[bytes, Callable[[bytes], AnyEvent]]):
    """Kind → what decodes its lines, made when the first comes: that of all kinds at once costs as
    much as the rest of a short command's start.
    """

    def __missing__(self, kind: bytes) -> Callable[[bytes], AnyEvent]:
        """The decoder of a kind that comes up for the first time; for an unknown kind one that
        tries all, which is not kept.
        """
        if kind not in _KINDS_IN_BYTES:
            return _decoder_of_all().decode
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_KINDS_IN_BYTES[kind])
        self[kind] = decoder.decode
        return decoder.decode


@functools.cache
def _decoder_of_all() -> msgspec.json.Decoder[AnyEvent]:
    """A decoder of every kind that is known."""
    return msgspec.json.Decoder(AnyEvent)


_decoders = _Decoders()


def _decode(line: bytes) -> AnyEvent:
    """Raises one of `_FAULTS`: the line is no event of a known kind."""
    kind = line[_KIND_AT : line.find(b'"', _KIND_AT)]
    try:
        return _decoders[kind](line)
    except _FAULTS:
        return _decoder_of_all().decode(line)  # another writer may have put another field first


def decode(line: bytes) -> AnyEvent | Unknown:
    """The event on a journal's line.

    Raises:
        DamagedLineError: it is none.
    """
    try:
        return _decode(line)
    except _FAULTS as error:
        try:
            head = _head_decoder.decode(line)
        except _FAULTS:
            raise DamagedLineError(f"not an event: {error}") from error
        if head.kind in KINDS:
            raise DamagedLineError(f"{head.kind}: {error}") from error
        return Unknown(kind=head.kind, time=head.time, writer=head.writer, seq=head.seq, line=line)


def decode_known(lines: Iterable[bytes]) -> list[AnyEvent] | None:
    """The events on these lines; None where one of them has none of a known kind."""
    try:
        return [_decode(line) for line in lines]
    except _FAULTS:
        return None


def newer_opening(line: bytes) -> Opening | None:
    """The first line of a file in a schema newer than ours; None for any other line, damaged ones
    included.
    """
    try:
        opening = _opening_decoder.decode(line)
    except _FAULTS:
        return None
    if opening.schema > SCHEMA:
        return opening
    return None
