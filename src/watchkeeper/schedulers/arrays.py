"""Job arrays: sets of task numbers, written as sbatch's --array writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# The most that Slurm itself can be set to (MaxArraySize, slurm.conf(5)).
MAX_TASKS = 4_000_001
_PART = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10})(?::([0-9]{1,10}))?)?")


def numbers_of(spec: str) -> list[int]:
    """`0-7:2,9%4` → 0, 2, 4, 6, 9: every task, in order; what follows % limits how many run at a
    time.

    Raises:
        ValueError: sbatch would refuse it.
    """
    numbers: set[int] = set()
    for part in spec.partition("%")[0].split(","):
        found = _PART.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"'{spec}' names no tasks")
        first = int(found.group(1))
        last, step = int(found.group(2) or first), int(found.group(3) or 1)
        if last < first or step == 0 or last >= MAX_TASKS:
            raise ValueError(f"'{spec}' names no tasks")
        numbers.update(range(first, last + 1, step))
    return sorted(numbers)


@lru_cache(maxsize=1024)
def count_of(spec: str) -> int:
    """How many tasks there are; 1 for "", which is a job without any.

    Raises:
        ValueError: sbatch would refuse it.
    """
    if spec:
        return len(numbers_of(spec))
    return 1


def spec_of(numbers: Iterable[int]) -> str:
    """The shortest way to write them with ranges: 0, 1, 2, 5 → `0-2,5`; "" for none."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def by_state(states: Mapping[int, str]) -> dict[str, str]:
    """Task → state, turned round and short: {0: "COMPLETED", 1: "COMPLETED", 2: "FAILED"} →
    COMPLETED: 0-1, FAILED: 2.
    """
    numbers: dict[str, list[int]] = {}
    for number, state in states.items():
        numbers.setdefault(state, []).append(number)
    return {state: spec_of(numbers[state]) for state in sorted(numbers)}


def by_task(specs: Mapping[str, str]) -> dict[int, str]:
    """The reverse of `by_state`."""
    return {number: state for state, spec in specs.items() for number in numbers_of(spec)}


def words(specs: Mapping[str, str]) -> str:
    """For a person: `8 COMPLETED, 1 FAILED (task 5), 1 RUNNING`; the numbers of what went wrong."""
    parts = []
    for state, spec in specs.items():
        count = len(numbers_of(spec))
        bad = state not in ("COMPLETED", "RUNNING", "PENDING", "COMPLETING")
        if bad:
            named = f" (task{'s' if count > 1 else ''} {spec})"
        else:
            named = ""
        parts.append(f"{count} {state}{named}")
    return ", ".join(parts)
