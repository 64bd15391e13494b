"""A sample of `make io-faults`: one operation of a recorded program and of a wrapper fails once,
and nothing is lost.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.iofaults import job, recorder, watcher
from tests.iofaults.injection import Fault, Operation
from tests.iofaults.outcome import Outcome
from tests.iofaults.plans import Subject

JOURNAL = "/.watchkeeper/journal/*.jsonl"
RECORDER = (
    ("write", "/.watchkeeper/metrics/*.jsonl", 3, "ENOSPC"),
    ("fsync", "/.watchkeeper/metrics/*.jsonl", 1, "EIO"),
    ("open to write", JOURNAL, 1, "ESTALE"),
    ("write", JOURNAL, 2, "EDQUOT"),
    ("fsync", JOURNAL, 5, "EIO"),
    ("link", "/raw_metrics.csv", 1, "EINTR"),
)
WRAPPER = (
    ("bash", "write", "/attempt/.tmp-wrapper-*", 1, "ENOSPC"),
    ("ln", "link", "/attempt/claim.1", 1, "EIO"),
    ("bash", "open to read", "/attempt/claim.1", 1, "ESTALE"),
    ("ln", "link", "/attempt/exit.1", 1, "EDQUOT"),
    ("rm", "unlink", "/attempt/.tmp-wrapper-*", 1, "EINTR"),
)
WATCHER = (
    ("link", "/.watchkeeper/runs/one/1/intent.json", "EIO"),
    ("open to read", "/one/eval/clean_epoch0.slurm", "ENOSPC"),
)


def hold(subject: Subject, folder: Path, fault: Fault) -> Outcome:
    """One trial that must be as promised."""
    outcome = subject(folder / "trial", fault).outcome
    assert outcome.failed, f"{fault.operation} was not made"
    assert not {name: count for name, count in outcome.faults(fault).items() if count}, (
        outcome.unsound,
        outcome.output,
    )
    return outcome


@pytest.mark.parametrize(("kind", "path", "number", "error"), RECORDER)
def test_an_operation_of_the_recorder_that_fails_once_costs_no_row(
    tmp_path, kind, path, number, error
):
    """Each acknowledged row is there, the program ends with its own code, the journal is whole, and
    the failure is said.
    """
    hold(recorder.run, tmp_path, Fault(Operation("program", kind, path, number), error))


@pytest.mark.parametrize(("role", "kind", "path", "number", "error"), WRAPPER)
def test_an_operation_of_the_wrapper_that_fails_once_changes_no_end(
    tmp_path, role, kind, path, number, error
):
    """The script runs once and its code is the job's and the record's; a later job of the attempt
    is refused.
    """
    hold(job.run, tmp_path, Fault(Operation(role, kind, path, number), error))


@pytest.mark.parametrize(("kind", "path", "error"), WATCHER)
def test_an_operation_of_the_watcher_that_fails_once_runs_no_job_twice(tmp_path, kind, path, error):
    """Every job runs exactly once, all end as done, and `check` finds the journal sound."""
    hold(watcher.run, tmp_path, Fault(Operation("watcher", kind, path, 1), error))
