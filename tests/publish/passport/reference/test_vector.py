"""A test vector, and how a replay is compared with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import write_llama, write_program
from watchkeeper.publish.passport.document import get
from watchkeeper.publish.passport.generate import generate, write_passport
from watchkeeper.publish.passport.reference.program import Answer
from watchkeeper.publish.passport.reference.vector import TOLERANCE, compare, is_close, record

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)


def answer(**outputs: Any) -> Answer:
    """What a forward pass gave."""
    return Answer(inputs={"prompt": "ab"}, outputs=outputs)


def names(recorded: dict[str, Any], replayed: dict[str, Any], **vector: Any) -> dict[str, str]:
    """The checks of a replay, place → name."""
    checks = compare(
        {"outputs": recorded, "program_sha256": "p", **vector}, answer(**replayed), "p"
    )
    return {check.where.rpartition(".")[2]: check.name for check in checks}


@pytest.mark.parametrize(
    ("old", "new", "agrees"),
    [
        (1.0, 1.0009, True),
        (1.0, 1.002, False),
        (0.0, 0.00009, True),
        (0.0, 0.0002, False),
        (-1000.0, -1000.9, True),
        (5, 5, True),
        (5, 6, False),
        (5000, 5001, False),
        (5, 5.0, True),
        (1, True, False),
        ("a", "a", True),
        ("a", "b", False),
        (None, None, True),
        (float("inf"), float("inf"), False),
    ],
)
def test_numbers_agree_within_the_tolerance(old: Any, new: Any, agrees: bool) -> None:
    """Floats may differ by the absolute plus the relative part; whole numbers and texts not at
    all.
    """
    assert is_close(old, new, TOLERANCE) is agrees


def test_each_output_that_differs_is_named() -> None:
    """An output of other values, another length, or that is only in one of the two fails alone."""
    recorded = {"same": [1.0], "value": {"x": [1.0, 2.0]}, "length": [1], "gone": 1}
    replayed = {"same": [1.0], "value": {"x": [1.0, 2.1]}, "length": [1, 2], "new": 1}
    assert names(recorded, replayed) == dict.fromkeys(
        ["value", "length", "gone", "new"], "replay-differs"
    )
    assert names({"same": [1.0]}, {"same": [1.0]}) == {"reference_test_vector": "replay"}


def test_the_tolerance_stands_in_the_passport() -> None:
    """A stated tolerance counts; one that would let anything pass does not."""
    stated = {"absolute": 0.5}
    assert names({"x": 1.0}, {"x": 1.4}, tolerance=stated) == {"reference_test_vector": "replay"}
    for nonsense in ({"absolute": 1e9}, {"relative": -1}, {"absolute": "much"}, [1]):
        assert names({"x": 1.0}, {"x": 1.4}, tolerance=nonsense) == {"x": "replay-differs"}


def test_another_program_is_a_soft_signal() -> None:
    """That another program made the forward pass is said, and does not fail."""
    checks = compare({"outputs": {"x": 1}, "program_sha256": "p"}, answer(x=1), "q")
    assert [(check.name, check.status) for check in checks] == [
        ("replay", "pass"),
        ("other-program", "soft_signal"),
    ]


def test_a_vector_stays_as_long_as_the_weights_do(tmp_path: Path) -> None:
    """A passport made again keeps the vector of the same weights, and drops that of others."""
    root = write_llama(tmp_path / "model")
    program = write_program(tmp_path / "forward.py")
    facts = record(answer(x=1.5), program, "forward.py", NOW)
    write_passport(root, generate(root, now=NOW, reference=facts).document)
    again = generate(root, now=NOW).document
    assert get(again, "reference_test_vector.outputs") == {"x": 1.5}
    assert get(again, "reference_test_vector.input_prompt") == "ab"
    assert again["field_sources"]["reference_test_vector.outputs.x"] == "observed"
    (root / "model.safetensors").write_bytes((root / "model.safetensors").read_bytes()[:-1] + b"9")
    assert get(generate(root, now=NOW).document, "reference_test_vector") is None
