"""The watch against a scheduler that refuses, forgets, doubts and falls silent."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from tests.experiments import blocks_of, claims, state_of, times_run, write_experiment
from watchkeeper.core import journal
from watchkeeper.core.events import Change, Intended, Leased, Polled, SchedulerFacts
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, Seen
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query import status
from watchkeeper.report.actionlog.block_format import render_all
from watchkeeper.report.actionlog.render import Renderer, first_zone, render_logs
from watchkeeper.schedulers.fake.scheduler import FakeScheduler, Outcome
from watchkeeper.schedulers.wrapper.claims import read_claims
from watchkeeper.watch import tally
from watchkeeper.watch.budget import Budget
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.logs.logbook import Tell
from watchkeeper.watch.policy import WatchPolicy

Hook = Callable[[Keeper], None]


class Time:
    """A monotonic clock that moves a little at each look, and as far as a test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.001

    def __call__(self) -> float:
        """Seconds."""
        self.now += self.step
        return self.now


def keeper(
    folder: Path,
    fake: FakeScheduler,
    turned: Hook = lambda one: None,
    time: Time | None = None,
    cap: int = 0,
    stagger_s: float = 0.0,
    most_tasks: int = 0,
    keeps_going: bool = False,
    allows_unsigned: bool = False,
    restarted: bool = False,
    budget: Budget | None = None,
    clock: Clock = utc_now,
    tell: Tell = lambda event: None,
    **selection: object,
) -> Keeper:
    """A keeper over the experiment in `folder` that looks every 5 ms."""
    policy = WatchPolicy(
        soonest_s=0.005,
        poll_s=0.005,
        longest_s=0.005,
        stagger_s=stagger_s,
        cap=cap,
        unknown_deadline_s=600,
        most_tasks=most_tasks,
        keeps_going=keeps_going,
    )
    return Keeper(
        experiments.read(folder),
        fake,
        policy,
        Selection(allows_unsigned=allows_unsigned, **selection),
        turned=turned,
        tell=tell,
        restarted=restarted,
        budget=budget,
        clock=clock,
        monotonic=time or Time(),
    )


def run_pending(fake: FakeScheduler) -> Hook:
    """After each turn, really run what waits."""

    def turned(one: Keeper) -> None:
        for job_id, job in list(fake.jobs.items()):
            if job.facts.state == "PENDING" and not job.forgotten and job.process is None:
                fake.run(job_id)

    return turned


def actions(folder: Path, log: str) -> list[str]:
    """The actions of one log, in order."""
    return [block.action for block in blocks_of(folder, f"run-{log}.log")]


def changes(folder: Path, key: str) -> list[Change]:
    """What the polls told of one run, in order."""
    written = (
        event
        for events in journal.read(folder / ".watchkeeper/journal").events.values()
        for event in events
    )
    return [
        change
        for event in written
        if isinstance(event, Polled)
        for change in event.changes
        if change.key == key
    ]


def claim_time(folder: Path, key: str) -> datetime | None:
    """When the first attempt of a run was claimed by its job."""
    return read_claims(attempt_folder(folder, key, 1))[0].time


def outcomes(folder: Path) -> dict[str, list[str]]:
    """Key → the verdict on each of its attempts."""
    return {
        key: [a.judged.outcome if a.judged else "open" for a in run.attempts.values()]
        for key, run in state_of(folder).runs.items()
    }


def test_from_plan_to_all_complete_in_the_documents_order(tmp_path: Path) -> None:
    """The logs follow a run from discovery to end in the document's own sequence of actions."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert actions(folder, "training") == [
        "DISCOVER_EXPERIMENT",
        "IDENTIFY_RUNS",
        "SUBMIT_JOB",
        "STATUS_CHECK",
        "STATE_CHANGE",
        "STATE_CHANGE",
        "ALL_COMPLETE",
    ]
    assert actions(folder, "evaluation") == [
        "DISCOVER_EXPERIMENT", "VERIFY_FINETUNING", "VERIFY_CHECKPOINTS", "IDENTIFY_EVALS",
        "SUBMIT_EVAL", "STATUS_CHECK", "STATE_CHANGE", "STATE_CHANGE", "ALL_COMPLETE",
    ]  # fmt: skip
    assert actions(folder, "experiment") == ["DISCOVER_EXPERIMENT", "VALIDATE", "ALL_COMPLETE"]


def test_a_state_that_no_poll_saw_is_told_as_inferred_with_the_schedulers_time(
    tmp_path: Path,
) -> None:
    """A job that began and ended between two polls is told to have run, as inferred, from when the
    scheduler says.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    began, ended = changes(folder, "one")
    assert [(c.before, c.after, c.inferred) for c in (began, ended)] == [
        ("PENDING", "RUNNING", True),
        ("RUNNING", "COMPLETED", False),
    ]
    assert began.facts.started == ended.facts.started and began.facts.ended is None
    told = [b.result for b in blocks_of(folder, "run-training.log") if b.action == "STATE_CHANGE"]
    assert re.fullmatch(
        r"Training started at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(inferred: between two polls\)",
        told[0],
    )
    assert told[1] == "Training finished"


def test_a_job_that_never_ran_is_not_inferred_to_have(tmp_path: Path) -> None:
    """A job that was cancelled while it waited went from PENDING to CANCELLED, and to nothing
    between.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, lambda one: [fake.cancel(job) for job in fake.jobs]).keep()
    assert [(c.before, c.after) for c in changes(folder, "one")] == [("PENDING", "CANCELLED")]


@pytest.mark.parametrize("ended", [False, True], ids=["still-running", "ended"])
def test_a_requeue_that_no_poll_saw_is_inferred_from_the_second_claim(
    tmp_path: Path, ended: bool
) -> None:
    """A job seen running, that runs again since a later time and has a second claim, waited
    between: it is said.
    """
    body = f"[ -e {tmp_path}/again ] || exec sleep 60"
    folder, fake = write_experiment(tmp_path / "exp", body=body), FakeScheduler()
    turns = iter(range(1000))

    def turned(one: Keeper) -> None:
        turn = next(turns)
        job = fake.jobs["1"]
        if turn == 0:
            fake.start("1")
        elif turn == 2:
            assert job.process is not None
            while not (folder / "one" / "ran.txt").exists():
                pass
            job.process.terminate()  # as a preemption does
            job.process.wait()
            (tmp_path / "again").touch()
            fake.start("1", restart=1)
            while not (folder / ".watchkeeper/runs/one/1/claim.2").exists():
                pass
            if ended:
                fake.wait("1")
        elif turn > 3:
            run_pending(fake)(one)

    assert keeper(folder, fake, turned).keep()
    told = [(c.before, c.after, c.inferred) for c in changes(folder, "one")]
    assert told == [
        ("PENDING", "RUNNING", False),
        ("RUNNING", "PENDING", True),
        ("PENDING", "RUNNING", ended),
        ("RUNNING", "COMPLETED", False),
    ]
    assert "Queued again (inferred: between two polls)" in [
        b.result for b in blocks_of(folder, "run-training.log")
    ]


def test_zero_things_to_do_is_said_and_never_all_complete(tmp_path: Path) -> None:
    """A second run submits nothing, says why for each job, and does not claim that jobs were
    completed.
    """
    folder, fake = write_experiment(tmp_path / "exp", control=True), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake)).keep()
    submitted = fake.submissions
    first = {
        log: len(blocks_of(folder, f"run-{log}.log"))
        for log in ("training", "evaluation", "experiment")
    }
    assert keeper(folder, fake).keep()
    assert fake.submissions == submitted
    new = {log: blocks_of(folder, f"run-{log}.log")[number:] for log, number in first.items()}
    assert not [b for blocks in new.values() for b in blocks if b.action == "ALL_COMPLETE"]
    assert (
        "nothing to submit" in new["training"][1].result
        and "Nothing to submit" in new["evaluation"][3].result
    )
    reasons = {
        b.subject: b.details.split(";")[0]
        for log in ("training", "evaluation")
        for b in new[log]
        if b.action == "SKIP"
    }
    assert reasons == {
        "one": "checkpoint exists",
        "untrained": "control run",
        "one/clean/epoch0": "result exists",
        "untrained/clean/base": "result exists",
    }


def test_one_refused_submission_is_logged_and_the_rest_go_on(tmp_path: Path) -> None:
    """A refusal costs one job: its message is in the log, its evaluations say what is missing, the
    others finish.
    """
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b")), FakeScheduler()
    fake.on_submit("refuse")
    assert keeper(folder, fake, run_pending(fake)).keep()
    (error,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_ERROR"]
    assert (error.subject, error.result) == ("a", "fake: the job was refused")
    assert outcomes(folder) == {"a": ["open"], "b": ["done"], "b/clean/epoch0": ["done"]}
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert outcomes(folder)["a"] == ["open", "done"] and outcomes(folder)["a/clean/epoch0"] == [
        "done"
    ]


def test_completed_but_empty_is_invalid_and_blocks_its_evaluations(tmp_path: Path) -> None:
    """COMPLETED without what was promised counts as INVALID, and nothing is evaluated on it."""
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b")), FakeScheduler()
    script = folder / "a" / "finetune.slurm"
    script.write_text(script.read_text().replace("mkdir -p", "exit 0\nmkdir -p"))
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert outcomes(folder) == {"a": ["invalid"], "b": ["done"], "b/clean/epoch0": ["done"]}
    final = blocks_of(folder, "run-training.log")[-1]
    assert final.result == "1 COMPLETED, 0 FAILED, 1 INVALID"
    (skip,) = [b for b in blocks_of(folder, "run-evaluation.log") if b.action == "SKIP"]
    assert skip.subject == "a/clean/epoch0" and skip.details.startswith("checkpoint missing")


def test_failed_but_good_goes_on_and_is_reported_apart(tmp_path: Path) -> None:
    """A job that ended badly after it left all it promised is FAILED in the counts, and its
    evaluations go on.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    script = folder / "one" / "finetune.slurm"
    script.write_text(script.read_text() + "echo boom >&2\nexit 3\n")
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert outcomes(folder) == {"one": ["failed but good"], "one/clean/epoch0": ["done"]}
    change = [b for b in blocks_of(folder, "run-training.log") if b.action == "STATE_CHANGE"][-1]
    assert (
        change.details.endswith("→ FAILED")
        and "exit code 3" in change.result
        and "last line: boom" in change.result
    )


def test_failed_is_not_repeated_until_asked_and_then_as_a_new_attempt(tmp_path: Path) -> None:
    """A failed run is blocked with its reason on a rerun; --retry-failed makes attempt 2, said in
    the log.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    script = folder / "one" / "finetune.slurm"
    good = script.read_text()
    script.write_text("#!/bin/bash\necho 'No module named torch' >&2\nexit 1\n")
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert keeper(folder, fake, run_pending(fake)).keep() and fake.submissions == 1
    script.write_text(good)
    assert keeper(folder, fake, run_pending(fake), retry_failed=True).keep()
    assert outcomes(folder) == {"one": ["failed", "done"], "one/clean/epoch0": ["done"]}
    (retry,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "RETRY"]
    assert "No module named torch" in retry.details and retry.result == "Attempt 2"


def test_a_doubted_submission_is_adopted_not_repeated(tmp_path: Path) -> None:
    """When the scheduler took the job without saying so, it is found by its token and watched: one
    job, one claim.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    fake.on_submit("doubt")
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert (
        fake.submissions == 2
        and len(claims(folder)) == 2
        and set(times_run(folder).values()) == {1}
    )
    submit = next(b for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_JOB")
    assert "found again" in submit.details


def test_a_submission_lost_in_doubt_is_made_again_under_the_same_attempt(tmp_path: Path) -> None:
    """When the scheduler lost the job, the attempt is submitted again, and still runs once."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    fake.on_submit("lose")
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]} and set(
        times_run(folder).values()
    ) == {1}


def test_what_was_doubted_is_not_submitted_again_before_it_had_time_to_show(tmp_path: Path) -> None:
    """On a cluster a job taken in doubt and shown only a minute later is adopted: one submission,
    one claim.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=120.0),
        Time(),
    )
    fake.on_submit("doubt")
    waits = run_pending(fake)

    def turned(one: Keeper) -> None:
        fake.jobs["1"].forgotten = time.now < 60
        time.now += 20
        waits(one)

    assert keeper(folder, fake, turned, time).keep()
    assert (
        fake.submissions == 2
        and len(claims(folder)) == 2
        and set(times_run(folder).values()) == {1}
    )


@pytest.mark.parametrize("outcome", ["lose", "doubt"])
def test_what_was_doubted_is_never_submitted_again_where_the_claim_is_not_proved(
    tmp_path: Path, outcome: Outcome
) -> None:
    """Where a second job might run beside the first, an attempt in doubt ends as unknown at the
    deadline, and says how to prove the claim; --retry-failed makes the next attempt, unless the
    first one's job has begun after all.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=120.0),
        Time(),
    )
    fake.claim_proved = False
    fake.on_submit(outcome)

    def turned(one: Keeper) -> None:
        for job in fake.jobs.values():
            job.forgotten = True
        time.now += 100

    assert keeper(folder, fake, turned, time).keep()
    assert fake.submissions == 1 and outcomes(folder)["one"] == ["unknown"]
    (end,) = [b.result for b in blocks_of(folder, "run-training.log") if b.action == "VALIDATE"]
    assert "not submitted again" in end and "`watchkeeper doctor`" in end
    assert 600 <= time.now < 1500
    if outcome == "doubt":
        fake.run("1")
        assert keeper(folder, fake, run_pending(fake), time=time, retry_failed=True).keep()
        assert outcomes(folder)["one"] == ["done"], (
            "its claim names its job, and its exit record the end"
        )
    else:
        assert keeper(folder, fake, run_pending(fake), time=time, retry_failed=True).keep()
        assert outcomes(folder)["one"] == ["unknown", "done"]
    assert set(times_run(folder).values()) == {1}


@pytest.mark.parametrize(("outcome", "submissions"), [("unreached", 3), ("retried", 2)])
def test_a_connection_that_failed_is_looked_for_first(
    tmp_path: Path, outcome: Outcome, submissions: int
) -> None:
    """A submission that reached nobody, as its command says, is looked for until a job had time to
    show: what a site's wrapper submitted all the same is adopted, and only what is not there is
    submitted again, also without a proof.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=120.0),
        Time(),
    )
    fake.claim_proved = False
    fake.on_submit(outcome)
    shown: list[str] = []
    waits = run_pending(fake)

    def turned(one: Keeper) -> None:
        if time.now < 100:
            assert fake.submissions == 1
            shown.extend(
                row.why
                for row in status.look(experiments.read(folder), Selection()).rows
                if row.key == "one"
            )
        if outcome == "retried":
            fake.jobs["1"].forgotten = time.now < 100
        time.now += 30
        waits(one)

    assert keeper(folder, fake, turned, time).keep()
    assert "not taken yet: fake: connection refused" in shown
    assert fake.submissions == submissions and set(times_run(folder).values()) == {1}
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]}
    doubted = state_of(folder).run("one").attempts[1].doubted
    assert doubted is not None and doubted.unreached


def test_what_was_put_off_is_no_doubt(tmp_path: Path) -> None:
    """A submission that the scheduler certainly did not take is made again at once, also where the
    claim is not proved; and the journal says so to the next keeper.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=120.0),
        Time(),
    )
    fake.claim_proved = False
    fake.on_submit("busy", "unavailable")
    told, waits = [], run_pending(fake)

    def turned(one: Keeper) -> None:
        told.extend((a.asked, a.postponed, a.may_have_job) for a in state_of(folder).unresolved)
        waits(one)

    assert keeper(folder, fake, turned, time).keep()
    assert told == [(1, 1, False), (2, 2, False)]
    assert (
        time.now < 100
        and outcomes(folder)["one"] == ["done"]
        and set(times_run(folder).values()) == {1}
    )


def test_an_outage_is_logged_once_with_its_length_and_ends_nothing(tmp_path: Path) -> None:
    """While the scheduler cannot be asked nothing is called finished, failed or lost; the log has
    one line for it.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    waits = run_pending(fake)
    silent = {"begun": False}

    def turned(one: Keeper) -> None:
        if not silent["begun"] and fake.jobs:
            silent["begun"] = True
            fake.outage(5)
        elif fake._outage == 0:
            waits(one)

    assert keeper(folder, fake, turned).keep()
    errors = [b for b in blocks_of(folder, "run-training.log") if b.action == "MONITOR_ERROR"]
    assert len(errors) == 1 and errors[0].result == "fake: it cannot be reached"
    answers = [
        b for b in blocks_of(folder, "run-experiment.log") if "without an answer" in b.result
    ]
    assert len(answers) == 1
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]}


def test_a_busy_scheduler_is_asked_again_and_said_once(tmp_path: Path) -> None:
    """Limits mean later, not failed: the attempt stays, the log says so once, and the job runs once
    in the end.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    fake.on_submit("busy", "busy", "unavailable")
    assert keeper(folder, fake, run_pending(fake)).keep()
    busy = [
        b.result for b in blocks_of(folder, "run-experiment.log") if b.action == "MONITOR_ERROR"
    ]
    assert busy == ["fake: too many jobs at present", "fake: it cannot be reached"]
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]} and set(
        times_run(folder).values()
    ) == {1}


def test_a_forgotten_job_is_unknown_until_its_deadline_and_never_failed(tmp_path: Path) -> None:
    """A job that the scheduler no longer knows, and that left no exit record, ends as unknown after
    the deadline.
    """
    folder, fake, time = write_experiment(tmp_path / "exp"), FakeScheduler(), Time()
    seen: list[str] = []

    def turned(one: Keeper) -> None:
        if fake.jobs and not fake.jobs["1"].forgotten:
            fake.forget("1")
        seen.append(one.logbook.state.run("one").attempts[1].state)
        time.now += 100

    assert keeper(folder, fake, turned, time).keep()
    assert "UNKNOWN" in seen and len(seen) > 6
    assert outcomes(folder)["one"] == ["unknown"]
    assert fake.submissions == 1, "what may still run is not submitted again"


def test_the_deadline_of_an_unknown_job_waits_for_who_is_silent(tmp_path: Path) -> None:
    """While part of the scheduler does not answer no job is given up, however long that takes; it
    is said once, and its end with its length.
    """
    folder, fake, time = write_experiment(tmp_path / "exp"), FakeScheduler(), Time()
    seen: list[str] = []

    def turned(one: Keeper) -> None:
        if fake.jobs and not fake.jobs["1"].forgotten:
            fake.forget("1")
            fake.silence("accounting: connection refused")
        seen.append(one.logbook.state.run("one").attempts[1].state)
        time.now += 1000
        if len(seen) == 10:
            assert set(seen) <= {"PENDING", "UNKNOWN"} and seen[-1] == "UNKNOWN"
            fake.silence("")

    assert keeper(folder, fake, turned, time).keep()
    assert outcomes(folder)["one"] == ["unknown"] and len(seen) > 10
    told = [
        b.details + " " + b.result
        for b in blocks_of(folder, "run-experiment.log")
        if "part" in b.details + b.result
    ]
    assert len(told) == 2 and "connection refused" in told[0] and "all of it, after 2" in told[1], (
        told
    )


def test_an_absence_counts_only_after_the_visibility_lag(tmp_path: Path) -> None:
    """On a cluster a job that is not shown for a while stays what it was; when it is shown again
    nothing was said.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp"),
        FakeScheduler(visibility_lag_s=120.0),
        Time(),
    )
    waits = run_pending(fake)

    def turned(one: Keeper) -> None:
        time.now += 30
        if fake.jobs and time.now < 120:
            fake.jobs["1"].forgotten = True
        elif fake.jobs:
            fake.jobs["1"].forgotten = False
            waits(one)

    assert keeper(folder, fake, turned, time).keep()
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]}
    assert not [b for b in blocks_of(folder, "run-training.log") if "UNKNOWN" in b.details]


def test_what_may_still_run_is_not_tried_again(tmp_path: Path) -> None:
    """After an unknown end --retry-failed is refused while a process holds the claim, and goes on
    when it is gone.
    """
    folder, fake, time = (
        write_experiment(tmp_path / "exp", body="echo $$ > pid; exec sleep 60"),
        FakeScheduler(),
        Time(),
    )

    def turned(one: Keeper) -> None:
        if fake.jobs["1"].process is None:
            fake.start("1")
            while not (folder / "one" / "pid").exists():
                pass
            fake.forget("1")
        time.now += 100

    try:
        assert keeper(folder, fake, turned, time).keep()
        assert outcomes(folder)["one"] == ["unknown"]
        assert keeper(folder, fake, retry_failed=True).keep()
        (error,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_ERROR"]
        assert "attempt 1 may still run: job 1 claimed it" in error.result and fake.submissions == 1
    finally:
        process = fake.jobs["1"].process
        assert process is not None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for script in folder.rglob("*.slurm"):
        script.write_text(script.read_text().replace("exec sleep 60", ""))
    assert keeper(folder, fake, run_pending(fake), retry_failed=True).keep()
    assert outcomes(folder)["one"][-1] == "done"


def test_a_forgotten_job_that_left_its_exit_record_is_known_by_it(tmp_path: Path) -> None:
    """Gone from the scheduler, the wrapper's exit record says how the job ended."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()

    def turned(one: Keeper) -> None:
        for job_id, job in list(fake.jobs.items()):
            if job.process is None:
                fake.start(job_id)
                assert job.process is not None
                job.process.wait()
                fake.forget(job_id)

    assert keeper(folder, fake, turned).keep()
    assert outcomes(folder) == {"one": ["done"], "one/clean/epoch0": ["done"]}
    began, _ = changes(folder, "one")
    assert (
        began.after == "RUNNING"
        and began.inferred
        and began.facts.started == claim_time(folder, "one")
    )


def test_gate_each_evaluates_a_run_while_another_still_trains(tmp_path: Path) -> None:
    """Under `each`, a's evaluation is submitted before b has ended; under `all` it would wait."""
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b")), FakeScheduler()
    turns = iter(range(200))

    def turned(one: Keeper) -> None:
        next(turns)  # under `all` nothing would ever be evaluated here, and this would end the test
        for job_id, job in list(fake.jobs.items()):
            first_evaluation_submitted = len(fake.jobs) >= 3
            if job.process is None and (job.job.folder.name != "b" or first_evaluation_submitted):
                fake.run(job_id)

    assert keeper(folder, fake, turned, gate="each").keep()
    assert outcomes(folder) == {
        key: ["done"] for key in ("a", "a/clean/epoch0", "b", "b/clean/epoch0")
    }


def test_never_more_jobs_than_the_cap_at_a_time(tmp_path: Path) -> None:
    """Under a cap of 2, five fine-tunes are fed in as others end."""
    folder, fake = (
        write_experiment(tmp_path / "exp", runs=("a", "b", "c", "d", "e")),
        FakeScheduler(),
    )
    most = [0]
    waits = run_pending(fake)

    def turned(one: Keeper) -> None:
        most[0] = max(most[0], len(one.logbook.state.active))
        waits(one)

    assert keeper(folder, fake, turned, cap=2).keep()
    assert most[0] == 2 and fake.submissions == 10


def test_the_tasks_of_arrays_count_where_the_site_counts_them(tmp_path: Path) -> None:
    """Where a user may have five jobs queued, three arrays of two tasks are never queued together,
    and all of them run.
    """
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b", "c")), FakeScheduler()
    for script in folder.glob("*/finetune.slurm"):
        script.write_text(script.read_text().replace("\n", "\n#SBATCH --array=0-1\n", 1))
    queued: list[int] = []

    def turned(one: Keeper) -> None:
        queued.append(sum(map(tally.tasks_left, one.logbook.state.active)))
        for job_id, job in fake.jobs.items():
            if job.facts.state == "PENDING":
                fake.report(
                    job_id,
                    msgspec.structs.replace(
                        job.facts, state="CANCELLED", tasks={"CANCELLED": "0-1"}
                    ),
                )

    assert keeper(folder, fake, turned, most_tasks=5).keep()
    assert max(queued) == 4 and {len(outcomes(folder)[key]) for key in ("a", "b", "c")} == {1}


def test_a_task_that_has_ended_counts_no_more() -> None:
    """Of an array of ten tasks, four of which have ended, six count."""
    facts = SchedulerFacts(
        state="RUNNING",
        tasks={"COMPLETED": "0-2", "FAILED": "7", "RUNNING": "3-6", "PENDING": "8-9"},
    )
    attempt = Attempt("a", 1, "preparation", seen=Seen("w", 1, "5", "RUNNING", facts, None))
    assert tally.tasks_left(attempt) == 1
    attempt.intended = Intended(
        time=utc_now(),
        writer="w",
        seq=0,
        key="a",
        phase="preparation",
        attempt=1,
        token="t",
        script="s",
        script_sha256="0",
        array="0-9%2",
    )
    assert tally.tasks_left(attempt) == 6


def test_the_stagger_stands_between_submissions_and_not_after_the_last(tmp_path: Path) -> None:
    """Each submission but the first waits its stagger, and says so."""
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b", "c")), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), stagger_s=0.05).keep()
    submits = [b.details for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_JOB"]
    assert [("stagger" in details) for details in submits] == [False, True, True]


def test_a_status_is_written_when_a_count_changes_and_each_hour(tmp_path: Path) -> None:
    """A day of polling a job that only runs leaves a line an hour, not one a poll."""
    folder, fake, time = write_experiment(tmp_path / "exp"), FakeScheduler(), Time()
    turns = [0]

    def turned(one: Keeper) -> None:
        turns[0] += 1
        if turns[0] == 1:
            fake.report("1", "RUNNING")
        if turns[0] < 24 * 6:
            time.now += 600
        else:
            fake.jobs["1"].script.clear()
            run_pending(fake)(one) if turns[0] > 24 * 6 else fake.report("1", "PENDING")

    assert keeper(folder, fake, turned, time).keep()
    polled = [
        e
        for events in journal.read(folder / ".watchkeeper/journal").events.values()
        for e in events
        if type(e).__name__ == "Polled"
    ]
    assert 20 <= len(polled) <= 32


def test_detach_by_sentinel_and_back(tmp_path: Path) -> None:
    """A `.detach` file ends the watch and leaves the jobs; the next run removes it, says so, and
    adopts nothing twice.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert not keeper(folder, fake, lambda one: (folder / ".detach").touch()).keep()
    assert actions(folder, "experiment") == ["DISCOVER_EXPERIMENT", "DETACH"]
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert not (folder / ".detach").exists() and fake.submissions == 2
    assert ".detach was removed" in blocks_of(folder, "run-experiment.log")[2].result


def test_a_second_watcher_takes_the_lead_when_the_first_has_left(tmp_path: Path) -> None:
    """What the first leader submitted is not shown twice, and the whole log is what the journal
    renders.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    first = keeper(folder, fake)
    first.ask_to_leave("test")
    assert not first.keep()
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert actions(folder, "training").count("SUBMIT_JOB") == 1


def test_what_another_process_submitted_enters_the_leaders_log(tmp_path: Path) -> None:
    """A follower's submission appears once in the leader's log, as the leader's observation."""
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b")), FakeScheduler()
    waits = run_pending(fake)
    helped = [False]

    def turned(one: Keeper) -> None:
        if not helped[0]:
            helped[0] = True
            helper = keeper(folder, fake, runs="b")
            helper.ask_to_leave("test")
            helper.prepare()
            helper.turn()
            helper.logbook.close()
            assert not helper.logbook.leads
        waits(one)

    leader = keeper(folder, fake, turned, runs="a")
    leader.keep()
    submits = [
        (b.subject, "another watchkeeper" in b.details)
        for b in blocks_of(folder, "run-training.log")
        if b.action == "SUBMIT_JOB"
    ]
    assert submits in ([("a", False)], [("a", False), ("b", True)])


@pytest.mark.parametrize("changed", ["someone's note\n", ""])
def test_a_log_that_somebody_changed_is_kept_and_made_again(tmp_path: Path, changed: str) -> None:
    """A person's words in a log are never lost: the file is set aside, and the log stays whole."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    waits = run_pending(fake)
    path = folder / "run-training.log"

    def turned(one: Keeper) -> None:
        if len(fake.jobs) == 1:
            path.write_text(path.read_text() + changed)
        waits(one)

    assert keeper(folder, fake, turned).keep()
    kept = sorted(folder.glob("run-training.log.kept-*"))
    assert bool(kept) == bool(changed)
    assert all(changed in one.read_text() for one in kept)
    events = journal.read(folder / ".watchkeeper" / "journal").events
    for name, blocks in render_logs(events, Renderer(first_zone(events))).items():
        assert (folder / name).read_text() == render_all(blocks)


def test_the_log_of_a_prefix_is_a_prefix_of_the_log(tmp_path: Path) -> None:
    """Cutting the journal after any event gives logs that the whole logs begin with."""
    folder, fake = (
        write_experiment(tmp_path / "exp", runs=("a", "b"), control=True),
        FakeScheduler(),
    )
    first = keeper(folder, fake)
    first.ask_to_leave("test")
    first.keep()
    keeper(folder, fake, run_pending(fake)).keep()
    events = journal.read(folder / ".watchkeeper" / "journal").events
    zone = first_zone(events)
    whole = {
        name: render_all(blocks) for name, blocks in render_logs(events, Renderer(zone)).items()
    }
    writers = sorted(events, key=lambda w: min(e.lease for e in events[w] if isinstance(e, Leased)))
    for position, writer in enumerate(writers):
        for number in range(len(events[writer])):
            cut = {w: events[w] for w in writers[:position]} | {writer: events[writer][:number]}
            for name, blocks in render_logs(cut, Renderer(zone)).items():
                assert whole[name].startswith(render_all(blocks))
