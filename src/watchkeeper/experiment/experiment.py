"""The plan of an experiment: its runs and evaluations, their scripts, and what each job must leave.

    experiment.read(folder)  →  summary_yaml.read, summary_md.read or tree.read  →  Draft  →
    Experiment

A draft says what was asked for; here its runs and evaluations meet the scripts on disk, and the
promises are drawn up. Nothing is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import ExperimentError, Problem, StorageError
from watchkeeper.core.events import RunItem
from watchkeeper.core.text import redaction
from watchkeeper.experiment import needs, promises, summary_yaml, tree
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun, EvalKey
from watchkeeper.experiment.promises import checkpoint_subject
from watchkeeper.experiment.scripts import records
from watchkeeper.experiment.summary_names import SUMMARY_MD, SUMMARY_YAML, SUMMARY_YML
from watchkeeper.reading import arguments
from watchkeeper.reading.yaml import listed
from watchkeeper.tools.promise import Promise

__all__ = ["EvalKey", "Experiment", "Tools", "checkpoint_subject", "read"]


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """The tools that the jobs run: torchtune or script; inspect-ai or script."""

    preparation: str
    evaluation: str


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """How a script is started: its arguments as they were written (None: this user may not read
    them), and the absolute folder that it runs in.
    """

    args: tuple[str, ...] | None
    workdir: Path


class Experiment(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A plan. `folder` is absolute; `summary` is the file's name and `summary_sha256` its hash,
    both "" for a folder read by its tree. `items`: the runs in the summary's order, then the
    evaluations (rows of the matrix, tasks, epochs). `question`, `dataset` (and what else is said of
    it, in `dataset_facts`), `controls` and `settings` (run → its parameters) are a person's words,
    "" and absent: not written. `checkpoints`: `<run>/epoch_<N>` → what fine-tuning must leave.
    `results`: an evaluation's key → what it must leave; an absent one promises nothing and is
    judged by its exit code. `outputs`: a run → what else it must leave. `estimates`: a fine-tune's
    key → the seconds that its summary expects it to take. `invocations`: a run → how its script is
    started; one that is absent runs without arguments in its own folder. `eval_only`: the runs that
    a summary calls so.
    `expect` are criteria on what the evaluations report, as written. `contract` is the file with
    what is declared of every checkpoint, None where nothing is.
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
    outputs: Mapping[str, tuple[Promise, ...]] = {}
    invocations: Mapping[str, Invocation] = {}
    eval_only: frozenset[str] = frozenset()
    expect: tuple[str, ...] = ()
    contract: Path | None = None

    def workdir_of(self, item: RunItem) -> Path:
        """The folder that a job runs in: its script's, unless something else was asked for."""
        invocation = self.invocations.get(item.key)
        if invocation is not None:
            return invocation.workdir
        return (self.folder / item.script).parent

    def jobs_beside(self, item: RunItem) -> int:
        """How many jobs of the experiment run in the folder that this one runs in, itself
        included.
        """
        return self._jobs_in[self.workdir_of(item)]

    @cached_property
    def _jobs_in(self) -> Counter[Path]:
        """Folder → how many jobs of the experiment work in it."""
        return Counter(self.workdir_of(item) for item in self.items if item.script)

    def checkpoints_of(self, run: str) -> tuple[Promise, ...]:
        """What the run's training must leave, by epoch: not what is evaluated beyond its last."""
        return self._by_run.get(run, ())

    def promises_of(self, run: str) -> tuple[Promise, ...]:
        """Everything that the run's job must leave."""
        return (*self.checkpoints_of(run), *self.outputs.get(run, ()))

    @cached_property
    def _by_run(self) -> Mapping[str, tuple[Promise, ...]]:
        """Run → the checkpoints that its training reaches. Those of epochs that its configuration
        never comes to are not among them.
        """
        promises: dict[str, tuple[Promise, ...]] = {}
        for subject, promise in self.checkpoints.items():
            run = subject.rpartition("/")[0]
            if promise.reached:
                promises[run] = (*promises.get(run, ()), promise)
        return promises

    def checkpoint_for(self, item: RunItem) -> str | None:
        """The checkpoint that an evaluation needs; None: its run is untrained or eval-only."""
        if item.phase != "evaluation" or item.epoch is None:
            return None
        subject = checkpoint_subject(item.run, item.epoch)
        if subject in self.checkpoints:
            return subject
        return None


def read(folder: Path) -> Experiment:
    """Read the experiment in `folder`: by its `experiment_summary.yaml`, else its
    `experiment_summary.md`, else its tree.

    Where both summaries are there the `.yaml` decides, and notes say where the `.md` differs.

    Raises:
        ExperimentError: nothing can be planned. What is wrong with single runs or evaluations is in
            `problems` instead.
    """
    try:
        return _read(folder)
    except StorageError as error:  # a script that cannot be read is not one that asks for nothing
        raise ExperimentError(str(error), hint=error.hint) from error


def _read(folder: Path) -> Experiment:
    """The experiment in a folder: from its YAML summary; else from its Markdown one; else from
    scripts that were submitted as they lie, or from the folder tree. A YAML summary beside a
    Markdown one counts, and notes say where they differ.

    Raises:
        ExperimentError: there is no folder, or nothing in it can be planned.
    """
    typed = folder
    folder = folder.resolve() if ".." in folder.parts else folder.absolute()
    if not os.path.lexists(folder):
        looked_for = "" if folder == typed else f" (looked for {folder})"
        raise ExperimentError(
            f"there is no folder {typed}{looked_for}", hint="name an experiment's folder"
        )
    names = tree.run_folders(folder)
    markdown = _bytes(folder / SUMMARY_MD)
    name, data = _yaml(folder)
    notes = tuple(tree.near_misses(folder))
    submitted, faults = records.read_all(folder)
    scripts = [records.draft_run(folder, run) for run in submitted]
    notes += tuple(faults)
    if data is not None:
        draft = summary_yaml.read(folder / name, data)
        if markdown is not None:
            notes += _differences(draft, name, folder / SUMMARY_MD, markdown)
        draft = _with_scripts(draft, scripts)
        return _assemble(folder, draft, names, summary=name, data=data, notes=notes)
    if markdown is not None:
        from watchkeeper.experiment import summary_md  # most experiments have none

        draft = _with_scripts(summary_md.read(folder / SUMMARY_MD, markdown), scripts)
        return _assemble(folder, draft, names, summary=SUMMARY_MD, data=markdown, notes=notes)
    if scripts and not names:
        draft = Draft(
            name=folder.name,
            preparation="script",
            evaluation="script",
            runs=tuple(scripts),
            cells=(),
        )
        return _assemble(folder, draft, names, notes=notes)
    return _assemble(folder, _with_scripts(tree.read(folder), scripts), names, notes=notes)


def _with_scripts(draft: Draft, scripts: list[DraftRun]) -> Draft:
    """The draft with the scripts that were submitted as they lie. One that has the name of a run of
    the draft is left out.
    """
    names = {run.name for run in draft.runs}
    others = [run for run in scripts if run.name not in names]
    problems: list[Problem] = []
    for run in scripts:
        if run.name in names:
            message = f"the script {run.script} was submitted as {run.name!r}, a run of the summary"
            hint = "submit it again under another name: --name NAME"
            problems.append(
                Problem(where=run.where, message=message, hint=hint, code="bad-experiment")
            )
    return msgspec.structs.replace(
        draft, runs=(*draft.runs, *others), problems=(*draft.problems, *problems)
    )


def _yaml(folder: Path) -> tuple[str, bytes | None]:
    """The YAML summary's name and what it holds; None where there is none.

    Raises:
        ExperimentError: it cannot be read, or there are two.
    """
    data, other = _bytes(folder / SUMMARY_YAML), _bytes(folder / SUMMARY_YML)
    if other is None:
        return SUMMARY_YAML, data
    if data is None:
        return SUMMARY_YML, other
    raise ExperimentError(
        f"{folder} has {SUMMARY_YAML} and {SUMMARY_YML}",
        hint="keep one of them: which one counts is not guessed",
    )


def _bytes(path: Path) -> bytes | None:
    """What the summary holds; None where there is none.

    Raises:
        ExperimentError: it cannot be read.
    """
    try:
        return read_whole(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "check the file's owner and mode"
        if error.errno == errno.EFBIG:
            hint = "make several experiments of it, each in a folder of its own"
        raise ExperimentError(
            f"{path} cannot be read: {error.strerror or error}", hint=hint
        ) from error


def _differences(draft: Draft, name: str, path: Path, data: bytes) -> tuple[Problem, ...]:
    """Where the Markdown summary at `path` differs from the draft, which was read from the file
    `name`.
    """
    from watchkeeper.experiment import summary_md

    try:
        other = summary_md.read(path, data)
    except ExperimentError as error:
        where = error.problems[0].where if error.problems else str(path)
        message = f"{path.name} is there too, and cannot be read whole: {error}; {name} decides"
        return (Problem(where=where, message=message, severity="note", code="bad-experiment"),)
    types = {run.name: run.type for run in draft.runs}
    other_types = {run.name: run.type for run in other.runs}
    differences = [
        *_name_differences(name, path, "runs", list(types), list(other_types)),
        *_name_differences(name, path, "evaluations", _keys_of(draft), _keys_of(other)),
    ]
    retyped = [run for run, kind in other_types.items() if types.get(run, kind) != kind]
    if retyped:
        differences.append(f"the types of {listed(retyped)} differ")
    hint = "make them agree, or remove one"
    return tuple(
        Problem(
            where=str(path),
            message=f"{difference}; {name} decides",
            hint=hint,
            severity="note",
            code="bad-experiment",
        )
        for difference in differences
    )


def _keys_of(draft: Draft) -> list[str]:
    """The keys of a draft's evaluations, in its order."""
    return [cell.key.key for cell in draft.cells]


def _name_differences(
    name: str, path: Path, what: str, ours: list[str], others: list[str]
) -> Iterator[str]:
    """Which runs or evaluations only one of the summaries names."""
    our_names, their_names = set(ours), set(others)
    if only_theirs := [one for one in dict.fromkeys(others) if one not in our_names]:
        yield f"only {path.name} has the {what} {listed(only_theirs)}"
    if only_ours := [one for one in dict.fromkeys(ours) if one not in their_names]:
        yield f"only {name} has the {what} {listed(only_ours)}"


def _assemble(
    folder: Path,
    draft: Draft,
    names: list[str],
    *,
    summary: str = "",
    data: bytes = b"",
    notes: tuple[Problem, ...] = (),
) -> Experiment:
    """The draft with its scripts and promises; `summary` is the file that it was read from, "": it
    was read from the tree.
    """
    problems = [*notes, *draft.problems]
    runs, faults = needs.checked(draft.runs)
    problems += faults
    draft = _without_runs(draft, runs)
    folders = _folders(draft, names, problems)
    items = _items(folder, draft, folders, problems)
    places = {run.name: folders.get(run.name) or run.name for run in draft.runs}
    jobs = {item.key: item.script for item in items}
    plan = promises.Plan(folder=folder, draft=draft, places=places, jobs=jobs)
    checkpoints, results = promises.draw_up(
        plan,
        keeps_logs_apart=summary in (SUMMARY_YAML, SUMMARY_YML),
        problems=problems,
    )
    invocations = _invocations(folder, draft, jobs)
    contract = _contract(folder, draft, summary, problems)
    estimates: dict[str, float] = {}
    for run in draft.runs:
        if run.has_job and run.estimate_s is not None:
            estimates[run.name] = run.estimate_s
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
        expect=draft.expect,
        dataset=draft.dataset,
        dataset_facts=draft.dataset_facts,
        controls=draft.controls,
        settings=_settings(draft),
        estimates=estimates,
        outputs=promises.outputs_of(plan, {run: one.workdir for run, one in invocations.items()}),
        invocations=invocations,
        eval_only=frozenset(run.name for run in draft.runs if summary and run.type == "eval-only"),
        contract=contract,
    )


def _contract(folder: Path, draft: Draft, summary: str, problems: list[Problem]) -> Path | None:
    """The file with what is declared of every checkpoint; one that is not there is a problem."""
    if not draft.output.contract:
        return None
    path = folder / draft.output.contract
    if not path.is_file():
        problems.append(
            Problem(
                where=str(folder / summary),
                message=f"output.contract names {draft.output.contract}, which is no file there",
                hint="write it, or correct its path: it is relative to the experiment's folder",
                severity="warning",
                code="bad-experiment",
            )
        )
    return path


def _settings(draft: Draft) -> dict[str, str]:
    """Run → its parameters in words: what its summary says, else its script's arguments."""
    settings: dict[str, str] = {}
    for run in draft.runs:
        args = redaction.redact_words(run.args or ())
        if words := run.settings or arguments.words_of(args):
            settings[run.name] = words
    return settings


def _without_runs(draft: Draft, kept: list[DraftRun]) -> Draft:
    """The draft with the runs in `kept` only, and their evaluations."""
    if len(kept) == len(draft.runs):
        return draft
    names = {run.name for run in kept}
    cells = tuple(cell for cell in draft.cells if cell.key.run in names)
    return msgspec.structs.replace(draft, runs=tuple(kept), cells=cells)


def _invocations(folder: Path, draft: Draft, jobs: Mapping[str, str]) -> dict[str, Invocation]:
    """Run → how its script is started, where that differs from the usual."""
    invocations: dict[str, Invocation] = {}
    for run in draft.runs:
        script = jobs.get(run.name)
        if not script or not (run.args != () or run.workdir or run.outputs):
            continue
        workdir = folder / run.workdir if run.workdir else (folder / script).parent
        place = Path(os.path.normpath(workdir))
        invocations[run.name] = Invocation(args=run.args, workdir=place)
    return invocations


# ── scripts


def _items(
    folder: Path, draft: Draft, folders: Mapping[str, str], problems: list[Problem]
) -> list[RunItem]:
    """The draft's runs and evaluations with their scripts."""
    scripts = _Scripts(folder, folders, problems)
    trained = {run.name for run in draft.runs if run.type == "fine-tuned"}
    items = [scripts.fine_tune(run) for run in draft.runs]
    for cell in draft.cells:
        items.append(scripts.evaluation(cell, cell.key.run not in trained))
    return items


def _folders(draft: Draft, names: list[str], problems: list[Problem]) -> dict[str, str]:
    """Run → its folder, for every run that has a folder no other run has."""
    run_names = {run.name for run in draft.runs}
    folder_names = frozenset(names)
    evaluated = {cell.key.run for cell in draft.cells}
    folders: dict[str, str] = {}
    owners: dict[str, DraftRun] = {}
    shared: set[str] = set()
    for run in draft.runs:
        place, why = tree.run_folder(run.name, folder_names, run_names)
        if why:
            if run.script and run.name not in evaluated:
                continue
            if run.has_job or run.name in evaluated:
                problems.append(_no_folder(run, why))
        elif place in owners:
            message = (
                f"runs {owners[place].name!r} and {run.name!r} would share the folder {place}/: "
                "neither is submitted"
            )
            hint = "give each a folder"
            problems.append(
                Problem(where=run.where, message=message, hint=hint, code="bad-experiment")
            )
            shared.add(place)
        else:
            folders[run.name] = place
            owners[place] = run
    return {run: place for run, place in folders.items() if place not in shared}


def _no_folder(run: DraftRun, why: str) -> Problem:
    """The fault of a run whose folder is not there, or not clear."""
    message = f"the evaluations of run {run.name!r} cannot start: {why}"
    if run.has_job and not run.script:
        message = f"run {run.name!r} cannot start: {why} (expected {run.name}/{tree.FINETUNE})"
    hint = "make the folder with its scripts, or name the run by its folder"
    return Problem(where=run.where, message=message, hint=hint, code="bad-experiment")


class _Scripts:
    """Finds the scripts, and reports where a missing one was expected."""

    def __init__(self, folder: Path, folders: Mapping[str, str], problems: list[Problem]) -> None:
        self._folder = folder
        self._folders = folders
        self._problems = problems

    def fine_tune(self, run: DraftRun) -> RunItem:
        """The work of a run: its script and arguments, without secrets; or a control, which has no
        job. A script that is not there is a problem, and "" in the work.
        """
        if not run.has_job:
            return RunItem(key=run.name, phase="preparation", run=run.name, control=True)
        if run.script:
            script = self._named(run)
        else:
            hint = "write the script, or say type: control or eval-only"
            what = f"run {run.name!r}"
            script = self._find(run.name, run.where, hint, what, tree.fine_tune_script)
        return RunItem(
            key=run.name,
            phase="preparation",
            run=run.name,
            script=script,
            args=tuple(redaction.redact_words(run.args or ())),
            workdir=run.workdir,
            needs=run.needs,
        )

    def _named(self, run: DraftRun) -> str:
        """The script that a run names; "", and a problem, where it is no file."""
        if (self._folder / run.script).is_file():
            return run.script
        message = f"run {run.name!r} has no script: {run.script} is not there"
        hint = "correct its path: it is relative to the experiment's folder"
        self._problems.append(
            Problem(where=run.where, message=message, hint=hint, code="bad-experiment")
        )
        return ""

    def evaluation(self, cell: DraftCell, control: bool) -> RunItem:
        """The work of one evaluation. A script that is not there is a problem, and "" in the work.
        `control`: its run is one.
        """
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
        """The script of a run's work, relative to the experiment; "": there is none, which is
        reported. `where`, `hint` and `what` are for that report; `script_of` looks in the run's
        folder, and says where it expects the script.
        """
        place = self._folders.get(run)
        if place is None:
            return ""  # reported once, for the run
        script, expected = script_of(self._folder, place)
        if not script:
            message = f"{what} has no script: {expected} is not there"
            self._problems.append(
                Problem(where=where, message=message, hint=hint, code="bad-experiment")
            )
        return script
