"""Names that are sortable by time, safe as file names and unique across hosts; and keys as folders.

A key (`r8_lr1e-5/capitalization/epoch0`) is for people; `key_folder` is its place on disk, from
which no key escapes: every part is percent-encoded where it is not plain, and a part that is all
digits too, since digits name attempts.
"""

from __future__ import annotations

import secrets
import unicodedata
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from watchkeeper.core.text import lazy

# Lower-case Crockford base 32: no i, l, o, u, so that ids survive being read aloud and case-folding
# filesystems.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PLAIN = "._=+@,-~"
# Parts that stand for themselves: nearly all, and quicker to see than to encode.
_PLAIN_PART = lazy.pattern(r"[A-Za-z_=+@,~-][A-Za-z0-9._=+@,~-]*")
_MAX_PART_BYTES = 200


def random_text(length: int) -> str:
    """`length` random characters, 5 bits each: 10 of them are 50 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def run_id(now: datetime) -> str:
    """`20260311-150000-<random>`: sorts by time (UTC), 50 random bits, safe as a folder's name."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{random_text(10)}"


def writer_id(now: datetime) -> str:
    """A new writer's id, in the form of a run id: the journal's files then sort by age, and no two
    processes share one.
    """
    return run_id(now)


def token() -> str:
    """An attempt's token: 80 random bits; it travels in the wrapper's file name."""
    return random_text(16)


def _encode_part(part: str) -> str:
    """One part of a key as a folder's name: as it is where it is plain, else percent-encoded.

    lr=1e-5       lr=1e-5
    a b           a%20b
    7             %37, since digits name attempts
    ..            %2E., which leads nowhere
    """
    if _PLAIN_PART.fullmatch(part):
        return part
    encoded = quote(part, safe=_PLAIN)
    if encoded.isdigit() or encoded in (".", "..") or encoded.startswith(".tmp-"):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    return encoded


def key_folder(key: str) -> PurePosixPath:
    """The key's folder below `runs/`: relative, without `..`, reversible by `folder_key`.
    `r8/clean/epoch0` is `r8/clean/epoch0`, `r8/7` is `r8/%37`.
    """
    return PurePosixPath(encoded_key(key))


def encoded_key(key: str) -> str:
    """The path of the key's folder below `runs/`, as text."""
    return "/".join([_encode_part(part) for part in key.split("/")])


def folder_key(folder: PurePosixPath) -> str:
    """The key whose folder this is: `key_folder` backwards."""
    return "/".join(unquote(part) for part in folder.parts)


def name_fault(name: str) -> str:
    """Why `name` cannot name a run or a task ("" if it can).

    Names become folders and parts of keys: one path component, no control characters. Spaces,
    quotes and any script's letters are fine, since no shell ever reads them: `r8 (long)` can,
    `a/b`, `..` and ` r8` cannot.
    """
    if not name:
        return "it is empty"
    if "/" in name or name in (".", ".."):
        return "it must be the name of one folder, without '/' and not '..'"
    if name != name.strip():
        return "it begins or ends with a space"
    for character in name:
        if unicodedata.category(character).startswith(("C", "Zl", "Zp")):
            return "it holds a newline or another control character"
    if name.startswith(".tmp-") or name == ".watchkeeper":
        return "that name is Watchkeeper's own"
    if len(_encode_part(name).encode()) > _MAX_PART_BYTES:
        return f"it is longer than {_MAX_PART_BYTES} bytes"
    return ""
