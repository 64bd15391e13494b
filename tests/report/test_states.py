"""What words say of a job's state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.states import (
    ABANDONED,
    CANCELLED,
    COMPLETED,
    FAILED,
    PREEMPTED,
    RUNNING,
    STOPPED,
    TIMED_OUT,
    UNFINISHED,
    WAITING,
    state_of,
    state_of_field,
)

SAID = {
    COMPLETED: [
        "completed, exit code 0",
        "training complete, exit 0",
        "complete",
        "finished",
        "done",
        "Done.",
        "succeeded",
        "ok",
        "ok, exit 0",
        "exited 0",
        "exit 0",
        "completed 10/10 epochs",
        "100% done",
        "finished training",
        "completed, step 12000, train_loss 0.188",
        "all 10 epochs done",
        "early stopping at step 900",
        "completed at step 12000",
        "run completed successfully",
        "job finished cleanly",
        "training finished, final loss 0.2",
        "Training: done",
        "finished the run",
        "done — see results",
        "completed: step 500",
        "completed (exit code 0)",
        "state COMPLETED, ExitCode 0:0",
        "training completed in 6h",
        "the run was completed",
        "run complete; uploading weights",
        "checkpoint saved. completed.",
        "checkpoint saved, completed, exit code 0",
        "step 12000/12000, done",
        "loss 0.188, done",
    ],
    FAILED: [
        "exit code 1",
        "exited with code 137",
        "COMPLETED but exit code 1",
        "failed: exit code 1",
        "crashed at step 55",
        "died",
        "OOM at step 55",
        "job 70412 ran out of memory at step 55, train_loss 1.2",
        "error: CUDA",
        "killed",
        "failed while running: out of memory",
        "NCCL timeout, job crashed",
        "six times out of memory, then it ran",
        "failed to save checkpoint",
        "FAILED (exit code 1:0)",
    ],
    CANCELLED: [
        "cancelled",
        "canceled by me",
        "scancel'ed",
        "stopped by hand at step 90",
    ],
    ABANDONED: [
        "abandoned: x",
        "given up",
        "superseded by 2026-05-05_x.md",
        "discarded",
    ],
    TIMED_OUT: [
        "TIMEOUT",
        "timed out at step 60400; checkpoint 60000 is whole",
        "hit the walltime at step 9",
        "walltime",
        "hit 24h walltime",
    ],
    PREEMPTED: [
        "preempted",
        "interrupted at step 900",
    ],
    RUNNING: [
        "running, step 400",
        "no OOM so far, running, step 20",
        "checkpoint 60000 saved, still running, step 60001",
        "resumed from step 900",
        "val error 0.2, running",
        "started on gpu-07",
        "after OOM reduced batch; running step 3",
        "crashed, restarted from 400",
    ],
    WAITING: [
        "pending",
        "queued",
        "submitted as job 3",
        "node lost at step 3000; resubmitted as 70455 from there",
        "walltime 24:00:00 requested, submitted",
    ],
    UNFINISHED: [
        "not completed",
        "did not finish",
        "incomplete",
    ],
    "": [
        "completed 3 of 10 epochs",
        "checkpoint complete",
        "sync complete",
        "upload done",
        "the offline run is synced",
        "moved the weights to the archive",
        "finished epoch 3 of 10",
        "epoch 3 complete",
        "30% done",
        "not finished yet",
        "finished loading data",
        "done with warmup",
        "eval failed",
        "will be cancelled if it stalls",
        "weights synced; done",
        "moved weights, complete",
        "loss 0.3, no errors",
        "wandb sync: done",
        "running eval",
        "upload failed, will retry",
        "almost done",
        "step 400 complete",
        "checkpoint write failed, disk full",
        "cancelled the old job",
        "timeout raised to 24h",
        "ran to completion",
        "evaluated checkpoint, done",
    ],
    STOPPED: [
        "stopped at step 900, train_loss 0.77",
    ],
}
"""State → lines that say it; "" → lines that say nothing of the job."""


def said(text: str, *, trains: bool = True) -> str:
    """The state that a line claims; "" for none."""
    claim = state_of(text, trains=trains)
    return claim.state if claim is not None else ""


@pytest.mark.parametrize(("text", "state"), [(text, state) for state, texts in SAID.items() for text in texts])
def test_a_line_says_how_the_job_stands_or_nothing(text: str, state: str) -> None:
    """Words, exit codes and Slurm's states are read as people write them; what speaks of something else is no state."""
    assert said(text) == state


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("state", "FAILED", FAILED),
        ("status", "COMPLETED (0:0)", COMPLETED),
        ("job_state", "CANCELLED by 1001", CANCELLED),
        ("slurm_state", "OUT_OF_MEMORY", FAILED),
        ("state", "TIMEOUT", TIMED_OUT),
        ("state", "NODE_FAIL", FAILED),
        ("state", "PD", WAITING),
        ("status", "OK", COMPLETED),
        ("outcome", "did not finish", UNFINISHED),
        ("exit_code", "0", COMPLETED),
        ("exit_code", "1", FAILED),
        ("exit_code", "0:9", FAILED),
        ("exit_status", "137 (SIGKILL)", FAILED),
        ("state", "", ""),
        ("node", "failed", ""),
    ],
)
def test_a_field_says_how_the_job_stands(name: str, value: str, state: str) -> None:
    """`state`, `status`, `outcome` and `exit code` are read; a field of another name is not."""
    claim = state_of_field(name, value)
    assert (claim.state if claim is not None else "") == state


def test_what_is_the_job_depends_on_the_job() -> None:
    """An evaluation's `eval complete` is its end, a training's is not; an upload is the end of neither."""
    assert said("eval complete", trains=False) == COMPLETED and said("eval complete") == ""
    assert said("conversion done, 30 shards", trains=False) == COMPLETED
    assert said("upload done", trains=False) == ""


@given(st.text(), st.booleans())
def test_any_text_may_be_asked(text: str, trains: bool) -> None:
    """No text raises, in a line or in a field."""
    state_of(text, trains=trains)
    state_of_field("state", text)
    state_of_field("exit_code", text)
