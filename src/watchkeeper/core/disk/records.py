"""Small JSON records that lie in files of their own: claims, leases, holds. Another hand may have
changed them.
"""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from watchkeeper.core.disk.files import read_regular

T = TypeVar("T")
MOST_BYTES = 2**20
"""A longer file is no record of ours."""


class UnreadableRecordError(ValueError):
    """The bytes are no record of the kind."""


def decode_record(data: bytes, kind: type[T]) -> T:
    """The record.

    Raises:
        UnreadableRecordError: the bytes are none of this kind.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except RecursionError as error:
        raise UnreadableRecordError("JSON that is nested too deeply") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableRecordError(str(error)) from error


def read_record(path: str | os.PathLike[str], kind: type[T]) -> T:
    """The record in a file.

    Raises:
        OSError: it cannot be read, or is no regular file.
        UnreadableRecordError: it holds none of this kind.
    """
    data = read_regular(path, MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UnreadableRecordError(f"it has more than {MOST_BYTES:,} bytes")
    return decode_record(data, kind)
