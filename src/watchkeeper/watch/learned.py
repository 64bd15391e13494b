"""What a training left to say of itself: its losses, its last step, its checkpoints, its own configuration, its W&B run.

Looked for where each library leaves it, the surest first: the recorder's metric rows; torchtune's `logs/log_*.txt` and
`torchtune_config.yaml` beside its checkpoints; the Trainer's `trainer_state.json` in them; what the job printed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core import trainlog
from watchkeeper.core.events import AnyEvent, CadenceSet, Learned, Milestone, Number, Unknown
from watchkeeper.core.journal import read as read_journal
from watchkeeper.core.places import run_manifest_of
from watchkeeper.core.tails import end_of_file
from watchkeeper.report.curve import Point, milestones, reading
from watchkeeper.tools.base import Finding
from watchkeeper.watch import checkpoints, wandb_folders
from watchkeeper.watch.wandb_folders import Job

MOST_BYTES = 64 * 1024 * 1024
"""Of a file of rows or output, its end: a longer one's beginning is not read."""
_TRAIN = ("train_loss", "loss", "train/loss")
_VAL = ("val_loss", "eval_loss", "validation_loss", "val/loss", "eval/loss")
_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Losses(msgspec.Struct):
    """What was read: both curves, the highest training step that any row or line named, and how many were planned."""

    train: list[Point] = []
    val: list[Point] = []
    final_step: float | None = None
    total_steps: int | None = None


def of(
    folder: Path, recorder: Path | None, findings: Sequence[Finding], outputs: Iterable[Path], job: Job | None = None
) -> Learned:
    """What a training of the experiment in `folder` left. `recorder` is the recorder's run folder (None: there is none),
    `findings` are its checkpoints by epoch, `outputs` the files that it printed into. `job` is what is known of its job
    where its W&B run is looked for.
    """
    places = [folder / finding.path for finding in findings if finding.state == "good" and finding.path]
    losses = _recorded(recorder) if recorder else Losses()
    for read in (_torchtune, _trainer):
        if not (losses.train or losses.val):
            losses = read(places)
    if not (losses.train or losses.val):
        losses = _printed(outputs)
    train, val = sorted(losses.train), sorted(losses.val)
    events = _events(recorder)
    kept = checkpoints.kept(folder, recorder, findings, events)
    best = checkpoints.best(kept)
    run = _wandb(recorder, places, job)
    planned = next((event.total for event in reversed(events) if isinstance(event, CadenceSet)), None)
    made = checkpoints.artifacts(folder, recorder, findings, events)
    return Learned(
        final_step=int(losses.final_step) if losses.final_step is not None else None,
        first_train_loss=_number(train[0][1]) if train else None,
        last_train_loss=_number(train[-1][1]) if train else None,
        first_val_loss=_number(val[0][1]) if val else None,
        last_val_loss=_number(val[-1][1]) if val else None,
        reading=reading(train, val),
        checkpoint=_shown(folder, kept[-1]) if kept else "",
        config=_config(folder, recorder, places),
        wandb=_shown(folder, run.run) if run.run else "",
        wandb_among=_shown(folder, run.among) if run.among else "",
        total_steps=planned if planned is not None else losses.total_steps,
        milestones=tuple(Milestone(step=int(step), loss=_number(loss)) for step, loss in milestones(train)),
        kept=tuple(_shown(folder, path) for path in kept),
        best=_shown(folder, best[0]) if best else "",
        best_why=best[1] if best else "",
        artifacts=tuple(msgspec.structs.replace(one, path=_shown(folder, Path(one.path))) for one in made),
    )


# ── losses ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _recorded(run: Path) -> Losses:
    found = Losses()
    for path in sorted((run / ".watchkeeper" / "metrics").glob("*.jsonl")):
        for line in _tail(path).split(b"\n"):
            if line:
                try:
                    row = msgspec.json.decode(line, type=dict[str, Any])
                except msgspec.DecodeError:
                    continue  # torn by a death, or between two NULs
                _take(found, row)
    return found


def _trainer(places: Sequence[Path]) -> Losses:
    found = Losses()
    for place in reversed(places):
        state = place / "trainer_state.json"
        if state.is_file():
            try:
                history = msgspec.json.decode(state.read_bytes(), type=dict[str, Any]).get("log_history")
            except (OSError, msgspec.DecodeError):
                continue
            for row in history if isinstance(history, list) else ():
                if isinstance(row, dict):
                    _take(found, row)
            break
    return found


def _take(found: Losses, row: dict[str, Any]) -> None:
    step = _value(row.get("step"))
    if step is None:
        return
    found.final_step = max(step, found.final_step or 0)
    for names, points in ((_TRAIN, found.train), (_VAL, found.val)):
        loss = next((value for name in names if (value := _value(row.get(name))) is not None), None)
        if loss is not None:
            points.append((step, loss))


def _torchtune(places: Sequence[Path]) -> Losses:
    logs = sorted({path for place in places for path in (place.parent / "logs").glob("log_*.txt")})
    return _of_text([logs[-1]] if logs else [])


def _printed(outputs: Iterable[Path]) -> Losses:
    return max((_of_text([path]) for path in outputs), key=lambda one: len(one.train), default=Losses())


def _of_text(paths: Sequence[Path]) -> Losses:
    found = Losses()
    for path in paths:
        text = _tail(path).decode("utf-8", "replace")
        found.train += trainlog.losses(text)
        found.val += trainlog.val_losses(text)
        last = trainlog.position(text)
        # Beside an epoch a bar's total is that epoch's end.
        found.total_steps = last.total if last is not None and last.epoch is None else found.total_steps
    found.final_step = max((step for step, _ in [*found.train, *found.val]), default=None)
    return found


def _value(found: object) -> float | None:
    if isinstance(found, str):
        return _SPELLED.get(found)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def _number(loss: float) -> Number:
    if math.isfinite(loss):
        return loss
    return "NaN" if math.isnan(loss) else "Infinity" if loss > 0 else "-Infinity"


def _tail(path: Path) -> bytes:
    return end_of_file(path, MOST_BYTES)


# ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _events(run: Path | None) -> list[AnyEvent | Unknown]:
    """What the recorder wrote down, by time."""
    told = read_journal(run / ".watchkeeper" / "journal").events.values() if run else ()
    return sorted((event for events in told for event in events), key=lambda event: event.time)


def _config(folder: Path, run: Path | None, places: Sequence[Path]) -> str:
    kept = [place.parent / "torchtune_config.yaml" for place in reversed(places)]
    recorded = run_manifest_of(run) if run else None
    kept += [recorded] if recorded else []
    return next((_shown(folder, path) for path in kept if path.is_file()), "")


def _wandb(run: Path | None, places: Sequence[Path], job: Job | None) -> wandb_folders.Found:
    if job is None:
        return wandb_folders.Found()
    written = [*(place.parent for place in places), *([run] if run else [])]
    return wandb_folders.look(job, written, above=[run.parent.parent] if run else [])


def _shown(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
