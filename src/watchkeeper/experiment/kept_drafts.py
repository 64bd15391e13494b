"""What long summaries ask for, kept in the user's cache folder: to read 5,000 runs from YAML takes
over a second, to look them up a hundredth of that.

What is kept is disposable, and counts only for the same bytes at the same path, read by the same
version: it never changes an answer. Of each path, the last one is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from watchkeeper.core.collector import collector_paused
from watchkeeper.core.disk import user_cache
from watchkeeper.core.version import SOFTWARE
from watchkeeper.experiment.draft import Draft

LEAST_BYTES = 32 * 2**10
"""Of a summary that is worth it: a shorter one is read in some milliseconds."""
_FORMAT = 2  # to rise with each change of how a summary is read


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """A draft, and what it was read from and by."""

    format: int
    software: str
    path: str
    sha256: str
    draft: Draft


_decoder = msgspec.msgpack.Decoder(_Kept)
_encoder = msgspec.msgpack.Encoder()


def draft_of(path: Path, data: bytes, read: Callable[[Path, bytes], Draft]) -> Draft:
    """The draft of the summary at `path`, whose content is `data`, as `read` reads it.

    Raises:
        ExperimentError: `read` raises it; nothing is kept then.
    """
    if len(data) < LEAST_BYTES:
        return read(path, data)
    place = user_cache.folder() / "drafts" / f"{user_cache.name_of(path)}.draft"
    source = (_FORMAT, SOFTWARE, str(path), hashlib.sha256(data).hexdigest())
    known = _load(place)
    if known is not None and (known.format, known.software, known.path, known.sha256) == source:
        return known.draft
    draft = read(path, data)
    _save(place, _Kept(*source, draft))
    return draft


def _load(place: Path) -> _Kept | None:
    data = user_cache.recall(place)
    if data is None:
        return None
    try:
        with collector_paused():
            return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _save(place: Path, kept: _Kept) -> None:
    try:
        data = _encoder.encode(kept)
    except (UnicodeEncodeError, OverflowError):
        return  # something that no encoding has: it is read each time
    user_cache.keep(place, data)
