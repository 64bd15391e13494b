"""Rows that failed by one cause are one line."""

from __future__ import annotations

from typing import Any

from watchkeeper.query.rows import Row
from watchkeeper.show.standing import problems_of
from watchkeeper.show.tables import experiment_table

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


def notes(*rows: Row) -> list[str]:
    """What stands below the totals."""
    return experiment_table(rows).partition("\n\n")[2].split("\n")[1:]


def test_failures_with_one_cause_are_one_line() -> None:
    """The count, the error's last line, and the keys below it."""
    assert notes(*(row(number, MODULE) for number in (1, 2, 3))) == [
        "✗ 3 evaluations failed: ModuleNotFoundError: No module named 'x'",
        "  r1/clean/epoch0, r2/clean/epoch0, r3/clean/epoch0",
    ]


def test_the_newest_of_them_words_the_error() -> None:
    """Numbers and paths do not part a group, and are shown as the newest job wrote them."""
    rows = [row(n, f"exit code 1; last line: OSError: no /data/{n}.bin at {n}") for n in (9, 10, 2)]
    assert notes(*rows)[0] == "✗ 3 evaluations failed: OSError: no /data/10.bin at 10"


def test_how_far_a_job_came_does_not_part_a_group() -> None:
    """Where the cause is named without the last line, that line does not count."""
    whys = [
        f"exit code 143; the time limit was over; last line: {n * '#'} step {n}" for n in (1, 2)
    ]
    rows = [row(n, why, state="TIMEOUT") for n, why in enumerate(whys)]
    assert notes(*rows)[0] == "✗ 2 evaluations failed: TIMEOUT: the time limit was over"


def test_other_errors_phases_and_ends_stay_apart() -> None:
    """What differs in its words, phase or state is another failure, and one alone has all its
    reasons.
    """
    lines = notes(
        row(1, MODULE),
        row(2, MODULE.replace("'x'", "'y'")),
        row(3, MODULE, phase="preparation"),
        row(4, MODULE, state="TIMEOUT"),
    )
    assert len(lines) == 4
    assert lines[0] == f"r1/clean/epoch0: FAILED: {MODULE.format(key='r1/clean/epoch0')}"


def test_many_keys_are_counted() -> None:
    """The first few keys are named, and how many more there are."""
    last = notes(*(row(number, MODULE) for number in range(40)))[-1]
    assert last.endswith("r5/clean/epoch0 and 34 more")


def test_what_is_halted_is_one_line() -> None:
    """Work that is held back has one line too, with why."""
    rows = [row(n, "nothing works", standing="blocked", state="halted") for n in (1, 2)]
    assert notes(*rows)[0] == "⊘ 2 evaluations blocked: halted: nothing works"


def test_a_program_gets_the_same_groups() -> None:
    """The answer's problems and the lines of the table are the same groups."""
    rows = [row(number, MODULE) for number in (1, 2, 3)]
    assert [problem.where for problem in problems_of(rows, "exp")] == ["r1/clean/epoch0"]
