"""What a training left to say of itself: its losses, its last step, its checkpoints, its own
configuration, its W&B run.

Its losses are those of all its attempts at the same work (watch/outcome/losses.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.events import (
    AnyEvent,
    Artifact,
    CadenceSet,
    Learned,
    Milestone,
    Number,
    Repeated,
    Unknown,
)
from watchkeeper.core.events.choose import all_of
from watchkeeper.core.journal import read as read_journal
from watchkeeper.publish.wandb.offline import version_in
from watchkeeper.report.compose.loss_sentence import Point, milestones, reading
from watchkeeper.runfolder.executions import Repeat
from watchkeeper.runfolder.places import run_manifest_of
from watchkeeper.runfolder.values import spell
from watchkeeper.schedulers.wrapper.hashes import HashedFile
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.outcome import checkpoints, wandb_folders
from watchkeeper.watch.outcome.losses import Tried
from watchkeeper.watch.outcome.losses import read as read_losses
from watchkeeper.watch.outcome.wandb_folders import Job

_NOT_HASHED: Mapping[Path, HashedFile] = {}


def of(
    folder: Path,
    attempts: Sequence[Tried],
    findings: Sequence[Finding],
    job: Job | None = None,
    hashed: Mapping[Path, HashedFile] = _NOT_HASHED,
) -> Learned:
    """What a training of the experiment in `folder` left, of which the last of these attempts at
    the same work has ended. `findings` are its checkpoints by epoch. `job` is what is known of its
    job where its W&B run is looked for, `hashed` the files that the job hashed.
    """
    recorder = None
    if attempts:
        recorder = attempts[-1].recorder
    places = checkpoints.whole(folder, findings)
    run = _wandb(recorder, places, job)
    losses = read_losses(_with_wandb(folder, attempts, run), places)
    train, val = sorted(losses.train), sorted(losses.val)
    first_step, first_train = _point(train[:1])
    _, last_train = _point(train[-1:])
    _, first_val = _point(val[:1])
    _, last_val = _point(val[-1:])
    events = _events(recorder)
    kept = checkpoints.kept(folder, recorder, findings, events)
    best, best_why = checkpoints.best(kept) or (None, "")
    planned = _planned_steps(events)
    return Learned(
        first_step=first_step,
        final_step=_whole(losses.final_step),
        first_train_loss=first_train,
        last_train_loss=last_train,
        first_val_loss=first_val,
        last_val_loss=last_val,
        reading=reading(train, val),
        checkpoint=_shown(folder, kept[-1] if kept else None),
        config=_config(folder, recorder, places),
        wandb=_shown(folder, run.run),
        wandb_earlier=tuple(_shown(folder, path) for path in run.earlier),
        wandb_among=_shown(folder, run.among),
        wandb_version=version_in(run.run) if run.run is not None else "",
        losses_from=losses.source,
        total_steps=losses.total_steps if planned is None else planned,
        milestones=_milestones(train),
        kept=tuple(_shown(folder, path) for path in kept),
        best=_shown(folder, best),
        best_why=best_why,
        artifacts=_shown_all(
            folder, checkpoints.artifacts(folder, recorder, findings, events, hashed)
        ),
        repeated=tuple(map(_repeated, losses.repeats)),
    )


def _point(points: Sequence[Point]) -> tuple[int | None, Number | None]:
    """The step and the loss of the only one of these points; (None, None): there is none."""
    if not points:
        return None, None
    step, loss = points[0]
    return _whole(step), spell(loss)


def _milestones(train: Sequence[Point]) -> tuple[Milestone, ...]:
    """The losses at the quarters of the way, with their steps; none of a short curve."""
    points = milestones(train)
    return tuple(Milestone(step=int(step), loss=spell(loss)) for step, loss in points)


def _repeated(repeat: Repeat) -> Repeated:
    """A repetition as `judged` keeps it: whole steps, and the losses as JSON can hold them."""
    return Repeated(
        first=int(repeat.first),
        last=int(repeat.last),
        difference=_spelled(repeat.difference),
        at=_whole(repeat.at),
        before=_spelled(repeat.before),
        after=_spelled(repeat.after),
        anew=repeat.anew,
        faithful=repeat.is_faithful,
    )


def _spelled(value: float | None) -> Number | None:
    """A loss as an event holds it (`NaN` as text); None: there is none."""
    if value is None:
        return None
    return spell(value)


def _whole(step: float | None) -> int | None:
    """A step as a whole number. None: there is none, or it is not finite."""
    if step is None or not math.isfinite(step):
        return None
    return int(step)


# ── files


def _events(run: Path | None) -> list[AnyEvent | Unknown]:
    """What the recorder wrote down, by time. Empty: the job has no recorder."""
    if run is None:
        return []
    journal = read_journal(run / layout.JOURNAL, is_evidence=True)
    return sorted(all_of(journal.events), key=lambda event: event.time)


def _planned_steps(events: Sequence[AnyEvent | Unknown]) -> int | None:
    """How many steps the recorder's newest cadence was given; None: it has none."""
    for event in reversed(events):
        if isinstance(event, CadenceSet):
            return event.total
    return None


def _shown_all(folder: Path, made: Sequence[Artifact]) -> tuple[Artifact, ...]:
    """The files that it made, with their paths as they are shown."""
    shown = []
    for file in made:
        path = _shown(folder, Path(file.path))
        shown.append(msgspec.structs.replace(file, path=path))
    return tuple(shown)


def _config(folder: Path, run: Path | None, places: Sequence[Path]) -> str:
    """The run's own resolved configuration: the one that torchtune writes beside its checkpoints,
    the newest first, else our recorder's manifest, which holds it. "": there is neither.
    """
    paths = [place.parent / "torchtune_config.yaml" for place in reversed(places)]
    recorded = run_manifest_of(run) if run else None
    if recorded:
        paths.append(recorded)
    for path in paths:
        if path.is_file():
            return _shown(folder, path)
    return ""


def _wandb(run: Path | None, places: Sequence[Path], job: Job | None) -> wandb_folders.Found:
    """The W&B run of the last attempt: looked for beside its checkpoints, in its run folder and
    above that. None for `job`: it is not looked for.
    """
    if job is None:
        return wandb_folders.Found()
    written = [place.parent for place in places]
    above = []
    if run:
        written.append(run)
        above.append(run.parent.parent)
    return wandb_folders.look(job, written, above=above)


def _with_wandb(folder: Path, attempts: Sequence[Tried], run: wandb_folders.Found) -> list[Tried]:
    """The attempts with the folders of their W&B runs: the last one's is `run`, those of the others
    as they were learned when they had ended.
    """
    tried = []
    for attempt in attempts:
        wandb = _wandb_of(folder, attempt.learned)
        tried.append(msgspec.structs.replace(attempt, wandb=wandb))
    if tried and run.run is not None:
        tried[-1] = msgspec.structs.replace(tried[-1], wandb=(*run.earlier, run.run))
    return tried


def _wandb_of(folder: Path, learned: Learned | None) -> tuple[Path, ...]:
    """The folders of the W&B run of an attempt, the oldest first; none where it left none, or where
    that was not learned yet (None).
    """
    if learned is None or not learned.wandb:
        return ()
    return tuple(folder / path for path in (*learned.wandb_earlier, learned.wandb))


def _shown(folder: Path, path: Path | None) -> str:
    """The path as it is shown, below the experiment's folder where it lies there; "" for None."""
    if path is None:
        return ""
    if path.is_relative_to(folder):
        return str(path.relative_to(folder))
    return str(path)
