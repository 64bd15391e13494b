"""What a run says of its results: checkpoints, output files and totals."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from watchkeeper.core.disk import files
from watchkeeper.core.events import Checkpoint, CheckpointFile, Number
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.writing.logged import no_step
from watchkeeper.record.writing.manifest import facts_of
from watchkeeper.runfolder.values import number, text, whole_step


class Results:
    """The results of one run."""

    def __init__(self, recorder: Recorder) -> None:
        self.totals: dict[str, Number] = {}
        self._recorder = recorder

    def keep_checkpoint(self, path: str | os.PathLike[str], training_step: object) -> None:
        """Write down a checkpoint, a file or a folder, with its files and their sizes."""
        recorder = self._recorder
        if recorder.refuses("checkpoints"):
            return
        with recorder.harmless(f"the checkpoint {path} could not be recorded"):
            place = Path(path).absolute()
            held = _checkpoint_files(place)
            if not held:
                recorder.warn(
                    f"checkpoint {place}", f"no checkpoint recorded: there is no file at {place}"
                )
                return
            step = whole_step(training_step)
            unusable_step = ""
            if step is None and training_step is not None:
                unusable_step = text(training_step)
                self._warn_of_step(training_step, place)
            recorder.write(
                Checkpoint, path=str(place), files=held, training_step=step, step_=unusable_step
            )

    def _warn_of_step(self, training_step: object, place: Path) -> None:
        message = no_step(
            "run.checkpoint", training_step, f"{place} keeps it as `step_`", "whole number"
        )
        self._recorder.warn("checkpoint step", message)

    def keep_output(self, path: str | os.PathLike[str], what: str) -> None:
        """Keep the size and the hash of a result."""
        recorder = self._recorder
        if recorder.refuses("outputs"):
            return
        with recorder.harmless(f"the output {path} could not be recorded"):
            facts = facts_of(Path(path), recorder.folder, what=text(what))
            recorder.outputs[facts.path] = facts

    def keep_totals(self, totals: Mapping[str, object]) -> None:
        """Keep figures of the whole run; of one name the last counts."""
        recorder = self._recorder
        if recorder.refuses("totals"):
            return
        for name, value in totals.items():
            figure = number(value)
            if figure is None:
                recorder.warn(f"total {name}", f"the total {text(name)} is no number, and left out")
            else:
                self.totals[text(name)] = figure


def _checkpoint_files(place: Path) -> tuple[CheckpointFile, ...]:
    """The files of a checkpoint with their sizes, sorted by path; temporaries left out."""
    if place.is_file():
        return (CheckpointFile(path=place.name, size_bytes=place.stat().st_size),)
    paths = sorted(
        path
        for path in place.rglob("*")
        if path.is_file() and not path.name.startswith(files.TEMPORARY_PREFIX)
    )
    return tuple(
        CheckpointFile(path=str(path.relative_to(place)), size_bytes=path.stat().st_size)
        for path in paths
    )
