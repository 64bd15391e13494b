"""What scripts and configurations ask of their tools, as far as they say it in plain words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from watchkeeper.core.errors import ExperimentError, StorageError
from watchkeeper.experiment import experiment as experiments
from watchkeeper.reading.tool_calls import (
    InspectCall,
    names_epoch,
    read_batch,
    read_inspect_call,
    read_training,
)
from watchkeeper.tools.promise import Training

CONFIG = "epochs: 2\nmax_steps_per_epoch: 30\nlog_every_n_steps: 10\n"


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{body}\n")
    return path


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ("inspect eval ../t.py@clean --model hf/tiny", ("clean", "t.py", "hf/tiny")),
        (
            (
                "srun inspect eval -M model_path=x --model=hf/tiny \\\n  t.py@clean > log 2>&1 "
                "|| exit 1"
            ),
            ("clean", "t.py", "hf/tiny"),
        ),
        ("/opt/bin/inspect eval t.py --display none", ("", "t.py", "")),
        ("inspect eval $TASK --model $MODEL", ("", "", "")),
        ("inspect eval t.py@a --model a/b,c/d", ("a", "t.py", "")),
        ("inspect eval t.py@a --model none", ("a", "t.py", "")),
        ("inspect eval t.py@a --model hf//scratch/m", ("a", "t.py", "")),
        ("inspect eval t.py@a --model hf/org/m-1.5", ("a", "t.py", "hf/org/m-1.5")),
        ("inspect eval t.py@a\ninspect eval t.py@b", ("", "", "")),
        ("# inspect eval t.py@a\npython x.py 'it''s", ("", "", "")),
        ("cat <<EOF\ninspect eval t.py@a\nEOF", ("", "", "")),
    ],
)
def test_an_evaluations_script_says_its_task_and_model(
    tmp_path: Path, body: str, asked: tuple[str, str, str]
) -> None:
    """What stands there in plain words counts; variables, several calls, comments and
    here-documents say nothing.
    """
    task, file, model = asked
    assert read_inspect_call(script(tmp_path / "cell.slurm", body)) == InspectCall(
        task=task, file=file, model=model
    )


@pytest.mark.parametrize(
    ("body", "training"),
    [
        ("tune run r --config finetune.yaml", Training(epochs=2, steps=30, log_every=10)),
        (
            "tune run r --config ./finetune.yaml epochs=5 seed=1",
            Training(epochs=5, steps=30, log_every=10),
        ),
        ("tune run r --config other.yaml", Training()),
        ("tune run r --config $CONFIG", Training(epochs=2, steps=30, log_every=10)),
        ("tune run r --config finetune.yaml epochs=$N", Training(steps=30, log_every=10)),
        ("tune run r epochs=" + "9" * 5000, Training(steps=30, log_every=10)),
        ("tune run r --epochs " + "9" * 5000, Training(epochs=2, steps=30, log_every=10)),
        ("bash train.sh", Training(epochs=2, steps=30, log_every=10)),
        ("tune run r epochs=1\ntune run r epochs=3", Training()),
    ],
)
def test_a_fine_tunes_configuration_says_its_epochs(
    tmp_path: Path, body: str, training: Training
) -> None:
    """The configuration that the script names, with its overrides, else the one beside it; what is
    not known stays open.
    """
    script(tmp_path / "r8/finetune.slurm", body)
    (tmp_path / "r8/finetune.yaml").write_text(CONFIG)
    assert read_training(tmp_path, "r8/finetune.slurm").training == training


@pytest.mark.parametrize(
    "text",
    ["epochs: ${n}\n", "epochs: 0\n", f"epochs: {'9' * 5000}\n", "epochs: [1\n", "- 1\n", ""],
)
def test_a_configuration_that_says_nothing_promises_nothing(tmp_path: Path, text: str) -> None:
    """A configuration that cannot be understood is a warning at most, never the end of the plan."""
    script(tmp_path / "r8/finetune.slurm", "tune run r --config finetune.yaml")
    (tmp_path / "r8/finetune.yaml").write_text(text)
    told = read_training(tmp_path, "r8/finetune.slurm")
    assert told.training == Training() and all(
        problem.severity == "warning" for problem in told.problems
    )


def experiment(folder: Path, *, epochs: int | None, evaluates: list[int]) -> experiments.Experiment:
    script(folder / "r8/finetune.slurm", "tune run r --config finetune.yaml")
    (folder / "r8/finetune.yaml").write_text(CONFIG)
    for epoch in evaluates:
        script(folder / f"r8/eval/clean_epoch{epoch}.slurm", "inspect eval t.py@clean")
    summary = {
        "experiment": {"name": "x"},
        "tools": {"preparation": "torchtune", "evaluation": "inspect-ai"},
        "controls": {"epochs": epochs} if epochs else {},
        "runs": [{"name": "r8", "type": "fine-tuned"}],
        "evaluation": {
            "tasks": [{"name": "clean"}],
            "matrix": [{"run": "r8", "tasks": ["clean"], "epochs": evaluates}],
        },
    }
    (folder / "experiment_summary.yaml").write_text(json.dumps(summary))
    return experiments.read(folder)


def test_training_promises_the_epochs_of_its_configuration(tmp_path: Path) -> None:
    """Nobody else needs to say how many there are."""
    found = experiment(tmp_path, epochs=None, evaluates=[1])
    assert [promise.subject for promise in found.checkpoints_of("r8")] == [
        "r8/epoch_0",
        "r8/epoch_1",
    ]
    assert found.problems == ()


def test_an_epoch_that_the_configuration_never_reaches_is_no_fault_of_the_training(
    tmp_path: Path,
) -> None:
    """Its evaluation is named before any submission, and the training does not promise it."""
    found = experiment(tmp_path, epochs=3, evaluates=[0, 2])
    assert [promise.subject for promise in found.checkpoints_of("r8")] == [
        "r8/epoch_0",
        "r8/epoch_1",
    ]
    assert "r8/epoch_2" in found.checkpoints
    said = [problem.message for problem in found.problems]
    assert said[0] == "run 'r8' trains 3 epochs by the summary, and 2 by its configuration"
    assert said[1].startswith("r8/clean/epoch2 can never run: the training ends with epoch 1 (")
    assert said[1].endswith("r8/finetune.yaml:1:9)") and all(
        one.severity == "warning" for one in found.problems
    )


READERS = {
    "training": lambda folder: read_training(folder, "r8/finetune.slurm"),
    "batch": lambda folder: read_batch(folder, "r8/finetune.slurm"),
    "inspect call": lambda folder: read_inspect_call(folder / "r8/eval/clean/cell.slurm"),
    "epoch": lambda folder: names_epoch(folder / "r8/eval/clean/cell.slurm", None),
}


@pytest.mark.parametrize(
    ("reader", "name"),
    [
        ("training", "r8/finetune.slurm"),
        ("training", "r8/finetune.yaml"),
        ("batch", "r8/finetune.slurm"),
        ("batch", "r8/finetune.yaml"),
        ("inspect call", "r8/eval/clean/cell.slurm"),
        ("inspect call", "r8/eval/clean/eval.yaml"),
        ("epoch", "r8/eval/clean/cell.slurm"),
    ],
)
def test_a_file_that_the_disk_refuses_is_not_one_that_says_nothing(
    tmp_path: Path, refused_files: set[Path], reader: str, name: str
) -> None:
    """A script or a configuration that cannot be read twice is an error that names it; one that is
    not there says nothing.
    """
    script(tmp_path / "r8/finetune.slurm", "tune run r --config finetune.yaml")
    (tmp_path / "r8/finetune.yaml").write_text(CONFIG + "batch_size: 2\n")
    script(tmp_path / "r8/eval/clean/cell.slurm", "inspect eval t.py")
    (tmp_path / "r8/eval/clean/eval.yaml").write_text("task_name: clean\n")
    refused_files.add(tmp_path / name)
    with pytest.raises(StorageError, match=f"could not read {tmp_path / name}"):
        READERS[reader](tmp_path)
    (tmp_path / name).unlink()
    refused_files.clear()
    READERS[reader](tmp_path)


@pytest.mark.parametrize("name", ["r8/finetune.yaml", "r8/eval/clean_epoch0.slurm"])
def test_an_experiment_with_a_file_that_the_disk_refuses_is_not_planned(
    tmp_path: Path, refused_files: set[Path], name: str
) -> None:
    """Nothing is submitted by a plan that was made without a file that is there."""
    experiment(tmp_path, epochs=2, evaluates=[0])
    refused_files.add(tmp_path / name)
    with pytest.raises(ExperimentError, match=f"could not read {tmp_path / name}") as caught:
        experiments.read(tmp_path)
    assert "check the disk" in caught.value.hint
