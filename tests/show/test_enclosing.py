"""`status` and `trace` from a folder within a run or an experiment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.errors import EXIT_OK, EXIT_USAGE
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main


def call(*words):
    """The command's result."""
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """An experiment that ran to its end."""
    folder = write_experiment(tmp_path_factory.mktemp("places") / "exp")
    assert keep(folder, FakeScheduler(), setting="none")
    return folder


def test_status_in_a_folder_of_a_run_shows_that_run_and_says_so(tmp_path):
    """The nearest run above is taken, and named."""
    run = tmp_path / "runs" / "r8"
    with wk.start_run(folder=run, pipeline="training", console=False) as recorded:
        recorded.log(3, loss=0.5)
    result = call("status", run / "logs")
    assert result.exit_code == EXIT_OK and "r8" in result.stdout
    assert f"taken is {run}" in result.stderr
    told = json.loads(call("status", run / "logs", "--json").stdout)
    assert told["problems"][0]["code"] == "taken-above"
    assert "taken is" not in call("status", run).stderr


def test_status_and_trace_in_a_folder_of_an_experiment_show_that_experiment(experiment):
    """A run's own folder, and one below it."""
    for folder in (experiment / "one" / "artifacts", experiment / "one" / "artifacts" / "epoch_0"):
        result = call("status", folder)
        assert result.exit_code == EXIT_OK and "2 done" in result.stdout
        assert f"taken is {experiment}" in result.stderr
    result = call("trace", experiment / "one" / "artifacts", "one")
    assert "training" in result.stdout and f"taken is {experiment}" in result.stderr


def test_a_folder_with_a_fault_of_its_own_is_not_left_for_another(experiment):
    """An experiment within an experiment that cannot be read is reported, not passed over."""
    inner = experiment / "inner"
    inner.mkdir()
    (inner / "experiment_summary.yaml").write_text("experiment: [")
    result = call("status", inner)
    assert result.exit_code == EXIT_USAGE and "taken is" not in result.stderr


def test_a_folder_in_nothing_stays_an_error(tmp_path):
    """Nothing above: what an experiment needs is said, as before."""
    result = call("status", tmp_path)
    assert result.exit_code == EXIT_USAGE and "no experiment there" in result.stderr
