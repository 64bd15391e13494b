"""What is marked on the axis of a run's curves, and the dated evidence beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal

from watchkeeper.core.events import (
    Advanced,
    AnyEvent,
    Checkpoint,
    RunEnded,
    RunStarted,
    Stalled,
    Unknown,
    Vanished,
)
from watchkeeper.query.views.pages import AttemptRow, Mark
from watchkeeper.query.views.run_page.attempts import opening_words
from watchkeeper.query.views.run_page.files import shown_path
from watchkeeper.query.views.run_page.numbers import plain
from watchkeeper.query.views.run_page.subject import RecordedFolder, Subject
from watchkeeper.query.views.shared import Evidence
from watchkeeper.runfolder.telemetry import read_last_sample

_GIB = 2**30
_FIRST = datetime.min.replace(tzinfo=UTC)


def marks_of(subject: Subject, attempts: Sequence[AttemptRow]) -> list[Mark]:
    """The marks, by time: where attempts after the first begin, stalls, deaths, checkpoints and the
    end. `attempts` are the rows of the page, the oldest first.

    A mark without a time comes first.
    """
    marks = [_begin(before, row) for before, row in pairwise(attempts)]
    for folder in subject.folders:
        marks += _stalls(folder)
        for event in folder.events:
            if isinstance(event, Vanished):
                marks.append(_death(event))
            elif isinstance(event, Checkpoint):
                marks.append(_checkpoint(event, folder, subject))
    marks += _end(subject, attempts)
    return sorted(marks, key=lambda mark: mark.at or _FIRST)


def _begin(before: AttemptRow, row: AttemptRow) -> Mark:
    """The begin of an attempt: `attempt 2 requeued from 401; 100 steps of attempt 1 superseded`.

    `before` is the attempt before it.
    """
    kind: Literal["attempt", "requeue"] = "attempt"
    what = f"attempt {row.n}"
    if row.is_requeue:
        kind = "requeue"
        what += " requeued"
    if row.from_step is not None:
        what += f" from {row.from_step:,}"
    if before.superseded:
        what += f"; {before.superseded:,} steps of attempt {before.n} superseded"
    return Mark(
        kind=kind,
        step=row.from_step,
        at=row.started,
        text=what,
    )


def _stalls(folder: RecordedFolder) -> Iterator[Mark]:
    """The stalls, each with how long it took; one that is not over has no duration."""
    stall: Stalled | None = None
    for event in filter(_bounds_stalls, folder.events):
        if stall is not None:
            yield _stall(stall, _length(stall, event))
        stall = None
        if isinstance(event, Stalled):
            stall = event
    if stall is not None:
        yield _stall(stall, None)


def _bounds_stalls(event: object) -> bool:
    """Whether a stall begins with an event, or is over."""
    return isinstance(event, Stalled | Advanced | RunStarted | RunEnded | Vanished)


def _length(stall: Stalled, event: AnyEvent | Unknown) -> float:
    """How long a stall took that was over with an event, in seconds: as the sidecar measured it
    where the run advanced again, else until the end, the death or the next start.
    """
    if isinstance(event, Advanced):
        return event.stalled_s
    return (event.time - stall.since).total_seconds()


def _stall(stall: Stalled, duration_s: float | None) -> Mark:
    """The mark of a stall, at its begin, with the sidecar's report; `duration_s` None: it is not
    over.
    """
    return Mark(
        kind="stall",
        step=plain(_number(stall.training_step)),
        at=stall.since,
        duration_s=duration_s,
        text=stall.cause,
        file=stall.report,
    )


def _death(event: Vanished) -> Mark:
    """The mark of a process that is gone without an end, with the sidecar's report."""
    return Mark(
        kind="death",
        step=plain(_number(event.training_step)),
        at=event.time,
        text=opening_words(event.cause),
        file=event.report,
    )


def _checkpoint(event: Checkpoint, folder: RecordedFolder, subject: Subject) -> Mark:
    """The mark of a checkpoint, with its path as the page shows it."""
    path = shown_path(folder.folder / event.path, subject.folder)
    return Mark(kind="checkpoint", step=event.training_step, at=event.time, text=path)


def _end(subject: Subject, attempts: Sequence[AttemptRow]) -> Iterator[Mark]:
    """The end that the last attempt itself wrote."""
    for event in subject.newest_events:
        if isinstance(event, RunEnded) and event.writer == attempts[-1].writer:
            step = attempts[-1].last_step
            yield Mark(kind="end", step=step, at=event.time, text=event.status)


def _number(step: object) -> float | None:
    """A training step as an event has it; None for none, and for a text such as "NaN"."""
    if isinstance(step, int | float):
        return step
    return None


def evidence_of(subject: Subject, marks: Sequence[Mark], attempts: Sequence[AttemptRow],
                health_why: str) -> list[Evidence]:  # fmt: skip
    """The dated observations: the last row, stalls and deaths with their reports, the disk, the
    exit, and the reason of its watcher's verdict.
    """
    evidence = list(_last_step(subject, attempts))
    for mark in marks:
        if mark.kind == "stall":
            evidence.append(_seen(mark, _stall_words(mark)))
        elif mark.kind == "death":
            evidence.append(_seen(mark, _death_words(mark, attempts)))
    evidence += _disk(subject.newest)
    evidence += _exit(subject)
    if health_why:
        evidence.append(Evidence(what="health", text=health_why))
    return evidence


def _last_step(subject: Subject, attempts: Sequence[AttemptRow]) -> Iterator[Evidence]:
    """The last training step that was recorded: `900 by attempt 2`. Nothing without a step."""
    stepped = (row for row in reversed(attempts) if row.last_step is not None)
    last = next(stepped, None)
    if last is None:
        return
    text = f"{last.last_step:,}"
    if len(attempts) > 1:
        text += f" by attempt {last.n}"
    yield Evidence(what="step", text=text, at=last.ended, source=".watchkeeper/metrics")


def _seen(mark: Mark, text: str) -> Evidence:
    """A mark as evidence: its report is the source."""
    return Evidence(what=mark.kind, text=text, at=mark.at, source=mark.file)


def _stall_words(mark: Mark) -> str:
    """`until 15:04:05 UTC, at step 400: …`, or that it has not advanced since."""
    words = mark.text
    if mark.step is not None:
        words = f"at step {mark.step:,}: {words}"
    if mark.duration_s is None:
        return f"{words}; it has not advanced since"
    assert mark.at is not None
    until = mark.at + timedelta(seconds=mark.duration_s)
    return f"until {until:%H:%M:%S} UTC, {words}"


def _death_words(mark: Mark, attempts: Sequence[AttemptRow]) -> str:
    """What is known of a death, with the attempt that ended with it: `attempt 1: …`."""
    for row in attempts:
        if row.ended == mark.at:
            return f"attempt {row.n}: {mark.text}"
    return mark.text


def _disk(folder: RecordedFolder | None) -> Iterator[Evidence]:
    """How full the disk was: `41.2 GiB free of 512 GiB`, by the last sample of the telemetry.
    Nothing where none was taken, or it does not say.
    """
    sample = None
    if folder is not None:
        sample = read_last_sample(folder.folder)
    if sample is None:
        return
    path, last = sample
    if last.free_bytes is None or last.disk_bytes is None:
        return
    text = f"{last.free_bytes / _GIB:,.1f} GiB free of {last.disk_bytes / _GIB:,.0f} GiB"
    yield Evidence(
        what="disk", text=text, at=last.time, source=f".watchkeeper/telemetry/{path.name}"
    )


def _exit(subject: Subject) -> Iterator[Evidence]:
    """What the wrapper and the scheduler say of the end, and what the verdict looked at."""
    latest, facts = subject.latest, subject.facts
    if latest is not None and latest.exit_record is not None:
        record = latest.exit_record
        yield Evidence(
            what="exit",
            text=f"exit code {record.exit_code}",
            at=record.ended,
            source=f"exit.{record.execution}",
        )
    if facts is not None:
        yield Evidence(what="scheduler", text=f"says {facts.state}", at=facts.ended)
    if subject.judged is not None:
        for one in subject.judged.evidence:
            yield Evidence(what=one.what, text=one.source, at=one.modified, source=one.source)
