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

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.events import Evidence
from watchkeeper.core.text import lazy
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
_TOLD = lazy.pattern(
    r"^Step (?P<row>\d{1,15}) \|(?:[^\n]*?\s)?loss:(?P<row_loss>\S+)"
    r"|\|(?P<step>\d{1,15})\|Loss: (?P<loss>[^\s:]{1,40}):\s{1,20}\d{1,3}%"
    r"\|[^|\r\n]{0,1000}\|\s{0,20}\d{1,15}/(?P<total>\d{1,15})"
    r"|saved to [^\r\n]{0,1000}/epoch_(?P<saving>\d{1,15})/"
    r"|(?P<saved>Checkpoint saved in )",
    re.MULTILINE,
)
_SHARD = lazy.pattern(r".*-(\d{1,15})-of-(\d{1,15})\.[a-z]+")


class TrainingLog(msgspec.Struct, frozen=True, kw_only=True):
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


def read_log(path: Path, source: str) -> TrainingLog:
    """Read the end of a log.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
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
    return TrainingLog(
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

    Epochs count from 0. The finding stays good, gets a caution, or becomes damaged: a shard is
    missing, or the loss was not finite when the epoch was saved.
    """
    names = [evidence.source.rpartition("/")[2] for evidence in finding.evidence]
    fault = _lacking(names)
    if fault:
        return _damaged(finding, f"{finding.path} {fault}")
    logs = _read([*_logs(path, finding.path)[:_MOST_LOGS], *outputs[:_MOST_LOGS]])
    judged = of_epoch(logs, epoch, training)
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


def of_epoch(logs: Sequence[TrainingLog], epoch: int, training: Training) -> Judged:
    """Judge one epoch by the newest log that shows its end. Pure.

    The weights are as good as the last loss before they were saved. Missing evidence (no log,
    another logger, a log whose end was overwritten) does not count against them: the files are
    there, and whole.
    """
    is_last = training.epochs is not None and epoch + 1 >= training.epochs
    steps = _steps(logs, training)
    end = steps * (epoch + 1) if steps else None
    by_loss = _judge_loss(logs, end, is_last=is_last, log_every=training.log_every)
    if by_loss.fault:
        return by_loss
    by_saving = _judge_saving(logs, epoch, is_last=is_last)
    return Judged(
        words=by_loss.words,
        cautions=by_loss.cautions + by_saving.cautions,
        evidence=by_loss.evidence + by_saving.evidence,
    )


def _judge_loss(
    logs: Sequence[TrainingLog], end: int | None, *, is_last: bool, log_every: int
) -> Judged:
    """Judge an epoch by its last loss; `end` is its last step, None: unknown."""
    with_losses = [log for log in logs if log.losses]
    for log in with_losses:
        losses = _losses_until(log, end, log_every)
        if losses:
            return _judge_losses(log, losses, is_of_epoch=is_last or end is not None)
    if not with_losses:
        return Judged()
    newest = f"{with_losses[0].source}, ends at step {with_losses[0].losses[-1][0]}"
    return Judged(cautions=(f"no log shows its end, step {end}: the newest, {newest}",))


def _losses_until(log: TrainingLog, end: int | None, log_every: int) -> Sequence[tuple[int, str]]:
    """The log's losses up to step `end` (None: all); (): it does not reach that far."""
    if end is None:
        return log.losses
    if log.losses[-1][0] <= end - max(1, log_every):
        return ()
    return [(step, loss) for step, loss in log.losses if step <= end]


def _judge_losses(
    log: TrainingLog, losses: Sequence[tuple[int, str]], *, is_of_epoch: bool
) -> Judged:
    """Judge by the last of these losses; `is_of_epoch`: it certainly belongs to the epoch."""
    step, loss = losses[-1]
    evidence = (_evidence(log, f"loss {loss} at step {step}"),)
    if _is_finite(loss):
        return Judged(words=(f"loss {loss[:8]} at step {step}",), evidence=evidence)
    if not is_of_epoch:
        caution = f"{log.source} shows loss {loss} at step {step}, perhaps of another epoch"
        return Judged(cautions=(caution,))
    since = next(step for step, loss in losses if not _is_finite(loss))
    fault = (
        f"comes of a training whose loss is {loss} at step {step}, since step {since} or before "
        f"({log.source})"
    )
    return Judged(fault=fault, evidence=evidence)


def _judge_saving(logs: Sequence[TrainingLog], epoch: int, *, is_last: bool) -> Judged:
    """Judge an epoch by whether a log saw the end of its saving."""
    for log in logs:
        if epoch in log.saved:
            return Judged(evidence=(_evidence(log, "Checkpoint saved"),))
    for log in logs:
        if log.steps and (log.whole or is_last):
            caution = (
                f"{log.source} never says 'Checkpoint saved' of it: its training may have been "
                "ended meanwhile"
            )
            evidence = _evidence(log, "no 'Checkpoint saved' of this epoch")
            return Judged(cautions=(caution,), evidence=(evidence,))
    return Judged()


def _steps(logs: Sequence[TrainingLog], training: Training) -> int | None:
    """The steps of one epoch: by its progress bars, or as many as are allowed where a log shows
    that all were made; None: unknown.

    Only every `log_every`th step is logged: the last row may be that many before the end.
    """
    for log in logs:
        if log.steps:
            return log.steps
    if not training.steps or not training.epochs:
        return None
    most = training.steps * training.epochs
    least = most - max(1, training.log_every)
    for log in logs:
        if log.losses and least < log.losses[-1][0] <= most:
            return training.steps
    return None


def _is_finite(loss: str) -> bool:
    """Whether a loss, as it was printed, is a finite number."""
    try:
        return math.isfinite(float(loss))
    except ValueError:
        return True  # cut off, or not a number: no evidence


def _evidence(log: TrainingLog, what: str) -> Evidence:
    """That this was seen in a log, which had this size and time when it was read."""
    return Evidence(source=log.source, what=what, size_bytes=log.size_bytes, modified=log.modified)


def _read(logs: Sequence[tuple[Path, str]]) -> list[TrainingLog]:
    """What those that can be read say, the one written last first."""
    read: list[TrainingLog] = []
    for path, source in logs:
        try:
            if path.is_file():  # a pipe would be waited for
                read.append(read_log(path, source))
        except (OSError, ValueError, OverflowError):
            continue
    return sorted(read, key=lambda log: log.modified, reverse=True)


def _logs(path: Path, shown: str) -> list[tuple[Path, str]]:
    """The logs beside a checkpoint, newest first, with their names as the checkpoint's is shown."""
    try:
        paths = globs.matches(path.parent, _LOGS)
    except OSError:
        return []
    beside = PurePosixPath(shown).parent / "logs"
    return [(log, printable(str(beside / log.name))) for log in reversed(paths)]


def _lacking(names: Sequence[str]) -> str:
    """What a sharded checkpoint lacks, in words that follow its name; "": nothing."""
    numbers: set[int] = set()
    count = 0
    for name in names:
        if match := _SHARD.fullmatch(name):
            numbers.add(int(match[1]))
            count = max(count, int(match[2]))
    if not numbers:
        return ""
    if not any(name.endswith(".index.json") for name in names):
        return "holds shards and no index: its saving was ended before its end"
    for number in range(1, count + 1):
        if number not in numbers:
            return f"lacks shard {number} of {count}"
    return ""


def _double_lora(shown: str, path: Path, names: Sequence[str]) -> str:
    """That a library may apply an adapter twice, where merged weights lie beside it; "": it cannot.

    `names` are those of the files in the checkpoint.
    """
    merged = False
    for name in names:
        is_json = name.endswith(".json")
        if not is_json and not PurePosixPath(name).name.startswith("adapter"):
            merged = True
    if not merged or not (path / "adapter_config.json").exists():
        return ""
    return (
        f"{shown} holds merged weights and adapter_config.json: with peft installed, "
        "from_pretrained applies the "
        "adapter twice (evaluate a copy without adapter_*, or rename adapter_config.json)"
    )


def _damaged(finding: Finding, why: str) -> Finding:
    """The finding as one of something damaged. Its fingerprint would be that of a good one."""
    return msgspec.structs.replace(finding, state="damaged", why=why, fingerprint="")
