"""What a training left to say of itself: its losses, its last step, its checkpoints, its own
configuration, its W&B run.

Its losses are those of all its attempts at the same work (watch/outcome/losses.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.events import (
    AnyEvent,
    CadenceSet,
    Learned,
    Milestone,
    Repeated,
    Unknown,
)
from watchkeeper.core.journal import read as read_journal
from watchkeeper.report.compose.loss_sentence import milestones, reading
from watchkeeper.runfolder.executions import Repeat
from watchkeeper.runfolder.places import run_manifest_of
from watchkeeper.runfolder.values import spell
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.outcome import checkpoints, wandb_folders
from watchkeeper.watch.outcome.losses import Tried
from watchkeeper.watch.outcome.losses import read as read_losses
from watchkeeper.watch.outcome.wandb_folders import Job


def of(
    folder: Path, attempts: Sequence[Tried], findings: Sequence[Finding], job: Job | None = None
) -> Learned:
    """What a training of the experiment in `folder` left, of which the last of these attempts at
    the same work has ended. `findings` are its checkpoints by epoch. `job` is what is known of its
    job where its W&B run is looked for.
    """
    places = [
        folder / finding.path for finding in findings if finding.state == "good" and finding.path
    ]
    if attempts:
        recorder = attempts[-1].recorder
    else:
        recorder = None
    losses = read_losses(attempts, places)
    train, val = sorted(losses.train), sorted(losses.val)
    events = _events(recorder)
    kept = checkpoints.kept(folder, recorder, findings, events)
    best = checkpoints.best(kept)
    run = _wandb(recorder, places, job)
    planned = next(
        (event.total for event in reversed(events) if isinstance(event, CadenceSet)), None
    )
    made = checkpoints.artifacts(folder, recorder, findings, events)
    return Learned(
        first_step=_whole(train[0][0]) if train else None,
        final_step=_whole(losses.final_step),
        first_train_loss=spell(train[0][1]) if train else None,
        last_train_loss=spell(train[-1][1]) if train else None,
        first_val_loss=spell(val[0][1]) if val else None,
        last_val_loss=spell(val[-1][1]) if val else None,
        reading=reading(train, val),
        checkpoint=_shown(folder, kept[-1]) if kept else "",
        config=_config(folder, recorder, places),
        wandb=_shown(folder, run.run) if run.run else "",
        wandb_among=_shown(folder, run.among) if run.among else "",
        total_steps=planned if planned is not None else losses.total_steps,
        milestones=tuple(
            Milestone(step=int(step), loss=spell(loss)) for step, loss in milestones(train)
        ),
        kept=tuple(_shown(folder, path) for path in kept),
        best=_shown(folder, best[0]) if best else "",
        best_why=best[1] if best else "",
        artifacts=tuple(
            msgspec.structs.replace(one, path=_shown(folder, Path(one.path))) for one in made
        ),
        repeated=tuple(map(_repeated, losses.repeats)),
    )


def _repeated(repeat: Repeat) -> Repeated:
    return Repeated(
        first=int(repeat.first),
        last=int(repeat.last),
        difference=spell(repeat.difference) if repeat.difference is not None else None,
        at=_whole(repeat.at),
        before=spell(repeat.before) if repeat.before is not None else None,
        after=spell(repeat.after) if repeat.after is not None else None,
        anew=repeat.anew,
        faithful=repeat.is_faithful,
    )


def _whole(step: float | None) -> int | None:
    if step is not None and math.isfinite(step):
        return int(step)
    return None


# ── files


def _events(run: Path | None) -> list[AnyEvent | Unknown]:
    """What the recorder wrote down, by time."""
    if run is None:
        return []
    journal = read_journal(run / layout.JOURNAL, is_evidence=True)
    return sorted(
        (event for own in journal.events.values() for event in own), key=lambda event: event.time
    )


def _config(folder: Path, run: Path | None, places: Sequence[Path]) -> str:
    kept = [place.parent / "torchtune_config.yaml" for place in reversed(places)]
    if run:
        recorded = run_manifest_of(run)
    else:
        recorded = None
    kept += [recorded] if recorded else []
    return next((_shown(folder, path) for path in kept if path.is_file()), "")


def _wandb(run: Path | None, places: Sequence[Path], job: Job | None) -> wandb_folders.Found:
    if job is None:
        return wandb_folders.Found()
    written = [*(place.parent for place in places), *([run] if run else [])]
    return wandb_folders.look(job, written, above=[run.parent.parent] if run else [])


def _shown(folder: Path, path: Path) -> str:
    if path.is_relative_to(folder):
        return str(path.relative_to(folder))
    return str(path)
