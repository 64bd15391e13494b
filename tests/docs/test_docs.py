"""The documentation says what the program does: every command, option, setting, action and local
link.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import click
import pytest

import watchkeeper as wk
from watchkeeper.core.settings import TABLES, Cluster, Settings
from watchkeeper.report.actionlog.block_format import ACTIONS
from watchkeeper.show.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def test_the_commands_page_is_the_commands_own_help() -> None:
    """docs/commands.md holds the help of every command, as the program prints it today."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from commands_page import page
    finally:
        sys.path.pop(0)
    assert (ROOT / "docs" / "commands.md").read_text() == page()


def test_the_api_page_is_the_docstrings() -> None:
    """docs/api.md holds each public name with its docstring, as the package has them today."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from api_page import GROUPS, page
    finally:
        sys.path.pop(0)
    shown = [name for names in GROUPS.values() for name in names]
    assert sorted([*shown, "__version__"]) == sorted(wk.__all__)
    assert (ROOT / "docs" / "api.md").read_text() == page()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_json_and_help_for_each_option(name: str) -> None:
    """Every command shows an example, can print JSON, and says what each of its options does."""
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert f"Example: watchkeeper {name} " in (command.help or "")
    options = [p for p in command.params if isinstance(p, click.Option)]
    assert "--json" in [o for option in options for o in option.opts]
    assert all(option.help for option in options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_setting_and_action_is_documented() -> None:
    """Each setting is in docs/settings.md with its variable, each action of the logs in
    docs/logs.md.
    """
    settings = (ROOT / "docs" / "settings.md").read_text()
    for name in set(Settings.__struct_fields__) - TABLES:
        assert f"`{name}`" in settings and f"`WATCHKEEPER_{name.upper()}`" in settings
    assert all(f"`{name}`" in settings for name in Cluster.__struct_fields__)
    logs = (ROOT / "docs" / "logs.md").read_text()
    assert not [action for action in ACTIONS if f"`{action}`" not in logs]


def test_the_recorders_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of docs/record.md runs as it stands, and its rows can be read back."""
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "record.md").read_text(), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "artifacts" / "epoch_0").mkdir(parents=True)
    (tmp_path / "artifacts" / "epoch_0" / "model.bin").write_bytes(b"weights")
    names: dict = {}
    exec(compile(code, "docs/record.md", "exec"), names)
    rows, problems = names["wk"].read_rows(names["run"].folder)
    assert len(rows) == 3 and not problems


def test_every_test_says_in_one_sentence_what_it_guards() -> None:
    """Each test function has a docstring."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"
