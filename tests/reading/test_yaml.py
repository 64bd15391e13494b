"""YAML that people wrote, with a place for everything, and within bounds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from watchkeeper.core.errors import ExperimentError
from watchkeeper.reading import settings, yaml

FLOOR_S = 0.05  # shorter times are the machine's
DEEP = {
    "brackets": "[",
    "brackets, closed": "[[],",
    "braces": "{x: ",
    "braces, in quotes": '{"x": ',
    "dashes": "- ",
    "question marks": "? ",
    "brackets, a line each": "[\n",
}


def _message(text: str) -> str:
    with pytest.raises(ExperimentError) as raised:
        yaml.load(Path("x.yaml"), text.encode())
    return str(raised.value)


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_is_an_error_with_its_line(name: str) -> None:
    """Nesting deeper than a hundred levels is refused with file and line, whatever nests."""
    message = _message("a: 1\nb:\n  " + DEEP[name] * 3000)
    line = 103 if name.endswith("each") else 3
    assert message.startswith(f"x.yaml:{line}:") or message.startswith(f"x.yaml:{line - 1}:")
    assert "nested deeper than 100 levels" in message


def test_a_hundred_levels_are_read() -> None:
    """What is nested as deep as the bound is read."""
    assert yaml.load(Path("x.yaml"), b"[" * 99 + b"1" + b"]" * 99).list() is not None


@pytest.mark.parametrize("name", DEEP)
def test_deep_nesting_costs_no_more_where_there_is_more_of_it(name: str) -> None:
    """Ten times the brackets take at most ten times as long, with room for the machine's noise."""

    def seconds(count: int) -> float:
        began = time.process_time()
        _message(DEEP[name] * count)
        return time.process_time() - began

    assert seconds(50_000) <= 35 * max(seconds(5_000), FLOOR_S)


def test_a_configuration_that_is_nested_deeply_is_compared_whole() -> None:
    """A configuration beyond the bound has no settings, and the other files' stay."""
    assert settings.Reader().settings("c.yaml", "0", b"a: " + b"[" * 3000) is None
