"""The names that losses go by, in the order of preference.

They are those of PyTorch Lightning (`train_loss_step`), transformers (`eval_loss`), torchtune
(`loss`, `val_loss`), and of what people call them by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

V = TypeVar("V")

TRAIN_LOSS = (
    "train_loss",
    "loss",
    "train/loss",
    "training_loss",
    "train_loss_step",
    "train/loss_step",
    "loss_step",
)
VAL_LOSS = (
    "val_loss",
    "eval_loss",
    "eval/loss",
    "val/loss",
    "valid_loss",
    "valid/loss",
    "validation_loss",
    "dev_loss",
    "val_loss_epoch",
    "val/loss_epoch",
)


def loss_of(metrics: Mapping[str, V], names: Iterable[str]) -> V | None:
    """The value of the first of these names that the metrics have; None if they have none.

    `names` are `TRAIN_LOSS` or `VAL_LOSS`, the most telling name first.
    """
    for name in names:
        value = metrics.get(name)
        if value is not None:
            return value
    return None


def rename_losses(
    metrics: Mapping[str, V],
    train: Iterable[str] = TRAIN_LOSS,
    val: Iterable[str] = VAL_LOSS,
) -> dict[str, V]:
    """The metrics with the training loss as `loss` and the validation loss as `val_loss`.

        {"train_loss": 0.5, "eval_loss": 0.6, "lr": 1e-4}
        {"loss": 0.5, "val_loss": 0.6, "lr": 1e-4}

    The first of the given names is renamed, unless the metrics have the new name already. The order
    of the metrics stays, and so do all other names. Without names for one of the two (`train=()`),
    that one is left as it is.
    """
    row = {str(name): value for name, value in metrics.items()}
    for ours, names in (("loss", train), ("val_loss", val)):
        if ours in row:
            continue
        theirs = next((name for name in names if name in row), None)
        if theirs is not None:
            row = {ours if name == theirs else name: value for name, value in row.items()}
    return row
