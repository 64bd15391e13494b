"""What W&B's records say, by the field numbers of its `wandb_internal.proto` (0.31.0): a run's
settings, the rows of its history, its summary and its end. Other kinds of records are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from watchkeeper.publish.wandb import wire
from watchkeeper.publish.wandb.wire import Fields, WireError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT, _HEADER, _MACHINE = 2, 3, 5, 17, 18, 21, 26
_OUR_KEYS = frozenset({"_step", "_timestamp", "_runtime", "_wandb"})


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Values of the configuration or of the summary: what is new, by its path of keys, and which
    paths are gone.
    """

    update: tuple[tuple[tuple[str, ...], Any], ...] = ()
    removed: tuple[tuple[str, ...], ...] = ()


class Config(Change, frozen=True, kw_only=True):
    """A change of the configuration."""


class Summary(Change, frozen=True, kw_only=True):
    """A change of the summary."""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is. `started` is None where the record has no time; a text is "" where it has
    none. `starting_step` is where a resumed run's steps begin, 0 in a new one; `resumes`: it
    continues what is on the server under its id.
    """

    run_id: str
    entity: str = ""
    project: str = ""
    name: str = ""
    notes: str = ""
    group: str = ""
    job_type: str = ""
    tags: tuple[str, ...] = ()
    started: datetime | None = None
    starting_step: int = 0
    resumes: bool = False
    host: str = ""
    commit: str = ""
    config: Config = Config()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the history, by its own names. `time` and `step` are None where it has none."""

    values: dict[str, Any]
    time: datetime | None = None
    step: int | None = None


STEP_FROM_0 = "trainer/global_step"
"""Where Lightning puts the training step, counted from 0."""
_STEPS = ("train/global_step", "global_step")
"""Where other libraries put the training step, where W&B's own step is another."""


def flat_values(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values by one name, as in our rows: `a/b` for b in the object a."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flat_values(value, f"{before}{name}/")
        else:
            flat[f"{before}{name}"] = value
    return flat


def training_step_of(row: Row, values: Mapping[str, Any], *, first: int = 1) -> Any:
    """The training step of a row whose flat values are `values`: the one that a library logged,
    else W&B's own; None for none. `first` is the number of Lightning's first step: 1 as our own
    rows of it count.
    """
    step = values.get(STEP_FROM_0)
    if isinstance(step, int | float):
        return step + first
    return next((values[name] for name in _STEPS if name in values), row.step)


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run: the program's exit code, and how many seconds it ran (None: not said)."""

    code: int
    runtime_s: int | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of `wandb` wrote the file, as `0.31.0+…`."""

    version: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run ran: its host, the folder that it worked in, and the id of its Slurm job; "" for
    what was not said.
    """

    host: str = ""
    folder: str = ""
    slurm_job: str = ""


Record = Begin | Config | Summary | Row | Exit | Header | Machine


def record_of(data: bytes) -> Record | None:
    """What a record says; None for a kind that is passed over.

    Raises:
        WireError: the bytes are no record.
    """
    try:
        return _record(wire.fields_of(data))
    except (json.JSONDecodeError, RecursionError, OverflowError) as error:
        raise WireError(str(error)) from None


def _record(fields: Fields) -> Record | None:
    if _HISTORY in fields:
        return _row(wire.message_in(fields, _HISTORY))
    if _SUMMARY in fields:
        change = wire.message_in(fields, _SUMMARY)
        return Summary(update=_items(change, 1), removed=_paths(change, 2))
    if _CONFIG in fields:
        return _config(wire.message_in(fields, _CONFIG))
    if _RUN in fields:
        return _begin(wire.message_in(fields, _RUN))
    if _MACHINE in fields:
        return _machine(wire.message_in(fields, _MACHINE))
    if _EXIT in fields:
        end = wire.message_in(fields, _EXIT)
        code = wire.integer_in(end, 1) or 0
        return Exit(code=code, runtime_s=wire.integer_in(end, 2))
    if _HEADER in fields:
        versions = wire.message_in(wire.message_in(fields, _HEADER), 1)
        return Header(version=wire.text_in(versions, 1))
    return None


def _begin(run: Fields) -> Begin:
    return Begin(
        run_id=wire.text_in(run, 1),
        entity=wire.text_in(run, 2),
        project=wire.text_in(run, 3),
        config=_config(wire.message_in(run, 4)),
        group=wire.text_in(run, 6),
        job_type=wire.text_in(run, 7),
        name=wire.text_in(run, 8),
        notes=wire.text_in(run, 9),
        tags=tuple(wire.texts_in(run, 10)),
        host=wire.text_in(run, 13),
        starting_step=wire.integer_in(run, 14) or 0,
        started=_time(wire.message_in(run, 17)),
        resumes=bool(wire.integer_in(run, 18) or wire.integer_in(run, 24)),
        commit=wire.text_in(wire.message_in(run, 21), 2),
    )


def _machine(machine: Fields) -> Machine:
    entries = wire.messages_in(machine, 27)
    slurm = {wire.text_in(entry, 1): wire.text_in(entry, 2) for entry in entries}
    return Machine(
        host=wire.text_in(machine, 12),
        folder=wire.text_in(machine, 11),
        slurm_job=slurm.get("job_id", ""),
    )


def _config(change: Fields) -> Config:
    return Config(update=_items(change, 1), removed=_paths(change, 2))


def _time(timestamp: Fields) -> datetime | None:
    """A `google.protobuf.Timestamp`: whole seconds and nanoseconds since 1970."""
    seconds = wire.integer_in(timestamp, 1)
    if seconds is None:
        return None
    nanoseconds = wire.integer_in(timestamp, 2) or 0
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1_000)


def _row(history: Fields) -> Row:
    values: dict[str, Any] = {}
    for path, value in _items(history, 1):
        _put(values, path, value)
    step = values.get("_step")
    if not isinstance(step, int):
        step = _stated_step(history)
    time = _time_of(values.get("_timestamp"))
    own = {name: value for name, value in values.items() if name not in _OUR_KEYS}
    return Row(values=own, time=time, step=step)


def _stated_step(history: Fields) -> int | None:
    """The step in a row's own field, where a missing number means 0; None without the field."""
    if 2 not in history:
        return None
    return wire.integer_in(wire.message_in(history, 2), 1) or 0


def _time_of(seconds: Any) -> datetime | None:
    """A time in seconds since 1970; None for what is no time of any calendar."""
    if not isinstance(seconds, int | float):
        return None
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def _items(message: Fields, number: int) -> tuple[tuple[tuple[str, ...], Any], ...]:
    """The path of keys and the value of each item in a repeated field."""
    return tuple((_path(item), _value(item)) for item in wire.messages_in(message, number))


def _paths(message: Fields, number: int) -> tuple[tuple[str, ...], ...]:
    return tuple(_path(item) for item in wire.messages_in(message, number))


def _path(item: Fields) -> tuple[str, ...]:
    """An item's `nested_key`, else its `key` alone."""
    nested = wire.texts_in(item, 2)
    if nested:
        return tuple(nested)
    return (wire.text_in(item, 1),)


def _value(item: Fields) -> Any:
    """An item's value: as JSON, which may say NaN and Infinity, or in a typed field."""
    for number in (16, 8):
        if number in item:
            return json.loads(wire.text_in(item, number))
    if 7 in item:
        return wire.text_in(item, 7)
    if 6 in item:
        return wire.double_in(item, 6)
    if 5 in item:
        return wire.zigzag_in(item, 5)
    if 4 in item:
        return bool(wire.integer_in(item, 4))
    return None


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Put a value where its path says. What stands in the way of a path is replaced."""
    for key in path[:-1]:
        inner = values.get(key)
        if not isinstance(inner, dict):
            inner = values[key] = {}
        values = inner
    values[path[-1]] = value


def apply(values: dict[str, Any], change: Change) -> None:
    """Put the changes into the values."""
    for path, value in change.update:
        if path[0] not in _OUR_KEYS:
            _put(values, path, value)
    for path in change.removed:
        _take_away(values, path)


def _take_away(values: dict[str, Any], path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        inner = values.get(key)
        if not isinstance(inner, dict):
            return
        values = inner
    values.pop(path[-1], None)
