"""The rounds: after each look at the scheduler the leading watcher looks at every job that runs,
and writes down how it is.

An `Assessed` is written when the verdict changes, with new errors, when the time limit will come
first, and else only when there is much more to say: a tenth of the steps, or an hour. An alarm is
raised once in an episode, whoever watches then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from watchkeeper.core.events import Assessed, Evidence, Health, Number
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
        """Look at each job that runs, and write down what is news."""
        running = {(a.key, a.number): a for a in state.active if _is_followed(a)}
        for name in self._watched.keys() - running.keys():
            del self._watched[name]
        if self._shell is not None:
            streams = {name: _far_streams(attempt) for name, attempt in running.items()}
        else:
            streams = {}
        offsets = {
            path: self._offset(name, path) for name, paths in streams.items() for path in paths
        }
        if self._shell is not None and offsets:
            seen = remote_files.look(self._shell, offsets)
        else:
            seen = {}
        for name, attempt in running.items():
            if seen is None and streams[name]:
                continue  # nobody could be asked: that says nothing of the job
            self._look(name, attempt, seen or {})

    def _offset(self, name: AttemptId, path: str) -> int:
        if name in self._watched:
            return self._watched[name].vitals.offset(path)
        return 0

    def _look(self, name: AttemptId, attempt: Attempt, seen: Mapping[str, Seen | None]) -> None:
        assert attempt.seen is not None
        facts, at, now = attempt.seen.facts, self._monotonic(), self._wall()
        if facts.started:
            started = facts.started.timestamp()
        else:
            started = None
        job = (attempt.seen.job_id, started)
        one = self._watched.get(name)
        if one is None or one.job != job:
            folder = attempt_folder(self._folder, attempt.key, attempt.number)
            last = attempt.assessed
            # Of an execution that began after the last word nothing was said yet: the job was
            # requeued.
            of_this = (
                one is None
                and last is not None
                and (facts.started is None or last.time >= facts.started)
            )
            if of_this and last is not None:
                said = _said(last)
            else:
                said = None
            one = self._watched[name] = _Watched(
                job=job,
                began=at - max(0.0, now - started) if started else at,
                vitals=Vitals(folder),
                course=Course(),
                said=said,
                said_at=at,
                taken_over=said is not None,
            )
        reading = one.vitals.read(
            at,
            now,
            output=facts.output,
            error=facts.error_output,
            ran_s=at - one.began,
            ends_in_s=facts.ends_by.timestamp() - now if facts.ends_by else None,
            home=self._folder,
            far=seen,
        )
        one.course = after(one.course, reading)
        one.taken_over = one.taken_over and not one.course.advances
        self._tell(attempt, one, reading, judge(one.course, self._limits))

    def _tell(self, attempt: Attempt, one: _Watched, reading: Reading, verdict: Verdict) -> None:
        if one.said is not None:
            before = one.said.health
        else:
            before = "unknown"
        if one.taken_over and before in ALARMS and verdict.health not in ALARMS:
            return  # that it goes on has yet to be seen
        errors = tuple(
            words
            for fault in reading.faults
            if not _was_told(one, words := f"{fault.kind}: {fault.line}")
        )
        misfit = verdict.fits is False and not (one.said is not None and one.said.fits is False)
        full, one.full = bool(reading.full) and not one.full, bool(reading.full)
        if not (
            verdict.health != before or errors or misfit or full or self._is_much(one, reading)
        ):
            return
        alarm: Literal["", "raised", "over"] = ""
        if verdict.health in ALARMS:
            if verdict.health != before:
                alarm = "raised"
            else:
                alarm = ""
        elif before in ALARMS:
            alarm = "over"
        position = reading.position
        fits = (
            False
            if one.said is not None and one.said.fits is False and verdict.fits is None
            else verdict.fits
        )
        fields: dict[str, Any] = {
            "health": verdict.health,
            "why": verdict.why,
            "step": None if position.step is None else int(position.step),
            "total": position.total,
            "loss": _figure(position.loss),
            "rate_per_s": None if verdict.rate is None else float(f"{verdict.rate:.4g}"),
            "eta_s": None
            if verdict.eta_s is None or verdict.eta_s > _LOST
            else round(verdict.eta_s, 1),
            "evidence": self._evidence(one, reading),
            "errors": errors,
            "alarm": alarm,
            "fits": fits,
            "note": "; ".join(
                filter(None, [verdict.note if misfit else "", reading.full if full else ""])
            ),
            "report": reading.stall.report if reading.stall is not None else "",
            "used": one.vitals.used(),
        }
        self._write(key=attempt.key, phase=attempt.phase, attempt=attempt.number, **fields)
        one.said = _Said(**{name: fields[name] for name in _Said.__struct_fields__})
        one.said_at, one.taken_over = reading.at, False

    def _evidence(self, one: _Watched, reading: Reading) -> tuple[Evidence, ...]:
        found: tuple[Evidence, ...] = one.vitals.evidence(
            one.said.loss if one.said is not None else None
        )
        if reading.ends_in_s is not None:
            words = f"its time limit is over in {max(0.0, reading.ends_in_s):.0f} s"
            found += (Evidence(source="scheduler", what=words),)
        return found

    def _is_much(self, one: _Watched, reading: Reading) -> bool:
        if one.said is None:
            return False
        if reading.at - one.said_at >= EVERY_S:
            return True
        step, total = reading.position.step, reading.position.total
        if step is None or not total or one.said.step is None:
            return False
        return total == one.said.total and step - one.said.step >= SHARE * total


def _far_streams(attempt: Attempt) -> list[str]:
    if attempt.seen is not None:
        facts = attempt.seen.facts
    else:
        facts = None
    if facts is not None:
        return [path for path in (facts.output, facts.error_output) if remote_files.is_far(path)]
    return []


def _is_followed(attempt: Attempt) -> bool:
    """One that runs, and has an output of its own: an array's tasks have one each."""
    return (
        attempt.state == "RUNNING"
        and attempt.seen is not None
        and not (attempt.intended and attempt.intended.array)
    )


def _said(event: Assessed) -> _Said:
    return _Said(**{name: getattr(event, name) for name in _Said.__struct_fields__})


def _was_told(one: _Watched, error: str) -> bool:
    return one.taken_over and one.said is not None and error in one.said.errors


def _figure(loss: str | None) -> Number | None:
    try:
        if loss is not None:
            value = float(loss)
        else:
            value = None
    except ValueError:
        return None
    if value is None:
        return None
    return spell(value)
