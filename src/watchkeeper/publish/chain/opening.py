"""Opening one field: its owner gives the value and its salt, and anybody can compare them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.chain import links, tree
from watchkeeper.core.chain.tree import SALT_BYTES, SECRET_BYTES
from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import SUFFIX
from watchkeeper.publish.chain.bundle import event_nodes, events_of_file
from watchkeeper.publish.chain.form import FormError, hash_of, part_of, shown
from watchkeeper.publish.checks import Check, of_provenance


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of one event, opened: `path` leads to it (`changes`, `0`, `job_id`), `salt` is 32
    hexadecimal digits. It opens the field and everything in it, and nothing beside it.
    """

    writer: str
    seq: int
    path: tuple[str, ...]
    value: Any
    salt: str


def open_field(journal_folder: Path, writer: str, seq: int, path: Sequence[str]) -> Opening:
    """Open one field of a writer's event number `seq`.

    `journal_folder` holds the writer's file; `path` leads to the field (`changes`, `0`, `job_id`).
    The value and the salt of the result are private until they are given away.

    Raises:
        UsageError: there is no such event or field, it is the journal's secret or holds it, or the
            journal is from before journals were chained.
    """
    file = journal_folder / f"{writer}{SUFFIX}"
    events = _read(file)
    event = next((one for one in events if one["seq"] == seq), None)
    if event is None:
        raise UsageError(f"{file} has no event {seq}", hint="give one of its numbers: wk log")
    secret = links.read_hex(events[0].get("secret"), SECRET_BYTES)
    if secret is None:
        raise UsageError(f"{file} was written before journals were chained")
    if not path or tuple(path) == ("secret",):
        raise UsageError(
            "an event as a whole, and a journal's secret, are never opened",
            hint="name one field",
        )
    value, salt = _walk(event, tree.event_salt(secret, writer, seq), path)
    return Opening(writer, seq, tuple(path), value, salt.hex())


def verify_opening(bundle: Iterable[bytes], opening: Opening) -> Check:
    """Whether what was opened is what the bundle's hash stands for. Verify the bundle as well."""
    where = f"{opening.writer} {opening.seq}: {'.'.join(opening.path)}"
    for node in event_nodes(bundle):
        event = shown(node)
        if (event.get("writer"), event.get("seq")) != (opening.writer, opening.seq):
            continue
        return _compare(node, opening, where)
    return of_provenance("fail", "field-not-found", "the bundle does not hold this event", where)


def _compare(node: object, opening: Opening, where: str) -> Check:
    """The opened value against the hash in the event's public form."""
    salt = links.read_hex(opening.salt, SALT_BYTES)
    try:
        stated = hash_of(part_of(node, opening.path))
    except FormError as error:
        return of_provenance("fail", "field-not-found", str(error), where)
    if salt is not None and tree.hash_value(opening.value, salt) == stated:
        return of_provenance("pass", "field-opened", "it is what the hash stands for", where)
    return of_provenance("fail", "field-differs", "it is not what the hash stands for", where)


def _read(file: Path) -> list[dict[str, Any]]:
    """The events of a writer's file; UsageError: it cannot be read."""
    try:
        return list(events_of_file(file))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _walk(value: Any, salt: bytes, path: Sequence[str]) -> tuple[Any, bytes]:
    """The part of an event that a path leads to, and its salt.

    The salt of a part is made from that of the whole, and not the other way: who has it can open
    nothing beside the part.
    """
    for name in path:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise UsageError(f"the event has no field {'.'.join(path)!r}", hint=_names_in(value))
        salt = tree.part_salt(salt, name)
    return value, salt


def _names_in(value: Any) -> str:
    """What can be named there instead; "": it has no parts."""
    if isinstance(value, dict) and value:
        return f"there is: {', '.join(value)}"
    if isinstance(value, list) and value:
        return f"it is a list: name 0 to {len(value) - 1}"
    return ""
