"""Evidence: whether what a job promised is there, readable, and holds what it should.

A look is read-only and never raises: what cannot be read is `damaged`, and `why` says so. What a
job's tool knows beyond whole files is for `torchtune` and `inspect_ai` to say; the files that a
user names are judged by `script`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.tools import globs, inspect_ai, script, torchtune
from watchkeeper.tools.look_memory import LookMemory
from watchkeeper.tools.promise import Expected, Finding, Promise, Verdict

# The better finding, where several places hold something and none of it is good.
_RANK: dict[Verdict, int] = {"good": 3, "damaged": 2, "empty": 1, "missing": 0}


def look(
    folder: Path,
    promise: Promise,
    outputs: Sequence[Path] = (),
    memory: LookMemory | None = None,
) -> Finding:
    """Look at a promise's places below the experiment's `folder`, in order, and stop at the first
    good one.

    Where one pattern has several matches (logs whose names begin with their time), the last good
    one counts. `outputs` are the files into which its jobs printed, the newest first.
    `memory`: what was read of the same files before counts (None: each file is read).
    """
    if promise.kind == "output":
        return _look_at_output(folder, promise)
    known = _recall(folder, promise, memory)
    if known is not None:
        return known
    shown = [globs.unescaped(pattern) for pattern in promise.patterns]
    why = f"nothing at {' or '.join(shown)}"
    first = next(iter(shown), "")
    best = Finding(subject=promise.subject, state="missing", path=first, why=why)
    for pattern in promise.patterns:
        try:
            places = globs.matches(folder, pattern)
        except OSError as error:
            unseen = _unreadable(folder, promise, Path(error.filename or pattern), error)
            best = max(best, unseen, key=lambda finding: _RANK[finding.state])
            continue
        for path in reversed(places):
            finding = _judge(folder, promise, path, outputs, memory)
            if finding.state == "good":
                return finding
            best = max(best, finding, key=lambda finding: _RANK[finding.state])
    return best


def _recall(folder: Path, promise: Promise, memory: LookMemory | None) -> Finding | None:
    """What is remembered of the first place of a promise, where that is all that there is to say:
    its pattern names it, and no log of the training adds to its files. None: look at it.
    """
    if memory is None or promise.training is not None or not promise.patterns:
        return None
    pattern = promise.patterns[0]
    if not globs.is_path(pattern):
        return None
    return memory.recall(promise, f"{folder}/{pattern}")


def _look_at_output(folder: Path, promise: Promise) -> Finding:
    """Look at the files that a run must leave: there is one at least, and each holds something.

    The worst finding counts. Several good files are one finding, with the size of all of them and
    without figures: whose would they be?
    """
    (pattern,) = promise.patterns
    try:
        places = globs.matches(folder, pattern)
    except OSError as error:
        return _unreadable(folder, promise, Path(error.filename or pattern), error)
    shown = globs.unescaped(pattern)
    if not places:
        why = f"nothing at {shown}"
        return Finding(subject=promise.subject, state="missing", path=shown, why=why)
    findings = [_judge_output(folder, promise, path) for path in places]
    worst = min(findings, key=lambda finding: _RANK[finding.state])
    if worst.state != "good":
        return worst
    if len(findings) == 1:
        return findings[0]
    size_bytes = 0
    for finding in findings:
        size_bytes += sum(one.size_bytes or 0 for one in finding.evidence)
    return msgspec.structs.replace(
        findings[0],
        path=shown,
        metrics={},
        why=f"{len(places)} at {shown}, {size_bytes:,} bytes",
        evidence=tuple(finding.evidence[0] for finding in findings),
        fingerprint=script.fingerprint_of([finding.fingerprint for finding in findings]),
    )


def _judge_output(folder: Path, promise: Promise, path: Path) -> Finding:
    """What was found at one path that a run must leave; damaged where it cannot be read."""
    shown = script.shown(folder, path)
    try:
        return script.output(promise.subject, shown, script.place(folder, path).files)
    except OSError as error:
        return _unreadable(folder, promise, Path(error.filename or path), error)


def looked_at(tool: str) -> str:
    """What is looked at of what a tool's job promised, in words: `shards, headers and sizes; …`."""
    if tool == "torchtune":
        return torchtune.LOOKED_AT
    if tool == "inspect-ai":
        return inspect_ai.LOOKED_AT
    return script.LOOKED_AT


def _unreadable(folder: Path, promise: Promise, path: Path, error: OSError) -> Finding:
    """The finding on something that cannot be read, with the system's own reason."""
    shown = script.shown(folder, path)
    why = f"{shown} cannot be read: {error.strerror or error}"
    return Finding(subject=promise.subject, state="damaged", path=shown, why=why)


def _judge(
    folder: Path,
    promise: Promise,
    path: Path,
    outputs: Sequence[Path],
    memory: LookMemory | None,
) -> Finding:
    """What was found at one of a promise's places, the logs of its training included."""
    shown = script.shown(folder, path)
    try:
        finding = _judge_files(folder, promise, path, shown, memory)
        return _judge_training(folder, promise, path, finding, outputs)
    except OSError as error:
        return _unreadable(folder, promise, Path(error.filename or path), error)


def _judge_files(
    folder: Path, promise: Promise, path: Path, shown: str, memory: LookMemory | None
) -> Finding:
    """The finding on the files at a path by themselves.

    Raises:
        OSError: one of them cannot be read.
    """
    if memory is not None:
        known = memory.recall(promise, path)
        if known is not None:
            return known
    place = script.place(folder, path)
    if promise.kind == "result":
        finding = _judge_result(promise, path, shown, place.files, whole=place.whole)
    else:
        finding = script.checkpoint(promise.subject, shown, place.files, promise.formats)
    if memory is not None:
        memory.put(promise, path, place.stamps, finding)
    return finding


def _judge_training(
    folder: Path, promise: Promise, path: Path, finding: Finding, outputs: Sequence[Path]
) -> Finding:
    """The finding on a folder of good weights, with what torchtune's own logs add to it.

    Any other finding stays as it is: only torchtune's checkpoints have a training and an epoch.
    """
    if promise.training is None or promise.epoch is None or finding.state != "good":
        return finding
    if promise.kind != "checkpoint" or not path.is_dir():
        return finding
    printed = [(output, script.shown(folder, output)) for output in outputs]
    return torchtune.complete(finding, path, promise.epoch, promise.training, printed)


def _judge_result(
    promise: Promise, path: Path, shown: str, files: Sequence[script.File], *, whole: bool
) -> Finding:
    """The finding on a result: a log of inspect-ai, any other file, or (`whole`) a folder
    of them.
    """
    if whole:
        return script.result_folder(promise.subject, shown, files)
    if path.suffix != inspect_ai.SUFFIX:
        return script.result(promise.subject, shown, files, script.read)
    expected = promise.expected or Expected()
    return script.result(
        promise.subject, shown, files, lambda file: inspect_ai.read(file.path, expected)
    )
