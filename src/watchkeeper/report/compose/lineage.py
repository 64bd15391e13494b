"""Which attempt made a checkpoint: a figure belongs to the attempt whose checkpoint it was measured
on. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from watchkeeper.core.events import Intended, Judged


def maker(
    intended: Mapping[int, Intended], judged: Mapping[int, Judged], subject: str, used: str
) -> int | None:
    """The attempt that made the checkpoint `subject` with the fingerprint `used`; None where no
    attempt had it.

    Several may have found it: the first that had not found it there already made it.
    """
    had = [
        number
        for number, verdict in sorted(judged.items())
        if used and verdict.fingerprints.get(subject) == used
    ]
    made = [
        number
        for number in had
        if number not in intended or intended[number].found.get(subject) != used
    ]
    return next(iter([*made, *had]), None)


def read_from(
    intended: Mapping[int, Intended],
    judged: Mapping[int, Judged],
    inputs: Mapping[str, str],
    time: datetime,
) -> int | None:
    """The attempt that an evaluation belongs to, which was given these checkpoints and began at
    `time`: their maker; where no fingerprint tells it, the last attempt that had ended by then,
    else the first.
    """
    for subject, used in inputs.items():
        number = maker(intended, judged, subject, used)
        if number is not None:
            return number
    ended = [number for number, verdict in judged.items() if verdict.time <= time]
    return max(ended, default=min([*intended, *judged], default=None))
