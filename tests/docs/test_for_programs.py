"""docs/AGENTS.md is what programs rely on: its schemas, codes and examples hold."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.experiments import env, wk, write_experiment
from watchkeeper.show.cli import COMMANDS
from watchkeeper.show.envelope import Envelope
from watchkeeper.show.schemas import schemas
from watchkeeper.watch.health.judge import ALARMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "AGENTS.md").read_text()


def test_the_published_schemas_are_the_structs() -> None:
    """The files in the package and in the documentation are those that the structs make today:
    `python scripts/schemas.py` renews them.
    """
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from schemas import FOLDERS, files
    finally:
        sys.path.pop(0)
    made = files()
    published = {path for folder in FOLDERS for path in folder.glob("*.json")}
    assert published == set(made)
    assert [str(path) for path, text in made.items() if path.read_text() != text] == []


def test_the_page_has_each_field_and_each_command_has_a_schema() -> None:
    """The table of the answer names the envelope's fields in their order."""
    table = PAGE.split("## The answer")[1].split("## Exit codes")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Envelope.__struct_fields__)
    assert set(schemas()) == {"envelope", *COMMANDS}
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    jsonschema.validate(json.loads(example), schemas()["envelope"])


def test_every_code_in_the_source_is_on_the_page() -> None:
    """A code that a program can meet is explained."""
    codes = set()
    for path in (ROOT / "src").rglob("*.py"):
        codes |= set(
            re.findall(r"""\bcode(?:: str)? ?= ?"([a-z][a-z-]+)"$""", path.read_text(), re.M)
        )
        codes |= set(re.findall(r"""\bcode="([a-z][a-z-]+)\"""", path.read_text()))
    codes |= {f"run-{health}" for health in ALARMS}
    assert len(codes) > 20 and sorted(code for code in codes if f"`{code}`" not in PAGE) == []


def test_every_command_says_what_its_quiet_result_is() -> None:
    """The table of `--quiet` names each command."""
    table = PAGE.split("## Without JSON")[1].split("## Codes")[0]
    texts = [f"{text} " for text in re.findall(r"`([^`]+)`", table)]
    missing = [name for name in COMMANDS if not any(t.startswith(f"{name} ") for t in texts)]
    assert missing == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the experiment of the page's examples, whose run fails once."""
    body = "if [ ! -e ../../seen ] && [ ! -e ../seen ]; then touch ../seen; exit 3; fi"
    write_experiment(tmp_path / "exp", body=body)
    return tmp_path


def test_the_loop_of_the_page_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's program retries what failed by `next`, and each command of its loop then answers
    with 0.
    """
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    state = folder / "state"
    monkeypatch.chdir(folder)
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    script = f'#!/bin/sh\nexec {sys.executable} -m watchkeeper "$@"\n'
    (bin_folder / "watchkeeper").write_text(script)
    (bin_folder / "watchkeeper").chmod(0o755)
    for name, value in env(state, WATCHKEEPER_POLL_S="0.05").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(bin_folder), prepend=":")
    exec(compile(program, "docs/AGENTS.md", "exec"), {"__name__": "example"})
    assert "2 done. {'done': 2}" in capsys.readouterr().out
    block = PAGE.split("## The loop")[1].split("```")[1]
    lines = [line.split() for line in block.strip().splitlines()]
    assert [words[1] for words in lines] == ["plan", "run", "status", "compare", "trace"]
    for _, *words in lines:
        done = wk(*words, state=state)
        told = json.loads(done.stdout)
        assert (told["command"], told["exit_code"], done.stderr) == (words[0], 0, ""), told
