"""What jobs asked for against what they used, where people and programs read it."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.experiments import wk, write_experiment
from watchkeeper import start_run
from watchkeeper.query.usage.nodes import BadNode
from watchkeeper.query.usage.sizing import Sizing
from watchkeeper.show.sizing import bad_node_words, sizing_table


def typed(*words: str | Path) -> CompletedProcess[str]:
    """What a command answers; its state lies beside the experiment."""
    folder = next(Path(word) for word in words if isinstance(word, Path))
    return wk(*words, state=folder.parent / "state")


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """An experiment whose trainings ask for far more time than they need."""
    folder = write_experiment(tmp_path / "exp", runs=("one", "two"))
    for script in folder.glob("*/finetune.slurm"):
        asked = "--time=04:00:00\n#SBATCH --mem=64G"
        script.write_text(script.read_text().replace("--time=00:05:00", asked))
    return folder


def test_status_and_compare_show_what_would_have_been_enough(experiment: Path) -> None:
    """With --sizing they show a line for the group of both trainings, and why there is none for
    their memory; `run` prints none for jobs on this machine, where less gains nothing.
    """
    run = typed("run", experiment)
    assert "sizing" not in run.stdout
    for command in ("status", "compare"):
        plain = typed(command, experiment)
        assert "sizing" not in plain.stdout
        asked = typed(command, experiment, "--sizing")
        assert "#SBATCH --time=00:05:00" in asked.stdout
        assert "--mem=64G" in asked.stdout
        assert "no successful attempt was measured" in asked.stdout
    told = json.loads(typed("status", experiment, "--json").stdout)["data"]
    compared = json.loads(typed("compare", experiment, "--sizing", "--json").stdout)["data"]
    assert told["sizing"] == compared["usage"][0]["sizing"]
    assert told["sizing"][0]["runs"] == 2
    assert told["bad_nodes"] == compared["usage"][0]["bad_nodes"] == []


def test_of_some_runs_only_their_jobs_count(experiment: Path) -> None:
    """`--runs` chooses whose requests are compared with their use."""
    typed("run", experiment)
    told = typed("status", experiment, "--runs", "one", "--json").stdout
    assert {one["runs"] for one in json.loads(told)["data"]["sizing"]} == {1}
    told = typed("compare", experiment, "--runs", "one", "--sizing", "--json").stdout
    assert {one["runs"] for one in json.loads(told)["data"]["usage"][0]["sizing"]} == {1}


def test_sizing_is_refused_where_there_are_no_jobs(tmp_path: Path) -> None:
    """A recorded run asked nobody for anything: the option is a mistake, and is named."""
    with start_run(folder=tmp_path / "run", pipeline="training", sidecar=False, console=False):
        pass
    for command in ("status", "compare"):
        refused = typed(command, tmp_path / "run", "--sizing")
        assert refused.returncode == 2, refused.stdout
        assert "--sizing" in refused.stderr


def sizing(**words: object) -> Sizing:
    """A training's time, asked for by its script."""
    fields = {
        "phase": "preparation",
        "scheduler": "slurm",
        "key": "r8",
        "runs": 1,
        "attempts": 1,
        "resource": "time",
        "asked": 14_400.0,
        "asked_as": "--time=4:00:00",
        "asked_from": "script",
    }
    return Sizing(**fields | words)  # type: ignore[arg-type]


def test_the_table_shows_figures_in_their_units() -> None:
    """Times, sizes and counts each in their own form; a default is called one, and 20 rows are
    shown of more.
    """
    memory = sizing(resource="memory", asked=2.0**36, asked_as="", used=2.0**31, why="as it was")
    gpus = sizing(resource="GPUs", asked=4.0, asked_as="--gpus=4", used=2.0, line="#SBATCH x")
    text = sizing_table([memory, gpus], whole=True)
    assert "64.00 GiB (the cluster's default)" in text
    assert "2.00 GiB" in text
    assert "as it is: as it was" in text
    assert "and 5 more" in sizing_table([memory] * 25, whole=True)
    assert sizing_table([memory], whole=False) == ""


def test_a_finished_experiment_shows_only_lines_that_save_something() -> None:
    """Lines for a cluster's jobs; none for jobs on this machine, and nothing without a line."""
    local = sizing(scheduler="local", used=1.0, line="#SBATCH --time=5")
    assert sizing_table([local], whole=False) == ""
    text = sizing_table([local, sizing(used=60.0, line="#SBATCH --time=6")], whole=False)
    assert "--time=6" in text
    assert "--time=5" not in text


def test_a_bad_node_is_named_with_what_to_type() -> None:
    """The figures, a few of the runs, and the line; a tiny probability is only bounded."""
    node = BadNode(
        node="n3\x1b[31m",
        failed=9,
        attempts=9,
        failed_elsewhere=0,
        attempts_elsewhere=99,
        chance=1e-12,
        nodes=4,
        finished_elsewhere=("a", "b", "c", "d", "e"),
    )
    text = bad_node_words([node])
    assert "9 of 9 attempts failed, on the others 0 of 99; a, b, c and 2 more ran elsewhere" in text
    assert "by chance below 1e-06" in text
    assert "#SBATCH --exclude=n3" in text
    assert "\x1b" not in text
    assert bad_node_words([]) == ""
