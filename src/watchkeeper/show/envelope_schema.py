"""The JSON Schema of an envelope, from the structs that it and its `data` are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from watchkeeper.show.envelope import SCHEMA, Envelope

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NON_FINITE = {"enum": ["NaN", "Infinity", "-Infinity"]}


def envelope_schema(name: str, title: str, answers: Sequence[type] | None) -> dict[str, Any]:
    """The schema, by the name in its `$id`, of an envelope whose `data` is one of the structs, or
    null. None: anything.
    """
    types = [Envelope, *(answers or ())]
    (envelope, *data), parts = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    _require_all_fields(types, parts)
    whole = parts.pop(envelope["$ref"].rpartition("/")[2])
    if answers is not None:
        whole["properties"]["data"] = {"anyOf": [*data, {"type": "null"}]}
    whole["properties"]["schema"] = {"const": SCHEMA}
    whole["title"] = title
    identity = {"$schema": _DRAFT, "$id": f"urn:watchkeeper:{SCHEMA}:{name}"}
    return identity | {key: _polished(value) for key, value in whole.items()} | _definitions(parts)


def _definitions(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"$defs": {name: _polished(part) for name, part in parts.items()}}


def _require_all_fields(types: Sequence[type], parts: dict[str, Any]) -> None:
    """Name every field that is always there: all of a struct that leaves no default out."""
    for struct in _structs_of(msgspec.inspect.multi_type_info(types)):
        part = parts.get(struct.cls.__name__)
        if part is not None and not struct.cls.__struct_config__.omit_defaults:
            part["required"] = [field.encode_name for field in struct.fields]


def _structs_of(value: Any) -> Iterator[msgspec.inspect.StructType]:
    """The structs in a description of types."""
    if isinstance(value, msgspec.inspect.StructType):
        yield value
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _structs_of(inner)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _structs_of(getattr(value, name))


def _polished(value: Any) -> Any:
    """The schema with its texts on one line each, and where a number stands the name of a
    non-finite one allowed.
    """
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return [_polished(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("type") == "number":
        return {"anyOf": [dict(value), _NON_FINITE]}
    return {key: _polished(inner) for key, inner in value.items()}
