"""Polling: what the scheduler says goes into the journal when it changes, and an ended job is
judged by its evidence.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UnavailableError
from watchkeeper.core.events import (
    PHASES,
    Intended,
    Judged,
    Learned,
    Observed,
    Phase,
    Polled,
    RunItem,
    SchedulerFacts,
    Submitted,
)
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId, State
from watchkeeper.core.text.odd_bytes import as_path
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch.reproduce import environment_of
from watchkeeper.launch.submit import tidy
from watchkeeper.report.actionlog.block_format import duration_words
from watchkeeper.report.compose.history import list_differences
from watchkeeper.runfolder.link import read_link
from watchkeeper.schedulers import remote_files
from watchkeeper.schedulers.base import (
    COMPLETING,
    TERMINAL,
    UNKNOWN,
    Scheduler,
    Snapshot,
    remote_shell,
)
from watchkeeper.schedulers.wrapper.claims import is_closed
from watchkeeper.schedulers.wrapper.hashes import read_hashes
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.outcome import compute, learned, used
from watchkeeper.watch.outcome.losses import Tried
from watchkeeper.watch.outcome.wandb_folders import job_of
from watchkeeper.watch.poll import look as monitor
from watchkeeper.watch.poll.pace import Pace, Rota, traces
from watchkeeper.watch.verdict.causes import named
from watchkeeper.watch.verdict.endings import End, end_of
from watchkeeper.watch.verdict.evidence import EvidenceBook, written
from watchkeeper.watch.verdict.judge import judge

_HOUR_S = 3600.0

Ask = Callable[[Sequence[str]], Snapshot]
"""As `Scheduler.poll`."""


class Poller:
    """The looking part of a watch; only the leading watcher uses it. `watched`: phase → attempt →
    state, of every job that was under way at any time in this execution.
    """

    def __init__(
        self,
        experiment: Experiment,
        scheduler: Scheduler,
        logbook: Logbook,
        book: EvidenceBook,
        *,
        pace: Pace,
        unknown_deadline_s: float,
        ask: Ask | None = None,
    ) -> None:
        self.watched: dict[Phase, dict[AttemptId, str]] = {phase: {} for phase in PHASES}
        self.pace = pace
        self._traces: frozenset[str] = frozenset()
        self._has_stirred = False
        self._rota = Rota()
        self._experiment = experiment
        self._items: Mapping[str, RunItem] = {item.key: item for item in experiment.items}
        self._scheduler = scheduler
        self._ask = ask or scheduler.poll
        self._logbook = logbook
        self._book = book
        self._unknown_deadline_s = unknown_deadline_s
        # The states of which all is announced, and all is judged.
        self._announced: State | None = None
        self._judged: State | None = None
        self._last: dict[Phase, tuple[dict[str, int], float]] = {}
        self._unknown_since: dict[AttemptId, float] = {}
        self._absent_since: dict[AttemptId, float] = {}
        self._absent_now: set[AttemptId] = set()
        self._silent_since: float | None = None
        self._part_silent_since: float | None = None

    @property
    def job_ids(self) -> list[str]:
        """The jobs that a poll looks at now."""
        state = self._logbook.state
        attempts = [*_running(state.handed_over), *_lost(state)]
        return monitor.job_ids(self._experiment.folder, self._scheduler, attempts)

    def poll(self) -> None:
        """Look once, write down what changed, and judge what has ended."""
        active = self._logbook.state.handed_over
        if self._logbook.state is not self._announced:
            self._announce_others(active)
            self._announced = self._logbook.state
        if self._look(_running(active)):
            self._judge_ended()

    def _judge_ended(self) -> None:
        """Judge what has ended. Where nothing was said since everything was judged, only a deadline
        can have passed.
        """
        state = self._logbook.state
        attempts = state.handed_over
        if state is self._judged:
            attempts = [attempt for attempt in attempts if attempt.state == UNKNOWN]
        for attempt in attempts:
            self._judge(attempt)
        self._judged = state

    def _look(self, running: list[Attempt]) -> bool:
        """Ask the scheduler, and write down what changed; False: it did not answer. `running` are
        the attempts that may run. With them those are asked for that were judged without their end.
        """
        lost = _lost(self._logbook.state)
        is_stirring = self._sees_news(a for a in running if a.state == "RUNNING")
        is_stirring, self._has_stirred = is_stirring or self._has_stirred, False
        if not running and not lost:
            return True
        self._absent_now = set()
        try:
            look = monitor.look(
                self._experiment.folder,
                self._scheduler,
                self._ask,
                [*running, *lost],
                self._absence_counts,
            )
        except UnavailableError as error:
            if running:
                self._silence(str(error), running)
            return False
        self._take(look, running, lost)
        changing = COMPLETING in look.states.values() or is_stirring
        self.pace.looked(changed=bool(look.changes or look.moved), changing=changing)
        return True

    def _take(self, look: monitor.Look, running: list[Attempt], lost: list[Attempt]) -> None:
        """Write down what the scheduler answered; of the lost only those that it has news of. The
        clock of a job's absence starts anew once the scheduler knows the job again.
        """
        self._absent_since = {
            name: at for name, at in self._absent_since.items() if name in self._absent_now
        }
        self._answer()
        self._part_is_silent(look.silent)
        self._adopt_moved(look)
        changed = {(change.key, change.attempt) for change in look.changes}
        recovered = [attempt for attempt in lost if attempt.id in changed]
        for phase in PHASES:
            self._record(phase, look, [*running, *recovered])

    def _adopt_moved(self, look: monitor.Look) -> None:
        """Follow the job that really runs an attempt, where ours was its twin."""
        for (key, number), job_id in look.moved.items():
            submissions = self._logbook.state.run(key).attempts[number].submissions
            known = next(iter(submissions.values()))
            self._logbook.write(Submitted, **_fields(known, job_id=job_id, adopted=True))

    def stirs(self) -> bool:
        """Whether a job has started or ended since the last look, by the files that it left. Of
        many jobs some are looked at each time.
        """
        some = self._rota.next(_running(self._logbook.state.active))
        self._has_stirred = self._sees_news(some) or self._has_stirred
        return self._has_stirred

    def _sees_news(self, attempts: Iterable[Attempt]) -> bool:
        """Whether one of these jobs has left a trace that was not seen before."""
        now = traces(self._experiment.folder, attempts)
        if now <= self._traces:
            return False
        self._traces |= now
        return True

    def counts(self, phase: Phase) -> dict[str, int]:
        """State → jobs watched in this execution."""
        counts: dict[str, int] = {}
        for state in self.watched[phase].values():
            counts[state] = counts.get(state, 0) + 1
        return counts

    def _absence_counts(self, name: AttemptId) -> bool:
        """Whether the scheduler has not known a job for longer than anything may stay invisible
        there. Asking begins the time.
        """
        self._absent_now.add(name)
        now = self._logbook.monotonic()
        return now - self._absent_since.setdefault(name, now) >= self._scheduler.visibility_lag_s

    def _announce_others(self, active: Iterable[Attempt]) -> None:
        """Show in our logs what another process submitted: they render a leader's own events. What
        any leader has written of a job is shown already.
        """
        leaders = [writer for writer in self._logbook.fold.writers.values() if writer.leases]
        for attempt in active:
            for job_id, submitted in attempt.submissions.items():
                known = (one.attempts.get(attempt.id) for one in leaders)
                if not any(one and job_id in one.submissions for one in known):
                    self._logbook.write(Submitted, **_fields(submitted, by=submitted.writer))

    def _record(self, phase: Phase, look: monitor.Look, running: Iterable[Attempt]) -> None:
        """Write down what changed in a phase, or that nothing did for an hour. Nothing is written
        where the look had none of the phase's jobs.
        """
        ids = [attempt.id for attempt in running if attempt.phase == phase]
        mine = {name: look.states[name] for name in ids if name in look.states}
        if not mine:
            return
        self.watched[phase] |= mine
        counts = self.counts(phase)
        changes = tuple(change for change in look.changes if change.phase == phase)
        before, at = self._last.get(phase, ({}, 0.0))
        now = self._logbook.monotonic()
        if changes or counts != before or now - at >= _HOUR_S:
            self._last[phase] = (counts, now)
            self._logbook.write(
                Polled,
                phase=phase,
                query=self._query(look.query),
                interval_s=self.pace.seconds,
                counts=counts,
                changes=changes,
            )

    def _query(self, words: str) -> str:
        """A command that a person can type for the same look."""
        if self._scheduler.name != "local":
            return words
        return f"watchkeeper status {shlex.quote(str(self._experiment.folder))}"

    def _judge(self, attempt: Attempt) -> None:
        """Write the verdict on an attempt, if it has ended: by how it ended and by what it left. An
        attempt that was closed before a job began it is `not run`.
        """
        facts = attempt.facts
        end = self._end_of(attempt, facts)
        if end is None:
            return
        if attempt.intended is not None:
            tidy(self._experiment.folder, attempt.intended)
        folder = attempt_folder(self._experiment.folder, *attempt.id)
        if attempt.exit_record is None and is_closed(folder):
            self._write_not_run(attempt)
            return
        item = self._items.get(attempt.key)
        findings: list[Finding] = []
        if item is not None:
            findings = self._book.look_at(item, self._logbook.state)
        reason = output = ""
        if facts is not None:
            reason = facts.reason
        if facts is not None and end.state != "COMPLETED":
            streams = facts.error_output or facts.output
            output = remote_files.last_output(streams, remote_shell(self._scheduler))
        verdict = judge(
            end,
            findings,
            monitor.last_line(output),
            _unchanged(attempt, findings),
            array=bool(attempt.array),
            cause=named(end, output, reason=reason),
        )
        state = end.state
        if verdict.outcome == "invalid":
            state = "INVALID"
        self.watched[attempt.phase][attempt.key, attempt.number] = state
        self._logbook.write(
            Judged,
            key=attempt.key,
            phase=attempt.phase,
            attempt=attempt.number,
            state=end.state,
            elapsed_s=elapsed_s(facts),
            learned=self._learned(attempt, item, findings, facts),
            used=self._used(attempt, item, facts),
            inputs=self._inputs_now(attempt, item),
            passports=self._passports_now(attempt, item),
            **msgspec.structs.asdict(verdict),
        )

    def _end_of(self, attempt: Attempt, facts: SchedulerFacts | None) -> End | None:
        """How the attempt ended; None: it has not, as far as is known."""
        end = end_of(facts, attempt.exit_record)
        if end is not None:
            return end
        name = attempt.id
        if facts is None:
            return self._overdue(name, "", "")
        return self._overdue(name, facts.state, facts.reason)

    def _write_not_run(self, attempt: Attempt) -> None:
        """Write that no job of the attempt will ever run."""
        self.watched[attempt.phase][attempt.key, attempt.number] = "NOT_RUN"
        self._logbook.write(
            Judged,
            key=attempt.key,
            phase=attempt.phase,
            attempt=attempt.number,
            outcome="not run",
            state="NOT_RUN",
            why="what it was queued behind has not ended well",
        )

    def _inputs_now(self, attempt: Attempt, item: RunItem | None) -> dict[str, str]:
        """The checkpoint that it read, where that was made only after it had been submitted."""
        if item is None or attempt.intended is None or not attempt.intended.after:
            return {}
        return self._book.checkpoint(item)

    def _passports_now(self, attempt: Attempt, item: RunItem | None) -> dict[str, str]:
        """The passports of the checkpoints that it read, which they got after it was submitted."""
        if item is None or attempt.intended is None:
            return {}
        passports: dict[str, str] = {}
        for subject, sha256 in self._book.passports(item).items():
            if subject not in attempt.intended.passports:
                passports[subject] = sha256
        return passports

    def _learned(
        self,
        attempt: Attempt,
        item: RunItem | None,
        findings: list[Finding],
        facts: SchedulerFacts | None,
    ) -> Learned | None:
        """What a training left to say of itself; None of an evaluation."""
        if attempt.phase != "preparation":
            return None
        folder = attempt_folder(self._experiment.folder, *attempt.id)
        if attempt.intended is not None:
            began = attempt.intended.time
        else:
            began = None
        if item is not None:
            job = job_of(
                self._experiment,
                item,
                folder / "script",
                attempt.job_id,
                began,
                wandb_dir=self._wandb_dir_of(attempt),
            )
        else:
            job = None
        tried = self._same_work(attempt, facts)
        return learned.of(self._experiment.folder, tried, findings, job, read_hashes(folder))

    def _wandb_dir_of(self, attempt: Attempt) -> str:
        """WANDB_DIR where the attempt was submitted, which its job takes over; "" where it was not
        set, or is not known.
        """
        if attempt.intended is None:
            return ""
        environment = environment_of(self._experiment.folder, attempt.intended)
        if environment is None:
            return ""
        return environment.variables.get("WANDB_DIR", "")

    def _same_work(self, attempt: Attempt, facts: SchedulerFacts | None) -> list[Tried]:
        """The attempts at the work of this one, itself the last: those before it, as far as nothing
        of the work changed.
        """
        tries = [self._tried(attempt, facts)]
        attempts = self._logbook.state.run(attempt.key).attempts
        later = attempt
        while (before := attempts.get(later.number - 1)) is not None:
            if not _is_same_work(before.intended, later.intended):
                break
            tries.insert(0, self._tried(before, before.facts))
            later = before
        return tries

    def _tried(self, attempt: Attempt, facts: SchedulerFacts | None) -> Tried:
        """An attempt as the curves of its losses need it. `facts` name its output files; None: they
        are not known.
        """
        folder = attempt_folder(self._experiment.folder, *attempt.id)
        outputs: dict[str, None] = {}
        if facts is not None:
            # Both may go to one file, which is read once.
            outputs = dict.fromkeys(filter(None, (facts.output, facts.error_output)))
        began = 0.0
        if attempt.intended is not None:
            began = attempt.intended.time.timestamp()
        known = None
        if attempt.judged is not None:
            known = attempt.judged.learned
        return Tried(
            recorder=read_link(folder),
            outputs=tuple(map(Path, map(as_path, outputs))),
            began=began,
            learned=known,
        )

    def _used(
        self, attempt: Attempt, item: RunItem | None, facts: SchedulerFacts | None
    ) -> tuple[str, ...]:
        """What it used of the machine, in words."""
        folder = attempt_folder(self._experiment.folder, *attempt.id)
        if item is not None and item.script:
            beside = self._experiment.workdir_of(item)
        else:
            beside = None
        return used.words(compute.used_by(attempt, folder, beside), facts)

    def _overdue(self, name: AttemptId, state: str, reason: str) -> End | None:
        """The end of a job that stayed UNKNOWN beyond the deadline; None while it has time. Who is
        silent may know it: the deadline begins when all answer. `state` and `reason` are the
        scheduler's.
        """
        if state != UNKNOWN or self._part_silent_since is not None:
            self._unknown_since.pop(name, None)
            return None
        now = self._logbook.monotonic()
        if now - self._unknown_since.setdefault(name, now) < self._unknown_deadline_s:
            return None
        waited = duration_words(self._unknown_deadline_s)
        return End(
            state=UNKNOWN, exit_code=None, why=f"{reason}; nothing more was heard in {waited}"
        )

    def _silence(self, message: str, running: Iterable[Attempt]) -> None:
        """The scheduler cannot be asked: say so once, ask less often, and conclude nothing."""
        self.pace.silent()
        self._unknown_since.clear()
        if self._silent_since is None:
            self._silent_since = self._logbook.monotonic()
            phase = next(attempt.phase for attempt in running)
            query = f"asking {self._scheduler.name}"
            self._logbook.write(
                Polled, phase=phase, query=query, interval_s=self.pace.seconds, error=message
            )

    def _part_is_silent(self, why: str) -> None:
        """Part of the scheduler does not answer, or does again: said once each."""
        now = self._logbook.monotonic()
        if why and self._part_silent_since is None:
            self._part_silent_since = now
            self._logbook.write(Observed, what="scheduler answers in part", detail=why)
        elif not why and self._part_silent_since is not None:
            length = duration_words(now - self._part_silent_since)
            self._part_silent_since = None
            self._logbook.write(
                Observed, what="scheduler answers", detail=f"all of it, after {length} in part"
            )

    def _answer(self) -> None:
        """Write that the scheduler answers again, and how long it did not, where that was so."""
        if self._silent_since is not None:
            length = duration_words(self._logbook.monotonic() - self._silent_since)
            self._silent_since = None
            self._logbook.write(
                Observed, what="scheduler answers", detail=f"after {length} without an answer"
            )


def _lost(state: State) -> list[Attempt]:
    """The attempts that were judged without their end: evidence may come after the verdict."""
    return [attempt for attempt in state.yielding if attempt.submissions]


def _running(active: Iterable[Attempt]) -> list[Attempt]:
    """Those of the active attempts whose job may still run: all that were not yet seen to have
    ended.
    """
    return [a for a in active if a.seen is None or a.seen.state not in TERMINAL]


def _is_same_work(before: Intended | None, later: Intended | None) -> bool:
    """Whether both attempts were submitted with the same script, settings and code."""
    if before is None or later is None:
        return False
    return not list_differences(before, later)


def _unchanged(attempt: Attempt, findings: Iterable[Finding]) -> list[str]:
    """The results that lie there as they did before the attempt: it did not make them."""
    if attempt.intended is None:
        return []
    before = attempt.intended.inputs
    unchanged: list[str] = []
    for finding in findings:
        subject = finding.subject
        if subject in before and before[subject] == written(finding):
            unchanged.append(subject)
    return unchanged


def elapsed_s(facts: SchedulerFacts | None) -> float | None:
    """Seconds from start to end by the scheduler; None: unknown, also where its clock was set back
    to before the start meanwhile.
    """
    if facts is None or not facts.ended or not facts.started:
        return None
    if facts.ended < facts.started:
        return None
    return (facts.ended - facts.started).total_seconds()


def _fields(submitted: Submitted, **changed: object) -> dict[str, object]:
    """A submission's own fields, for saying it again."""
    fields = {
        name: getattr(submitted, name)
        for name in submitted.__struct_fields__
        if name not in ("time", "writer", "seq")
    }
    return fields | changed
