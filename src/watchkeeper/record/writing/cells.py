"""Rows of a result table as bytes, and back: CSV (RFC 4180, LF, UTF-8) and JSON lines. Pure.

In CSV an empty cell is None and `""` is the empty text; True, False, numbers, NaN, Infinity and
-Infinity stand bare, and a text that could be taken for one of them is quoted. So every value comes
back as it was, except that what is neither a number nor text comes back as text: JSON for lists and
mappings, ISO 8601 for times, else its repr. pandas reads the same files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

import msgspec

from watchkeeper.runfolder.values import NON_FINITE, spell, text, tree, unspell

Cell = None | bool | int | float | str | list[Any] | dict[str, Any]
Records = tuple[
    list[str], list[bytes], list[str]
]  # the columns, the whole records, what is damaged

ARRAY_LIMIT = 1_000  # elements of an array that a cell holds as a list
BOM = b"\xef\xbb\xbf"
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: dict[str, Cell] = {"": None, "True": True, "False": False, **NON_FINITE}
_FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|\Z)', re.DOTALL)


_PLAIN_WORDS = re.compile(r"[A-Za-z](?:[\w .:/()-]*[\w.:/()-])?", re.ASCII)
"""Texts that need no quotes, unless they are among _WORDS: most of them."""
_AS_THEY_ARE = frozenset({int, float, bool, type(None)})


class DamagedRecordError(ValueError):
    """The record has another number of cells than the header, or is no record at all."""


def plain(value: object) -> Cell:
    """The value as a table holds it. Nothing raises here; what has no number and no text in it
    becomes its repr.

    `np.float32(0.5)` → 0.5, `date(2026, 1, 2)` → `2026-01-02`, a tensor of up to 1,000 numbers → a
    list. A subclass of a number or a text becomes the plain one.
    """
    if value.__class__ in _AS_THEY_ARE:
        return value  # type: ignore[return-value]
    if value.__class__ is str and value.isascii():
        return value
    try:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str(value).encode("utf-8", "replace").decode()
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value)
        if isinstance(value, date):
            return value.isoformat()
        return _foreign(value)
    except Exception:  # foreign code, and not our loop
        return text(value)


def _foreign(value: object) -> Cell:
    """A value of another library as a table holds it: arrays, tensors and their scalars, and what
    has a tree of plain values. Raises what the library raises.
    """
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        inner = item()
        if inner is not value:
            return plain(inner)
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "tolist"):
        if math.prod(shape) <= ARRAY_LIMIT:
            return plain(value.tolist())
        return text(value)
    cell = tree(value)
    if isinstance(cell, str) and hasattr(value, "__float__"):
        cell = unspell(cell)
    if isinstance(cell, list | dict):
        return cell
    if isinstance(cell, bool | int | float | str):
        return cell
    return text(value)


def comparable(value: Cell) -> Cell:
    """The value as a part of a key: 8 is 8.0, NaN is NaN, and a list is its JSON."""
    if isinstance(value, list | dict):
        return _json(value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value


def _json(value: object) -> str:
    """A value as JSON; as its own text where JSON's writer cannot."""
    try:
        return _encoder.encode(value).decode()
    except (ValueError, TypeError):  # an integer too long to print
        return text(value)


def _fits(value: object) -> bool:
    """Whether JSON's writer takes the value: an integer may be too long for it."""
    try:
        return bool(_encoder.encode(value))
    except ValueError:
        return False


def _bare(words: str) -> Cell:
    """The value of a cell without quotes: one of our words, a number, or a text."""
    if words in _WORDS:
        return _WORDS[words]
    if not _NUMBER.fullmatch(words):
        return words
    try:
        if words.lstrip("-").isdigit():
            return int(words)
        return float(words)
    except ValueError:  # longer than Python reads
        return words


def _quoted(words: str) -> str:
    """A text as a quoted cell: a quote within it is written twice (RFC 4180, section 2.7)."""
    return '"' + words.replace('"', '""') + '"'


def _name(words: str) -> str:
    """A column's name as it is written: bare where no reader could take it for something else."""
    is_plain = words.isprintable() and words == words.strip() and words != ""
    if is_plain and not set(words) & set(',"'):
        return words
    return _quoted(words)


def _written(value: Cell) -> str:
    """A value as a cell. A text that would be read as a number or a word of ours is quoted."""
    if value.__class__ is float and value - value == 0.0:
        return repr(value)
    if value.__class__ is str and _PLAIN_WORDS.fullmatch(value) and value not in _WORDS:
        return value
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return _quoted(_json(value))
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError:  # more digits than Python prints: the digits all the same, as text
            return _quoted(hex(value))
    if isinstance(value, float):
        return str(spell(value))
    if _name(value) == value and _bare(value) is value:
        return value
    return _quoted(value)


class Format(Protocol):
    """How a table's rows are written."""

    suffix: str

    def header(self, columns: Sequence[str]) -> bytes:
        """The first line of a file with these columns; b"" if there is none."""
        ...

    def record(self, columns: Sequence[str], row: Mapping[str, Cell]) -> bytes:
        """One row, newline included."""
        ...

    def widen(self, record: bytes, before: int, after: int) -> bytes:
        """A record written when there were `before` columns, now that there are `after`."""
        ...

    def split(self, data: bytes) -> Records:
        """A file's columns, its whole records, and its faults. A torn tail is no fault."""
        ...

    def row(self, columns: Sequence[str], record: bytes) -> dict[str, Cell]:
        """A record's values.

        Raises:
            DamagedRecordError: it has none.
        """
        ...


class Csv:
    """Comma-separated values with one header line."""

    suffix = ".csv"

    def header(self, columns: Sequence[str]) -> bytes:
        """The names, each as text."""
        return ",".join(map(_name, columns)).encode() + b"\n"

    def record(self, columns: Sequence[str], row: Mapping[str, Cell]) -> bytes:
        """The cells in the columns' order; an absent one is None."""
        cells = [_written(row.get(column)) for column in columns]
        # A lone empty cell would be an empty line, which readers of CSV skip.
        return (",".join(cells) if len(cells) > 1 or cells[0] else '""').encode() + b"\n"

    def widen(self, record: bytes, before: int, after: int) -> bytes:
        """The record with empty cells behind it."""
        if before == 1 and record == b'""\n':
            body = b""
        else:
            body = record[:-1]
        if after > before:
            return body + b"," * (after - before) + b"\n"
        return record

    def split(self, data: bytes) -> Records:
        """A record ends at a newline outside quotes."""
        whole, faults = self._records(data.removeprefix(BOM))
        if not whole:
            return [], [], faults
        try:
            columns = [words for words, _ in _fields(whole[0])]
        except DamagedRecordError as error:
            return [], [], [*faults, f"header: {error}"]
        records = []
        for number, record in enumerate(whole[1:], 2):
            try:
                self.row(columns, record)
            except DamagedRecordError as error:
                faults.append(f"record {number}: {error}")
            else:
                records.append(record)
        return columns, records, faults

    def row(self, columns: Sequence[str], record: bytes) -> dict[str, Cell]:
        """Bare cells are numbers or words of ours if they look like it; quoted ones are text."""
        fields = _fields(record)
        if len(fields) != len(columns):
            raise DamagedRecordError(f"{len(fields)} cells where the header names {len(columns)}")
        if len(columns) == 1 and fields[0] == ("", True):
            return {columns[0]: None}
        return {
            column: words if quoted else _bare(words)
            for column, (words, quoted) in zip(columns, fields, strict=True)
        }

    def _records(self, data: bytes) -> tuple[list[bytes], list[str]]:
        """The whole records of a file, and what is damaged in it. What follows the last whole one,
        without an end, is the tail of a write that was cut short, and no damage.
        """
        records: list[bytes] = []
        faults: list[str] = []
        held = b""
        for line in _lines(data):
            held += line
            if held.count(b'"') % 2 or not held.endswith(b"\n"):
                continue
            record = held.lstrip(
                b"\0"
            )  # a node's death can leave a hole of NULs in front of a good row
            if record != held:
                faults.append(f"record {len(records) + 1}: NULs in front of it")
            if record.endswith(b"\r\n"):
                record = record[:-2] + b"\n"
            records.append(record)
            held = b""
        # Without a line's end it is the tail of a write that a death cut short (the kernel may stop
        # at a page's end).
        if held.endswith(b"\n"):
            faults.append(f"the last {len(held)} bytes: a quote is never closed")
        return records, faults


def _lines(data: bytes) -> list[bytes]:
    """The lines of a file with their ends; the last is what has none, b"" for nothing."""
    *lines, rest = data.split(b"\n")
    return [*(line + b"\n" for line in lines), rest]


def _fields(record: bytes) -> list[tuple[str, bool]]:
    """The cells of a record, each with whether it was quoted."""
    words = record[:-1].decode("utf-8", "replace")
    fields: list[tuple[str, bool]] = []
    at = 0
    while True:
        match = _FIELD.match(words, at)
        if match is None:
            raise DamagedRecordError(f"a stray quote at character {at + 1}")
        quoted, bare, comma = match.groups()
        fields.append((bare, False) if quoted is None else (quoted.replace('""', '"'), True))
        at = match.end()
        if not comma:
            return fields


class JsonLines:
    """One JSON object a line. A non-finite number is the text NaN, Infinity or -Infinity, and so
    are these texts.
    """

    suffix = ".jsonl"

    def header(self, columns: Sequence[str]) -> bytes:
        """There is none."""
        return b""

    def record(self, columns: Sequence[str], row: Mapping[str, Cell]) -> bytes:
        """The row's own fields only."""
        fields = {
            name: spell(value) if isinstance(value, float) else value for name, value in row.items()
        }
        try:
            return _encoder.encode(fields) + b"\n"
        except ValueError:  # an integer longer than JSON's writer takes
            held = {name: value if _fits(value) else text(value) for name, value in fields.items()}
            return _encoder.encode(held) + b"\n"

    def widen(self, record: bytes, before: int, after: int) -> bytes:
        """The record as it is."""
        return record

    def split(self, data: bytes) -> Records:
        """A record ends at a newline. The columns are those of all records, in the order of their
        appearance.
        """
        columns: dict[str, None] = {}
        records: list[bytes] = []
        faults: list[str] = []
        for number, line in enumerate(_lines(data)[:-1], 1):
            record = line.lstrip(b"\0")
            if record != line:
                faults.append(f"record {number}: NULs in front of it")
            try:
                columns.update(dict.fromkeys(self.row((), record)))
            except DamagedRecordError as error:
                faults.append(f"record {number}: {error}")
            else:
                records.append(record)
        return list(columns), records, faults

    def row(self, columns: Sequence[str], record: bytes) -> dict[str, Cell]:
        """The object's fields."""
        try:
            return {name: unspell(value) for name, value in _decoder.decode(record).items()}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DamagedRecordError(str(error)) from error


FORMATS: dict[str, Format] = {"csv": Csv(), "jsonl": JsonLines()}
