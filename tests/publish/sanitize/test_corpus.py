"""Nothing private survives, and next to nothing else is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.publish.sanitize import blind, corpus
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import find_private, hide

PLANTED = list(corpus.planted())
BLIND = list(blind.planted())
CLEAN = Path(__file__).with_name("clean.txt").read_text().splitlines()


@pytest.mark.parametrize("kind", sorted({one.kind for one in PLANTED + BLIND}))
def test_nothing_that_was_planted_survives(kind):
    """A private value is found and hidden wherever it stands, and the report does not hold it."""
    for planted in (one for one in PLANTED + BLIND if one.kind == kind):
        assert find_private(planted.text, planted.known), planted.text
        sanitized = hide(planted.text, planted.known)
        shown = sanitized.text.casefold() + str(sanitized.redactions).casefold()
        left = [part for part in planted.private if part.casefold() in shown]
        assert not left, f"{planted.text!r} became {sanitized.text!r}"


@pytest.mark.parametrize("kind", sorted({one.kind for one in PLANTED + BLIND}))
def test_a_text_without_private_details_stays_as_it_is(kind):
    """Hiding twice is hiding once, and what was hidden once is not found again."""
    for planted in (one for one in PLANTED + BLIND if one.kind == kind):
        once = hide(planted.text, planted.known).text
        assert find_private(once, planted.known) == []
        assert hide(once, planted.known).text == once


def test_a_clean_text_loses_next_to_nothing():
    """Of lines in which nothing is private at most two in a hundred are changed."""
    changed = [line for line in CLEAN if hide(line, Known()).text != line]
    assert len(CLEAN) >= 500
    assert len(changed) <= 0.02 * len(CLEAN), changed


def test_a_clean_log_is_read_as_a_whole():
    """What stands in one line is no reason to hide a part of another."""
    text = "\n".join(CLEAN)
    shown = hide(text, Known()).text.splitlines()
    changed = [line for line, now in zip(CLEAN, shown, strict=True) if line != now]
    assert len(changed) <= 0.02 * len(CLEAN), changed


def test_the_corpora_are_large_enough():
    """At least 500 details were planted, and 200 more by the other grammar."""
    assert len(PLANTED) >= 500
    assert len(BLIND) >= 200
