"""Reading and writing the JSON documents of a checkpoint.

A document may come from a stranger: its size is looked at before a byte of it is read, and what two
readers could read differently (a key twice, NaN) is refused.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.version import SOFTWARE

MOST_DOCUMENT_BYTES = 64 * 2**20
PROGRAM = "watchkeeper"
GENERATED_BY = SOFTWARE
"""The value of `generated_by` in a document that this version writes."""


class DocumentError(UsageError):
    """A document of a checkpoint cannot be read as what it should be."""

    code = "bad-file"


class ForeignDocumentError(UsageError):
    """A file that Watchkeeper did not write has the name of a document."""

    code = "exists"


def read_document(path: Path, most_bytes: int = MOST_DOCUMENT_BYTES) -> dict[str, Any]:
    """The object in a JSON document of at most `most_bytes` bytes.

    Raises:
        DocumentError: it is larger, not UTF-8, not JSON, not an object, or holds a key twice, NaN,
            an infinite number or half a character. A file that is too large is not read.
        OSError: it cannot be read, or is no regular file.
    """
    return parse_document(_read(path, most_bytes), str(path))


def parse_document(data: bytes, where: str) -> dict[str, Any]:
    """The object in the bytes of a JSON document; `where` names it in an error.

    Raises:
        DocumentError: as `read_document`.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DocumentError(f"{where} is not UTF-8: byte {error.start:,}") from error
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        _refuse_half_characters(text, value)
    except UnicodeEncodeError as error:
        raise DocumentError(f"{where} holds half a character: a lone surrogate") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise DocumentError(f"{where} is not a JSON document: {error}") from error
    if not isinstance(value, dict):
        raise DocumentError(f"{where} holds a JSON {type(value).__name__}, not an object")
    return value


def _read(path: Path, most_bytes: int) -> bytes:
    """The bytes of a document, at most `most_bytes`.

    Raises:
        DocumentError: it is larger, or grew while it was read.
        OSError: it cannot be read.
    """
    with files.open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes > most_bytes:
            raise DocumentError(
                f"{path} has {size_bytes:,} bytes and was not read: a document of a checkpoint has "
                f"at most {most_bytes:,}"
            )
        data = files.read_most(file, most_bytes + 1)
    if len(data) > most_bytes:
        raise DocumentError(f"{path} grew above {most_bytes:,} bytes while it was read")
    return data


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError: one of its names stands twice. Which value counts would depend
    on the program that reads it.
    """
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValueError(f"the key {name!r} stands twice in one object")
        seen.add(name)
    return members


def _refuse_constant(name: str) -> NoReturn:
    """Refuse `NaN` and `Infinity`, which Python reads and JSON does not have."""
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    """A number of JSON; ValueError: it is so large that Python would read it as infinity."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return number


def _refuse_half_characters(text: str, value: object) -> None:
    """Refuse an escape of half a character, which no UTF-8 file can hold.

    Raises:
        UnicodeEncodeError: there is one.
    """
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document whole: JSON with two spaces of indent, keys in their order, LF. It replaces
    a document that Watchkeeper wrote, and no other file.

    Raises:
        ForeignDocumentError: something else has this name; it is kept.
        StorageError: it could not be written; what was there is as before.
        ValueError: the document holds NaN or an infinite number.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    refuse_foreign(path)
    files.replace(path, f"{text}\n".encode())


def refuse_foreign(path: Path) -> None:
    """Refuse to replace a file that Watchkeeper did not write.

    Raises:
        ForeignDocumentError: there is one, or a link.
    """
    if not os.path.lexists(path) or _is_ours(path):
        return
    raise ForeignDocumentError(
        f"{path} was not written by Watchkeeper, and is kept",
        hint=f"move it away, then type the same command again: mv {path.name} {path.name}.theirs",
    )


def _is_ours(path: Path) -> bool:
    """Whether a file is a document that Watchkeeper wrote, and so may replace. A link is none:
    behind it may lie anything.
    """
    if path.is_symlink():
        return False
    try:
        document = read_document(path)
    except (DocumentError, OSError):
        return False
    return is_by_watchkeeper(document)


def is_by_watchkeeper(document: Mapping[str, Any]) -> bool:
    """Whether a document says that Watchkeeper wrote it: `generated_by` or `signed_by`, as a text
    that begins with the name or as an object whose `tool` is the name.
    """
    names = [_name_of(document.get(field)) for field in ("generated_by", "signed_by")]
    return PROGRAM in names


def _name_of(author: object) -> str:
    """The name of a program without its version: of `watchkeeper 1.2`, or of `{"tool": "watchkeeper
    1.2"}`; "" where nothing names it.
    """
    if isinstance(author, dict):
        author = author.get("tool")
    if isinstance(author, str) and author:
        return author.split()[0]
    return ""
