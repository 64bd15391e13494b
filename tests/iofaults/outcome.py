"""What came of one failure."""

from __future__ import annotations

from typing import NamedTuple

from tests.iofaults.injection import Fault, Operation

AT_FIRST = (
    "at the first try"  # how a second try that worked is said, where bash has no word of the error
)


class Outcome(NamedTuple):
    """`failed`: whether the operation was reached; `lost`: acknowledged rows that are not there;
    `changed`: exit codes that are not the program's own; `twice`: rows or executions too many;
    `said`: how often the failure was said; `unsound`: what is damaged or not done, "" for nothing;
    `output`: what the program printed.
    """

    failed: bool
    lost: int
    changed: int
    twice: int
    said: int
    unsound: str
    output: str

    def faults(self, fault: Fault) -> dict[str, int]:
        """What is not as promised, by the table's columns: all 0 where it is."""
        quiet = fault.may_be_quiet
        return {
            "lost": self.lost,
            "changed": self.changed,
            "twice": self.twice,
            "silent": int(not self.said and not quiet),
            "repeated": int(self.said > 1),
            "unsound": int(bool(self.unsound)),
        }


def hung(words: str) -> Outcome:
    """The outcome of a trial that did not end in time."""
    return Outcome(
        failed=True, lost=0, changed=0, twice=0, said=1, unsound="it did not end", output=words
    )


class Trial(NamedTuple):
    """A run of a program, and the operations that it made; with a fault, the one that failed."""

    outcome: Outcome
    operations: list[Operation]


def sayings(text: str, fault: Fault | None) -> int:
    """How many lines name the error."""
    if fault is None:
        return 0
    return len([line for line in text.splitlines() if fault.words in line or AT_FIRST in line])
