"""The digits example's evaluation reads how the model is fed from its passport."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.checkpoints import safetensors
from watchkeeper.publish.passport.declared import read_declared
from watchkeeper.publish.passport.generate import generate, write_passport

DIGITS = Path(__file__).parents[2] / "examples/digits"


class Images:
    """As much of an array as the check looks at."""

    def __init__(self, pixels: int, high: float) -> None:
        self.shape = (3, pixels)
        self._high = high

    def min(self) -> float:
        """The smallest value."""
        return 0.0

    def max(self) -> float:
        """The largest value."""
        return self._high


def test_images_that_the_passport_does_not_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of another size or another range than the passport's stop the evaluation; without a
    passport nothing is said.
    """
    names = ("data", "forward", "load", "loss_of", "new_model")
    stub = SimpleNamespace(**dict.fromkeys(names))
    monkeypatch.setitem(sys.modules, "digits", stub)
    monkeypatch.syspath_prepend(str(DIGITS))
    monkeypatch.delitem(sys.modules, "evaluate", raising=False)
    import evaluate

    monkeypatch.delitem(sys.modules, "evaluate")
    evaluate.check_input(tmp_path, Images(7, 255.0))
    (tmp_path / "model.safetensors").write_bytes(safetensors({"a": ("F32", (2,))}))
    declared = read_declared(DIGITS / "contract.toml")
    now = datetime(2026, 3, 11, tzinfo=UTC)
    write_passport(tmp_path, generate(tmp_path, now=now, declared=declared).document)
    evaluate.check_input(tmp_path, Images(64, 1.0))
    for images in (Images(63, 1.0), Images(64, 255.0)):
        with pytest.raises(SystemExit, match="takes 64 pixels from 0 to 1"):
            evaluate.check_input(tmp_path, images)
