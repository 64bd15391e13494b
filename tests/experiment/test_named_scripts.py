"""Runs of a summary that name their script, arguments, folder, needs and outputs."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper.core.events import Intended
from watchkeeper.experiment.experiment import Experiment, read
from watchkeeper.launch.same_work import changed_files


def write(folder: Path, *runs: dict, **more: object) -> Experiment:
    """The experiment of a summary with these runs; its scripts are there."""
    folder.mkdir(exist_ok=True)
    (folder / "jobs").mkdir(exist_ok=True)
    for name in ("train.sh", "jobs/data.sh"):
        (folder / name).write_text("#!/bin/bash\npython prepare.py --config c.yaml\n")
    summary = {
        "experiment": {"name": "tiny"},
        "tools": {"preparation": "script", "evaluation": "script"},
        "runs": list(runs),
        **more,
    }
    (folder / "experiment_summary.yaml").write_text(json.dumps(summary))
    return read(folder)


def test_a_run_may_name_its_script_and_how_that_is_started(tmp_path):
    """Script and folder are relative to the experiment, numbers among the arguments are words."""
    experiment = write(
        tmp_path,
        {
            "name": "data",
            "script": "jobs/data.sh",
            "args": ["--rows", 10, "1e-3", "a b"],
            "workdir": "..",
            "outputs": ["out.csv", "../x/*.bin", "/abs/file"],
        },
        {"name": "train", "script": "train.sh", "needs": ["data"]},
    )
    assert experiment.problems == ()
    data, train = experiment.items
    assert (data.script, data.control, data.needs) == ("jobs/data.sh", False, ())
    assert train.needs == ("data",)
    invocation = experiment.invocations["data"]
    assert invocation.args == ("--rows", "10", "1e-3", "a b")
    assert invocation.workdir == experiment.workdir_of(data) == tmp_path.parent
    assert experiment.workdir_of(train) == tmp_path
    above = tmp_path.parent
    assert [promise.patterns for promise in experiment.outputs["data"]] == [
        (f"{above}/out.csv",),
        (f"{above.parent}/x/*.bin",),
        ("/abs/file",),
    ]


def test_outputs_of_a_folder_with_odd_letters_match_themselves_only(tmp_path):
    """The folder's own brackets are no pattern."""
    experiment = write(
        tmp_path / "a[1]", {"name": "data", "script": "train.sh", "outputs": ["out*"]}
    )
    (promise,) = experiment.outputs["data"]
    assert promise.patterns == (f"{tmp_path}/a[[]1]/out*",)


def test_a_fine_tuned_run_may_name_its_script_too(tmp_path):
    """It still promises its checkpoints, in the folder of its name."""
    experiment = write(
        tmp_path,
        {"name": "r8", "type": "fine-tuned", "script": "train.sh", "parameters": {"epochs": 1}},
    )
    (promise,) = experiment.checkpoints.values()
    assert promise.patterns[0] == "r8/artifacts/epoch_0"
    assert [problem.severity for problem in experiment.problems] == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"script": "nope.sh"}, "nope.sh is not there"),
        ({"script": "~/train.sh"}, "not expanded"),
        ({"script": "train.sh", "outputs": ["**/x"]}, "not known here"),
        ({"script": "train.sh", "outputs": [""]}, "it is empty"),
        ({"script": "train.sh", "workdir": "$HOME"}, "not expanded"),
        ({"script": "train.sh", "args": [["a"]]}, "runs[0].args"),
        ({"script": "train.sh", "needs": ["gone"]}, "'gone', which is no run"),
        ({}, "has no 'type'"),
    ],
)
def test_a_faulty_field_is_named_and_costs_that_run(tmp_path, fields, words):
    """The other runs are planned."""
    experiment = write(tmp_path, {"name": "bad", **fields}, {"name": "ok", "script": "train.sh"})
    assert any(words in problem.message for problem in experiment.problems)
    assert "ok" in [item.key for item in experiment.items if item.script]


def test_what_changed_of_a_run_is_named(tmp_path):
    """Script, configuration and code each by name; what was not recorded then is no change."""
    (tmp_path / "c.yaml").write_text("lr: 1")
    (tmp_path / "prepare.py").write_text("x = 1")
    experiment = write(tmp_path, {"name": "train", "script": "train.sh"})
    (item,) = experiment.items

    def sha(name: str) -> str:
        return hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()

    last = Intended(
        time=datetime(2026, 3, 11, tzinfo=UTC),
        writer="w",
        seq=0,
        key="train",
        phase="preparation",
        attempt=1,
        token="t",
        script="train.sh",
        script_sha256=sha("train.sh"),
        configs={"c.yaml": sha("c.yaml")},
        code={"prepare.py": sha("prepare.py")},
    )
    assert changed_files(experiment, item, last) == []
    (tmp_path / "c.yaml").write_text("lr: 2")
    (tmp_path / "prepare.py").unlink()
    assert changed_files(experiment, item, last) == ["c.yaml", "prepare.py"]
    (tmp_path / "train.sh").write_text("#!/bin/bash\n")
    assert "train.sh" in changed_files(experiment, item, last)
