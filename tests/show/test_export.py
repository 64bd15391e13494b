"""`watchkeeper export`: rows of recorded runs in one file."""

from __future__ import annotations

import json

from click.testing import CliRunner

import watchkeeper as wk
from watchkeeper.core import layout
from watchkeeper.show.cli import main


def run_command(*arguments):
    """The command's result."""
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def record(folder):
    """A recorded run with three rows."""
    with wk.start_run(folder=folder, pipeline="training", console=False, sidecar=False) as run:
        for step in (1, 2, 3):
            run.log(step, loss=1 / step)


def test_all_rows_of_a_folder_of_runs_are_in_one_file(tmp_path):
    """The file has a line per row, and the command says how many rows of how many runs."""
    record(tmp_path / "runs/a")
    record(tmp_path / "runs/b")
    result = run_command(tmp_path / "runs", "-o", tmp_path / "rows.csv")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path}/rows.csv: 6 rows of 2 runs\n"
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["run", *"aaabbb"]


def test_what_could_not_be_read_is_said_and_the_rest_is_written(tmp_path):
    """A damaged line is named, the exit code is 1, and JSON has the same problem."""
    record(tmp_path / "a")
    (rows,) = (tmp_path / "a" / layout.METRICS).iterdir()
    rows.write_bytes(b"{\n" + rows.read_bytes())
    result = run_command(tmp_path / "a", "-o", tmp_path / "rows.jsonl")
    assert result.exit_code == 1 and f"{rows}:1" in result.stderr
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3
    result = run_command(tmp_path / "a", "-o", tmp_path / "more.jsonl", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1 and answer["problems"][0]["where"] == f"{rows}:1"
    assert answer["data"]["rows"] == 3 and answer["data"]["runs"] == ["a"]


def test_a_file_that_exists_stays_without_force(tmp_path):
    """The refusal names the file and the option; with `--force` the file is replaced."""
    record(tmp_path / "a")
    target = tmp_path / "rows.csv"
    target.write_text("mine")
    result = run_command(tmp_path / "a", "-o", target)
    assert result.exit_code == 2 and "rows.csv exists" in result.stderr
    assert "--force" in result.stderr and target.read_text() == "mine"
    assert run_command(tmp_path / "a", "-o", target, "--force").exit_code == 0
    assert target.read_text().startswith("run,")


def test_an_output_that_cannot_be_written_is_an_error(tmp_path):
    """A folder that is not there is named, and no traceback is shown."""
    record(tmp_path / "a")
    result = run_command(tmp_path / "a", "-o", tmp_path / "no" / "rows.csv")
    assert result.exit_code == 1 and "no/" in result.stderr and "Traceback" not in result.stderr
