"""The names that losses go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_LOSS = ("train_loss", "train/loss", "train_loss_step", "train/loss_step", "loss_step")
_VAL_LOSS = (
    "eval_loss",
    "eval/loss",
    "val/loss",
    "valid_loss",
    "valid/loss",
    "validation_loss",
    "val_loss_epoch",
    "val/loss_epoch",
)


def named(
    metrics: Mapping[str, Any], loss: Iterable[str] = _LOSS, val_loss: Iterable[str] = _VAL_LOSS
) -> dict[str, Any]:
    """The metrics, with the training loss as `loss` and the validation loss as `val_loss`: the
    first of the usual names is renamed, unless the metrics have that name already.
    """
    row = {str(name): value for name, value in metrics.items()}
    for ours, usual in (("loss", loss), ("val_loss", val_loss)):
        theirs = next((name for name in usual if name in row), None)
        if theirs is not None and ours not in row:
            row = {ours if name == theirs else name: value for name, value in row.items()}
    return row
