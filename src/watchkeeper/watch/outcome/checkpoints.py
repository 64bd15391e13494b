"""Which checkpoints a training left, which of them it holds for its best, and what else it made.

Kept are the promised checkpoints that are whole, else those that its recorder wrote down and that
are still there. Which is the best is never judged here: transformers' Trainer says so in its
`trainer_state.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.events import AnyEvent, Artifact, Checkpoint, OutputFile, RunEnded, Unknown
from watchkeeper.schedulers.wrapper.hashes import HashedFile
from watchkeeper.tools.promise import Finding

_STATE = "trainer_state.json"
_STATE_BYTES = 64 * 2**20
_HASHED_BYTES = 256 * 2**20  # a larger file's hash would hold up the watch
_MOST = 20
_NOT_HASHED: Mapping[Path, HashedFile] = {}


def whole(folder: Path, findings: Sequence[Finding]) -> list[Path]:
    """The places of what was promised and is whole."""
    return [folder / finding.path for finding in findings if _is_whole(finding)]


def _is_whole(finding: Finding) -> bool:
    return finding.state == "good" and bool(finding.path)


def kept(
    folder: Path,
    run: Path | None,
    findings: Sequence[Finding],
    events: Sequence[AnyEvent | Unknown],
) -> list[Path]:
    """The checkpoints that are whole, the oldest first. `events` are the recorder's."""
    promised = whole(folder, findings)
    if promised:
        return promised
    recorded = [event for event in events if isinstance(event, Checkpoint)]
    recorded.sort(key=lambda event: event.time)
    paths = dict.fromkeys((run or folder) / event.path for event in recorded)
    return list(filter(Path.exists, paths))


def best(places: Sequence[Path]) -> tuple[Path, str] | None:
    """The checkpoint that the Trainer chose as its best, where it is one of these, and by what
    figure; None: none is.
    """
    for place in reversed(places):
        state = _state(place / _STATE)
        named, metric = state.get("best_model_checkpoint"), state.get("best_metric")
        if not isinstance(named, str):
            continue
        chosen = next((one for one in places if one.name == Path(named).name), None)
        if chosen is None:
            return None
        return chosen, _choice_words(metric)
    return None


def _choice_words(metric: object) -> str:
    """By what the Trainer chose; `metric` is the figure, where it wrote one down."""
    if isinstance(metric, int | float) and not isinstance(metric, bool):
        return f"the Trainer's best metric, {metric:.6g}"
    return "by the Trainer's own choice"


def artifacts(
    folder: Path,
    run: Path | None,
    findings: Sequence[Finding],
    events: Sequence[AnyEvent | Unknown],
    hashed: Mapping[Path, HashedFile] = _NOT_HASHED,
) -> list[Artifact]:
    """The files that a job made: its recorder's outputs, each with the hash that it wrote down;
    else single files that it promised, with the hash that the job left of them in `hashed`. One of
    which it left none is hashed here.
    """
    ends = [event for event in events if isinstance(event, RunEnded)]
    outputs = max(ends, key=lambda event: event.time).outputs if ends else ()
    if run is not None and outputs:
        return [_of_recorder(run, one) for one in outputs[:_MOST]]
    files = whole(folder, findings)[:_MOST]
    return [_of_file(path, hashed.get(path)) for path in files if path.is_file()]


def _of_recorder(run: Path, output: OutputFile) -> Artifact:
    return Artifact(path=str(run / output.path), size_bytes=output.size_bytes, sha256=output.sha256)


def _of_file(path: Path, hashed: HashedFile | None) -> Artifact:
    size = path.stat().st_size
    sha256 = ""
    if hashed is not None and hashed.is_still(path):
        sha256 = hashed.sha256
    elif size <= _HASHED_BYTES:
        with open_regular(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(path=str(path), size_bytes=size, sha256=sha256)


def _state(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            return msgspec.json.decode(file.read(_STATE_BYTES), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, RecursionError):
        return {}
