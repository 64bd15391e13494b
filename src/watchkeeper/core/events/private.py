"""What of an event is private: read from the types of its fields.

It is an allow-list. Public is a field whose type says that it holds numbers, times, words of our
own or keys of runs. Private is a field with a sensitivity (core/events/base.py), one that may hold
anything, one that this version does not know, and everything of an event of an unknown kind.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from watchkeeper.core.events.codec import KINDS


class Fields(NamedTuple):
    """An object whose fields differ: name → how private. A name that is not here is private."""

    by_name: Mapping[str, Privacy]


class Each(NamedTuple):
    """A list whose items are all alike."""

    item: Privacy


Privacy = bool | Fields | Each
"""True: private as a whole. False: public as a whole."""


def privacy_of_kind(kind: str) -> Privacy:
    """How private the fields of events of this kind are; an unknown kind is private as a whole.
    `kind` is a name as in the journal, `opened`; that name itself is public.
    """
    if kind not in KINDS:
        return True
    fields = _privacy_of_struct(KINDS[kind])
    return Fields({**fields.by_name, "kind": False})


def sensitivity_of(hint: Any) -> str:
    """The sensitivity that a type carries, "" for none. `FilePath` carries "path" in the `Meta` of
    its `Annotated`; a plain `str` carries none.
    """
    for meta in get_args(hint)[1:]:
        extra = getattr(meta, "extra", None) or {}
        if "sensitivity" in extra:
            return str(extra["sensitivity"])
    return ""


@functools.cache
def sensitive_fields(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """The fields of a struct whose types carry a sensitivity: name → which. Of `RunItem` these are
    `script` and `workdir`, both "path". What only the items of a list carry is not seen.
    """
    fields: dict[str, str] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        sensitivity = sensitivity_of(hint)
        if sensitivity:
            fields[name] = sensitivity
    return fields


@functools.cache
def _privacy_of_struct(kind: type[msgspec.Struct]) -> Fields:
    """How private each field of a struct is, by the type that it is declared with. Kept: types do
    not change.
    """
    hints = get_type_hints(kind, include_extras=True)
    return Fields({name: _privacy_of_type(hints[name]) for name in kind.__struct_fields__})


def _privacy_of_type(hint: Any) -> Privacy:
    """How private a value of this type is.

    `int` and `datetime` are public, and so is `str`: of our own words and keys alone. `FilePath` is
    private, because it carries a sensitivity; `Any` may hold anything. Of `tuple[OutputFile, ...]`
    each item is as private as the struct's fields.
    """
    if hint is Any or sensitivity_of(hint):
        return True
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _privacy_of_struct(hint)
    origin = get_origin(hint)
    parts = [part for part in get_args(hint) if part not in (Ellipsis, types.NoneType)]
    if origin is Annotated:
        return _privacy_of_type(parts[0])
    if origin in (tuple, list, dict, Union, types.UnionType):
        return _privacy_of_parts(origin, [_privacy_of_type(part) for part in parts])
    return False


def _privacy_of_parts(origin: Any, parts: list[Privacy]) -> Privacy:
    """Of a container or a union: what its parts agree on, else private. `parts` are those of its
    type arguments; `origin` is `list` for `list[int]`.

        list[int]               public
        list[OutputFile]        each item as the struct's fields
        dict[str, FilePath]     private: one of two parts is
        OutputFile | None       as the struct's fields
    """
    if not any(parts):
        return False
    if len(parts) > 1 or parts[0] is True:
        return True
    if origin in (tuple, list):
        return Each(parts[0])
    return parts[0]
