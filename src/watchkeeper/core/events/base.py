"""What every event has, how sensitive a field is, and the events of every writer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

# Of a journal's lines. It rises only for a change that an older reader would misread: a field that
# means something else, a kind that takes another's place. New kinds and new optional fields leave
# it as it is: older readers keep the one as unknown and pass over the other.
SCHEMA = 1

# Sensitivity: what publication must know of a field. A plain `str` is free of them by construction.
FilePath = Annotated[str, Meta(extra={"sensitivity": "path"})]
Host = Annotated[str, Meta(extra={"sensitivity": "host"})]
BootId = Annotated[str, Meta(extra={"sensitivity": "host"})]
JobId = Annotated[str, Meta(extra={"sensitivity": "job id"})]
User = Annotated[str, Meta(extra={"sensitivity": "user"})]
Account = Annotated[str, Meta(extra={"sensitivity": "account"})]
# What opens the hashes of a journal: never shown, in no form and to nobody.
Secret = Annotated[str, Meta(extra={"sensitivity": "secret"})]
# Words of a person, a job or a scheduler: they may hold any of the above.
FreeText = Annotated[str, Meta(extra={"sensitivity": "free text"})]

# A time without a zone could mean any of 24 hours: a line that holds one is damaged.
Time = Annotated[datetime, Meta(tz=True)]
Number = int | float | Literal["NaN", "Infinity", "-Infinity"]
Phase = Literal["preparation", "evaluation"]
PHASES: tuple[Phase, ...] = ("preparation", "evaluation")


class Event(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", gc=False
):
    """One immutable fact. `seq` counts a writer's events from 0; `time` is the writer's clock."""

    time: Time
    writer: str
    seq: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One observation with its source. `size_bytes` and `modified` describe a file; None where
    there is none.
    """

    source: FilePath
    what: FreeText
    size_bytes: int | None = None
    modified: Time | None = None


class Opened(Event, frozen=True, kw_only=True, omit_defaults=True, tag="opened"):
    """The first event of each writer's file. `saw[w] = n`: this writer had read n events of writer
    w; `zone` is the IANA time zone of views; `schema` is the version of every line in this file,
    and `software` the version of Watchkeeper that wrote it. In every schema, past and to come, the
    first line has `kind` "opened", an integer `schema` and the text `software`: a reader finds out
    from it whether it can read the rest, and which version can.

    `secret` is what the hashes of this writer's events are salted with, 64 hexadecimal digits; ""
    in a file from before journals were chained. `heads[w]` is the chain of writer w at the last
    seal that had been read, of those writers that no other sealed file names so already.
    """

    schema: int
    software: str
    purpose: str
    zone: str
    host: Host = ""
    boot_id: BootId = ""
    pid: int = 0
    start_ticks: int = 0
    user: User = ""
    saw: dict[str, int] = {}
    secret: Secret = ""
    heads: dict[str, str] = {}


class Chained(Event, frozen=True, kw_only=True, omit_defaults=True, tag="chained"):
    """The events of this writer before this one have this chain (core/chain/links.py): it ends a
    segment of a long file. "": one of them is nested too deeply to be hashed.
    """

    chain: str


class Sealed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="sealed"):
    """The first `bytes` bytes of `file` (a name in the same folder) have this sha256; `previous` is
    the sha256 of the seal this writer knew before, "" for none. `chain` is that of all events
    before this one (core/chain/links.py), "" in a file from before journals were chained.
    """

    file: str
    bytes: int
    sha256: str
    previous: str = ""
    chain: str = ""
