"""A short round of the fuzzing in every test run: `make fuzz` tries each reader for a minute."""

from __future__ import annotations

import pytest

from tests.fuzz.fuzzing import Tally, bounded, read_one, try_many
from tests.fuzz.targets import ALL, Target

INPUTS = 40


def name_of(target: Target) -> str:
    return target.name.replace(" ", "-")


@pytest.mark.parametrize("target", ALL, ids=name_of)
def test_a_reader_takes_its_samples(target: Target) -> None:
    """Each real sample, and each input that once broke a reader, is read or refused."""
    with bounded():
        for data in (*target.seeds, *target.crashes):
            read_one(target, data, Tally())


@pytest.mark.parametrize("target", ALL, ids=name_of)
def test_a_reader_takes_what_is_nearly_a_sample(target: Target) -> None:
    """No mutation of a sample makes a reader raise what it may not, take too long, or take too much
    memory.
    """
    try_many(target, INPUTS, 1, Tally(), shrink=False)
