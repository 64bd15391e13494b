"""What each job of an experiment must leave: the checkpoints of its runs, the results of its
evaluations.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from glob import escape
from pathlib import Path

import msgspec

from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.experiment import tree
from watchkeeper.experiment.draft import Draft, DraftCell, DraftRun
from watchkeeper.experiment.summary_names import SUMMARY_YAML
from watchkeeper.reading import tool_calls
from watchkeeper.tools import promise as base
from watchkeeper.tools.promise import Expected, Promise, Training


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the promises are drawn up from. `places`: run → its folder's name; `jobs`: key → its
    script, "": it has none.
    """

    folder: Path
    draft: Draft
    places: Mapping[str, str]
    jobs: Mapping[str, str]

    @property
    def trained(self) -> list[DraftRun]:
        """The fine-tuned runs."""
        return [run for run in self.draft.runs if run.type == "fine-tuned"]


def checkpoint_subject(run: str, epoch: int) -> str:
    """`<run>/epoch_<N>`."""
    return f"{run}/epoch_{epoch}"


def draw_up(
    plan: Plan, *, keeps_logs_apart: bool, problems: list[Problem]
) -> tuple[dict[str, Promise], dict[str, Promise]]:
    """Subject → what fine-tuning must leave; evaluation → what it must leave. What is doubtful is
    added to `problems`. `keeps_logs_apart`: the experiment is of the newer kind, in which each
    evaluation logs into a folder that no other one uses.

    Raises:
        ExperimentError: the user's pattern leads two jobs to one place.
    """
    checkpoints = _checkpoints(plan, _trainings(plan, problems))
    results = _Results(plan, keeps_logs_apart).draw_up(problems)
    return checkpoints, results


def outputs_of(plan: Plan, workdirs: Mapping[str, Path]) -> dict[str, tuple[Promise, ...]]:
    """Run → what it must leave beside checkpoints. `workdirs`: run → the folder in which it runs,
    to which its patterns are relative.
    """
    outputs: dict[str, tuple[Promise, ...]] = {}
    for run in plan.draft.runs:
        promises: list[Promise] = []
        for pattern in run.outputs:
            place = os.path.normpath(os.path.join(escape(str(workdirs[run.name])), pattern))
            subject = f"{run.name}: {pattern}"
            promises.append(Promise(subject=subject, kind="output", patterns=(place,)))
        if promises and run.name in workdirs:
            outputs[run.name] = tuple(promises)
    return outputs


# ── checkpoints


def _trainings(plan: Plan, problems: list[Problem]) -> dict[str, Training]:
    """Run → what its torchtune configuration says; differences from the summary are problems."""
    if plan.draft.preparation != "torchtune":
        return {}
    trainings: dict[str, Training] = {}
    cells: dict[str, list[DraftCell]] = {}
    for cell in plan.draft.cells:
        cells.setdefault(cell.key.run, []).append(cell)
    for run in plan.trained:
        script = plan.jobs[run.name]
        config = (
            tool_calls.read_training(plan.folder, script) if script else tool_calls.TrainingConfig()
        )
        trainings[run.name] = config.training
        problems += config.problems
        epochs = config.training.epochs
        if epochs is None:
            continue
        if run.epochs and len(run.epochs) != epochs:
            problems.append(_other_epochs(run, epochs, config.where))
        for cell in cells.get(run.name, ()):
            if _is_never_trained(cell, run, epochs):
                problems.append(_never_runs(cell, epochs, config.where))
    return trainings


def _is_never_trained(cell: DraftCell, run: DraftRun, epochs: int) -> bool:
    """Whether an evaluation needs an epoch beyond those of the configuration; what the summary
    itself does not train is reported where that is read.
    """
    epoch = cell.key.epoch or 0
    if epoch < epochs:
        return False
    return not run.epochs or epoch in run.epochs


def _other_epochs(run: DraftRun, epochs: int, config: str) -> Problem:
    """The warning that the summary and the configuration `config` name different numbers of
    epochs.
    """
    message = (
        f"run {run.name!r} trains {len(run.epochs)} epochs by the summary, and {epochs} by its "
        "configuration"
    )
    hint = f"the configuration decides: {config}"
    return Problem(
        where=run.where, message=message, hint=hint, severity="warning", code="bad-experiment"
    )


def _never_runs(cell: DraftCell, epochs: int, config: str) -> Problem:
    """The warning that an evaluation needs a checkpoint which the training never makes."""
    message = f"{cell.key.key} can never run: the training ends with epoch {epochs - 1} ({config})"
    hint = "epochs count from 0: train more, or take it out of the matrix"
    return Problem(
        where=cell.where, message=message, hint=hint, severity="warning", code="bad-experiment"
    )


def _checkpoints(plan: Plan, trainings: Mapping[str, Training]) -> dict[str, Promise]:
    """What fine-tuning must leave: a checkpoint of each epoch that is trained or evaluated.

    Raises:
        ExperimentError: the user's pattern leads two of them to one place.
    """
    output = plan.draft.output
    promises: dict[str, Promise] = {}
    for run, epochs in _epochs(plan, trainings).items():
        for epoch in sorted(epochs):
            values = base.checkpoint_values(plan.places[run], run, epoch)
            subject = checkpoint_subject(run, epoch)
            promises[subject] = Promise(
                subject=subject,
                kind="checkpoint",
                patterns=tuple(base.fill(pattern, values) for pattern in output.checkpoint),
                epoch=epoch,
                formats=output.checkpoint_formats,
                training=trainings.get(run),
            )
    if output.checkpoint_where:
        _check_distinct(
            promises, output.checkpoint_where, "output.checkpoint", "{folder} and {epoch}"
        )
    return promises


def _epochs(plan: Plan, trainings: Mapping[str, Training]) -> dict[str, set[int]]:
    """Fine-tuned run → the epochs that are trained or evaluated."""
    epochs: dict[str, set[int]] = {}
    for run in plan.trained:
        training = trainings.get(run.name)
        if training is None or training.epochs is None:
            epochs[run.name] = set(run.epochs)
        else:
            epochs[run.name] = set(range(training.epochs))
    for cell in plan.draft.cells:
        if cell.key.epoch is not None and cell.key.run in epochs:
            epochs[cell.key.run].add(cell.key.epoch)
    return epochs


# ── results


def _expected_logs(plan: Plan) -> dict[str, Expected]:
    """Evaluation → what its log of inspect-ai must hold: by the summary, and by the job's script
    where that is more precise.
    """
    names = {
        run.name: frozenset({run.name, plan.places[run.name], f"ck-out-{run.name}"})
        for run in plan.trained
    }
    all_names = frozenset().union(*names.values())
    all_tasks = frozenset(cell.key.task for cell in plan.draft.cells)
    expected: dict[str, Expected] = {}
    for cell in plan.draft.cells:
        if cell.tool != "inspect-ai":
            continue
        key = cell.key
        script = plan.jobs.get(key.key)
        call = tool_calls.InspectCall()
        if script:
            call = tool_calls.read_inspect_call(plan.folder / script)
        file, _, task = cell.script.partition("@")
        tasks = dict.fromkeys(filter(None, (key.task, call.task, task)))
        files: tuple[str, ...] = ()
        if not (call.task or task):
            files = tuple(filter(None, (call.file, Path(file).name)))
        is_of_checkpoint = key.epoch is not None and key.run in names
        expected[key.key] = Expected(
            tasks=tuple(tasks),
            files=files,
            others=all_tasks,
            model=call.model,
            epoch=key.epoch,
            own=names.get(key.run, frozenset()),
            runs=all_names if is_of_checkpoint else frozenset(),
        )
    return expected


class _Results:
    """What evaluations must leave: where the user says, else where their tool leaves it.

    Where scripts share a folder, older logs of inspect-ai do too. Such a log counts if no other
    evaluation of the run could own it, or if its script names the epoch of its checkpoint and the
    log does too.
    """

    def __init__(self, plan: Plan, keeps_logs_apart: bool) -> None:
        self._plan = plan
        self._keeps_logs_apart = keeps_logs_apart
        self._expected = _expected_logs(plan)
        self._tasks: dict[str, list[str]] = {}
        self._shared: set[str] = set()
        for cell in plan.draft.cells:
            self._tasks.setdefault(cell.key.run, []).append(cell.key.task)
            if tree.is_flat(plan.jobs[cell.key.key]):
                self._shared.add(cell.key.key)

    def draw_up(self, problems: list[Problem]) -> dict[str, Promise]:
        """Evaluation → what it must leave.

        Raises:
            ExperimentError: the user's pattern leads two of them to one place.
        """
        output = self._plan.draft.output
        promises: dict[str, Promise] = {}
        unowned: list[str] = []
        for cell in self._plan.draft.cells:
            patterns, expected = output.result, self._expected.get(cell.key.key)
            if not patterns and expected is not None:
                patterns, expected, is_owned = self._log_of(cell, expected)
                if not is_owned:
                    unowned.append(cell.key.key)
            if patterns:
                promises[cell.key.key] = self._promise(cell, patterns, expected)
        if output.result_where:
            _check_distinct(promises, output.result_where, "output.result", "{folder} and {cell}")
        if unowned:
            problems.append(self._shared_logs(unowned))
        return promises

    def _promise(
        self, cell: DraftCell, patterns: tuple[str, ...], expected: Expected | None
    ) -> Promise:
        """What an evaluation promises: a result in one of the places that these patterns name.
        `expected` None: nothing is known of what it has to hold.
        """
        key = cell.key
        values = base.result_values(self._plan.places[key.run], key.run, key.task, key.epoch)
        places = dict.fromkeys(base.fill(pattern, values) for pattern in patterns)
        return Promise(subject=key.key, kind="result", patterns=tuple(places), expected=expected)

    def _log_of(
        self, cell: DraftCell, expected: Expected
    ) -> tuple[tuple[str, ...], Expected, bool]:
        """Where an evaluation's log of inspect-ai lies, what it must hold, and whether a log that
        lies there can be its log alone.
        """
        key = cell.key
        is_alone = _is_alone(key.task, self._tasks[key.run])
        names_epoch = self._names_epoch(cell)
        patterns = base.inspect_ai_patterns(key.epoch, shared=is_alone or names_epoch)
        if is_alone:
            return patterns, expected, True
        if names_epoch:
            return patterns, msgspec.structs.replace(expected, named=True), True
        if key.key not in self._shared:
            return patterns, expected, True
        if self._keeps_logs_apart:
            return patterns, expected, False
        return (), expected, False

    def _names_epoch(self, cell: DraftCell) -> bool:
        """Whether a script that shares its folder names the epoch of its checkpoint."""
        if cell.key.key not in self._shared:
            return False
        script = self._plan.folder / self._plan.jobs[cell.key.key]
        return tool_calls.names_epoch(script, cell.key.epoch)

    def _shared_logs(self, unowned: list[str]) -> Problem:
        """The warning that evaluations share a folder of logs in which nothing says whose a log
        is. `unowned` are their keys, one at least.
        """
        judged = "they are judged by their exit code"
        if self._keeps_logs_apart:
            judged = "only logs in eval/<task>_epoch<N>/logs/ count"
        message = (
            f"{len(unowned)} evaluations ({unowned[0]}, …) share eval/logs/, and their scripts do "
            f"not name an epoch: {judged}"
        )
        hint = f"say where each leaves its log in {SUMMARY_YAML}: output.result"
        where = self._plan.draft.cells[0].where
        return Problem(
            where=where, message=message, hint=hint, severity="warning", code="bad-experiment"
        )


def _is_alone(task: str, tasks: list[str]) -> bool:
    """Whether only one of a run's evaluations (of these `tasks`) could own a log whose file name
    holds the task's name.
    """
    name = task.replace("_", "-")
    rivals = [other for other in tasks if name in other.replace("_", "-")]
    return len(rivals) == 1


def _check_distinct(promises: Mapping[str, Promise], where: str, what: str, missing: str) -> None:
    """Refuse a pattern that leads two jobs to one place.

    Raises:
        ExperimentError: it does; the hint names what is `missing` in it.
    """
    owners: dict[str, str] = {}
    for subject, pattern in _places(promises):
        if pattern in owners:
            message = f"{what} leads {owners[pattern]} and {subject} to the same place, {pattern}"
            problem = Problem(
                where=where, message=message, hint=f"put {missing} into it", code="bad-experiment"
            )
            raise ExperimentError(f"{where}: {message}", problems=(problem,))
        owners[pattern] = subject


def _places(promises: Mapping[str, Promise]) -> Iterator[tuple[str, str]]:
    """(subject, pattern) of each place that is promised."""
    for subject, promise in promises.items():
        for pattern in promise.patterns:
            yield subject, pattern
