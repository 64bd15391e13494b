"""What was said of a checkpoint: who vouched for it, and that it was used though nobody had."""

from __future__ import annotations

from watchkeeper.core.events.base import Event, FilePath, FreeText, Phase


class Vouched(Event, frozen=True, kw_only=True, omit_defaults=True, tag="vouched"):
    """A checkpoint of this attempt was looked at, and signed or not. `path` is its folder, relative
    to the experiment where it lies inside it.

    `verdict` is `pass`, `soft_signal`, `fail` or `not_checked`; `signed` whether a SIGNOFF.json was
    written, `by` the tool that it names, `why` the reason of a soft signal, or why it was not
    signed. The hashes are those of the two documents, "" for one that was not written.
    """

    key: str
    phase: Phase
    attempt: int
    path: FilePath
    verdict: str
    signed: bool = False
    by: str = ""
    why: FreeText = ""
    passport_sha256: str = ""
    signoff_sha256: str = ""


class UnsignedAllowed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="unsigned_allowed"):
    """A person let a piece of work use a checkpoint from elsewhere for which no sign-off holds;
    `why` says what is wrong with it.
    """

    key: str
    phase: Phase
    attempt: int
    path: FilePath
    why: FreeText = ""
