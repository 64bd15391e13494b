"""What has changed between two states of a page's data, as a page that is open applies it. Pure.

A patch is what `static/patch.js` applies:

    rev, from   the state that it leads to, and the one that it begins from
    fields      a field of the data → its new value
    by          a list whose rows have an identity → the fields that make it up, joined by "/"
    set         such a list → its rows that are new or different, whole
    drop        such a list → the identities of the rows that are gone
    order       such a list → all identities in order; only where `set` does not append
    new         such a list → how many of its rows in `set` were not there before
    cut         such a list → how many changed rows follow later, because the batch was too large
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

MOST_BYTES = 50_000
"""Of one batch."""
_SIZE_OF_CUT = 120
IDENTITIES: Mapping[str, tuple[str, ...]] = {
    "running": ("id",),
    "places": ("id",),
    "rows": ("key",),
    "runs": ("id",),
    "jobs": ("key", "attempt", "execution"),
    "metrics": ("name",),
    "checkpoints": ("path",),
}
"""The lists whose rows have an identity. Every other list is small, and replaced as a whole."""
Data = Mapping[str, Any]
Row = Mapping[str, Any]


def identity_of(row: Row, fields: Sequence[str]) -> str:
    """What names a row in its list: of the fields `key` and `attempt`, `r8/clean/epoch0/2`."""
    return "/".join(str(row[field]) for field in fields)


def patch_between(before: Data, after: Data) -> dict[str, Any] | None:
    """The patch that makes the one of the other, without `rev` and `from`; None: they are equal.
    Both are JSON's own values.

    From `{"runs": [{"id": "a", "n": 1}, {"id": "b", "n": 1}], "at": 1}` to
    `{"runs": [{"id": "a", "n": 2}], "at": 2}` it has `fields` {"at": 2}, `by` {"runs": ("id",)},
    `set` {"runs": [{"id": "a", "n": 2}]} and `drop` {"runs": ["b"]}.
    """
    names = ("fields", "by", "set", "drop", "order", "new", "cut")
    patch: dict[str, Any] = {name: {} for name in names}
    for name, value in after.items():
        old: Any = before.get(name)
        if name in before and old == value:
            continue
        fields = _identity_fields(name, old, value)
        if fields is None:
            patch["fields"][name] = value
        else:
            patch["by"][name] = fields
            _add_rows(patch, name, old, value)
    if patch["fields"] or patch["by"]:
        return patch
    return None


def _identity_fields(name: str, old: Any, new: Any) -> tuple[str, ...] | None:
    """The fields that name the rows of a list; None where it has none, or names no row once."""
    fields = IDENTITIES.get(name)
    if fields is None or not isinstance(old, list) or not isinstance(new, list):
        return None
    for rows in (old, new):
        if not all(isinstance(row, dict) and row.keys() >= set(fields) for row in rows):
            return None
        if len({identity_of(row, fields) for row in rows}) < len(rows):
            return None
    return fields


def _add_rows(patch: dict[str, Any], name: str, old: list[Row], new: list[Row]) -> None:
    """Add how one list of rows becomes the other. The order is named only where new rows do not
    simply follow those that stay.
    """
    fields = patch["by"][name]
    before = {identity_of(row, fields): row for row in old}
    after = {identity_of(row, fields): row for row in new}
    patch["set"][name] = [row for key, row in after.items() if before.get(key) != row]
    gone = [key for key in before if key not in after]
    if gone:
        patch["drop"][name] = gone
    added = [key for key in after if key not in before]
    if added:
        patch["new"][name] = len(added)
    appended = [*(key for key in before if key in after), *added]
    if appended != list(after):
        patch["order"][name] = list(after)


def apply_patch(data: Data, patch: Mapping[str, Any]) -> dict[str, Any]:
    """The data after a patch: what `static/patch.js` does, which the tests compare it with."""
    after = {**data, **patch["fields"]}
    for name, fields in patch["by"].items():
        rows = {identity_of(row, fields): row for row in data[name]}
        for key in patch["drop"].get(name, ()):
            rows.pop(key, None)
        for row in patch["set"].get(name, ()):
            rows[identity_of(row, fields)] = row
        order = patch["order"].get(name, list(rows))
        after[name] = [rows[key] for key in order if key in rows]
    return after


def cut_to_size(
    patch: dict[str, Any], most: int = MOST_BYTES, sent: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """The patch within `most` bytes, with as many rows of its lists as there is room for: what is
    left out is counted in `cut`. None: not one row has room beside the fields. `sent`: a list → the
    last row that the cut before had, so that it is the turn of those behind it where all of them
    change all the time.
    """
    if _size(patch) <= most:
        return patch
    room = most - _size({**patch, "set": {}}) - _SIZE_OF_CUT
    kept: dict[str, list[Row]] = {}
    cut: dict[str, int] = {}
    for name, rows in patch["set"].items():
        kept[name] = []
        last = ""
        if sent is not None:
            last = sent.get(name, "")
        for row in _in_turn(patch, name, last):
            room -= _size(row) + 1
            if room < 0:
                break
            kept[name].append(row)
        if len(kept[name]) < len(rows):
            cut[name] = len(rows) - len(kept[name])
    if not any(kept.values()):
        return None
    return {**patch, "set": kept, "cut": cut}


def last_sent(patch: Mapping[str, Any]) -> dict[str, str]:
    """The last row of each list of a patch that was cut, by its identity."""
    last: dict[str, str] = {}
    for name in patch["cut"]:
        if patch["set"][name]:
            last[name] = identity_of(patch["set"][name][-1], patch["by"][name])
    return last


def _in_turn(patch: Mapping[str, Any], name: str, last: str) -> list[Row]:
    """The rows of a list, those behind the last one first. Where rows are new their order counts:
    then they stay in it.
    """
    rows = patch["set"][name]
    names = [identity_of(row, patch["by"][name]) for row in rows]
    if patch["new"].get(name) or last not in names:
        return list(rows)
    start = names.index(last) + 1
    return [*rows[start:], *rows[:start]]


def _size(value: object) -> int:
    """The bytes that a value takes as JSON."""
    return len(msgspec.json.encode(value))
