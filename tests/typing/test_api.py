"""The public API is typed as programs use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

import watchkeeper as wk

HERE = Path(__file__).parent
OLD = {"ask_to_stop", "stop_if_asked", "on_interrupt", "watch"}


def test_a_program_passes_strict_mypy(tmp_path: Path) -> None:
    """A program that uses the whole public API passes mypy's strict checks."""
    options = ["--strict", "--cache-dir", str(tmp_path), "--config-file", ""]
    found, errors, code = api.run([*options, str(HERE / "api.py")])
    assert code == 0, found + errors


@pytest.mark.parametrize("name", wk.__all__)
def test_the_program_uses_each_public_name(name: str) -> None:
    """Each public name but `read_table` stands in the program that mypy checks."""
    program = (HERE / "api.py").read_text()
    assert f"wk.{name}" in program or name == "read_table"


def test_a_run_has_one_name_for_each_thing() -> None:
    """The old names for stopping are gone, except `should_stop`."""
    names = set(dir(wk.Run))
    assert not names & OLD
    assert {"request_stop", "stop_requested", "stop_if_requested", "on_stop"} <= names
    assert "should_stop" in names
