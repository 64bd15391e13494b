"""Decoders of rows whose names are known: several times as fast as one of any rows, because no
dictionary is made of a row, and what is not wanted is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from watchkeeper.core.text import lazy

MOST_NAMES = 4096
"""Of one row: rows with more are decoded as any rows are."""
Value = float | bool | str | None
Decoder = msgspec.json.Decoder[Any]
_PLAIN_NAME = lazy.pattern(r'[^"\\\x00-\x1f]+')
_Aware = Annotated[datetime, msgspec.Meta(tz=True)]


def narrow_decoder(metric: str, *, with_place: bool = True) -> Decoder | None:
    """Decodes rows into `figure`, that of one metric, with `time` and `step` unless only figures
    are wanted; None of a name that no decoder can have.
    """
    if not _PLAIN_NAME.fullmatch(metric):
        return None
    fields: list[tuple[str, Any, Any]] = [("figure", Value, None)]
    if with_place:
        fields += [("time", str | None, None), ("step", Value, None)]
    row = msgspec.defstruct("Row", fields, rename={"figure": metric}, gc=False)
    return msgspec.json.Decoder(row)


@lru_cache(maxsize=32)
def whole_decoder(names: tuple[str, ...]) -> Decoder | None:
    """Decodes rows that have these fields, `time` among them, in this order; it raises
    `ValidationError` at a row with another one, or whose time has no zone. None of names that no
    decoder can have, or of too many.
    """
    if "time" not in names or len(names) > MOST_NAMES:
        return None
    if not all(map(_PLAIN_NAME.fullmatch, names)):
        return None
    places = _places(names)
    row = msgspec.defstruct(
        "Row",
        [_field(place, name) for place, name in zip(places, names, strict=True)],
        rename=dict(zip(places, names, strict=True)),
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(row)


def _field(place: str, name: str) -> tuple[str, Any, Any]:
    """A field of a struct under another name than its own: names of metrics need not be words."""
    if name == "time":
        return (place, _Aware | None, None)
    return (place, Value, None)


def columns_of(rows: Sequence[Any], names: Sequence[str]) -> dict[str, list[Any]]:
    """The columns of rows that a `whole_decoder` made, by name; None where a row lacks a field.

    Raises:
        ValueError: there is no row.
    """
    if len(rows) < len(names):
        turned = zip(*map(msgspec.structs.astuple, rows), strict=True)
        return dict(zip(names, map(list, turned), strict=True))
    # Column by column, because so many tuples would be garbage to collect.
    fields = map(attrgetter, _places(names))
    return {name: list(map(field, rows)) for name, field in zip(names, fields, strict=True)}


def _places(names: Sequence[str]) -> list[str]:
    """Names for as many fields: `field0`, `field1`, and so on."""
    return [f"field{number}" for number in range(len(names))]
