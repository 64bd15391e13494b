"""Which operation fails how: each one that a program made when nothing failed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.iofaults import job, recorder, watcher
from tests.iofaults.injection import ERRORS, Fault, Operation
from tests.iofaults.outcome import Trial

Subject = Callable[[Path, Fault | None], Trial]


class Plan(NamedTuple):
    """What to try of a program."""

    subject: Subject
    faults: list[Fault]


def operations_of(subject: Subject) -> list[Operation]:
    """The operations of a run in which nothing fails, each once.

    Raises:
        AssertionError: that run is not as promised either.
    """
    with tempfile.TemporaryDirectory(prefix="watchkeeper-iofaults-") as base:
        trial = subject(Path(base) / "count", None)
    outcome = trial.outcome
    assert not (outcome.lost or outcome.changed or outcome.twice or outcome.unsound), outcome
    return list(dict.fromkeys(trial.operations))


def every(subject: Subject) -> Plan:
    """Each operation with each error."""
    return Plan(
        subject,
        [Fault(operation, error) for operation in operations_of(subject) for error in ERRORS],
    )


def watched(everything: bool) -> Plan:
    """The first operation of each kind on each kind of file with two of the errors in turn, and
    each write and fsync of a journal with one; with `everything` all of these with each error. The
    wrappers' are among them, the job's own are not.
    """
    places: dict[tuple[str, str, str], Operation] = {}
    lines: list[Operation] = []
    for operation in operations_of(watcher.run):
        if operation.role == "supervisor" or (
            "/.watchkeeper/" not in operation.path and operation.role != "watcher"
        ):
            continue
        name = (operation.role, operation.kind, operation.path.replace("/two", "/one"))
        places.setdefault(name, operation)
        if (
            "/journal/" in operation.path
            and operation.kind in ("write", "fsync")
            and operation.number > 1
        ):
            lines.append(operation)
    if everything:
        return Plan(
            watcher.run,
            [Fault(one, error) for one in [*places.values(), *lines] for error in ERRORS],
        )
    turn = len(ERRORS)
    faults = [
        Fault(one, ERRORS[(2 * at + more) % turn])
        for at, one in enumerate(places.values())
        for more in (0, 1)
    ]
    return Plan(
        watcher.run, faults + [Fault(one, ERRORS[at % turn]) for at, one in enumerate(lines)]
    )


SUBJECTS: dict[str, Callable[[bool], Plan]] = {
    "recorder": lambda everything: every(recorder.run),
    "wrapper": lambda everything: every(job.run),
    "watcher": watched,
}
