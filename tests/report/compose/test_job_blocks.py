"""The job blocks of a run log: one for each execution."""

from __future__ import annotations

from tests.report.compose.events import (
    documented,
    history,
    intended,
    judged,
    minute,
    page,
    shown,
    sight,
    submitted,
)
from watchkeeper.report.compose.history import About


def blocks(*events, **options):
    """Each block's heading and fields."""
    jobs = page(*events, **options).jobs
    return [(job.heading, shown(job.fields)) for job in jobs]


def later(before, after, **options):
    """The fields of the second attempt's block."""
    events = (before, submitted(1), judged(1, 10, outcome="failed", state="FAILED"), after)
    return blocks(*events, submitted(2, 20, job_id="8"), **options)[1][1]


def test_a_block_has_id_times_and_place():
    """What is known of an execution stands in its block, and its first one is plain `Job`."""
    seen = sight(9, "COMPLETED", started=minute(2), ended=minute(8), node="n1")
    ((heading, fields),) = blocks(submitted(cluster="c", host="login"), seen, judged())
    assert heading == "Job"
    assert fields == {
        "execution_id": "7",
        "submitted/start": "2026-03-11T15:02:00Z",
        "start_human": "Wednesday, Mar 11th, 2026",
        "end": "2026-03-11T15:08:00Z",
        "end_human": "Wednesday, Mar 11th, 2026",
        "runtime": "00:06:00",
        "node": "n1",
        "cluster": "c",
        "submitted from": "login",
    }


def test_what_is_not_known_has_no_line():
    """A job without an id is pending; a missing start, end, node or cluster is left out."""
    ((_, fields),) = blocks(intended())
    assert fields.keys() == {"execution_id", "submitted/start", "start_human"}
    assert fields["execution_id"] == "pending"
    ((_, fields),) = blocks(judged())
    assert fields == {"execution_id": "pending"}
    ((_, fields),) = blocks(submitted(host="login"))
    assert not fields.keys() & {"cluster", "submitted from"}
    ((_, fields),) = blocks(submitted(cluster="c"))
    assert fields["cluster"] == "c" and "submitted from" not in fields


def test_a_later_attempt_says_why_and_from_where():
    """The second block is `Job (resumed)`, with the checkpoint and what ended the first attempt."""
    about = About(task="one", below="exp")
    after = intended(2, 15, resume_from="r8/epoch_0")
    events = (
        intended(),
        submitted(),
        judged(1, 10, outcome="failed", state="OUT_OF_MEMORY", why="too big"),
    )
    (first, _), (second, fields) = blocks(*events, after, submitted(2, 20), about=about)
    assert (first, second) == ("Job", "Job (resumed)")
    assert fields["resumed from"] == "exp/r8/epoch_0"
    assert fields["reason"] == "attempt 1 OUT_OF_MEMORY: too big"
    assert "changed" not in fields


def test_an_attempt_without_a_checkpoint_started_from_scratch():
    """It says so, and a verdict without a cause gives the state alone."""
    fields = later(intended(), intended(2, 15))
    assert fields["resumed from"] == "n/a: started from scratch"
    assert fields["reason"] == "attempt 1 FAILED"


def test_a_submission_without_a_purpose_or_a_verdict_before_it_has_a_plain_reason():
    """Nothing is known of why it was submitted: it says only that."""
    ((_, _), (_, fields)) = blocks(submitted(1), submitted(2, 20, job_id="8"))
    assert fields["reason"] == "submitted again"
    assert fields["resumed from"] == "n/a: started from scratch"


def test_an_automatic_retry_gives_its_own_reason_and_what_it_changed():
    """A retry by the machine names its rule, not the verdict before it."""
    retried = intended(2, 15, automatic=True, reason="memory doubled", change={"--mem": "64G"})
    fields = later(intended(), retried)
    assert fields["reason"] == "memory doubled" and fields["changed"] == "--mem 64G"
    by_hand = intended(2, 15, automatic=False, reason="memory doubled")
    assert later(intended(), by_hand)["reason"] == "attempt 1 FAILED"


def test_a_restart_by_the_scheduler_resumes_from_nothing():
    """A requeue started the same script again: it has no checkpoint of ours and no verdict."""
    events = (submitted(), sight(2, "RUNNING", started=minute(2)), sight(3, "PENDING"))
    _, (heading, fields) = blocks(*events)
    assert heading == "Job (resumed)"
    assert fields["resumed from"] == "n/a: the scheduler started the script again"
    assert fields["reason"] == "requeued by the scheduler"


def test_a_later_attempt_names_the_code_that_changed():
    """A new commit, new uncommitted changes and other files are stated; the same code is not."""
    before = intended(git_sha="aaa", code={"a.py": "1", "b.py": "1"})
    same = later(before, intended(2, 15, git_sha="aaa", code={"a.py": "1", "b.py": "1"}))
    assert not same.keys() & {"commit", "code changed since"}
    other = later(before, intended(2, 15, git_sha="bbb", code={"a.py": "2", "c.py": "1"}))
    assert other["commit"] == "bbb" and other["code changed since"] == "a.py, b.py, c.py"
    dirty = later(before, intended(2, 15, git_sha="aaa", git_dirty=True))
    assert dirty["commit"] == "aaa (with uncommitted changes; kept with the attempt)"
    unknown = later(intended(git_sha="aaa"), intended(2, 15, git_sha="", code={"a.py": "1"}))
    assert not unknown.keys() & {"commit", "code changed since"}


def test_an_attempt_whose_predecessor_is_unknown_states_no_changed_code():
    """Without the purpose before it there is nothing to compare with."""
    _, (_, fields) = blocks(submitted(1), intended(2, 15, git_sha="aaa"), submitted(2, 20))
    assert "commit" not in fields


def test_in_a_log_of_someone_else_our_first_block_states_the_commit():
    """Config of such a log has their commit; ours stands in our first block, and only there."""
    events = (
        intended(1, git_sha="aaa"),
        submitted(1),
        intended(2, 15, git_sha="aaa"),
        submitted(2, 20, job_id="8"),
        documented("theirs.md"),
    )
    (file,) = history(*events).files()
    (first, fields), (_, others) = blocks(*events, file=file)
    assert first == "Job (resumed)" and fields["commit"] == "aaa"
    assert "commit" not in others
    assert "commit" not in blocks(*events)[0][1]


def test_in_a_log_of_someone_else_a_run_without_a_commit_states_none():
    """Where git named no commit, or nothing is known of the purpose, there is no such line."""
    for first in (intended(), submitted(1)):
        events = (first, documented("theirs.md"))
        (file,) = history(*events).files()
        assert "commit" not in blocks(*events, file=file)[0][1]
