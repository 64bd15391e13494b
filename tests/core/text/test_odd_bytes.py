"""Bytes that are no UTF-8 are carried through a journal, and back into a path."""

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core import journal
from watchkeeper.core.disk import tails
from watchkeeper.core.events import Change, Polled, SchedulerFacts, Submitted
from watchkeeper.core.journal import Writer
from watchkeeper.core.text.odd_bytes import as_path, as_text, in_all


@given(st.binary(max_size=40))
def test_a_name_of_any_bytes_is_text_and_comes_back(name):
    """Whatever bytes a path has, a journal line can hold it, and the file is found again by it."""
    held = as_text(os.fsdecode(name))
    assert held.encode("utf-8").decode("utf-8") == held
    assert os.fsencode(as_path(held)) == name
    assert as_text(held) == held


@given(st.text())
def test_text_stays_as_it_is(text):
    """What is text already is itself, other signs for private use included."""
    assert as_text(text) == text
    assert as_text("\udc41\ud800") == "\ufffd\ufffd", "half a surrogate that is no byte"


def test_no_event_is_refused_for_its_bytes(tmp_path):
    """An event with such bytes in any of its texts is written, and returned as it is read."""
    writer = Writer(tmp_path, purpose="run", zone="UTC")
    facts = SchedulerFacts(
        state="FAILED",
        output=os.fsdecode(b"/x/mod\xe8le.out"),
        started=datetime.now(UTC),
        exit_code=3,
    )
    change = Change(
        key="k", phase="preparation", attempt=1, job_id="7", before="", after="FAILED", facts=facts
    )
    polled = writer.write(
        Polled, phase="preparation", query=os.fsdecode(b"\xff"), interval_s=1.0, changes=(change,)
    )
    submitted = writer.write(
        Submitted,
        key="k",
        phase="preparation",
        attempt=1,
        job_id="7",
        scheduler="s",
        command=os.fsdecode(b"sbatch \xe8"),
    )
    writer.close()
    (events,) = journal.read(tmp_path).events.values()
    assert [one for one in events if isinstance(one, Polled | Submitted)] == [polled, submitted]
    assert os.fsencode(as_path(polled.changes[0].facts.output)) == b"/x/mod\xe8le.out"
    assert polled.changes[0].facts.started == facts.started
    assert in_all(polled) == polled


@pytest.mark.parametrize("name", [b"mod\xe8le.out", b"plain.out", "日本.out".encode()])
def test_the_output_is_read_where_its_name_says(tmp_path, name):
    """A job's output under such a name is found by what the journal says of it."""
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(b"loss 1\n")
    held = as_text(os.fsdecode(path))
    assert tails.end_as_text(held, 100) == "loss 1\n"
    assert tails.Follower(held, 100).look().text == "loss 1\n"
