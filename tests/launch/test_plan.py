"""The plan: one decision for each piece of work, with a reason, from journal and disk alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import (
    Change,
    Decision,
    Evidence,
    Intended,
    Judged,
    Opened,
    Polled,
    Rejected,
    RunItem,
    SchedulerFacts,
    Submitted,
)
from watchkeeper.core.state import Fold, State, fold
from watchkeeper.experiment.experiment import Experiment, Tools
from watchkeeper.launch.plan import (
    HALTED,
    UNSIGNED,
    Facts,
    Plan,
    Planner,
    Selection,
    check_selection,
    failed_attempts,
    make,
    tasks_to_retry,
    to_try,
)
from watchkeeper.launch.retries import Means, Rules
from watchkeeper.tools.promise import Finding, Promise

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
A, B, E0, E1, C, BASE = "a", "b", "a/clean/epoch0", "b/clean/epoch0", "base", "base/clean/base"


def _item(
    key: str, script: str = "x.slurm", epoch: int | None = None, control: bool = False
) -> RunItem:
    evaluation = "/" in key
    run, _, rest = key.partition("/")
    return RunItem(
        key=key,
        phase="evaluation" if evaluation else "preparation",
        run=run,
        script=script,
        task=rest.partition("/")[0],
        epoch=epoch,
        control=control,
    )


def _promise(subject: str, kind: Any) -> Promise:
    return Promise(subject=subject, kind=kind, patterns=(subject,))


EXPERIMENT = Experiment(
    name="test",
    folder=Path("/exp"),
    summary="experiment_summary.yaml",
    summary_sha256="",
    items=(
        _item(A),
        _item(B),
        _item(C, "", control=True),
        _item(E0, epoch=0),
        _item(E1, epoch=0),
        _item(BASE, control=True),
    ),
    checkpoints={f"{run}/epoch_0": _promise(f"{run}/epoch_0", "checkpoint") for run in (A, B)},
    results={key: _promise(key, "result") for key in (E0, E1, BASE)},
    problems=(),
    tools=Tools(preparation="script", evaluation="script"),
)
SUBJECTS = [*EXPERIMENT.checkpoints, *EXPERIMENT.results]


def facts(good: dict[str, str], **more: Any) -> Facts:
    """What is on disk: subject → fingerprint of what is good; everything else is missing."""
    findings = {}
    for subject in SUBJECTS:
        state: Any = "good" if subject in good else "missing"
        findings[subject] = Finding(
            subject=subject, state=state, path=subject, why="", fingerprint=good.get(subject, "")
        )
    return Facts(findings=findings, **more)


def journal(*told: tuple[str, int, str | None], inputs: dict[str, str] | None = None) -> State:
    """(key, attempt, outcome; None while it is under way) in their order."""
    events: list[Any] = [
        Opened(time=NOW, writer="w", seq=0, schema=1, software="", purpose="", zone="UTC")
    ]

    def add(kind: type, **fields: Any) -> None:
        events.append(kind(time=NOW, writer="w", seq=len(events), **fields))

    for key, number, outcome in told:
        common: dict[str, Any] = {
            "key": key,
            "phase": "evaluation" if "/" in key else "preparation",
            "attempt": number,
        }
        add(Intended, **common, token="t", script="x", script_sha256="", inputs=inputs or {})
        if outcome == "rejected":
            add(Rejected, **common, command="c", message="no")
            continue
        add(Submitted, **common, job_id=str(len(events)), scheduler="local", command="c")
        if outcome is not None:
            add(
                Judged,
                **common,
                outcome=outcome,
                state="COMPLETED" if outcome == "done" else "FAILED",
            )
    return fold({"w": events})


def decided(state: State, found: Facts, **selection: Any) -> dict[str, Decision]:
    """The decisions by key."""
    return {d.key: d for d in make(EXPERIMENT, state, found, Selection(**selection)).decisions}


def actions(state: State, found: Facts, **selection: Any) -> dict[str, str]:
    """Only what is to be done, by key."""
    return {key: d.action for key, d in decided(state, found, **selection).items()}


ALL_DONE = {subject: "f" for subject in SUBJECTS}


def test_at_first_fine_tunes_are_submitted_and_evaluations_wait() -> None:
    """With nothing there, fine-tunes go first, evaluations wait at the gate, a control run is not
    trained.
    """
    assert actions(State(), facts({})) == {
        A: "submit",
        B: "submit",
        C: "skip",
        E0: "wait",
        E1: "wait",
        BASE: "wait",
    }


def test_gate_each_lets_through_what_waits_for_nothing() -> None:
    """Under `each`, an evaluation waits only for its own run: the untrained one starts at once."""
    got = actions(journal((B, 1, None)), facts({"a/epoch_0": "f"}), gate="each")
    assert got == {A: "skip", B: "active", C: "skip", E0: "submit", E1: "wait", BASE: "submit"}


def test_what_is_there_is_skipped_with_its_evidence() -> None:
    """When everything exists nothing is submitted, and each decision says why."""
    got = decided(State(), facts(ALL_DONE))
    assert {d.action for d in got.values()} == {"skip"}
    assert (
        got[A].reason == "checkpoint exists"
        and got[E0].reason == "result exists"
        and got[C].reason == "control run"
    )


def test_a_deleted_checkpoint_redoes_exactly_what_depends_on_it() -> None:
    """Its fine-tune is submitted, its evaluations wait as stale, every other job is skipped."""
    there = {subject: "f" for subject in SUBJECTS if subject != "a/epoch_0"}
    state = journal(
        (A, 1, "done"),
        (B, 1, "done"),
        (E0, 1, "done"),
        (E1, 1, "done"),
        inputs={"a/epoch_0": "f", "b/epoch_0": "f"},
    )
    got = decided(state, facts(there))
    assert {key: d.action for key, d in got.items()} == {
        A: "submit",
        B: "skip",
        C: "skip",
        E0: "wait",
        E1: "skip",
        BASE: "skip",
    }
    assert got[A].attempt == 2 and got[E0].attempt == 2 and got[E0].stale


def test_a_deleted_result_redoes_only_its_evaluation() -> None:
    """A missing result is evaluated again, and nothing is trained for it."""
    there = {subject: "f" for subject in SUBJECTS if subject != E0}
    state = journal((A, 1, "done"), (E0, 1, "done"), inputs={"a/epoch_0": "f"})
    assert actions(state, facts(there)) == {
        A: "skip",
        B: "skip",
        C: "skip",
        E0: "submit",
        E1: "skip",
        BASE: "skip",
    }


def test_a_changed_checkpoint_makes_its_results_stale() -> None:
    """A result that was made from other bytes than the checkpoint now holds is made again."""
    state = journal((E0, 1, "done"), inputs={"a/epoch_0": "old"})
    got = decided(state, facts(ALL_DONE | {"a/epoch_0": "new"}))
    assert got[E0].action == "submit" and got[E0].stale and got[E1].action == "skip"


def test_a_missing_checkpoint_that_nobody_will_make_blocks_its_evaluations_only() -> None:
    """When a fine-tune has failed, the evaluations of the others go on, and its own say what is
    missing.
    """
    got = decided(journal((A, 1, "failed"), (B, 1, "done")), facts({"b/epoch_0": "f"}))
    assert (got[A].action, got[A].reason) == ("blocked", "failed before")
    assert (got[E0].action, got[E0].reason) == ("blocked", "checkpoint missing")
    assert got[E1].action == "submit" and got[BASE].action == "submit"


def test_failed_is_tried_again_only_when_asked_and_only_once() -> None:
    """`--retry-failed` means what had failed before this execution began, not what fails in it."""
    state = journal((A, 1, "failed"), (B, 1, "done"))
    before = failed_attempts(state)
    got = decided(state, facts({"b/epoch_0": "f"}, failed=before), retry_failed=True)
    assert (got[A].action, got[A].attempt) == ("retry", 2)
    again = journal((A, 1, "failed"), (A, 2, "failed"), (B, 1, "done"))
    assert (
        decided(again, facts({"b/epoch_0": "f"}, failed=before), retry_failed=True)[A].action
        == "blocked"
    )


def test_a_persons_retry_waits_until_the_disk_shows_how() -> None:
    """Where a file of the job cannot be read, `--retry-failed` submits nothing and names it."""
    state = journal((A, 1, "failed"))
    on_disk = facts({}, failed=failed_attempts(state), means={A: Means(unreadable="no x.py")})
    decision = decided(state, on_disk, retry_failed=True)[A]
    assert (decision.action, decision.reason) == ("blocked", "failed before")
    assert decision.detail == "attempt 1 FAILED; no x.py"


def test_a_refused_submission_is_tried_by_the_next_command_not_by_this_one() -> None:
    """What the scheduler refused is given up for now; the same command tries again as the next
    attempt.
    """
    state = journal((A, 1, "rejected"))
    assert decided(state, facts({}, given_up=frozenset({A})))[A].action == "blocked"
    assert decided(state, facts({}))[A].attempt == 2


def test_an_unresolved_attempt_is_finished_not_doubled() -> None:
    """An attempt that somebody meant to submit keeps its number until it is resolved."""
    intended = Intended(
        time=NOW,
        writer="w",
        seq=0,
        key=A,
        phase="preparation",
        attempt=1,
        token="t",
        script="x",
        script_sha256="",
    )
    assert decided(fold({"w": [intended]}), facts({}))[A].attempt == 1


def test_what_another_process_is_submitting_counts_as_running() -> None:
    """An attempt held by a living process is neither submitted again nor given up."""
    assert decided(State(), facts({}, held=frozenset({(A, 1)})))[A].action == "active"


@pytest.mark.parametrize(
    ("option", "globs"), [("--runs", {"runs": "zzz"}), ("--evals", {"evals": "a/nothing/*"})]
)
def test_a_glob_that_matches_nothing_is_refused_with_the_names(
    option: str, globs: dict[str, str]
) -> None:
    """A selection of nothing is a mistake, answered with what there is to select."""
    with pytest.raises(UsageError, match=option):
        check_selection(EXPERIMENT, Selection(**globs))


def test_globs_select_runs_with_their_evaluations() -> None:
    """`--runs a` leaves everything of other runs alone; `--evals` narrows evaluations only."""
    assert actions(State(), facts({}), runs="a") == {
        A: "submit",
        B: "skip",
        C: "skip",
        E0: "wait",
        E1: "skip",
        BASE: "skip",
    }
    assert actions(State(), facts({}), evals="b/*") == {
        A: "submit",
        B: "submit",
        C: "skip",
        E0: "skip",
        E1: "wait",
        BASE: "skip",
    }


OUTCOMES = st.sampled_from(
    [
        None,
        "done",
        "invalid",
        "failed",
        "failed but good",
        "cancelled",
        "lost",
        "unknown",
        "rejected",
    ]
)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([A, B, E0, E1, BASE]),
        st.sampled_from(
            ["submitted", "rejected", "done", "failed", "found", "lost", "held", "given"]
        ),
    ),
    max_size=12,
)


@given(
    steps=STEPS,
    gate=st.sampled_from(["all", "each"]),
    queue_ahead=st.booleans(),
    retry=st.booleans(),
)
def test_a_plan_made_from_the_one_before_is_the_plan_made_anew(
    steps: list[tuple[str, str]], gate: Any, queue_ahead: bool, retry: bool
) -> None:
    """Whatever is said of the work or seen on the disk, one after the other: a decision that is
    kept is the one that would be made again.
    """
    selection = Selection(gate=gate, queue_ahead=queue_ahead, retry_failed=retry)
    planner, growing = Planner(EXPERIMENT, selection), Fold()
    opened = Opened(time=NOW, writer="w", seq=0, schema=1, software="", purpose="", zone="UTC")
    growing.update({"w": [opened]})
    good: dict[str, str] = {}
    held: set[tuple[str, int]] = set()
    given_up: set[str] = set()
    for seq, (key, step) in enumerate(steps, 1):
        common: dict[str, Any] = {
            "time": NOW,
            "writer": "w",
            "seq": seq,
            "key": key,
            "phase": "evaluation" if "/" in key else "preparation",
            "attempt": 1,
        }
        subject = next((name for name in SUBJECTS if name.startswith(key)), key)
        if step == "submitted":
            job = Submitted(**common, job_id="1", scheduler="local", command="c")
            growing.update({"w": [job]})
        elif step == "rejected":
            growing.update({"w": [Rejected(**common, command="c", message="no")]})
        elif step in ("done", "failed"):
            growing.update({"w": [Judged(**common, outcome=step, state="FAILED")]})
        elif step == "found":
            good[subject] = str(seq)
        elif step == "lost":
            good.pop(subject, None)
        elif step == "held":
            held ^= {(key, 1)}
        else:
            given_up ^= {key}
        state = growing.state()
        found = facts(good, held=frozenset(held), given_up=frozenset(given_up))
        assert planner.make(state, found) == make(EXPERIMENT, state, found, selection)


@given(
    told=st.dictionaries(st.sampled_from([A, B, E0, E1, BASE]), OUTCOMES),
    good=st.sets(st.sampled_from(SUBJECTS)),
    gate=st.sampled_from(["all", "each"]),
    retry=st.booleans(),
)
def test_every_piece_of_work_gets_one_decision_that_harms_nothing(
    told: dict[str, str | None], good: set[str], gate: str, retry: bool
) -> None:
    """Whatever happened: one decision each; what is under way is never submitted; a new attempt
    follows a closed one; an evaluation is submitted only on a good checkpoint; and a wait always
    waits for something that is under way.
    """
    state = journal(*((key, 1, outcome) for key, outcome in told.items()))
    found = facts({subject: "f" for subject in good}, failed=failed_attempts(state))
    got = decided(state, found, gate=gate, retry_failed=retry)
    assert list(got) == [item.key for item in EXPERIMENT.items]
    coming = [key for key in (A, B) if got[key].action in ("submit", "retry", "active")]
    for item in EXPERIMENT.items:
        decision = got[item.key]
        latest = state.run(item.key).latest
        assert (decision.action == "active") == bool(latest and latest.active)
        if decision.action in ("submit", "retry"):
            assert decision.attempt == (1 if latest is None else 2)
            assert latest is None or latest.closed
            needs = EXPERIMENT.checkpoint_for(item)
            assert needs is None or needs in good
        if decision.action == "wait":
            assert coming


TWO_EPOCHS = msgspec.structs.replace(
    EXPERIMENT,
    items=(_item(A),),
    checkpoints={
        subject: _promise(subject, "checkpoint") for subject in ("a/epoch_0", "a/epoch_1")
    },
    results={},
)


@pytest.mark.parametrize(
    ("good", "action"),
    [((), "submit"), (("epoch_0",), "submit"), (("epoch_0", "epoch_1"), "skip")],
)
def test_a_fine_tune_is_done_when_each_of_its_checkpoints_is_good(
    good: tuple[str, ...], action: str
) -> None:
    """One good checkpoint of two is no finished fine-tune; what it lacks is named."""
    findings = {}
    for name in ("epoch_0", "epoch_1"):
        state: Any = "good" if name in good else "missing"
        subject = f"a/{name}"
        findings[subject] = Finding(subject=subject, state=state, path=subject, why="")
    (decision,) = make(TWO_EPOCHS, State(), Facts(findings=findings), Selection()).decisions
    assert decision.action == action
    lacking = [name for name in ("epoch_0", "epoch_1") if name not in good]
    assert all(f"{name}: missing" in decision.detail for name in lacking)


@pytest.mark.parametrize("key", [A, E0])
@pytest.mark.parametrize(
    ("array", "outcome", "action"),
    [
        ("0-3", "failed", "blocked"),
        ("0-3", "done", "skip"),
        ("0-3", "failed but good", "skip"),
        ("", "failed", "skip"),
    ],
)
def test_the_files_of_some_tasks_do_not_finish_an_array(
    key: str, array: str, outcome: Any, action: str
) -> None:
    """While a task of the last array ended badly, good files do not make the work done; without
    an array they do.
    """
    phase: Any = "evaluation" if "/" in key else "preparation"
    common: dict[str, Any] = {"key": key, "phase": phase, "attempt": 1, "time": NOW, "writer": "w"}
    state = fold(
        {
            "w": [
                Opened(time=NOW, writer="w", seq=0, schema=1, software="", purpose="", zone="UTC"),
                Intended(**common, seq=1, token="t", script="x", script_sha256="", array=array),
                Submitted(**common, seq=2, job_id="7", scheduler="slurm", command="c"),
                Judged(**common, seq=3, outcome=outcome, state="FAILED"),
            ]
        }
    )
    assert decided(state, facts(ALL_DONE))[key].action == action


# ── each step by itself


def events_of(*events: tuple[type, dict[str, Any]]) -> State:
    """The state after these events of one writer, each with its kind and its fields."""
    opened = Opened(time=NOW, writer="w", seq=0, schema=1, software="", purpose="", zone="UTC")
    written = [
        kind(time=NOW, writer="w", seq=seq, **fields)
        for seq, (kind, fields) in enumerate(events, 1)
    ]
    return fold({"w": [opened, *written]})


def attempt_fields(key: str, number: int = 1) -> dict[str, Any]:
    """The fields that name an attempt."""
    phase = "evaluation" if "/" in key else "preparation"
    return {"key": key, "phase": phase, "attempt": number}


def intended(key: str, number: int = 1, **fields: Any) -> tuple[type, dict[str, Any]]:
    return Intended, {
        **attempt_fields(key, number),
        "token": "t",
        "script": "x",
        "script_sha256": "",
        **fields,
    }


def submitted(key: str, number: int = 1, job_id: str = "7") -> tuple[type, dict[str, Any]]:
    return Submitted, {
        **attempt_fields(key, number),
        "job_id": job_id,
        "scheduler": "local",
        "command": "c",
    }


def judged(
    key: str, number: int = 1, outcome: str = "failed", **fields: Any
) -> tuple[type, dict[str, Any]]:
    state = "COMPLETED" if outcome == "done" else "FAILED"
    return Judged, {**attempt_fields(key, number), "outcome": outcome, "state": state, **fields}


def seen(key: str, tasks: dict[str, str], number: int = 1) -> tuple[type, dict[str, Any]]:
    change = Change(
        **attempt_fields(key, number),
        job_id="7",
        before="",
        after="FAILED",
        facts=SchedulerFacts(state="FAILED", tasks=tasks),
    )
    polled = {"phase": "preparation", "query": "q", "interval_s": 1.0, "changes": (change,)}
    return Polled, polled


def test_a_plan_says_what_is_ready_and_whether_anything_is_under_way() -> None:
    """Submissions and retries are ready; what waits or runs keeps the plan pending; phases do not
    mix.
    """

    def decision(action: Any, phase: Any = "preparation") -> Decision:
        return Decision(key="k", phase=phase, action=action, reason="r")

    for action, is_ready, is_pending in (
        ("submit", True, True),
        ("retry", True, True),
        ("active", False, True),
        ("wait", False, True),
        ("skip", False, False),
        ("blocked", False, False),
    ):
        one = decision(action)
        plan = Plan(decisions=(decision("skip"), one))
        assert plan.ready == ((one,) if is_ready else ())
        assert plan.is_pending() is is_pending
        assert plan.is_pending({"k"}) is is_pending
        assert not plan.is_pending({"other"})
    training, evaluation = decision("submit"), decision("wait", "evaluation")
    plan = Plan(decisions=(training, evaluation))
    assert plan.of_phase("preparation") == (training,)
    assert plan.of_phase("evaluation") == (evaluation,)


def test_failed_attempts_are_those_that_ended_badly() -> None:
    """An attempt under way, a done one and one whose files are good have not failed."""
    state = journal(
        (A, 1, "failed"),
        (A, 2, "lost"),
        (B, 1, "done"),
        (E0, 1, "failed but good"),
        (E1, 1, None),
    )
    assert failed_attempts(state) == {(A, 1), (A, 2)}


def test_only_work_with_a_script_whose_last_attempt_may_be_tried_needs_means() -> None:
    """The last attempt counts; a cause that a person must fix and a missing script do not."""
    node, mistake = {"cause": "node"}, {"cause": "user error"}
    state = events_of(
        *(submitted(A), judged(A, **node)),
        *(submitted(B), judged(B, **node)),
        *(submitted(B, 2), judged(B, 2, **mistake)),
        *(submitted(C), judged(C, **node)),
        submitted(E0),
    )
    assert [item.key for item in to_try(EXPERIMENT, state)] == [A]
    assert to_try(EXPERIMENT, State()) == []


@pytest.mark.parametrize(
    ("array", "tasks", "left"),
    [
        ("0-3", {"COMPLETED": "0-1", "FAILED": "2-3"}, "2-3"),
        ("0-3%2", {"COMPLETED": "0,2", "FAILED": "1"}, "1,3%2"),
        ("0-3", {"COMPLETED": "0-3"}, ""),
        ("0-3", {}, "0-3"),
        ("", {"COMPLETED": "0-1", "FAILED": "2-3"}, ""),
    ],
)
def test_of_an_array_only_the_tasks_that_did_not_end_well_are_tried_again(
    array: str, tasks: dict[str, str], left: str
) -> None:
    """A task whose end nobody saw is one of them; the limit on how many run at a time stays."""
    state = events_of(intended(A, array=array), submitted(A), seen(A, tasks), judged(A))
    retry = Decision(key=A, phase="preparation", action="retry", reason="r")
    assert tasks_to_retry(state, retry) == left
    assert tasks_to_retry(state, msgspec.structs.replace(retry, action="submit")) == ""


def test_an_array_that_nobody_saw_is_tried_again_whole() -> None:
    """Without a look at its tasks, or without an attempt, there is nothing to leave out."""
    retry = Decision(key=A, phase="preparation", action="retry", reason="r")
    assert tasks_to_retry(events_of(intended(A, array="0-3"), submitted(A)), retry) == ""
    assert tasks_to_retry(State(), retry) == ""


@pytest.mark.parametrize(
    ("count", "end"), [(1, "none of: r0"), (8, ", r6, r7"), (9, ", r6, r7, … (9 in all)")]
)
def test_a_glob_that_matches_nothing_lists_eight_names(count: int, end: str) -> None:
    """More names than eight are counted."""
    items = tuple(_item(f"r{number}") for number in range(count))
    experiment = msgspec.structs.replace(EXPERIMENT, items=items)
    with pytest.raises(UsageError) as caught:
        check_selection(experiment, Selection(runs="zzz"))
    assert str(caught.value).endswith(end)
    check_selection(experiment, Selection(runs="r*"))
    check_selection(experiment, Selection())


def test_a_training_that_promises_nothing_is_finished_by_its_end() -> None:
    """Without promises the verdict is all there is: done is done, and what was not run is not."""
    experiment = msgspec.structs.replace(EXPERIMENT, items=(_item(A),), checkpoints={}, results={})

    def decision(outcome: str | None) -> Decision:
        state = journal((A, 1, outcome)) if outcome else State()
        (chosen,) = make(experiment, state, Facts(findings={}), Selection()).decisions
        return chosen

    assert decision(None).action == "submit"
    done = decision("done")
    assert (done.action, done.reason, done.detail) == (
        "skip",
        "finished before",
        "attempt 1, COMPLETED",
    )
    not_run = decision("not run")
    assert (not_run.action, not_run.attempt) == ("submit", 2)


def test_a_verdict_of_an_earlier_attempt_counts_past_one_that_was_not_run() -> None:
    """An attempt that was refused or not needed is no reason to forget how the one before ended."""
    state = journal((A, 1, "failed"), (A, 2, "not run"), (A, 3, "rejected"))
    decision = decided(state, facts({}))[A]
    assert (decision.action, decision.reason) == ("blocked", "failed before")
    assert decision.detail.startswith("attempt 1 FAILED")


def test_evaluations_wait_for_what_the_gate_names() -> None:
    """`all` counts the trainings under way, `each` names its own; the untrained one is free."""
    got = decided(State(), facts({}))
    assert got[E0].detail == got[BASE].detail == "gate all: 2 fine-tuning jobs have not ended"
    assert (got[E0].reason, got[E0].attempt, got[E0].stale) == ("result missing", 1, False)
    each = decided(State(), facts({}), gate="each")
    assert (each[E0].detail, each[BASE].action) == ("waits for a", "submit")


def test_evaluations_queue_behind_trainings_that_have_a_job() -> None:
    """With `queue_ahead` they are submitted with what they wait for; a training without a job makes
    them wait.
    """
    both = decided(journal((A, 1, None), (B, 1, None)), facts({}), queue_ahead=True)
    assert (both[E0].action, both[E0].after) == ("submit", (A, B))
    assert both[E0].detail == "queued behind 2 fine-tuning jobs"
    own = decided(journal((A, 1, None)), facts({}), queue_ahead=True, gate="each")
    assert (own[E0].action, own[E0].after, own[E0].detail) == ("submit", (A,), "queued behind a")
    assert (own[E1].action, own[E1].after) == ("wait", ())
    half = decided(journal((A, 1, None)), facts({}), queue_ahead=True)
    assert (half[E0].action, half[E0].after) == ("wait", ())
    ended = decided(journal((A, 1, "failed"), (B, 1, None)), facts({}), queue_ahead=True)
    assert ended[E1].after == (B,)


def test_a_result_is_compared_with_the_checkpoint_that_its_attempt_used() -> None:
    """The last attempt that was submitted counts, and of it what its verdict says it used."""

    def action(*events: tuple[type, dict[str, Any]]) -> str:
        return decided(events_of(*events), facts(ALL_DONE | {"a/epoch_0": "new"}))[E0].action

    old, new = {"inputs": {"a/epoch_0": "old"}}, {"inputs": {"a/epoch_0": "new"}}
    first = [intended(E0, **new), submitted(E0), judged(E0, outcome="done")]
    assert action(*first) == "skip"
    rejected = (Rejected, {**attempt_fields(E0, 2), "command": "c", "message": "no"})
    assert action(*first, intended(E0, 2, **old), rejected) == "skip"
    second = [intended(E0, 2, **old), submitted(E0, 2), judged(E0, 2, "done")]
    assert action(*first, *second) == "submit"
    second[-1] = judged(E0, 2, "done", **new)
    assert action(*first, *second) == "skip"
    assert action(submitted(E0), judged(E0, outcome="done")) == "skip"


def test_a_good_result_waits_to_be_made_again_with_its_checkpoint() -> None:
    """While its training runs anew a result is stale; if it is no longer trained, it stands."""
    there = {subject: "f" for subject in SUBJECTS if subject != "a/epoch_0"}
    running = decided(journal((A, 1, None)), facts(there))
    assert (running[E0].action, running[E0].stale) == ("wait", True)
    failed = decided(journal((A, 1, "failed")), facts(there))
    assert (failed[E0].action, failed[E0].reason) == ("skip", "result exists")


def test_a_blocked_evaluation_says_what_its_checkpoint_lacks() -> None:
    """The look's own words, else its state; without a look, that no run promises it."""
    state = journal((A, 1, "failed"))
    assert decided(state, facts({}))[E0].detail == "a/epoch_0 missing"
    on_disk = facts({})
    findings = dict(on_disk.findings)
    findings["a/epoch_0"] = msgspec.structs.replace(findings["a/epoch_0"], why="is half a file")
    looked = msgspec.structs.replace(on_disk, findings=findings)
    assert decided(state, looked)[E0].detail == "a/epoch_0 is half a file"
    del findings["a/epoch_0"]
    unlooked = msgspec.structs.replace(on_disk, findings=findings)
    assert decided(state, unlooked)[E0].detail == "a/epoch_0 is not promised by any run"


def test_a_caution_about_its_checkpoint_goes_with_an_evaluation() -> None:
    """What is remarkable about a good checkpoint is the submission's detail."""
    on_disk = facts({"a/epoch_0": "f", "b/epoch_0": "f"})
    findings = dict(on_disk.findings)
    findings["a/epoch_0"] = msgspec.structs.replace(findings["a/epoch_0"], caution="no adapter")
    got = decided(State(), msgspec.structs.replace(on_disk, findings=findings))
    assert (got[E0].action, got[E0].detail, got[E1].detail) == ("submit", "no adapter", "")


def test_what_is_decided_before_any_evidence_says_why() -> None:
    """A running job is named; what was refused quotes the scheduler, where it said anything."""
    active = decided(journal((A, 1, None)), facts(ALL_DONE))[A]
    assert (active.action, active.attempt, active.detail) == ("active", 1, "job 2, PENDING")
    held = decided(journal((A, 1, "failed")), facts({}, held=frozenset({(A, 2)})))[A]
    assert (held.action, held.attempt) == ("active", 2)
    assert held.detail == "its submission is not settled"
    unheld = decided(journal((A, 1, "failed")), facts({}, held=frozenset({(A, 1)})))[A]
    assert unheld.action == "blocked"
    given_up = frozenset({A})
    refused = decided(journal((A, 1, "rejected")), facts({}, given_up=given_up))[A]
    assert refused.reason == "submission refused" and refused.detail.startswith("no; once that")
    unsaid = decided(State(), facts({}, given_up=given_up))[A]
    assert unsaid.detail.startswith("once that is put right")
    failed = decided(journal((A, 1, "failed")), facts({}, given_up=given_up))[A]
    assert failed.detail.startswith("once that is put right")


def test_phases_that_were_not_asked_for_are_left_alone() -> None:
    """Only the phases of the selection are decided on; globs of evaluations do not touch runs."""
    only_trainings = actions(State(), facts({}), phases=("preparation",))
    assert only_trainings == {
        A: "submit",
        B: "submit",
        C: "skip",
        E0: "skip",
        E1: "skip",
        BASE: "skip",
    }
    only_evaluations = decided(State(), facts({"a/epoch_0": "f"}), phases=("evaluation",))
    assert (only_evaluations[A].reason, only_evaluations[E0].action) == ("not selected", "submit")


def test_a_retry_that_was_begun_keeps_what_it_was_to_have() -> None:
    """Its reason, its change and its checkpoint are the journal's, whatever is asked now."""
    begun = intended(
        A, 2, reason="its node failed", automatic=True, change={"batch_size": "8"}, resume_from="e"
    )
    state = events_of(intended(A), submitted(A), judged(A, cause="node"), begun)
    decision = decided(state, facts({}))[A]
    assert (decision.action, decision.attempt, decision.reason) == ("retry", 2, "its node failed")
    assert (decision.automatic, decision.change, decision.resume_from) == (
        True,
        {"batch_size": "8"},
        "e",
    )
    first = decided(events_of(intended(A)), facts({}))[A]
    assert (first.action, first.attempt, first.automatic) == ("submit", 1, False)


def test_a_lost_node_is_tried_again_by_the_rules() -> None:
    """The retry is automatic, says how the attempt before ended, and starts from its checkpoint;
    beyond the rules it is blocked, with what to type.
    """
    state = events_of(intended(A), submitted(A), judged(A, why="node n1 died", cause="node"))
    means = {A: Means(checkpoint="e", gained=True, resumes=True, how="goes on from e")}
    retry = decided(state, facts({}, means=means), rules=Rules(limit=2))[A]
    assert (retry.action, retry.automatic, retry.resume_from) == ("retry", True, "e")
    assert retry.detail.startswith("attempt 1 FAILED: node n1 died; goes on from e")
    off = decided(state, facts({}, means=means))[A]
    assert (off.action, off.advice) == ("blocked", "")
    assert off.detail == "attempt 1 FAILED: node n1 died; --retry-failed tries again"
    array = events_of(intended(A, array="0-1"), submitted(A), judged(A, cause="node"))
    blocked = decided(array, facts({}), rules=Rules(limit=2))[A]
    assert blocked.advice == "not tried again by itself: an array is not tried again by itself"
    assert blocked.detail == f"attempt 1 FAILED; {blocked.advice}; --retry-failed tries again"


def test_a_persons_retry_is_not_automatic_and_needs_their_word() -> None:
    """`--retry-failed` is what makes the difference, not that the attempt had failed before."""
    state = journal((A, 1, "failed"))
    failed = failed_attempts(state)
    assert decided(state, facts({}, failed=failed))[A].action == "blocked"
    retry = decided(state, facts({}, failed=failed), retry_failed=True)[A]
    assert (retry.action, retry.automatic, retry.reason) == ("retry", False, "failed before")
    assert retry.detail == "attempt 1 FAILED"


def test_work_without_a_script_is_blocked() -> None:
    """There is nothing to submit, and that is the reason."""
    experiment = msgspec.structs.replace(EXPERIMENT, items=(_item(A, ""),))
    (decision,) = make(experiment, State(), facts({}), Selection()).decisions
    assert (decision.action, decision.reason) == ("blocked", "no script")


def test_evidence_is_the_first_of_each_finding() -> None:
    """A skipped job shows one piece of evidence of each thing that is there."""
    first, second = (Evidence(source=name, what="there") for name in ("x", "y"))
    findings = {
        subject: Finding(
            subject=subject, state="good", path=subject, why="", evidence=(first, second)
        )
        for subject in ("a/epoch_0", "a/epoch_1")
    }
    (decision,) = make(TWO_EPOCHS, State(), Facts(findings=findings), Selection()).decisions
    assert decision.evidence == (first, first)


NEEDS = msgspec.structs.replace(
    EXPERIMENT,
    items=(
        RunItem(key="train", phase="preparation", run="train", script="t.sh", needs=("data",)),
        RunItem(key="data", phase="preparation", run="data", script="d.sh"),
    ),
    checkpoints={},
    results={},
)


def needed(state: State, **selection: Any) -> dict[str, Decision]:
    """The decisions on a training and the data job that it needs."""
    plan = make(NEEDS, state, Facts(findings={}), Selection(**selection))
    assert [decision.key for decision in plan.decisions] == ["train", "data"]
    return {decision.key: decision for decision in plan.decisions}


def test_a_run_waits_for_what_it_needs() -> None:
    """While that is to be submitted or under way it waits; once that is done it is submitted."""
    fresh = needed(journal())
    assert (fresh["data"].action, fresh["train"].action) == ("submit", "wait")
    assert fresh["train"].detail == "waits for data"
    assert needed(journal(("data", 1, None)))["train"].action == "wait"
    assert needed(journal(("data", 1, "done")))["train"].action == "submit"


def test_a_run_is_queued_behind_what_it_needs_where_asked() -> None:
    """With `queue_ahead` its job waits in the scheduler's queue, once that has a job itself."""
    ahead = needed(journal(("data", 1, None)), queue_ahead=True)["train"]
    assert (ahead.action, ahead.after) == ("submit", ("data",))
    assert needed(journal(), queue_ahead=True)["train"].action == "wait"


def test_a_need_that_failed_blocks_and_is_named() -> None:
    """Nothing is submitted for it."""
    blocked = needed(journal(("data", 1, "failed")))["train"]
    assert (blocked.action, blocked.reason) == ("blocked", "what it needs failed")
    assert blocked.detail == "needs data: failed before"


def test_a_need_outside_the_selection_counts_as_it_stands() -> None:
    """Done or under way it serves; otherwise the run is blocked, since nobody will make it."""
    only = {"keys": frozenset({"train"})}
    assert needed(journal(("data", 1, "done")), **only)["train"].action == "submit"
    assert needed(journal(("data", 1, None)), **only)["train"].action == "wait"
    blocked = needed(journal(), **only)
    assert (blocked["data"].reason, blocked["train"].action) == ("not selected", "blocked")
    assert "data: not selected" in blocked["train"].detail


def test_what_is_there_needs_nothing() -> None:
    """A run that was done before is left, whatever became of what it needed."""
    state = journal(("data", 1, "failed"), ("train", 1, "done"))
    assert needed(state)["train"].reason == "finished before"


def test_outputs_decide_whether_a_run_is_done() -> None:
    """All there: skipped, with the evidence; one missing: submitted, and named."""
    promise = Promise(subject="data: out.csv", kind="output", patterns=("out.csv",))
    experiment = msgspec.structs.replace(NEEDS, outputs={"data": (promise,)})

    def decision(state: Any) -> Decision:
        finding = Finding(subject=promise.subject, state=state, path="out.csv", why="why")
        plan = make(experiment, journal(), Facts(findings={promise.subject: finding}), Selection())
        return plan.decisions[1]

    assert (decision("good").action, decision("good").reason) == ("skip", "output exists")
    assert (decision("empty").action, decision("empty").reason) == ("submit", "output missing")
    assert "why" in decision("empty").detail


def test_work_with_an_unsigned_checkpoint_is_barred_and_what_needs_it_too():
    """It is blocked with the refusal, before a halt of its phase; what is not coming stays."""
    plan = decisions(journal(), facts({}, unsigned={A: "sign it", BASE: "sign that"}))
    assert (plan[A].action, plan[A].reason, plan[A].detail) == ("blocked", UNSIGNED, "sign it")
    assert (plan[BASE].reason, plan[BASE].detail) == (UNSIGNED, "sign that")
    assert plan[E0].reason == "checkpoint missing" and plan[E0].action == "blocked"
    assert plan[B].action == "submit"
    halted = facts({}, unsigned={A: "sign it"}, halted={"preparation": "too many"})
    plan = decisions(journal(), halted)
    assert (plan[A].reason, plan[B].reason) == (UNSIGNED, HALTED)
    done = facts({f"{A}/epoch_0": "x", BASE: "y"}, unsigned={A: "no", BASE: "no"})
    plan = decisions(journal(), done)
    assert (plan[A].action, plan[BASE].action) == ("skip", "skip")


def decisions(state: State, known: Facts) -> dict[str, Decision]:
    """Key → what is decided on it."""
    plan = make(EXPERIMENT, state, known, Selection())
    return {decision.key: decision for decision in plan.decisions}
