r"""torchtune's checkpoints: whether they are complete, and what the training printed on the way to
them.

Whole files are not enough. torchtune 0.6 ends with code 0 and saves its epochs where the loss is
nan, writes files straight to their final names, and leaves in `epoch_N` the merged weights together
with the adapter. Sources: what its `DiskLogger` leaves in `logs/log_<unix seconds>.txt` beside the
epochs (`Step 4 | loss:6.21 lr:…`), and what the job printed: bars (`2|4|Loss: 6.21:  33%|███▎
| 1/3`, epochs from 1), `… saved to DIR/epoch_1/…` and, after an epoch's last file, `Checkpoint
saved in 0.01 seconds.`. Of each, only the end is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import msgspec

from watchkeeper.core.events import Evidence
from watchkeeper.tools import globs
from watchkeeper.tools.file_formats import printable
from watchkeeper.tools.promise import Finding, Training

LOOKED_AT = (
    "shards, headers and sizes; last loss and step, and Checkpoint saved, in logs and output"
)

_LOGS = "logs/log_*.txt"
_TAIL_BYTES = 256 * 1024
_MOST_LOGS = 4
# Every repetition is bounded, so that a line of any length is read in linear time.
_TOLD = re.compile(
    r"^Step (?P<row>\d{1,15}) \|(?:[^\n]*?\s)?loss:(?P<row_loss>\S+)"
    r"|\|(?P<step>\d{1,15})\|Loss: (?P<loss>[^\s:]{1,40}):\s{1,20}\d{1,3}%"
    r"\|[^|\r\n]{0,1000}\|\s{0,20}\d{1,15}/(?P<total>\d{1,15})"
    r"|saved to [^\r\n]{0,1000}/epoch_(?P<saving>\d{1,15})/"
    r"|(?P<saved>Checkpoint saved in )",
    re.MULTILINE,
)
_SHARD = re.compile(r".*-(\d{1,15})-of-(\d{1,15})\.[a-z]+")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the end of one log says: (step, loss) in its order, the steps of an epoch (None: it does
    not say), and the epochs whose saving it saw end. `whole`: nothing of it was left unread.
    """

    source: str
    size_bytes: int
    modified: datetime
    whole: bool
    losses: tuple[tuple[int, str], ...]
    steps: int | None
    saved: frozenset[int]


def told_by(path: Path, source: str) -> Told:
    """Read the end of a log.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        text = file.read(_TAIL_BYTES).decode(errors="replace")
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    losses: list[tuple[int, str]] = []
    steps, saving = None, None
    saved: set[int] = set()
    for match in _TOLD.finditer(text):
        if match["row"]:
            losses.append((int(match["row"]), match["row_loss"]))
        elif match["step"]:
            losses.append((int(match["step"]), match["loss"]))
            steps = int(match["total"])
        elif match["saving"]:
            saving = int(match["saving"])
        elif saving is not None:
            saved.add(saving)
    return Told(
        source=source,
        size_bytes=size,
        modified=modified,
        whole=size <= _TAIL_BYTES,
        losses=tuple(losses),
        steps=steps,
        saved=frozenset(saved),
    )


def complete(
    finding: Finding,
    path: Path,
    epoch: int,
    training: Training,
    outputs: Sequence[tuple[Path, str]],
) -> Finding:
    """The finding on a whole checkpoint of this epoch at `path`, with what torchtune's own files
    say of it. `outputs` are what its jobs printed and how that is shown, the newest first; what
    cannot be read of them says nothing.
    """
    names = [evidence.source.rpartition("/")[2] for evidence in finding.evidence]
    if fault := _lacking(names):
        return _damaged(finding, f"{finding.path} {fault}")
    told = _read([*_logs(path, finding.path)[:_MOST_LOGS], *outputs[:_MOST_LOGS]])
    judged = of_epoch(told, epoch, training)
    evidence = (*finding.evidence, *judged.evidence)
    if judged.fault:
        return _damaged(
            msgspec.structs.replace(finding, evidence=evidence), f"{finding.path} {judged.fault}"
        )
    caution = "; ".join(filter(None, [_double_lora(finding.path, path, names), *judged.cautions]))
    why = "; ".join([finding.why, *judged.words])
    return msgspec.structs.replace(finding, why=why, evidence=evidence, caution=caution)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the logs say of one epoch. `fault` ("" for none) keeps it from being good; `cautions` do
    not.
    """

    fault: str = ""
    words: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


def of_epoch(told: Sequence[Told], epoch: int, training: Training) -> Judged:
    """Judge one epoch by the newest log that tells of its end. Pure.

    The weights are as good as the last loss before they were saved. What nobody says (no log,
    another logger, a log whose end was overwritten) is held against nobody: the files are there,
    and whole.
    """
    last = training.epochs is not None and epoch + 1 >= training.epochs
    steps = _steps(told, training)
    if steps:
        end = steps * (epoch + 1)
    else:
        end = None
    words: list[str] = []
    cautions: list[str] = []
    evidence: list[Evidence] = []
    trained = [log for log in told if log.losses]
    for log in trained:
        reaches = end is None or log.losses[-1][0] > end - max(1, training.log_every)
        before = [row for row in log.losses if end is None or row[0] <= end]
        if not reaches or not before:
            continue
        step, loss = before[-1]
        if _is_finite(loss) or last or end is not None:
            evidence.append(_evidence(log, f"loss {loss} at step {step}"))
        if _is_finite(loss):
            words.append(f"loss {loss[:8]} at step {step}")
        elif last or end is not None:
            since = next(one for one, own in before if not _is_finite(own))
            fault = (
                f"comes of a training whose loss is {loss} at step {step}, since step {since} "
                f"or before ({log.source})"
            )
            return Judged(fault=fault, evidence=tuple(evidence))
        else:
            cautions.append(
                f"{log.source} says loss {loss} at step {step}; whether in this epoch, nobody says"
            )
        break
    else:
        if trained:
            newest = f"{trained[0].source}, ends at step {trained[0].losses[-1][0]}"
            cautions.append(f"no log tells of its end, step {end}: the newest, {newest}")
    saved = next((log for log in told if epoch in log.saved), None)
    if saved is not None:
        evidence.append(_evidence(saved, "Checkpoint saved"))
    elif (
        silent := next((log for log in told if log.steps and (log.whole or last)), None)
    ) is not None:
        evidence.append(_evidence(silent, "no 'Checkpoint saved' of this epoch"))
        cautions.append(
            f"{silent.source} never says 'Checkpoint saved' of it: its training may have "
            "been ended meanwhile"
        )
    return Judged(words=tuple(words), cautions=tuple(cautions), evidence=tuple(evidence))


def _steps(told: Sequence[Told], training: Training) -> int | None:
    """The steps of one epoch: as its bars say, or the most that are allowed where a log shows that
    they were made.
    """
    for log in told:
        if log.steps:
            return log.steps
    if training.steps and training.epochs:
        most = training.steps * training.epochs
        if any(
            log.losses and most - max(1, training.log_every) < log.losses[-1][0] <= most
            for log in told
        ):
            return training.steps
    return None


def _is_finite(loss: str) -> bool:
    try:
        return math.isfinite(float(loss))
    except ValueError:
        return True  # cut off, or no number: it says nothing


def _evidence(log: Told, what: str) -> Evidence:
    return Evidence(source=log.source, what=what, size_bytes=log.size_bytes, modified=log.modified)


def _read(logs: Sequence[tuple[Path, str]]) -> list[Told]:
    """What those that can be read say, the one written last first."""
    told = []
    for path, source in logs:
        try:
            if path.is_file():  # a pipe would be waited for
                told.append(told_by(path, source))
        except (OSError, ValueError, OverflowError):
            continue
    return sorted(told, key=lambda log: log.modified, reverse=True)


def _logs(path: Path, shown: str) -> list[tuple[Path, str]]:
    """The logs beside a checkpoint, newest first, each with its name as the checkpoint's is shown."""
    try:
        found = globs.matches(path.parent, _LOGS)
    except OSError:
        return []
    beside = PurePosixPath(shown).parent / "logs"
    return [(log, printable(str(beside / log.name))) for log in reversed(found)]


def _lacking(names: Sequence[str]) -> str:
    """What of a sharded checkpoint is not there, in words that follow its name."""
    shards = [(name, found) for name in names if (found := _SHARD.fullmatch(name))]
    if not shards:
        return ""
    if not any(name.endswith(".index.json") for name in names):
        return "holds shards and no index: its saving was ended before its end"
    numbers = {int(found[1]) for _, found in shards}
    count = max(int(found[2]) for _, found in shards)
    missing = next((number for number in range(1, count + 1) if number not in numbers), None)
    if missing is not None:
        return f"lacks shard {missing} of {count}"
    return ""


def _double_lora(shown: str, path: Path, names: Sequence[str]) -> str:
    merged = any(
        not PurePosixPath(name).name.startswith("adapter")
        for name in names
        if not name.endswith(".json")
    )
    if not merged or not (path / "adapter_config.json").exists():
        return ""
    return (
        f"{shown} holds merged weights and adapter_config.json: with peft installed, "
        "from_pretrained applies the "
        "adapter twice (evaluate a copy without adapter_*, or rename adapter_config.json)"
    )


def _damaged(finding: Finding, why: str) -> Finding:
    return msgspec.structs.replace(finding, state="damaged", why=why, fingerprint="")
