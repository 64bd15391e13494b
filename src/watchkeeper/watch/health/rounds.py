"""The rounds: after each look at the scheduler the leading watcher looks at every job that runs,
and writes down how it is.

An `Assessed` is written when the verdict changes, with new errors, when the time limit will come
first, and else only when there is much more to say: a tenth of the steps, or an hour. An alarm is
raised once in an episode, whoever watches then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from watchkeeper.core.events import Evidence, Health, Number
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId, State
from watchkeeper.runfolder.values import spell
from watchkeeper.schedulers import remote_files
from watchkeeper.schedulers.remote_files import Seen
from watchkeeper.schedulers.shell import Shell
from watchkeeper.watch.health.judge import ALARMS, Course, Limits, Reading, Verdict, after, judge
from watchkeeper.watch.health.vitals import Vitals

SHARE = 0.1  # of the steps, since the last word
EVERY_S = 3600.0
_LOST = 1e9


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was last written down of a job; its fields are those of `Assessed`."""

    health: Health
    step: int | None
    total: int | None
    loss: Number | None
    fits: bool | None
    errors: tuple[str, ...]


class _Watched(msgspec.Struct, kw_only=True):
    """One job under way. `job`: its id and when it started, since one requeued begins anew;
    `began`: its start by the watcher's monotonic clock. `taken_over`: what was last said is another
    watcher's, and no advance was seen since.
    """

    job: tuple[str, float | None]
    began: float
    vitals: Vitals
    course: Course
    said: _Said | None
    said_at: float
    taken_over: bool
    full: bool = False

    @property
    def health_said(self) -> Health:
        """The last verdict that was written down; `unknown` before there is one."""
        if self.said is None:
            return "unknown"
        return self.said.health


class _News(msgspec.Struct, frozen=True, kw_only=True):
    """What a reading has that was not written down: `misfit`: the time limit comes first; `full`:
    the disk is full.
    """

    errors: tuple[str, ...]
    misfit: bool
    full: bool

    @property
    def is_any(self) -> bool:
        """Whether there is something to write down, whatever the verdict says."""
        if self.misfit or self.full:
            return True
        return bool(self.errors)


class Rounds:
    """Looks after the running jobs of one experiment. `write` appends an `Assessed` with these
    fields; what is not here is read through `shell` (None: all files are here).
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        write: Callable[..., None],
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        *,
        shell: Shell | None = None,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._write = write
        self._monotonic = monotonic
        self._wall = wall
        self._watched: dict[AttemptId, _Watched] = {}
        self._shell = shell

    def make(self, state: State) -> None:
        """Look at each running job, and write an event where there is news.

        A job whose host did not answer is not looked at: that says nothing about it. What was
        remembered of jobs that no longer run is dropped.
        """
        running = {a.id: a for a in state.active if _is_followed(a)}
        for name in self._watched.keys() - running.keys():
            del self._watched[name]
        far: dict[AttemptId, list[str]] = {}
        if self._shell is not None:
            far = {name: _far_streams(attempt) for name, attempt in running.items()}
        seen = self._look_far(far)
        for name, attempt in running.items():
            if seen is not None:
                self._look(name, attempt, seen)
            elif not far[name]:
                self._look(name, attempt, {})
            # Else its host did not answer, which says nothing about the job.

    def _look_far(self, streams: Mapping[AttemptId, list[str]]) -> Mapping[str, Seen | None] | None:
        """Look at all files that are not here by one command; None: there was no answer.

        `streams` are the far files of each job. Path → what was seen (None: it is not there); empty
        where there is nothing to look at. What was read before is not sent again.
        """
        offsets: dict[str, int] = {}
        for name, paths in streams.items():
            for path in paths:
                offsets[path] = self._offset(name, path)
        if self._shell is None or not offsets:
            return {}
        return remote_files.look(self._shell, offsets)

    def _offset(self, name: AttemptId, path: str) -> int:
        """How far a far file was read; 0: not at all."""
        if name in self._watched:
            return self._watched[name].vitals.offset(path)
        return 0

    def _look(self, name: AttemptId, attempt: Attempt, seen: Mapping[str, Seen | None]) -> None:
        """Look at one running job, and write an event if there is news. `seen` is what was seen of
        its files that are not here.
        """
        assert attempt.seen is not None
        facts, at, now = attempt.seen.facts, self._monotonic(), self._wall()
        started = None
        if facts.started:
            started = facts.started.timestamp()
        ends_in_s = None
        if facts.ends_by:
            ends_in_s = facts.ends_by.timestamp() - now
        job = self._watched.get(name)
        execution = (attempt.seen.job_id, started)
        if job is None or job.job != execution:
            # After a requeue nothing that was said before counts.
            said = None
            if job is None:
                said = _said_of(attempt, facts.started)
            job = self._watched[name] = self._begin(attempt, execution, said, at, now)
        reading = job.vitals.read(
            at,
            now,
            output=facts.output,
            error=facts.error_output,
            ran_s=at - job.began,
            ends_in_s=ends_in_s,
            home=self._folder,
            far=seen,
        )
        job.course = after(job.course, reading)
        job.taken_over = job.taken_over and not job.course.advances
        self._report(attempt, job, reading, judge(job.course, self._limits))

    def _begin(
        self,
        attempt: Attempt,
        execution: tuple[str, float | None],
        said: _Said | None,
        at: float,
        now: float,
    ) -> _Watched:
        """Begin to follow an execution: its job's id and its start in seconds since 1970. `said` is
        what another watcher wrote down of it; None: nothing.
        """
        _, started = execution
        began = at
        if started:
            # by the watcher's own clock, which no one can set
            began = at - max(0.0, now - started)
        return _Watched(
            job=execution,
            began=began,
            vitals=Vitals(attempt_folder(self._folder, *attempt.id)),
            course=Course(),
            said=said,
            said_at=at,
            taken_over=said is not None,
        )

    def _report(self, attempt: Attempt, job: _Watched, reading: Reading, verdict: Verdict) -> None:
        """Write an event, if the verdict or the reading is news: another word, a new error, a time
        limit that comes first, a full disk, or enough steps since the last one.
        """
        before = job.health_said
        if job.taken_over and before in ALARMS and verdict.health not in ALARMS:
            return  # another watcher raised the alarm: only an advance ends it
        news = _news_of(job, reading, verdict)
        job.full = bool(reading.full)
        is_news = verdict.health != before or news.is_any
        if not is_news and not self._is_much(job, reading):
            return
        fields = self._fields(job, reading, verdict, news)
        self._write(key=attempt.key, phase=attempt.phase, attempt=attempt.number, **fields)
        job.said = _Said(**{name: fields[name] for name in _Said.__struct_fields__})
        job.said_at, job.taken_over = reading.at, False

    def _fields(
        self, job: _Watched, reading: Reading, verdict: Verdict, news: _News
    ) -> dict[str, Any]:
        """The fields of `Assessed` that the reading and the verdict decide.

        Figures are rounded to what a reader needs; docs/journal.md lists the fields.
        """
        notes = []
        if news.misfit and verdict.note:
            notes.append(verdict.note)
        if news.full and reading.full:
            notes.append(reading.full)
        report = ""
        if reading.stall is not None:
            report = reading.stall.report
        return {
            "health": verdict.health,
            "why": verdict.why,
            "step": _whole(reading.position.step),
            "total": reading.position.total,
            "loss": _figure(reading.position.loss),
            "rate_per_s": _four_digits(verdict.rate),
            "eta_s": _near(verdict.eta_s),
            "evidence": self._evidence(job, reading),
            "errors": news.errors,
            "alarm": _alarm(job.health_said, verdict.health),
            "fits": _fits(job, verdict),
            "note": "; ".join(notes),
            "report": report,
            "used": job.vitals.used(),
        }

    def _evidence(self, job: _Watched, reading: Reading) -> tuple[Evidence, ...]:
        """What the verdict rests on: the job's files, and the time that its limit leaves."""
        loss_before = None
        if job.said is not None:
            loss_before = job.said.loss
        evidence: tuple[Evidence, ...] = job.vitals.evidence(loss_before)
        if reading.ends_in_s is None:
            return evidence
        words = f"its time limit is over in {max(0.0, reading.ends_in_s):.0f} s"
        return (*evidence, Evidence(source="scheduler", what=words))

    def _is_much(self, job: _Watched, reading: Reading) -> bool:
        """Whether much has happened since the last event, though the verdict is the same: an hour
        has passed, or a tenth of all steps was done. False: nothing was written down yet.
        """
        if job.said is None:
            return False
        if reading.at - job.said_at >= EVERY_S:
            return True
        step, total = reading.position.step, reading.position.total
        if step is None or job.said.step is None:
            return False
        if not total or total != job.said.total:
            return False
        return step - job.said.step >= SHARE * total


def _far_streams(attempt: Attempt) -> list[str]:
    """The files of its output that are not here, but on the cluster's machine. Empty: none is, or
    they are not known.
    """
    if attempt.facts is None:
        return []
    return list(filter(remote_files.is_far, (attempt.facts.output, attempt.facts.error_output)))


def _said_of(attempt: Attempt, started: datetime | None) -> _Said | None:
    """What was last written down of this execution; None: nothing. What was said before it started
    is of an earlier execution: the job was requeued.
    """
    last = attempt.assessed
    if last is None:
        return None
    if started is not None and last.time < started:
        return None
    return _Said(**{name: getattr(last, name) for name in _Said.__struct_fields__})


def _news_of(job: _Watched, reading: Reading, verdict: Verdict) -> _News:
    """What of a reading was not written down: new errors of its output, a time limit that comes
    first, a disk that is full. Each is said once.
    """
    errors: list[str] = []
    for fault in reading.faults:
        error = f"{fault.kind}: {fault.line}"
        if not _was_said(job, error):
            errors.append(error)
    misfit_was_said = job.said is not None and job.said.fits is False
    return _News(
        errors=tuple(errors),
        misfit=verdict.fits is False and not misfit_was_said,
        full=bool(reading.full) and not job.full,
    )


def _whole(step: float | None) -> int | None:
    """A step as a whole number; None: no step is known."""
    if step is None:
        return None
    return int(step)


def _four_digits(rate: float | None) -> float | None:
    """A rate with four digits, as more of them change with each look; None: it is not known."""
    if rate is None:
        return None
    return float(f"{rate:.4g}")


def _near(eta_s: float | None) -> float | None:
    """The seconds that are left, to a tenth; None where they are unknown, or so many that they say
    nothing: at the pace of a first, slow step a training may seem to last for years.
    """
    if eta_s is None or eta_s > _LOST:
        return None
    return round(eta_s, 1)


def _alarm(before: Health, now: Health) -> Literal["", "raised", "over"]:
    """What an alarm does, by the verdicts before and now.

    advancing → stalled     `raised`
    stalled → stalled       ""
    stalled → advancing     `over`
    """
    if now == before:
        return ""
    if now in ALARMS:
        return "raised"
    if before in ALARMS:
        return "over"
    return ""


def _fits(job: _Watched, verdict: Verdict) -> bool | None:
    """Whether the job fits into its time limit: a "no" stands until a "yes" is measured. None: the
    pace or the limit is not known.
    """
    if verdict.fits is None and job.said is not None and job.said.fits is False:
        return False
    return verdict.fits


def _is_followed(attempt: Attempt) -> bool:
    """Whether a job is looked after here: one that runs, and has a single output. An array's tasks
    have one each, and no health.
    """
    if attempt.state != "RUNNING" or attempt.seen is None:
        return False
    return not attempt.array


def _was_said(job: _Watched, error: str) -> bool:
    """Whether the watcher before wrote down this error, which is read here again."""
    if not job.taken_over or job.said is None:
        return False
    return error in job.said.errors


def _figure(loss: str | None) -> Number | None:
    """A printed loss as an event holds it: a number, or `NaN` as text; None: it is no number, or
    none was printed.
    """
    if loss is None:
        return None
    try:
        return spell(float(loss))
    except ValueError:
        return None
