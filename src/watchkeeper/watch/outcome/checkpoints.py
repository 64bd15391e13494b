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
    """The places of what was promised and is whole, in the order of the findings.

    `folder` is the experiment's; the paths of findings are relative to it.
    """
    return [folder / finding.path for finding in findings if _is_whole(finding)]


def _is_whole(finding: Finding) -> bool:
    """Whether what was promised is there, at one place, and good."""
    return finding.state == "good" and bool(finding.path)


def kept(
    folder: Path,
    run: Path | None,
    findings: Sequence[Finding],
    events: Sequence[AnyEvent | Unknown],
) -> list[Path]:
    """The checkpoints that are whole, the oldest first. `events` are the recorder's.

    Those that were promised come first of all; only where none of them is whole count those that
    the recorder noted, whose paths are relative to its run folder `run` (None: to the experiment).
    Empty: there is none.
    """
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

    Read from the `trainer_state.json` of the newest of them that names one:

        {"best_model_checkpoint": "out/checkpoint-2000", "best_metric": 0.31, …}
    """
    for place in reversed(places):
        state = _state(place / _STATE)
        named, metric = state.get("best_model_checkpoint"), state.get("best_metric")
        if not isinstance(named, str):
            continue
        # The path is as the training saw it: the folder may have moved since.
        name = Path(named).name
        for chosen in places:
            if chosen.name == name:
                return chosen, _choice_words(metric)
        return None
    return None


def _choice_words(metric: object) -> str:
    """By what the Trainer chose; `metric` is the figure, where it wrote one down: `the Trainer's
    best metric, 0.31`.
    """
    is_number = isinstance(metric, int | float) and not isinstance(metric, bool)
    if not is_number:
        return "by the Trainer's own choice"
    return f"the Trainer's best metric, {metric:.6g}"


def artifacts(
    folder: Path,
    run: Path | None,
    findings: Sequence[Finding],
    events: Sequence[AnyEvent | Unknown],
    hashed: Mapping[Path, HashedFile] = _NOT_HASHED,
) -> list[Artifact]:
    """The files that a job made: its recorder's outputs, each with the hash that it wrote down;
    else single files that it promised, with the hash that the job left of them in `hashed`.

    One of which it left none is hashed here. At most `_MOST` files are named; their paths are as
    this process opens them.
    """
    ends = [event for event in events if isinstance(event, RunEnded)]
    outputs: Sequence[OutputFile] = ()
    if ends:
        outputs = max(ends, key=lambda event: event.time).outputs
    if run is not None and outputs:
        return [_of_recorder(run, output) for output in outputs[:_MOST]]
    files = whole(folder, findings)[:_MOST]
    return [_of_file(path, hashed.get(path)) for path in files if path.is_file()]


def _of_recorder(run: Path, output: OutputFile) -> Artifact:
    """An output as the recorder noted it; its path is relative to the run folder."""
    return Artifact(path=str(run / output.path), size_bytes=output.size_bytes, sha256=output.sha256)


def _of_file(path: Path, hashed: HashedFile | None) -> Artifact:
    """A file with its size and its hash; "" as its hash where it is too large to hash here.

    A hash that the job left counts as long as the file is still the one that it hashed.
    """
    size = path.stat().st_size
    sha256 = ""
    if hashed is not None and hashed.is_still(path):
        sha256 = hashed.sha256
    elif size <= _HASHED_BYTES:
        with open_regular(path) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(path=str(path), size_bytes=size, sha256=sha256)


def _state(path: Path) -> dict[str, Any]:
    """What a `trainer_state.json` holds; empty where it is not there, or cannot be read."""
    try:
        with open_regular(path) as file:
            return msgspec.json.decode(file.read(_STATE_BYTES), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, RecursionError):
        return {}
