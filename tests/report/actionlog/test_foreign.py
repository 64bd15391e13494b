"""Action logs of other tools: which jobs they name as submitted, in either dialect and however
damaged.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.actionlog.block_format import Block, render_all
from watchkeeper.report.actionlog.foreign import Named, submitted

OLDER = """\
[2025-11-11 11:00:00] DISCOVER_EXPERIMENT
Details: Found experiment at /exp
Result: 2 runs configured

[2025-11-11 11:00:05] SUBMIT_JOB: r8
Details: sbatch finetune.slurm
Result: Job ID 1234567

[2025-11-11 11:00:10] SUBMIT_JOB: r16
Details: sbatch finetune.slurm (5-second stagger)
Result: Job ID 1234568

[2025-11-11 11:45:00] STATE_CHANGE: r8
Details: RUNNING → COMPLETED
Result: Training finished
"""
HEAD = "[2025-11-11 11:00:05] SUBMIT_JOB:"
NEWER = OLDER.replace("Result: Job ID 1234567", "Job ID: 1234567\nResult: success").replace(
    "Result: Job ID 1234568", "Job ID: 1234568\nResult: success"
)


def pairs(text: str) -> list[tuple[str, str]]:
    return [(named.subject, named.job_id) for named in submitted(text)]


@pytest.mark.parametrize(
    "text",
    [OLDER, NEWER, NEWER.replace("\n", "\r\n"), "\ufeff" + OLDER],
    ids=["older", "newer", "CRLF", "BOM"],
)
def test_both_dialects_name_their_jobs(text: str) -> None:
    """Of either dialect each submitted job is named with its line and subject, and whether its end
    is logged.
    """
    first, second = submitted(text)
    assert (first.subject, first.job_id, first.ended) == ("r8", "1234567", True)
    assert second == Named(line=second.line, subject="r16", job_id="1234568", ended=False)
    assert (
        text.splitlines()[second.line - 1].rstrip().endswith(("Job ID 1234568", "Job ID: 1234568"))
    )


def test_a_failed_submission_never_takes_the_next_blocks_job() -> None:
    """A block without a job id (a failed submission, one cut off) leaves the id of the block after
    it to that block.
    """
    for result in (
        "Result: failed: QOSMaxSubmitJobPerUserLimit\n\n",
        "Result:",
        "Details: sbatch",
        "\n\n\n",
        "",
    ):
        text = f"{HEAD} r8\n{result}\n{HEAD} r16\nJob ID: 2\nResult: success\n"
        assert pairs(text) == [("r16", "2")], result


@pytest.mark.parametrize(
    "head",
    [
        "[2025-11-11 11:00:10 SUBMIT_JOB: r16",
        "2025-11-11 11:00:10] SUBMIT_JOB: r16",
        "SUBMIT_JOB: r16",
        "**[2025-11-11 11:00:10] SUBMIT_JOB: r16",
        "[2025-11-11T11:00:10Z] SUBMIT_JOB:r16",
    ],
)
def test_a_damaged_head_is_a_head(head: str) -> None:
    """A head without its bracket, time or space begins its own block all the same: neither block
    loses its job.
    """
    text = f"{HEAD} r8\nDetails: x\n{head}\nResult: Job ID 2\n\n{HEAD} r4\nJob ID: 3\n"
    assert pairs(text) == [("r16", "2"), ("r4", "3")]


def test_a_head_of_nothing_costs_its_own_block() -> None:
    """Of a head that names no action nothing is believed, and the block after it is read."""
    text = f"{HEAD} r8\nx\n[2025-11-11 11:00:07] ???\nJob ID: 1\n{HEAD} r16\nJob ID: 2\n"
    assert pairs(text) == [("r16", "2")]


def test_only_submissions_name_jobs() -> None:
    """A job id in another kind of block is no submission; a job named twice is one; `ALL_COMPLETE`
    ends all before it.
    """
    text = "[2025-11-11 11:00:05] COMPUTE_METRICS: r8\nJob ID: 7\n\n" + OLDER + OLDER
    assert pairs(text) == [("r8", "1234567"), ("r16", "1234568")]
    assert all(
        named.ended
        for named in submitted(
            OLDER + "\n[2025-11-11 11:45:00] ALL_COMPLETE\nResult: 2 COMPLETED\n"
        )
    )
    again = (
        OLDER
        + "\n[2025-11-11 12:00:00] STATE_CHANGE: r16\nDetails: RUNNING → PREEMPTED\nResult: x\n"
    )
    assert [named.ended for named in submitted(again)] == [True, False]


def test_the_documents_own_examples_are_read() -> None:
    """Our own logs are of the older dialect: what they name as submitted is read from them too."""
    blocks = [
        Block(
            time=datetime(2025, 11, 11, 11, index),
            action="SUBMIT_EVAL",
            subject=f"r8/a\nb/epoch{index}",
            result=f"Job ID {index}",
        )
        for index in range(3)
    ]
    assert [job for _, job in pairs(render_all(blocks))] == ["0", "1", "2"]


LINES = st.sampled_from(
    [
        "[2025-11-11 11:00:05] SUBMIT_JOB: r8",
        "Job ID: 5",
        "Result: Job ID 6",
        "Result: success",
        "ALL_COMPLETE",
        "[",
        "→",
        "",
        "Details: a → FAILED",
    ]
)


@given(st.lists(st.one_of(LINES, st.text(max_size=30)), max_size=30).map("\n".join))
def test_any_text_names_jobs_on_its_own_lines(text: str) -> None:
    """Whatever a log holds, reading it does not crash, and a job is on the line that is named."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for named in submitted(text):
        assert named.job_id in lines[named.line - 1]


def test_a_long_log_is_read_in_its_length() -> None:
    """A line of a megabyte, and a log of a hundred thousand lines, take no time that grows faster
    than they do.
    """
    assert submitted("[" * 10**6 + "\n" + "A_" * 500_000 + "\n" + " " * 10**6) == []
    assert len(submitted(OLDER * 7_000)) == 2
