"""The passport as nested mappings: marks, and what a renewed one keeps."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.publish.passport.document import (
    MEASURED,
    SOURCES,
    Fact,
    compose,
    declared_in,
    facts_of,
    get,
    keys_of,
    leaves,
    path_of,
    put,
    source_of,
    with_unknown_keys,
)

KEYS = st.text(alphabet='ab.\\é "0', max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=4))
def test_a_path_holds_any_keys(keys: list[str]) -> None:
    """The path of nested keys names just these keys, with dots and backslashes in them."""
    assert keys_of(path_of(keys)) == keys


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS)
def test_a_document_is_its_fields(document: dict[str, Any]) -> None:
    """The fields of any document, put at their paths, are the document again."""
    rebuilt: dict[str, Any] = {}
    for path, value in leaves(document):
        put(rebuilt, path, value)
    assert rebuilt == document


@settings(max_examples=40, deadline=None)
@given(DOCUMENTS)
def test_a_renewed_passport_keeps_what_a_person_wrote(document: dict[str, Any]) -> None:
    """Fields without a mark stay at every depth, whatever is observed beside or around them; false,
    0 and "" in them too.
    """
    before = copy.deepcopy(document)
    observed = {"a": Fact(1, "observed"), "b.a": Fact([0], "observed"), "x": Fact(0, "inferred")}
    renewed = compose(document, observed)
    for path, value in leaves(before):
        assert get(renewed, path) == value
    assert document == before


def test_false_zero_and_empty_are_values() -> None:
    """A mask of false entries, `clip_sample: false`, 0 and "" come back whole."""
    written = {"actions": {"norm_mask": [False] * 17, "clip_sample": False, "at": 0, "text": ""}}
    renewed = compose(written, {})
    assert renewed["actions"] == written["actions"]
    assert renewed[SOURCES]["actions.norm_mask"] == "declared"


def test_what_is_no_longer_observed_goes() -> None:
    """An observed field that is not seen again is dropped, and a declared one beside it stays."""
    first = compose({}, {"a.seen": Fact(1, "observed"), "a.said": Fact(2, "declared")})
    second = compose(first, {"a.new": Fact(3, "inferred")})
    assert second["a"] == {"said": 2, "new": 3}
    assert second[SOURCES]["a.new"] == "inferred" and second[SOURCES]["a.said"] == "declared"


def test_each_field_of_an_observed_mapping_is_marked() -> None:
    """A fact that is a mapping marks the fields in it, so that none of them counts as declared."""
    first = compose({}, {"a": Fact({"x": 1, "y": {"z": 2}}, "observed")})
    assert first[SOURCES]["a.x"] == first[SOURCES]["a.y.z"] == "observed"
    assert compose(first, {"a": Fact({"x": 3}, "observed")})["a"] == {"x": 3}


def test_a_declared_field_makes_room_for_itself() -> None:
    """A text that is declared where fields were, or fields where a text was, is there alone."""
    fields = compose({}, {}, {"a.b": Fact(1, "declared")})
    text = compose(fields, {"a.c": Fact(2, "observed")}, {"a": Fact("text", "declared")})
    assert text["a"] == "text"
    again = compose(text, {}, {"a.b": Fact(1, "declared")})
    assert again["a"] == {"b": 1}
    assert "a" not in again[SOURCES]
    assert get(compose(again, {}, {"a.b": Fact(None, "declared")}), "a.b") is None


def test_a_declared_field_outlives_what_is_observed() -> None:
    """What somebody declared stays as it is where something else is observed."""
    first = compose({}, {"model_identity.class_name": Fact("Mine", "declared")})
    second = compose(first, {"model_identity.class_name": Fact("Theirs", "observed")})
    assert second["model_identity"]["class_name"] == "Mine"


def test_what_is_measured_cannot_be_kept() -> None:
    """Sizes and hashes of weights are measured again, whatever mark they have."""
    old = {"weight_integrity": {"weight_files": [{"path": "a", "sha256": "old"}], "note": "mine"}}
    assert list(declared_in(old)) == ["weight_integrity.note"]
    fresh = Fact([{"path": "a", "sha256": "new"}], "observed")
    renewed = compose(old, {"weight_integrity.weight_files": fresh})
    assert renewed["weight_integrity"]["weight_files"] == [{"path": "a", "sha256": "new"}]
    assert renewed["weight_integrity"]["note"] == "mine"


def test_entries_of_lists_keep_their_unknown_keys() -> None:
    """A key that only the old entry of the same path has stays in the new one; an entry that is
    gone does not come back.
    """
    old = [{"path": "a", "size": 1, "x": {"y": False}}, {"path": "b", "x": 1}]
    new = [{"path": "a", "size": 2}, {"path": "c", "size": 3}]
    assert with_unknown_keys(old, new) == [
        {"path": "a", "size": 2, "x": {"y": False}},
        {"path": "c", "size": 3},
    ]
    assert with_unknown_keys("no list", new) == new
    assert with_unknown_keys(old, ["plain", 1]) == ["plain", 1]


def test_usual_fields_without_a_value_are_absent() -> None:
    """Each usual field that nothing says is marked absent, and one that has a value is not."""
    marks = compose({}, {"stack": Fact("transformers", "inferred")})[SOURCES]
    assert marks["stack"] == "inferred" and marks["input_contract.images"] == "absent"
    assert not set(MEASURED[:4]) & set(marks)


@pytest.mark.parametrize(
    ("document", "source"),
    [
        ({"a": 1}, "declared"),
        ({}, "absent"),
        ({"a": 1, SOURCES: {"a": "observed"}}, "observed"),
        ({"a": 1, SOURCES: {"a": "nonsense"}}, "declared"),
        ({"a": 1, SOURCES: "nonsense"}, "declared"),
    ],
)
def test_a_mark_that_is_none_counts_as_declared(document: dict[str, Any], source: str) -> None:
    """A field with a mark that the format does not have is somebody's word."""
    assert source_of(document, "a") == source


def test_the_facts_of_what_is_declared_are_declared() -> None:
    """A document without marks gives facts of the source that is asked for."""
    assert facts_of({"a": {"b": 1}}, "inferred") == {"a.b": Fact(1, "inferred")}
