"""What W&B's records say, against wandb's own messages."""

from __future__ import annotations

import contextlib
import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wandb.proto import wandb_internal_pb2 as proto

from tests.publish.wandb.files import begin, end, header, row, summary
from watchkeeper.publish.wandb import wire
from watchkeeper.publish.wandb.records import (
    Begin,
    Change,
    Exit,
    Header,
    Row,
    Summary,
    apply,
    record_of,
)

NUMBERS = st.integers(-(2**63), 2**63 - 1)


@given(number=NUMBERS, real=st.floats(), text=st.text(), is_true=st.booleans())
def test_every_kind_of_value_is_read_as_wandb_wrote_it(number, real, text, is_true):
    """Integers of either sign, reals, texts, booleans, none and JSON come back as they were."""
    record = proto.Record()
    item = record.history.item
    item.add(key="integer", integer=number)
    item.add(key="number", number=real)
    item.add(key="text", text=text)
    item.add(key="boolean", boolean=is_true)
    item.add(key="none", none=0)
    item.add(key="json", json=json.dumps({"a": [1]}))
    item.add(key="value", value_json=json.dumps(number))
    record.history.step.num = number
    read = record_of(record.SerializeToString())
    assert isinstance(read, Row) and read.step == number and read.time is None
    values = read.values
    same = values.pop("number")
    assert same == real or (math.isnan(same) and math.isnan(real))
    assert values == {
        "integer": number,
        "text": text,
        "boolean": is_true,
        "none": None,
        "json": {"a": [1]},
        "value": number,
    }


def test_a_row_has_its_time_and_step_and_keeps_non_finite_figures():
    """W&B's own names are taken out of the row; NaN and infinities are figures."""
    read = record_of(row(7, {"loss": math.nan, "eval/top": math.inf}, time_s=1_770_000_000.25))
    assert isinstance(read, Row) and read.step == 7
    assert read.time == datetime(2026, 2, 2, 2, 40, 0, 250_000, tzinfo=UTC)
    assert math.isnan(read.values["loss"]) and read.values["eval"] == {"top": math.inf}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, "now", None])
def test_a_time_that_is_none_is_no_time(value):
    """A `_timestamp` that no calendar has is left out, and the row is kept."""
    read = record_of(row(1, {"loss": 1, "_timestamp": value}))
    assert isinstance(read, Row) and read.time is None and read.values == {"loss": 1}


def test_a_run_says_who_it_is():
    """Name, project, tags, notes, configuration, host, commit and start are read."""
    message = proto.Record()
    fields = {"project": "p", "entity": "e", "display_name": "n", "host": "node1"}
    message.ParseFromString(begin("x1", tags=["a", "b"], config={"lr": 1e-3}, **fields))
    message.run.git.commit = "c0ffee"
    message.run.start_time.nanos = 5_000
    read = record_of(message.SerializeToString())
    assert isinstance(read, Begin)
    assert (read.run_id, read.project, read.entity, read.name) == ("x1", "p", "e", "n")
    assert (read.tags, read.commit, read.host) == (("a", "b"), "c0ffee", "node1")
    assert read.config.update == ((("lr",), 0.001),)
    assert read.started == datetime(2026, 2, 2, 2, 40, 0, 5, tzinfo=UTC)
    assert record_of(proto.Record(run={"run_id": "x"}).SerializeToString()).started is None


def test_the_end_the_version_and_the_summary_are_read():
    """An exit code is kept with its sign, also 0, which protocol buffers leave out."""
    assert record_of(end(0)) == Exit(code=0, runtime_s=5)
    assert record_of(end(-9)) == Exit(code=-9, runtime_s=5)
    assert record_of(header()) == Header(version="0.31.0")
    assert record_of(summary({"best": 1})) == Summary(update=((("best",), 1),))


def test_records_of_other_kinds_are_passed_over():
    """Telemetry, requests and whatever a later version adds cost nothing."""
    record = proto.Record()
    record.telemetry.cli_version = "0.31.0"
    assert record_of(record.SerializeToString()) is None
    assert record_of(b"") is None


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x05a", b"\x13", b"\x80" * 11, b"\x09abc"])
def test_bytes_that_are_no_record_are_refused(data):
    """A message that ends too early, or has a field of no known kind, is an error."""
    with pytest.raises(wire.WireError):
        record_of(data)


def test_a_value_that_is_no_json_is_refused():
    """A row whose text is no JSON is damage, and not a row with a hole."""
    record = proto.Record()
    record.history.item.add(key="loss", value_json="{")
    with pytest.raises(wire.WireError):
        record_of(record.SerializeToString())


@given(data=st.binary(max_size=60))
def test_no_bytes_do_anything_but_fail_cleanly(data):
    """Arbitrary bytes are read, passed over, or refused by the one error."""
    with contextlib.suppress(wire.WireError):
        record_of(data)


def test_changes_add_up():
    """A later value replaces an earlier one, at any depth; what is removed is gone."""
    values = {"lr": 1, "_wandb": 0}
    apply(values, Change(update=((("a", "b"), 1), (("a", "c"), 2), (("_wandb", "x"), 3))))
    removed = (("a", "b"), ("no", "thing"), ("gone",))
    apply(values, Change(update=((("lr", "x"), 5),), removed=removed))
    assert values == {"lr": {"x": 5}, "a": {"c": 2}, "_wandb": 0}
