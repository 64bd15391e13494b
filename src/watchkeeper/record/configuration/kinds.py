"""What kind of value a configuration holds: words, pairs of a name and a value, or values in a row.

No library is imported for it, no attribute of an unknown object is read, and no text is asked of a
large one.
"""

from __future__ import annotations

import datetime
import enum
import functools
import gc
import re
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from pathlib import PurePath
from typing import Any, NamedTuple

import msgspec

from watchkeeper.core.text import redaction
from watchkeeper.core.text.redaction import REDACTED

LABEL = 200  # letters of a type's name
WORDS = 500  # letters of what a value of another kind says of itself
SORTED = 20_000  # of a set: of a larger one, only these are sorted
ARRAY = 1_000  # numbers of an array that are recorded
GRAPH = 200  # objects that a value holds, for its own text to be asked for
GRAPH_BYTES = 100_000  # in them

Pair = tuple[object, object]

_ARRAYS = re.compile(
    r"(numpy|torch|jax|jaxlib|tensorflow|cupy|pandas|polars|pyarrow|mlx|xarray)(\..*)?"
)
_NUMBERS = frozenset({("decimal", "Decimal")})
_SPELLED = frozenset({("fractions", "Fraction"), ("uuid", "UUID"), ("datetime", "timedelta")})
_ROUTINES = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
)
_environment = re.compile(r"env:\s*([A-Za-z0-9_]+)")


class Pairs(NamedTuple):
    """Names and values, of `length` in all where that is known."""

    items: Iterable[Pair]
    length: int | None


class Row(NamedTuple):
    """Values in their order, of `length` in all where that is known."""

    items: Iterable[object]
    length: int | None


def qualified(value: Any) -> str:
    """The name of a class or function: `module.Class.method`, and no module for Python's own. At
    most 200 letters.
    """
    name = (
        getattr(value, "__qualname__", None)
        or getattr(value, "__name__", None)
        or type(value).__name__
    )
    module = getattr(value, "__module__", None)
    if module in (None, "builtins"):
        return f"{name}"[:LABEL]
    return f"{module}.{name}"[:LABEL]


def of_type(value: object) -> str:
    """The name of its type."""
    return qualified(type(value))


def is_sealed(value: object) -> bool:
    """Whether it is a secret by its type: pydantic's SecretStr, SecretBytes and Secret, and what
    does as they do.
    """
    return callable(getattr(type(value), "get_secret_value", None))


def words_of(value: object) -> str | int | float | None:
    """What the value is in a few words or a number; None where its kind has no such words.

    `PurePath("a/b")` → `a/b`, `date(2026, 1, 2)` → `2026-01-02`, `Decimal("0.5")` → 0.5, an enum's
    member → its text or its name, a function → `module.name`. Raises what the value's own code
    raises.
    """
    kind = type(value)
    if isinstance(value, enum.Enum):
        if isinstance(value.value, str):
            return str.__str__(value.value)
        return value.name or repr(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, range) or (kind.__module__, kind.__qualname__) in _SPELLED:
        return str(value)
    if isinstance(value, complex):
        return repr(value)
    if (kind.__module__, kind.__qualname__) in _NUMBERS:
        return float(value)  # type: ignore[arg-type]
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes(value)
    return _named(value)


def _named(value: object) -> str | None:
    """What has a name of its own, or stands for a pattern; None for anything else."""
    if isinstance(value, re.Pattern):
        return str(value.pattern)
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, types.GenericAlias):
        return repr(value)
    if isinstance(value, (type, *_ROUTINES)):
        return qualified(value)
    return None


def _bytes(value: bytes | bytearray | memoryview) -> str:
    """Bytes as Python spells them, at most 500, and how many there are. A view is not read: its
    memory may be another device's.
    """
    if isinstance(value, memoryview):
        return f"<memoryview, {value.nbytes} bytes>"
    if len(value) <= WORDS:
        return f"{bytes(value[:WORDS])!r}"
    return f"{bytes(value[:WORDS])!r}… of {len(value)} bytes"


def content_of(value: object) -> Pairs | Row | str | int | float | bool | None:
    """What it holds, or says where it is an array or one of its kin; None for an object of another
    kind.

    Nothing is taken out yet: `items` of the result may be without end, and its values may be of any
    kind.
    """
    kind = type(value)
    if _ARRAYS.fullmatch(kind.__module__) and not isinstance(value, Mapping):
        array = _array(value)
        if array is not None:
            return array
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return Pairs(zip(kind._fields, value, strict=False), len(value))
    if _is_of("omegaconf", value, "DictConfig", "ListConfig"):
        return _omegaconf(value, sys.modules["omegaconf"])
    if kind is dict:
        return Pairs(value.items(), len(value))  # type: ignore[attr-defined,arg-type]
    if isinstance(value, Mapping) or _is_like_mapping(kind):
        return Pairs(_items(value), _length(value))
    if isinstance(value, Set):
        return Row(_sorted(value), len(value))
    if isinstance(value, Sequence | deque):
        return Row(value, _length(value))
    return _fields(value)


def _fields(value: object) -> Pairs | None:
    """The fields of a dataclass, an attrs class, a pydantic model, a struct or a namespace; None
    for any other value.

    Extra fields that a model of pydantic allows are among them.
    """
    kind = type(value)
    names = _declared_names(value)
    if names is not None:
        return Pairs(_attributes(value, names), None)
    if _is_pydantic(kind):
        pairs = list(vars(value).items())
        extra = getattr(value, "__pydantic_extra__", None)
        if isinstance(extra, dict):
            pairs += extra.items()
        return Pairs(pairs, None)
    if _is_namespace(value):
        return Pairs(list(vars(value).items()), None)
    if isinstance(value, functools.partial):
        return Pairs(
            [("function", value.func), ("args", value.args), ("keywords", value.keywords)], None
        )
    if kind.__name__ == "FlagValues" and hasattr(kind, "flag_values_dict"):  # absl
        return Pairs(list(value.flag_values_dict().items()), None)  # type: ignore[attr-defined]
    return None


def _declared_names(value: object) -> Iterable[str] | None:
    """The fields that a struct, a dataclass or an attrs class declares; None for other values."""
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if hasattr(kind, "__dataclass_fields__"):
        declared = kind.__dataclass_fields__.values()
        # A ClassVar is declared too, but is no field of the value.
        return [field.name for field in declared if field._field_type.name == "_FIELD"]
    if hasattr(kind, "__attrs_attrs__"):
        return [field.name for field in kind.__attrs_attrs__]
    return None


def _is_pydantic(kind: type) -> bool:
    """Whether this is a model of pydantic 2, or of pydantic 1."""
    if hasattr(kind, "__pydantic_fields__"):
        return True
    return hasattr(kind, "__fields__") and hasattr(kind, "__fields_set__")


def _is_namespace(value: object) -> bool:
    """Whether it is a namespace of `types`, or of argparse, if the program has imported that."""
    if isinstance(value, types.SimpleNamespace):
        return True
    argparse = sys.modules.get("argparse")
    return argparse is not None and isinstance(value, argparse.Namespace)


def attributes_of(value: object) -> Pairs | None:
    """The attributes of an object, or of a class, that somebody wrote to hold settings; None where
    it can have none.

    Those of a class are its own and those of the classes above it, without methods, properties and
    private names:

        class Config:
            lr = 1e-4
            epochs = 3

    has `lr` and `epochs`. A class that declares fields for its instances holds no values itself.
    """
    if isinstance(value, (types.ModuleType, *_ROUTINES)):
        return None
    own: Any
    if isinstance(value, type):
        kind = value
        own = {}
        if _has_fields(kind):
            return None
    else:
        kind = type(value)
        own = getattr(value, "__dict__", None)
    if own is None or kind.__module__ == "builtins":
        return None
    held: dict[str, object] = {}
    for base in reversed(kind.__mro__):
        if base.__module__ == "builtins":
            continue
        for name, inner in vars(base).items():
            if _is_setting(name, inner):
                held[name] = inner
    return Pairs(list({**held, **own}.items()), None)


def _has_fields(kind: type) -> bool:
    """Whether a class declares what its instances hold: the class itself holds no settings."""
    return any(
        hasattr(kind, name)
        for name in ("__dataclass_fields__", "__attrs_attrs__", "__fields__", "__struct_fields__")
    )


def _is_setting(name: str, value: object) -> bool:
    """Whether a class's attribute is a value, not a part of the class: a method, a property or a
    descriptor.
    """
    if name.startswith("_") or isinstance(value, _ROUTINES):
        return False
    return not hasattr(type(value), "__get__")


def _attributes(value: object, names: Iterable[str]) -> Iterator[Pair]:
    """The attributes of these names with their values. One that raises is recorded as not readable,
    and the others all the same.
    """
    for name in names:
        try:
            inner = getattr(value, name)
        except Exception as error:
            inner = unreadable(error)
        yield name, inner


def unreadable(error: BaseException) -> str:
    """What stands for a value that could not be had."""
    return f"<not readable: {type(error).__name__}>"


# ── mappings and sets


def _is_like_mapping(kind: type) -> bool:
    """Such as ml_collections' ConfigDict, which is no Mapping. A table is none."""
    if hasattr(kind, "shape") or issubclass(kind, type):
        return False
    return all(callable(getattr(kind, name, None)) for name in ("keys", "__getitem__", "__len__"))


def _items(value: Any) -> Iterator[Pair]:
    """The keys and values of a mapping, or of what does as one. A value that raises is recorded as
    not readable.
    """
    for key in value.keys():  # noqa: SIM118 - of a mapping that only looks like one, too
        try:
            inner = value[key]
        except Exception as error:
            inner = unreadable(error)
        yield key, inner


def _sorted(value: Set[Any]) -> list[object]:
    """The members of a set in an order that is the same in each process. Those that cannot be
    compared are sorted by their types and, where they are small, by their own texts.
    """
    values = list(islice(value, SORTED))
    try:
        return sorted(values)
    except Exception:
        return sorted(values, key=_rank)


def _rank(value: object) -> tuple[str, str]:
    """What a value is sorted by that may not be comparable."""
    text = ""
    if is_small(value):
        text = repr(value)
    return of_type(value), text


def _length(value: Any) -> int | None:
    """How many values it has; None where it cannot say."""
    try:
        return len(value)
    except Exception:
        return None


def _omegaconf(value: Any, omegaconf: Any) -> Pairs | Row | str | None:
    """A container of OmegaConf's, resolved; what cannot be resolved stands as it was written:
    `???`, `${data.path}`.
    """
    if value._is_none() or value._is_missing() or value._is_interpolation():
        written = omegaconf.OmegaConf.to_container(value, resolve=False)
        if written is None:
            return "None"
        return str(written)
    is_row = isinstance(value, omegaconf.ListConfig)
    keys = range(len(value)) if is_row else list(value.keys())
    pairs = _resolved(value, keys, omegaconf.OmegaConf)
    if is_row:
        return Row((inner for _, inner in pairs), len(keys))
    return Pairs(pairs, len(keys))


def _resolved(value: Any, keys: Iterable[Any], omega: Any) -> Iterator[Pair]:
    """The values of these keys with `${…}` put in.

    What stands for an environment variable whose name is that of a secret (`${oc.env:HF_TOKEN}`) is
    not looked up; what cannot be is given as it was written.
    """
    written: Any = None
    for key in keys:
        if omega.is_missing(value, key):
            yield key, "???"
            continue
        if not omega.is_interpolation(value, key):
            yield key, value[key]
            continue
        if written is None:
            written = omega.to_container(value, resolve=False)
        if any(redaction.is_name(name) for name in _environment.findall(str(written[key]))):
            yield key, REDACTED
            continue
        try:
            yield key, value[key]
        except Exception:
            yield key, written[key]


# ── arrays


def _array(value: Any) -> Row | str | int | float | bool | None:
    """Arrays, tensors, their scalars and types: a small one's numbers, a large one's type and
    shape; None for anything else. Nothing is fetched from a device.

    `<torch.Tensor torch.bfloat16 (4096, 4096)>` stands for a large one, or one on a GPU.
    """
    if _is_of("torch", value, "dtype", "device") or _is_of("numpy", value, "dtype"):
        return str(value)
    if _is_of("numpy", value, "generic"):
        return _item(value.item())
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple):
        return None
    if _is_of("torch", value, "Tensor"):
        value = value.detach()
    if _is_in_memory(value) and _count(shape) <= ARRAY:
        numbers = value.tolist()
        if isinstance(numbers, list):
            return Row(numbers, len(numbers))
        return _item(numbers)
    kind = of_type(value)
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        kind = f"{kind} {dtype}"
    return f"<{kind} {tuple(shape)}>"


def _is_in_memory(value: Any) -> bool:
    """Whether an array's numbers lie in this computer's memory, one behind the other."""
    if _is_of("torch", value, "Tensor"):
        return bool(value.device.type == "cpu" and value.layout == sys.modules["torch"].strided)
    if _is_of("numpy", value, "ndarray"):
        return bool(value.dtype != object)
    return False


def _is_of(library: str, value: object, *kinds: str) -> bool:
    """Whether a value is of one of these classes of a library, which is not imported for it."""
    module = sys.modules.get(library)
    return module is not None and isinstance(value, tuple(getattr(module, kind) for kind in kinds))


def _count(shape: Iterable[int]) -> int:
    """How many numbers an array of this shape has; 1 for one without dimensions."""
    count = 1
    for size in shape:
        count *= size
    return count


def _item(value: object) -> str | int | float | bool:
    """A single number or text as it is recorded; of another kind its own text."""
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


# ── anything else

_address = re.compile(r" at 0x[0-9a-fA-F]+")


def description_of(value: object, *, by_type: bool) -> str:
    """Its type; and, unless only that is wanted, its own text where it has one and holds little."""
    kind = type(value)
    if by_type or kind.__repr__ is object.__repr__ or not is_small(value):
        return f"<{of_type(value)}>"
    words = _address.sub("", repr(value)[: WORDS + 1])
    if len(words) > WORDS:
        words = f"{words[:WORDS]}…"
    if kind.__name__ in words:
        return words
    return f"<{of_type(value)}: {words}>"


def is_small(value: object) -> bool:
    """Whether the value holds few objects of few bytes, so that its text is soon made. No foreign
    code is run.
    """
    seen = {id(value)}
    waiting: list[object] = [value]
    size = 0
    while waiting:
        inner = waiting.pop()
        size += len(inner) if isinstance(inner, str | bytes) else sys.getsizeof(inner, 0)
        if size > GRAPH_BYTES or len(seen) > GRAPH:
            return False
        for each in gc.get_referents(inner):
            if id(each) not in seen and not isinstance(
                each, type | types.ModuleType | types.FunctionType
            ):
                seen.add(id(each))
                waiting.append(each)
    return True
