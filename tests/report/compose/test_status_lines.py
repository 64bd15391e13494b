"""The lines of Status: what happened, in order of time."""

from __future__ import annotations

import pytest

from tests.report.compose.events import (
    assessed,
    documented,
    history,
    intended,
    judged,
    lines,
    minute,
    rejected,
    sight,
    submitted,
)
from watchkeeper.core.events import ExitRecord, Learned, Repeated


def test_lines_are_in_the_order_of_their_times():
    """Submission, start, look and end each have a line, whatever the order of the events."""
    assert lines(
        judged(at=50), assessed(at=20, step=3), sight(3, "RUNNING", node="n1"), submitted(at=1)
    ) == ["submitted as job 7", "started on n1", "running, step 3", "completed"]


def test_a_later_submission_names_its_attempt():
    """The first attempt needs no number."""
    assert lines(submitted(1, 1), submitted(2, 2, job_id="8")) == [
        "submitted as job 7",
        "submitted as job 8, attempt 2",
    ]


def test_a_refusal_quotes_the_scheduler():
    """A submission that the scheduler refused has a line with its message."""
    assert lines(intended(), rejected()) == ["submission refused: no such queue"]


def test_each_line_is_of_an_attempt_of_this_log():
    """Lines of an attempt that belongs to the next log are not in this one; the log says which one
    continues it.
    """
    fields = {"mode.run_type": "x"}
    events = (
        intended(1, 0),
        submitted(1, 1),
        documented("logs/a.md", 1, fields=fields),
        intended(2, 30, script_sha256="other"),
        submitted(2, 31, job_id="8"),
        rejected(2, 32),
        sight(33, "RUNNING", number=2),
        assessed(2, 34, step=3),
        judged(2, 35),
        documented("logs/b.md", 2, fields=fields),
    )
    first, second = history(*events).files()
    assert lines(*events, file=first) == [
        "submitted as job 7",
        "continued in b.md: train.slurm differs",
    ]
    assert lines(*events, file=second) == [
        "submitted as job 8, attempt 2",
        "submission refused: no such queue",
        "started",
        "running, step 3",
        "completed",
    ]


@pytest.mark.parametrize(
    ("events", "difference"),
    [
        ((intended(1), intended(2, 30)), "its purpose differs"),
        ((intended(2, 30),), "a new run"),
        ((), None),
    ],
)
def test_the_next_log_is_named_with_the_difference(events, difference):
    """Where script and configurations are the same its purpose differs; what no attempt precedes is
    a new run; an attempt without a purpose names nothing.
    """
    fields = {"mode.run_type": "x"}
    documents = (documented("a.md", 1, fields=fields), documented("b.md", 2, fields=fields))
    first = history(*documents).files()[0]
    expected = [f"continued in b.md: {difference}"] if difference else []
    assert lines(*events, *documents, file=first) == expected


@pytest.mark.parametrize(
    ("before", "after", "facts", "says"),
    [
        ("PENDING", "RUNNING", {"node": "n1"}, ["started on n1"]),
        ("PENDING", "RUNNING", {}, ["started"]),
        ("RUNNING", "RUNNING", {"node": "n1"}, []),
        ("", "PENDING", {"reason": "Priority"}, []),
        ("PENDING", "PENDING", {"reason": "Priority"}, []),
        ("RUNNING", "PENDING", {"reason": "Preempted"}, ["queued again: Preempted"]),
        ("RUNNING", "PENDING", {}, ["queued again"]),
        ("RUNNING", "UNKNOWN", {"reason": "no answer"}, ["unknown: no answer"]),
        ("RUNNING", "COMPLETED", {}, []),
    ],
)
def test_a_change_has_a_line_where_it_is_news(before, after, facts, says):
    """A start, a requeue and an unknown state are news; an end is announced by its verdict."""
    events = (submitted(), sight(3, after, before=before, **facts))
    assert lines(*events)[1:] == says


def test_a_start_is_dated_by_the_scheduler_and_anything_else_by_the_poll():
    """A poll sees a start late; the scheduler knows when it was."""
    started = {"started": minute(2)}
    assert lines(submitted(at=3), sight(9, "RUNNING", **started)) == [
        "started",
        "submitted as job 7",
    ]
    assert lines(submitted(at=3), sight(9, "UNKNOWN", reason="r", **started)) == [
        "submitted as job 7",
        "unknown: r",
    ]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, []),
        ({"note": "the limit comes first"}, ["running; the limit comes first"]),
        ({"health": "slow"}, ["running, slow"]),
        ({"step": 3, "why": "steady"}, ["running, step 3"]),
        ({"total": 9}, []),
        ({"step": 3, "total": 9}, ["running, step 3/9"]),
        ({"step": 0}, ["running, step 0"]),
        ({"step": 3, "report": "r.txt"}, ["running, step 3; see r.txt"]),
        ({"errors": ("a", "b")}, ["running; a; b"]),
    ],
)
def test_a_look_is_a_line_where_it_has_news(fields, says):
    """A step, a loss, bad health, an error or a note is news; that a job runs is none."""
    assert lines(submitted(), assessed(**fields))[1:] == says


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "completed"),
        ({"outcome": "invalid"}, "completed, but invalid"),
        ({"outcome": "failed but good", "state": "TIMEOUT"}, "failed, but good, TIMEOUT"),
        ({"outcome": "failed", "state": "FAILED"}, "failed"),
        ({"outcome": "not run", "state": "NOT_RUN"}, "not run"),
        ({"outcome": "failed", "state": "OUT_OF_MEMORY"}, "failed, OUT_OF_MEMORY"),
        ({"outcome": "invalid", "state": "ODD"}, "completed, but invalid"),
        ({"why": "all good"}, "completed; all good"),
        ({"learned": Learned(final_step=9)}, "completed, step 9"),
        ({"learned": Learned(final_step=0)}, "completed, step 0"),
        ({"learned": Learned(last_train_loss=0.5)}, "completed, train_loss 0.5"),
        ({"metrics": {"accuracy": 0.5}}, "completed"),
    ],
)
def test_an_end_says_how_and_with_which_figures(fields, says):
    """The outcome, a state that says more, the last figures, and why."""
    assert lines(judged(**fields)) == [says]


def test_an_end_names_the_exit_code_once():
    """The exit code is added, unless the verdict's words have it already."""
    record = ExitRecord(job_id="7", exit_code=3)
    failed = {"outcome": "failed", "state": "FAILED"}
    seen = sight(9, "FAILED", exit_record=record)
    assert lines(seen, judged(**failed))[-1] == "failed, exit code 3"
    assert lines(seen, judged(why="exit code 3", **failed))[-1] == "failed; exit code 3"


def test_an_evaluations_end_shows_four_metrics():
    """More stand in its Results."""
    metrics = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    events = (
        submitted(phase="evaluation"),
        judged(phase="evaluation", metrics=metrics),
    )
    assert lines(*events)[-1] == "completed, a 1, b 2, c 3, d 4"


def test_an_end_tells_of_repeated_steps():
    """What was repeated stands behind the verdict's own words."""
    learned = Learned(repeated=(Repeated(first=4, last=4),))
    (line,) = lines(judged(why="late", learned=learned))
    assert (
        line
        == "completed; late; step 4 was repeated; no step has a train_loss from both executions"
    )
