"""Inspect: evaluations recorded by hooks, which Inspect finds by the entry point of this package.

Nothing happens in an `inspect eval` unless it is asked for: a run is open in the process,
WATCHKEEPER_INSPECT=1 is set, or the job was submitted by Watchkeeper. Rows have no training step.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from inspect_ai.hooks import (
    EvalSetEnd,
    EvalSetStart,
    Hooks,
    RunEnd,
    RunStart,
    SampleEnd,
    SampleStart,
    TaskEnd,
    TaskStart,
    hooks,
)

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSpec

    from watchkeeper.integrations.recording import Recording

VARIABLE = "WATCHKEEPER_INSPECT"
ATTEMPT = "WATCHKEEPER_ATTEMPT"
LOG_DIR = "INSPECT_LOG_DIR"
FOLDER = "watchkeeper"  # below Inspect's log directory, with a folder for each of its runs


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether evaluations of this process are to be recorded now.

    WATCHKEEPER_INSPECT decides where it is set: `0`, `false`, `no` and `off` mean no. Else they are
    within a run, and in a job that Watchkeeper submitted.
    """
    if environ.get(VARIABLE):
        return environ[VARIABLE].lower() not in ("0", "false", "no", "off")
    if environ.get(ATTEMPT):
        return True
    recorder = sys.modules.get("watchkeeper.record.run")  # not loaded, no run is open
    return recorder is not None and recorder.current_run() is not None


class _Evaluations:
    """What one call of `eval()` or `eval_set()` records, with all the tries of a set."""

    def __init__(self, name: str) -> None:
        from watchkeeper.integrations.recording import Recording

        self.recording: Recording = Recording("inspect_ai")
        self.places: dict[str, Path] = {}  # by eval id, their logs
        self.running: dict[str, TaskStart] = {}  # by eval id, tasks that have not ended
        self._name = name
        self._labels: dict[
            str, str
        ] = {}  # by task id: `TASK/MODEL`, with a number where several are called the same
        self._settings: dict[str, Any] = {}
        self._ends: dict[str, EvalLog] = {}  # by task id, how the last try ended

    def start(self, task: TaskStart) -> None:
        """A task, or another try at it, starts; the try before has ended."""
        for eval_id, earlier in list(self.running.items()):
            if _identity(earlier.spec) == _identity(task.spec):
                self._end_from_log(eval_id, _read(self.places.get(eval_id)))
        self.running[task.eval_id] = task
        label = self._label(task.spec)
        is_news = label not in self._settings
        self._settings[label] = _settings(task.spec)
        if is_news and self.recording.run is not None:
            self.recording.settings({"tasks": self._settings})

    def begin(self) -> None:
        """Find the run, or start it in `<log dir>/watchkeeper/<id>`."""
        folder = Path(os.environ.get(LOG_DIR) or "logs")
        first = next(iter(self.places.values()), None)
        if first is not None:
            folder = first.parent
        config = {"tasks": self._settings}
        self.recording.begin(
            folder / FOLDER / self._name, pipeline="evaluation", config=config, signals=False
        )

    def sample(self, data: SampleEnd) -> None:
        """Keep a row of a sample's scores, or of the error that it ended with.

        `{"match": 1.0, "task": "capitalization", "model": "hf/local", "sample": 17, "epoch": 1}`.
        """
        run, task, sample = self.recording.run, self.running.get(data.eval_id), data.sample
        if run is None:
            return
        row: dict[str, Any] = {name: score.value for name, score in (sample.scores or {}).items()}
        if sample.error is not None:
            row["error"] = sample.error.message
        row |= {"task": "", "model": ""}
        if task is not None:
            row |= {"task": task.spec.task, "model": task.spec.model}
        run.log(None, **{**row, "sample": sample.id, "epoch": sample.epoch})

    def end_task(self, log: EvalLog, place: Path | None) -> None:
        """A row of the whole task, its figures as totals, its log as an output.

        `place` is the log's file; None: it lies on no filesystem of ours, and is no output.
        """
        self.running.pop(log.eval.eval_id, None)
        self._ends[_identity(log.eval)] = log
        run, label, results = self.recording.run, self._label(log.eval), log.results
        if run is None:
            return
        figures: dict[str, Any] = {}
        counted = {"samples": log.eval.dataset.samples, "samples_completed": 0}
        if results is not None:
            counted["samples_completed"] = results.completed_samples
            for score in results.scores:
                for metric in score.metrics.values():
                    figures[f"{label}/{score.name}/{metric.name}"] = metric.value
        spec = {"task": log.eval.task, "model": log.eval.model, "status": log.status}
        run.log(None, **{**figures, **counted, **spec})
        totals = {f"{label}/{name}": count for name, count in counted.items() if count is not None}
        run.totals(**figures, **totals)
        if place is not None:
            run.output(place, what=f"log of {log.eval.task} by {log.eval.model}, {log.status}")

    def end_tries(self, logs: Iterable[EvalLog]) -> None:
        """Reconcile with the logs: of an error or a cancellation the hooks say nothing."""
        logs_by_id = {log.eval.eval_id: log for log in logs}
        for eval_id, log in logs_by_id.items():
            place = _local(log.location)
            if place is not None:
                self.places[eval_id] = place
        for eval_id in list(self.running):
            self._end_from_log(eval_id, logs_by_id.get(eval_id) or _read(self.places.get(eval_id)))

    def _end_from_log(self, eval_id: str, log: EvalLog | None) -> None:
        """End a task as its log says; None: there is no log, and nothing is known of its end."""
        del self.running[eval_id]
        if log is not None:
            self.end_task(log, self.places.get(eval_id))

    def end(self, error: BaseException | None) -> None:
        """End a run of our own: finished only if every task was, in its last try."""
        self.recording.end(_outcome(error, list(self._ends.values())))

    def _label(self, spec: EvalSpec) -> str:
        """What a task is called in the run: `TASK/MODEL`, and `TASK/MODEL#2` for another one of
        that name. All tries at one task have the same.
        """
        identity = _identity(spec)
        if identity not in self._labels:
            plain = label = f"{spec.task}/{spec.model}"
            number = 2
            while label in self._labels.values():
                label, number = f"{plain}#{number}", number + 1
            self._labels[identity] = label
        return self._labels[identity]


class WatchkeeperHooks(Hooks):
    """Records each task with its model, samples, scores, end and log file; a run of our own lies in
    `<log dir>/watchkeeper/<inspect's id of the run, or of the set>`.
    """

    def __init__(self) -> None:
        self._by_run: dict[str, _Evaluations] = {}
        self._sets: dict[str, _Evaluations] = {}  # that have started, and not ended

    def enabled(self) -> bool:
        """Only where it was asked for."""
        return wanted()

    async def on_eval_set_start(self, data: EvalSetStart) -> None:
        """A call of `eval_set()`, which may take several tries."""
        self._sets[data.eval_set_id] = _Evaluations(data.eval_set_id)

    async def on_eval_set_end(self, data: EvalSetEnd) -> None:
        """All its tries are over: it ends as the last one did."""
        evaluations = self._sets.pop(data.eval_set_id, None)
        if evaluations is not None:
            evaluations.end(None)

    async def on_run_start(self, data: RunStart) -> None:
        """A call of `eval()`, of one task or many, or a try of a set."""
        self._by_run[data.run_id] = self._sets.get(data.eval_set_id or "") or _Evaluations(
            data.run_id
        )

    async def on_task_start(self, data: TaskStart) -> None:
        """Keep it for the run's configuration, and for its end, of which an error or a cancellation
        tells nothing.
        """
        evaluations = self._by_run.get(data.run_id)
        if evaluations is not None:
            evaluations.start(data)

    async def on_sample_start(self, data: SampleStart) -> None:
        """The first sample begins: now it is known where the log lies."""
        evaluations = self._by_run.get(data.run_id)
        if evaluations is None or data.eval_id in evaluations.places:
            return
        from inspect_ai.log._samples import sample_active

        active = sample_active()
        if active is not None:
            place = _local(active.log_location)
            if place is not None:
                evaluations.places[data.eval_id] = place
        evaluations.begin()

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Keep a row of the sample's scores."""
        evaluations = self._by_run.get(data.run_id)
        if evaluations is not None:
            evaluations.sample(data)

    async def on_task_end(self, data: TaskEnd) -> None:
        """A task came to its end."""
        evaluations = self._by_run.get(data.run_id)
        if evaluations is not None:
            place = _local(data.log.location) or evaluations.places.get(data.eval_id)
            if place is not None:
                evaluations.places[data.eval_id] = place
            evaluations.begin()
            evaluations.end_task(data.log, place)

    async def on_run_end(self, data: RunEnd) -> None:
        """Reconcile with the logs, and end a run of our own, unless a set is under way that may try
        again.
        """
        evaluations = self._by_run.pop(data.run_id, None)
        if evaluations is None:
            return
        evaluations.begin()
        evaluations.end_tries(data.logs)
        if data.exception is not None or data.eval_set_id not in self._sets:
            self._sets.pop(data.eval_set_id or "", None)
            evaluations.end(data.exception)


def _identity(spec: EvalSpec) -> str:
    """What the tries at one task with one model have in common."""
    return f"{spec.task_id} {spec.model}"


def _settings(spec: EvalSpec) -> dict[str, Any]:
    """What a task is evaluated with, as the run's configuration has it."""
    return {
        "task": spec.task,
        "model": spec.model,
        "samples": spec.dataset.samples,
        "dataset": spec.dataset.name,
        "task_file": spec.task_file,
        "task_args": spec.task_args,
        "model_args": spec.model_args,
        "generate": spec.model_generate_config.model_dump(exclude_none=True),
        "settings": spec.config.model_dump(exclude_none=True),
    }


@functools.cache
def register() -> None:
    """Register the hooks with Inspect, once. Its entry point does so where recording is wanted when
    Inspect starts; a program that evaluates first, and starts a run later, calls this itself.
    """
    hooks(name="watchkeeper", description="Records evaluations with Watchkeeper")(WatchkeeperHooks)


def _local(location: str) -> Path | None:
    """The log's path; None where it is on no filesystem of ours."""
    if not location:
        return None
    if location.startswith("file:"):
        return Path(unquote(urlparse(location).path))
    if "://" in location:
        return None
    return Path(location).absolute()


def _read(place: Path | None) -> EvalLog | None:
    """The head of the log, as far as it was written; None: there is none."""
    if place is None or not place.exists():
        return None
    from inspect_ai.log import read_eval_log

    return read_eval_log(str(place), header_only=True)


def _outcome(error: BaseException | None, logs: list[EvalLog]) -> BaseException | None:
    """What ended the run: None where every task succeeded. What was cancelled, or cut short, is an
    interrupt.

    `error` is what Inspect raised, None for nothing; `logs` are those of the last tries.
    """
    for log in logs:
        if log.status == "error":
            why = "error" if log.error is None else log.error.message
            return error or RuntimeError(f"{log.eval.task}: {why}")
    if isinstance(error, Exception):
        return error
    if error is not None or any(log.status != "success" for log in logs):
        return KeyboardInterrupt()
    if not logs:
        return RuntimeError("no task came to its end")
    return None


if wanted():
    register()
