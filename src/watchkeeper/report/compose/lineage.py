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
    """Return the attempt that made the checkpoint `subject` with the fingerprint `used`. None: no
    attempt had it, or the fingerprint is not known ("").

    Several attempts may have had it: the first that did not find it when it started made it.
    """
    if not used:
        return None
    had = []
    for number, verdict in sorted(judged.items()):
        if verdict.fingerprints.get(subject) == used:
            had.append(number)
    for number in had:
        started_with_it = number in intended and intended[number].found.get(subject) == used
        if not started_with_it:
            return number
    return next(iter(had), None)


def read_from(
    intended: Mapping[int, Intended],
    judged: Mapping[int, Judged],
    inputs: Mapping[str, str],
    time: datetime,
) -> int | None:
    """Return the attempt that an evaluation belongs to. None: there is no attempt.

    `inputs` are the checkpoints that it was given, `time` is when it began. It belongs to the
    checkpoints' maker; if no fingerprint matches, to the last attempt that had ended by then, else
    to the first.
    """
    for subject, used in inputs.items():
        number = maker(intended, judged, subject, used)
        if number is not None:
            return number
    ended = [number for number, verdict in judged.items() if verdict.time <= time]
    return max(ended, default=min([*intended, *judged], default=None))
