"""Real `inspect eval` runs, with a model that answers from a list; the package's entry point is
made for the test.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations import evals
from tests.integrations.conftest import ROOT, recorded
from watchkeeper.core.events import RunEnded
from watchkeeper.integrations.inspect_ai import wanted

PAGE = (ROOT / "docs/integrations.md").read_text()
(COMMAND,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
(INSIDE,) = re.findall(r"```python\n(with wk.start_run.*?eval.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def inspect(tmp_path, environment):
    """Run Inspect in a folder with the tasks and an installed package's entry point."""
    path = evals.write(tmp_path)
    paths = os.pathsep.join([environment["PYTHONPATH"], str(path)])

    def run(*command, **variables):
        return subprocess.run(
            [sys.executable, *command],
            env={**environment, "PYTHONPATH": paths, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def evaluate(task):
    return (
        "-m",
        "inspect_ai",
        "eval",
        f"tasks.py@{task}",
        "--model",
        "made/model",
        "--display",
        "none",
        "--log-dir",
        "logs",
    )


def folders(root: Path):
    return sorted((root / "logs/watchkeeper").glob("*"))


def test_an_evaluation_is_recorded_beside_its_log(tmp_path, inspect):
    """With WATCHKEEPER_INSPECT, task, model, samples, scores and the log file are recorded."""
    done = inspect(*evaluate("sums"), WATCHKEEPER_INSPECT="1")
    assert done.returncode == 0, done.stderr
    assert "hooks enabled: 1" in done.stdout
    (folder,) = folders(tmp_path)
    run = recorded(folder)
    (ended,) = run.kinds(RunEnded)
    assert ended.status == "finished"
    assert (
        ended.totals["sums/made/model/match/accuracy"] == 0.5
        and ended.totals["sums/made/model/samples_completed"] == 2
    )
    (output,) = ended.outputs
    assert (
        output.path.endswith(".eval")
        and output.sha256
        and output.what == "log of sums by made/model, success"
    )
    settings = run.config["tasks"]["sums/made/model"]
    assert (settings["task"], settings["model"], settings["samples"]) == ("sums", "made/model", 2)
    samples = {
        row.metrics["sample"]: row.metrics["match"] for row in run.rows if "sample" in row.metrics
    }
    assert samples == {1: "C", 2: "I"}
    (whole,) = [row.metrics for row in run.rows if "status" in row.metrics]
    assert (whole["task"], whole["status"], whole["sums/made/model/match/accuracy"]) == (
        "sums",
        "success",
        0.5,
    )


def test_nothing_happens_unasked(tmp_path, inspect):
    """An installed Watchkeeper changes neither what an evaluation leaves nor what it says."""
    done = inspect(*evaluate("sums"))
    assert done.returncode == 0
    assert not folders(tmp_path) and "hooks" not in done.stdout + done.stderr
    assert wanted({"WATCHKEEPER_INSPECT": "1"}) and wanted({"WATCHKEEPER_ATTEMPT": "x"})
    assert not wanted({}) and not wanted({"WATCHKEEPER_INSPECT": "0", "WATCHKEEPER_ATTEMPT": "x"})


def test_a_run_that_goes_on_is_used_and_left_open(tmp_path, inspect):
    """`eval()` within the user's run records into it."""
    code = INSIDE.replace("task.py", "tasks.py@sums").replace("hf/local", "made/model")
    done = inspect("-c", f"import watchkeeper as wk\nfrom inspect_ai import eval\n{code}")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "artifacts/evaluations").glob("2*")
    run = recorded(folder)
    assert (
        run.ends == ["finished"]
        and run.kinds(RunEnded)[0].totals["sums/made/model/match/accuracy"] == 0.5
    )
    assert not folders(tmp_path)


MODELS = """
from inspect_ai import eval
from tasks import sums, sized
models = ["made/model", "made/wrong"]
eval([sums(), sized(1), sized(2)], model=models, epochs=2, log_dir="logs", display="none")
"""


def test_models_and_tasks_are_kept_apart(tmp_path, inspect):
    """Two models of three tasks, of which two have one name, leave six figures; each sample's row
    names its model.
    """
    done = inspect("-c", MODELS, WATCHKEEPER_INSPECT="1")
    assert done.returncode == 0, done.stderr
    run = recorded(*folders(tmp_path))
    (ended,) = run.kinds(RunEnded)
    figures = {name: value for name, value in ended.totals.items() if name.endswith("accuracy")}
    assert figures == {
        "sums/made/model/match/accuracy": 0.5,
        "sized/made/model/match/accuracy": 1.0,
        "sized/made/model#2/match/accuracy": 0.5,
        "sums/made/wrong/match/accuracy": 0.0,
        "sized/made/wrong/match/accuracy": 0.0,
        "sized/made/wrong#2/match/accuracy": 0.0,
    }
    samples = [row.metrics for row in run.rows if "sample" in row.metrics]
    counts = [
        len([row for row in samples if row["model"] == model])
        for model in ("made/model", "made/wrong")
    ]
    assert counts == [10, 10]


SET = """
from inspect_ai import eval_set
from tasks import flaky, sums
settings = dict(
    model="made/model", log_dir="logs", retry_attempts=3, retry_wait=0.1, display="none"
)
print(eval_set([flaky(), sums()], **settings{})[0])
"""


@pytest.mark.parametrize("way", ["", ", retry_immediate=False", ", retry_immediate=True"])
def test_a_set_ends_as_its_last_try(tmp_path, inspect, way):
    """A task that fails once and then succeeds leaves one run of the set, which finished."""
    done = inspect("-c", SET.format(way), WATCHKEEPER_INSPECT="1")
    assert "True" in done.stdout, done.stderr
    run = recorded(*folders(tmp_path))
    (ended,) = run.kinds(RunEnded)
    assert ended.status == "finished", ended.error
    assert ended.totals["flaky/made/model/match/accuracy"] == 0.5
    assert {
        row.metrics["status"]
        for row in run.rows
        if row.metrics["task"] == "flaky" and "status" in row.metrics
    } == {
        "error",
        "success",
    }


def test_a_task_that_fails_ends_the_run_as_failed(tmp_path, inspect):
    """Inspect ends with 0 and tells no hook of the task's end; its log does."""
    done = inspect(*evaluate("broken"), WATCHKEEPER_INSPECT="1")
    run = recorded(*folders(tmp_path))
    (ended,) = run.kinds(RunEnded)
    assert ended.status == "failed" and "planted" in ended.error, done.stderr
    assert ended.outputs[0].what == "log of broken by made/model, error"


def test_a_cancelled_evaluation_is_interrupted(tmp_path, inspect):
    """SIGINT is Inspect's to handle; the run ends as interrupted, with what the log says."""
    done = inspect(*evaluate("cut"), WATCHKEEPER_INSPECT="1")
    run = recorded(*folders(tmp_path))
    (ended,) = run.kinds(RunEnded)
    assert ended.status == "interrupted", done.stderr
    assert [row.metrics["status"] for row in run.rows if "status" in row.metrics] == ["cancelled"]


def test_no_error_of_ours_ends_an_evaluation(tmp_path, inspect):
    """A folder that cannot be recorded into costs the record only."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/watchkeeper").write_text("no folder")
    done = inspect(*evaluate("sums"), WATCHKEEPER_INSPECT="1")
    assert done.returncode == 0
    assert len(list((tmp_path / "logs").glob("*.eval"))) == 1


def test_the_package_names_its_hooks():
    """The entry point that Inspect looks for is in the package's own metadata."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["inspect_ai"] == {
        "watchkeeper": "watchkeeper.integrations.inspect_ai"
    }
