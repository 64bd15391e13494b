"""The vector in the passport: made from an answer, and compared with a later one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from watchkeeper.core.disk.files import read_whole
from watchkeeper.publish.checks import Check
from watchkeeper.publish.manifest.document import utc
from watchkeeper.publish.passport.document import Fact, Facts
from watchkeeper.publish.passport.reference.program import Answer
from watchkeeper.publish.passport.rules.examined import counted, finding, is_number
from watchkeeper.publish.passport.rules.output_spec import VECTOR

TOLERANCE = {"absolute": 1e-4, "relative": 1e-3}
"""By how much a number may differ, where the program states nothing else: by the one, plus the
other times the recorded number.
"""


def record(answer: Answer, program: Path, name: str, now: datetime) -> Facts:
    """The vector of a forward pass, as fields of the passport.

    `program` is the file, and `name` what it was called on the command line; `now` is aware. The
    tolerance is the program's own over the default.

    Raises:
        OSError: the program cannot be read.
    """
    prompt = answer.inputs.get("prompt")
    fields: dict[str, Any] = {
        "n_frames": 1,
        "inputs": answer.inputs,
        "outputs": answer.outputs,
        "tolerance": {**TOLERANCE, **answer.tolerance},
        "program": Path(name).name,
        "program_sha256": hash_of(program),
        "recorded_at": utc(now),
    }
    if isinstance(prompt, str):
        fields["input_prompt"] = prompt
    return {f"{VECTOR}.{field}": Fact(value, "observed") for field, value in fields.items()}


def hash_of(program: Path) -> str:
    """The SHA-256 of a program."""
    return hashlib.sha256(read_whole(program)).hexdigest()


def compare(vector: dict[str, Any], answer: Answer, program_sha256: str) -> list[Check]:
    """Each output of a replay against the recorded one, and whether the program is the same.

    `vector` is that of the passport, `answer` what the replay gave. One check that passes where
    nothing differs.
    """
    checks = list(_outputs(vector, answer))
    if not checks:
        message = f"{len(answer.outputs)} outputs are as recorded, within the tolerance"
        checks = [finding("output_spec", "pass", "replay", VECTOR, message)]
    if vector.get("program_sha256") != program_sha256:
        message = "another program than the recorded one made the forward pass"
        checks.append(finding("output_spec", "soft_signal", "other-program", VECTOR, message))
    return checks


def _outputs(vector: dict[str, Any], answer: Answer) -> Iterator[Check]:
    """The outputs that differ, each by its name; nothing where all are as recorded."""
    recorded = vector.get("outputs")
    outputs = recorded if isinstance(recorded, dict) else {}
    tolerance = _tolerance(vector.get("tolerance"))
    for name in dict.fromkeys([*outputs, *answer.outputs]):
        where = f"{VECTOR}.outputs.{name}"
        if name not in answer.outputs:
            yield finding("output_spec", "fail", "replay-differs", where, "it was only recorded")
            continue
        if name not in outputs:
            yield finding("output_spec", "fail", "replay-differs", where, "it was only replayed")
            continue
        differences = list(differ(outputs[name], answer.outputs[name], tolerance))
        if differences:
            message = f"{len(differences)} values differ: {counted(differences)}"
            yield finding("output_spec", "fail", "replay-differs", where, message)


def _tolerance(value: Any) -> dict[str, float]:
    """The tolerance of a vector; what it lacks, or cannot be meant, is the default.

    `{"absolute": 1e-3}` is taken; a number of 1 or more would let anything pass.
    """
    tolerance = dict(TOLERANCE)
    if not isinstance(value, dict):
        return tolerance
    for name, number in value.items():
        if name in TOLERANCE and is_number(number) and 0 <= number < 1:
            tolerance[name] = number
    return tolerance


def differ(old: Any, new: Any, tolerance: dict[str, float], at: str = "") -> Iterator[str]:
    """Where two values differ, in words. Whole numbers and texts are equal or differ; of others the
    tolerance decides.

    `at` is where both lie in the output, "" for the whole: `logits[3] is 0.52, not 0.41`.
    """
    if isinstance(old, list) and isinstance(new, list):
        yield from _lists_differ(old, new, tolerance, at)
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from differ(old.get(key), new.get(key), tolerance, f"{at}.{key}".lstrip("."))
    elif not is_close(old, new, tolerance):
        yield f"{at or 'it'} is {_short(new)}, not {_short(old)}"


def _lists_differ(
    old: list[Any], new: list[Any], tolerance: dict[str, float], at: str
) -> Iterator[str]:
    """The same of two lists: their lengths, and the entries that both have."""
    if len(old) != len(new):
        yield f"{at or 'it'} has {len(new)} entries, not {len(old)}"
    for number, (one, other) in enumerate(zip(old, new, strict=False)):
        yield from differ(one, other, tolerance, f"{at}[{number}]")


def is_close(old: Any, new: Any, tolerance: dict[str, float]) -> bool:
    """Whether two plain values agree. NaN and infinity agree with nothing, themselves included: an
    output that holds them is no proof of anything.
    """
    are_numbers = is_number(old) and is_number(new)
    are_whole = type(old) is type(new) is int
    if not are_numbers or are_whole:
        return type(old) is type(new) and bool(old == new)
    if not (math.isfinite(old) and math.isfinite(new)):
        return False
    most: float = tolerance["absolute"] + tolerance["relative"] * abs(old)
    return bool(abs(old - new) <= most)


def _short(value: Any) -> str:
    """A value for a message, in at most 40 characters: floats with six digits, others as
    in Python.
    """
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    if len(text) <= 40:
        return text
    return text[:39] + "…"
