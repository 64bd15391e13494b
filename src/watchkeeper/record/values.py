"""What users hand in, as what a line of JSON can hold. Nothing here raises on a strange value."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from pathlib import PurePath
from types import ModuleType
from typing import Any

import msgspec

from watchkeeper.core.events import Number

# A metric as a row holds it; a string is a non-finite number's name, or a value that is no number at all.
Metric = int | float | str | None

TEXT_LIMIT = 500  # characters of a value that is no number
DEPTH_LIMIT = 20  # of a nested configuration
CONFIG_TEXT_LIMIT = 100_000  # characters of one text in a configuration

_NON_FINITE: dict[str, Number] = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def spell(value: float) -> Number:
    """The number, or the name of a non-finite one, since JSON has none: NaN, Infinity, -Infinity."""
    return value if math.isfinite(value) else _NON_FINITE[repr(value)]


def unspell(value: Metric) -> Metric:
    """The reverse of `spell`; anything else is left as it is."""
    return _NAMED.get(value, value) if isinstance(value, str) else value


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """The value as bounded text that UTF-8 can hold."""
    try:
        words = value if isinstance(value, str) else repr(value)
    except Exception as error:
        words = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    words = words.encode("utf-8", "replace").decode()
    return words if len(words) <= limit else words[: limit - 1] + "…"


def number(value: object) -> Number | None:
    """The value as a number: numpy scalars and 0-d tensors by their `item()`, Decimal and the like by `float`; a bool is
    0 or 1. None if it is no number.
    """
    try:
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return spell(float(value))
        item = getattr(value, "item", None)
        if callable(item):
            inner = item()
            return number(inner) if isinstance(inner, int | float) else None
        return spell(float(value)) if hasattr(value, "__float__") else None
    except Exception:  # a tensor of many elements, a lazy value that fails: foreign code, and not our loop
        return None


def metric(value: object) -> Metric:
    """The value as a row holds it: a number, None, or else bounded text, so that nothing is left out."""
    if value is None:
        return None
    as_number = number(value)
    return text(value) if as_number is None else as_number


def fields_of(value: object) -> Mapping[Any, Any] | None:
    """The fields of a mapping, a struct, a dataclass or a namespace; None if it is nothing of the kind."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is not None:
        return {name: getattr(value, name, None) for name in names}
    plain = hasattr(value, "__dict__") and not callable(value) and not isinstance(value, ModuleType)
    return vars(value) if plain else None


def tree(value: object, depth: int = 0) -> Any:
    """The value as JSON can hold it: mappings and lists of numbers, texts and None, to a bounded depth."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return text(value.value) if isinstance(value.value, str) else value.name
    if isinstance(value, str):
        return text(value, limit=CONFIG_TEXT_LIMIT)
    if isinstance(value, PurePath):
        return text(str(value))
    if isinstance(value, int | float) or depth >= DEPTH_LIMIT:
        return metric(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [tree(inner, depth + 1) for inner in value]
    as_number = number(value)
    if as_number is not None:
        return as_number
    fields = fields_of(value)
    return text(value) if fields is None else {text(str(key)): tree(inner, depth + 1) for key, inner in fields.items()}
