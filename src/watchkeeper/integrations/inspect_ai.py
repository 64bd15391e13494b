"""Inspect: evaluations recorded by hooks, which Inspect finds by the entry point of this package.

Nothing happens in an `inspect eval` unless it is asked for: a run goes on in the process, WATCHKEEPER_INSPECT=1 is set, or
the job was submitted by Watchkeeper. Rows have no training step.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from inspect_ai.hooks import Hooks, RunEnd, RunStart, SampleEnd, SampleStart, TaskEnd, TaskStart, hooks

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

    from watchkeeper.integrations.recording import Recording

VARIABLE = "WATCHKEEPER_INSPECT"
ATTEMPT = "WATCHKEEPER_ATTEMPT"
LOG_DIR = "INSPECT_LOG_DIR"
FOLDER = "watchkeeper"  # below Inspect's log directory, with a folder for each of its runs


def wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether evaluations of this process are to be recorded now."""
    if environ.get(VARIABLE):
        return environ[VARIABLE].lower() not in ("0", "false", "no", "off")
    recorder = sys.modules.get("watchkeeper.record.run")  # not loaded, no run goes on
    return bool(environ.get(ATTEMPT)) or (recorder is not None and recorder.current_run() is not None)


class WatchkeeperHooks(Hooks):
    """Records each task with its model, samples, scores, end and log file; a run of our own lies in
    `<log dir>/watchkeeper/<inspect's run id>`.
    """

    def __init__(self) -> None:
        self._recording: Recording | None = None
        self._tasks: dict[str, TaskStart] = {}  # by eval id, those that have not ended
        self._places: dict[str, Path] = {}  # by eval id, their logs
        self._ends: list[EvalLog] = []

    def enabled(self) -> bool:
        """Only where it was asked for."""
        return wanted()

    async def on_run_start(self, data: RunStart) -> None:
        """A call of `eval()`, of one task or many."""
        from watchkeeper.integrations.recording import Recording

        self._recording = Recording("inspect_ai")
        self._tasks, self._places, self._ends = {}, {}, []

    async def on_task_start(self, data: TaskStart) -> None:
        """Keep it for the run's configuration, and for its end, of which an error or a cancellation tells nothing."""
        self._tasks[data.eval_id] = data

    async def on_sample_start(self, data: SampleStart) -> None:
        """The first sample begins: now it is known where the log lies."""
        if data.eval_id not in self._places:
            from inspect_ai.log._samples import sample_active

            active = sample_active()
            if active is not None and (place := _local(active.log_location)) is not None:
                self._places[data.eval_id] = place
            self._begin(data.run_id)

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Keep a row of the sample's scores."""
        run = self._recording.run if self._recording is not None else None
        task = self._tasks.get(data.eval_id)
        if run is not None:
            sample = data.sample
            scores = {name: score.value for name, score in (sample.scores or {}).items()}
            failed = {"error": sample.error.message} if sample.error is not None else {}
            name = task.spec.task if task is not None else ""
            run.log(None, **{**scores, **failed, "task": name, "sample": sample.id, "epoch": sample.epoch})

    async def on_task_end(self, data: TaskEnd) -> None:
        """A task came to its end."""
        self._begin(data.run_id)
        self._tasks.pop(data.eval_id, None)
        self._end_task(data.log, _local(data.log.location) or self._places.get(data.eval_id))

    async def on_run_end(self, data: RunEnd) -> None:
        """Reconcile with the logs, and end a run of our own: finished only if every task was."""
        if self._recording is None:
            return
        told = {log.eval.eval_id: log for log in data.logs}
        self._places.update({key: place for key, log in told.items() if (place := _local(log.location)) is not None})
        self._begin(data.run_id)
        for eval_id in list(self._tasks):
            del self._tasks[eval_id]
            place = self._places.get(eval_id)
            log = told.get(eval_id) or _read(place)
            if log is not None:
                self._end_task(log, place)
        self._recording.end(_outcome(data.exception, self._ends))

    def _begin(self, run_id: str) -> None:
        recording = self._recording
        if recording is None or recording.run is not None:
            return
        first = next(iter(self._places.values()), None)
        folder = first.parent if first is not None else Path(os.environ.get(LOG_DIR) or "logs")
        recording.begin(folder / FOLDER / run_id, pipeline="evaluation", config=self._config(), signals=False)

    def _config(self) -> dict[str, Any]:
        return {
            "tasks": {
                task.spec.task: {
                    "model": task.spec.model,
                    "samples": task.spec.dataset.samples,
                    "dataset": task.spec.dataset.name,
                    "task_file": task.spec.task_file,
                    "task_args": task.spec.task_args,
                    "model_args": task.spec.model_args,
                    "generate": task.spec.model_generate_config.model_dump(exclude_none=True),
                    "settings": task.spec.config.model_dump(exclude_none=True),
                }
                for task in self._tasks.values()
            }
        }

    def _end_task(self, log: EvalLog, place: Path | None) -> None:
        """A row of the whole task, its figures as totals, its log as an output."""
        run = self._recording.run if self._recording is not None else None
        self._ends.append(log)
        if run is None:
            return
        results = log.results
        figures = {
            f"{log.eval.task}/{score.name}/{metric.name}": metric.value
            for score in (results.scores if results is not None else [])
            for metric in score.metrics.values()
        }
        done = results.completed_samples if results is not None else 0
        counted = {"samples": log.eval.dataset.samples, "samples_completed": done}
        run.log(None, **{**figures, **counted, "task": log.eval.task, "model": log.eval.model, "status": log.status})
        run.totals(**figures, **{f"{log.eval.task}/{name}": count for name, count in counted.items() if count is not None})
        if place is not None:
            run.output(place, what=f"log of {log.eval.task}, {log.status}")


@functools.cache
def register() -> None:
    """Register the hooks with Inspect, once. Its entry point does so where recording is wanted when Inspect starts; a
    program that evaluates first, and starts a run later, calls this itself.
    """
    hooks(name="watchkeeper", description="Records evaluations with Watchkeeper")(WatchkeeperHooks)


def _local(location: str) -> Path | None:
    """The log's path; None where it is on no filesystem of ours."""
    if not location:
        return None
    if location.startswith("file:"):
        return Path(unquote(urlparse(location).path))
    return None if "://" in location else Path(location).absolute()


def _read(place: Path | None) -> EvalLog | None:
    """The head of the log, as far as it was written."""
    if place is None or not place.exists():
        return None
    from inspect_ai.log import read_eval_log

    return read_eval_log(str(place), header_only=True)


def _outcome(error: BaseException | None, logs: list[EvalLog]) -> BaseException | None:
    """What ended the run: None where every task succeeded. What was cancelled, or cut short, is an interrupt."""
    for log in logs:
        if log.status == "error":
            return error or RuntimeError(f"{log.eval.task}: {log.error.message if log.error is not None else 'error'}")
    if error is not None and isinstance(error, Exception):
        return error
    if error is not None or any(log.status != "success" for log in logs):
        return KeyboardInterrupt()
    return None if logs else RuntimeError("no task came to its end")


if wanted():
    register()
