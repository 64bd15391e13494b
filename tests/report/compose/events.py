"""Events of one run, for the tests of what its logs say."""

from __future__ import annotations

from datetime import UTC, datetime

from watchkeeper.core.events import (
    Assessed,
    Change,
    Documented,
    Intended,
    Judged,
    Published,
    Rejected,
    SchedulerFacts,
    Submitted,
    Vouched,
)
from watchkeeper.report.compose.compose import compose
from watchkeeper.report.compose.history import About, History, Sight

START = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


def minute(number):
    """So many minutes after the run's start, up to 59."""
    return START.replace(minute=number)


def _common(number, at, phase="preparation"):
    return {
        "time": minute(at),
        "writer": "w",
        "seq": at,
        "key": "one",
        "phase": phase,
        "attempt": number,
    }


def intended(number=1, at=0, phase="preparation", **fields):
    """An attempt that is about to be submitted."""
    defaults = {"token": "t", "script": "train.slurm", "script_sha256": "s"}
    return Intended(**_common(number, at, phase), **(defaults | fields))


def submitted(number=1, at=1, phase="preparation", job_id="7", **fields):
    """An attempt that the scheduler accepted."""
    job = {"job_id": job_id, "scheduler": "slurm", "command": "sbatch"}
    return Submitted(**_common(number, at, phase), **job, **fields)


def rejected(number=1, at=1, message="no such queue"):
    """An attempt that the scheduler refused."""
    return Rejected(**_common(number, at), command="sbatch", message=message)


def judged(number=1, at=50, phase="preparation", **fields):
    """An attempt's verdict; `done` unless said otherwise."""
    defaults = {"outcome": "done", "state": "COMPLETED"}
    return Judged(**_common(number, at, phase), **(defaults | fields))


def vouched(number=1, at=55, **fields):
    """A word on a checkpoint: signed, unless said otherwise."""
    defaults = {"path": "r8/epoch_0", "verdict": "pass", "by": "tool"}
    return Vouched(**_common(number, at), **(defaults | {"signed": True} | fields))


def published(number=1, at=58, **fields):
    """An upload of two checkpoints of an attempt."""
    defaults = {
        "repo": "ada/m",
        "url": "https://huggingface.co/ada/m",
        "commit": "c" * 40,
        "checkpoints": ("2000", "4000"),
        "includes": ("README", "TRAINING_LOG", "MODEL_PASSPORT.json", "SIGNOFF.json", "assets"),
        "verdict": "pass",
    }
    common = {name: value for name, value in _common(number, at).items() if name != "phase"}
    return Published(**(common | defaults | fields))


def assessed(number=1, at=20, **fields):
    """A look at a running attempt."""
    return Assessed(**_common(number, at), **({"health": "advancing"} | fields))


def documented(path, number=1, at=2, **fields):
    """What was written into a run log."""
    values = {"time": minute(at), "writer": "w", "seq": at, "key": "one"}
    return Documented(**values, attempt=number, path=path, **fields)


def sight(at, after, number=1, before="", job_id="7", exit_record=None, **facts):
    """A change of a job's state that a poll saw."""
    change = Change(
        key="one",
        phase="preparation",
        attempt=number,
        job_id=job_id,
        before=before,
        after=after,
        facts=SchedulerFacts(state=after, **facts),
        exit_record=exit_record,
    )
    return Sight(time=minute(at), change=change)


def history(*events):
    """A history that was fed these."""
    fed = History()
    for event in events:
        fed.feed(event)
    return fed


def page(*events, about=None, **options):
    """The page of a run with these events."""
    return compose(history(*events), about or About(task="one"), "UTC", **options)


def shown(values):
    """Fields by name, with their notes."""
    return {value.key: value.value + (f" ({value.note})" if value.note else "") for value in values}


def lines(*events, **options):
    """The lines of Status, without their times."""
    return [line.partition(" — ")[2] for line in page(*events, **options).status]
