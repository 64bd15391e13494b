"""What a run left on the disk: its checkpoints against what they held, and its stages."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from watchkeeper.core.events import Checkpoint, StepFinished, StepStarted
from watchkeeper.query.views.pages import CheckpointRow, StageRow
from watchkeeper.query.views.run_page.subject import RecordedFolder, Subject
from watchkeeper.query.views.shared import Standing

_PASSPORT = "MODEL_PASSPORT.json"
_SIGNOFF = "SIGNOFF.json"
_MOST_NAMED = 3  # files that are missing


def checkpoints_of(subject: Subject) -> list[CheckpointRow]:
    """The recorded checkpoints, the newest first; of one path the last word counts."""
    rows: dict[Path, CheckpointRow] = {}
    for folder in subject.folders:
        for event in folder.events:
            if isinstance(event, Checkpoint):
                path = folder.folder / event.path
                rows.pop(path, None)
                rows[path] = _checkpoint(path, event, subject.folder)
    return list(reversed(rows.values()))


def checkpoint_fault(path: Path, event: Checkpoint) -> tuple[bool | None, str]:
    """Whether a checkpoint lies there as it was recorded, and what is not as it was. None: that
    cannot be told.

        (True, "")
        (False, "model.safetensors has 1,024 of 2,048 bytes; optimizer.pt is gone")
        (None, "which files it has was not recorded")

    Only names and sizes are compared: no file is read.
    """
    if not event.files:
        return None, "which files it has was not recorded"
    faults: list[str] = []
    for file in event.files:
        place = _place_of(path, file.path, is_alone=len(event.files) == 1)
        try:
            status = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            faults.append(f"{file.path} is gone")
            continue
        except OSError as error:
            return None, f"{file.path} cannot be read: {error.strerror}"
        if not stat.S_ISREG(status.st_mode):
            faults.append(f"{file.path} is no file")
        elif status.st_size != file.size_bytes:
            faults.append(f"{file.path} has {status.st_size:,} of {file.size_bytes:,} bytes")
    return not faults, _listed(faults)


def _place_of(path: Path, name: str, *, is_alone: bool) -> Path:
    """Where a file of a checkpoint lies: a checkpoint that is one file has its own name."""
    if is_alone and name == path.name and not path.is_dir():
        return path
    return path / name


def _listed(faults: list[str]) -> str:
    """The first faults, and how many more there are; "" for none."""
    shown = "; ".join(faults[:_MOST_NAMED])
    if len(faults) > _MOST_NAMED:
        return f"{shown}; and {len(faults) - _MOST_NAMED} more"
    return shown


def _checkpoint(path: Path, event: Checkpoint, top: Path) -> CheckpointRow:
    """The row of a checkpoint, as it lies there now. `top` is the folder from which its path is
    shown.
    """
    is_whole, missing = checkpoint_fault(path, event)
    return CheckpointRow(
        step=event.training_step,
        path=shown_path(path, top),
        size=sum(file.size_bytes for file in event.files) or None,
        is_whole=is_whole,
        missing=missing,
        saved=event.time,
        passport=_beside(path, _PASSPORT),
        signoff=_beside(path, _SIGNOFF),
    )


def _beside(path: Path, name: str) -> str:
    """The file of a name in a checkpoint's folder; "" for none."""
    if os.path.isfile(path / name):  # noqa: PTH113 - a folder without permission is no error
        return name
    return ""


def shown_path(path: Path, top: Path) -> str:
    """A path below the run's folder as one sees it from there; any other whole. The program may
    have named it otherwise than the folder was typed.
    """
    for above in (top, top.absolute(), top.resolve()):
        if path.is_relative_to(above):
            return str(path.relative_to(above))
    return str(path)


def stages_of(folder: RecordedFolder | None, *, is_running: bool) -> list[StageRow]:
    """The stages in the order in which they began; of one name the last word counts."""
    if folder is None:
        return []
    stages: dict[str, StepStarted | StepFinished] = {}
    for event in folder.events:
        if isinstance(event, StepStarted | StepFinished):
            stages[event.label or event.step] = event
    return list(_stages(stages, is_running=is_running))


def _stages(
    stages: dict[str, StepStarted | StepFinished], *, is_running: bool
) -> Iterator[StageRow]:
    """The rows of the stages, by their last event. One that has only begun runs if its run does;
    else it has failed, as its run ended before it.
    """
    for name, event in stages.items():
        if isinstance(event, StepFinished):
            yield _finished(name, event)
            continue
        state: tuple[str, Standing] = ("not ended", "failed")
        if is_running:
            state = ("running", "running")
        yield StageRow(
            name=name, state=state[0], standing=state[1], rows_in=None, rows_out=None,
            elapsed_s=None, started=event.time,
        )  # fmt: skip


def _finished(name: str, event: StepFinished) -> StageRow:
    """The row of a stage that is over: done, failed, or taken over from an earlier run."""
    state: tuple[str, Standing] = ("done", "done")
    if event.error:
        state = ("failed", "failed")
    elif event.reused_from:
        state = ("reused", "done")
    return StageRow(
        name=name,
        state=state[0],
        standing=state[1],
        rows_in=event.row_count_in,
        rows_out=event.row_count_out,
        elapsed_s=event.duration_s,
        started=event.started,
    )
