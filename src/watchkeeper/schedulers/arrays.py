"""Job arrays: sets of task numbers, written as sbatch's --array writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

import msgspec

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.text import lazy

# The most that Slurm itself can be set to (MaxArraySize, slurm.conf(5)).
MAX_TASKS = 4_000_001
_LIMIT = lazy.pattern(r"[0-9]{1,10}")
_STEP = lazy.pattern(r":([0-9]{1,10})")
# Of several parts' states, what says most about the whole comes first; then what went wrong, and
# COMPLETED last.
_WEIGHT = ("RUNNING", "COMPLETING", "SUSPENDED", "PENDING", "UNKNOWN")
_PART = lazy.pattern(r"([0-9]{1,10})(?:-([0-9]{1,10})(?::([0-9]{1,10}))?)?")


def numbers_of(spec: str) -> list[int]:
    """`0-7:2,9%4` → 0, 2, 4, 6, 9: every task, in order; what follows % limits how many run at a
    time.

    Raises:
        ValueError: sbatch would refuse it.
    """
    return list(_numbers(spec))


@lru_cache(maxsize=1024)
def _numbers(spec: str) -> tuple[int, ...]:
    numbers: set[int] = set()
    tasks, _, limit = spec.partition("%")
    if limit and not _LIMIT.fullmatch(limit):
        raise ValueError(f"'{spec}' limits the tasks by what is no number")
    for part in tasks.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"'{spec}' names no tasks")
        first = int(match.group(1))
        last, step = int(match.group(2) or first), int(match.group(3) or 1)
        if last < first or step == 0 or last >= MAX_TASKS:
            raise ValueError(f"'{spec}' names no tasks")
        numbers.update(range(first, last + 1, step))
    return tuple(sorted(numbers))


def limit_of(spec: str) -> int:
    """How many tasks may run at a time: 2 for `0-9%2`; 0 where nothing limits them.

    Raises:
        ValueError: sbatch would refuse it.
    """
    numbers_of(spec)
    return int(spec.partition("%")[2] or 0)


def step_of(spec: str) -> int:
    """The step of the first range that has one, 1 where none has: what Slurm tells the tasks."""
    found = _STEP.search(spec)
    if found is None:
        return 1
    return int(found.group(1))


def task_variables(spec: str, array_id: str, number: int, own_id: str) -> dict[str, str]:
    """What a task of an array finds in its environment (sbatch(1), OUTPUT ENVIRONMENT VARIABLES).
    `own_id` is the job id that the task has alone.

    Raises:
        ValueError: sbatch would refuse the spec.
    """
    numbers = numbers_of(spec)
    return {
        "SLURM_JOB_ID": own_id,
        "WATCHKEEPER_JOB_ID": own_id,
        "SLURM_ARRAY_JOB_ID": array_id,
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_ARRAY_TASK_COUNT": str(len(numbers)),
        "SLURM_ARRAY_TASK_MIN": str(numbers[0]),
        "SLURM_ARRAY_TASK_MAX": str(numbers[-1]),
        "SLURM_ARRAY_TASK_STEP": str(step_of(spec)),
    }


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


class Part(Protocol):
    """One task, as a scheduler tells it: its facts."""

    @property
    def state(self) -> str:
        """Slurm's word."""
        ...

    @property
    def submitted(self) -> datetime | None:
        """None: not known."""
        ...

    @property
    def started(self) -> datetime | None:
        """None: it has not, as far as is known."""
        ...

    @property
    def ended(self) -> datetime | None:
        """None: it has not, as far as is known."""
        ...

    @property
    def max_rss_bytes(self) -> int | None:
        """None: not known."""
        ...


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """Several parts as one. `first`: the index of the part that says most about the whole, the
    earliest of equals. `ended` is None until all have.
    """

    first: int
    submitted: datetime | None
    started: datetime | None
    ended: datetime | None
    max_rss_bytes: int | None


def whole(parts: Sequence[Part]) -> Whole:
    """An array, or a job of several components, as one, from its first start to its last end."""
    submitted = [part.submitted for part in parts if part.submitted]
    started = [part.started for part in parts if part.started]
    ended = [part.ended for part in parts if part.ended]
    peaks = [part.max_rss_bytes for part in parts if part.max_rss_bytes]
    return Whole(
        first=min(range(len(parts)), key=lambda index: _weight(parts[index].state)),
        submitted=min(submitted, default=None),
        started=min(started, default=None),
        ended=max(ended) if len(ended) == len(parts) else None,
        max_rss_bytes=max(peaks, default=None),
    )


def facts_of_whole(tasks: Mapping[int, SchedulerFacts]) -> SchedulerFacts:
    """Task → its facts, as the facts of the array."""
    facts = list(tasks.values())
    summary = whole(facts)
    states = {number: part.state for number, part in tasks.items()}
    return msgspec.structs.replace(
        facts[summary.first],
        submitted=summary.submitted,
        started=summary.started,
        ended=summary.ended,
        max_rss_bytes=summary.max_rss_bytes,
        tasks=by_state(states),
    )


def _weight(state: str) -> int:
    """How much a part in this state says about the whole: the lowest says most."""
    if state in _WEIGHT:
        return _WEIGHT.index(state)
    return len(_WEIGHT) + (state == "COMPLETED")


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
