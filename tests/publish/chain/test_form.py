"""A public form has the hash of the whole event, and shows nothing that is private."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from watchkeeper.core.chain.links import hash_event
from watchkeeper.core.events import (
    KINDS,
    Change,
    ExitRecord,
    Judged,
    Learned,
    Opened,
    Polled,
    RunStarted,
    SchedulerFacts,
    encode,
)
from watchkeeper.publish.chain.form import FormError, hash_of, part_of, public_form, shown

SECRET = bytes(range(32))
HEAD = {"time": datetime(2026, 3, 11, tzinfo=UTC), "writer": "w", "seq": 3}
PRIVATE = "PRIVATE"

EVENTS = [
    Opened(
        **HEAD, schema=1, software="s", purpose="run", zone="UTC", host=PRIVATE, user=PRIVATE,
        secret=PRIVATE,
    ),
    RunStarted(
        **HEAD, run_id="r", pipeline="p", folder=PRIVATE, config={PRIVATE: [PRIVATE]},
        code={PRIVATE: "00"}, tags=(PRIVATE,),
    ),
    Polled(
        **HEAD,
        phase="evaluation",
        query=PRIVATE,
        interval_s=1.0,
        changes=(
            Change(
                key="r8",
                phase="evaluation",
                attempt=1,
                job_id=PRIVATE,
                before="PENDING",
                after="RUNNING",
                facts=SchedulerFacts(state="RUNNING", node=PRIVATE),
                exit_record=ExitRecord(job_id=PRIVATE, exit_code=0),
            ),
        ),
    ),
    Judged(
        **HEAD,
        key="r8/clean/epoch0",
        phase="evaluation",
        attempt=1,
        outcome="done",
        state="COMPLETED",
        why=PRIVATE,
        metrics={"accuracy": 0.93},
        learned=Learned(final_step=7, checkpoint=PRIVATE, kept=(PRIVATE,)),
    ),
]  # fmt: skip


def plain(event: Any) -> dict[str, Any]:
    """The event as its line has it."""
    return msgspec.json.decode(encode(event))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_the_form_has_the_hash_of_the_event_and_nothing_private(event: Any) -> None:
    """Nested or not, as a key or a value, what is private is not in the form, and the hash is."""
    form = public_form(plain(event), SECRET)
    assert hash_of(form) == hash_event(plain(event), SECRET)
    assert hash_of(json.loads(json.dumps(form))) == hash_of(form)
    assert PRIVATE not in json.dumps(form) and SECRET.hex() not in json.dumps(form)
    assert shown(form)["kind"] == type(event).__struct_config__.tag


def test_what_is_public_is_shown_at_every_depth() -> None:
    """Figures and states can be read, beside what is hidden."""
    judged = shown(public_form(plain(EVENTS[3]), SECRET))
    assert judged["metrics"] == {"accuracy": 0.93} and judged["learned"] == {"final_step": 7}
    (change,) = shown(public_form(plain(EVENTS[2]), SECRET))["changes"]
    assert change["facts"] == {"state": "RUNNING"} and change["exit_record"] == {"exit_code": 0}


def test_an_unknown_kind_and_an_unknown_field_are_hidden() -> None:
    """Of what this version does not know nothing is shown, and the hash is right all the same."""
    event = {"kind": "of_later", "writer": "w", "seq": 0, "host": PRIVATE}
    assert set(public_form(event, SECRET)) == {"hash"}
    assert hash_of(public_form(event, SECRET)) == hash_event(event, SECRET)
    event = plain(EVENTS[3]) | {"of_later": {"host": PRIVATE}}
    form = public_form(event, SECRET)
    assert "of_later" not in shown(form) and hash_of(form) == hash_event(event, SECRET)


def test_a_value_of_another_type_than_its_field_is_hidden() -> None:
    """Where a line does not fit its kind, nothing of the part is shown."""
    event = plain(EVENTS[3]) | {"learned": PRIVATE, "evidence": PRIVATE}
    assert PRIVATE not in json.dumps(public_form(event, SECRET))


def test_every_change_of_a_form_changes_its_hash() -> None:
    """A shown value, a salt and a hidden hash: each counts."""
    form = public_form(plain(EVENTS[3]), SECRET)
    text = json.dumps(form)
    changed = [
        text.replace("0.93", "0.94"),
        text.replace(form["fields"]["key"]["salt"], "0" * 32),
        text.replace(form["fields"]["why"]["hash"], "0" * 64),
        text.replace('"why"', '"wha"'),
    ]
    hashes = {hash_of(json.loads(one)) for one in changed}
    assert len(hashes) == len(changed) and hash_of(form) not in hashes


@pytest.mark.parametrize(
    "node",
    [
        None,
        [],
        {},
        {"value": 1},
        {"hash": "00"},
        {"hash": "G" * 64},
        {"hash": "0" * 64, "value": 1},
        {"fields": {}},
        {"fields": []},
        {"items": []},
        {"items": {}},
        {"value": 1, "salt": "0" * 31},
        {"fields": {"a": {"hash": 7}}},
    ],
)
def test_what_is_no_form_is_refused(node: object) -> None:
    """Nothing that is neither shown nor hidden gets a hash."""
    with pytest.raises(FormError):
        hash_of(node)


def test_parts_are_found_by_their_path() -> None:
    """A part inside another one, and of a list by its number; what is not there is an error."""
    form = public_form(plain(EVENTS[2]), SECRET)
    assert set(part_of(form, ("changes", "0", "job_id"))) == {"hash"}
    for path in [("nothing",), ("changes", "1"), ("changes", "-1"), ("query", "0"), ("seq", "0")]:
        with pytest.raises(FormError):
            part_of(form, path)


def test_every_kind_can_be_made_public() -> None:
    """Each kind of event has a form of its own, and not one hash alone."""
    for kind in KINDS:
        event = {"kind": kind, "writer": "w", "seq": 0, "time": "2026-03-11T00:00:00Z"}
        assert shown(public_form(event, SECRET)) == event
