"""Where the figures of a recorded run come from: its rows, what it wrote, the run, its code.
Nothing is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import (
    AnyEvent,
    Checkpoint,
    Number,
    Opened,
    OutputFile,
    RunEnded,
    RunStarted,
    SealedRows,
    StepFinished,
    Unknown,
)
from watchkeeper.launch.reproduce import today
from watchkeeper.query.recording import RecordedRun, Recording, read_run, state_of
from watchkeeper.query.trace.links import (
    Holds,
    Link,
    Trace,
    commit_link,
    kept_link,
    not_empty,
)
from watchkeeper.runfolder.search import run_folders
from watchkeeper.runfolder.values import number

_CHUNK = 1 << 20
_MOST_NAMED = 8
# What lies at an output's place today → whether its link holds, and why not.
_OUTPUT: dict[str, tuple[Holds, str]] = {
    "as kept": ("holds", ""),
    "changed": ("changed", "it is not what the run wrote"),
    "gone": ("missing", "it is gone"),
    "unknown": ("unknown", "it cannot be read"),
}


def trace_recording(folder: Path) -> Trace:
    """Follow the figures of a recorded run back.

    Raises:
        UsageError: the folder holds no recorded run, or several.
        WatchkeeperError: its journal cannot be read.
    """
    folders, _ = run_folders(folder)
    if not folders:
        raise UsageError(
            f"no recorded run is in {folder}",
            hint="give the folder of a recorded run, or EXPERIMENT KEY",
        )
    if len(folders) > 1:
        listed = ", ".join(str(one.relative_to(folder)) for one in folders[:_MOST_NAMED])
        raise UsageError(
            f"{folder} holds {len(folders)} recorded runs, and one is traced at a time",
            hint=f"name one of them: {listed}",
        )
    run, _ = read_run(folders[0], folders[0].name, all_rows=False, is_alone=True)
    if run is None:
        raise UsageError(
            f"nothing was recorded in {folders[0]}", hint="give the folder of a recorded run"
        )
    return Trace(experiment=str(run.folder), key="", links=list(_links(run)))


def _links(run: RecordedRun) -> Iterator[Link]:
    """The chain of a recorded run, from its figures back to its code: rows, what it wrote,
    checkpoints, the run itself, its code, its environment and its commit.
    """
    started = run.started
    if started is None:
        why = "its journal does not say how it began"
        yield Link(what="run", name=run.name, holds="unknown", why=why)
        return
    own = [event for event in run.events if event.writer == started.writer]
    yield from _rows(run)
    yield from _outputs(run.folder, own)
    yield from _checkpoints(run.folder, own)
    facts = _run_facts(started, own) | {"state": state_of(run)}
    yield Link(what="run", name=started.run_id, holds="holds", facts=not_empty(facts))
    objects = run.folder / layout.OBJECTS
    for name, sha256 in started.code.items():
        why = "its hash was recorded; its bytes were not kept"
        yield Link(what="file", name=name, holds="unknown", why=why, facts={"sha256": sha256})
    if started.environment_sha256:
        yield kept_link("environment", "of the program", started.environment_sha256, objects)
    yield commit_link(started, run.folder)


def _rows(run: RecordedRun) -> Iterator[Link]:
    """The files of rows, beside the hashes of the run's end; the last figures stand at the first
    of them.
    """
    figures = _figures(Recording([run]))
    ended = run.ended
    if ended is None or not ended.files:
        why = "the run's end, which would have their hash, was not recorded"
        if ended is not None:
            why = "the run's end names none"
        yield Link(what="rows", name=str(layout.METRICS), holds="unknown", why=why, metrics=figures)
        return
    for sealed in ended.files:
        holds, why = _rows_today(run.folder / sealed.path, sealed)
        facts = {"rows": str(sealed.rows), "sha256": sealed.sha256}
        yield Link(
            what="rows",
            name=sealed.path,
            holds=holds,
            why=why,
            facts=not_empty(facts),
            metrics=figures,
        )
        figures = {}


def _figures(recording: Recording) -> dict[str, Number]:
    """The last figure of each metric, and the totals."""
    figures: dict[str, Number] = {}
    for name, value in recording.last.items():
        figure = number(value)
        if name != "step" and figure is not None:
            figures[name] = figure
    return figures | recording.totals


def _rows_today(path: Path, sealed: SealedRows) -> tuple[Holds, str]:
    """Whether the first bytes of a file of rows are those that the run's end counted."""
    if not sealed.sha256:
        return "unknown", "no hash could be taken at the run's end"
    try:
        sha256 = _hash_of_start(path, sealed.bytes)
    except FileNotFoundError:
        return "missing", "it is gone"
    except OSError as error:
        return "unknown", f"it cannot be read: {error.strerror}"
    if sha256 == sealed.sha256:
        return "holds", ""
    return "changed", "its rows are not those that the run wrote"


def _hash_of_start(path: Path, size: int) -> str:
    """The sha256 of the first `size` bytes.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with files.open_regular(path) as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()


def _outputs(folder: Path, events: Sequence[AnyEvent | Unknown]) -> Iterator[Link]:
    """The files that the run and its stages wrote, each as it was named last."""
    outputs: dict[str, OutputFile] = {}
    for event in events:
        if isinstance(event, StepFinished | RunEnded):
            outputs.update({output.path: output for output in event.outputs})
    for output in outputs.values():
        holds, why = _OUTPUT[today(folder / output.path, output.sha256)]
        facts = {"sha256": output.sha256, "stage": output.step}
        yield Link(what="output", name=output.path, holds=holds, why=why, facts=not_empty(facts))


def _checkpoints(folder: Path, events: Sequence[AnyEvent | Unknown]) -> Iterator[Link]:
    """The checkpoints, each as it was recorded last. Only the sizes of their files are known."""
    checkpoints: dict[str, Checkpoint] = {}
    for event in events:
        if isinstance(event, Checkpoint):
            checkpoints[event.path] = event
    for checkpoint in checkpoints.values():
        holds, why = _checkpoint_today(folder / checkpoint.path, checkpoint)
        facts = {"size": f"{sum(file.size_bytes for file in checkpoint.files):,} bytes"}
        if checkpoint.training_step is not None:
            facts["training step"] = str(checkpoint.training_step)
        yield Link(what="checkpoint", name=checkpoint.path, holds=holds, why=why, facts=facts)


def _checkpoint_today(path: Path, checkpoint: Checkpoint) -> tuple[Holds, str]:
    """Whether the files at `path` have the sizes that were recorded. A checkpoint is a folder, or
    one file, which then has its name from the path.
    """
    for file in checkpoint.files:
        place = path / file.path
        if file.path == path.name and not path.is_dir():
            place = path
        try:
            size = place.stat().st_size
        except FileNotFoundError:
            return "missing", f"{file.path} is gone"
        except OSError as error:
            return "unknown", f"{file.path} cannot be read: {error.strerror}"
        if size != file.size_bytes:
            return "changed", f"{file.path} has {size:,} bytes, and had {file.size_bytes:,}"
    return "unknown", "all sizes are as recorded; no hash was recorded"


def _run_facts(started: RunStarted, events: Sequence[AnyEvent | Unknown]) -> dict[str, str]:
    """When and where the run began, and what began it."""
    host = ""
    for event in events:
        if isinstance(event, Opened):
            host = event.host
    seed = ""
    if started.seed is not None:
        seed = str(started.seed)
    return {
        "started": started.time.isoformat(timespec="seconds"),
        "pipeline": started.pipeline,
        "host": host,
        "job": started.job_id,
        "attempt": started.attempt,
        "seed": seed,
    }
