"""The watch tries again by itself: halved batches, lost nodes, and a bound that holds, also across
crashes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.experiments import blocks_of, state_of, times_run, wk, write_experiment
from tests.watch.test_keeper import Hook, Time
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.wrapper.claims import TWIN, read_claims
from watchkeeper.schedulers.wrapper.heartbeat import stale_s
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy

READS = (
    'echo "${WATCHKEEPER_BATCH_SIZE:-16} ${WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS:-2}"'
    " >> batches.txt\n"
    '[ "${WATCHKEEPER_BATCH_SIZE:-16}" -le %d ]'
    ' || { echo "torch.OutOfMemoryError: CUDA out of memory." >&2; exit 1; }'
)


def keeper(
    folder: Path,
    fake: FakeScheduler,
    turned: Hook = lambda one: None,
    limit: int = 2,
    variable: str = "",
    **selection: object,
) -> Keeper:
    """A keeper that tries again by itself, and looks every 5 ms."""
    policy = WatchPolicy(
        soonest_s=0.005, poll_s=0.005, longest_s=0.005, stagger_s=0.0, cap=0, unknown_deadline_s=600
    )
    chosen = Selection(rules=Rules(limit=limit, resume_variable=variable), **selection)
    return Keeper(experiments.read(folder), fake, policy, chosen, turned=turned, monotonic=Time())


def ending(fake: FakeScheduler, *states: str) -> Hook:
    """Each job in turn ends with one of `states` without having run ("": it really runs); those
    after them run.
    """

    def turned(one: Keeper) -> None:
        for job_id, job in list(fake.jobs.items()):
            if job.facts.state != "PENDING" or job.process is not None or job.script:
                continue
            number = int(job_id) - 1
            if number < len(states) and states[number]:
                fake.report(job_id, states[number])
            else:
                fake.run(job_id)

    return turned


def outcomes(folder: Path, key: str = "one") -> list[tuple[str, str]]:
    """Verdict and cause of each attempt."""
    found = state_of(folder).run(key).attempts.values()
    return [(a.judged.outcome, a.judged.cause) if a.judged else ("open", "") for a in found]


def lines(path: Path) -> list[str]:
    """The lines of a file."""
    return path.read_text().splitlines()


def test_out_of_memory_on_the_gpu_halves_the_batch_until_it_fits(tmp_path: Path) -> None:
    """FAILED and CUDA out of memory in its output: attempts 2 and 3 have half the batch each; the
    effective one stays.
    """
    folder, fake = write_experiment(tmp_path / "exp", body=READS % 4), FakeScheduler()
    script = folder / "one" / "finetune.slurm"
    before = script.read_bytes()
    assert keeper(folder, fake, ending(fake)).keep()
    assert outcomes(folder) == [("failed", "memory gpu"), ("failed", "memory gpu"), ("done", "")]
    assert lines(folder / "one/batches.txt") == ["16 2", "8 4", "4 8"]
    assert script.read_bytes() == before
    intended = [a.intended for a in state_of(folder).run("one").attempts.values() if a.intended]
    assert [one.automatic for one in intended] == [False, True, True]
    assert intended[2].change == {"batch_size": "4", "gradient_accumulation_steps": "8"}
    assert intended[2].reason == "out of memory on the GPU"
    retries = [b for b in blocks_of(folder, "run-training.log") if b.action == "RETRY"]
    assert [b.result for b in retries] == ["Attempt 2", "Attempt 3"]
    assert "batch_size 16 → 8" in retries[0].details and "CUDA out of memory" in retries[0].details
    submit = [b for b in blocks_of(folder, "run-training.log") if b.action == "SUBMIT_JOB"]
    assert "attempt 3, batch_size=4 gradient_accumulation_steps=8" in submit[2].details


def test_the_bound_ends_it_and_says_what_to_do(tmp_path: Path) -> None:
    """What never fits is tried `retries` times by itself; then it is blocked, said in the log, and
    a rerun adds nothing.
    """
    folder, fake = write_experiment(tmp_path / "exp", body=READS % 0), FakeScheduler()
    assert keeper(folder, fake, ending(fake)).keep()
    assert outcomes(folder) == [("failed", "memory gpu")] * 3
    (skip,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "SKIP"]
    assert "tried again twice (retries = 2)" in skip.details and "--retry-failed" in skip.details
    assert keeper(folder, fake, ending(fake)).keep() and fake.submissions == 3
    assert keeper(folder, fake, ending(fake), retry_failed=True).keep()
    assert lines(folder / "one/batches.txt")[3:] == ["16 2", "8 4", "4 8"], (
        "a person's own retry begins anew"
    )


def test_a_script_that_does_not_follow_is_not_tried_again_as_it_was(tmp_path: Path) -> None:
    """Out of memory with a script that reads no batch: one attempt, and a message that says what to
    write.
    """
    body = 'echo "RuntimeError: CUDA out of memory." >&2; exit 1'
    folder, fake = write_experiment(tmp_path / "exp", body=body), FakeScheduler()
    assert keeper(folder, fake, ending(fake)).keep()
    assert outcomes(folder) == [("failed", "memory gpu")]
    (skip,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "SKIP"]
    assert (
        "does not read WATCHKEEPER_BATCH_SIZE and WATCHKEEPER_GRADIENT_ACCUMULATION_STEPS"
        in skip.details
    )


@pytest.mark.parametrize(
    "words", ["ModuleNotFoundError: No module named 'x'", "KeyError: 'lr'", "boom"]
)
def test_a_users_error_is_never_tried_again(tmp_path: Path, words: str) -> None:
    """A mistake in the script is the user's to mend: one attempt."""
    body = f'printf "Traceback (most recent call last):\\n  File\\n{words}\\n" >&2; exit 1'
    folder, fake = write_experiment(tmp_path / "exp", body=body), FakeScheduler()
    assert keeper(folder, fake, ending(fake)).keep()
    assert len(outcomes(folder)) == 1 and fake.submissions == 1


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED", "BOOT_FAIL"])
def test_a_lost_node_or_a_preemption_is_made_good_by_a_second_attempt(
    tmp_path: Path, state: str
) -> None:
    """What the cluster took is submitted again, once, and then evaluated; each job did its work
    once.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, ending(fake, state)).keep()
    assert [outcome for outcome, _ in outcomes(folder)] == [
        "lost" if "FAIL" in state else "failed",
        "done",
    ]
    assert outcomes(folder, "one/clean/epoch0") == [("done", "")] and set(
        times_run(folder).values()
    ) == {1}
    (retry,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "RETRY"]
    assert "no complete checkpoint: from the beginning" in retry.details


def test_an_evaluation_whose_node_failed_is_made_again(tmp_path: Path) -> None:
    """Evaluations are tried again too, from their beginning."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, ending(fake, "", "NODE_FAIL")).keep()
    assert [outcome for outcome, _ in outcomes(folder, "one/clean/epoch0")] == ["lost", "done"]


def test_the_same_end_with_nothing_gained_is_not_tried_a_third_time(tmp_path: Path) -> None:
    """Two preemptions in a row without a checkpoint in between end it, before the bound does."""
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, ending(fake, *["PREEMPTED"] * 9), limit=5).keep()
    assert len(outcomes(folder)) == 2


RESUMES = (
    'echo "from ${WATCHKEEPER_RESUME_FROM:-nothing} ${LOAD_CKPT_PATH:-}" >> resumed.txt\n'
    "if [ ! -e artifacts/epoch_0 ]; then mkdir -p artifacts/epoch_0; echo weights > "
    "artifacts/epoch_0/model.bin; %s fi"
)


def test_a_resubmitted_job_is_given_the_last_complete_checkpoint(tmp_path: Path) -> None:
    """After a node failed, attempt 2 finds epoch 0 in WATCHKEEPER_RESUME_FROM and in the cluster's
    own variable.
    """
    folder, fake = (
        write_experiment(
            tmp_path / "exp", epochs=(0, 1), body=RESUMES % "kill -9 $PPID; kill -9 $$;"
        ),
        FakeScheduler(),
    )

    def turned(one: Keeper) -> None:
        ending(fake)(one)
        if fake.jobs["1"].facts.state == "FAILED":
            fake.report("1", "NODE_FAIL")

    assert keeper(folder, fake, turned, variable="LOAD_CKPT_PATH").keep()
    path = folder / "one/artifacts/epoch_0"
    assert lines(folder / "one/resumed.txt") == ["from nothing ", f"from {path} {path}"]
    assert [outcome for outcome, _ in outcomes(folder)] == ["lost", "done"]
    intended = state_of(folder).run("one").attempts[2].intended
    assert intended is not None and intended.resume_from == "one/artifacts/epoch_0"
    (retry,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "RETRY"]
    assert "goes on from one/artifacts/epoch_0" in retry.details


def test_a_checkpoint_of_an_earlier_training_is_not_gone_on_from(tmp_path: Path) -> None:
    """What lay there when a person started the run is another training's: its next attempt begins
    anew.
    """
    folder, fake = (
        write_experiment(tmp_path / "exp", epochs=(0, 1), body=RESUMES % ""),
        FakeScheduler(),
    )
    (folder / "one/artifacts/epoch_0").mkdir(parents=True)
    (folder / "one/artifacts/epoch_0/model.bin").write_text("older weights")
    assert keeper(folder, fake, ending(fake, "NODE_FAIL")).keep()
    assert lines(folder / "one/resumed.txt") == ["from nothing "]


def test_a_time_limit_is_begun_again_only_from_a_newer_checkpoint(tmp_path: Path) -> None:
    """TIMEOUT after a checkpoint goes on from it; TIMEOUT without one is blocked, with a word on
    --time.
    """
    folder, fake = (
        write_experiment(tmp_path / "exp", epochs=(0, 1), body=RESUMES % "exit 1;"),
        FakeScheduler(),
    )
    other = FakeScheduler()
    bare = write_experiment(tmp_path / "bare")

    def turned(one: Keeper) -> None:
        ending(fake)(one)
        if fake.jobs["1"].facts.state == "FAILED":
            fake.report("1", "TIMEOUT")

    assert keeper(folder, fake, turned).keep()
    assert [cause for _, cause in outcomes(folder)] == ["walltime", ""]
    assert keeper(bare, other, ending(other, "TIMEOUT")).keep()
    assert len(outcomes(bare)) == 1
    (skip,) = [b for b in blocks_of(bare, "run-training.log") if b.action == "SKIP"]
    assert "#SBATCH --time" in skip.details


@pytest.mark.parametrize("outcome", ["doubt", "lose", "unavailable", "refuse"])
def test_a_retry_that_was_interrupted_keeps_what_it_was_to_have(
    tmp_path: Path, outcome: str
) -> None:
    """A submitter that ends between holding attempt 2 and hearing of its job leaves the halved
    batch to the next one.
    """
    folder, fake = write_experiment(tmp_path / "exp", body=READS % 8), FakeScheduler()
    fake.on_submit("accept", outcome)

    def turned(one: Keeper) -> None:
        ending(fake)(one)
        if fake.submissions == 2:
            one.ask_to_leave("the end of this keeper")

    keeper(folder, fake, turned).keep()
    assert fake.submissions == 2
    hold = folder / ".watchkeeper/runs/one/2/intent.json"
    held = json.loads(hold.read_text())
    held["process"]["start_ticks"] = 1  # its process is gone
    hold.write_text(json.dumps(held))
    assert keeper(folder, fake, ending(fake)).keep()
    assert lines(folder / "one/batches.txt") == ["16 2", "8 4"]
    assert outcomes(folder)[-1] == ("done", "") and outcomes(folder)[0] == ("failed", "memory gpu")
    last = state_of(folder).run("one").latest
    assert last is not None and last.intended is not None and last.intended.automatic


def test_on_a_cluster_a_lost_node_is_waited_for_until_its_heartbeat_is_stale(
    tmp_path: Path,
) -> None:
    """A node that the controller lost may be alive: attempt 2 begins only when nothing has been
    heard of it for long, and by then attempt 1 is closed, so that a requeue of it would run
    nothing.
    """
    folder, fake = write_experiment(tmp_path / "exp"), FakeScheduler(visibility_lag_s=4.0)
    attempt = folder / ".watchkeeper/runs/one/1"
    waited: list[int] = []

    def turned(one: Keeper) -> None:
        if not waited and fake.jobs:
            claim = {
                "scheduler": "fake",
                "job_id": "1",
                "nonce": "n",
                "host": "elsewhere",
                "boot_id": "b",
                "pid": 1,
            }
            (attempt / "claim.1").write_text(json.dumps(claim))
            (attempt / "heartbeat.1").write_text(".")
            fake.report("1", "NODE_FAIL")
        waited.append(fake.submissions)
        if len(waited) == 20:
            old = (attempt / "heartbeat.1").stat().st_mtime - stale_s(4.0) - 1
            os.utime(attempt / "heartbeat.1", (old, old))
            os.utime(attempt / "claim.1", (old, old))
        for job_id in list(fake.jobs)[1:]:
            if fake.jobs[job_id].process is None:
                fake.run(job_id)

    assert keeper(folder, fake, turned).keep()
    assert waited[:20] == [1] * 20 and [outcome for outcome, _ in outcomes(folder)] == [
        "lost",
        "done",
    ]
    assert read_claims(attempt)[1].job_id == "", "attempt 1 is closed"
    fake.start("1", restart=1)
    assert fake.wait("1") and fake.jobs["1"].process.returncode == TWIN


@pytest.mark.parametrize(
    ("last_command", "outcome"), [("true", "failed but good"), ("exit 0", "failed")]
)
def test_a_child_that_the_oom_killer_ended_is_said_though_the_script_ended_with_0(
    tmp_path: Path, last_command: str, outcome: str
) -> None:
    """Slurm's OUT_OF_MEMORY outranks the script's own 0: the job is never plainly done, and its
    files decide whether it left what it promised.
    """
    body = f"sh -c 'kill -KILL $$'; {last_command}"
    folder, fake = write_experiment(tmp_path / "exp", body=body), FakeScheduler()

    def turned(one: Keeper) -> None:
        ending(fake)(one)
        if fake.jobs and not fake.jobs["1"].script:
            fake.report("1", "OUT_OF_MEMORY")

    assert keeper(folder, fake, turned, limit=0).keep()
    assert outcomes(folder) == [(outcome, "memory host")]
    judged = state_of(folder).run("one").attempts[1].judged
    assert judged is not None and "exit code 0; out of memory on the host" in judged.why
    changes = [b for b in blocks_of(folder, "run-training.log") if "one" in b.subject]
    assert any("out of memory on the host" in change.result for change in changes)


def test_what_ran_out_of_memory_without_an_exit_record_is_tried_again_on_the_schedulers_word(
    tmp_path: Path,
) -> None:
    """The kernel may end the wrapper too: the scheduler's OUT_OF_MEMORY says that nothing of it
    runs any more.
    """
    folder, fake = (
        write_experiment(tmp_path / "exp", body=READS % 16),
        FakeScheduler(visibility_lag_s=4.0),
    )
    attempt = folder / ".watchkeeper/runs/one/1"

    def turned(one: Keeper) -> None:
        if fake.submissions == 1 and not (attempt / "claim.1").exists():
            claim = {
                "scheduler": "fake",
                "job_id": "1",
                "nonce": "n",
                "host": "elsewhere",
                "boot_id": "b",
                "pid": 1,
            }
            (attempt / "claim.1").write_text(json.dumps(claim))
            fake.report("1", "OUT_OF_MEMORY")
        for job_id in list(fake.jobs)[1:]:
            if fake.jobs[job_id].process is None:
                fake.run(job_id)

    assert keeper(folder, fake, turned).keep()
    assert outcomes(folder) == [("failed", "memory host"), ("done", "")]
    assert lines(folder / "one/batches.txt") == ["8 4"]


def test_a_local_job_that_runs_out_of_memory_is_tried_again_with_half_the_batch(
    tmp_path: Path,
) -> None:
    """The command line, a real job: its second attempt sees the halved variables, and status shows
    what was changed.
    """
    folder = write_experiment(tmp_path / "exp", body=READS % 8)
    done = wk("run", folder, state=tmp_path / "state", WATCHKEEPER_POLL_S="0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines(folder / "one/batches.txt") == ["16 2", "8 4"]
    (row,) = [
        one
        for one in json.loads(wk("status", folder, "--json", state=tmp_path / "state").stdout)[
            "data"
        ]["rows"]
        if one["key"] == "one"
    ]
    assert row["attempt"] == 2 and row["change"] == {
        "batch_size": "8",
        "gradient_accumulation_steps": "4",
    }
    off = write_experiment(tmp_path / "off", body=READS % 8)
    assert (
        wk(
            "run", off, "--retries", "0", state=tmp_path / "state", WATCHKEEPER_POLL_S="0.1"
        ).returncode
        == 1
    )
    assert lines(off / "one/batches.txt") == ["16 2"]


def test_a_retry_with_the_same_effective_batch_goes_on_in_the_runs_log(tmp_path: Path) -> None:
    """What is tried again by itself stays in the run's own log, as a block that says why, and what
    was changed.
    """
    folder, fake = write_experiment(tmp_path / "exp", tasks=(), body=READS % 8), FakeScheduler()
    (folder / "one" / "finetune.yaml").write_text(
        "batch_size: 16\ngradient_accumulation_steps: 2\n"
    )
    assert keeper(folder, fake, ending(fake)).keep()
    (text,) = [path.read_text() for path in (folder / "run_logs").glob("*_one*.md")]
    assert text.count("## Job (resumed)\n") == 1
    assert "- resumed from: n/a: started from scratch\n- reason: out of memory on the GPU" in text
    assert "- changed: batch_size 8, gradient_accumulation_steps 4\n" in text
