"""`watchkeeper status` of recorded runs."""

from __future__ import annotations

import json
import subprocess
import sys

from click.testing import CliRunner

import watchkeeper as wk
from watchkeeper.core import layout
from watchkeeper.core.errors import EXIT_DETACHED, EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from watchkeeper.show.cli import main

WAITS = """
import sys, watchkeeper as wk
run = wk.start_run(folder=sys.argv[1], pipeline="training", console=False, sidecar=False)
run.log(7, loss=0.5)
print("ready", flush=True)
sys.stdin.readline()
"""


def status(folder, *options):
    """The command's result."""
    return CliRunner().invoke(main, ["status", str(folder), *options])


def record(folder, **metrics):
    """A recorded run with one row."""
    with wk.start_run(folder=folder, pipeline="training", console=False, sidecar=False) as run:
        run.log(3, **metrics)


def test_each_recorded_run_of_a_folder_is_a_line_newest_first(tmp_path):
    """State, rows, step and the last metrics are shown, losses before others."""
    record(tmp_path / "a", accuracy=0.5, loss=1.0)
    record(tmp_path / "b", accuracy=0.75, loss=0.5)
    result = status(tmp_path)
    assert result.exit_code == EXIT_OK
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["run", "state", "started", "(UTC)", "rows", "step", "loss", "accuracy"]
    assert [line[0] for line in lines[2:]] == ["b", "a"]
    assert lines[2][4:] == ["1", "3", "0.5000", "0.7500"]
    (one,) = json.loads(status(tmp_path / "a", "--json").stdout)["data"]["runs"]
    assert (one["name"], one["state"], one["step"]) == ("a", "finished", 3)
    assert one["last"] == {"accuracy": 0.5, "loss": 1.0}


def test_a_run_is_running_while_its_process_lives_and_died_after(tmp_path):
    """A live process is `running` and exit code 3; killed, it is `died` and exit code 1."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, str(tmp_path / "a")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        result = status(tmp_path)
        assert result.exit_code == EXIT_DETACHED and " running " in result.stdout
    finally:
        process.kill()
        process.communicate()
    result = status(tmp_path)
    assert result.exit_code == EXIT_FAILED and " died " in result.stdout


def test_a_run_of_another_machine_without_an_end_is_neither(tmp_path):
    """Whether its process lives cannot be told from here: `not ended`, exit code 4."""
    record(tmp_path, loss=1.0)
    for path in (tmp_path / layout.JOURNAL).iterdir():
        lines = path.read_bytes().splitlines(True)[:2]
        opened = json.loads(lines[0]) | {"host": "elsewhere", "boot_id": "another"}
        path.write_bytes(json.dumps(opened).encode() + b"\n" + lines[1])
    result = status(tmp_path)
    assert result.exit_code == EXIT_UNKNOWN and " not ended " in result.stdout


def test_a_script_in_place_of_a_folder_names_both_ways_on(tmp_path):
    """The error names the folder whose status there is, and how the script is run."""
    (tmp_path / "train.sh").write_text("true")
    result = CliRunner().invoke(main, ["status", str(tmp_path / "train.sh")])
    assert result.exit_code == 2
    assert f"name {tmp_path}" in result.stderr and "watchkeeper run train.sh" in result.stderr
