"""The records of scripts that were submitted as they lie: `.watchkeeper/scripts/<key>.json`.

<key>.json             a ScriptRun; created exclusively
<key>.<identity>.args  its arguments as typed, each ended by NUL, where the record redacts them;
only its owner can read it
<key>.<identity>.sh    the batch script that runs a Python file
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.core.errors import Problem
from watchkeeper.core.ids import key_folder
from watchkeeper.experiment.draft import DraftRun

_RECORD = ".json"


class ScriptRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run of a script. `script` is the file that was named and `workdir` the folder that it runs
    in, both relative to the experiment where they lie in it, else absolute. `args` are its
    arguments; `has_secrets` says that some were left out. `is_python`: a batch script beside the
    record runs it. `needs` are the runs that must be done before it starts, `outputs` patterns of
    what it must leave, relative to the folder that it runs in or absolute. `request` is the id
    under which it was asked for, "": none. `number` counts the runs of the same work from 1.
    """

    key: str
    script: str
    workdir: str
    identity: str
    args: tuple[str, ...] = ()
    has_secrets: bool = False
    is_python: bool = False
    needs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    request: str = ""
    number: int = 1

    @property
    def words(self) -> str:
        """What it runs, and where: `train.sh --lr 1e-3, run in /data`."""
        return f"{' '.join([self.script, *self.args])}, run in {self.workdir}"


def record_of(folder: Path, key: str) -> Path:
    """The file that records the run `key` of the experiment in `folder`."""
    return folder / layout.SCRIPTS / f"{key_folder(key)}{_RECORD}"


def arguments_of(folder: Path, run: ScriptRun) -> Path:
    """The file with the run's arguments as they were typed."""
    return folder / layout.SCRIPTS / f"{key_folder(run.key)}.{run.identity}.args"


def batch_of(run: ScriptRun) -> Path:
    """The batch script that runs a Python file, relative to the experiment."""
    return layout.SCRIPTS / f"{key_folder(run.key)}.{run.identity}.sh"


def read_all(folder: Path) -> tuple[list[ScriptRun], list[Problem]]:
    """The runs of scripts of the experiment in `folder`, oldest first; and a problem for each
    record that cannot be read.
    """
    place = folder / layout.SCRIPTS
    try:
        names = sorted(os.listdir(place))
    except FileNotFoundError:
        return [], []
    except OSError as error:
        message = f"the submitted scripts cannot be read: {error.strerror or error}"
        hint = "check the folder's owner and mode"
        return [], [Problem(where=str(place), message=message, hint=hint, code="bad-script")]
    dated: list[tuple[int, ScriptRun]] = []
    problems: list[Problem] = []
    for name in names:
        if not name.endswith(_RECORD):
            continue
        path = place / name
        try:
            dated.append((path.stat().st_mtime_ns, read_record(path, ScriptRun)))
        except (OSError, UnreadableRecordError) as error:
            problems.append(_unreadable(path, error))
    dated.sort(key=lambda pair: (pair[0], pair[1].key))
    return [run for _, run in dated], problems


def _unreadable(path: Path, error: Exception) -> Problem:
    """A record that cannot be read, as a problem: its run is left out, and the others are read."""
    message = f"this record of a submitted script cannot be read: {error}"
    hint = "submit the script again under another name: --name NAME"
    return Problem(where=str(path), message=message, hint=hint, code="bad-script")


def draft_run(folder: Path, run: ScriptRun) -> DraftRun:
    """The run as a plan has it."""
    script = run.script
    if run.is_python:
        script = str(batch_of(run))
    return DraftRun(
        name=run.key,
        type="job",
        where=str(folder / run.script),
        script=script,
        args=_arguments(folder, run),
        workdir=run.workdir,
        needs=run.needs,
        outputs=run.outputs,
    )


def _arguments(folder: Path, run: ScriptRun) -> tuple[str, ...] | None:
    """The arguments as they were typed; None where this user may not read them."""
    if not run.has_secrets:
        return run.args
    try:
        data = files.read_whole(arguments_of(folder, run))
    except OSError:
        return None
    return tuple(os.fsdecode(word) for word in data.split(b"\0")[:-1])
