"""The frames of a `.wandb` file: records one behind another, in blocks of 32 KiB.

The format is LevelDB's log (https://github.com/google/leveldb/blob/main/doc/log_format.md) behind a
header of 7 bytes, with the CRC-32 of zlib over the type and the bytes. A record that does not fit
into its block continues in the next one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import Problem, UsageError

MOST_RECORD_BYTES = 256 * 2**20

_IDENTITY = struct.Struct("<4sHB")
_MAGIC = (b":W&B", 0xBEE1)
_VERSION = 0
_BLOCK = 32 * 1024
_HEAD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_CRC_OF_TYPE = {kind: zlib.crc32(bytes([kind])) for kind in (_WHOLE, _FIRST, _MIDDLE, _LAST)}


class _DamagedBlockError(Exception):
    """The rest of a block cannot be read; its text says why."""


class Frames:
    """The records of one file, as bytes, in the order written.

    `is_torn`: the file ends within a record, as after a crash or while it is being written.
    `problems` are the places where records are missing. Both are known when all were read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_torn = False
        self.problems: list[Problem] = []

    def __iter__(self) -> Iterator[bytes]:
        """Each whole record.

        Raises:
            UsageError: this is no file of W&B, or one of a format that is not known here.
            OSError: it cannot be read.
        """
        with open_regular(self.path) as file:
            self._check_identity(file.read(_IDENTITY.size))
            yield from self._records(file)

    def _check_identity(self, head: bytes) -> None:
        if len(head) < _IDENTITY.size:
            message = f"{self.path} is too short for a .wandb file"
            raise UsageError(message, hint="its run wrote nothing, or it was not copied whole")
        name, magic, version = _IDENTITY.unpack(head)
        if (name, magic) != _MAGIC:
            hint = "give a folder offline-run-…, or the run-….wandb file in it"
            raise UsageError(f"{self.path} is no .wandb file", hint=hint)
        if version != _VERSION:
            message = f"{self.path} has version {version} of W&B's format; {_VERSION} is known here"
            raise UsageError(message, hint="update watchkeeper")

    def _records(self, file: BinaryIO) -> Iterator[bytes]:
        parts: list[bytes] = []
        offset = _IDENTITY.size
        while block := file.read(_BLOCK - offset % _BLOCK):
            is_last = len(block) < _BLOCK - offset % _BLOCK
            try:
                for kind, data in _fragments(block, is_last=is_last):
                    yield from self._joined(parts, kind, data, offset)
            except _DamagedBlockError as error:
                parts.clear()
                self._report(offset, str(error))
            except EOFError:
                self.is_torn = True
            offset += len(block)
        if parts:
            self.is_torn = True

    def _joined(self, parts: list[bytes], kind: int, data: bytes, offset: int) -> Iterator[bytes]:
        """Put a fragment to those before it; a record that is whole now."""
        begins = kind in (_WHOLE, _FIRST)
        if begins == bool(parts):
            self._report(offset, "a record is not whole")
            parts.clear()
            if not begins:
                return
        parts.append(data)
        if sum(map(len, parts)) > MOST_RECORD_BYTES:
            parts.clear()
            self._report(offset, f"a record is longer than {MOST_RECORD_BYTES >> 20} MiB")
        elif kind in (_WHOLE, _LAST):
            record = b"".join(parts)
            parts.clear()
            yield record

    def _report(self, offset: int, what: str) -> None:
        self.problems.append(
            Problem(
                where=f"{self.path}: block at byte {offset:,}",
                message=f"damaged: {what}",
                hint="the other records are read",
                code="unreadable",
            )
        )


def _fragments(block: bytes, *, is_last: bool) -> Iterator[tuple[int, bytes]]:
    """The fragments of a block: their kind and their bytes.

    Raises:
        EOFError: the file ends within a fragment.
        _DamagedBlockError: the bytes are not those that were written.
    """
    at = 0
    while len(block) - at >= _HEAD.size:
        checksum, size, kind = _HEAD.unpack_from(block, at)
        if not checksum and not size and not kind:
            return  # zeros fill what is left of a block
        data = block[at + _HEAD.size : at + _HEAD.size + size]
        if len(data) < size:
            if is_last:
                raise EOFError
            raise _DamagedBlockError("a record is longer than its block")
        if kind not in _CRC_OF_TYPE:
            raise _DamagedBlockError(f"unknown kind {kind} of a record")
        if zlib.crc32(data, _CRC_OF_TYPE[kind]) != checksum:
            raise _DamagedBlockError("a record does not match its checksum")
        yield kind, data
        at += _HEAD.size + size
    if is_last and at < len(block) and any(block[at:]):
        raise EOFError
