"""The stages of one run: their labels, their begin and end, and those that are reused."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from watchkeeper.core.events import StepFinished, StepStarted
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.stages.step import Labels, Step
from watchkeeper.record.stopping import endings
from watchkeeper.record.writing.manifest import (
    STEP_FILE,
    earlier_step,
    fingerprint,
    put,
    step_line,
    step_manifest,
)
from watchkeeper.runfolder.values import text


class Stages:
    """The stages of one run."""

    def __init__(self, recorder: Recorder) -> None:
        self.failed = ""
        """The label of the first stage that failed; "" for none."""
        self._recorder = recorder
        self._labels = Labels()

    @contextlib.contextmanager
    def run(self, name: str, inputs: Iterable[object] | None, items_shown: int) -> Iterator[Step]:
        """Record a stage around a block; see `Run.step`."""
        recorder = self._recorder
        if recorder.is_over:
            recorder.refuses("steps")
            yield self._new_step(text(name), items_shown)
            return
        stage = self._new_step(text(name), items_shown)
        mark = self._fingerprint(stage, inputs)
        recorder.log.attach()
        recorder.log.enter(stage.label)
        began, started = time.monotonic(), recorder.clock()
        recorder.write(
            StepStarted, step=stage.name, label=stage.label, index=stage.index, fingerprint=mark
        )
        recorder.say(logging.INFO, "Starting step %s", stage.label)
        failure: BaseException | None = None
        try:
            yield stage
        except BaseException as error:
            if endings.is_failure(error):
                failure = error
            raise
        finally:
            with recorder.harmless(f"the end of step {stage.label} could not be written down"):
                self._finish(stage, started, time.monotonic() - began, failure, mark)
            recorder.log.leave(stage.label)

    def after_fork(self) -> None:
        """In the child: the locks are the parent's."""
        self._labels.after_fork()

    def _new_step(self, name: str, items_shown: int) -> Step:
        recorder = self._recorder
        label, index = self._labels.take(name, recorder.log.here())
        return Step(
            name,
            label,
            index,
            recorder.folder,
            persist=recorder.options.persist,
            records=recorder.records,
            items_shown=items_shown,
            say=recorder.log.say,
        )

    def _fingerprint(self, stage: Step, inputs: Iterable[object] | None) -> str:
        """The fingerprint of a stage's inputs. A stage that an earlier run finished on the same
        inputs is taken over.
        """
        if inputs is None:
            return ""
        recorder = self._recorder
        with recorder.harmless(
            f"step {stage.label}: its inputs could not be read, and it is not reused"
        ):
            mark = fingerprint(inputs)
            earlier = earlier_step(recorder.options.earlier, stage.label, mark)
            if earlier is not None:
                stage._take_over(earlier)
            return mark
        return ""

    def _finish(
        self,
        stage: Step,
        started: datetime,
        duration_s: float,
        failure: BaseException | None,
        mark: str,
    ) -> None:
        recorder = self._recorder
        for message, count in stage._items_left_out().items():
            recorder.say(logging.INFO, "%d more at DEBUG: %s", count, message)
        if stage.not_numbers:
            names = ", ".join(dict.fromkeys(stage.not_numbers))
            recorder.warn(
                f"step {stage.name}", f"step {stage.name}: no numbers, and left out: {names}"
            )
        error, level = "", logging.INFO
        if failure is not None:
            self.failed = self.failed or stage.label
            error, level = endings.describe(failure), logging.ERROR
        event = recorder.write(
            StepFinished,
            step=stage.name,
            label=stage.label,
            index=stage.index,
            started=started,
            duration_s=round(duration_s, 6),
            writing_s=round(stage.writing_s, 6),
            row_count_in=stage.row_count_in,
            row_count_out=stage.row_count_out,
            metrics=dict(stage.key_metrics),
            outputs=tuple(stage.output_files),
            fingerprint=mark,
            reused_from=stage.reused_from,
            error=error,
        )
        recorder.outputs.update({output.path: output for output in stage.output_files})
        if event is not None:
            recorder.say(level, "%s", step_line(event))
            put(
                recorder.homes,
                f"{stage.label}/{STEP_FILE}",
                step_manifest(recorder.started, event),
            )
