"""The answers in an evaluation's log, sample by sample, whichever program wrote it: inspect-ai's
`.eval` and `.json`, and lines of JSON as lm-evaluation-harness and others write them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchkeeper.core.disk.files import read_whole
from watchkeeper.tools import inspect_ai
from watchkeeper.tools.file_formats import FaultError, load_json, read_json
from watchkeeper.tools.inspect_ai import Answers, Sample

SUFFIXES = (inspect_ai.SUFFIX, ".json", ".jsonl")
_MOST_BYTES = 256 * 2**20
_ID = ("id", "sample_id", "doc_id", "idx", "index")
_ANSWER = (
    "answer", "prediction", "completion", "output", "response", "filtered_resps", "resps",
)  # fmt: skip
_SCORES = ("score", "correct", "accuracy", "is_correct")


def read_answers(path: Path) -> Answers:
    """The answers in a log, in the order of its samples' ids.

    Raises:
        FaultError: it is torn, or no log of a kind that is read here.
        OSError: it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _of_lines(path)
    if suffix == ".json":
        return inspect_ai.answers_of(_object(path, read_json(path)))
    return inspect_ai.read_answers(path)


def _object(path: Path, value: Any) -> dict[str, Any]:
    """A log of inspect-ai as one object; FaultError: it is another JSON."""
    if isinstance(value, dict) and isinstance(value.get("samples"), list):
        return value
    raise FaultError("holds no samples: it is no log of inspect-ai")


def _of_lines(path: Path) -> Answers:
    """The answers in lines of JSON, in the file's order. Empty lines count in the numbers that
    errors name.

        {"doc_id": 0, "filtered_resps": ["Paris"], "acc": 1.0, "metrics": ["acc"]}

    is what lm-evaluation-harness writes with `--log_samples`.
    """
    samples: list[Sample] = []
    for number, line in enumerate(read_whole(path, _MOST_BYTES).splitlines(), 1):
        if line.strip():
            samples.append(_sample(load_json(line), number))
    return Answers(task="", model="", samples=tuple(samples))


def _sample(row: Any, number: int) -> Sample:
    """The sample of a line, `number` counted from 1.

    Raises:
        FaultError: it names no sample, or no answer.
    """
    if not isinstance(row, dict):
        raise FaultError(f"holds no object in line {number}")
    id, answer = _first(row, _ID), _first(row, _ANSWER)
    if id is None or answer is None:
        raise FaultError(
            f"names no sample or no answer in line {number}: an id is one of {', '.join(_ID)}, an "
            f"answer one of {', '.join(_ANSWER)}"
        )
    scores: dict[str, str] = {}
    for name in (*_SCORES, *_metric_names(row)):
        if name in row:
            scores[name] = str(row[name])
    return Sample(id=_text(id), epoch=1, answer=_text(answer), scores=scores)


def _metric_names(row: Mapping[str, Any]) -> list[str]:
    """The names of the metrics that a line lists, as lm-evaluation-harness does; [] for none."""
    named = row.get("metrics")
    if not isinstance(named, list):
        return []
    return [one for one in named if isinstance(one, str)]


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of these names that the row has; None: it has none of them."""
    for name in names:
        value = row.get(name)
        if value is not None:
            return value
    return None


def _text(value: Any) -> str:
    """The text; of a list with one member, which lm-evaluation-harness wraps each answer in, that
    of the member; of anything else its JSON.
    """
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)
