"""What `run.log` was called with, as one row: a training step, and metrics under their names.

`run.log(5, loss=0.5)`, `run.log(step=5, loss=0.5)`, `run.log({"loss": 0.5}, step=5)` and
`run.log({"loss": 0.5}, 5)` are the same row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import UNSET

from watchkeeper.runfolder.values import label, text, training_step

Warn = Callable[[str, str], None]


def row_of(
    positional: tuple[object, ...], keywords: dict[str, Any], warn: Warn
) -> tuple[object, dict[str, Any]]:
    """The step, None for none, and the metrics. The first value by position that is no mapping is
    the step; without one it is what was given as `step`. Whatever else stands by position is kept
    as `value`. A step that is no number is returned as it was given, and `warn` is called.
    """
    values = [value for value in positional if value is not UNSET and not _is_mapping(value)]
    row = dict(keywords)
    if not values and "step" in row:
        values.append(row.pop("step"))
    for mapping in filter(_is_mapping, positional):
        _add(row, _pairs(mapping))
    if not values and "step" in row:
        values.append(row.pop("step"))
    if len(values) > 1:
        words = (
            f"run.log: {text(values[1])} has no name and is kept as `value`; give it one: "
            "run.log(5, loss=0.5)"
        )
        warn("nameless", words)
        _add(row, [("value", value) for value in values[1:]])
    return _step_of(values, warn), row


def _step_of(values: list[object], warn: Warn) -> object:
    """The training step among what was given by position; what was given, where that is
    no number.
    """
    if values:
        given = values[0]
    else:
        given = None
    step = training_step(given)
    if step is None and given is not None:
        warn(
            "training step",
            no_step("run.log", given, "the row is kept without a step, and the value as `step_`"),
        )
        return given
    return step


def no_step(call: str, given: object, consequence: str, kind: str = "number") -> str:
    """The warning about a training step that is no number, or no whole one."""
    if isinstance(given, str):
        shown = repr(text(given))
    else:
        shown = text(given)
    return f"{call}: the training step {shown} is no {kind}; {consequence}"


def _is_mapping(value: object) -> bool:
    """Whether it is a mapping, of any library: a pandas Series is one too."""
    if isinstance(value, Mapping):
        return True
    return hasattr(value, "keys") and hasattr(value, "items") and not isinstance(value, type)


def _pairs(mapping: Any) -> list[tuple[str, Any]]:
    """The names and values of a mapping; of one that raises, the mapping itself as `value`."""
    try:
        return [(label(key), value) for key, value in mapping.items()]
    except Exception:  # a mapping of somebody's that fails: its text is kept
        return [("value", mapping)]


def _add(row: dict[str, Any], metrics: Iterable[tuple[str, Any]]) -> None:
    """Add these; a name that is there already gets an underscore."""
    for given, value in metrics:
        name = given
        while name in row:
            name += "_"
        row[name] = value
