"""`status --metric`: every metric of the evaluations is in reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.experiments import write_experiment
from tests.query.views.nights import record
from tests.watch.logs.test_run_logs import keep
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main

RESULT = '{"accuracy": 0.75, "loss": 1.25}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment whose evaluation has two figures."""
    place = write_experiment(tmp_path_factory.mktemp("metrics") / "exp", runs=("r4",))
    for script in place.rglob("*.slurm"):
        script.write_text(script.read_text().replace('{"accuracy": 0.5}', RESULT))
    keep(place, FakeScheduler(), setting="none")
    return place


def status(folder: Path, *words: str) -> Result:
    """What `status` prints."""
    return CliRunner().invoke(main, ["status", str(folder), *words])


def test_the_first_metric_is_shown_and_the_others_are_named(folder: Path) -> None:
    """What is not shown is named, with how to see it."""
    first = status(folder)
    assert "0.75" in first.output and "1.25" not in first.output
    assert "More metrics, each with --metric NAME: loss" in first.output
    other = status(folder, "--metric", "loss")
    assert "1.25" in other.output and "0.75" not in other.output
    assert "--metric NAME: accuracy" in other.output


def test_a_metric_that_no_evaluation_has_is_refused(folder: Path) -> None:
    """The error names those that there are."""
    refused = status(folder, "--metric", "los")
    assert refused.exit_code == 2
    assert "no evaluation has the metric 'los'" in refused.output
    assert "accuracy, loss" in refused.output


def test_recorded_runs_have_no_evaluations(tmp_path: Path) -> None:
    """The option is an experiment's, and says so."""
    record(tmp_path / "run", loss=0.5)
    refused = status(tmp_path / "run", "--metric", "loss")
    assert refused.exit_code == 2 and "--metric, --cluster and --sizing are" in refused.output
