"""Submitting an attempt exactly once.

The order is the promise. 1. The attempt is held: `intent.json` is created exclusively, so two
submitters cannot both hold it. 2. The frozen script and the wrapper are written. 3. `intended` is
journalled. 4. The scheduler is asked. 5. `submitted` is journalled. A submitter that dies anywhere
in between leaves a hold whose owner is provably gone: the next one takes it over (`takeover.K`,
created exclusively too), asks the scheduler for a job with the attempt's token, and adopts it or
submits under the same token. A job that comes late after all finds the claim taken by its twin and
ends at once.
"""

from __future__ import annotations

import contextlib
import glob
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from watchkeeper.core import ids, layout, processes
from watchkeeper.core.code import code_files, environment, git
from watchkeeper.core.disk import files, objects
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    RefusedError,
    SchedulerError,
    StorageError,
    UnavailableError,
    UnreachedError,
)
from watchkeeper.core.events import (
    Decision,
    Doubted,
    Intended,
    Judged,
    Postponed,
    Rejected,
    RunItem,
    Submitted,
)
from watchkeeper.core.journal import Clock, Writer, encode_json
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.processes import ProcessName
from watchkeeper.core.state import ROW_ENDS_AFTER, Attempt, Row
from watchkeeper.launch import retry_means, same_work
from watchkeeper.launch.retries import Rules
from watchkeeper.reading import configs
from watchkeeper.schedulers import arrays, sbatch_head
from watchkeeper.schedulers.base import TERMINAL, UNKNOWN, Job, Scheduler, number_of
from watchkeeper.schedulers.sbatch_head import Head
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.render import Claim
from watchkeeper.tools.promise import Promise

# How long what git said of a repository stands, in seconds: a thousand submissions need not ask a
# thousand times.
_CODE_STANDS_S = 10.0
# How long a scheduler that says "later", or is not reached, is asked again.
_PUT_OFF_FOR = timedelta(days=1)
# What these say does not mean that a job's processes are gone: its node may only be cut off.
_NODE_LOST = ("NODE_FAIL", "BOOT_FAIL")
_NOTHING: Mapping[str, str] = {}
_NO_RULES = Rules()


E = TypeVar("E", Submitted, Rejected, Doubted, Postponed, Intended, Judged)


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Who may submit an attempt: the content of `intent.json` and of each `takeover.K`. The token
    stays the same.
    """

    key: str
    attempt: int
    token: str
    writer: str
    process: ProcessName
    time: datetime


class HeldByAnotherError(Exception):
    """Another process holds the attempt, and lives or may live."""

    def __init__(self, hold: Hold | None) -> None:
        super().__init__()
        self.hold = hold


def note_of(again: Decision | Intended | None) -> str:
    """What a further attempt is given otherwise than the script says, in words; "" for nothing."""
    if again is None:
        return ""
    words = [f"{name}={value}" for name, value in again.change.items()]
    return " ".join(
        words + ([f"{render.RESUME_VARIABLE}={again.resume_from}"] if again.resume_from else [])
    )


def tidy(experiment: Path, intended: Intended) -> None:
    """Remove what a submission left beside the script: its job has ended, or never was."""
    with contextlib.suppress(StorageError):
        files.remove((experiment / intended.script).parent / render.name_beside(intended.token))


class Submitter:
    """Submits attempts of one experiment to one scheduler, writing to one journal. Its jobs begin
    at least `gap_s` seconds apart; 0: as the scheduler starts them.
    """

    def __init__(
        self,
        experiment: Path,
        scheduler: Scheduler,
        writer: Writer,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        gap_s: float = 0.0,
        intended: Callable[[Intended], None] = lambda event: None,
        rules: Rules = _NO_RULES,
        cluster: str = "",
    ) -> None:
        """`intended` is called with an attempt that is held, before the scheduler is asked for its
        job. `cluster` is the name under which people know the scheduler.
        """
        self.experiment = experiment
        self.rules = rules
        self.scheduler = scheduler
        self.writer = writer
        self.clock = clock
        self._monotonic = monotonic
        self._gap_s = gap_s
        self._code: dict[Path, tuple[float, dict[str, Any]]] = {}
        self._intended = intended
        self._environment_sha256 = ""
        self._where = {"cluster": cluster or scheduler.name, "host": processes.host()}
        self._asked_again: set[tuple[str, int]] = set()

    def submit(
        self,
        item: RunItem,
        attempt: int,
        inputs: Mapping[str, str],
        stagger_s: float,
        *,
        after: Sequence[Attempt] = (),
        array: str = "",
        again: Decision | None = None,
        before: Attempt | None = None,
        found: Mapping[str, str] = _NOTHING,
        promises: Sequence[Promise] = (),
        refusals: Row | None = None,
    ) -> Submitted | Rejected | Doubted:
        """Make one attempt, or finish what a dead submitter began of it. Returns the event that
        says what came of it.

        Its job starts when those of `after` have ended, and does its work if they ended well. Of an
        array it has the tasks in `array`, "" for all. `again` decided on a further attempt,
        `before` is the attempt that it follows, and `found` is as in `intended`. `promises` are
        what it must leave: while that is not there, its scheduler may start it again. `refusals`
        are the first and the last time that it was put off, None where it was not: after a day it
        is refused.

        Raises:
            HeldByAnotherError: somebody else is about to submit it, or the attempt before may still
            be alive.
            BusyError: the scheduler takes no more jobs at present; the attempt stays ours.
            UnavailableError: it could not be asked; the attempt stays ours.
            StorageError: the attempt's files could not be written.
        """
        folder = attempt_folder(self.experiment, item.key, attempt)
        script = self.experiment / item.script
        try:
            source = script.read_bytes()
        except OSError as error:
            message = f"cannot read {script}: {error.strerror}"
            return self._write(
                Rejected, item, attempt, command=self._words(script), message=message
            )
        token, first = self._hold(folder, item.key, attempt)
        if not first:
            adopted = self._adopt(item, attempt, token, script, note_of(again))
            if adopted is not None:
                return adopted
        alive = self._may_run(item.key, attempt - 1, before)
        if alive:
            return self._write(Rejected, item, attempt, command=self._words(script), message=alive)
        variables: dict[str, str] = {}
        written = source
        if again is not None:
            try:
                prepared = retry_means.prepare(
                    source,
                    script,
                    self.experiment,
                    change=again.change,
                    resume_from=again.resume_from,
                    rules=self.rules,
                )
            except retry_means.CannotChangeError as error:
                return self._write(
                    Rejected, item, attempt, command=self._words(script), message=str(error)
                )
            source, variables = prepared.source, prepared.variables
        head = sbatch_head.read_head(source, name=script.name)
        problems = [problem for problem in head.problems if problem.severity == "error"]
        if problems:
            message = "; ".join(
                f"{problem.message} ({problem.hint})" if problem.hint else problem.message
                for problem in problems
            )
            return self._write(
                Rejected, item, attempt, command=self._words(script), message=message
            )
        kept = objects.keep(self._objects, source)
        kept_by_one = () if array or head.array else promises
        job = self._prepare(
            folder,
            script,
            source,
            head,
            token=token,
            after=after,
            promises=kept_by_one,
            variables=variables,
        )
        job = msgspec.structs.replace(job, array=array)
        intended = self._write(
            Intended,
            item,
            attempt,
            token=token,
            script=item.script,
            script_sha256=kept,
            source_sha256=objects.keep(self._objects, written) if written != source else "",
            inputs=dict(inputs),
            array=array or head.array,
            after=tuple(one.key for one in after),
            reason=again.reason if again else "",
            automatic=again.automatic if again else False,
            change=dict(again.change) if again else {},
            resume_from=again.resume_from if again else "",
            found=dict(found),
            environment_sha256=self._environment(),
            **self._files_of(script, written),
            **self._code_of(script.parent),
        )
        self._intended(intended)
        event = self._hand_over(
            item, attempt, job, script, stagger_s=stagger_s, note=note_of(again), refusals=refusals
        )
        if isinstance(event, Rejected):
            tidy(self.experiment, intended)
        return event

    def tasks_of(self, item: RunItem, array: str = "") -> int:
        """How many jobs a submission counts as: the tasks in `array`, or "": in its script; 1 where
        that cannot be told.
        """
        try:
            source = (self.experiment / item.script).read_bytes()
            return arrays.count_of(array or sbatch_head.read_head(source, name=item.script).array)
        except (OSError, ValueError):
            return 1

    def resolve(self, intended: Intended) -> Submitted | None:
        """Find out what became of an attempt that somebody meant to submit: adopt its job if there
        is one, else None; the attempt is ours then.

        Raises:
            HeldByAnotherError: its submitter is alive, or may be.
            UnavailableError: the scheduler could not be asked.
        """
        folder = attempt_folder(self.experiment, intended.key, intended.attempt)
        token, _ = self._hold(folder, intended.key, intended.attempt)
        return self._adopt(
            intended, intended.attempt, token, Path(intended.script), note_of(intended)
        )

    def close(self, intended: Intended, refused: Rejected | None = None) -> Submitted | Judged:
        """Close an attempt of ours that is not needed any more: no job of it can run from now on.
        If one has claimed it after all, it is adopted instead. `refused` is what was said last,
        None where nobody refused it.
        """
        folder = attempt_folder(self.experiment, intended.key, intended.attempt)
        if render.void_claim(folder, scheduler=self.scheduler.name, clock=self.clock):
            tidy(self.experiment, intended)
            why = "its submitter died before the scheduler had it, and it is not needed any more"
            if refused is not None:
                why = refused.message
            return self._write(
                Judged, intended, intended.attempt, outcome="not run", state="NOT_RUN", why=why
            )
        job_id = render.read_claims(folder)[-1].job_id
        return self._adopted(
            intended, intended.attempt, job_id, Path(intended.script), note_of(intended)
        )

    def adopt_late(self, intended: Intended) -> Submitted | None:
        """The job of an attempt that was left as unknown, where it shows itself after all: by its
        claim, or to the scheduler, which is asked once. None while it does not.
        """
        name = (intended.key, intended.attempt)
        folder = attempt_folder(self.experiment, *name)
        script, note = Path(intended.script), note_of(intended)
        claims = render.executions(folder)
        if claims or name in self._asked_again:
            if claims:
                return self._adopted(intended, intended.attempt, claims[-1].job_id, script, note)
            return None
        try:
            adopted = self._adopt(intended, intended.attempt, intended.token, script, note)
        except UnavailableError:
            return None
        self._asked_again.add(name)
        return adopted

    def leave_unknown(self, intended: Intended, waited_s: float) -> Judged:
        """End an attempt of ours whose job nobody shows, and which must not be submitted again:
        that could run it twice.
        """
        why = (
            f"whether {self.scheduler.name} took its job was never told, and in {waited_s:.0f} s "
            "it showed none; it was "
            "not submitted again, since nothing proves here that a second job would end at once: "
            "`watchkeeper doctor` does"
        )
        return self._write(
            Judged, intended, intended.attempt, outcome="unknown", state=UNKNOWN, why=why
        )

    def _hold(self, folder: Path, key: str, attempt: int) -> tuple[str, bool]:
        """Hold the attempt. Returns its token, and whether nobody held it before."""
        files.make_folder(folder)
        hold = Hold(
            key=key,
            attempt=attempt,
            token=ids.token(),
            writer=self.writer.id,
            process=processes.this_process(),
            time=self.clock(),
        )
        if files.create(folder / "intent.json", encode_json(hold)):
            return hold.token, True
        last = read_hold(folder)
        if last is None:
            raise StorageError(
                f"{folder}/intent.json cannot be read",
                hint="move that attempt's folder away if no job of it runs",
            )
        if last.writer == self.writer.id:
            return last.token, False
        if not self._is_gone(last):
            raise HeldByAnotherError(last)
        taken = msgspec.structs.replace(hold, token=last.token)
        if not files.create(folder / f"takeover.{len(_holds(folder))}", encode_json(taken)):
            raise HeldByAnotherError(read_hold(folder))
        return taken.token, False

    def _may_run(self, key: str, attempt: int, before: Attempt | None) -> str:
        """Why a job of the attempt before may still run; "" when none does or can. Only then may
        the next one begin.

        Its next claim is taken first: what is started again after all, or lives on beyond a node's
        failure, ends at once.

        Raises:
            HeldByAnotherError: its node was lost a moment ago; this will be told when its heartbeat
            is stale.
        """
        folder = attempt_folder(self.experiment, key, attempt)
        if not folder.is_dir() or render.void_claim(
            folder, scheduler=self.scheduler.name, clock=self.clock
        ):
            return ""
        claims, ends = render.read_claims(folder), render.read_task_ends(folder)
        if not claims:
            return f"attempt {attempt} may still run: {folder}/claim.1 cannot be read"
        if not claims[-1].job_id:
            return ""
        if ends and all(ends.values()):
            parts = [folder / f"task-{number}" for number in ends]
        elif not ends and self._is_over(folder, before):
            parts = [folder]
        else:
            return (
                f"attempt {attempt} may still run: job {claims[-1].job_id} claimed it on "
                f"{claims[-1].host}, and its end "
                f"was not seen; when you have made sure that it does not, delete {folder}/claim.*"
            )
        for part in parts:
            if not render.close(part, scheduler=self.scheduler.name, clock=self.clock):
                return (
                    f"attempt {attempt} was started again meanwhile: job "
                    f"{render.read_claims(part)[-1].job_id}"
                )
        return ""

    def _is_over(self, folder: Path, before: Attempt | None) -> bool:
        """Whether the last execution of the attempt before has ended: by its exit record, its
        process, or its scheduler.

        Raises:
            HeldByAnotherError: its node was lost, and its heartbeat is fresh.
        """
        claims = render.executions(folder)
        if render.last_end(folder) is not None or _is_dead(claims[-1]):
            return True
        said = _told_of(claims, before)
        stale_s = render.stale_s(self.scheduler.visibility_lag_s)
        if said not in _NODE_LOST or not stale_s:
            return said in TERMINAL and said not in _NODE_LOST
        try:
            silent_s = render.silent_s(folder)
        except OSError:
            silent_s = 0.0  # it cannot be told now: look again
        if silent_s <= stale_s:
            raise HeldByAnotherError(None)
        return True

    def _is_gone(self, hold: Hold) -> bool:
        """Whether the holder can no longer submit: dead on this boot, or silent on another host for
        the visibility lag.
        """
        alive = processes.is_alive(hold.process)
        if alive is None:
            return self.clock() - hold.time > timedelta(
                seconds=max(self.scheduler.visibility_lag_s, 120.0)
            )
        return not alive

    def _adopt(
        self, item: RunItem | Intended, attempt: int, token: str, script: Path, note: str
    ) -> Submitted | None:
        """The job that a dead submitter, or a doubted submission, left behind; None if there is
        none. The claim names it, whatever the scheduler shows.
        """
        claims = render.executions(attempt_folder(self.experiment, item.key, attempt))
        if claims:
            return self._adopted(item, attempt, claims[-1].job_id, script, note)
        submitted = None
        for job_id in self.scheduler.find(token):
            submitted = self._adopted(item, attempt, job_id, script, note)
        return submitted

    def _adopted(
        self, item: RunItem | Intended, attempt: int, job_id: str, script: Path, note: str
    ) -> Submitted:
        fields = {
            "job_id": job_id,
            "scheduler": self.scheduler.name,
            "command": self._words(script),
            "note": note,
        }
        return self._write(
            Submitted, item, attempt, adopted=True, cluster=self._where["cluster"], **fields
        )

    def _prepare(
        self,
        folder: Path,
        script: Path,
        source: bytes,
        head: Head,
        *,
        token: str,
        after: Sequence[Attempt],
        promises: Sequence[Promise],
        variables: Mapping[str, str],
    ) -> Job:
        frozen = folder / "script"
        files.replace(frozen, source, mode=0o777)
        name = self.scheduler.name
        needs = [attempt_folder(self.experiment, one.key, one.number) for one in after]
        text = render.render(
            head,
            attempt_folder=folder,
            script=frozen,
            token=token,
            scheduler=name,
            needs=needs,
            promises=[
                [self._place(pattern) for pattern in promise.patterns] for promise in promises
            ],
            lag_s=self.scheduler.visibility_lag_s,
            starts=self.experiment / layout.STARTS,
            gap_s=self._gap_s,
            variables=variables,
        )
        path = folder / render.wrapper_name(token)
        files.replace(path, text, mode=0o777)
        return Job(
            wrapper=path,
            folder=script.parent,
            name=head.name,
            token=token,
            after=tuple(one.job_id for one in after),
        )

    def _place(self, pattern: str) -> str:
        """A promise's pattern, absolute."""
        if pattern.startswith("/"):
            return pattern
        return f"{glob.escape(str(self.experiment))}/{pattern}"

    @property
    def _objects(self) -> Path:
        return self.experiment / layout.OBJECTS

    def _files_of(self, script: Path, source: bytes) -> dict[str, Any]:
        """The configurations and the code that the script names, each kept, and which of them no
        commit holds: fields of `intended`.
        """
        read: dict[Path, bytes] = {}
        for path in configs.files_of(script):
            with contextlib.suppress(OSError):
                read[path] = path.read_bytes()
        code = {
            path: data
            for path, data in code_files.contents(script)
            if path != script and path not in read
        }
        uncommitted = code_files.uncommitted(script.parent, [script, *read, *code])
        return {
            "configs": {
                self._name(path): objects.keep(self._objects, data) for path, data in read.items()
            },
            "code": {
                self._name(path): objects.keep(self._objects, data) for path, data in code.items()
            },
            "uncommitted": tuple(map(self._name, uncommitted)),
            "work_sha256": same_work.fingerprint(
                source, {self._name(path): data for path, data in read.items()}
            ),
        }

    def _name(self, path: Path) -> str:
        return configs.name_of(path, self.experiment)

    def _environment(self) -> str:
        """What is installed where this process submits, kept: looked at once."""
        if not self._environment_sha256:
            self._environment_sha256 = objects.keep(
                self._objects, encode_json(environment.of_submitter())
            )
        return self._environment_sha256

    def _code_of(self, folder: Path) -> dict[str, Any]:
        """The commit that the script comes with, and what was changed since: the fields of
        `intended`.
        """
        asked, fields = self._code.get(folder, (0.0, {}))
        if not fields or self._monotonic() - asked >= _CODE_STANDS_S:
            state = git.state(folder)
            if state.dirty:
                changes = git.diff(folder)
            else:
                changes = None
            fields = {
                "git_sha": state.sha,
                "git_branch": state.branch,
                "git_fault": "" if state.sha else git.refusal(folder),
                "git_dirty": False
                if changes == b""
                else state.dirty,  # a file may have been touched, and be the same
                "diff_sha256": objects.keep(self._objects, changes) if changes else "",
            }
            self._code[folder] = self._monotonic(), fields
        return fields

    def _hand_over(
        self,
        item: RunItem,
        attempt: int,
        job: Job,
        script: Path,
        *,
        stagger_s: float,
        note: str,
        refusals: Row | None,
    ) -> Submitted | Rejected | Doubted:
        words = self._words(script)
        put_off_for = self._put_off_for(refusals)
        patient = put_off_for < _PUT_OFF_FOR
        try:
            receipt = self.scheduler.submit(job)
        except RefusedError as error:
            return self._write(Rejected, item, attempt, command=words, message=str(error))
        except UnreachedError as error:
            if patient:
                return self._write(
                    Doubted, item, attempt, command=words, message=str(error), unreached=True
                )
            return self._refuse_after(put_off_for, error, item, attempt, words)
        except DoubtError as error:
            return self._write(Doubted, item, attempt, command=words, message=str(error))
        except (BusyError, UnavailableError) as error:
            if not patient:
                return self._refuse_after(put_off_for, error, item, attempt, words)
            self._write(Postponed, item, attempt, message=str(error))
            raise
        return self._write(
            Submitted,
            item,
            attempt,
            job_id=receipt.job_id,
            scheduler=self.scheduler.name,
            command=words,
            exact=receipt.exact,
            stagger_s=stagger_s,
            note=note,
            **self._where,
        )

    def _put_off_for(self, refusals: Row | None) -> timedelta:
        """How long a row of refusals has lasted that this one would go on."""
        if refusals is None:
            return timedelta(0)
        first, last = refusals
        now = self.clock()
        if now - last <= ROW_ENDS_AFTER:
            return now - first
        return timedelta(0)

    def _refuse_after(
        self, waited: timedelta, error: SchedulerError, item: RunItem, attempt: int, words: str
    ) -> Rejected:
        """What was put off for so long is refused."""
        message = f"{error}: so it has said for {waited.total_seconds() / 3600:.0f} hours"
        return self._write(Rejected, item, attempt, command=words, message=message)

    def _words(self, script: Path) -> str:
        return self.scheduler.submit_words(script.name)

    def _write(self, kind: type[E], item: RunItem | Intended, attempt: int, **fields: Any) -> E:
        return self.writer.write(kind, key=item.key, phase=item.phase, attempt=attempt, **fields)


def _is_dead(claim: Claim) -> bool:
    """Whether a claim's wrapper ran on this host, and does no more."""
    if claim.host != processes.host():
        return False
    return claim.boot_id != processes.boot_id() or processes.start_ticks(claim.pid) is None


def _told_of(claims: Sequence[Claim], before: Attempt | None) -> str:
    """What the scheduler last said of the execution with the last of these claims; "" for nothing:
    its word on an earlier one, or on another job, does not count.
    """
    if before is None or before.seen is None or number_of(before.seen.job_id) != claims[-1].job_id:
        return ""
    record = before.exit_record
    if record is not None and record.execution < len(claims):
        return ""
    return before.seen.facts.state


def _holds(folder: Path) -> list[Path]:
    takeovers = sorted(folder.glob("takeover.*"), key=lambda path: int(path.suffix[1:]))
    return [folder / "intent.json", *takeovers]


def read_hold(folder: Path) -> Hold | None:
    """Who holds the attempt now; None if nobody does, or the file cannot be read."""
    for path in reversed(_holds(folder)):
        try:
            return read_record(path, Hold)
        except (OSError, UnreadableRecordError):
            continue
    return None
