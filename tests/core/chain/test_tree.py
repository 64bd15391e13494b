"""The hash of an event depends on all of it, and a salt opens no more than its own part."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.chain import tree

SECRET = bytes(range(32))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


def kinds(value: object) -> object:
    """The value with its types, so that 1, 1.0 and true are three."""
    if isinstance(value, dict):
        return {name: kinds(part) for name, part in value.items()}
    if isinstance(value, list):
        return [kinds(part) for part in value]
    return type(value).__name__, repr(value)


@given(VALUES, VALUES)
def test_two_values_have_one_hash_only_where_they_are_the_same(one: object, other: object) -> None:
    """Under one salt, values differ in their hash exactly where they differ at all."""
    salt = tree.event_salt(SECRET, "w", 0)
    assert (tree.hash_value(one, salt) == tree.hash_value(other, salt)) == (
        kinds(one) == kinds(other)
    )


def test_the_hash_is_as_the_module_says() -> None:
    """Value, object and list are hashed by the rules that others can follow."""
    salt = bytes(16)
    assert tree.part_salt(salt, "a") == sha256(b"watchkeeper salt 1\0" + salt + b"a").digest()[:16]
    value = sha256(b"watchkeeper value 1\0" + tree.part_salt(salt, "a") + b'"\\u00fc"').digest()
    assert tree.hash_value("ü", tree.part_salt(salt, "a")) == value
    whole = sha256(b"watchkeeper object 1\0" + b"\0\0\0\x01a" + value).digest()
    assert tree.hash_value({"a": "ü"}, salt) == whole
    first = tree.hash_value(1, tree.part_salt(salt, 0))
    assert tree.hash_value([1], salt) == sha256(b"watchkeeper list 1\0" + first).digest()
    assert tree.hash_value([], salt) == sha256(b"watchkeeper value 1\0" + salt + b"[]").digest()
    assert tree.event_salt(SECRET, "w", 3) == tree.part_salt(SECRET, "w/3")


def test_the_order_of_an_objects_names_plays_no_role() -> None:
    """The same object, written in another order, has the same hash; a list has not."""
    salt = bytes(16)
    assert tree.hash_value({"a": 1, "b": 2}, salt) == tree.hash_value({"b": 2, "a": 1}, salt)
    assert tree.hash_value([1, 2], salt) != tree.hash_value([2, 1], salt)


def test_names_cannot_be_shifted_into_one_another() -> None:
    """A name is hashed with its length, so no two objects run together."""
    part = bytes(32)
    assert tree.join_object({"a": part}) != tree.join_object({"": part})
    longer = b"b" + part
    assert tree.join_object({"ab": part}) != tree.join_object({"a": longer[:32]})


def test_an_equal_value_elsewhere_has_another_hash() -> None:
    """Each part has its own salt: equal values in two fields, or two events, look unlike."""
    one, other = ({"a": "x", "b": "x"}, {"a": "x"})
    salts = [tree.event_salt(SECRET, "w", seq) for seq in (0, 1)]
    assert salts[0] != salts[1] != tree.event_salt(SECRET, "v", 1)
    parts = {tree.hash_value("x", tree.part_salt(salts[0], name)) for name in one}
    assert len(parts) == 2
    assert tree.hash_value(other, salts[0]) != tree.hash_value(other, salts[1])


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    """Nesting beyond Python's own limit is an error that the caller can name."""
    value: object = 0
    for _ in range(3000):
        value = [value]
    with pytest.raises(RecursionError):
        tree.hash_value(value, bytes(16))


def test_secrets_are_new_each_time() -> None:
    """Two writers have two secrets, of 32 bytes each."""
    assert tree.new_secret() != tree.new_secret()
    assert len(tree.new_secret()) == tree.SECRET_BYTES


def hash_by_the_rules(value: object, salt: bytes) -> bytes:
    """The hash of a value as the module's text has it, made in the plainest way."""
    if value and isinstance(value, dict):
        parts = {}
        for name, part in value.items():
            parts[name] = hash_by_the_rules(part, tree.part_salt(salt, name))
        return tree.join_object(parts)
    if value and isinstance(value, list):
        hashes = []
        for at, part in enumerate(value):
            hashes.append(hash_by_the_rules(part, tree.part_salt(salt, at)))
        return tree.join_list(hashes)
    return sha256(b"watchkeeper value 1\0" + salt + json.dumps(value).encode()).digest()


@given(VALUES)
def test_every_value_is_hashed_by_the_rules(value: object) -> None:
    """What is hashed fast has the hash that others compute."""
    assert tree.hash_value(value, bytes(16)) == hash_by_the_rules(value, bytes(16))
