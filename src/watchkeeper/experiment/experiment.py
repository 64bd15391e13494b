"""The plan of an experiment: its runs and evaluations, their scripts, and what each job must leave.

    experiment.read(folder)  →  summary_yaml.read, summary_md.read or tree.read  →  Draft  →
    Experiment

A draft says what was asked for; here its runs and evaluations meet the scripts on disk, and the
promises are drawn up. Nothing is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.core.events import RunItem
from watchkeeper.experiment import summary_yaml, tree
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey
from watchkeeper.reading import tool_calls
from watchkeeper.reading.yaml import listed
from watchkeeper.tools import promise as base
from watchkeeper.tools.promise import Asked, Promise, Training

__all__ = ["EvalKey", "Experiment", "Tools", "checkpoint_subject", "read"]


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """The tools that the jobs run: torchtune or script; inspect-ai or script."""

    preparation: str
    evaluation: str


class Experiment(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A plan. `folder` is absolute; `summary` is the file's name and `summary_sha256` its hash,
    both "" for a folder read by its tree. `items`: the runs in the summary's order, then the
    evaluations (rows of the matrix, tasks, epochs). `question`, `dataset` (and what else is said of
    it, in `dataset_facts`), `controls` and `settings` (run → its parameters) are a person's words,
    "" and absent where nobody said. `checkpoints`: `<run>/epoch_<N>` → what fine-tuning must leave.
    `results`: an evaluation's key → what it must leave; one that is not there promises nothing and
    is judged by its exit code. `estimates`: a fine-tune's key → the seconds that its summary
    expects it to take.
    """

    name: str
    folder: Path
    summary: str
    summary_sha256: str
    items: tuple[RunItem, ...]
    checkpoints: Mapping[str, Promise]
    results: Mapping[str, Promise]
    problems: tuple[Problem, ...]
    tools: Tools
    question: str = ""
    dataset: str = ""
    dataset_facts: str = ""
    controls: str = ""
    settings: Mapping[str, str] = {}
    estimates: Mapping[str, float] = {}

    def checkpoints_of(self, run: str) -> tuple[Promise, ...]:
        """What the run's training must leave, by epoch: not what is evaluated beyond its last."""
        return self._by_run.get(run, ())

    @cached_property
    def _by_run(self) -> Mapping[str, tuple[Promise, ...]]:
        found: dict[str, tuple[Promise, ...]] = {}
        for subject, promise in self.checkpoints.items():
            run = subject.rpartition("/")[0]
            if promise.reached:
                found[run] = (*found.get(run, ()), promise)
        return found

    def checkpoint_for(self, item: RunItem) -> str | None:
        """The checkpoint that an evaluation needs; None for one of an untrained or eval-only run."""
        if item.epoch is not None:
            subject = checkpoint_subject(item.run, item.epoch)
        else:
            subject = ""
        if item.phase == "evaluation" and subject in self.checkpoints:
            return subject
        return None


def checkpoint_subject(run: str, epoch: int) -> str:
    """`<run>/epoch_<N>`."""
    return f"{run}/epoch_{epoch}"


def read(folder: Path) -> Experiment:
    """Read the experiment in `folder`: by its `experiment_summary.yaml`, else its
    `experiment_summary.md`, else its tree.

    Where both summaries are there the `.yaml` decides, and notes say where the `.md` differs.

    Raises:
        ExperimentError: nothing can be planned. What is wrong with single runs or evaluations is in
        `problems` instead.
    """
    if ".." in folder.parts:
        folder = folder.resolve()
    else:
        folder = folder.absolute()
    names = tree.run_folders(folder)
    markdown = _bytes(folder / tree.SUMMARY_MD)
    data = _bytes(folder / tree.SUMMARY_YAML)
    if data is not None:
        draft = summary_yaml.read(folder / tree.SUMMARY_YAML, data)
        notes = () if markdown is None else _differences(draft, folder / tree.SUMMARY_MD, markdown)
        return _assemble(folder, draft, names, summary=tree.SUMMARY_YAML, data=data, notes=notes)
    if markdown is not None:
        from watchkeeper.experiment import summary_md  # most experiments have none

        draft = summary_md.read(folder / tree.SUMMARY_MD, markdown)
        return _assemble(folder, draft, names, summary=tree.SUMMARY_MD, data=markdown)
    return _assemble(folder, tree.read(folder), names)


def _bytes(path: Path) -> bytes | None:
    """What the summary holds; None where there is none.

    Raises:
        ExperimentError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "check the file's owner and mode"
        raise ExperimentError(
            f"{path} cannot be read: {error.strerror or error}", hint=hint
        ) from error


def _differences(draft: Draft, path: Path, data: bytes) -> tuple[Problem, ...]:
    """Where the Markdown summary at `path` differs from the draft that is planned."""
    from watchkeeper.experiment import summary_md

    decides = f"{tree.SUMMARY_YAML} decides"
    try:
        other = summary_md.read(path, data)
    except ExperimentError as error:
        if error.problems:
            where = error.problems[0].where
        else:
            where = str(path)
        message = f"{path.name} is there too, and cannot be read whole: {error}; {decides}"
        return (Problem(where=where, message=message, severity="note"),)
    types = [{run.name: run.type for run in one.runs} for one in (draft, other)]
    keys = [{cell.key.key: "" for cell in one.cells} for one in (draft, other)]
    found: list[str] = []
    for what, (ours, theirs) in (("runs", types), ("evaluations", keys)):
        if only := [name for name in theirs if name not in ours]:
            found.append(f"only {path.name} has the {what} {listed(only)}")
        if only := [name for name in ours if name not in theirs]:
            found.append(f"only {tree.SUMMARY_YAML} has the {what} {listed(only)}")
    if other_type := [name for name, kind in types[1].items() if types[0].get(name, kind) != kind]:
        found.append(f"the types of {listed(other_type)} differ")
    hint = "make them say the same, or remove one"
    return tuple(
        Problem(where=str(path), message=f"{message}; {decides}", hint=hint, severity="note")
        for message in found
    )


def _assemble(
    folder: Path,
    draft: Draft,
    names: list[str],
    *,
    summary: str = "",
    data: bytes = b"",
    notes: tuple[Problem, ...] = (),
) -> Experiment:
    """The draft with its scripts and promises; `summary` is the file that it was read from, "" for
    the tree.
    """
    problems = [*notes, *draft.problems]
    folders = _folders(draft, names, problems)
    scripts = _Scripts(folder, folders, problems)
    trains = {run.name for run in draft.runs if run.type == "fine-tuned"}
    items = [scripts.fine_tune(run) for run in draft.runs]
    items += [scripts.evaluation(cell, cell.key.run not in trains) for cell in draft.cells]
    places = {run.name: folders.get(run.name) or run.name for run in draft.runs}
    jobs = {item.key: item.script for item in items}
    trainings = _trainings(folder, draft, jobs, problems)
    checkpoints = _checkpoints(draft, places, trainings)
    shared = {item.key for item in items if tree.is_flat(item.script)}
    asks = _asks(folder, draft, places, jobs)
    named = {
        key
        for key in shared & asks.keys()
        if tool_calls.names_epoch(folder / jobs[key], asks[key].epoch)
    }
    results = _results(
        draft, places, shared, named, asks, sure=summary == tree.SUMMARY_YAML, problems=problems
    )
    return Experiment(
        name=draft.name,
        folder=folder,
        summary=summary,
        summary_sha256=hashlib.sha256(data).hexdigest() if summary else "",
        items=tuple(items),
        checkpoints=checkpoints,
        results=results,
        problems=tuple(problems),
        tools=Tools(preparation=draft.preparation, evaluation=draft.evaluation),
        question=draft.question,
        dataset=draft.dataset,
        dataset_facts=draft.dataset_facts,
        controls=draft.controls,
        settings={run.name: run.settings for run in draft.runs if run.settings},
        estimates={
            run.name: run.estimate_s
            for run in draft.runs
            if run.type == "fine-tuned" and run.estimate_s is not None
        },
    )


# ── scripts
# ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _folders(draft: Draft, names: list[str], problems: list[Problem]) -> dict[str, str]:
    """Run → its folder, for every run that has one of its own."""
    folders = frozenset(names)
    found: dict[str, str] = {}
    owner: dict[str, DraftRun] = {}
    runs = {run.name for run in draft.runs}
    evaluated = {cell.key.run for cell in draft.cells}
    shared: set[str] = set()
    for run in draft.runs:
        place, why = tree.run_folder(run.name, folders, runs)
        if why:
            message = f"run {run.name!r} cannot start: {why} (expected {run.name}/{tree.FINETUNE})"
            if run.type != "fine-tuned":
                message = f"the evaluations of run {run.name!r} cannot start: {why}"
            if run.type == "fine-tuned" or run.name in evaluated:
                hint = "make the folder with its scripts, or name the run by its folder"
                problems.append(Problem(where=run.where, message=message, hint=hint))
        elif place in owner:
            message = (
                f"runs {owner[place].name!r} and {run.name!r} would share the folder {place}/: "
                "neither is submitted"
            )
            problems.append(
                Problem(where=run.where, message=message, hint="give each its own folder")
            )
            shared.add(place)
        else:
            found[run.name] = place
            owner[place] = run
    return {run: place for run, place in found.items() if place not in shared}


class _Scripts:
    """Finds the scripts, and says of each that is missing where it was expected."""

    def __init__(self, folder: Path, folders: Mapping[str, str], problems: list[Problem]) -> None:
        self._folder = folder
        self._folders = folders
        self._problems = problems

    def fine_tune(self, run: DraftRun) -> RunItem:
        if run.type != "fine-tuned":
            return RunItem(key=run.name, phase="preparation", run=run.name, control=True)
        hint = "write the script, or say type: control or eval-only"
        script = self._find(run.name, run.where, hint, f"run {run.name!r}", tree.fine_tune_script)
        return RunItem(key=run.name, phase="preparation", run=run.name, script=script)

    def evaluation(self, cell: DraftCell, control: bool) -> RunItem:
        key = cell.key
        hint = "write the script, or take the evaluation out of the matrix"
        script = self._find(
            key.run,
            cell.where,
            hint,
            f"evaluation {key.key}",
            lambda folder, place: tree.eval_script(folder, place, key),
        )
        return RunItem(
            key=key.key,
            phase="evaluation",
            run=key.run,
            script=script,
            task=key.task,
            epoch=key.epoch,
            control=control,
        )

    def _find(
        self,
        run: str,
        where: str,
        hint: str,
        what: str,
        script_of: Callable[[Path, str], tuple[str, str]],
    ) -> str:
        place = self._folders.get(run)
        if place is None:
            return ""  # said once, for the run
        script, expected = script_of(self._folder, place)
        if not script:
            self._problems.append(
                Problem(
                    where=where, message=f"{what} has no script: {expected} is not there", hint=hint
                )
            )
        return script


# ── promises
# ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _trainings(
    folder: Path, draft: Draft, jobs: Mapping[str, str], problems: list[Problem]
) -> dict[str, Training]:
    """What torchtune's configurations say of each fine-tune, and where the summary says otherwise."""
    if draft.preparation != "torchtune":
        return {}
    found: dict[str, Training] = {}
    cells: dict[str, list[DraftCell]] = {}
    for cell in draft.cells:
        cells.setdefault(cell.key.run, []).append(cell)
    for run in draft.runs:
        if run.type != "fine-tuned":
            continue
        if jobs[run.name]:
            told = tool_calls.trained(folder, jobs[run.name])
        else:
            told = tool_calls.Trained()
        found[run.name] = told.training
        problems += told.problems
        epochs = told.training.epochs
        if epochs is None:
            continue
        if run.epochs and len(run.epochs) != epochs:
            message = (
                f"run {run.name!r} is said to train {len(run.epochs)} epochs, and its "
                f"configuration {epochs}"
            )
            hint = f"the configuration decides: {told.where}"
            problems.append(
                Problem(where=run.where, message=message, hint=hint, severity="warning")
            )
        for cell in cells.get(run.name, ()):
            epoch = cell.key.epoch or 0
            if epoch >= epochs and (
                not run.epochs or epoch in run.epochs
            ):  # else the summary's own fault is told already
                message = (
                    f"{cell.key.key} can never run: the training ends with epoch {epochs - 1} "
                    f"({told.where})"
                )
                hint = "epochs count from 0: train more, or take it out of the matrix"
                problems.append(
                    Problem(where=cell.where, message=message, hint=hint, severity="warning")
                )
    return found


def _checkpoints(
    draft: Draft, places: Mapping[str, str], trainings: Mapping[str, Training]
) -> dict[str, Promise]:
    """What fine-tuning must leave: a checkpoint of each epoch that is trained or evaluated.

    Raises:
        ExperimentError: the user's pattern leads two of them to one place.
    """
    found: dict[str, Promise] = {}
    epochs: dict[str, set[int]] = {}
    for run in (run for run in draft.runs if run.type == "fine-tuned"):
        if run.name in trainings:
            known = trainings[run.name].epochs
        else:
            known = None
        epochs[run.name] = set(run.epochs) if known is None else set(range(known))
    for cell in draft.cells:
        if cell.key.epoch is not None and cell.key.run in epochs:
            epochs[cell.key.run].add(cell.key.epoch)
    for run in draft.runs:
        for epoch in sorted(epochs.get(run.name, ())):
            values = base.checkpoint_values(places[run.name], run.name, epoch)
            patterns = tuple(base.fill(pattern, values) for pattern in draft.output.checkpoint)
            subject = checkpoint_subject(run.name, epoch)
            training = trainings.get(run.name)
            found[subject] = Promise(
                subject=subject,
                kind="checkpoint",
                patterns=patterns,
                epoch=epoch,
                training=training,
            )
    if draft.output.checkpoint_where:
        _distinct(found, draft.output.checkpoint_where, "output.checkpoint", "{folder} and {epoch}")
    return found


def _asks(
    folder: Path, draft: Draft, places: Mapping[str, str], jobs: Mapping[str, str]
) -> dict[str, Asked]:
    """What each log of inspect-ai must say of itself: by the summary, and by the job's script where
    that is plainer.
    """
    trained = {run.name for run in draft.runs if run.type == "fine-tuned"}
    names = {run: frozenset({run, places[run], f"ck-out-{run}"}) for run in trained}
    others = frozenset(cell.key.task for cell in draft.cells)
    runs = frozenset().union(*names.values())
    found: dict[str, Asked] = {}
    for cell in draft.cells:
        key = cell.key
        if cell.tool != "inspect-ai":
            continue
        if jobs.get(key.key):
            called = tool_calls.evaluated(folder / jobs[key.key])
        else:
            called = tool_calls.Evaluated()
        file, _, task = cell.script.partition("@")
        named = called.task or task
        found[key.key] = Asked(
            tasks=tuple(dict.fromkeys(filter(None, (key.task, called.task, task)))),
            files=() if named else tuple(filter(None, (called.file, Path(file).name))),
            others=others,
            model=called.model,
            epoch=key.epoch,
            own=names.get(key.run, frozenset()),
            runs=runs if key.epoch is not None and key.run in trained else frozenset(),
        )
    return found


def _results(
    draft: Draft,
    places: Mapping[str, str],
    shared: set[str],
    named: set[str],
    asks: Mapping[str, Asked],
    *,
    sure: bool,
    problems: list[Problem],
) -> dict[str, Promise]:
    """What evaluations must leave: where the user says, else where their tool leaves it. `shared`:
    the keys of those whose scripts share a folder; older logs of inspect-ai then do too: one counts
    where no other evaluation of the run could own it, or where its script names its checkpoint's
    epoch (`named`), and so does the log. `sure`: the summary is the newer one, whose folders keep
    logs apart.

    Raises:
        ExperimentError: the user's pattern leads two of them to one place.
    """
    found: dict[str, Promise] = {}
    unowned: list[str] = []
    tasks: dict[str, list[str]] = {}
    for cell in draft.cells:
        tasks.setdefault(cell.key.run, []).append(cell.key.task)
    for cell in draft.cells:
        key = cell.key
        values = base.result_values(places[key.run], key.run, key.task, key.epoch)
        patterns, ask = draft.output.result, asks.get(key.key)
        if not patterns and cell.tool == "inspect-ai":
            alone = _alone(key.task, tasks[key.run])
            patterns = base.inspect_ai_patterns(key.epoch, shared=alone or key.key in named)
            if key.key in named and not alone:
                ask = msgspec.structs.replace(asks[key.key], named=True)
            elif key.key in shared and not alone:
                unowned.append(key.key)
                if not (sure):
                    patterns = ()
        if patterns:
            filled = tuple(dict.fromkeys(base.fill(pattern, values) for pattern in patterns))
            found[key.key] = Promise(subject=key.key, kind="result", patterns=filled, asked=ask)
    if draft.output.result_where:
        _distinct(found, draft.output.result_where, "output.result", "{folder} and {cell}")
    if unowned:
        message = (
            f"{len(unowned)} evaluations ({unowned[0]}, …) share eval/logs/, and their scripts "
            "do not name an epoch: "
        )
        message += (
            "only logs in eval/<task>_epoch<N>/logs/ count"
            if sure
            else "they are judged by their exit code"
        )
        hint = f"say where each leaves its log in {tree.SUMMARY_YAML}: output.result"
        where = draft.cells[0].where
        problems.append(Problem(where=where, message=message, hint=hint, severity="warning"))
    return found


def _alone(task: str, tasks: list[str]) -> bool:
    """Whether only one of a run's evaluations (of these `tasks`) could own a log whose file name
    holds the task's name.
    """
    name = task.replace("_", "-")
    return sum(name in other.replace("_", "-") for other in tasks) == 1


def _distinct(promises: Mapping[str, Promise], where: str, what: str, missing: str) -> None:
    seen: dict[str, str] = {}
    for subject, promise in promises.items():
        for pattern in promise.patterns:
            if pattern in seen:
                message = f"{what} leads {seen[pattern]} and {subject} to the same place, {pattern}"
                problem = Problem(where=where, message=message, hint=f"put {missing} into it")
                raise ExperimentError(f"{where}: {message}", problems=(problem,))
            seen[pattern] = subject
