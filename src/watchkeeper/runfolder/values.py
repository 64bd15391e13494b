"""What users hand in, as what a line of JSON can hold. Nothing here raises on a strange value."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from enum import Enum
from operator import index
from pathlib import PurePath
from types import ModuleType
from typing import Any

import msgspec

from watchkeeper.core.events import Number

# A metric as a row holds it; a string is a non-finite number's name, or a value that is no number
# at all.
Metric = int | float | str | None

TEXT_LIMIT = 500  # characters of a value that is no number
# of an integer kept as a number: Python reads its 617 digits whatever limit it was started with
INT_BITS = 2_048
NESTED_DEPTH = 8  # of mappings within a metric
NESTED_NAMES = 1_000  # of one row, that come from mappings within it
DEPTH_LIMIT = 20  # of a nested configuration
CONFIG_TEXT_LIMIT = 100_000  # characters of one text in a configuration

_ENDS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_SPELLING: dict[str, Number] = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The names of the numbers that JSON cannot hold, as rows, tables and events spell them."""


def spell(value: float) -> Number:
    """The number, or the name that JSON lacks for it: NaN, Infinity, -Infinity."""
    if math.isfinite(value):
        return value
    return _SPELLING[repr(value)]


def unspell(value: Metric) -> Metric:
    """The reverse of `spell`; anything else is left as it is."""
    if isinstance(value, str):
        return NON_FINITE.get(value, value)
    return value


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """The value as bounded text that UTF-8 can hold.

    Never raises: a value whose `repr` fails is `<Loss, whose repr raised ValueError>`. A text of
    more than `limit` characters ends with an ellipsis.
    """
    try:
        if isinstance(value, str):
            words = value
        else:
            words = _shown(value, limit)
    except Exception as error:
        words = f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    words = words.encode("utf-8", "replace").decode()
    if len(words) <= limit:
        return words
    return words[: limit - 1] + "…"


def _shown(value: object, room: int, around: tuple[int, ...] = ()) -> str:
    """As `repr`; but of Python's own containers no more than has room is looked at, however much
    hangs on them.

        [1, 2, 3]                      `[1, 2, 3]`
        range(10**9) in a list         its own `repr`, which is short
        a list of 10**9 numbers        the first hundred or so: the rest has no room

    `room` is in characters. `around` are the ids of the containers that the value is within: one
    within itself is shown as `[...]`, and so is one that is too deep.
    """
    ends = _ENDS.get(type(value))
    if ends is None or not value:
        return repr(value)
    if id(value) in around or len(around) >= DEPTH_LIMIT:
        return f"{ends[0]}...{ends[1]}"
    inside = (*around, id(value))
    parts: list[str] = []
    for item in _items_of(value):
        parts.append(": ".join(_shown(part, room, inside) for part in item))
        room -= len(parts[-1]) + 2
        if room < 0:
            break
    if isinstance(value, tuple) and len(value) == 1:
        lone = ","
    else:
        lone = ""
    return f"{ends[0]}{', '.join(parts)}{lone}{ends[1]}"


def _items_of(container: Any) -> Iterator[tuple[object, ...]]:
    """A container's items, each with its parts: key and value of a dict, else the item alone.

    An ordinary generator: of a set of millions only the items that are shown are looked at.
    """
    if isinstance(container, dict):
        yield from container.items()
        return
    for item in container:
        yield (item,)


def number(value: object) -> Number | None:
    """The value as a number: numpy scalars and 0-d tensors by their `item()`, Decimal and the like
    by `float`; a bool is 0 or 1.

    None if it is no number, or one that no float and no integer of a reasonable length can hold.
    NaN and infinities are spelled as by `spell`. Never raises, whatever the value's own methods do.
    """
    figure = _figure(value)
    if isinstance(figure, bool):
        return int(figure)
    return figure


def _figure(value: object) -> Number | None:
    """As `number`, with a bool left as it is.

    A tensor on a GPU is waited for here: `item()` copies it.
    """
    try:
        if isinstance(value, int):
            return _whole(value)
        if isinstance(value, float):
            return spell(float(value))
        if _is_moment(value):
            return None
        item = getattr(value, "item", None)
        if callable(item):
            inner = item()
        else:
            inner = value
        if isinstance(inner, int | float):
            return _figure(inner)
        if type(inner) is not type(value):
            return None
        if hasattr(inner, "__index__"):
            return _whole(index(inner))
        return _nearest(inner)
    except (
        Exception
    ):  # a tensor of many elements, a lazy value that fails: foreign code, and not our loop
        return None


def _whole(value: int) -> int | None:
    """The integer; None for one that is too long to be read back everywhere. A bool stays one.

    JSON readers that turn numbers into floats have no use for more than some hundred digits.
    """
    if isinstance(value, bool):
        return value
    if value.bit_length() <= INT_BITS:
        return int(value)
    return None


def _nearest(value: object) -> Number | None:
    """The float nearest to a number of another library (`Decimal`, `Fraction`, a 0-d array); None
    for one beyond all floats, and for what is no number.
    """
    if not hasattr(value, "__float__"):
        return None
    nearest = float(value)
    if math.isinf(nearest) and value != nearest:
        return None
    return spell(nearest)


def _is_moment(value: object) -> bool:
    """Whether it is a time or a duration of numpy's, whose `item()` may be a bare count of
    nanoseconds. It is kept as text, `2026-03-11T15:00:00`.
    """
    return getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M")


def training_step(value: object) -> int | float | None:
    """The value as a training step: a finite number of any library. None if it is none; a bool is
    none either.

    NaN and infinities, which `_figure` spells as texts, are no steps.
    """
    figure = _figure(value)
    if isinstance(figure, bool | str):
        return None
    return figure


def whole_step(value: object) -> int | None:
    """The value as a training step that is a whole number, `400` or `400.0`; None if it is none."""
    step = training_step(value)
    if isinstance(step, float):
        if step.is_integer():
            return int(step)
        return None
    return step


def metric(value: object) -> Metric:
    """The value as a row holds it: a number, a bool, None, or else bounded text, so that nothing is
    left out.

    A member of an enumeration is its value; NaN and infinities are spelled as by `spell`.
    """
    if value is None:
        return None
    if isinstance(value, Enum):
        return metric(value.value)
    figure = _figure(value)
    if figure is None:
        return _words(value)
    return figure


def _words(value: object) -> str:
    """What is no number, as text: times in ISO 8601, a path as it is written, an endless integer by
    its magnitude: `1.071509e+301`.
    """
    try:
        if isinstance(value, int):
            return _magnitude(value)
        if isinstance(value, date | time):
            return value.isoformat()
        if isinstance(value, timedelta | PurePath) or _is_moment(value):
            return text(str(value))
    except Exception:  # a class of somebody's, derived from one of these
        return text(value)
    return text(value)


def _magnitude(value: int) -> str:
    """An integer with six digits behind the point: Python does not print one of many digits."""
    exponent = math.log10(abs(value))
    power = math.floor(exponent)
    sign = "-" if value < 0 else ""
    return f"{sign}{10 ** (exponent - power):.6f}e+{power}"


def flat(metrics: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The metrics with the mappings among them opened: `train={"loss": 0.5}` is `train/loss`.

    What is too deep, within itself, or beyond a thousand names stays a value of its own, and so
    does an empty mapping: a row shows it as text.
    """
    left = NESTED_NAMES

    def opened(name: str, value: object, around: tuple[int, ...]) -> Iterator[tuple[str, object]]:
        nonlocal left
        inner = _entries(value, around)
        if not inner or len(inner) > left:
            yield name, value
            return
        left -= len(inner)
        for key, held in inner:
            yield from opened(f"{name}/{label(key)}", held, (*around, id(value)))

    for name, value in metrics.items():
        yield from opened(name, value, ())


def label(key: object) -> str:
    """The key of a mapping as a name: its `str`, or a description of it where that fails."""
    try:
        return str(key)
    except Exception:
        return text(key)


def _entries(value: object, around: tuple[int, ...]) -> list[tuple[object, object]]:
    """What a mapping holds; nothing of a mapping that is too deep, or within itself.

    `around` are the ids of the mappings that it is within. Empty as well for what is no mapping.
    """
    if not isinstance(value, Mapping):
        return []
    if id(value) in around or len(around) >= NESTED_DEPTH:
        return []
    try:
        return list(value.items())
    except Exception:  # a mapping of somebody's that fails: its text is kept
        return []


def fields_of(value: object) -> Mapping[Any, Any] | None:
    """The fields of a mapping, a struct, a dataclass or a namespace, by name; None if it is nothing
    of the kind.

        argparse.Namespace(lr=0.01), SimpleNamespace(lr=0.01), a dataclass     `{"lr": 0.01}`
        torch.nn.Module(), which can be called; json, a module                 None

    A dataclass's field that is not set, or whose property fails to find it, is None.
    """
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is not None:
        return {name: getattr(value, name, None) for name in names}
    if callable(value) or isinstance(value, ModuleType):
        return None
    if hasattr(value, "__dict__"):
        return vars(value)
    return None


def _enum_word(member: enum.Enum) -> str:
    """An enumeration's member: its value where that is a text, else its name."""
    if isinstance(member.value, str):
        return text(member.value)
    return member.name


def tree(value: object, depth: int = 0) -> Any:
    """The value as JSON can hold it: mappings and lists of numbers, texts and None, to a bounded
    depth.

        Config(lr=1e-3, betas=(0.9, 0.95), data=Path("/data/demo"))

    gives `{"lr": 0.001, "betas": [0.9, 0.95], "data": "/data/demo"}`. `depth` is how deep the value
    lies in the whole: at `DEPTH_LIMIT` a container becomes text. Keys become texts, and what has no
    fields becomes its `repr`, cut to `TEXT_LIMIT`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return _enum_word(value)
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
    if fields is None:
        return text(value)
    return {text(str(key)): tree(inner, depth + 1) for key, inner in fields.items()}
