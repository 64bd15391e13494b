"""inspect-ai's logs (`.eval`), read without inspect-ai: whether an evaluation came to its end, and
whether it is the one that was promised.

A log is a zip: `_journal/start.json` from the beginning, `samples/…` as they are done,
`header.json` at the very end. Its members are compressed with Zstandard by today's versions, which
Python's own `zipfile` cannot read. Inspect's exit code proves nothing: it is 0 where a task raised.
Only the header's `status` tells: `success`, `error`, `cancelled`; a killed evaluation leaves no
header, and would say `started` for ever.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.events import Number
from watchkeeper.core.text import lazy
from watchkeeper.tools.file_formats import (
    ZIP_ERRORS,
    EmptyError,
    FaultError,
    as_number,
    load_json,
    printable,
    short,
)
from watchkeeper.tools.promise import Expected

LOOKED_AT = "status, task, model, epoch and samples in the .eval"
SUFFIX = ".eval"
_HEADER, _START = "header.json", "_journal/start.json"
_MAX_HEADER_BYTES = 64 * 2**20
_MAX_WINDOW_BYTES = (
    128 * 2**20
)  # of a Zstandard frame: what `zstd --ultra` needs at the most, its --long aside
_ZSTD = 93
_LOCAL_HEADER_BYTES = 30
_RUN_SETTINGS = ("limit", "epochs", "sample_id")
_SAMPLE = lazy.pattern(r"samples/.+\.json")
_EPOCH = lazy.pattern(r"(?:^|/)epoch_(\d+)/*$")


def read(path: Path, expected: Expected) -> tuple[dict[str, Number], str, str]:
    """A good log's metrics, what it says in words, and what is odd about it ("" for nothing).

    Of 20 samples, one of which failed: ({"accuracy": 0.5}, "19 of 20 samples, capitalization,
    hf/local, out/epoch_0", "1 of 20 samples failed, which its task tolerates").

    Raises:
        EmptyError: nothing was evaluated.
        FaultError: it is torn, has not come to its end, or is of something else than `expected`.
        OSError: it cannot be read.
    """
    header, members = _header(path)
    log = _object(header.get("eval"))
    _check_identity(log, expected)
    status = header.get("status")
    if status == "started":
        raise FaultError(
            'says status "started" and has no end: where its job has ended, it was killed'
        )
    if status != "success":
        why = ""
        if said := _object(header.get("error")).get("message"):
            why = f": {short(str(said))}"
        raise FaultError(f'says status {json.dumps(status)}, not "success"{why}')
    words, caution = _samples(header, log, members)
    names = filter(None, [str(log.get("task", "")), str(log.get("model", "")), model_path(log)])
    return _scores(header), printable(", ".join([*words, *names])), caution


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a log says of an evaluation: its task, when it was made (ISO 8601), the dataset that it
    names, and how many samples were evaluated; "" and 0: it does not say.
    """

    task: str = ""
    created: str = ""
    dataset: str = ""
    samples: int = 0


def describe(path: Path) -> Described:
    """What a log says of its evaluation, whatever came of it.

    Raises:
        FaultError: it is torn, or no log.
        OSError: it cannot be read.
    """
    header, members = _header(path)
    log = _object(header.get("eval"))
    dataset = _object(log.get("dataset"))
    samples = members
    count = _object(header.get("results")).get("completed_samples")
    if type(count) is int:
        samples = count
    return Described(
        task=str(log.get("task") or ""),
        created=str(log.get("created") or ""),
        dataset=str(dataset.get("location") or dataset.get("name") or ""),
        samples=samples,
    )


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of a log: its id as inspect-ai writes it, its epoch from 1, the model's answer,
    and each scorer's value, as text.
    """

    id: str
    epoch: int
    answer: str
    scores: dict[str, str]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a log says of each sample, and of what it is a log: its task and its model."""

    task: str
    model: str
    samples: tuple[Sample, ...]


def read_answers(path: Path) -> Answers:
    """The answers in a log, in the order of its samples' ids and epochs; also of one that was cut
    off.

    Raises:
        FaultError: it is torn, or no log.
        OSError: it cannot be read.
    """
    header, _ = _header(path)
    log = _object(header.get("eval"))
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = [one for one in archive.infolist() if _SAMPLE.fullmatch(one.filename)]
        samples = [_sample(_object(load_json(_content(path, member)))) for member in members]
    except ZIP_ERRORS as error:
        raise FaultError(f"cannot be read as an inspect-ai log: {error}") from error
    return _answers(log, samples)


def answers_of(log: dict[str, Any]) -> Answers:
    """The answers in a log that inspect-ai wrote as one JSON object."""
    listed = log.get("samples")
    samples: list[Sample] = []
    if isinstance(listed, list):
        samples = [_sample(_object(one)) for one in listed]
    return _answers(_object(log.get("eval")), samples)


def _answers(log: dict[str, Any], samples: list[Sample]) -> Answers:
    """The answers with what they are of, in the order of ids that are numbers: 2 before 10."""
    samples.sort(key=lambda one: (len(one.id), one.id, one.epoch))
    return Answers(
        task=str(log.get("task", "")), model=str(log.get("model", "")), samples=tuple(samples)
    )


def command_of(path: Path) -> tuple[list[str], list[str]]:
    """The command that makes a log's evaluation again, as far as the log says it, and the names of
    the settings that no option of `inspect eval` takes. It lacks the folder of its log.

    Raises:
        FaultError: it is torn, no log, or names no file of the task.
        OSError: it cannot be read.
    """
    log = _object(_header(path)[0].get("eval"))
    file, task, model = log.get("task_file"), log.get("task"), log.get("model")
    if not all(isinstance(one, str) and one for one in (file, task, model)):
        raise FaultError("does not say from which file its task came, or which model it was of")
    name = log.get("task_registry_name") or task
    words = ["inspect", "eval", f"{file}@{_plain(str(name))}", "--model", str(model)]
    words += [word for pair in _pairs(log, "model_args") for word in ("-M", pair)]
    words += [word for pair in _pairs(log, "task_args_passed") for word in ("-T", pair)]
    config = _object(log.get("config"))
    settings = {name: config[name] for name in _RUN_SETTINGS if config.get(name) is not None}
    settings |= _object(log.get("model_generate_config"))
    plain = {name: value for name, value in settings.items() if _is_plain(value)}
    for name, value in plain.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return words, [name for name in settings if name not in plain]


def _is_plain(value: object) -> bool:
    """Whether an option takes the value as it is."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _pairs(log: dict[str, Any], name: str) -> list[str]:
    """The arguments under a name of the log as an option takes them: `model_path=out/epoch_0`."""
    arguments = _object(log.get(name))
    return [f"{key}={_argument(value)}" for key, value in arguments.items()]


def _argument(value: object) -> str:
    """A value as inspect-ai reads it back from a command: a text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value)


def _sample(sample: dict[str, Any]) -> Sample:
    """A sample of a log; one that names no epoch is of the first."""
    epoch = sample.get("epoch")
    if type(epoch) is not int:
        epoch = 1
    scores = _object(sample.get("scores"))
    return Sample(
        id=str(sample.get("id", "")),
        epoch=epoch,
        answer=_answer(_object(sample.get("output"))),
        scores={name: str(_object(score).get("value")) for name, score in scores.items()},
    )


def _answer(output: dict[str, Any]) -> str:
    """The text that the model gave; "": it gave none."""
    completion = output.get("completion")
    if isinstance(completion, str):
        return completion
    choices = output.get("choices")
    if not isinstance(choices, list) or not choices:
        return ""
    content = _object(_object(choices[0]).get("message")).get("content")
    if isinstance(content, str):
        return content
    if not content:
        return ""
    return json.dumps(content)


def model_path(log: dict[str, Any]) -> str:
    """The folder that the model was read from, as the log says; "" where it does not."""
    path = _object(log.get("model_args")).get("model_path")
    if isinstance(path, str):
        return path
    return ""


def _object(value: object) -> dict[str, Any]:
    """A JSON object; an empty one where the log has something else in its place."""
    if isinstance(value, dict):
        return value
    return {}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The log's header, and how many samples it holds. Of a log without an end, what was written at
    its beginning, with the status `started`.

    Raises:
        FaultError: it is torn, or no log.
        OSError: it cannot be read.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = {member.filename: member for member in archive.infolist()}
        samples = sum(name.startswith("samples/") for name in members)
        if _HEADER in members:
            header = load_json(_content(path, members[_HEADER]))
            return _object(header), samples
        if _START in members:
            start = _object(load_json(_content(path, members[_START])))
            return start | {"status": "started"}, samples
    except ZIP_ERRORS as error:
        raise FaultError(f"cannot be read as an inspect-ai log: {error}") from error
    raise FaultError(f"has no {_HEADER}: it is no inspect-ai log, or was cut off")


def _content(path: Path, member: zipfile.ZipInfo) -> bytes:
    """A member of the log, decompressed and compared with its checksum. Zstandard's are found by
    their local header, of 30 bytes and two lengths (APPNOTE.TXT of PKWARE, 4.3.7).

    Raises:
        FaultError: it is larger than any header is.
        OSError, zipfile.BadZipFile: it cannot be read.
    """
    if max(member.file_size, member.compress_size) > _MAX_HEADER_BYTES:
        raise FaultError(f"has a {member.filename} of {member.file_size:,} bytes")
    if member.compress_type != _ZSTD:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return archive.read(member)
    with open_regular(path) as file:
        file.seek(member.header_offset)
        local = file.read(_LOCAL_HEADER_BYTES)
        name_bytes = int.from_bytes(local[26:28], "little")
        extra_bytes = int.from_bytes(local[28:30], "little")
        file.seek(name_bytes + extra_bytes, os.SEEK_CUR)
        data = _decompressed(file.read(member.compress_size), member.file_size)
    if zlib.crc32(data) != member.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {member.filename!r}")
    return data


def _decompressed(data: bytes, size: int) -> bytes:
    """The content of Zstandard frames, which are to hold `size` bytes.

    Raises:
        zipfile.BadZipFile: they are damaged, or hold more.
    """
    import zstandard  # Python reads it only from 3.14 on

    # A stream takes no frame's word for its size: `decompress` allocates what the frame claims.
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(data, read_across_frames=True) as stream:
            content = stream.read(size + 1)
    except zstandard.ZstdError as error:
        raise zipfile.BadZipFile(str(error)) from error
    if len(content) > size:
        raise zipfile.BadZipFile(f"it unfolds to more than the {size:,} bytes that it claims")
    return content


def _check_identity(log: dict[str, Any], expected: Expected) -> None:
    """Check that the log is of the task, the model and the epoch that were planned; what it does
    not say does not count against it.

    Raises:
        FaultError: it is of something else; the message says of what.
    """
    _check_task(log, expected)
    model, path = log.get("model"), model_path(log)
    if expected.model and isinstance(model, str) and model != expected.model:
        raise FaultError(f"is of the model {short(model)!r}, not {expected.model!r}")
    parts = set(PurePosixPath(path).parts)
    if parts & (expected.runs - expected.own) and not parts & expected.own:
        raise FaultError(f"is of another run's model, {short(path)}")
    if not isinstance(model, str):
        model = ""
    _check_epoch(model, path, expected)


def _check_task(log: dict[str, Any], expected: Expected) -> None:
    """Check the log's task, under the name of its function or the one that it gives itself."""
    task, file = log.get("task"), log.get("task_file")
    if not expected.tasks or not isinstance(task, str):
        return
    for name in (task, log.get("task_registry_name")):
        if isinstance(name, str) and _is_expected(_plain(name), file, expected):
            return
    raise FaultError(
        f"is of the task {short(task)!r}, not {' or '.join(map(repr, expected.tasks))}"
    )


def _check_epoch(model: str, path: str, expected: Expected) -> None:
    """Check the epoch that the path or the name of the model names: `out/epoch_1` is of 1."""
    match = _EPOCH.search(path) or _EPOCH.search(model)
    if expected.named and (match is None) != (expected.epoch is None):
        fault = "does not say of which epoch it is"
        if match is not None:
            fault = f"is of epoch {short(match[1])}"
        raise FaultError(f"{fault}, and lies among those of other evaluations")
    if match is None or expected.epoch is None:
        return
    epoch = match[1].lstrip("0") or "0"  # compared as text, which is cheap for any length
    if epoch != str(expected.epoch):
        raise FaultError(
            f"is of epoch {short(epoch)}, not {expected.epoch}: its model is {short(path or model)}"
        )


def _is_expected(task: str, file: object, expected: Expected) -> bool:
    """Whether a task is the promised one: by its name, or by its file, where it is not the name of
    another task of the experiment.
    """
    if task in map(_plain, expected.tasks):
        return True
    by_file = isinstance(file, str) and PurePosixPath(file).name in expected.files
    return by_file and task not in map(_plain, expected.others)


def _plain(task: str) -> str:
    """A task's name without its package, with `_` where file names have `-`."""
    return task.rpartition("/")[2].replace("-", "_")


def _samples(header: dict[str, Any], log: dict[str, Any], held: int) -> tuple[list[str], str]:
    """How many samples, in words, and what is odd about them. A task may tolerate samples that
    fail: that is said.
    """
    results = _object(header.get("results"))
    total, completed = results.get("total_samples"), results.get("completed_samples")
    if not isinstance(total, int) or not isinstance(completed, int):
        return [], ""
    if completed <= 0:
        raise EmptyError(f"has completed no sample of {total}")
    kept = _object(log.get("config")).get("log_samples") is not False
    if kept and held < completed:
        raise FaultError(f"holds {held} of its {completed} samples")
    if completed < total:
        failed = f"{total - completed} of {total} samples failed, which its task tolerates"
        return [f"{completed} of {total} samples"], failed
    return [f"{total} sample" + ("" if total == 1 else "s")], ""


def _scores(header: dict[str, Any]) -> dict[str, Number]:
    """inspect-ai's metrics: `accuracy`, or `scorer/accuracy` where two scorers report one of the
    same name.
    """
    scores = _object(header.get("results")).get("scores")
    if not isinstance(scores, list):
        return {}
    rows = [row for score in scores for row in _metrics_of(_object(score))]
    names = [name for _, name, _ in rows]
    metrics: dict[str, Number] = {}
    for scorer, name, number in rows:
        if names.count(name) == 1:
            metrics[name] = number
        else:
            metrics[f"{scorer}/{name}"] = number
    return metrics


def _metrics_of(score: dict[str, Any]) -> Iterator[tuple[str, str, Number]]:
    """A scorer's metrics that are numbers: the scorer's name, the metric's name, its value."""
    scorer = printable(str(score.get("name", "")))
    for name, metric in _object(score.get("metrics")).items():
        value = metric
        if isinstance(metric, dict):
            value = metric.get("value")
        number = as_number(value)
        if number is not None:
            yield scorer, printable(name), number
