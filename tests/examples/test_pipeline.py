"""The pipeline's example leaves what its document asks for, and a rerun does not repeat what is
done.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[2] / "examples/pipeline"
STEPS = [
    "00_ingest",
    "01_parse",
    "02_clean",
    "03_split",
    "04_enrich",
    "05_fit_target_distributions",
]


@pytest.fixture
def pipeline(tmp_path):
    """Run the example with its own configuration, in a place of its own; returns the newest run's
    folder and the output.
    """
    text = (PIPELINE / "config.yaml").read_text()

    def run(*flags, **changes):
        for name, value in {"output_root": str(tmp_path / "artifacts/training"), **changes}.items():
            text_of = re.sub(rf"^{name}: \S+", f"{name}: {value}", run.text, flags=re.MULTILINE)
            assert text_of != run.text or name == "output_root"
            run.text = text_of
        (tmp_path / "config.yaml").write_text(run.text)
        command = [
            sys.executable,
            PIPELINE / "pipeline.py",
            "--config",
            tmp_path / "config.yaml",
            *flags,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return max((tmp_path / "artifacts/training").iterdir()), done

    run.text = text
    return run


def test_the_documents_log_and_artifacts(pipeline):
    """run.log names the run and every step on its lines and ends with the document's marker; each
    step has its manifest.
    """
    folder, done = pipeline()
    lines = (folder / "logs/run.log").read_text().splitlines()
    form = re.compile(rf"\S+ \S+ (INFO|WARNING) \[training {folder.name} (-|0\d_\w+)\] .+")
    assert all(form.fullmatch(line) for line in lines)
    for step in STEPS:
        assert any(f" {step}] Starting step {step}" in line for line in lines)
        manifest = json.loads((folder / step / "step_manifest.json").read_text())
        assert (manifest["step"], manifest["status"]) == (step, "finished")
        assert manifest["row_count_in"] > 0 and manifest["row_count_out"] > 0
    assert lines[-1].endswith("Run finished")
    assert [line for line in done.stderr.splitlines() if form.fullmatch(line)] == lines
    whole = json.loads((folder / "run_manifest.json").read_text())
    assert [step["step"] for step in whole["steps"]] == STEPS
    assert whole["totals"] == {"rows_enriched": 178, "distributions_written": 39}
    assert float(re.findall(r"all +([\d.]+)", done.stdout)[0]) > 0.9


def test_reuse_does_nothing_twice(pipeline):
    """With --reuse the same inputs are not worked on again; another seed redoes exactly the steps
    that depend on it.
    """
    first, before = pipeline()
    folder, after = pipeline("--reuse")
    assert before.stdout.replace(first.name, folder.name) == after.stdout
    assert [status(folder, step) for step in STEPS] == ["reused"] * 6
    folder, _ = pipeline("--reuse", seed=8)
    assert [status(folder, step) for step in STEPS] == ["reused"] * 3 + ["finished"] * 3


def test_without_step_outputs_there_are_only_manifests(pipeline):
    """`persist_step_outputs: false` leaves a manifest per step and no artifact, and the log level
    comes from the flag.
    """
    folder, done = pipeline("--log-level", "WARNING", persist_step_outputs="false")
    assert {path.name for step in STEPS for path in (folder / step).iterdir()} == {
        "step_manifest.json"
    }
    assert "INFO" not in done.stderr


def status(folder, step):
    return json.loads((folder / step / "step_manifest.json").read_text())["status"]
