"""Why a job ended badly is named from what was seen, and only from that."""

from __future__ import annotations

import pytest

from watchkeeper.watch.verdict.causes import cause_of, classify, error_lines, named
from watchkeeper.watch.verdict.endings import End

TRACE = """step 7
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    main()
  File "train.py", line 2, in main
    raise KeyError("lr")
KeyError: 'lr'
srun: error: node7: task 0: Exited with exit code 1
"""
SAID = {
    "cuda": (("torch.OutOfMemoryError: CUDA out of "
        "memory. Tried to allocate 2 GiB."), "out of memory on the GPU (torch"),
    "oom killer": (("slurmstepd: error: Detected 1 "
        "oom_kill event in StepId=7.batch."), "out of memory on the host (slurm"),
    "allocator": (("RuntimeError: [enforce fail] "
        "DefaultCPUAllocator: can't allocate "
        "memory"), "out of memory on the host"),
    "quota": (("OSError: [Errno 122] Disk quota "
        "exceeded: 'model.bin'"), "the disk quota was used up"),
    "disk": ("OSError: [Errno 28] No space left on device", "the disk was full (OSError"),
    "walltime": (("slurmstepd: error: *** JOB 7 ON n1 CANCELLED "
        "AT 2026-03-11 DUE TO TIME LIMIT ***"), "the time limit"),
    "nccl": (("[rank0]: Watchdog caught collective "
        "operation timeout: WorkNCCL(SeqNum=7)"), "the processes lost each other"),
    "driver": ("RuntimeError: No CUDA GPUs are available", "no usable GPU"),
    "checkpoint": (("RuntimeError: [enforce fail at "
        "inline_container.cc:603] . PytorchStreamWriter "
        "failed"), "a checkpoint"),
    "import": (("ModuleNotFoundError: No "
        "module named 'torch'"), "something is not installed (ModuleNotFoundError"),
    "config": ("omegaconf.errors.ConfigAttributeError: Key 'lr' is not in struct", ("a bad "
        "configuration")),
    "program": (TRACE, "an error of the program: KeyError: 'lr'"),
}  # fmt: skip


@pytest.mark.parametrize(("output", "words"), SAID.values(), ids=SAID)
def test_the_output_names_the_cause(output, words):
    """What CUDA, Slurm, NCCL, the kernel and Python say at the end names the cause, also where
    Slurm says only FAILED.
    """
    assert cause_of(End(state="FAILED", exit_code=1), f"loading\n{output}\nbye\n").startswith(words)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", "the time limit"),
        ("OUT_OF_MEMORY", "out of memory"),
        ("NODE_FAIL", "its node"),
        ("PREEMPTED", "preempted"),
    ],
)
def test_the_schedulers_own_word_goes_first(state, words):
    """Where the scheduler names the cause, the output is not asked."""
    assert cause_of(End(state=state, exit_code=None), TRACE).startswith(words)


def test_who_cancelled_is_told_where_it_is_known():
    """`CANCELLED by 1234` names the user."""
    assert (
        cause_of(End(state="CANCELLED", exit_code=None, why="CANCELLED by 1234"), "")
        == "cancelled by user 1234"
    )
    assert cause_of(End(state="CANCELLED", exit_code=None), "") == "cancelled"


def test_what_nobody_knows_is_not_named():
    """A bare exit code has no cause, a job that ended well has none, and SIGKILL is only a guess,
    said as one.
    """
    assert cause_of(End(state="FAILED", exit_code=3), "boom\n") == ""
    assert cause_of(End(state="COMPLETED", exit_code=0), TRACE) == ""
    assert "often" in cause_of(End(state="FAILED", exit_code=137), "boom\n")


def test_the_deeper_cause_wins_over_the_exception_that_carries_it():
    """A full disk in the middle of a checkpoint is a full disk; the last traceback counts, not an
    earlier handled one.
    """
    both = (
        "OSError: [Errno 28] No space left on device\nRuntimeError: PytorchStreamWriter failed "
        "writing file\n"
    )
    assert cause_of(End(state="FAILED", exit_code=1), both).startswith("the disk was full")
    twice = TRACE + TRACE.replace("KeyError: 'lr'", "ValueError: bad")
    assert (
        cause_of(End(state="FAILED", exit_code=1), twice)
        == "an error of the program: ValueError: bad"
    )


def test_the_last_line_that_names_the_cause_is_quoted():
    """Of several lines that name one cause, the one nearest to the end is shown."""
    output = "CUDA out of memory. Tried 1 GiB\nretrying\nCUDA out of memory. Tried 2 GiB\nbye\n"
    words = cause_of(End(state="FAILED", exit_code=1), output)
    assert "Tried 2 GiB" in words and "Tried 1 GiB" not in words


@pytest.mark.parametrize(
    "line",
    [
        "watchkeeper: Disk quota exceeded at the first try to append to rows; "
        "the second try worked: check that disk",
        "watchkeeper: at the first try: sync: error syncing 'a': No space left on device; "
        "the second try worked: check that disk",
    ],
)
def test_a_second_try_that_worked_is_no_error_of_the_job(line):
    """What a recorder or a wrapper says of a failure that cost nothing neither makes a running job
    unhealthy nor explains why another one failed.
    """
    text = f"step 7\n{line}\nstep 8\n"
    assert error_lines(text) == []
    assert cause_of(End(state="FAILED", exit_code=1), text) == ""
    assert error_lines("No space left on device\n") != []


def failed(output: str) -> str:
    """The cause of a program that ended with 1 after this output."""
    return cause_of(End(state="FAILED", exit_code=1), output)


def test_the_schedulers_reason_names_who_cancelled():
    """The user is read from the scheduler's reason, before the words of the end."""
    end = End(state="CANCELLED", exit_code=None, why="CANCELLED by 2")
    assert cause_of(end, "", reason="CANCELLED by 1") == "cancelled by user 1"
    assert named(end, "").cause == "cancelled"


def test_only_a_traceback_names_an_exception():
    """A line that looks like an exception names nothing without a traceback before it, or indented
    within one; blanks at its end do not matter.
    """
    assert failed("step 7\nKeyError: 'lr'\n") == ""
    source = "Traceback (most recent call last):\n  File 'a.py'\n    ValueError: quoted\n"
    assert failed(source) == ""
    assert failed(source + "KeyError: 'lr' \n") == "an error of the program: KeyError: 'lr'"


def test_a_long_exception_is_cut():
    """300 characters of an exception are quoted."""
    output = f"Traceback (most recent call last):\nKeyError: {'x' * 400}\n"
    quoted = failed(output).removeprefix("an error of the program: ")
    assert quoted == "KeyError: " + "x" * 290


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("CUDA out of memory", ("out of memory", "out of memory on the GPU")),
        ("ncclSystemError", ("NCCL", "the processes lost each other")),
        ("step 7", None),
        ("CANCELLED AT 2026-03-11 DUE TO TIME LIMIT", None),
        ("DUE TO PREEMPTION", None),
    ],
)
def test_a_line_of_a_running_job_has_a_class_only_if_it_is_an_error(line, error):
    """What a scheduler says of the end of a job is no error of a running one."""
    assert classify(line) == error
    assert bool(error_lines(f"{line}\n")) == (error is not None)
