"""A run of an experiment is named by `EXPERIMENT/KEY`, or in its folder by its key alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main

CELL = "one/clean/epoch0"


def call(*words):
    """The command's result."""
    return CliRunner().invoke(main, [str(word) for word in words])


def names_in(result) -> list[str]:
    """The runs of a comparison."""
    return [run["name"] for run in json.loads(result.stdout)["data"]["runs"]]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """An experiment of two runs that ran to its end."""
    folder = write_experiment(tmp_path_factory.mktemp("places") / "exp", runs=("one", "two"))
    assert keep(folder, FakeScheduler(), setting="none")
    return folder


def recorded(folder: Path) -> Path:
    """A recorded run with an output and a checkpoint."""
    with wk.start_run(folder=folder, pipeline="training", console=False) as run:
        run.log(1, loss=0.5)
        (folder / "summary.json").write_text('{"best": 0.5}')
        run.output(folder / "summary.json")
        (folder / "weights.bin").write_bytes(b"x" * 100)
        run.checkpoint(folder / "weights.bin", training_step=1)
    return folder


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("key", ["one", CELL])
def test_trace_takes_a_run_as_it_is_named_from_here(experiment, monkeypatch, within, key):
    """The chain is the same however the run is named."""
    named = experiment / key
    if within:
        monkeypatch.chdir(experiment)
        named = Path(key)
    whole = call("trace", experiment, key, "--json")
    assert whole.exit_code == EXIT_OK
    assert json.loads(call("trace", named, "--json").stdout) == json.loads(whole.stdout)


def test_note_and_tag_take_a_run_as_it_is_named_from_here(experiment, monkeypatch):
    """All that follows the run is text then."""
    monkeypatch.chdir(experiment)
    assert call("note", CELL, "looks odd").stdout.startswith(f"noted of exp {CELL}: looks odd\n")
    assert "looks odd" in call("note", experiment, CELL).stdout
    assert call("tag", "two", "best").stdout == "exp two: best\n"


def test_compare_takes_runs_as_they_are_named_from_here(experiment, monkeypatch, tmp_path):
    """Runs of one experiment, in the order in which they were named; one named twice is one."""
    monkeypatch.chdir(experiment)
    assert names_in(call("compare", "two", "one", "--json")) == ["two", "one"]
    assert names_in(call("compare", "two", experiment / "two", ".", "--json")) == ["two", "exp/one"]
    monkeypatch.chdir(tmp_path)
    other = recorded(tmp_path / "r8")
    assert names_in(call("compare", experiment / "one", other, "--json")) == ["one", "r8"]


@pytest.mark.parametrize("words", [("trace", "nope"), ("note", "nope", "x"), ("compare", "nope")])
def test_a_name_that_is_nothing_is_an_error_that_repeats_it(experiment, monkeypatch, words):
    """In an experiment's folder and outside one."""
    for folder in (experiment, experiment.parent):
        monkeypatch.chdir(folder)
        result = call(*words)
        assert result.exit_code == EXIT_USAGE
        assert "nope" in result.stderr


def test_trace_of_an_experiment_alone_asks_for_a_run(experiment):
    """An experiment has many figures: the message says what to type."""
    result = call("trace", experiment)
    assert result.exit_code == EXIT_USAGE
    assert f"watchkeeper trace {experiment} KEY" in result.stderr


def links_of(run: Path) -> dict[str, dict]:
    """Each kind of link of a recorded run's trace."""
    answer = json.loads(call("trace", run, "--json").stdout)
    return {link["what"]: link for link in answer["data"]["links"]}


def test_a_recorded_run_is_traced_to_its_rows_outputs_and_code(tmp_path):
    """Its figures stand at its rows; what only its size or hash is known of stays unknown."""
    run = recorded(tmp_path / "r8")
    result = call("trace", run)
    assert result.exit_code == EXIT_OK, result.stderr
    links = links_of(run)
    assert links["rows"]["holds"] == links["output"]["holds"] == links["run"]["holds"] == "holds"
    assert links["rows"]["metrics"] == {"loss": 0.5}
    assert links["checkpoint"]["holds"] == links["code"]["holds"] == "unknown"


@pytest.mark.parametrize(
    ("name", "what"), [("rows", "rows"), ("summary.json", "output"), ("weights.bin", "checkpoint")]
)
@pytest.mark.parametrize("harm", ["changed", "missing"])
def test_what_a_recorded_run_wrote_and_is_not_that_today_breaks_its_chain(
    tmp_path, name, what, harm
):
    """Rows that were altered, an output that was edited, a checkpoint of another size."""
    run = recorded(tmp_path / "r8")
    if name == "rows":
        (path,) = (run / ".watchkeeper/metrics").iterdir()
    else:
        (path,) = run.rglob(name)
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"0", b"11") + b"\n")
    result = call("trace", run)
    assert result.exit_code == EXIT_FAILED
    assert links_of(run)[what]["holds"] == harm
    assert "Broken" in result.stdout


def test_a_recorded_run_without_an_end_leaves_its_rows_unknown(tmp_path):
    """No end, no hash: the figures are shown, and nothing is claimed of them."""
    run = recorded(tmp_path / "r8")
    (journal,) = (run / ".watchkeeper/journal").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"run_ended"' not in line and b'"sealed"' not in line]
    journal.write_bytes(b"".join(kept))
    link = links_of(run)["rows"]
    assert link["holds"] == "unknown" and link["metrics"] == {"loss": 0.5}


def test_of_several_recorded_runs_one_has_to_be_named(tmp_path):
    """The message names them."""
    for name in ("a", "b"):
        recorded(tmp_path / name)
    result = call("trace", tmp_path)
    assert result.exit_code == EXIT_USAGE
    assert "a, b" in result.stderr
