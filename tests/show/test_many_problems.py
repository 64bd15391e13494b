"""Many problems of one kind: the first are said, and how many more there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from watchkeeper.show.cli import main

RUNS = 45


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A summary of runs of which none has a script."""
    summary = {
        "experiment": {
            "name": "many",
            "project": "tests",
            "question": "?",
            "date": "2026-03-11",
            "dir": str(tmp_path),
        },
        "tools": {"preparation": "script", "evaluation": "script"},
        "output": {"checkpoint": "{folder}/e_{epoch}", "result": "{folder}/{cell}.json"},
        "runs": [
            {"name": f"r{number}", "type": "fine-tuned", "model": "m", "parameters": {}}
            for number in range(RUNS)
        ],
        "evaluation": {"tasks": [], "matrix": []},
    }
    (tmp_path / "experiment_summary.yaml").write_text(json.dumps(summary))
    return tmp_path


def test_a_terminal_gets_the_first_and_a_count(experiment: Path) -> None:
    """Twenty lines and one that counts the rest, with what to type: not one for each run."""
    result = CliRunner().invoke(main, ["status", str(experiment)])
    lines = [line for line in result.stderr.splitlines() if "cannot start" in line]
    assert len(lines) == 20
    (more,) = [line for line in result.stderr.splitlines() if "and 25 more" in line]
    assert more == "error: and 25 more bad-experiment: --json --limit 0 has all"


def test_a_program_gets_all_of_them(experiment: Path) -> None:
    """What the last line names has every problem."""
    result = CliRunner().invoke(main, ["status", str(experiment), "--json", "--limit", "0"])
    problems = json.loads(result.stdout)["problems"]
    assert sum("cannot start" in one["message"] for one in problems) == RUNS


def test_a_summary_that_is_too_long_says_what_to_do(tmp_path: Path) -> None:
    """Its owner and mode are not at fault: the hint is to make several of it."""
    summary = tmp_path / "experiment_summary.yaml"
    with summary.open("wb") as file:
        file.truncate(17 * 2**20)
    result = CliRunner().invoke(main, ["status", str(tmp_path)])
    assert result.exit_code == 2
    assert "it is longer than 16,777,216 bytes" in result.stderr
    assert "make several experiments of it" in result.stderr
