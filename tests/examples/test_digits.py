"""The digits experiment: what `make demo` runs, and what runs unchanged on a cluster."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.journal import read as read_journal
from watchkeeper.experiment.experiment import read
from watchkeeper.schedulers.sbatch_head import read_head

DIGITS = Path(__file__).parents[2] / "examples/digits"


@pytest.fixture
def digits(tmp_path):
    """A copy of the experiment as it is in a fresh clone."""
    ignored = shutil.ignore_patterns(
        ".watchkeeper",
        "artifacts",
        "slurm-*.out",
        "*_epoch?",
        "*_base",
        "run-*.log*",
        "__pycache__",
    )
    return shutil.copytree(DIGITS, tmp_path / "digits", ignore=ignored)


def run(script: Path):
    """Run a batch script by hand, in its own folder, without an attempt."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SLURM_", "WATCHKEEPER_"))
    }
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    subprocess.run(
        ["bash", script.name],
        cwd=script.parent,
        env=environ,
        check=True,
        timeout=300,
        capture_output=True,
    )


def test_it_is_4_fine_tunes_18_evaluations_and_a_control(digits):
    """The summary is read without a finding, and every piece of work has a script that sbatch
    takes.
    """
    experiment = read(digits)
    assert experiment.problems == ()
    kinds = [(item.phase, item.control) for item in experiment.items if item.script]
    assert (
        kinds.count(("preparation", False)),
        sum(phase == "evaluation" for phase, _ in kinds),
    ) == (4, 18)
    assert [item.key for item in experiment.items if not item.script] == ["untrained"]
    for item in experiment.items:
        if item.script:
            head = read_head(digits / item.script)
            assert head.problems == ()
            assert head.name == item.key.replace("/", "_")


def test_a_run_by_hand_trains_evaluates_and_repeats_itself(digits):
    """Without Watchkeeper around it a script leaves what it promises, and the same bytes when it
    runs again.
    """
    folder = digits / "h64_lr1e-1"

    def weights():
        return [
            (folder / f"artifacts/epoch_{epoch}/model.safetensors").read_bytes() for epoch in (0, 1)
        ]

    run(folder / "finetune.slurm")
    first = weights()
    run(folder / "finetune.slurm")
    assert first == weights()
    assert first[0] != first[1]
    assert list(folder.glob("artifacts/.tmp-*")) == []

    accuracies = []
    for script in (
        "h64_lr1e-1/eval/clean_epoch1",
        "h64_lr1e-1/eval/noisy_epoch1",
        "untrained/eval/clean_base",
    ):
        run(digits / f"{script}.slurm")
        accuracies.append(json.loads((digits / script / "result.json").read_text())["accuracy"])
    clean, noisy, untrained = accuracies
    assert clean > noisy > 0.5 > 0.2 > untrained

    runs = sorted((folder / "artifacts/training").iterdir())
    assert len(runs) == 2
    for recorded in runs:
        assert len(wk.read_rows(recorded)[0]) == 8
        kinds = [
            event.__struct_config__.tag
            for own in read_journal(recorded / ".watchkeeper/journal").events.values()
            for event in own
        ]
        assert (kinds.count("checkpoint"), kinds.count("run_ended")) == (2, 1)
