"""Who may import what from outside: a compute node needs core and record, and those need msgspec only."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import watchkeeper

ALLOWED = {"show": {"msgspec", "click"}, "launch": {"msgspec", "ruamel"}}
SOURCE = Path(watchkeeper.__file__).parent


def third_parties(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"watchkeeper"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_third_parties_are_imported_where_they_may_be(path):
    """Only `show` knows click, only `launch` reads YAML, and everything else needs msgspec at most."""
    package = path.relative_to(SOURCE).parts[0]
    assert third_parties(path) <= ALLOWED.get(package, {"msgspec"})
