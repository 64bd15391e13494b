"""Where everything lies in a package. Every path is POSIX and relative to the package's root."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from watchkeeper.publish import names
from watchkeeper.tools import file_formats

CHECKPOINTS = "checkpoints"
PARAMS = "params"
ADAPTER = "adapter"
TRAINER = "optimizer"
ASSETS = "assets"
PLOT = "assets/loss.svg"
CONFIG = "assets/config.yaml"
EVENTS = "events.jsonl"
EVAL_RESULTS = ".eval_results"

REQUIRED = (
    names.README,
    names.TRAINING_LOG,
    names.PASSPORT,
    names.SIGNOFF,
    names.MANIFEST,
    EVENTS,
)
"""What every package holds, beside its weights."""

TRAINER_FOLDERS = frozenset({
    "ema_params", "ema_state", "opt_state", "optimizer", "optimizer_state", "recipe_state",
    "train_state",
})  # fmt: skip
_STEP = re.compile(r"(?:global[-_]?step|step|checkpoint|ckpt|iter)[-_=]?(\d+)", re.IGNORECASE)
_PLAIN = re.compile(r"[\w.=-]{1,80}", re.ASCII)


def is_of_trainer(path: str) -> bool:
    """Whether a file holds what a trainer keeps to continue: optimizer, scheduler, random state."""
    place = PurePosixPath(path)
    if not TRAINER_FOLDERS.isdisjoint(place.parts[:-1]):
        return True
    return place.name.startswith((*file_formats.NOT_WEIGHTS, "opt_state", "ema_state"))


def is_adapter(path: str) -> bool:
    """Whether a file is an adapter's weights or its configuration, by its name."""
    return PurePosixPath(path).name.startswith("adapter")


def folder_of(step: str, kind: str) -> str:
    """`checkpoints/2000/params`: the folder of one kind of files of the checkpoint."""
    return f"{CHECKPOINTS}/{step}/{kind}"


def step_of(folder: str, training_step: int | None) -> str:
    """What the checkpoint is called in the package: its training step where that is known (None:
    it is not), else the number in its folder's name, else that name.
    """
    if training_step is not None:
        return str(training_step)
    match = _STEP.search(folder)
    if match:
        return match[1]
    return folder if _PLAIN.fullmatch(folder) else "checkpoint"
