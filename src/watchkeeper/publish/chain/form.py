"""The public form of an event: what is public as it is, and of the rest the hashes.

A node of the form stands for a value of the event:

    {"value": …, "salt": "…"}     shown: its salt opens it and everything in it
    {"fields": {name: node, …}}   an object of which some parts are hidden
    {"items": [node, …]}          a list of which some parts are hidden
    {"hash": "…"}                 hidden

From a form the hash of the event can be computed, and so the chain be followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from watchkeeper.core.chain import tree
from watchkeeper.core.chain.links import read_hex
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events.private import Each, Fields, Privacy, privacy_of_kind

Node = dict[str, Any]
_HASH_BYTES = 32
_KEYS = ({"value", "salt"}, {"fields"}, {"items"}, {"hash"})


class FormError(UsageError):
    """A public form that is none."""

    code = "bad-file"


def public_form(event: dict[str, Any], secret: bytes) -> Node:
    """The public form of an event as JSON has it. `secret` is that of the writer's journal, 32
    bytes: the salts are made from it, and without it no hidden value can be guessed.
    """
    salt = tree.event_salt(secret, event["writer"], event["seq"])
    return _form(event, salt, privacy_of_kind(str(event.get("kind", ""))))


def hash_of(node: object) -> bytes:
    """The hash of what a node stands for: 32 bytes.

    Raises:
        FormError: it is no node.
        RecursionError: it is nested too deeply.
    """
    if not isinstance(node, dict) or set(node) not in _KEYS:
        raise FormError("a part of an event is neither shown nor hidden")
    if "hash" in node:
        return _bytes_of(node["hash"], _HASH_BYTES)
    if "fields" in node:
        return tree.join_object(_hashes_of(node["fields"]))
    if "items" in node:
        return tree.join_list(map(hash_of, _list_of(node["items"])))
    return tree.hash_value(node["value"], _bytes_of(node["salt"], tree.SALT_BYTES))


def shown(node: object) -> Any:
    """What a node shows: of an object or a list the parts that are shown, None for a hidden one.

    A hidden field of an object is left out. A hidden entry of a list is None, so that the others
    keep their places.
    """
    if not isinstance(node, dict):
        return None
    if "fields" in node:
        return {name: shown(part) for name, part in node["fields"].items() if not _is_hidden(part)}
    if "items" in node:
        return [shown(part) for part in node["items"]]
    return node.get("value")


def part_of(node: object, path: Sequence[str]) -> object:
    """The node of a part: path (`changes`, `0`, `job_id`).

    Raises:
        FormError: the form has no such part.
    """
    for name in path:
        node = _inner(node, name)
    return node


def _form(value: Any, salt: bytes, privacy: Privacy) -> Node:
    """The node of a value. `privacy` False: all of it is public; True: nothing is; else it says so
    part by part. An empty object or list has no parts, and is hidden unless it is public.
    """
    if privacy is False:
        return {"value": value, "salt": salt.hex()}
    if value and isinstance(privacy, Fields) and isinstance(value, dict):
        fields: dict[str, Node] = {}
        for name, part in value.items():
            # A field that the event's type does not have may hold anything: it is hidden.
            inner = privacy.by_name.get(name, True)
            fields[name] = _form(part, tree.part_salt(salt, name), inner)
        return {"fields": fields}
    if value and isinstance(privacy, Each) and isinstance(value, list):
        items: list[Node] = []
        for at, part in enumerate(value):
            items.append(_form(part, tree.part_salt(salt, at), privacy.item))
        return {"items": items}
    return {"hash": tree.hash_value(value, salt).hex()}


def _hashes_of(fields: object) -> dict[str, bytes]:
    """The hash of each field of an object; FormError: it is no object, or an empty one."""
    if not isinstance(fields, dict) or not fields:
        raise FormError("the fields of an event are no object, or an empty one")
    return {name: hash_of(part) for name, part in fields.items()}


def _list_of(items: object) -> list[object]:
    """The entries of a list; FormError: it is no list, or an empty one."""
    if not isinstance(items, list) or not items:
        raise FormError("the items of an event are no list, or an empty one")
    return items


def _bytes_of(text: object, size_bytes: int) -> bytes:
    """The bytes in a hash or a salt, which is a text of two digits for each; FormError:
    it is none.
    """
    data = read_hex(text, size_bytes)
    if data is None:
        raise FormError(f"a hash or a salt is not {2 * size_bytes} hexadecimal digits")
    return data


def _is_hidden(node: object) -> bool:
    """Whether a node shows nothing but a hash."""
    return isinstance(node, dict) and "hash" in node


def _inner(node: object, name: str) -> object:
    """The node of one part: a field by its name, an entry of a list by its place from 0.

    Raises:
        FormError: there is none. What is shown as a whole has no parts of its own.
    """
    parts = None
    if isinstance(node, dict):
        parts = node.get("fields", node.get("items"))
    if isinstance(parts, dict) and name in parts:
        return parts[name]
    if isinstance(parts, list) and name.isdecimal() and int(name) < len(parts):
        return parts[int(name)]
    raise FormError(f"the public form has no part {name!r} that can be hidden by itself")
