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
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from watchkeeper.core import ids, layout, processes
from watchkeeper.core.code import code_files, environment, git
from watchkeeper.core.disk import files, objects
from watchkeeper.core.errors import (
    BusyError,
    DoubtError,
    Problem,
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
from watchkeeper.core.layout import attempt_folder, workdir_of
from watchkeeper.core.state import ROW_ENDS_AFTER, Attempt, Row
from watchkeeper.experiment.experiment import Invocation
from watchkeeper.launch import predecessor, retry_means, same_work
from watchkeeper.launch.hold import Hold, hold_attempt
from watchkeeper.launch.retries import Rules
from watchkeeper.reading import configs
from watchkeeper.schedulers import arrays, sbatch_head
from watchkeeper.schedulers.base import UNKNOWN, Job, SubmitHost
from watchkeeper.schedulers.sbatch_head import Head
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.claims import executions, read_claims, void_claim
from watchkeeper.schedulers.wrapper.names import name_beside, wrapper_name
from watchkeeper.tools.promise import Promise

# How long what git said of a repository stands, in seconds: a thousand submissions need not ask a
# thousand times.
_CODE_STANDS_S = 10.0
# How long a scheduler that says "later", or is not reached, is asked again.
_PUT_OFF_FOR = timedelta(days=1)
_NOTHING: Mapping[str, str] = {}
_NO_RULES = Rules()


E = TypeVar("E", Submitted, Rejected, Doubted, Postponed, Intended, Judged)


def note_of(again: Decision | Intended | None) -> str:
    """What a further attempt changes of the script, `batch_size=8`; "": nothing."""
    if again is None:
        return ""
    changes = [f"{name}={value}" for name, value in again.change.items()]
    if again.resume_from:
        changes.append(f"{render.RESUME_VARIABLE}={again.resume_from}")
    return " ".join(changes)


def tidy(experiment: Path, intended: Intended) -> None:
    """Remove the file that a submission left beside the script, once no job needs it."""
    with contextlib.suppress(StorageError):
        files.remove(
            workdir_of(experiment, intended.script, intended.workdir) / name_beside(intended.token)
        )


class _RefusalError(Exception):
    """The attempt is refused; the message says why."""


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    """What is submitted: the script's bytes, the variables that go with them, and its head."""

    text: bytes
    variables: Mapping[str, str]
    head: Head


def _start_of(script: Path, invocation: Invocation | None) -> tuple[Path, tuple[str, ...] | None]:
    """The folder that a script runs in, and its arguments (None: they cannot be read)."""
    if invocation is None:
        return script.parent, ()
    return invocation.workdir, invocation.args


def _read_script(script: Path) -> bytes:
    try:
        return files.read_whole(script)
    except OSError as error:
        raise _RefusalError(f"cannot read {script}: {error.strerror}") from error


def _sentence(problem: Problem) -> str:
    if problem.hint:
        return f"{problem.message} ({problem.hint})"
    return problem.message


def _reasons_of(again: Decision | None) -> dict[str, Any]:
    """Why there is a further attempt, and what it changes: fields of `intended`."""
    if again is None:
        return {"reason": "", "automatic": False, "change": {}, "resume_from": ""}
    return {
        "reason": again.reason,
        "automatic": again.automatic,
        "change": dict(again.change),
        "resume_from": again.resume_from,
    }


class Submitter:
    """Submits attempts of one experiment to one scheduler, writing to one journal. Its jobs begin
    at least `gap_s` seconds apart; 0: as the scheduler starts them.
    """

    def __init__(
        self,
        experiment: Path,
        scheduler: SubmitHost,
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
        # The top of a repository, None for folders in none → when it was read, and what it said.
        self._code: dict[Path | None, tuple[float, dict[str, Any]]] = {}
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
        passports: Mapping[str, str] = _NOTHING,
        promises: Sequence[Promise] = (),
        refusals: Row | None = None,
        invocation: Invocation | None = None,
        refusal: str = "",
    ) -> Submitted | Rejected | Doubted:
        """Make one attempt, or finish what a dead submitter began of it. Returns the event that
        says what came of it.

        Its job starts when those of `after` have ended, and does its work if they ended well. Of an
        array it has the tasks in `array`, "": all. `again` decided on a further attempt, `before`
        is the attempt that it follows, and `found` and `passports` are as in `intended`. `promises`
        are what it must leave: until that is there, its scheduler may start it again. `refusals`
        are the first and the last time that it was postponed, None: never; after a day of them it
        is refused.
        `invocation` says how its script is started, None: without arguments, in its own folder.
        `refusal` is why it must not be submitted, "" where it may be.

        Raises:
            HeldByAnotherError: another process is about to submit it, or the attempt before may
                still be alive.
            BusyError: the scheduler takes no more jobs at present; the attempt stays ours.
            UnavailableError: it could not be asked; the attempt stays ours.
            StorageError: the attempt's files could not be written.
        """
        script = self.experiment / item.script
        workdir, args = _start_of(script, invocation)
        note = note_of(again)
        try:
            if refusal:
                raise _RefusalError(refusal)
            if args is None:
                raise _RefusalError(f"the arguments of {item.key} cannot be read by this user")
            source = _read_script(script)
            folder = attempt_folder(self.experiment, item.key, attempt)
            token, is_first = self._hold(folder, item.key, attempt)
            if not is_first:
                adopted = self._adopt(item, attempt, token, script, note)
                if adopted is not None:
                    return adopted
            self._end_predecessor(item.key, attempt - 1, before)
            content = self._content_of(script, source, workdir, again)
        except _RefusalError as error:
            return self._write(
                Rejected, item, attempt, command=self._words(script, item), message=str(error)
            )
        script_sha256 = objects.keep(self._objects, content.text)
        is_array = bool(array or content.head.array)
        job = self._prepare(
            folder,
            workdir,
            content,
            args=args,
            token=token,
            after=after,
            promises=() if is_array else promises,
            weights=[promise for promise in promises if promise.kind == "checkpoint"],
        )
        job = msgspec.structs.replace(job, array=array)
        intended = self._write(
            Intended,
            item,
            attempt,
            token=token,
            script=item.script,
            script_sha256=script_sha256,
            source_sha256=self._changed_from(source, content),
            inputs=dict(inputs),
            array=array or content.head.array,
            after=tuple(needed.key for needed in after),
            found=dict(found),
            passports=dict(passports),
            environment_sha256=self._environment(),
            args=item.args,
            workdir=item.workdir,
            asked=self._asked(content.text),
            **_reasons_of(again),
            **self._files_of(script, source, workdir, item.args),
            **self._code_of(script.parent),
        )
        self._intended(intended)
        event = self._hand_over(
            item, attempt, job, script, stagger_s=stagger_s, note=note, refusals=refusals
        )
        if isinstance(event, Rejected):
            tidy(self.experiment, intended)
        return event

    def _content_of(
        self, script: Path, source: bytes, workdir: Path, again: Decision | None
    ) -> _Content:
        """What is submitted of a script: the script itself, or its changed copy for a further
        attempt.

        Raises:
            _RefusalError: the change cannot be made, or the head of the script has errors.
        """
        text, variables = source, _NOTHING
        if again is not None:
            try:
                prepared = retry_means.prepare(
                    source,
                    script,
                    self.experiment,
                    workdir=workdir,
                    change=again.change,
                    resume_from=again.resume_from,
                    rules=self.rules,
                )
            except retry_means.CannotChangeError as error:
                raise _RefusalError(str(error)) from error
            text, variables = prepared.source, prepared.variables
        head = sbatch_head.read_head(text, name=script.name)
        errors = [_sentence(problem) for problem in head.problems if problem.severity == "error"]
        if errors:
            raise _RefusalError("; ".join(errors))
        return _Content(text=text, variables=variables, head=head)

    def _asked(self, text: bytes) -> dict[str, str]:
        """What the script asks for, with the options that the scheduler puts before it."""
        return dict(sbatch_head.read_head(text, beside=self.scheduler.options).asked)

    def _changed_from(self, source: bytes, content: _Content) -> str:
        """Keep the script as its owner wrote it where a changed copy is submitted; "": it is not
        changed.
        """
        if content.text == source:
            return ""
        return objects.keep(self._objects, source)

    def tasks_of(self, item: RunItem, array: str = "") -> int:
        """How many jobs a submission counts as: the tasks in `array`, or "": in its script; 1 where
        that cannot be told.
        """
        try:
            source = files.read_whole(self.experiment / item.script)
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
        if void_claim(folder, scheduler=self.scheduler.name, clock=self.clock):
            tidy(self.experiment, intended)
            why = "its submitter died before the scheduler had it, and it is not needed any more"
            if refused is not None:
                why = refused.message
            return self._write(
                Judged, intended, intended.attempt, outcome="not run", state="NOT_RUN", why=why
            )
        job_id = read_claims(folder)[-1].job_id
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
        claims = executions(folder)
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
            f"whether {self.scheduler.name} took its job was never known, and in {waited_s:.0f} s "
            "it showed none; it was "
            "not submitted again, since nothing proves here that a second job would end at once: "
            "`watchkeeper doctor` does"
        )
        return self._write(
            Judged, intended, intended.attempt, outcome="unknown", state=UNKNOWN, why=why
        )

    def _hold(self, folder: Path, key: str, attempt: int) -> tuple[str, bool]:
        """Hold the attempt. Returns its token, and whether it was free until now."""
        hold = Hold(
            key=key,
            attempt=attempt,
            token=ids.token(),
            writer=self.writer.id,
            process=processes.this_process(),
            time=self.clock(),
        )
        return hold_attempt(folder, hold, lag_s=self.scheduler.visibility_lag_s)

    def _end_predecessor(self, key: str, attempt: int, before: Attempt | None) -> None:
        """Make sure that no job of the attempt before runs or can start: only then may the next
        one begin.

        Raises:
            _RefusalError: it may still run.
            HeldByAnotherError: its node was lost a moment ago, and its heartbeat is fresh.
        """
        reason = predecessor.end(
            attempt_folder(self.experiment, key, attempt),
            attempt,
            before,
            scheduler=self.scheduler.name,
            lag_s=self.scheduler.visibility_lag_s,
            clock=self.clock,
        )
        if reason:
            raise _RefusalError(reason)

    def _adopt(
        self, item: RunItem | Intended, attempt: int, token: str, script: Path, note: str
    ) -> Submitted | None:
        """The job that a dead submitter, or a doubted submission, left behind; None if there is
        none. The claim names it, whatever the scheduler shows.
        """
        claims = executions(attempt_folder(self.experiment, item.key, attempt))
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
            "command": self._words(script, item),
            "note": note,
        }
        return self._write(
            Submitted, item, attempt, adopted=True, cluster=self._where["cluster"], **fields
        )

    def _prepare(
        self,
        folder: Path,
        workdir: Path,
        content: _Content,
        *,
        args: Sequence[str],
        token: str,
        after: Sequence[Attempt],
        promises: Sequence[Promise],
        weights: Sequence[Promise],
    ) -> Job:
        """Write the frozen script and the wrapper, and describe the job that runs them."""
        frozen = folder / "script"
        files.replace(frozen, content.text, mode=0o777)
        arguments = None
        if args:
            arguments = folder / "arguments"
            words = [os.fsencode(word) + b"\0" for word in args]
            files.replace(arguments, b"".join(words), mode=0o600)
        needs = [attempt_folder(self.experiment, needed.key, needed.number) for needed in after]
        text = render.render(
            content.head,
            attempt_folder=folder,
            script=frozen,
            token=token,
            scheduler=self.scheduler.name,
            needs=needs,
            promises=[self._places_of(promise) for promise in promises],
            checkpoints=[self._places_of(promise) for promise in weights],
            lag_s=self.scheduler.visibility_lag_s,
            starts=self.experiment / layout.STARTS,
            gap_s=self._gap_s,
            variables=content.variables,
            arguments=arguments,
        )
        path = folder / wrapper_name(token)
        files.replace(path, text, mode=0o777)
        return Job(
            wrapper=path,
            folder=workdir,
            name=content.head.name,
            token=token,
            after=tuple(needed.job_id for needed in after),
        )

    def _places_of(self, promise: Promise) -> list[str]:
        """A promise's patterns, absolute."""
        folder = glob.escape(str(self.experiment))
        return [
            pattern if pattern.startswith("/") else f"{folder}/{pattern}"
            for pattern in promise.patterns
        ]

    @property
    def _objects(self) -> Path:
        return self.experiment / layout.OBJECTS

    def _files_of(
        self, script: Path, source: bytes, workdir: Path, args: Sequence[str]
    ) -> dict[str, Any]:
        """Keep the configurations and the code that the script names. Returns fields of `intended`:
        them, and what no commit holds of them.
        """
        config: dict[Path, bytes] = {}
        for path in configs.files_of(script, workdir):
            data = files.read_if_any(path)
            if data is not None:
                config[path] = data
        code: dict[Path, bytes] = {}
        for path, data in code_files.contents(script, workdir):
            if path != script and path not in config:
                code[path] = data
        uncommitted = code_files.uncommitted(script.parent, [script, *config, *code])
        config_data = {self._name(path): data for path, data in config.items()}
        return {
            "configs": self._keep_all(config),
            "code": self._keep_all(code),
            "uncommitted": tuple(map(self._name, uncommitted)),
            "work_sha256": same_work.fingerprint(source, config_data, args),
        }

    def _keep_all(self, contents: Mapping[Path, bytes]) -> dict[str, str]:
        """Keep the files' contents: name → sha256."""
        return {
            self._name(path): objects.keep(self._objects, data) for path, data in contents.items()
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
        """The commit that the script comes with, and what was changed since: fields of `intended`,
        read again every `_CODE_STANDS_S` seconds, once for all folders of a repository.
        """
        top = git.holder_of(folder.resolve())
        read_at, fields = self._code.get(top, (0.0, {}))
        if not fields or self._monotonic() - read_at >= _CODE_STANDS_S:
            fields = self._read_code(folder)
            self._code[top] = self._monotonic(), fields
        return fields

    def _read_code(self, folder: Path) -> dict[str, Any]:
        state = git.state(folder)
        changes = git.diff(folder) if state.dirty else None
        is_dirty = state.dirty
        if changes == b"":
            is_dirty = False  # a file may have been touched, and be the same
        return {
            "git_sha": state.sha,
            "git_branch": state.branch,
            "git_fault": "" if state.sha else git.refusal(folder),
            "git_dirty": is_dirty,
            "diff_sha256": objects.keep(self._objects, changes) if changes else "",
        }

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
        words = self._words(script, item)
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
        """How long a row of refusals has lasted that this one would continue."""
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

    def _words(self, script: Path, item: RunItem | Intended) -> str:
        """How a person would submit it in its folder: `sbatch slurm/train.sh --lr 1e-3`."""
        name = script.name
        if item.workdir:
            name = os.path.relpath(script, self.experiment / item.workdir)
        words = self.scheduler.submit_words(name)
        if item.args:
            words += f" {shlex.join(item.args)}"
        return words

    def _write(self, kind: type[E], item: RunItem | Intended, attempt: int, **fields: Any) -> E:
        return self.writer.write(kind, key=item.key, phase=item.phase, attempt=attempt, **fields)
