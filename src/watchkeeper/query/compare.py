"""What `compare` is given: experiments and run logs on the disk, as the sides of a comparison.
Nothing is written.

An experiment is read from its journal and its kept configurations alone: what a run was submitted
with, not what lies there today.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.code import git
from watchkeeper.core.disk.objects import read_kept
from watchkeeper.core.errors import Problem, UsageError, WatchkeeperError
from watchkeeper.core.events import (
    AnyEvent,
    Intended,
    Learned,
    Number,
    Opened,
    RunEnded,
    RunStarted,
    Unknown,
)
from watchkeeper.core.events.choose import all_of
from watchkeeper.core.state import Attempt, fold
from watchkeeper.core.text import lazy
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.query.catalogue.enclosing import run_named
from watchkeeper.query.catalogue.experiment_runs import ExperimentRun, runs_of, settings_of
from watchkeeper.query.catalogue.places import place_at
from watchkeeper.query.ranking import Rankings
from watchkeeper.query.recording import load, training_start
from watchkeeper.query.series.kept_figures import FiguresMemory, Identity
from watchkeeper.query.wandb.figures import WandbFigures
from watchkeeper.reading import settings as flatten
from watchkeeper.reading.yaml import listed
from watchkeeper.report.compare import sides as compare
from watchkeeper.report.compare.direction import NO_RULES
from watchkeeper.report.compare.sides import Against, Side
from watchkeeper.report.lint.rules import RULES
from watchkeeper.report.runlog.read import read as read_log
from watchkeeper.runfolder.link import read_link
from watchkeeper.runfolder.losses import TRAIN_LOSS, VAL_LOSS
from watchkeeper.runfolder.search import run_folders
from watchkeeper.runfolder.values import number
from watchkeeper.watch.logs import run_log_folder
from watchkeeper.watch.outcome import learned
from watchkeeper.watch.outcome.losses import Tried

MOST_RANGES = 40
"""Of commits, that git is asked to count."""
MOST_NAMED = 8
_JOB_NAME = lazy.pattern(rb"^#SBATCH\s+(?:--job-name|-J)\b.*$", re.MULTILINE)


class Chosen(NamedTuple):
    """A run that was chosen: an experiment's folder and the run's key, or the folder of a recorded
    run and "". `id` names it in addresses.
    """

    folder: Path
    key: str = ""
    id: str = ""


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


class _Finds:
    def __init__(self, evals: str | None = None) -> None:
        self.evals = evals
        self.evaluations: list[str] = []  # the keys of all that the experiments have
        self.sides: list[Side] = []
        self.problems: list[Problem] = []
        self.repository: Path | None = None  # where commits are counted
        self.rankings = Rankings()
        self.wandb = WandbFigures()
        self._runs: set[tuple[str, str, str]] = set()
        self._experiments: dict[Path, tuple[list[ExperimentRun], list[Problem]]] = {}

    def add(self, sides: Sequence[Side]) -> None:
        """Add the sides of runs that are not among them yet."""
        for side in sides:
            run = (side.origin, os.path.abspath(side.where), side.key)  # noqa: PTH100 - cheap for thousands
            if run not in self._runs:
                self._runs.add(run)
                self.sides.append(side)

    def runs_in(self, folder: Path) -> tuple[list[ExperimentRun], list[Problem]]:
        """The runs of an experiment, and what cannot be read of its journal. It is read once: of
        one experiment several runs may be named.

        Raises:
            ExperimentError: its folder cannot be read as one.
        """
        if folder not in self._experiments:
            self._experiments[folder] = _runs_in(folder)
        return self._experiments[folder]

    def rules_in(self, folder: Path) -> Mapping[str, str]:
        """Which figures are the better ones of the runs in a folder."""
        return self.rankings.of(folder).rules[0]

    def check_evals(self) -> None:
        """Refuse a glob that matches no evaluation: it is a mistake.

        Raises:
            UsageError: it does; the message lists the keys.
        """
        if self.evals is None:
            return
        if any(fnmatchcase(key, self.evals) for key in self.evaluations):
            return
        if not self.evaluations:
            message = "--evals chooses among the evaluations of experiments, and there is none"
            raise UsageError(message, hint="leave --evals out")
        raise UsageError(
            f"--evals {self.evals!r} matches none of: {listed(self.evaluations)}",
            hint="quote the glob, so that no shell expands it",
        )


def compared(
    paths: Sequence[Path],
    *,
    runs: str | None = None,
    evals: str | None = None,
    base: str | None = None,
) -> Compared:
    """Put the runs at these paths side by side.

    A path is an experiment's folder or that of a run in it, a recorded run's, a run log, a folder
    of run logs, or a folder with recorded runs, or else runs of W&B, below it. A run that several
    paths name is one side. `runs` is a glob over names, `base` a name; `evals` is one over the keys
    of evaluations: the figures of the others are left out.

        compared([Path("night")], runs="h16*", base="h16_lr1e-3")

    Of several experiments, a run's name begins with its experiment's: `night/h16_lr1e-3`. Without
    `base`, the first run is the base.

    Raises:
        UsageError: a path is neither, nothing is left to compare, there is no such base, or `evals`
            matches no evaluation of an experiment.
    """
    reader, finds = flatten.Reader(), _Finds(evals)
    for path in paths:
        sides = compare.chosen(_of(path, reader, finds), runs)
        if len(paths) > 1 and is_experiment(path):
            sides = _prefixed(sides, path.resolve().name)
        finds.add(sides)
        if finds.repository is None:
            finds.repository = path
            if not path.is_dir():
                finds.repository = path.parent
    finds.check_evals()
    sides = compare.in_one_spelling(_distinct(finds.sides))
    if not sides:
        message = "there is no run to compare"
        if runs:
            message = f"no run matches {runs!r}"
        raise UsageError(message, hint="quote the glob: --runs 'h16*'")
    first = _named(sides, base)
    return Compared(
        base=first.name,
        runs=sides,
        varying=compare.varying(sides),
        best=_leaders(sides),
        differences=list(_differences(first, sides, finds.repository)),
        problems=[*finds.problems, *finds.rankings.problems],
    )


def chosen_sides(
    chosen: Sequence[Chosen], metrics: Mapping[Path, Mapping[str, Number]], problems: list[Problem]
) -> list[Side]:
    """The sides of these runs, in their order. `metrics` are the last figures of recorded runs, by
    folder. What is no run, or cannot be read, is added to `problems`.

    A run whose figures are not among `metrics` is read row by row. Where the runs are of several
    experiments, each is named after its own as well.
    """
    reader = _ChosenReader(metrics, problems)
    sides: list[Side] = []
    for one in chosen:
        try:
            side = reader.side_of(one)
        except WatchkeeperError as error:
            problems.append(
                Problem(
                    where=str(one.folder), message=str(error), hint=error.hint, code="unreadable"
                )
            )
            continue
        sides.append(msgspec.structs.replace(side, id=one.id))
    problems += reader.rankings.problems
    experiments_of_sides = {side.where for side in sides if side.key}
    if len(experiments_of_sides) > 1:
        sides = [_with_place(side) for side in sides]
    return compare.in_one_spelling(_distinct(sides))


class _ChosenReader:
    """Reads the sides of chosen runs, each experiment once."""

    def __init__(
        self, metrics: Mapping[Path, Mapping[str, Number]], problems: list[Problem]
    ) -> None:
        self.rankings = Rankings()
        self._metrics = metrics
        self._problems = problems
        self._settings = flatten.Reader()
        self._experiments: dict[Path, Mapping[str, Side]] = {}
        self._submissions: dict[Path, Sequence[Intended]] = {}

    def side_of(self, chosen: Chosen) -> Side:
        """The side of one run.

        Raises:
            UsageError: there is no such run.
            WatchkeeperError: it cannot be read.
        """
        if chosen.key:
            side = self._in_experiment(chosen.folder).get(chosen.key)
        else:
            side = self._recorded(chosen.folder)
        if side is not None:
            return side
        if chosen.key:
            raise UsageError(f"{chosen.key} is no run of this experiment")
        raise UsageError("no run was recorded here")

    def _rules(self, folder: Path) -> Mapping[str, str]:
        """Which figures are the better ones of the runs in a folder: metric → end."""
        return self.rankings.of(folder).rules[0]

    def _in_experiment(self, folder: Path) -> Mapping[str, Side]:
        """Key → the side of the run."""
        if folder not in self._experiments:
            sides = of_experiment(folder, self._settings, self._problems, self._rules(folder))
            self._experiments[folder] = {side.key: side for side in sides}
        return self._experiments[folder]

    def _recorded(self, folder: Path) -> Side | None:
        """The side of a recorded run; None where no run was recorded in the folder."""
        events = all_of(journal.read(folder / layout.JOURNAL).events)
        side = _recorded(folder, events, self._rules(folder), self._metrics.get(folder))
        if side is None:
            return None
        return _as_submitted(side, events, self._submissions)


def _as_submitted(
    side: Side, events: Sequence[AnyEvent | Unknown], known: dict[Path, Sequence[Intended]]
) -> Side:
    """The side of a recorded run, with what its job was submitted with, where it was a job's.
    `known`: experiment → its submissions, as far as they were read.

    The start of a run that a job recorded names the folder of its attempt:
    `/data/night/.watchkeeper/runs/r8/2`. The journal of that experiment has the submission.
    """
    started = training_start(events)
    if started is None or not started.attempt:
        return side
    attempt = Path(started.attempt)
    ours = next((above for above in attempt.parents if above.name == layout.OURS), None)
    if ours is None:
        return side
    folder = ours.parent
    if folder not in known:
        known[folder] = _submissions_in(folder)
    for intended in known[folder]:
        if layout.attempt_folder(folder, intended.key, intended.attempt) == attempt:
            return _with_submission(side, folder, intended)
    return side


def _submissions_in(experiment: Path) -> Sequence[Intended]:
    """The submissions in an experiment's journal; () where it cannot be read, so that of its runs
    only what they recorded themselves is known.
    """
    try:
        events = all_of(journal.read(experiment / layout.JOURNAL).events)
    except WatchkeeperError:
        return ()
    return [event for event in events if isinstance(event, Intended)]


def _with_submission(side: Side, experiment: Path, intended: Intended) -> Side:
    """The side with the script, code, changes and environment that its job was submitted with,
    which the experiment keeps.
    """
    return msgspec.structs.replace(
        side,
        diff=intended.diff_sha256,
        files=_files(intended),
        script=_script(experiment, intended.script_sha256),
        script_object=intended.script_sha256,
        environment=intended.environment_sha256,
        kept=str(experiment / layout.OBJECTS),
    )


def _with_place(side: Side) -> Side:
    """The side, named after its experiment too."""
    if not side.key:
        return side
    return _prefixed([side], Path(side.where).resolve().name)[0]


def _prefixed(sides: Sequence[Side], experiment: str) -> list[Side]:
    """The sides, each named after its experiment too."""
    return [msgspec.structs.replace(side, name=f"{experiment}/{side.name}") for side in sides]


def _leaders(sides: Sequence[Side]) -> dict[str, str]:
    """Metric → the name of the run that leads; without the metrics that none leads."""
    leaders: dict[str, str] = {}
    for metric in compare.metrics_of(sides):
        leader = compare.leader(metric, sides)
        if leader:
            leaders[metric] = leader
    return leaders


def _of(path: Path, reader: flatten.Reader, finds: _Finds) -> list[Side]:
    """The sides that one path names. What it is, is tried in this order: an experiment, a recorded
    run, a run of an experiment, and what holds run logs or recorded runs.

    Raises:
        UsageError: it is none of these.
    """
    if is_experiment(path):
        return _of_experiment(path, reader, finds)
    events = all_of(journal.read(path / layout.JOURNAL).events)
    recorded = _recorded(path, events, finds.rules_in(path))
    if recorded is not None:
        return [_with_wandb(recorded, events, finds)]
    side = _within_experiment(path, reader, finds)
    if side is not None:
        return [side]
    if not path.exists():
        raise UsageError(
            f"{path} does not exist, and no run of an experiment here is called that",
            hint="name a path, or from an experiment's folder its runs; "
            "`watchkeeper ls` shows both",
        )
    return _of_logs(path, finds)


def _with_wandb(side: Side, events: Sequence[AnyEvent | Unknown], finds: _Finds) -> Side:
    """The side of a recorded run, with what W&B alone kept of the same execution."""
    started = training_start(events)
    if started is None:
        return side
    figures = finds.wandb.beside(Path(side.where), started.writer, side.metrics)
    return msgspec.structs.replace(side, metrics={**side.metrics, **figures})


def _within_experiment(path: Path, reader: flatten.Reader, finds: _Finds) -> Side | None:
    """The run of an experiment that the path names: `EXPERIMENT/RUN`, or in its folder the RUN
    alone. None: it names none.
    """
    named = run_named(path)
    if named is None:
        return None
    folder, key = named
    runs, problems = finds.runs_in(folder)
    for run in runs:
        if run.name == key:
            finds.problems += problems
            finds.evaluations += [item.key for item in run.items if item.phase == "evaluation"]
            side = _side(run, reader, finds.rules_in(folder), finds.evals)
            return _kept_too(run, side, finds)
    return None


def _recorded_below(path: Path, finds: _Finds) -> list[Side]:
    """The recorded runs below a folder, by name. Of those that have not changed since they were
    compared last, the figures are taken from the user's cache.
    """
    folders, problems = run_folders(path)
    finds.problems += problems
    memory = FiguresMemory(path)
    sides: list[Side] = []
    for folder in folders:
        identity = _identity_of(folder)
        known = memory.recall(folder, identity)
        events = all_of(journal.read(folder / layout.JOURNAL).events)
        side = _recorded(folder, events, finds.rules_in(folder), known)
        if side is not None:
            memory.put(folder, identity, side.metrics)
            sides.append(_with_wandb(side, events, finds))
    memory.save()
    return sides


def _identity_of(run: Path) -> Identity:
    """That of the run's journal and rows; () where it is not known."""
    place = place_at(str(run))
    if place is None:
        return ()
    return place.identity


def _of_logs(path: Path, finds: _Finds) -> list[Side]:
    """The run logs at a path; where there are none, the recorded runs below it, or those that W&B
    kept there.

    Raises:
        UsageError: there is none of all this.
    """
    try:
        roots = run_log_folder.roots(path)
    except UsageError as error:
        sides = _recorded_below(path, finds) or _kept_by_wandb(path, finds)
        if sides:
            return sides
        hint = f"an experiment has a summary or a journal; {error.hint}"
        raise UsageError(
            f"{path} is no experiment, no recorded run, and has no run logs", hint=hint
        ) from error
    found: list[Side] = []
    for root in roots:
        found += _logs_below(root, path, finds)
    return found


def _kept_by_wandb(path: Path, finds: _Finds) -> list[Side]:
    """The runs of W&B in a folder that has no recorded run; none where there are none."""
    try:
        return finds.wandb.sides_in(path, finds.problems)
    except UsageError:
        return []


def _logs_below(root: Path, path: Path, finds: _Finds) -> Iterator[Side]:
    """The logs of a `run_logs` folder that are in `path`, or all of them where `path` holds it.
    What is wrong with their files is added to the problems.
    """
    inside = root.absolute()
    if path.absolute().is_relative_to(inside):
        inside = path.absolute()
    for file in run_log_folder.load(root).files:
        if not Path(file.path).absolute().is_relative_to(inside):
            continue
        finds.problems += [
            Problem(
                where=file.path,
                message=fault.message,
                hint=RULES[fault.code].hint,
                severity="warning",
                code="unreadable",
            )
            for fault in file.faults
        ]
        log = read_log(file)
        if log is not None:
            yield compare.of_log(log, finds.rules_in(root))


def _of_experiment(path: Path, reader: flatten.Reader, finds: _Finds) -> list[Side]:
    """The runs of an experiment, with the figures of the evaluations that were chosen."""
    runs, problems = _runs_in(path)
    finds.problems += problems
    for run in runs:
        finds.evaluations += [item.key for item in run.items if item.phase == "evaluation"]
    rules = finds.rules_in(path)
    return [_kept_too(run, _side(run, reader, rules, finds.evals), finds) for run in runs]


def _kept_too(run: ExperimentRun, side: Side, finds: _Finds) -> Side:
    """The side of an experiment's run, with what W&B alone kept of the same attempt."""
    learned = run.learned
    if learned is None or not learned.wandb:
        return side
    folders = [Path(side.where, name) for name in (*learned.wandb_earlier, learned.wandb)]
    figures = finds.wandb.of_folders(folders, side.metrics)
    return msgspec.structs.replace(side, metrics={**side.metrics, **figures})


def _runs_in(folder: Path) -> tuple[list[ExperimentRun], list[Problem]]:
    """The runs of an experiment, and what cannot be read of its journal.

    Raises:
        ExperimentError: its folder cannot be read as one.
    """
    experiment = experiments.read(folder)
    read = journal.read(experiment.folder / layout.JOURNAL)
    return runs_of(experiment, fold(read.events)), read.problems


def of_experiment(
    folder: Path,
    reader: flatten.Reader,
    problems: list[Problem],
    rules: Mapping[str, str] = NO_RULES,
) -> list[Side]:
    """The runs of an experiment, in its order. What cannot be read of its journal is added to
    `problems`. `rules` say which figures are the better ones.

    Raises:
        ExperimentError: its folder cannot be read as one.
    """
    runs, faults = _runs_in(folder)
    problems += faults
    return [_side(run, reader, rules) for run in runs]


def _side(
    run: ExperimentRun, reader: flatten.Reader, rules: Mapping[str, str], evals: str | None = None
) -> Side:
    """The side of an experiment's run; `evals` as in `compared`."""
    folder = run.experiment.folder
    intended, submitted = run.intended, run.submitted
    settings, unread = settings_of(run.experiment, run.name, intended, run.snapshot, reader)
    metrics, epochs = compare.best(run.figures(evals), rules)
    side = Side(
        name=run.name,
        where=str(folder),
        state=run.standing,
        settings=settings,
        unread=unread,
        partial=run.is_partial,
        data=run.experiment.dataset,
        metrics=_losses(run.learned) | metrics,
        at={name: epoch for name, epoch in epochs.items() if epoch},
        rules=rules,
        origin="experiment",
        key=run.name,
        kept=str(folder / layout.OBJECTS),
        host=_host_of(run.trained),
        recorder=_recorder_of(folder, run.trained),
    )
    if submitted is not None:
        side = msgspec.structs.replace(
            side,
            commit=submitted.git_sha,
            dirty=_dirty(submitted),
            diff=submitted.diff_sha256,
            environment=submitted.environment_sha256,
        )
    if intended is not None:
        side = msgspec.structs.replace(
            side,
            script=_script(folder, intended.script_sha256),
            script_object=intended.script_sha256,
            files=_files(intended),
        )
    return side


def _recorder_of(experiment: Path, attempt: Attempt | None) -> str:
    """Where the recorder of a training keeps its rows; "" for nowhere."""
    if attempt is None:
        return ""
    link = read_link(layout.attempt_folder(experiment, attempt.key, attempt.number))
    return str(link or "")


def _host_of(attempt: Attempt | None) -> str:
    """Where a training ran: the scheduler's node, else the machine that it was submitted on."""
    if attempt is None:
        return ""
    if attempt.facts is not None and attempt.facts.node:
        return attempt.facts.node
    return next((submitted.host for submitted in attempt.submissions.values()), "")


def _losses(learned: Learned | None) -> dict[str, Number]:
    """The last losses of a training, as metrics; those that are not known are left out."""
    if learned is None:
        return {}
    losses = {"end_train_loss": learned.last_train_loss, "end_val_loss": learned.last_val_loss}
    if learned.losses_from:
        losses = {f"{learned.losses_from} {name[4:]}": loss for name, loss in losses.items()}
    return {name: loss for name, loss in losses.items() if loss is not None}


def _dirty(event: Intended | RunStarted) -> bool | None:
    """Whether something ran that its commit does not hold."""
    if event.uncommitted:
        return True
    return event.git_dirty


def _files(intended: Intended) -> dict[str, str]:
    """The code that a script names, by names from the script's own folder."""
    own = os.path.dirname(intended.script)  # noqa: PTH120 - "" stays ""
    return {os.path.relpath(name, own or "."): sha256 for name, sha256 in intended.code.items()}


def _script(experiment: Path, sha256: str) -> str:
    """A hash of a kept script without the line that names its job: scripts that differ in that line
    alone are the same. "" where the script was not kept.
    """
    data = read_kept(experiment / layout.OBJECTS, sha256)
    if data is not None:
        return hashlib.sha256(_JOB_NAME.sub(b"", data)).hexdigest()
    return ""


def _recorded(
    path: Path,
    events: Sequence[AnyEvent | Unknown],
    rules: Mapping[str, str],
    metrics: Mapping[str, Number] | None = None,
) -> Side | None:
    """The side of a recorder's run folder; None where it is none. Of several executions the last of
    the first one's pipeline counts: an evaluation that was run there later is none of its training.
    `metrics` are its last figures, where they are known already.
    """
    started = training_start(events)
    if started is None:
        return None
    state, totals = "not ended", dict[str, Number]()
    for event in events:
        if isinstance(event, RunEnded) and event.writer == started.writer:
            state = event.status
            totals = event.totals
    if metrics is None:
        metrics = _losses(learned.of(path, [Tried(recorder=path)], [])) | _last_figures(path)
    return Side(
        name=path.resolve().name,
        where=str(path),
        state=state,
        settings=flatten.of_value(started.config),
        commit=started.git_sha,
        dirty=_dirty(started),
        files=started.code,
        environment=started.environment_sha256,
        kept=str(path / layout.OBJECTS),
        metrics={**metrics, **totals},
        origin="recorded",
        recorder=str(path),
        host=_host_in(events, started.writer),
        rules=rules,
    )


def _host_in(events: Sequence[AnyEvent | Unknown], writer: str) -> str:
    """The machine on which this writer ran."""
    for event in events:
        if isinstance(event, Opened) and event.writer == writer:
            return event.host
    return ""


def _last_figures(run: Path) -> dict[str, Number]:
    """The last figure of each metric that a run logged, without its losses (`END_LOSSES`)."""
    figures: dict[str, Number] = {}
    for name, value in load(run).last.items():
        if name == "step" or name in (*TRAIN_LOSS, *VAL_LOSS) or isinstance(value, bool | str):
            continue
        figure = number(value)
        if figure is not None:
            figures[name] = figure
    return figures


def _distinct(sides: Sequence[Side]) -> list[Side]:
    """The sides under unique names: a repeated name gets its place added, `r8 (out)`, and after
    that a number, `r8 (out, 2)`.
    """
    by_name: dict[str, Side] = {}
    for side in sides:
        name = side.name
        if name in by_name:
            name = f"{side.name} ({side.where})"
        number = 2
        while name in by_name:
            name = f"{side.name} ({side.where}, {number})"
            number += 1
        by_name[name] = msgspec.structs.replace(side, name=name)
    return list(by_name.values())


def _named(sides: Sequence[Side], base: str | None) -> Side:
    """The run that is the base: by its whole name, else by the last part of it, so that `r8` means
    `night/r8`. None means the first one.

    Raises:
        UsageError: no run is called that, or several are.
    """
    if base is None:
        return sides[0]
    exact = [side for side in sides if side.name == base]
    near = exact or [side for side in sides if side.name.rpartition("/")[2] == base]
    if len(near) == 1:
        return near[0]
    what = "none of the runs is"
    if near:
        what = f"{len(near)} of the runs are"
    names = ", ".join(side.name for side in sides[:MOST_NAMED])
    if len(sides) > MOST_NAMED:
        names += ", …"
    raise UsageError(f"--base {base!r}: {what} called that: {names}")


def _differences(base: Side, sides: Sequence[Side], repository: Path | None) -> Iterator[Against]:
    """How each other run differs from the base. `repository` is a folder in which git counts the
    commits between the two; None: there is none. Of more than forty commits no more are counted,
    since each takes git's time.
    """
    counted: dict[str, int | None] = {base.commit: 0}
    for side in sides:
        if side.name == base.name:
            continue
        is_new = side.commit not in counted and len(counted) <= MOST_RANGES
        if is_new and base.commit and repository is not None:
            counted[side.commit] = _between(repository, base.commit, side.commit)
        yield compare.against(base, side, counted.get(side.commit))


def _between(folder: Path, old: str, new: str) -> int | None:
    """How many commits the new one is ahead of the old one; below 0: it is behind. None: git cannot
    tell.
    """
    ahead = git.commits_between(folder, old, new)
    if ahead != 0:
        return ahead
    behind = git.commits_between(folder, new, old)
    if behind:
        return -behind
    return 0
