"""A configuration as JSON can hold it, by one fixed and bounded rule, without secrets.

Mappings, sequences, scalars, dataclasses, attrs classes, pydantic models, msgspec structs,
OmegaConf containers, namespaces, enumerations, paths, sets (sorted), dates, small arrays, dtypes,
functions and classes are recorded as what they are; anything else as its type and, where it is
small, its bounded text, and never by its attributes.

The walk goes level by level, so that what lies deep in one field never leaves its neighbours out.
It ends after a fixed number of values, letters and seconds; what was cut says so where it stood.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from watchkeeper.core.errors import UsageError
from watchkeeper.core.text import redaction
from watchkeeper.core.text.redaction import REDACTED
from watchkeeper.record.configuration import kinds
from watchkeeper.runfolder.values import spell

DEPTH = 20  # of nested containers
ITEMS = 1_000  # of one mapping or sequence
VALUES = 20_000  # of a whole configuration
TEXT = 20_000  # letters of one text
LETTERS = 500_000  # of all texts
SECONDS = 0.5  # for the whole of it: foreign code may be slow
LABEL = 200  # letters of one name
MARGIN = 300  # letters that are read beyond a cut, so that no piece of a secret is left before it
CUT = "…"
AT_HAND: tuple[type, ...] = (list, tuple, type({}.items()))


class Field(NamedTuple):
    """A value to be recorded as `place[key]`. `holders` are the containers that it lies in."""

    value: object
    place: Any
    key: Any
    holders: tuple[object, ...]


def config_fields(config: object) -> dict[str, Any]:
    """The user's configuration as plain fields: of a mapping, a dataclass or the like, a namespace,
    an object or a class with attributes; {} for None.

    Raises:
        UsageError: it has no fields, such as a list or a path.
    """
    if config is None:
        return {}
    if isinstance(config, str | bytes | int | float | list | tuple | PurePath):
        fields = None
    else:
        fields = _fields(config)
    if fields is None:
        raise UsageError(
            (
                f"config is a {type(config).__name__}; it must be a mapping, a dataclass or a "
                "namespace"
            ),
            hint="for a file, read it first: config=yaml.safe_load(open('config.yaml'))",
        )
    return fields


def settings(config: object) -> dict[str, Any]:
    """The same of what a library hands over: {} for anything without fields."""
    if config is None:
        return {}
    return _fields(config) or {}


def plain(value: object) -> Any:
    """The value as mappings, lists, texts, numbers, true, false and None. Raises nothing."""
    return _Walk().take(value)


def _fields(config: object) -> dict[str, Any] | None:
    """The fields of a configuration, or the attributes of an object that holds settings; None where
    it has neither, such as a list.
    """
    recorded = plain(config)
    if isinstance(recorded, dict):
        return recorded
    try:
        attributes = kinds.attributes_of(config)
        if attributes is None:
            return None
        return _Walk().take_pairs(attributes)
    except Exception:  # an object that cannot be looked into: what it is, is recorded
        return {"config": recorded}


class _Walk:
    """One walk through a configuration, and how much more it may take."""

    def __init__(self) -> None:
        self._values = VALUES
        self._letters = LETTERS
        self._ends = time.monotonic() + SECONDS
        self._waiting: deque[Field] = deque()

    def take(self, value: object) -> Any:
        """The value as it is recorded."""
        whole: list[Any] = [None]
        self._waiting.append(Field(value, whole, 0, ()))
        self._finish()
        return whole[0]

    def take_pairs(self, pairs: kinds.Pairs) -> dict[str, Any]:
        """The same of names and values."""
        kept = self._mapping(pairs, ())
        self._finish()
        return kept

    def _finish(self) -> None:
        """Record what waits, level by level, until nothing does."""
        while self._waiting:
            field = self._waiting.popleft()
            try:
                field.place[field.key] = self._recorded(field)
            except Exception as error:  # foreign code, which may do anything
                field.place[field.key] = (
                    f"<{kinds.of_type(field.value)}, not readable: {type(error).__name__}>"
                )

    def _recorded(self, field: Field) -> Any:
        """The value; of a container the container, whose values wait for their turn."""
        value = field.value
        if type(value) in (str, int, float, bool) or value is None:
            return self._scalar(value)  # type: ignore[arg-type]
        words = kinds.words_of(value)
        if words is None and isinstance(value, str | int | float):
            words = value
        if words is not None:
            return self._scalar(words)
        if kinds.is_sealed(value):
            return REDACTED
        return self._container(field)

    def _container(self, field: Field) -> Any:
        """A container, whose values wait for their turn; of an object of another kind its
        description. What contains itself, and what would be too much, is said in words.
        """
        value = field.value
        name = kinds.of_type(value)
        if any(value is holder for holder in field.holders):
            return f"<{name}, which contains itself>"
        content = kinds.content_of(value)
        if content is None:
            return self._text(kinds.description_of(value, by_type=self._is_late))
        if not isinstance(content, kinds.Pairs | kinds.Row):
            return self._scalar(content)
        if len(field.holders) >= DEPTH or self._values <= 0 or self._letters <= 0:
            return f"<{name}, cut: the configuration is too large>"
        holders = (*field.holders, value)
        if isinstance(content, kinds.Pairs):
            return self._mapping(content, holders)
        return self._sequence(content, holders)

    @property
    def _is_late(self) -> bool:
        """Whether the time is over: what is left is recorded by its type alone."""
        return time.monotonic() > self._ends

    def _mapping(self, pairs: kinds.Pairs, holders: tuple[object, ...]) -> dict[str, Any]:
        """Names and values as a mapping. A secret is hidden before it is looked at; what was left
        out stands under `…`.
        """
        kept: dict[str, Any] = {}
        items, rest = self._some(pairs.items, pairs.length)
        for key, value in items:
            label = self._label(key, kept)
            if _is_secret(label, value):
                kept[label] = REDACTED
            else:
                kept[label] = None
                self._waiting.append(Field(value, kept, label, holders))
        if rest:
            kept[CUT] = rest
        return kept

    def _sequence(self, row: kinds.Row, holders: tuple[object, ...]) -> list[Any]:
        """Values in a row as a list. `["--token", "…"]` is a row, too: what follows the name of a
        secret is hidden.
        """
        items, rest = self._some(row.items, row.length)
        items = redaction.without_secret_words(items)
        kept: list[Any] = [None] * len(items)
        self._waiting.extend(
            Field(value, kept, index, holders) for index, value in enumerate(items)
        )
        if rest:
            kept.append(f"{CUT} {rest}")
        return kept

    def _some(self, items: Iterable[Any], length: int | None) -> tuple[list[Any], str]:
        """The first items, as many as may be taken, and what is said of the rest: "" where there is
        none. Those of Python's own containers are at hand; others may take their time.
        """
        kept: list[Any] = []
        limit = min(ITEMS, self._values)
        at_hand = type(items) in AT_HAND
        try:
            for item in items:
                if len(kept) >= limit or (self._is_late and not at_hand):
                    return kept, "more" if length is None else f"{length - len(kept)} more"
                kept.append(item)
        except Exception as error:
            return kept, kinds.unreadable(error)
        finally:
            self._values -= len(kept)
        if length is not None and length > len(kept):  # of a large set
            return kept, f"{length - len(kept)} more"
        return kept, ""

    def _label(self, key: object, taken: Mapping[str, Any]) -> str:
        """The name of a field, another than those before: `1` and `"1"` are two."""
        try:
            label = self._text(str(self._key(key)), LABEL)
        except Exception as error:
            label = f"<{kinds.of_type(key)}, not readable: {type(error).__name__}>"
        while label in taken:
            label = f"{label} ({type(key).__name__})"
        return label

    def _key(self, key: object) -> object:
        """A key as it is shown."""
        if key is None or type(key) is str:
            return key
        words = kinds.words_of(key)
        if words is not None:
            return words
        if isinstance(key, str | int | float):
            return self._scalar(key)
        if isinstance(key, tuple) and kinds.is_small(key):
            return repr(key)
        return kinds.description_of(key, by_type=self._is_late)

    def _scalar(self, value: str | int | float | bool | None) -> Any:
        """A plain value as JSON has it. Subclasses of texts and numbers become the plain ones."""
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return _integer(int.__index__(value))
        return spell(float.__float__(value))

    def _text(self, text: str, limit: int = TEXT) -> str:
        """At most `limit` letters of a text, without secrets. What is cut is looked at a little
        beyond the cut, so that no beginning of a secret is left before it.
        """
        limit = max(0, min(limit, self._letters))
        head = text[: limit + MARGIN]
        if not head.isascii():
            head = head.encode("utf-8", "replace").decode()
        kept = redaction.redact(head)
        if len(text) > limit:
            kept = f"{kept[:limit]}{CUT}"
        self._letters -= len(kept)
        return kept


def _is_secret(label: str, value: object) -> bool:
    """Whether a field is a secret by its name. One that cannot be looked at is, in doubt."""
    try:
        return redaction.is_secret(label, value)
    except Exception:  # a value that is nothing one can look at, under a secret's name
        return True


def _integer(number: int) -> int | str:
    """The integer; as words where JSON's readers do not hold it. Python refuses to spell a very
    long one.
    """
    if -(2**63) <= number < 2**64:
        return number
    if number.bit_length() < 2_000:
        return str(number)
    return f"<int of {number.bit_length()} bits>"
