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

from watchkeeper.core.disk.user_cache import Drawer
from watchkeeper.experiment.draft import Draft

LEAST_BYTES = 32 * 2**10
"""Of a summary that is worth it: a shorter one is read in some milliseconds."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """A draft, and the hash of what it was read from."""

    sha256: str
    draft: Draft


_drawer: Drawer[_Kept] = Drawer("drafts", "draft", _Kept, 3)


def draft_of(path: Path, data: bytes, read: Callable[[Path, bytes], Draft]) -> Draft:
    """The draft of the summary at `path`, whose content is `data`, as `read` reads it.

    Raises:
        ExperimentError: `read` raises it; nothing is kept then.
    """
    if len(data) < LEAST_BYTES:
        return read(path, data)
    sha256 = hashlib.sha256(data).hexdigest()
    known = _drawer.recall(path)
    if known is not None and known.sha256 == sha256:
        return known.draft
    draft = read(path, data)
    _drawer.keep(path, _Kept(sha256, draft))
    return draft
