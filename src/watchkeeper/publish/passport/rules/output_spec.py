"""What the model gives: results that were recorded, and the reference test vector."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from watchkeeper.publish.checks import Check, Status
from watchkeeper.publish.passport.rules.examined import Examined, finding, is_number, says_nan, walk

_SMOKE = "output_spec.smoke_results"
VECTOR = "reference_test_vector"
_INPUTS = re.compile(r"inputs?|input_.+", re.IGNORECASE)
_NO_HASH = re.compile(r"0*|none|null|todo|tbd|dummy|n/a", re.IGNORECASE)


def checks(examined: Examined) -> Iterator[Check]:
    """What is wrong with the recorded output, or was not recorded.

    A field such as `has_nan` counts by its name; `min_inf` is no infinity but a minimum.
    """
    for place, key, value in walk(examined.mapping(_SMOKE), _SMOKE):
        if re.search(r"nan|(?<!m)inf", key, re.IGNORECASE) and says_nan(value):
            message = "NaN or infinity was recorded in the model's output"
            yield _check("fail", "nan-recorded", place, message)
    vector = examined.get(VECTOR)
    hint = "record one: watchkeeper checkpoint passport ROOT --reference SCRIPT"
    if not vector:
        message = "there is no reference test vector"
        yield _check("not_checked", "reference", VECTOR, message, hint)
        return
    fault = dummy_fault(vector)
    if fault:
        yield _check("fail", "dummy-reference", VECTOR, f"the test vector {fault}", hint)


def _check(status: Status, name: str, where: str, message: str, hint: str = "") -> Check:
    return finding("output_spec", status, name, where, message, hint=hint)


def dummy_fault(vector: Any) -> str:
    """Why a reference test vector proves nothing; "": it may prove something.

    The words follow "the test vector": `has no input but zeros`. A passport made by another program
    may hold a vector of placeholders.
    """
    if not isinstance(vector, dict):
        return "is no mapping"
    frames = vector.get("n_frames")
    if frames is not None and (not is_number(frames) or frames < 1):
        return "has no frames"
    # `inputs`, `input_prompt`, `input_state`: programs name them in their own ways.
    inputs = [value for key, value in vector.items() if _INPUTS.fullmatch(key)]
    if not any(map(_holds_something, inputs)):
        return "has no input but zeros"
    outputs = vector.get("outputs")
    if outputs is not None and not _holds_something(outputs):
        return "has no output but zeros"
    return ""


def _holds_something(value: Any) -> bool:
    """Whether there is a number other than 0, or a text that is no word for none, in a value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif _is_something(one):
            return True
    return False


def _is_something(value: Any) -> bool:
    """Whether a plain value says anything: a number other than 0, or a text that is no word for
    none.

    `todo`, `n/a` and a hash of zeros are such words.
    """
    if isinstance(value, str):
        return _NO_HASH.fullmatch(value.strip()) is None
    return is_number(value) and value != 0
