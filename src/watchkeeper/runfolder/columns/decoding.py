"""Lines of metric rows into columns. Rows whose names are known are decoded without a dictionary
for each, which is several times as fast.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET

from watchkeeper.core.text import lazy
from watchkeeper.runfolder.columns.held import Columns

MOST_NAMES = 4096
"""Of one piece: with more, its rows are decoded one by one."""
DAMAGE = (
    msgspec.DecodeError,
    msgspec.ValidationError,
    KeyError,
    UnicodeDecodeError,
    RecursionError,
)
_MOST_FAILURES = 8
"""After so many pieces that had to be read line by line, the rest of a file is."""
_PLAIN_NAME = lazy.pattern(r'[^"\\\x00-\x1f]+')
_any_rows = msgspec.json.Decoder(dict[str, Any])
_OURS = ("time", "step")


class Decoding:
    """Decodes the pieces of one file by the names in the pieces before."""

    def __init__(self) -> None:
        self._names: dict[str, None] = dict.fromkeys(_OURS)
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._failures = 0

    def columns_of(self, data: bytes) -> Columns | None:
        """The rows of whole lines; None where they are to be read line by line: something there is
        damaged, or has names that no decoder can have.
        """
        if self._failures >= _MOST_FAILURES:
            return None
        columns = self._decoded(data)
        if columns is None and self._learns(data):
            columns = self._decoded(data)
        if columns is None:
            self._failures += 1
        return columns

    def _decoded(self, data: bytes) -> Columns | None:
        """None: a name is not known, or a line is no row."""
        if self._decoder is None:
            return None
        try:
            rows = self._decoder.decode_lines(data)
        except DAMAGE:
            return None
        if len(rows) != data.count(b"\n"):  # an empty line, which is no row
            return None
        fields = map(attrgetter, _places(len(self._names)))
        times, steps, *metrics = [list(map(field, rows)) for field in fields]
        names = list(self._names)[len(_OURS) :]
        return Columns(times, steps, dict(zip(names, metrics, strict=True)))

    def _learns(self, data: bytes) -> bool:
        """Whether these rows have names that were not known; they are from now on."""
        try:
            found = dict.fromkeys(chain.from_iterable(_any_rows.decode_lines(data)))
        except DAMAGE:
            return False
        if found.keys() <= self._names.keys() and self._decoder is not None:
            return False
        names = self._names | found
        if len(names) > MOST_NAMES or not all(map(_PLAIN_NAME.fullmatch, names)):
            return False
        self._names = names
        self._decoder = _decoder_of(tuple(names))
        return True


def _decoder_of(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    places = _places(len(names))
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [(places[0], datetime), (places[1], Any)]
    fields += [(place, Any, UNSET) for place in places[len(_OURS) :]]
    row = msgspec.defstruct(
        "Row",
        fields,
        rename=dict(zip(places, names, strict=True)),
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(row)


def _places(count: int) -> list[str]:
    return [f"field{number}" for number in range(count)]
