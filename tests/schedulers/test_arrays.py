"""Sets of task numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.schedulers import arrays

numbers = st.sets(st.integers(0, 300), min_size=1)


@given(numbers)
def test_writing_and_reading_tasks_is_the_identity(chosen: set[int]) -> None:
    """What is written of a set of tasks names exactly these."""
    assert arrays.numbers_of(arrays.spec_of(chosen)) == sorted(chosen)


@given(st.dictionaries(st.integers(0, 300), st.sampled_from(["COMPLETED", "FAILED", "RUNNING"])))
def test_states_by_task_and_tasks_by_state_say_the_same(states: dict[int, str]) -> None:
    """Turned round twice, nothing is lost."""
    assert arrays.by_task(arrays.by_state(states)) == states


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("3", [3]), ("0-7:2,9%4", [0, 2, 4, 6, 9]), ("1,3,5-7%2", [1, 3, 5, 6, 7]), ("5,1", [1, 5])],
)
def test_tasks_are_read_as_sbatch_reads_them(spec: str, expected: list[int]) -> None:
    """Lists, ranges, steps and the limit, as in sbatch(1)."""
    assert arrays.numbers_of(spec) == expected


@pytest.mark.parametrize(
    ("spec", "limit", "step"), [("0-9", 0, 1), ("0-9%2", 2, 1), ("1,2-8:3%0", 0, 3), ("5%", 0, 1)]
)
def test_limit_and_step_are_read_as_sbatch_reads_them(spec: str, limit: int, step: int) -> None:
    """What follows % is the limit, and 0 is none; the step is the first that is written."""
    assert (arrays.limit_of(spec), arrays.step_of(spec)) == (limit, step)


@pytest.mark.parametrize("spec", ["0-3%a", "0-3%2,5", "0-3%-1"])
def test_a_limit_that_is_no_number_is_refused(spec: str) -> None:
    """A limit that sbatch would refuse raises, with the spec."""
    with pytest.raises(ValueError, match="limits the tasks"):
        arrays.numbers_of(spec)


@pytest.mark.parametrize("spec", ["", "a", "3-1", "0-9:0", "1,,2", "-1", "0-99999999"])
def test_what_names_no_tasks_is_refused(spec: str) -> None:
    """A spec that sbatch would refuse raises, with the spec."""
    with pytest.raises(ValueError, match="names no tasks"):
        arrays.numbers_of(spec)


def test_words_name_the_tasks_that_went_wrong() -> None:
    """A person sees how many are where, and which ones failed."""
    told = arrays.words({"COMPLETED": "0-1,3", "FAILED": "2", "TIMEOUT": "4-5"})
    assert told == "3 COMPLETED, 1 FAILED (task 2), 2 TIMEOUT (tasks 4-5)"
