"""The recorder's page: the code of its sections runs as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/record.md"


def test_the_sections_examples_run(tmp_path, monkeypatch, capsys):
    """Tables, progress, cadence, examples and status do what the page says, with the page's own
    code.
    """
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL):
        names: dict = {}
        exec(compile(code, str(PAGE), "exec"), names)
        if "rows" in names:
            assert len(names["rows"]) == 4 and not names["problems"]
        if "cadence" in names:
            status = json.loads((names["run"].folder / "status/training_status.json").read_text())
            assert (status["step"], status["total"], round(status["gap"], 9)) == (40, 40, 0.03)
    shown = capsys.readouterr().out
    assert shown.count("FULL EVAL + VAL LOSS") == 2
    assert shown.count("MODEL OUTPUT") == 2
    assert "MATCH" in shown and "Gap=+0.0300" in shown
