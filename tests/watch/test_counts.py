"""What was asked for is counted, whatever became of it: refused, blocked, there already, not
selected.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.experiments import blocks_of, wk, write_experiment
from tests.watch.test_keeper import keeper, run_pending
from watchkeeper.core.events import Concluded, Decision, Verified
from watchkeeper.core.state import State
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import CONTROL, REFUSED, UNSELECTED, Selection
from watchkeeper.query.status import look
from watchkeeper.report.actionlog.render import Renderer, concluded_words
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.tally import rest_of

AT = {"time": datetime(2026, 3, 11, 15, tzinfo=UTC), "writer": "w", "seq": 7}
FAST = ("--poll", "0.05")


def results(folder: Path, log: str, action: str) -> list[str]:
    """The results of one action's blocks in a log, in order."""
    return [block.result for block in blocks_of(folder, f"run-{log}.log") if block.action == action]


def test_a_refused_job_is_counted_where_all_have_ended(tmp_path: Path) -> None:
    """ALL_COMPLETE, VERIFY_FINETUNING and VALIDATE name the refused job; not all fine-tuning jobs
    are COMPLETED then.
    """
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b")), FakeScheduler()
    fake.on_submit("refuse")
    assert keeper(folder, fake, run_pending(fake)).keep()
    told = "1 not submitted (a: fake: the job was refused)"
    assert results(folder, "training", "ALL_COMPLETE") == [f"1 COMPLETED, 0 FAILED, {told}"]
    details = [
        block.details
        for block in blocks_of(folder, "run-training.log")
        if block.action == "ALL_COMPLETE"
    ]
    assert details == ["1 of 2 jobs reached terminal states"]
    (verified,) = results(folder, "evaluation", "VERIFY_FINETUNING")
    assert verified == (
        "1 not submitted, 1 COMPLETED; not COMPLETED: a not submitted: fake: the job was refused"
    )
    assert results(folder, "experiment", "ALL_COMPLETE") == [
        f"2 COMPLETED, 0 FAILED, {told}, 1 blocked (a/clean/epoch0: checkpoint missing)"
    ]
    (valid,) = results(folder, "experiment", "VALIDATE")
    assert valid.startswith(
        "2 of 4 valid; missing: a/epoch_0 (not submitted: fake: the job was refused)"
    )


def test_where_all_were_refused_the_end_is_still_told(tmp_path: Path) -> None:
    """An experiment of which no job was taken ends with a count of zero and the refusals."""
    folder, fake = write_experiment(tmp_path / "exp", tasks=()), FakeScheduler()
    fake.on_submit("refuse")
    assert keeper(folder, fake).keep()
    for log in ("training", "experiment"):
        assert results(folder, log, "ALL_COMPLETE") == [
            "0 COMPLETED, 0 FAILED, 1 not submitted (one: fake: the job was refused)"
        ]


def test_what_is_whole_is_told_in_the_documents_own_words(tmp_path: Path) -> None:
    """With nothing else to say the count is the document's line, and all fine-tuning jobs are
    COMPLETED.
    """
    folder, fake = (
        write_experiment(tmp_path / "exp", runs=("a", "b"), control=True),
        FakeScheduler(),
    )
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert results(folder, "training", "ALL_COMPLETE") == ["2 COMPLETED, 0 FAILED"]
    assert results(folder, "evaluation", "VERIFY_FINETUNING") == ["All fine-tuning jobs COMPLETED"]
    assert results(folder, "experiment", "ALL_COMPLETE") == ["5 COMPLETED, 0 FAILED"]


def test_a_selection_is_verified_as_what_was_selected(tmp_path: Path) -> None:
    """Under --runs and --evals, what was left out counts as not selected, missing nowhere."""
    folder, fake = (
        write_experiment(tmp_path / "exp", runs=("a", "b"), tasks=("clean", "noisy")),
        FakeScheduler(),
    )
    assert keeper(folder, fake, run_pending(fake), runs="a", evals="*/clean/*").keep()
    assert results(folder, "training", "ALL_COMPLETE") == ["1 COMPLETED, 0 FAILED, 1 not selected"]
    assert results(folder, "evaluation", "VERIFY_FINETUNING") == [
        "All selected fine-tuning jobs COMPLETED; 1 not selected"
    ]
    assert results(folder, "evaluation", "VERIFY_CHECKPOINTS") == [
        "All 1 checkpoints exist; 1 not selected"
    ]
    assert results(folder, "experiment", "VALIDATE") == ["2 of 2 valid; 4 not selected"]


def test_what_was_done_before_is_counted_as_that(tmp_path: Path) -> None:
    """A later execution counts its own jobs, and what was there already beside them."""
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b"), tasks=()), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), runs="a").keep()
    assert keeper(folder, fake, run_pending(fake)).keep()
    assert results(folder, "training", "ALL_COMPLETE")[-1] == "1 COMPLETED, 0 FAILED, 1 done before"


def test_status_remembers_a_refusal_until_the_job_is_taken(tmp_path: Path) -> None:
    """After a refusal status exits with 1 and says why; the same command clears it once the script
    is put right.
    """
    folder, state = write_experiment(tmp_path / "exp", tasks=()), tmp_path / "state"
    script = folder / "one" / "finetune.slurm"
    whole = script.read_bytes()
    script.write_bytes(whole.replace(b"\n", b"\r\n"))
    planned = wk("plan", folder, state=state)
    assert planned.returncode == 1 and "Windows line ends" in planned.stderr
    for command in ("run", "submit"):
        done = wk(command, folder, *(FAST if command == "run" else ()), state=state)
        assert (
            done.returncode == 1 and "one not submitted: it has Windows line ends" in done.stdout
        ), done.stdout
    told = wk("status", folder, state=state)
    assert told.returncode == 1
    assert (
        "one not submitted: it has Windows line ends" in told.stdout
        and f"wk run {folder}\n" in told.stdout
    )
    script.write_bytes(whole)
    assert wk("run", folder, *FAST, state=state).returncode == 0
    cleared = wk("status", folder, state=state)
    assert cleared.returncode == 0 and "not submitted" not in cleared.stdout


def test_a_script_that_cannot_be_read_is_remembered_too(tmp_path: Path) -> None:
    """A refusal that no scheduler made is in the journal like the scheduler's own."""
    folder, fake = write_experiment(tmp_path / "exp", tasks=()), FakeScheduler()
    found = experiments.read(folder)
    script = folder / "one" / "finetune.slurm"
    watch = keeper(folder, fake)
    script.unlink()
    script.mkdir()
    assert watch.keep() and watch.refused == {"one"}
    (row,) = look(found, Selection()).rows
    assert (row.standing, row.state) == ("failed", "not submitted") and "cannot read" in row.why


def test_waiting_is_explained_by_the_gate_of_the_watch(tmp_path: Path) -> None:
    """While jobs are under way status explains what waits by the gate that their watch was started
    with.
    """
    folder, fake = write_experiment(tmp_path / "exp", runs=("a", "b")), FakeScheduler()
    watch = keeper(folder, fake, lambda one: one.ask_to_leave("seen"), gate="each")
    assert not watch.keep()
    waits = {row.key: row.why for row in look(experiments.read(folder), Selection(gate="all")).rows}
    assert waits["a/clean/epoch0"] == "waits for a"


def test_lists_stop_at_ten() -> None:
    """A count lists ten names at most, and says how many more there are."""
    event = Concluded(
        **AT,
        phase=None,
        counts={},
        duration_s=1.0,
        blocked={f"r{n}": "no script" for n in range(47)},
    )
    assert concluded_words(event).endswith("r9: no script; and 37 more)")
    verified = Verified(
        **AT,
        what="results",
        looked_at="x",
        expected=47,
        found=0,
        missing=tuple(map(str, range(47))),
    )
    ((_, block),) = Renderer("UTC").feed(verified)
    assert block.result == "0 of 47 valid; missing: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 37 more"


@pytest.mark.parametrize(
    ("action", "reason", "watched", "counted"),
    [
        ("blocked", REFUSED, False, "refused"),
        ("blocked", REFUSED, True, "refused"),
        ("blocked", "failed before", False, "blocked"),
        ("blocked", "failed before", True, ""),
        ("blocked", "no script", False, "blocked"),
        ("skip", "checkpoint exists", False, "done_before"),
        ("skip", "checkpoint exists", True, ""),
        ("skip", UNSELECTED, False, "unselected"),
        ("skip", CONTROL, False, ""),
    ],
)
def test_each_decision_is_counted_once(
    action: str, reason: str, watched: bool, counted: str
) -> None:
    """What a job of this execution answers is counted by its state, anything else by its reason."""
    decision = Decision(key="a", phase="preparation", action=action, reason=reason)
    rest = rest_of([decision], {"a"} if watched else set(), State())
    told = {name for name in rest.__struct_fields__ if getattr(rest, name)}
    assert told == ({counted} if counted else set())


def test_a_look_at_local_jobs_names_a_command_that_can_be_typed(tmp_path: Path) -> None:
    """STATUS_CHECK of jobs on this machine names `watchkeeper status` with the folder, quoted."""
    folder, state = write_experiment(tmp_path / "my exp", tasks=()), tmp_path / "state"
    assert wk("run", folder, *FAST, state=state).returncode == 0
    details = {
        b.details for b in blocks_of(folder, "run-training.log") if b.action == "STATUS_CHECK"
    }
    assert details and all(
        words.startswith(f"watchkeeper status '{folder}' (polling interval") for words in details
    )
