"""The cadence: due exactly as stated, counting completed training steps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchkeeper as wk
from watchkeeper.core.events import CadenceSet
from watchkeeper.record.display.cadence import Cadence, enough, fingerprint


class Time:
    """A clock that is set by hand, in seconds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        """The time."""
        return self.now


@given(st.integers(1, 50), st.integers(1, 200), st.integers(0, 5000), st.integers(1, 300))
def test_a_tier_is_due_at_the_multiples_of_its_steps_and_nowhere_else(
    log_every, eval_every, done, more
):
    """Wherever a training begins or resumes, each tier is due at exactly the steps that its number
    divides.
    """
    cadence = Cadence(log_every=log_every, eval_every=eval_every)
    for step in range(done + 1, done + more + 1):
        assert cadence.log_due(step) is (step % log_every == 0)
        assert cadence.eval_due(step) is (step % eval_every == 0)
        assert cadence.due(step) == (
            "full" if step % eval_every == 0 else "fast" if step % log_every == 0 else None
        )


def test_resumed_at_step_2700_the_document_s_steps_are_due():
    """After 2,700 completed steps, with 10 and 200: fast at 2,710, full at 2,800 in place of the
    fast one.
    """
    cadence = Cadence(log_every=10, eval_every=200)
    due = {step: tier for step in range(2701, 2811) if (tier := cadence.due(step))}
    assert list(due) == [2710, 2720, 2730, 2740, 2750, 2760, 2770, 2780, 2790, 2800, 2810]
    assert [step for step, tier in due.items() if tier == "full"] == [2800]


@given(st.lists(st.tuples(st.integers(-5, 60), st.booleans()), max_size=60))
def test_asking_twice_or_in_any_order_changes_nothing_by_steps(asked):
    """By steps the answer is a function of the step alone."""
    cadence = Cadence(log_every=10, eval_every=20)
    for step, full in asked:
        every, due = (20, cadence.eval_due) if full else (10, cadence.log_due)
        assert due(step) is (step > 0 and step % every == 0) is due(step)


@pytest.mark.parametrize(
    "step", [0, -10, None, "10", float("nan"), float("inf"), 10.5, [10], np.int64(0), object()]
)
def test_what_is_no_completed_step_is_never_due(step):
    """Step 0, and what is no step, is never due, and nothing is raised."""
    cadence = Cadence(log_every=1, eval_every=1, log_every_s=0.001)
    assert (cadence.log_due(step), cadence.eval_due(step), cadence.due(step)) == (
        False,
        False,
        None,
    )


@pytest.mark.parametrize("step", [np.int64(20), 20.0, np.float32(20)])
def test_steps_of_other_libraries_count(step):
    """A whole number of any kind is a step."""
    assert Cadence(log_every=10, eval_every=20).due(step) == "full"


def test_nothing_is_due_where_nothing_was_said():
    """None and 0 are never."""
    cadence = Cadence(log_every=0, eval_every=None)
    assert {cadence.due(step) for step in range(1000)} == {None}


@given(st.floats(0.5, 60), st.lists(st.floats(0.01, 30), min_size=1, max_size=60))
def test_by_seconds_a_tier_is_due_when_they_have_passed_since_it_last_was(every_s, steps):
    """Due at the first step at which so many seconds have passed since it was last due, and not
    before.
    """
    time = Time()
    cadence = Cadence(log_every_s=every_s, monotonic=time)
    last = time.now
    for step, took in enumerate(steps, 1):
        time.now += took
        due = time.now - last >= every_s
        assert cadence.log_due(step) is due is cadence.log_due(step)
        if due:
            last = time.now


def test_a_full_tier_stands_in_for_the_fast_one_by_seconds_too():
    """The fast tier's seconds begin anew at a full tier."""
    time = Time()
    cadence = Cadence(log_every_s=10, eval_every=5, monotonic=time)
    due = []
    for step in range(1, 11):
        time.now += 3
        due.append(cadence.due(step))
    assert due == [None, None, None, "fast", "full", None, None, None, "fast", "full"]


def costly(share, steps, each_s, *, max_share=0.5, every=10, step_s=0.02):
    """The warnings of a training whose full tier takes `each_s`."""
    time, said = Time(), {}
    cadence = Cadence(eval_every=every, max_share=max_share, monotonic=time, warn=said.setdefault)
    for step in range(1, steps + 1):
        time.now += step_s
        if cadence.eval_due(step):
            time.now += each_s
    assert cadence.full_share == pytest.approx(share, abs=0.05)
    return said


def test_a_full_tier_that_eats_the_time_is_said_with_what_to_do():
    """Users lost hours to generation at every 10th step: the warning names the share and a better
    number.
    """
    said = costly(0.95, 100, 4.2)
    assert list(said) == ["full tier"]
    assert "every 10 training steps of 0.02 s; eval_every=500 would make it" in said["full tier"]


def test_a_full_tier_within_its_share_is_not_worth_a_word():
    """Below the stated share, or with no share stated, nothing is said."""
    assert costly(0.2, 1400, 4.2, every=500) == {}
    assert costly(0.95, 100, 4.2, max_share=None) == {}


@given(st.floats(0.001, 1000), st.floats(0.0001, 100), st.floats(0.01, 0.99))
def test_the_number_recommended_keeps_the_share(each_s, step_s, share):
    """So many steps between full tiers keep them to the share, and the next smaller round number
    does not.
    """
    wanted = enough(each_s, step_s, share)
    assert each_s / (each_s + wanted * step_s) <= share * (1 + 1e-9)
    smaller = {"1": 0.5, "2": 0.5, "5": 0.4}[str(wanted)[0]] * wanted
    assert smaller < 1 or each_s / (each_s + smaller * step_s) > share * (1 - 1e-9)


@pytest.mark.parametrize("every", ["10", -1, 2.5, float("nan"), [10], object()])
def test_a_strange_cadence_is_said_and_never_due(every):
    """What is no number of steps or seconds is warned of, and the training goes on without it."""
    said = {}
    cadence = Cadence(log_every=every, eval_every_s="soon", warn=said.setdefault)
    assert {"log_every", "eval_every_s"} == set(said)
    assert {cadence.due(step) for step in range(100)} == {None}


def test_a_validation_set_is_known_by_its_content():
    """The same items give the same fingerprint, whatever their kind; another value, order or type
    another.
    """
    items = [{"prompt": "a", "golden": "b"}, np.arange(3), b"x", ("y", 1.5, None)]
    same = [{"prompt": "a", "golden": "b"}, np.arange(3), b"x", ("y", 1.5, None)]
    assert fingerprint(items) == fingerprint(same)
    others = [
        items[::-1],
        [*items, 1],
        [{"prompt": "a"}, *items[1:]],
        [items[0], np.arange(3.0), *items[2:]],
        [],
    ]
    assert len({fingerprint(other)[0] for other in [items, *others]}) == 6


def test_a_run_writes_its_cadence_down(tmp_path, events):
    """The journal holds what is due when, and the validation set's fingerprint."""
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.cadence(log_every=10, eval_every=200, total=12487, validation=["a", "b"])
    (told,) = [event for event in events(tmp_path) if isinstance(event, CadenceSet)]
    assert (told.log_every, told.eval_every, told.total, told.validation_items) == (
        10,
        200,
        12487,
        2,
    )
    assert told.validation_sha256 == fingerprint(["a", "b"])[0]
    status = json.loads((tmp_path / "status/training_status.json").read_text())
    assert (status["total"], status["validation_set"]["items"]) == (12487, 2)


def test_another_validation_set_is_said(tmp_path, caplog):
    """Losses over two validation sets cannot be compared, and the run says so."""
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.cadence(eval_every=10, validation=["a"])
        run.cadence(eval_every=10, validation=["b"])
    assert "cannot be compared" in (tmp_path / "logs/run.log").read_text()
