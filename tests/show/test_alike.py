"""Rows that failed by one cause are one line."""

from __future__ import annotations

from typing import Any

from watchkeeper.query.rows import Row
from watchkeeper.query.views.parts.alike import alike, error_of
from watchkeeper.show.standing import problems_of

MODULE = (
    "exit code 1; something is not installed (ModuleNotFoundError: No module named 'x'); "
    "NonZeroExitCode; last line: ModuleNotFoundError: No module named 'x'; nothing at {key}/r.json"
)


def row(number: int, why: str, **fields: Any) -> Row:
    """The row of an evaluation that failed as job `number`."""
    key = f"r{number}/clean/epoch0"
    given = {"standing": "failed", "state": "FAILED", "phase": "evaluation"} | fields
    return Row(
        key=key, run=f"r{number}", task="clean", epoch=0, why=why.format(key=key),
        job_id=str(number), **given,
    )  # fmt: skip


def groups(*rows: Row) -> list[list[str]]:
    """The runs of each problem."""
    return [[one.run for one in group] for group in alike(rows)]


def test_failures_with_one_cause_are_one_problem() -> None:
    """Their keys stand together."""
    assert groups(*(row(number, MODULE) for number in (1, 2, 3))) == [["r1", "r2", "r3"]]


def test_numbers_and_paths_do_not_part_a_group() -> None:
    """They are masked, and each row keeps its own words."""
    rows = [row(n, f"exit code 1; last line: OSError: no /data/{n}.bin at {n}") for n in (9, 10)]
    assert groups(*rows) == [["r9", "r10"]]
    assert error_of(rows[1]) == "OSError: no /data/10.bin at 10"


def test_how_far_a_job_came_does_not_part_a_group() -> None:
    """Where the cause is named without the last line, that line does not count."""
    whys = [
        f"exit code 143; the time limit was over; last line: {n * '#'} step {n}" for n in (1, 2)
    ]
    rows = [row(n, why, state="TIMEOUT") for n, why in enumerate(whys)]
    assert groups(*rows) == [["r0", "r1"]]
    assert error_of(rows[0]) == "TIMEOUT: the time limit was over"


def test_other_errors_phases_and_ends_stay_apart() -> None:
    """What differs in its words, phase or state is another failure."""
    rows = [
        row(1, MODULE),
        row(2, MODULE.replace("'x'", "'y'")),
        row(3, MODULE, phase="preparation"),
        row(4, MODULE, state="TIMEOUT"),
    ]
    assert groups(*rows) == [["r1"], ["r2"], ["r3"], ["r4"]]


def test_what_is_halted_is_one_problem() -> None:
    """Work that is held back stands together."""
    rows = [row(n, "nothing works", standing="blocked", state="halted") for n in (1, 2)]
    assert groups(*rows) == [["r1", "r2"]]


def test_a_program_gets_the_same_groups() -> None:
    """The answer's problems are the same groups."""
    rows = [row(number, MODULE) for number in (1, 2, 3)]
    assert [problem.where for problem in problems_of(rows, "exp")] == ["r1/clean/epoch0"]
