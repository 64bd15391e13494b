"""In the place of what people write there may lie anything: no command waits for a pipe, and each
names the file.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.experiments import wk, write_experiment

WRITTEN = ("experiment_summary.yaml", "one/finetune.slurm", "watchkeeper.toml", "one/finetune.yaml")


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_no_command_waits_for_a_pipe(tmp_path: Path, name: str, command: str) -> None:
    """A pipe in the place of a summary ends in a message that names it; one in the place of a
    script is no script, and one in the place of settings or a configuration is none of these.
    """
    folder = write_experiment(tmp_path / "exp")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    done = wk(command, folder, state=tmp_path / "state")
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    if name == "experiment_summary.yaml":
        assert done.returncode == 2
        assert name in said and "not a regular file" in said
    elif name == "one/finetune.slurm":
        assert done.returncode == 1 and "no script" in said
    else:
        assert done.returncode == 0


def test_a_summary_nested_deeply_is_refused_by_its_line(tmp_path: Path) -> None:
    """The message names file and line, and nothing is submitted."""
    folder = write_experiment(tmp_path / "exp")
    path = folder / "experiment_summary.yaml"
    path.write_text("experiment:\n  name: " + "[" * 5000)
    done = wk("run", folder, state=tmp_path / "state")
    assert done.returncode == 2 and "nested deeper than 100 levels" in done.stderr
    assert "experiment_summary.yaml:2:" in done.stderr
