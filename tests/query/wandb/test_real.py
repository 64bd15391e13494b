"""Trainings that recorded themselves and reported to wandb 0.31 at once: the two say the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchkeeper.query.wandb.agreement import check_run

ROOT = Path(__file__).parents[3]
# Each library with W&B beside ours: by `report_to`, by a logger, and by hand.
PROGRAM = """
import torch
import wandb
import watchkeeper as wk
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from tests.integrations import tiny
from tests.integrations.test_lightning import Line
import watchkeeper.integrations.transformers
from watchkeeper.integrations.lightning import WatchkeeperLogger

tiny.trainer("trainer", report_to=["watchkeeper", "wandb"]).train()
wandb.finish()
x = torch.linspace(-1, 1, 32).unsqueeze(1)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 2 * x), batch_size=4)
loggers = [WatchkeeperLogger("lightning"), WandbLogger(project="p", offline=True)]
trainer = Trainer(
    max_epochs=2, logger=loggers, log_every_n_steps=2, accelerator="cpu", default_root_dir="light",
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
trainer.fit(Line(), data, data)
wandb.finish()
with wk.start_run(folder="hand", pipeline="training") as run, wandb.init(project="p") as other:
    for step in range(5):
        figures = {"loss": 1 / (step + 3), "bad": float("nan"), "損/失": step}
        run.log(step, **figures)
        other.log(figures, step=step)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs, each recorded twice, and `wandb/` beside them."""
    folder = tmp_path_factory.mktemp("both")
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "off",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize(("name", "values"), [("trainer", 20), ("lightning", 8), ("hand", 15)])
def test_both_histories_say_the_same(trained: Path, name: str, values: int) -> None:
    """Every value that both kept is the same, under the names and steps of either library."""
    (place,) = trained.glob(f"**/{name}*/**/.watchkeeper/metrics")
    checked = check_run(place.parents[1])
    assert checked.problems == () and checked.unverified == ()
    (words,) = checked.verified
    assert int(words.split()[0]) >= values
