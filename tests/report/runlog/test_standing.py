"""How a run stands by its log: one answer from blocks, Status and fields, in any order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.report.compare.test_sides import log_of
from tests.runlogs import GENERATED
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import Log, read
from watchkeeper.report.runlog.standing import Standing, standing

HEAD = "# train — x\n\n## Mode\n- run_type: replication\n- objective: it runs\n\n"
JOB = "## Job\n- execution_id: 7001\n- submitted/start: 2026-05-04 09:00 UTC\n"
DONE = "- 2026-05-04 15:42 UTC — completed, exit code 0, step 12000\n"
RUNS = "- 2026-05-04 09:20 UTC — running, step 400, train_loss 0.9\n"


def of(text: str, name: str = "2026-05-04_train.md") -> Standing:
    """How the run of this page stands."""
    return standing(log_of(HEAD + text, name))


def status(*lines: str, job: str = JOB) -> str:
    """A page with one job block and these lines of Status."""
    return f"{job}\n## Status\n" + "".join(lines)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (status(RUNS, DONE), "completed"),
        (status(DONE, RUNS), "completed"),
        (
            status(RUNS, DONE, "- 2026-05-06 10:00 UTC — moved the weights to the archive\n"),
            "completed",
        ),
        (status(RUNS), "running"),
        (status(job=JOB), ""),
        (status(RUNS, job=JOB + "- state: `FAILED`\n"), "failed"),
        (status(RUNS, job=JOB + "- state: RUNNING\n"), "running"),
        (status(DONE, job=JOB + "- state: RUNNING\n"), "completed"),
        (status(RUNS, job=JOB + "- exit code: 1\n"), "failed"),
        (status(RUNS, job=JOB + "- end: 2026-05-04 15:42 UTC\n"), "ended"),
        (status(RUNS, job=JOB + "- end: 2026-05-04 15:42 UTC (OOM)\n"), "failed"),
        (status(RUNS, job=JOB + "- end: cancelled by hand\n"), "cancelled"),
        (
            status("- 2026-05-04 10:00 UTC — failed: NaN\n", job=JOB + "- state: COMPLETED\n"),
            "failed",
        ),
        (
            status(
                "- 2026-05-04 10:00 UTC — stopped at step 900\n", job=JOB + "- state: COMPLETED\n"
            ),
            "completed",
        ),
        (status(DONE, "- 2026-05-05 09:00 UTC — resubmitted as job 7002\n"), "waiting"),
        (status(DONE, "- 2026-05-05 09:00 UTC — resumed from step 12000\n"), "running"),
        (status(DONE, "- 2026-05-05 09:00 UTC — submitted as job 7002\n"), "waiting"),
        (status(DONE, "- 2026-05-05 09:00 UTC — submitted the eval\n"), "completed"),
        (status(DONE, "- 2026-05-05 09:00 UTC — superseded by 2026-05-06_train.md\n"), "completed"),
        (
            status(
                "- 2026-05-04 10:00 UTC — failed\n", "- 2026-05-04 11:00 UTC — running, step 300\n"
            ),
            "running",
        ),
        (status(DONE, "- 2026-05-05 11:00 UTC — running eval\n"), "completed"),
        (status("- 2026-05-04 — completed\n", RUNS), "completed"),
        (status("- running, step 3\n- done\n"), "completed"),
        (
            status("- [2026-05-04 15:42] completed\n- [2026-05-04 09:20] running, step 3\n"),
            "completed",
        ),
        (status("- 15:42 — completed\n- 09:20 — running, step 3\n"), "completed"),
        (status("- May 4 15:42: completed\n- May 4 09:20: running, step 3\n"), "completed"),
        (
            status(
                "2026-05-04 15:42 UTC — completed, exit 0\n2026-05-04 09:20 UTC — running, step 3\n"
            ),
            "completed",
        ),
        (
            status(
                "| time | state |\n|---|---|\n| 2026-05-04 15:42 | COMPLETED |\n| "
                "2026-05-04 09:20 | RUNNING |\n"
            ),
            "completed",
        ),
        (
            status(
                "### 2026-05-05\n- 08:00 — completed\n\n### 2026-05-04\n- 23:00 — running, step 3\n"
            ),
            "completed",
        ),
        (status("- state: TIMEOUT\n"), "timed out"),
        (f"{JOB}\n## Status: failed\n", "failed"),
        (f"{JOB}\n## Results\n- exit code: 0\n", "completed"),
        ("**Status**: cancelled\n\n## Config\n- script: a.sh\n", "cancelled"),
        (
            (
                "## Job\n| field | value |\n|---|---|\n| execution_id | 7 |\n| state | FAILED "
                "|\n\n## Status\n"
            )
            + RUNS,
            "failed",
        ),
        (
            "## Job\n- slurm:\n  - job_id: 7\n  - state: CANCELLED by 1001\n\n## Status\n" + RUNS,
            "cancelled",
        ),
    ],
)
def test_the_state_is_read_wherever_it_stands(text: str, state: str) -> None:
    """Fields of the block, words of Status in any order and form, an end time: together they give
    one state.
    """
    assert of(text).state == state


AGAIN = (
    "## Job (resumed)\n- execution_id: 7002\n- submitted: 2026-05-05 09:00 UTC\n- resumed "
    "from: /c/900\n"
)
TWO = JOB + "- state: FAILED\n\n" + AGAIN


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], "waiting"),
        (["- 2026-05-04 10:00 UTC — failed at step 900\n"], "waiting"),
        (
            ["- 2026-05-04 10:00 UTC — failed\n", "- 2026-05-05 09:30 UTC — running, step 950\n"],
            "running",
        ),
        (
            ["- 2026-05-05 12:00 UTC — completed\n", "- 2026-05-04 10:00 UTC — failed\n"],
            "completed",
        ),
    ],
)
def test_the_last_block_counts(lines: list[str], state: str) -> None:
    """What ended before the last submission does not count for the job submitted then, wherever its
    block stands.
    """
    assert of(status(*lines, job=TWO)).state == state
    first, second = TWO.split("\n## Job (resumed)\n")
    assert of(status(*lines, job=f"## Job (resumed)\n{second}\n{first}")).state == state


def test_an_answer_names_its_evidence() -> None:
    """The state comes with where it stands, its line, and its time."""
    by_status, by_block = of(status(RUNS, DONE)), of(status(RUNS, job=JOB + "- state: FAILED\n"))
    assert (by_status.evidence, by_status.line) == ("Status", 13) and by_status.when is not None
    assert (by_block.evidence, by_block.line) == ("`state` of the job", 10)


SAYINGS = st.sampled_from(
    [
        "running, step 400",
        "completed",
        "failed: OOM",
        "cancelled",
        "resubmitted as job 9",
        "queued",
        "sync complete",
        "eval failed",
        "fine",
    ]
)
DATED = st.lists(
    st.tuples(st.integers(0, 23), st.integers(0, 59), SAYINGS),
    unique_by=lambda line: line[:2],
    max_size=8,
)


def _lines(dated: list[tuple[int, int, str]]) -> list[str]:
    return [
        f"- 2026-05-04 {hour:02d}:{minute:02d} UTC — {words}\n" for hour, minute, words in dated
    ]


@given(DATED.flatmap(lambda dated: st.tuples(st.just(dated), st.permutations(dated))))
def test_the_order_of_the_lines_changes_no_state(both: tuple[list, list]) -> None:
    """Lines with times of their own say the same in any order."""
    one, other = (of(status(*_lines(dated))).state for dated in both)
    assert one == other


@given(
    st.sampled_from(
        ["completed", "failed: OOM", "cancelled", "timed out", "abandoned", "preempted"]
    ),
    st.sampled_from(
        [
            "moved the weights",
            "synced",
            "uploaded to the hub",
            "sync done",
            "eval failed",
            "disk is full",
            "checkpoint 400 kept",
            "a note",
        ]
    ),
    st.booleans(),
)
def test_a_line_that_is_no_end_changes_none(end: str, words: str, above: bool) -> None:
    """What is written after an end and is none leaves the state as it was, on top of the list or
    below it.
    """
    last, more = f"- 2026-05-04 12:00 UTC — {end}\n", f"- 2026-05-05 12:00 UTC — {words}\n"
    assert (
        of(status(*((more, last) if above else (last, more)))).state == of(status(last)).state != ""
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.text(), GENERATED, st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))
    )
)
def test_any_page_has_a_standing(text: str) -> None:
    """No bytes raise."""
    log = read(File("run_logs/2026-05-04_x.md", ("2026-05-04_x.md",), text))
    assert isinstance(log, Log)
    standing(log)
