"""The density of code, measured on small pieces whose figures are known."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("density", ROOT / "scripts" / "density.py")
density = importlib.util.module_from_spec(_spec)
sys.modules["density"] = density
_spec.loader.exec_module(density)


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: pass\n elif b: pass\n else: pass", 3),
        ("for x in y:\n  while z: pass", 3),
        ("try: pass\n except ValueError: pass\n except OSError: pass", 3),
        ("return a and b or c", 3),
        ("return [x for x in y if x]", 3),
        ("return a if b else c", 2),
        ("match a:\n  case 1: pass\n  case _: pass", 3),
        ("def inner():\n  if a: pass", 2),
    ],
)
def test_complexity_counts_each_way_through_a_function(body, complexity):
    """One for the function, and one for each branch, operator and part of a comprehension."""
    (function,) = ast.parse(f"def f():\n {body}\n").body
    assert density.complexity_of(function) == complexity


def test_a_folder_is_measured_and_a_missed_bound_fails(tmp_path, monkeypatch, capsys):
    """A nested conditional and a crowded line are named with their places; the exit code is 1."""
    text = '"""Doc."""\n\ndef f(a, b):\n    """Doc."""\n'
    (tmp_path / "good.py").write_text(text + "    x = a\n    y = b\n    return x + y\n")
    monkeypatch.setattr(sys, "argv", ["density.py", str(tmp_path)])
    assert density.main() == 0
    (tmp_path / "bad.py").write_text(
        text + "    z = [[x for x in y] for y in a]\n    return 1 if a else 2 if b else z\n"
    )
    assert density.main() == 1
    printed = capsys.readouterr().out
    assert f"    {tmp_path}/bad.py:5\n" in printed and f"    {tmp_path}/bad.py:6\n" in printed


def test_docstrings_comments_and_blank_lines_are_no_code():
    """Only lines that hold a token of code are counted."""
    text = '"""A\ndocstring."""\n\n# a comment\nx = 1\n\n\ndef f():\n    """Doc."""\n    return x\n'
    assert density.code_lines_of(text, ast.parse(text)) == 3
