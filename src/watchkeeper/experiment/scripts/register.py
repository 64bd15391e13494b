"""Entering scripts as runs of the experiment that their folder is."""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import ExperimentError, UsageError
from watchkeeper.core.ids import name_fault
from watchkeeper.core.journal import encode_json
from watchkeeper.experiment.scripts.call import ScriptCall
from watchkeeper.experiment.scripts.records import (
    ScriptRun,
    arguments_of,
    batch_of,
    read_all,
    record_of,
)

_MOST_REQUEST = 100
_OTHER_NAME = "give it another name: --name NAME"


class Register:
    """The runs of scripts of the experiment in `folder`.

    Raises:
        ExperimentError: a record cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        runs, problems = read_all(folder)
        if problems:
            raise ExperimentError(
                str(problems[0]), problems=tuple(problems[1:]), hint=problems[0].hint
            )
        self._runs = {run.key: run for run in runs}

    def enter(self, call: ScriptCall, *, again: bool = False, request: str = "") -> ScriptRun:
        """The run of a script: the newest one of the same work, else a new one.

        `again` asks for a new one in any case. Under a `request` that was answered before, the
        answer is the run of that time.

        Raises:
            UsageError: its name cannot be used, or is that of other work; or the request was for
                something else.
            StorageError: the record could not be written.
        """
        _check_request(request)
        answered = self._answered(call, request)
        if answered is not None:
            return answered
        same = self._same_work(call)
        if not same:
            return self._create(call, call.key, 1, request)
        newest = same[-1]
        if again:
            number = newest.number + 1
            return self._create(call, self._next_key(call, same[0], number), number, request)
        _check_same("--after", call.needs, newest.needs, newest.key)
        _check_same("--output", call.outputs, newest.outputs, newest.key)
        self._write_arguments(call, newest)
        return newest

    def _same_work(self, call: ScriptCall) -> list[ScriptRun]:
        """The runs that were submitted with the same script, arguments and folder, the first one
        first.
        """
        same = [run for run in self._runs.values() if run.identity == call.identity]
        return sorted(same, key=lambda run: run.number)

    def _next_key(self, call: ScriptCall, first: ScriptRun, number: int) -> str:
        """A key for the same work once more: its name, if that is free, else with a number,
        `train-2`.
        """
        if call.name and call.name not in self._runs:
            return call.name
        return f"{call.name or first.key}-{number}"

    def _answered(self, call: ScriptCall, request: str) -> ScriptRun | None:
        """The run that was made of this script under the same request; None: there is none.

        Raises:
            UsageError: the request was for other arguments or another folder.
        """
        if not request:
            return None
        script = _relative(self.folder, call.path)
        for run in self._runs.values():
            if run.request != request or run.script != script:
                continue
            if run.identity == call.identity:
                return run
            raise UsageError(
                f"the request {request!r} was for {run.words}",
                hint="give each submission a request id of its own",
            )
        return None

    def _create(self, call: ScriptCall, key: str, number: int, request: str) -> ScriptRun:
        """Record a script as a run with this key. Where another process has just recorded the key,
        that record counts.

        Raises:
            UsageError: the key cannot name a run, or the run would wait for itself; or the other
                record is of other work.
        """
        if fault := name_fault(key):
            raise UsageError(
                f"{call.path.name} cannot be the run {key!r}: {fault}",
                hint="give it a name: --name NAME",
            )
        if key in call.needs:
            raise UsageError(f"{key} cannot run after itself", hint="name another run")
        run = ScriptRun(
            key=key,
            script=_relative(self.folder, call.path),
            workdir=_relative(self.folder, call.workdir),
            identity=call.identity,
            args=call.redacted_args,
            has_secrets=call.redacted_args != call.args,
            is_python=bool(call.batch),
            needs=call.needs,
            outputs=call.outputs,
            request=request,
            number=number,
        )
        self._write_beside(call, run)
        path = record_of(self.folder, key)
        if not files.create(path, encode_json(run)):
            run = _existing(path, run)
        self._runs[run.key] = run
        return run

    def _write_beside(self, call: ScriptCall, run: ScriptRun) -> None:
        """Write what the record refers to: a record that is there is complete."""
        files.make_folder(self.folder / layout.SCRIPTS)
        files.keep_out_of_git(self.folder / layout.OURS)
        self._write_arguments(call, run)
        if call.batch:
            files.replace(self.folder / batch_of(run), call.batch.encode(), mode=0o777)

    def _write_arguments(self, call: ScriptCall, run: ScriptRun) -> None:
        """Keep arguments with secrets as they were last typed: a token may be another by now."""
        if run.has_secrets:
            words = [os.fsencode(word) + b"\0" for word in call.args]
            files.replace(arguments_of(self.folder, run), b"".join(words), mode=0o600)


def _check_same(option: str, given: tuple[str, ...], recorded: tuple[str, ...], key: str) -> None:
    """Refuse an option that says something else of a run than it was submitted with.

    Raises:
        UsageError: it does.
    """
    if given and given != recorded:
        earlier = ", ".join(recorded) or "nothing"
        raise UsageError(
            f"{key} was submitted with {option} {earlier}, and now it is {', '.join(given)}",
            hint="--again submits it as a new run",
        )


def _check_request(request: str) -> None:
    """Refuse an id of a request that could not be kept.

    Raises:
        UsageError: it is too long, or holds what cannot be printed.
    """
    if len(request) > _MOST_REQUEST or not request.isprintable():
        raise UsageError(
            f"--request must be one line of at most {_MOST_REQUEST} characters",
            hint="a UUID is a good id",
        )


def _existing(path: Path, run: ScriptRun) -> ScriptRun:
    """The run that has the name already, where it is of the same work.

    Raises:
        UsageError: it is of other work.
    """
    try:
        other = read_record(path, ScriptRun)
    except (OSError, UnreadableRecordError) as error:
        raise UsageError(
            f"the name {run.key!r} is taken, and its record cannot be read: {error}",
            hint=_OTHER_NAME,
        ) from error
    if other.identity == run.identity and other.request == run.request:
        return other
    raise UsageError(
        f"the name {run.key!r} is that of {other.words}; this is {run.words}", hint=_OTHER_NAME
    )


def _relative(folder: Path, path: Path) -> str:
    """The path from the folder; the whole one where it lies elsewhere."""
    if path.is_relative_to(folder):
        return str(path.relative_to(folder))
    return str(path)
