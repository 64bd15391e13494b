"""What `compare` is given: experiments and run logs on the disk, as the sides of a comparison.
Nothing is written.

An experiment is read from its journal and its kept configurations alone: what a run was submitted
with, not what lies there today.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.code import git
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import (
    AnyEvent,
    Intended,
    Number,
    RunEnded,
    RunItem,
    RunStarted,
    Unknown,
)
from watchkeeper.core.state import Attempt, State, fold
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.reading import settings as flatten
from watchkeeper.report.compare import sides as compare
from watchkeeper.report.compare.sides import Against, Side
from watchkeeper.report.compose.history import WELL
from watchkeeper.report.lint.rules import RULES
from watchkeeper.report.runlog.figures import split_settings
from watchkeeper.report.runlog.read import read as read_log
from watchkeeper.runfolder import places
from watchkeeper.watch.logs import run_log_folder
from watchkeeper.watch.outcome import learned
from watchkeeper.watch.outcome.losses import Tried

MOST_RANGES = 40
"""Of commits, that git is asked to count."""
_JOB_NAME = re.compile(rb"^#SBATCH\s+(?:--job-name|-J)\b.*$", re.MULTILINE)
_MOST_SNAPSHOT_BYTES = 8 * 1024 * 1024


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The runs, what varies among them, and each one's differences from the base. `best`: metric →
    the run that leads.
    """

    base: str
    runs: list[Side]
    varying: list[str]
    best: dict[str, str]
    differences: list[Against]
    problems: list[Problem]


class _Found(msgspec.Struct):
    sides: list[Side] = []
    problems: list[Problem] = []
    repository: Path | None = None  # where commits are counted


def compared(
    paths: Sequence[Path], *, runs: str | None = None, base: str | None = None
) -> Compared:
    """Put the runs at these paths side by side.

    A path is an experiment's folder, a recorded run's, a run log, or a folder of run logs. `runs`
    is a glob over names, `base` a name.

    Raises:
        UsageError: a path is neither, nothing is left to compare, or there is no such base.
    """
    reader, found = flatten.Reader(), _Found()
    for path in paths:
        sides = _of(path, reader, found)
        prefixed = len(paths) > 1 and is_experiment(path)
        matching = compare.chosen(sides, runs)
        found.sides += [
            msgspec.structs.replace(side, name=f"{path.resolve().name}/{side.name}")
            if prefixed
            else side
            for side in matching
        ]
        found.repository = found.repository or (path if path.is_dir() else path.parent)
    sides = compare.in_one_spelling(_distinct(found.sides))
    if not sides:
        raise UsageError(
            f"no run matches {runs!r}" if runs else "there is no run to compare",
            hint="quote the glob: --runs 'h16*'",
        )
    first = _named(sides, base)
    return Compared(
        base=first.name,
        runs=sides,
        varying=compare.varying(sides),
        best={
            metric: run
            for metric in compare.metrics_of(sides)
            if (run := compare.leader(metric, sides))
        },
        differences=list(_differences(first, sides, found.repository)),
        problems=found.problems,
    )


def _of(path: Path, reader: flatten.Reader, found: _Found) -> list[Side]:
    if is_experiment(path):
        return of_experiment(path, reader, found.problems)
    events = [event for own in journal.read(path / layout.JOURNAL).events.values() for event in own]
    if (recorded := _recorded(path, events)) is not None:
        return [recorded]
    return _of_logs(path, found)


def _of_logs(path: Path, found: _Found) -> list[Side]:
    try:
        roots = run_log_folder.roots(path)
    except UsageError as error:
        hint = f"an experiment has a summary or a journal; {error.hint}"
        raise UsageError(
            f"{path} is no experiment, no recorded run, and has no run logs", hint=hint
        ) from error
    sides = []
    for root in roots:
        loaded = run_log_folder.load(root)
        if path.absolute().is_relative_to(root.absolute()):
            inside = path.absolute()
        else:
            inside = root.absolute()
        for file in loaded.files:
            if not Path(file.path).absolute().is_relative_to(inside):
                continue
            for fault in file.faults:
                hint = RULES[fault.code].hint
                found.problems.append(
                    Problem(where=file.path, message=fault.message, hint=hint, severity="warning")
                )
            log = read_log(file)
            if log is not None:
                sides.append(compare.of_log(log))
    return sides


def of_experiment(folder: Path, reader: flatten.Reader, problems: list[Problem]) -> list[Side]:
    """The runs of an experiment, in its order. What cannot be read of its journal is added to
    `problems`.

    Raises:
        ExperimentError: its folder cannot be read as one.
    """
    experiment = experiments.read(folder)
    read = journal.read(experiment.folder / layout.JOURNAL)
    problems += read.problems
    state = fold(read.events)
    work: dict[str, list[RunItem]] = {}
    for item in experiment.items:
        work.setdefault(item.run, []).append(item)
    return [_side(experiment, state, run, items, reader) for run, items in work.items()]


def _side(
    experiment: Experiment, state: State, run: str, items: list[RunItem], reader: flatten.Reader
) -> Side:
    training = next((item for item in items if item.phase == "preparation"), None)
    if training:
        latest = state.run(training.key).latest
    else:
        latest = None
    attempts = [latest, *(state.run(item.key).latest for item in items)]
    intended = next(
        (one.intended for one in attempts if one is not None and one.intended is not None), None
    )
    metrics, at = compare.best(_figures(state, items))
    if latest and latest.judged:
        left = latest.judged.learned
    else:
        left = None
    if left:
        losses = {"end_train_loss": left.last_train_loss, "end_val_loss": left.last_val_loss}
    else:
        losses = {}
    if latest is not None:
        trained = latest.intended
    else:
        trained = None
    settings, unread = settings_of(experiment, run, trained, left.config if left else "", reader)
    return Side(
        name=run,
        where=str(experiment.folder),
        state=_state(training, latest, items, state),
        settings=settings,
        unread=unread,
        partial=trained is None or not (trained.configs or (left and left.config)),
        commit=intended.git_sha if intended else "",
        dirty=_dirty(intended) if intended else None,
        diff=intended.diff_sha256 if intended else "",
        script=_script(experiment.folder, trained.script_sha256) if trained else "",
        files=_files(trained) if trained else {},
        data=experiment.dataset,
        metrics={name: loss for name, loss in losses.items() if loss is not None} | metrics,
        at={name: epoch for name, epoch in at.items() if epoch},
    )


def _dirty(event: Intended | RunStarted) -> bool | None:
    """Whether something ran that its commit does not hold."""
    if event.uncommitted:
        return True
    return event.git_dirty


def _files(intended: Intended) -> dict[str, str]:
    """The code that a script names, by names from the script's own folder."""
    own = os.path.dirname(intended.script)  # noqa: PTH120 - "" stays ""
    return {os.path.relpath(name, own or "."): sha256 for name, sha256 in intended.code.items()}


def _figures(state: State, items: list[RunItem]) -> Iterator[tuple[str, str, Number]]:
    for item in items:
        latest = state.run(item.key).latest
        if item.phase == "evaluation" and latest:
            judged = latest.judged
        else:
            judged = None
        if judged is not None and judged.outcome in WELL:
            if item.epoch is None:
                epoch = ""
            else:
                epoch = str(item.epoch)
            yield from (
                (f"{item.task} {name}", epoch, figure)
                for name, figure in judged.metrics.items()
                if name != "samples"
            )


def _state(
    training: RunItem | None, latest: Attempt | None, items: list[RunItem], state: State
) -> str:
    if latest is None:
        trains = training is not None and not training.control
        if trains or not any(state.run(item.key).latest for item in items):
            return "not run"
        return "control"
    if latest.judged is None:
        return latest.state or "not submitted"
    words = {"done": "completed", "failed but good": "failed, but good", "invalid": "invalid"}
    return words.get(latest.judged.outcome, latest.judged.outcome)


def settings_of(
    experiment: Experiment,
    run: str,
    intended: Intended | None,
    snapshot: str,
    reader: flatten.Reader,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """A run's settings, and the names of kept configurations that could not be read: from those it
    was submitted with, else from what it recorded itself, else from the summary's words.
    """
    files, unread = [], []
    for name, sha256 in (intended.configs if intended else {}).items():
        base = name.rpartition("/")[2]
        data = kept(experiment.folder, sha256)
        if data is not None:
            settings = reader.settings(base, sha256, data)
        else:
            settings = None
        if settings is None:
            unread.append(base)
            files.append((base, {base: f"sha256 {sha256[:12]}"}))
        else:
            files.append((base, settings))
    if files:
        return flatten.merged(files), tuple(unread)
    if snapshot and (recorded := _snapshot(experiment.folder / snapshot, reader)):
        return recorded, ()
    return dict(split_settings(experiment.settings.get(run, ""))), ()


def _script(experiment: Path, sha256: str) -> str:
    data = kept(experiment, sha256)
    if data is not None:
        return hashlib.sha256(_JOB_NAME.sub(b"", data)).hexdigest()
    return ""


def _recorded(path: Path, events: Sequence[AnyEvent | Unknown]) -> Side | None:
    """The side of a recorder's run folder; None where it is none. Of several executions the last of
    the first one's pipeline counts: an evaluation that was run there later is none of its training.
    """
    starts = [one for one in events if isinstance(one, RunStarted)]
    if not starts:
        return None
    first = min(starts, key=lambda one: one.time)
    started = max(
        (one for one in starts if one.pipeline == first.pipeline), key=lambda one: one.time
    )
    ended = [
        one.status for one in events if isinstance(one, RunEnded) and one.writer == started.writer
    ]
    told = learned.of(path, [Tried(recorder=path)], [])
    losses = {"end_train_loss": told.last_train_loss, "end_val_loss": told.last_val_loss}
    return Side(
        name=path.resolve().name,
        where=str(path),
        state=ended[-1] if ended else "not ended",
        settings=flatten.of_value(started.config),
        commit=started.git_sha,
        dirty=_dirty(started),
        files=started.code,
        metrics={name: loss for name, loss in losses.items() if loss is not None},
    )


def kept(experiment: Path, sha256: str) -> bytes | None:
    """A kept object's bytes; None where they are not those it was named after, or cannot be read."""
    try:
        data = read_whole(experiment / layout.OBJECTS / sha256)
    except (OSError, ValueError):
        return None
    if hashlib.sha256(data).hexdigest() == sha256:
        return data
    return None


def _snapshot(path: Path, reader: flatten.Reader) -> dict[str, str]:
    try:
        data = read_whole(path, _MOST_SNAPSHOT_BYTES)
        if path in set(places.names(path.with_name(places.RUN_MANIFEST))):
            found = msgspec.json.decode(data)
            if isinstance(found, dict):
                return flatten.of_value(found.get("config") or {})
            return {}
    except (OSError, msgspec.DecodeError, RecursionError):
        return {}
    return reader.settings(path.name, hashlib.sha256(data).hexdigest(), data) or {}


def _distinct(sides: Sequence[Side]) -> list[Side]:
    """The sides under unique names: a repeated name gets its place added, then a number."""
    found: dict[str, Side] = {}
    for side in sides:
        if side.name not in found:
            name = side.name
        else:
            name = f"{side.name} ({side.where})"
        number = 2
        while name in found:
            name, number = f"{side.name} ({side.where}, {number})", number + 1
        found[name] = msgspec.structs.replace(side, name=name)
    return list(found.values())


def _named(sides: Sequence[Side], base: str | None) -> Side:
    if base is None:
        return sides[0]
    exact = [side for side in sides if side.name == base]
    near = exact or [side for side in sides if side.name.rpartition("/")[2] == base]
    if len(near) != 1:
        names = ", ".join(side.name for side in sides[:8]) + (", …" if len(sides) > 8 else "")
        if near:
            what = f"{len(near)} of the runs are"
        else:
            what = "none of the runs is"
        raise UsageError(f"--base {base!r}: {what} called that: {names}")
    return near[0]


def _differences(base: Side, sides: Sequence[Side], repository: Path | None) -> Iterator[Against]:
    counted: dict[str, int | None] = {base.commit: 0}
    for side in sides:
        if side.name == base.name:
            continue
        if (
            side.commit not in counted
            and base.commit
            and repository is not None
            and len(counted) <= MOST_RANGES
        ):
            counted[side.commit] = _between(repository, base.commit, side.commit)
        yield compare.against(base, side, counted.get(side.commit))


def _between(folder: Path, old: str, new: str) -> int | None:
    on = git.commits_between(folder, old, new)
    if on == 0 and (back := git.commits_between(folder, new, old)):
        return -back
    return on
