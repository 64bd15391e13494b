"""What a run and its steps leave to read: `step_manifest.json`, `run_manifest.json`, and the log's
first and last lines.

All of them are functions of the run's events: `rebuild` makes the manifests again to the same
bytes. Fingerprints say whether a step's inputs are those of an earlier run.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.code import code_files
from watchkeeper.core.disk.files import open_regular, read_whole
from watchkeeper.core.events import (
    AnyEvent,
    Checkpoint,
    CodeCompared,
    Event,
    Number,
    OutputFile,
    Renamed,
    RunEnded,
    RunStarted,
    StepFinished,
    TableSealed,
    Unknown,
)
from watchkeeper.core.events.choose import Events, of_kind, with_code
from watchkeeper.core.journal import SUFFIX, encode_json, read
from watchkeeper.record.writing.homes import Homes
from watchkeeper.record.writing.leftout import words_of
from watchkeeper.runfolder.places import RUN_MANIFEST
from watchkeeper.runfolder.values import text, tree

E = TypeVar("E", bound=Event)

STEP_FILE = "step_manifest.json"
RUN_FILE = RUN_MANIFEST
CONFIG_LINES = 60  # of a configuration's summary in the log
VALUE_LIMIT = 120  # characters of one value in it
CODE_NAMES = 5  # of files that no commit holds, in the log's first lines
EARLIER_RUNS = 50  # how many are looked through for a finished step


def place_of_code(place: Path | None) -> Path:
    """Where this run's code begins: at `place`, a script or a folder; None: at the running program.
    A notebook, a prompt and an installed program have the working directory, and no file.
    """
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if place is None and main and not code_files.is_installed(Path(main)):
        place = Path(main)
    return place or Path.cwd()


# ── files and fingerprints


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_of(path: Path, run_folder: Path, *, step: str = "", what: str = "") -> OutputFile:
    """A file as an output, its path relative to the run's folder where it lies in it.

    Raises:
        OSError: it cannot be read.
    """
    place = Path(os.path.normpath(path.absolute()))
    if place.is_relative_to(run_folder):
        shown = place.relative_to(run_folder)
    else:
        shown = place
    return OutputFile(
        path=str(shown),
        size_bytes=place.stat().st_size,
        sha256=sha256_of(place),
        step=step,
        what=what,
    )


def fingerprint(inputs: Iterable[object]) -> str:
    """One hash over a step's inputs: a `Path` by the bytes it leads to (a folder by its files'
    names and bytes), anything else by its value. Where a file lies does not count.

    Raises:
        OSError: a path is not there, or cannot be read.
    """
    digest = hashlib.sha256()
    for value in inputs:
        if isinstance(value, Path):
            for name, path in _files_of(value):
                digest.update(f"file {name!r} {sha256_of(path)}\n".encode())
        else:
            ordered = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
            digest.update(b"value " + msgspec.json.encode(tree(ordered), order="sorted") + b"\n")
    return digest.hexdigest()


def _files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """A file with its name; of a folder each file in it, with its path below the folder."""
    if not path.is_dir():
        yield path.name, path
        return
    for inner in sorted(path.rglob("*")):
        if inner.is_file():
            yield str(inner.relative_to(path)), inner


class Earlier(NamedTuple):
    """A finished step of an earlier run: its event, its run's folder, its outputs by file name."""

    event: StepFinished
    folder: Path
    outputs: dict[str, Path]


def earlier_runs(root: Path, pipeline: str) -> list[Path]:
    """The folders of the pipeline's runs below `root`, the newest first, by the names of the
    journal's files: a folder that the program has named need not sort by time.
    """
    try:
        folders = [root / entry.name for entry in os.scandir(root) if entry.is_dir()]
    except OSError:
        return []
    by_age = sorted(((_last_writer(folder), folder) for folder in folders), reverse=True)
    runs = [folder for writer, folder in by_age if writer]
    return [
        folder
        for folder in runs[:EARLIER_RUNS]
        if any(e.pipeline == pipeline for e in _of(folder, RunStarted))
    ]


def _last_writer(folder: Path) -> str:
    """The writer that began last in a run's folder; "" where there is no journal."""
    try:
        return max(
            (name for name in os.listdir(folder / layout.JOURNAL) if name.endswith(SUFFIX)),
            default="",
        )
    except OSError:
        return ""


def earlier_step(folders: Sequence[Path], label: str, of_inputs: str) -> Earlier | None:
    """The newest finished step of this label and fingerprint whose outputs are all there, byte for
    byte; None for none. A step that left no outputs stands for nothing.
    """
    for folder in folders:
        for event in reversed(_of(folder, StepFinished)):
            if (
                event.label == label
                and event.fingerprint == of_inputs
                and event.outputs
                and not event.error
            ):
                outputs = {Path(output.path).name: folder / output.path for output in event.outputs}
                if all(_is_there(folder / output.path, output) for output in event.outputs):
                    return Earlier(event, folder, outputs)
    return None


def _is_there(path: Path, output: OutputFile) -> bool:
    """Whether an output is still the file that was recorded."""
    try:
        return path.stat().st_size == output.size_bytes and sha256_of(path) == output.sha256
    except OSError:
        return False


def _of(folder: Path, kind: type[E]) -> list[E]:
    """The events of a kind in a recorded run's journal."""
    journal = read(folder / layout.JOURNAL)
    return of_kind(journal.events, kind)


# ── the files


def step_status(event: StepFinished) -> str:
    """How a step ended: finished, reused or failed."""
    if event.error:
        return "failed"
    if event.reused_from:
        return "reused"
    return "finished"


def step_manifest(run: RunStarted, event: StepFinished) -> bytes:
    """The bytes of `<NN_step>/step_manifest.json`."""
    return encode_json(
        {
            "run_id": run.run_id,
            "pipeline": run.pipeline,
            "step": event.label,
            "index": event.index,
            "status": step_status(event),
            "started": event.started,
            "finished": event.time,
            "duration_s": event.duration_s,
            "compute_s": round(max(event.duration_s - event.writing_s, 0.0), 6),
            "writing_s": event.writing_s,
            "row_count_in": event.row_count_in,
            "row_count_out": event.row_count_out,
            "metrics": event.metrics,
            "outputs": [_output(output) for output in event.outputs],
            "inputs_fingerprint": event.fingerprint,
            "reused_from": event.reused_from,
            "error": event.error,
        }
    )


def _output(output: OutputFile) -> dict[str, Any]:
    """An output as a manifest has it."""
    return {
        "path": output.path,
        "size_bytes": output.size_bytes,
        "sha256": output.sha256,
        "what": output.what,
    }


def run_manifest(events: Sequence[AnyEvent | Unknown]) -> bytes | None:
    """The bytes of `run_manifest.json` from the events of the process that started the run; None
    before its end.
    """
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    ended = next((event for event in events if isinstance(event, RunEnded)), None)
    if started is None or ended is None:
        return None
    started = with_code(started, events)
    return encode_json(
        {
            "run_id": started.run_id,
            "pipeline": started.pipeline,
            "status": ended.status,
            "started": started.time,
            "finished": ended.time,
            "duration_s": ended.duration_s,
            "config": started.config,
            "seed": started.seed,
            "git_sha": started.git_sha,
            "git_branch": started.git_branch,
            "git_dirty": started.git_dirty,
            "uncommitted": started.uncommitted,
            "code": started.code,
            "steps": _steps(events),
            "outputs": [{**_output(output), "step": output.step} for output in ended.outputs],
            "tables": [msgspec.to_builtins(e) for e in events if isinstance(e, TableSealed)],
            "checkpoints": [_checkpoint(e) for e in events if isinstance(e, Checkpoint)],
            "totals": ended.totals,
            "metric_rows": ended.metric_rows,
            "lost_rows": ended.lost_rows,
            **({"left_out": ended.left_out} if ended.left_out else {}),
            "timeouts": ended.timeouts,
            "limited_calls": ended.limited_calls,
            "recorder_s": ended.recorder_s,
            "error": ended.error,
        }
    )


def _steps(events: Sequence[AnyEvent | Unknown]) -> list[dict[str, object]]:
    """The run's finished steps, each with the path of its manifest."""
    names = {event.name: event.path for event in events if isinstance(event, Renamed)}
    steps: list[dict[str, object]] = []
    for event in events:
        if not isinstance(event, StepFinished):
            continue
        manifest = f"{event.label}/{STEP_FILE}"
        steps.append(
            {
                "step": event.label,
                "index": event.index,
                "status": step_status(event),
                "duration_s": event.duration_s,
                "row_count_in": event.row_count_in,
                "row_count_out": event.row_count_out,
                "manifest": names.get(manifest, manifest),
            }
        )
    return steps


def _checkpoint(event: Checkpoint) -> dict[str, object]:
    """A checkpoint as a manifest has it."""
    return {
        "path": event.path,
        "training_step": event.training_step,
        "files": msgspec.to_builtins(event.files),
    }


def explained(events: Events) -> dict[str, list[bytes]]:
    """Each manifest that the journal explains, by its name in the run's folder: what every run and
    step left there, the last one's last.
    """
    made: dict[str, list[bytes]] = {}
    started: RunStarted | None = None
    for held in _by_age(events):
        started = next((event for event in held if isinstance(event, RunStarted)), started)
        for step in (event for event in held if isinstance(event, StepFinished) and event.label):
            if started is not None:
                made.setdefault(f"{step.label}/{STEP_FILE}", []).append(
                    step_manifest(started, step)
                )
        whole = run_manifest(held)
        if whole is not None:
            made.setdefault(RUN_FILE, []).append(whole)
    return made


def _by_age(events: Events) -> list[list[AnyEvent | Unknown]]:
    """Each writer's events, the writer that began first first: ids tell it to the second only."""
    held = [list(own) for own in events.values()]
    return sorted((own for own in held if own), key=lambda own: own[0].time)


def is_explained(path: Path, contents: Iterable[bytes]) -> bool:
    """Whether this file is one of these documents, or as an older version wrote it, with fewer
    fields.
    """
    try:
        data = read_whole(path)
        held = msgspec.json.decode(data)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(data == whole or _is_part(held, msgspec.json.decode(whole)) for whole in contents)


def _is_part(held: Any, whole: Any) -> bool:
    """Whether every field of `held` stands in `whole` with the same value."""
    if isinstance(held, dict) and isinstance(whole, dict):
        return bool(held) == bool(whole) and all(
            name in whole and _is_part(held[name], whole[name]) for name in held
        )
    if isinstance(held, list) and isinstance(whole, list):
        return len(held) == len(whole) and all(
            _is_part(one, other) for one, other in zip(held, whole, strict=True)
        )
    return type(held) is type(whole) and bool(held == whole)


def put(homes: Homes, name: str, data: bytes) -> Path:
    """Leave a manifest in the run's folder, and return where. What the journal does not explain is
    not replaced.

    Raises:
        StorageError: it could not be written.
    """
    return homes.put(
        name, data, lambda path: is_explained(path, explained(homes.events()).get(name, ()))
    )


def rebuild(folder: Path) -> list[Path]:
    """Make a run folder's manifests again from its journal, and return their paths. Of several runs
    in one folder, the later one's win, as they did at the time. What the journal does not explain
    is not replaced.

    Raises:
        StorageError: one could not be written.
    """
    homes = Homes(folder)
    return [put(homes, name, contents[-1]) for name, contents in explained(homes.events()).items()]


# ── the log's lines


def opening(event: RunStarted) -> list[str]:
    """The log's first lines: where, the configuration, seed, commit."""
    lines = [f"Run started: {event.folder}"]
    if event.world_size > 1 or event.execution > 1:
        lines.append(
            f"Processes: {event.world_size}, of which this one records; execution {event.execution}"
        )
    flat = list(_flat(event.config))
    lines += [f"Config: {name}={text(value, VALUE_LIMIT)}" for name, value in flat[:CONFIG_LINES]]
    if len(flat) > CONFIG_LINES:
        lines.append(f"Config: {len(flat) - CONFIG_LINES} more in {RUN_FILE}")
    lines.append(f"Seed: {'none' if event.seed is None else event.seed}")
    lines.append(_git_line(event))
    return lines


def _git_line(event: RunStarted) -> str:
    """The commit, and what ran that it does not hold."""
    if not event.git_sha:
        return "Git: no commit" + (f": {event.git_fault}" if event.git_fault else "")
    words = [event.git_branch, changes_of(event)]
    return f"Git: {event.git_sha} ({', '.join(filter(None, words))})"


def changes_of(event: RunStarted | CodeCompared) -> str:
    """What ran that the commit does not hold, in words; "" where nobody knows, and the reason where
    it is known.
    """
    words = ["with uncommitted changes"] if event.git_dirty else []
    if event.uncommitted:
        more = len(event.uncommitted) - CODE_NAMES
        names = ", ".join(event.uncommitted[:CODE_NAMES]) + (
            f" and {more} more" if more > 0 else ""
        )
        words.append(f"not in the commit: {names}")
    elif event.git_dirty is False:
        words.append("clean")
    elif event.git_dirty is None and event.git_fault:
        words.append(f"whether there are uncommitted changes is unknown: {event.git_fault}")
    return ", ".join(words)


def _flat(config: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The settings of a configuration with nested names joined by dots: `optimizer.lr`."""
    for name, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def figures(values: dict[str, Number]) -> str:
    """`a=1, b=0.25`, floats by six significant digits."""
    return ", ".join(
        f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def step_line(event: StepFinished) -> str:
    """How a step's end reads in the log."""
    if event.error:
        return f"Failed step {event.label} after {event.duration_s:.3f} s: {event.error}"
    parts = []
    if event.row_count_in is not None or event.row_count_out is not None:
        known = [
            "-" if count is None else str(count)
            for count in (event.row_count_in, event.row_count_out)
        ]
        parts.append(f"row_count_in={known[0]}, row_count_out={known[1]}")
    if event.metrics:
        parts.append(figures(event.metrics))
    parts.append(
        f"compute {max(event.duration_s - event.writing_s, 0.0):.3f} s, writing "
        f"{event.writing_s:.3f} s"
    )
    if event.reused_from:
        parts.append(f"reused from {event.reused_from}: its inputs are unchanged")
    return f"Finished step {event.label}: {'; '.join(parts)}"


def closing(event: RunEnded) -> list[str]:
    """The log's last lines, before the one that says how it ended."""
    lines = [
        (
            f"Output: {output.path} ({output.size_bytes} "
            f"bytes){f': {output.what}' if output.what else ''}"
        )
        for output in event.outputs
    ]
    rows = f"{event.metric_rows} metric rows" + (
        f", {event.lost_rows} LOST" if event.lost_rows else ""
    )
    lines.append(f"Totals: {', '.join(part for part in (figures(event.totals), rows) if part)}")
    if event.left_out:
        lines.append(f"Left out: {words_of(event.left_out)}")
    if event.limited_calls:
        share = event.timeouts / event.limited_calls
        lines.append(
            f"Timeouts: {event.timeouts} of {event.limited_calls} limited calls, {share:.1%}"
        )
    if event.duration_s > 0:
        share = event.recorder_s / event.duration_s
    else:
        share = 0.0
    lines.append(
        f"Runtime: {span(event.duration_s)}; watchkeeper took {span(event.recorder_s)} of "
        f"it, {share:.2%}"
    )
    return lines


def span(seconds: float) -> str:
    """`2 h 10 min`, `3 min 5 s`, `0.812 s`."""
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s"
