"""Numbers of thousands of digits: Python's `int` refuses them, no reader may."""

from __future__ import annotations

import random
import re

import pytest

from tests.fuzz.fuzzing import Tally, bounded, read_one
from tests.fuzz.targets import ALL, Target

LONG = b"9" * 5000
PLACES = 8


def name_of(target: Target) -> str:
    return target.name.replace(" ", "-")


@pytest.mark.parametrize("target", ALL, ids=name_of)
def test_a_reader_takes_a_number_of_5000_digits_in_the_place_of_any(target: Target) -> None:
    """A sample in which one number is far too long is read or refused, as any other."""
    chosen = random.Random(target.name)
    with bounded():
        for data in target.seeds:
            numbers = list(re.finditer(rb"\d+", data))
            for number in chosen.sample(numbers, min(PLACES, len(numbers))):
                changed = data[: number.start()] + LONG + data[number.end() :]
                read_one(target, changed, Tally())
