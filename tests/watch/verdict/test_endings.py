"""How a job ended, from what the scheduler and the exit record say."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from watchkeeper.core.events import ExitRecord, SchedulerFacts
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, WORDS
from watchkeeper.watch.verdict.endings import End, end_of


def record(code):
    """An exit record with that code."""
    return ExitRecord(job_id="7", exit_code=code, execution=1, ended=None)


def facts(state, code=None):
    """The scheduler's word."""
    return SchedulerFacts(state=state, exit_code=code)


@pytest.mark.parametrize("code", [TWIN, FINISHED])
def test_a_job_started_again_after_its_end_ended_the_first_time(code):
    """A second start that ran nothing is no failure of the job: its exit record has the end."""
    end = end_of(facts("FAILED", code), record(0))
    assert (end.state, end.exit_code) == ("COMPLETED", 0)
    end = end_of(facts("FAILED", code), record(3))
    assert (end.state, end.exit_code) == ("FAILED", 3)


def test_the_schedulers_end_stands_otherwise():
    """A failure with a code of the script's own is a failure, with or without a record, and so is
    one without a record.
    """
    assert end_of(facts("FAILED", FINISHED), record(FINISHED)) == End(
        state="FAILED", exit_code=FINISHED
    )
    assert end_of(facts("FAILED", FINISHED), None) == End(
        state="FAILED", exit_code=FINISHED, why=WORDS[FINISHED]
    )
    assert end_of(facts("FAILED", 3), record(3)) == End(state="FAILED", exit_code=3)
    assert end_of(facts("CANCELLED", 0), record(0)) == End(state="CANCELLED", exit_code=0)
    assert end_of(facts("RUNNING"), record(0)) is None


@pytest.mark.parametrize("code", WORDS)
def test_a_wrappers_own_code_is_explained(code):
    """A wrapper that ran nothing leaves no record, and its code says why; a script's own code of
    the same number is the script's, and means what the script says.
    """
    end = end_of(facts("FAILED", code), None)
    assert end.exit_code == code and end.why == WORDS[code]
    assert "the wrapper ran nothing" in end.why
    own = end_of(facts("FAILED", 3), record(code))
    assert own.exit_code == code and own.why == ""


@pytest.mark.parametrize("state", ["TIMEOUT", "CANCELLED", "FAILED"])
@pytest.mark.parametrize(
    ("code", "interrupted", "later_s", "ends_as"),
    [
        (0, False, 121, "COMPLETED"),
        (0, False, 120, None),
        (0, True, 600, None),
        (1, False, 600, None),
        (0, False, None, None),
    ],
)
def test_a_job_killed_long_after_its_script_ended_well_is_completed(
    state, code, interrupted, later_s, ends_as
):
    """The time limit may take the wrapper while it hashes, and never the work that was done."""
    ended = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
    said = facts(state, 0)
    if later_s is not None:
        said = msgspec.structs.replace(said, ended=ended + timedelta(seconds=later_s))
    left = msgspec.structs.replace(record(code), ended=ended, interrupted=interrupted)
    assert end_of(said, left).state == (ends_as or state)


def test_an_end_without_a_time_is_the_schedulers():
    """A record that does not say when it was written outweighs nothing."""
    said = SchedulerFacts(state="TIMEOUT", ended=datetime(2026, 3, 11, tzinfo=UTC))
    assert end_of(said, record(0)).state == "TIMEOUT"
