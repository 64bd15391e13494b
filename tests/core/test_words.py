"""Tags and notes, folded from a journal."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from watchkeeper.core.events import Noted, Opened, RunStarted, Tagged
from watchkeeper.core.words import note_fault, on_one_line, tag_fault, words_of

NOON = datetime(2026, 3, 11, 12, tzinfo=UTC)


def at(writer, seq, minute=0):
    """The common fields of an event."""
    return {"time": NOON.replace(minute=minute), "writer": writer, "seq": seq}


def opened(writer, user="ada"):
    """A writer's first event."""
    values = {"schema": 1, "software": "watchkeeper", "purpose": "tag", "zone": "UTC"}
    return Opened(**at(writer, 0), **values, user=user)


def tags(*writers, key=""):
    """The tags that these files give together."""
    events = {own[0].writer: own for own in writers}
    said = words_of(events)
    return said[key].tags if key in said else []


def test_a_removed_tag_is_gone_and_a_later_one_is_back():
    """What the removing writer had read is taken away; what was given afterwards stays."""
    first = [opened("a"), Tagged(**at("a", 1), tags=("x", "y"))]
    second = [opened("b"), Tagged(**at("b", 1), removed=("x",), saw={"a": 2})]
    third = [opened("c"), Tagged(**at("c", 1), tags=("x",))]
    assert tags(first) == ["x", "y"]
    assert tags(first, second) == ["y"]
    assert tags(first, second, third) == ["x", "y"]


def test_tags_do_not_depend_on_clocks_or_on_the_order_of_the_files():
    """Each order of the same files gives the same tags, though the remover's clock is behind."""
    first = [opened("a"), Tagged(**at("a", 1, minute=30), tags=("x",))]
    second = [opened("b"), Tagged(**at("b", 1, minute=5), removed=("x",), saw={"a": 2})]
    blind = [opened("c"), Tagged(**at("c", 1, minute=40), removed=("y",))]
    other = [opened("d"), Tagged(**at("d", 1, minute=1), tags=("y",))]
    orders = itertools.permutations([first, second, blind, other])
    assert {tuple(tags(*order)) for order in orders} == {("y",)}


def test_a_writer_takes_back_its_own_tag():
    """Within one file the order of the events decides."""
    given, taken = Tagged(**at("a", 1), tags=("x",)), Tagged(**at("a", 2), removed=("x",))
    assert tags([opened("a"), given, taken]) == []
    assert tags([opened("a"), taken, Tagged(**at("a", 3), tags=("x",))]) == ["x"]


def test_the_programs_own_tags_count_until_they_are_removed():
    """A tag of start_run is one like any other, and each key has its own."""
    start = RunStarted(
        **at("a", 1), run_id="r", pipeline="training", folder="/r", tags=("base", "wip")
    )
    removal = Tagged(**at("b", 1), removed=("wip",), saw={"a": 2})
    other = Tagged(**at("b", 2), key="one", tags=("best",))
    files = [opened("a"), start], [opened("b"), removal, other]
    assert tags(*files) == ["base"]
    assert tags(*files, key="one") == ["best"]


def test_notes_are_in_the_order_of_their_times_with_their_writers():
    """Oldest first, each with the user who wrote it."""
    late = [opened("a", user="eve"), Noted(**at("a", 1, minute=9), text="late")]
    early = [opened("b"), Noted(**at("b", 1, minute=2), text="early")]
    notes = words_of({"a": late, "b": early})[""].notes
    assert [(note.text, note.user) for note in notes] == [("early", "ada"), ("late", "eve")]


@pytest.mark.parametrize("bad", ["", " x", "a\nb", "a\x1b[31m", "a\u202eb", "x" * 61])
def test_a_tag_that_could_mislead_or_break_a_line_is_refused(bad):
    """Empty, edged by spaces, with characters that cannot be seen, or too long."""
    assert tag_fault(bad)


def test_a_tag_may_be_in_any_language():
    """Letters, marks and spaces within are fine, up to the limit."""
    assert not tag_fault("paper: Größe 8×") and not tag_fault("x" * 60)


def test_a_note_is_one_line_without_secrets():
    """Line ends become spaces, and what has the form of a token is left out."""
    text = on_one_line(" the loss\n  jumps \t hf_0123456789abcdefABCDEF ")
    assert text == "the loss jumps <redacted>"
    assert not note_fault(text) and note_fault("") and note_fault("a\x07b")
