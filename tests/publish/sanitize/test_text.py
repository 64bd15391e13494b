"""Hiding what is private in a text, and finding it."""

from __future__ import annotations

import pytest

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import (
    MOST_BYTES,
    WouldEmptyError,
    find_private,
    find_secrets,
    hide,
    sanitize,
)


def known():
    """What a small journal knows."""
    return Known(hosts=["node17"], users=["ann"], job_ids=["70900"], accounts=["proj7"])


def test_known_values_get_the_same_pseudonym_everywhere():
    """One value has one pseudonym, in every text of a package."""
    values = known()
    first = sanitize("ann ran 70900 on node17, then ann left", values).text
    assert first == "<user-1> ran <job-1> on <host-1>, then <user-1> left"
    assert hide("NODE17", values).text == "<host-1>"


def test_the_report_names_places_and_no_values():
    """A redaction says where and why, and never what was hidden."""
    (redaction,) = sanitize("loss 0.1\nit ran on node17 as before", known()).redactions
    assert (redaction.line, redaction.kind, redaction.pseudonym) == (2, "host", "<host-1>")
    assert redaction.length == 6
    assert "node17" not in str(redaction)


def test_a_text_of_which_nothing_would_be_left_is_refused():
    """An empty log is no log: it is refused, and the error holds nothing private."""
    with pytest.raises(WouldEmptyError, match="would be empty") as raised:
        sanitize("# Job\n- node: node17\n- user: ann\n", known())
    assert "node17" not in str(raised.value)


def test_what_cannot_be_searched_is_a_finding():
    """Bytes that are no text, and a text that is too large, are taken for private."""
    assert [one.line for one in find_private(b"\xff", known())] == [0]
    assert [one.line for one in find_secrets(b"x" * (MOST_BYTES + 1))] == [0]
