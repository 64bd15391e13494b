"""The metrics of one line that a training prints, with its step: `step 12/300 loss: 0.5, lr: 1e-4`
and the like.

A figure counts where its name stands right before it, with `:` or `=` between them; after a few
usual names (`loss 0.5`) a space will do. Times, dates, versions and figures with a unit are none. A
line that names no step counts where it tells a loss or is the Trainer's: transformers prints
`{'loss': 0.5, 'epoch': 0.1}`.
"""

from __future__ import annotations

import re

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.runfolder.losses import TRAIN_LOSS, rename_losses
from watchkeeper.runfolder.printed import is_bar, plain, position_of

LINE_LIMIT = 4_096  # characters of a line that are read
HINT = lazy.pattern(rb"step|iter|loss|epoch|/\d{1,20} \[|^\[\d{1,15}\]\t", re.IGNORECASE)
"""What a line holds that may be of use here."""
MARKS = (b"step", b"iter", b"loss", b"epoch", b"]\t")
BAR_COUNT = lazy.pattern(rb"/\d{1,20} \[")
"""Each match of HINT holds one of MARKS, in lower case, or a BAR_COUNT."""

_WORDS = (
    "train|training|val|valid|validation|eval|evaluation|test|dev|lm|learning|grad|avg|average"
    "|mean|best|running|total"
)
_SHORT = "loss|acc|accuracy|lr|ppl|perplexity|grad_norm"
_DIGITS = r"-?(?:\d{1,3}(?:,\d{3}){1,6}(?![\d,])|\d{1,20})(?:\.\d{0,40})?(?:[eE][-+]?\d{1,5})?"
_NUMBER = rf"({_DIGITS}|[-+]?(?:nan|inf(?:inity)?))(?=$|[\s,;|)\]}}'\"%]|\.(?:\s|$))"
_NAME = r"[^\W\d][\w./@-]{0,79}"
_SIGN = r"['\"]?\s{0,4}[:=]\s{0,16}['\"]?"
_PAIR = lazy.pattern(
    rf"(?<![\w./@-])((?:(?:{_WORDS}) ){{0,2}})(?:({_NAME}){_SIGN}|({_SHORT})\s{{1,4}}){_NUMBER}",
    re.IGNORECASE,
)
# Of libraries that name the training's loss otherwise: Megatron, Detectron2, diffusers, Composer,
# OLMo.
_LOSS_NAMES = (
    *TRAIN_LOSS,
    "lm_loss",
    "total_loss",
    "step_loss",
    "loss/train/total",
    "train/crossentropyloss",
)
# litgpt: `loss train: 1.234, val: 1.3`.
_LOSS_TRAIN = lazy.pattern(
    rf"\bloss train: {{0,8}}{_NUMBER}(?:, val: {{0,8}}{_NUMBER})?", re.IGNORECASE
)
_EPOCH = lazy.pattern(r"\bepoch\b[ :=#\[]{1,8}(\d{1,9})(?![\d.])", re.IGNORECASE)
_NO_METRICS = frozenset({"step", "steps", "global_step", "iter", "iteration", "v_num"})


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """What one line says. `step` None: it names none. `bar`: it is a progress bar, which may be
    drawn again and again.
    """

    step: int | float | None = None
    total: int | None = None
    bar: bool = False
    metrics: dict[str, int | float] = {}


def read_line(line: str) -> Printed | None:
    """What the line says of a training; None where it says nothing.

        step 12/300 loss: 0.5, lr: 1e-4        step 12 of 300, `loss` 0.5, `lr` 0.0001
        {'loss': 0.5, 'epoch': 0.1}            no step: the Trainer's line
        copied 12 files                        None

    Of a long line the first `LINE_LIMIT` characters are read.
    """
    line = plain(line[:LINE_LIMIT])
    place = position_of(line)
    metrics = _metrics(line)
    if place is None:
        if _is_of_training(line, metrics):
            return Printed(metrics=_named(metrics))
        return None
    if place.loss is not None and "loss" not in metrics:
        metrics["loss"] = _value(place.loss)
    if place.epoch is not None:
        metrics.setdefault("epoch", place.epoch)
    return Printed(step=place.step, total=place.total, bar=is_bar(line), metrics=_named(metrics))


def epoch_of(line: str) -> int | None:
    """The epoch that a line of a loss names where it names no step: 10 of `Epoch 10, Loss: 1.2`;
    None for any other line.

    Such a line counts epochs as its steps.
    """
    line = plain(line[:LINE_LIMIT])
    if "loss" not in line.lower() or position_of(line) is not None:
        return None
    match = _EPOCH.search(line)
    if match is None:
        return None
    return int(match.group(1))


def _metrics(line: str) -> dict[str, int | float]:
    """The figures of a line, by name: of `step 12/300 loss: 0.5, lr: 1e-4` these are `loss` 0.5 and
    `lr` 0.0001.

    A name that stands there twice gets an underscore the second time, as in a row.
    """
    metrics: dict[str, int | float] = {}
    for words, name, short, figure in _PAIR.findall(line):
        full = "_".join([*words.split(), name or short])
        if full.lower().endswith("loss"):
            full = full.lower()
        if full.lower() in _NO_METRICS:
            continue
        while full in metrics:
            full += "_"
        metrics[full] = _value(figure)
    match = _LOSS_TRAIN.search(line)
    if match is None:
        return metrics
    for name, figure in zip(("loss", "val_loss"), match.groups(), strict=True):
        if figure:
            metrics[name] = _value(figure)
    return metrics


def _value(figure: str) -> int | float:
    """A printed figure as a number: `12,000` as 12000, `1e-4`, `nan`. NaN for what is none."""
    digits = figure.replace(",", "")
    try:
        if digits.lstrip("-").isdigit():
            return int(digits)
        return float(digits)
    except ValueError:  # torchtune prints what the loss is
        return float("nan")


def _is_of_training(line: str, metrics: dict[str, int | float]) -> bool:
    """Whether a line without a step tells figures of a training: a loss, or the Trainer's dict with
    an epoch, `{'grad_norm': 1.2, 'epoch': 0.1}`.
    """
    if any(name.rstrip("_").endswith("loss") for name in metrics):
        return True
    return "epoch" in metrics and line.lstrip().startswith("{")


def _named(metrics: dict[str, int | float]) -> dict[str, int | float]:
    """The training loss as `loss`, the validation loss as `val_loss`, unless a line tells both
    names. The Trainer's last line has the mean of all training losses, which keeps its name.
    """
    if "train_runtime" in metrics:
        return rename_losses(metrics, train=())
    return rename_losses(metrics, train=_LOSS_NAMES)
