"""A real torchtune training that runs out of memory after an epoch goes on from there with half the
batch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.experiments import blocks_of, wk, write_experiment
from tests.integrations import tune
from tests.integrations.conftest import OFFLINE

SCRIPT = """#!/bin/bash
#SBATCH --output=slurm-%j.out
PATH=$PWD/bin:$PATH
tune run lora_finetune_single_device --config finetune.yaml 2>&1 | tee -a said.txt
exit "${PIPESTATUS[0]}"
"""
# The first time, all that comes after epoch 0 is taken back, as if the training had been ended
# then.
TUNE = """#!/bin/bash
echo "$*" >> calls.txt
{python} -m torchtune._cli.tune "$@" || exit
[ -e first ] && exit
touch first && rm -r artifacts/epoch_1
echo 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.'
exit 1
"""
LOGGER = (
    "metric_logger: {_component_: torchtune.training.metric_logging.DiskLogger, log_dir: "
    "'${output_dir}/logs'}"
)


def test_a_recipe_goes_on_from_its_last_complete_epoch_with_half_the_batch(tmp_path: Path) -> None:
    """Attempt 2 has batch 1 and accumulation 2, leaves epoch 0 as it is, and trains epoch 1 only;
    the user's script and configuration are as they were.
    """
    folder = write_experiment(tmp_path / "exp", epochs=(0, 1), tasks=("clean",))
    (tmp_path / "model").mkdir()
    model = tune.make_model(tmp_path / "model")
    summary = json.loads((folder / "experiment_summary.yaml").read_text())
    summary["tools"]["preparation"] = "torchtune"
    (folder / "experiment_summary.yaml").write_text(json.dumps(summary))
    run = folder / "one"
    (run / "bin").mkdir()
    (run / "bin/tune").write_text(TUNE.format(python=sys.executable))
    (run / "bin/tune").chmod(0o755)
    (run / "finetune.slurm").write_text(SCRIPT)
    text = tune.configuration(run / "artifacts", model).replace("metric_logger: null", LOGGER)
    (run / "finetune.yaml").write_text(text)
    places = {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "WATCHKEEPER_POLL_S": "0.2"}
    done = wk(
        "run", folder, "--runs", "one", state=tmp_path / "state", timeout_s=300, **OFFLINE, **places
    )
    said = (run / "said.txt").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + said
    first, second = (run / "calls.txt").read_text().splitlines()
    assert first == "run lora_finetune_single_device --config finetune.yaml"
    assert second.startswith(
        f"{first} batch_size=1 gradient_accumulation_steps=2 resume_from_checkpoint=True "
    )
    logs = sorted((run / "artifacts/logs").glob("log_*.txt"), key=lambda path: path.stat().st_mtime)
    steps = [
        [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("Step ")]
        for log in logs
    ]
    assert steps == [[1, 2, 3, 4, 5, 6], [4, 5, 6]]
    assert (run / "finetune.slurm").read_text() == SCRIPT and (
        run / "finetune.yaml"
    ).read_text() == text
    (retry,) = [
        block for block in blocks_of(folder, "run-torchtune.log") if block.action == "RETRY"
    ]
    assert "goes on from one/artifacts/epoch_0" in retry.details
    assert (
        "batch_size 2 → 1, gradient_accumulation_steps 1 → 2 (effective batch 2, as before)"
        in retry.details
    )
