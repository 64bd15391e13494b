"""What a history answers: files, attempts, executions, times."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.report.compose.events import (
    assessed,
    documented,
    history,
    intended,
    judged,
    minute,
    rejected,
    sight,
    submitted,
)
from watchkeeper.core.events import ExitRecord, Polled
from watchkeeper.core.text.zones import zone_of
from watchkeeper.report.compose.history import (
    About,
    LogFile,
    LogView,
    describe_uncommitted,
    list_differences,
    list_names,
    shorten,
    split_by_key,
)

ABOUT = About(task="one")


def view(*events, about=ABOUT, zone="UTC", file=None):
    """What one run log shows of these events."""
    return LogView(history(*events), about, zone_of(zone), file)


def execution(*events, index=0):
    """One execution of attempt 1."""
    return history(*events).executions_of(1)[index]


def test_the_first_event_of_a_kind_counts_and_the_last_verdict():
    """An attempt keeps its first purpose and its first submission of a job; a later verdict
    replaces an earlier one.
    """
    fed = history(
        intended(script="a.sh"),
        intended(script="b.sh", at=1),
        submitted(at=2, host="one"),
        submitted(at=3, host="two"),
        judged(outcome="failed", at=4),
        judged(at=5),
        rejected(),
        assessed(),
    )
    assert fed.intended[1].script == "a.sh"
    assert fed.submission_of(1).host == "one" and fed.submission_of(2) is None
    assert fed.judged[1].outcome == "done"
    assert len(fed.rejected) == 1 and len(fed.assessed) == 1


def test_the_phase_is_that_of_the_attempts():
    """An evaluation is known by its purpose, or by its submission alone."""
    assert history().phase == "preparation"
    assert history(intended(phase="evaluation")).phase == "evaluation"
    assert history(submitted(phase="evaluation")).phase == "evaluation"
    assert view(submitted(phase="evaluation")).is_evaluation
    assert not view(submitted()).is_evaluation


def test_an_attempt_is_known_by_any_of_its_events():
    """A purpose, a submission or a verdict alone makes an attempt; they are in order."""
    fed = history(judged(3), submitted(2), intended(1))
    assert fed.attempt_numbers() == [1, 2, 3]


def test_each_run_log_holds_the_attempts_until_the_next_begins():
    """A log that continues another begins where that one ends, and files are in the order of their
    first attempts.
    """
    fields = {"mode.run_type": "x"}
    fed = history(
        documented("b.md", 3, fields=fields),
        documented("a.md", 2, fields=fields),
        documented("a.md", 1, fields=fields),
    )
    first, second = fed.files()
    assert [(file.path, file.first) for file in (first, second)] == [("a.md", 1), ("b.md", 3)]
    assert fed.file_after(first) == second and fed.file_after(second) is None
    assert list(fed.attempts_of(first)) == [1, 2]
    assert 3 in fed.attempts_of(second) and 2 not in fed.attempts_of(second)
    assert 1000 in fed.attempts_of(second)


def test_a_log_that_the_machine_did_not_begin_is_continued():
    """The machine's own log has fields from its first event on; later events change nothing."""
    ours = documented("a.md", fields={"mode.run_type": "x"})
    assert [file.continued for file in history(ours, documented("a.md")).files()] == [False]
    assert [file.continued for file in history(documented("a.md"), ours).files()] == [True]


def test_what_was_written_is_collected_for_each_file():
    """Every value of a field, all lines and the newest reason are known, of this file alone."""
    fed = history(
        documented("a.md", fields={"f": "1"}, lines=("x",), kept={"g": "old"}),
        documented("b.md", fields={"f": "9"}, lines=("z",)),
        documented("a.md", fields={"f": "2"}, lines=("y",), kept={"g": "new"}),
    )
    written = fed.written("a.md")
    assert written.fields == {"f": {"1", "2"}}
    assert written.lines == {"x", "y"} and written.kept == {"g": "new"}


def test_a_requeue_begins_another_execution_with_the_verdict():
    """The verdict belongs to the last execution; names and ids count the restarts."""
    fed = history(
        intended(),
        submitted(),
        sight(2, "RUNNING", started=minute(2)),
        sight(3, "PENDING"),
        sight(4, "RUNNING", started=minute(4)),
        sight(5, "RUNNING", number=2, started=minute(5)),
        judged(),
    )
    first, second = fed.executions_of(1)
    assert (first.name, second.name) == ("1", "1.2")
    assert (first.job_id, second.job_id) == ("7", "7 (restart 1)")
    assert first.judged is None and second.judged is not None
    assert (len(first.sights), len(second.sights)) == (1, 2)
    assert first.index == 0 and second.index == 1
    assert second.begun == minute(4)


def test_the_id_is_the_newest_one_known():
    """A poll's job id counts before that of the submission; without both it is not known."""
    assert execution(submitted(job_id="7"), sight(2, "RUNNING", job_id="8")).job_id == "8"
    assert execution(submitted(job_id="7"), sight(2, "RUNNING", job_id="")).job_id == "7"
    assert execution(intended()).job_id == ""


def test_the_newest_facts_count():
    """Node and start are the scheduler's last ones; a fact without them changes nothing."""
    events = (
        sight(2, "RUNNING", node="n1", started=minute(2)),
        sight(3, "RUNNING", node="n2", started=minute(3)),
        sight(4, "RUNNING"),
    )
    seen = execution(*events)
    assert (seen.node, seen.started) == ("n2", minute(3))
    assert execution(submitted()).node == "" and execution(submitted()).started is None


@pytest.mark.parametrize(
    ("events", "begun"),
    [
        ((intended(at=0), submitted(at=1), sight(2, "RUNNING", started=minute(3))), minute(3)),
        ((intended(at=0), submitted(at=1), sight(2, "PENDING")), minute(1)),
        ((intended(at=0),), minute(0)),
        ((judged(),), None),
    ],
)
def test_the_beginning_is_the_best_time_known(events, begun):
    """A start counts before the submission, and that before the purpose."""
    assert execution(*events).begun == begun


def test_a_restart_without_a_start_begins_when_it_was_seen():
    """A further execution that has not started yet begins when it was queued again, not when its
    job was submitted.
    """
    events = (submitted(at=1), sight(2, "RUNNING", started=minute(2)), sight(9, "PENDING"))
    assert execution(*events, index=1).begun == minute(9)
    assert execution(*events).begun == minute(2)


def test_an_end_needs_a_verdict_or_a_later_execution():
    """A running job's end is not known; a judged job that started ended at the latest when it was
    judged.
    """
    started = sight(2, "RUNNING", started=minute(2))
    ended = sight(9, "COMPLETED", started=minute(2), ended=minute(8))
    assert execution(started, ended).ended is None
    assert execution(started, ended, judged()).ended == minute(8)
    assert execution(started, judged(at=50)).ended == minute(50)
    assert execution(sight(2, "PENDING"), judged(at=50)).ended is None


def test_the_runtime_is_from_the_start_to_the_end():
    """The seconds between them; None where one is missing or they contradict each other."""
    ended = {"started": minute(2), "ended": minute(8)}
    assert execution(sight(9, "COMPLETED", **ended), judged()).runtime_s == 360.0
    assert execution(sight(9, "COMPLETED", started=minute(2))).runtime_s is None
    reversed_ = {"started": minute(8), "ended": minute(2)}
    assert execution(sight(9, "COMPLETED", **reversed_), judged()).runtime_s is None
    assert execution(sight(9, "COMPLETED", ended=minute(8)), judged()).runtime_s is None


def test_the_last_exit_code_that_was_seen_counts():
    """A sight's exit record outranks the scheduler's figure, and other attempts do not count."""
    record = ExitRecord(job_id="7", exit_code=3)
    fed = history(
        sight(2, "FAILED", exit_code=1),
        sight(3, "FAILED", exit_code=2, exit_record=record),
        sight(4, "FAILED"),
        sight(5, "FAILED", number=2, exit_code=9),
    )
    assert (fed.exit_code_of(1), fed.exit_code_of(2), fed.exit_code_of(3)) == (3, 9, None)


def test_a_view_shows_the_attempts_of_its_file():
    """The page of one file shows its attempts alone, and knows the file that continues it."""
    fields = {"mode.run_type": "x"}
    events = (
        intended(1),
        intended(2),
        judged(1),
        documented("a.md", 1, fields=fields),
        documented("b.md", 2, fields=fields),
    )
    first, second = history(*events).files()
    shown = view(*events, file=first)
    assert shown.attempts == [1] and shown.successor == second and not shown.continued
    assert shown.first_intended.attempt == 1 and shown.last_judged.attempt == 1
    shown = view(*events, file=second)
    assert shown.attempts == [2] and shown.successor is None
    assert shown.first_intended.attempt == 2 and shown.last_judged is None
    assert view(*events).attempts == [1, 2]
    assert view(*events, file=LogFile("c.md", 1, continued=True)).continued


def test_a_view_without_attempts_has_neither_purpose_nor_verdict():
    """Nothing was tried: there is nothing to show."""
    empty = view()
    assert (empty.attempts, empty.first_intended, empty.last_judged) == ([], None, None)


def test_paths_are_written_from_the_root():
    """A path of the journal is joined to the experiment's folder, an absolute one stays."""
    below = view(about=About(task="one", below="exp"))
    assert below.path("r8/../x") == "exp/x" and below.path("/a") == "/a" and below.path("") == ""
    assert view().path("r8") == "r8"


def test_times_are_written_in_the_experiments_zone():
    """An instant, a date and a stamp, in UTC and in a zone without letters."""
    at = minute(5) + timedelta(seconds=7, microseconds=9)
    utc, other = view(), view(zone="Asia/Kathmandu")
    assert (utc.iso(at), other.iso(at)) == ("2026-03-11T15:05:07Z", "2026-03-11T20:50:07+05:45")
    assert utc.human(at) == "Wednesday, Mar 11th, 2026"
    assert utc.stamp(at) == "2026-03-11 15:05 UTC"
    assert other.stamp(at) == "2026-03-11 20:50 +05:45"


def test_a_poll_is_split_by_the_jobs_that_it_saw():
    """Each change of a poll goes to the history of its own key, with the poll's time."""
    seen = sight(3, "RUNNING").change
    poll = Polled(
        time=minute(3),
        writer="w",
        seq=1,
        phase="preparation",
        query="squeue",
        interval_s=1.0,
        counts={},
        changes=(seen,),
    )
    ((key, fed),) = split_by_key(poll)
    assert (key, fed.time, fed.change) == ("one", minute(3), seen)
    event = judged()
    assert list(split_by_key(event)) == [("one", event)]


def test_two_attempts_differ_in_script_and_configurations():
    """The names of what differs; the same hash of the work is no difference, an unknown one proves
    nothing.
    """
    before = intended(script="a.sh", script_sha256="1", configs={"c.yaml": "1", "d.yaml": "1"})
    after = intended(script="b.sh", script_sha256="2", configs={"c.yaml": "2", "e.yaml": "1"})
    assert list_differences(before, after) == ["b.sh", "c.yaml", "d.yaml", "e.yaml"]
    assert list_differences(before, before) == []
    frozen = intended(script="a.sh", script_sha256="9", source_sha256="s")
    again = intended(script="a.sh", script_sha256="8", source_sha256="s")
    assert list_differences(frozen, again) == []
    assert list_differences(frozen, intended(source_sha256="t")) == ["train.slurm"]


def test_what_the_commit_lacks_is_described():
    """Changed and unknown files are named as kept; a clean commit needs no words."""
    assert describe_uncommitted(intended()) == ""
    dirty = describe_uncommitted(intended(git_dirty=True))
    assert dirty == "with uncommitted changes; kept with the attempt"
    new = describe_uncommitted(intended(uncommitted=("a.py",)))
    assert new == "not in the commit: a.py; kept with the attempt"


def test_a_list_names_the_first_five():
    """Five names are listed, of six the sixth is counted."""
    assert list_names(("a", "b", "c", "d", "e")) == "a, b, c, d, e"
    assert list_names(("a", "b", "c", "d", "e", "f")) == "a, b, c, d, e and 1 more"


def test_a_text_is_one_line_of_at_most_600_letters():
    """Line ends and runs of spaces become one space, and the rest is cut."""
    assert shorten("a\n  b") == "a b"
    assert shorten("x" * 601) == "x" * 600
