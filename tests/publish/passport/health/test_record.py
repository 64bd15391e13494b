"""What was seen of the numbers, in the passport and as checks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.checkpoints import safetensors
from watchkeeper.publish.passport.document import get, source_of
from watchkeeper.publish.passport.generate import generate, write_passport
from watchkeeper.publish.passport.health.numbers import Amiss
from watchkeeper.publish.passport.health.record import FIELD, checks_of, facts_of
from watchkeeper.publish.passport.health.scan import Health

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
SICK = Health(scanned_tensors=2, amiss={"w": Amiss(3, 1)}, unscanned={"it is odd": ["a", "b"]})


def made(root: Path, **more: Any) -> dict[str, Any]:
    """The passport that is made and written."""
    generated = generate(root, now=NOW, **more)
    write_passport(root, generated.document)
    return generated.document


def checkpoint(root: Path, fill: int = 1) -> Path:
    """A folder with one weight file."""
    (root / "model.safetensors").write_bytes(safetensors({"w": ("F32", (2,))}, fill))
    return root


def test_what_was_seen_is_observed(tmp_path: Path) -> None:
    """Counts, the tensors with NaN, and what was not looked at stand in the passport."""
    document = made(checkpoint(tmp_path), health=facts_of(SICK))
    assert get(document, FIELD) == {
        "scanned_tensors": 2,
        "nan_count": 3,
        "inf_count": 1,
        "tensors_amiss": [{"name": "w", "nan": 3, "inf": 1}],
        "not_scanned": [{"reason": "it is odd", "count": 2, "first": ["a", "b"]}],
    }
    assert source_of(document, f"{FIELD}.nan_count") == "observed"


def test_nobodys_word_outweighs_a_count(tmp_path: Path) -> None:
    """A declared count is left out once the numbers were looked through, before or after."""
    root = checkpoint(tmp_path)
    healthy = {"model_internals": {"numerical_health": {"nan_count": 0}}}
    assert get(made(root, declared=healthy), f"{FIELD}.nan_count") == 0
    assert get(made(root, health=facts_of(SICK)), f"{FIELD}.nan_count") == 3
    generated = generate(root, now=NOW, declared=healthy)
    assert get(generated.document, f"{FIELD}.nan_count") == 3
    assert [problem.code for problem in generated.problems] == ["not-declarable"]


def test_what_was_seen_stays_with_its_weights(tmp_path: Path) -> None:
    """A passport that is made again keeps the counts, and loses them with other weights."""
    made(checkpoint(tmp_path), health=facts_of(SICK))
    assert get(made(tmp_path), f"{FIELD}.nan_count") == 3
    assert get(made(checkpoint(tmp_path, fill=2)), FIELD) is None


def test_each_tensor_that_is_amiss_fails_by_name() -> None:
    """The first tensors have a check each, the others are counted, and nothing passes beside."""
    sick = {f"w{number}": Amiss(1, 0) for number in range(7)}
    checks = list(checks_of(Health(scanned_tensors=9, amiss=sick, unscanned={})))
    assert [(check.name, check.status) for check in checks] == [("nan-found", "fail")] * 6
    assert "w0" in checks[0].message and checks[-1].message.startswith("2 more tensors")


def test_sound_numbers_pass_and_what_was_left_is_said() -> None:
    """What was not looked at is not checked, beside the pass of what was; nothing looked at
    passes nothing.
    """
    unscanned = {"it is odd": ["a.onnx"]}
    checks = list(checks_of(Health(scanned_tensors=9, amiss={}, unscanned=unscanned)))
    assert [check.status for check in checks] == ["not_checked", "pass"]
    assert checks[0].message == "a.onnx: it is odd"
    (only,) = checks_of(Health(scanned_tensors=0, amiss={}, unscanned=unscanned))
    assert only.status == "not_checked"
