"""What users and libraries configure, bounded and without secrets, and the names that losses go by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from watchkeeper.record.values import fields_of, number, text, tree

DEPTH = 8  # of a nested configuration
ITEMS = 200  # of one list or mapping in it
LETTERS = 2_000  # of one text in it

# `hub_token`, `api_key` and `hfToken`, but neither `tokenizer` nor `keyframes`; numbers such as `pad_token_id` are kept.
_secret = re.compile(r"(?i:secret|passw|credential|api_?key|token(?!i[sz])|(?:^|[^a-z])keys?(?![a-z]))|[a-z]Keys?(?![a-z])")
_login = re.compile(r"(?<=://)[^/@\s]+@")
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


def settings(value: object) -> dict[str, Any]:
    """A configuration as plain fields; {} for what has no fields. Fields named like a secret are left out, unless they hold
    a number; logins are cut out of addresses; long lists, texts and deep nesting are cut short.
    """
    fields = fields_of(value)
    return {} if fields is None else _mapping(fields, 0)


def _mapping(fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in list(fields.items())[:ITEMS]:
        label = text(str(name))
        if value is None or isinstance(value, bool | int | float) or not _is_secret(label):
            kept[label] = _any(value, depth + 1)
    if len(fields) > ITEMS:
        kept["…"] = f"{len(fields) - ITEMS} more"
    return kept


def _is_secret(name: str) -> bool:
    return _secret.search(name) is not None


def _any(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return tree(value)
    if isinstance(value, str):
        return _text(value)
    if depth >= DEPTH:
        return _text(text(value))
    if isinstance(value, list | tuple | set | frozenset):
        kept = [_any(inner, depth + 1) for inner in list(value)[:ITEMS]]
        return [*kept, f"… {len(value) - ITEMS} more"] if len(value) > ITEMS else kept
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    figure = number(value)
    return figure if figure is not None else _text(_words(value))


def _words(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return text(value)


def _text(words: str) -> str:
    return text(_login.sub("", words), limit=LETTERS)


def named(metrics: Mapping[str, Any], loss: Iterable[str] = _LOSS, val_loss: Iterable[str] = _VAL_LOSS) -> dict[str, Any]:
    """The metrics, with the training loss as `loss` and the validation loss as `val_loss`: the first of the usual names is
    renamed, unless the metrics have that name already.
    """
    row = {str(name): value for name, value in metrics.items()}
    for ours, usual in (("loss", loss), ("val_loss", val_loss)):
        theirs = next((name for name in usual if name in row), None)
        if theirs is not None and ours not in row:
            row = {ours if name == theirs else name: value for name, value in row.items()}
    return row
