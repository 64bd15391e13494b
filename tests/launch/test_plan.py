"""The plan: one decision for each piece of work, for a reason, from the journal and the disk alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Decision, Intended, Judged, Opened, Rejected, RunItem, Submitted
from watchkeeper.core.state import State, fold
from watchkeeper.experiment.experiment import Experiment, Tools
from watchkeeper.launch.plan import Facts, Selection, check_selection, failed_attempts, make
from watchkeeper.launch.retries import Means
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
