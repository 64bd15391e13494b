"""Trainings of two processes: rank 0 records, and all of them stop at the same step."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tests.integrations.conftest import ROOT, recorded
from watchkeeper.core.events import Checkpoint

TRAINER = """
import os, signal, sys
import watchkeeper.integrations.transformers
from tests.integrations import tiny
from tests.integrations.test_transformers import At
def ask():
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
trainer = tiny.trainer(
    sys.argv[1], report_to=["watchkeeper"], callbacks=[At(4, ask)], ddp_backend="gloo"
)
trainer.train()
"""

LIGHTNING = """
import contextlib, os, signal, sys
import torch
import watchkeeper as wk
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset
from tests.integrations.test_lightning import At, Line
from watchkeeper.integrations.lightning import WatchkeeperCallback, WatchkeeperLogger
def ask():
    if os.environ["RANK"] == RANK:
        os.kill(os.getpid(), signal.SIGUSR1)
x = torch.linspace(0, 1, 64).reshape(-1, 1)
with RUN:
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, log_every_n_steps=4,
        enable_progress_bar=False,
        default_root_dir=sys.argv[1], logger=WatchkeeperLogger(sys.argv[1], version="a"),
        callbacks=[WatchkeeperCallback(), At(5, ask)],
    )
    trainer.fit(Line(), DataLoader(TensorDataset(x, 2 * x), batch_size=4))
"""


def launch(script, folder, environment):
    """Run it under torchrun, twice; every process must come to its end."""
    path = folder / "script.py"
    path.write_text(script)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(path),
    ]
    out = folder / "out"
    out.mkdir()
    variables = {
        **environment,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{environment['PYTHONPATH']}:{ROOT}",
    }
    process = subprocess.Popen(
        [*command, str(out)],
        env=variables,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        return out, process.communicate(timeout=90)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_trainers_processes_stop_together(tmp_path, environment):
    """Rank 1 is asked at step 5; both stop at step 6, at which they log, with one checkpoint and
    one record.
    """
    out, said = launch(TRAINER, tmp_path, environment)
    run = recorded(out)
    assert run.ends == ["interrupted"], said[-3000:]
    assert run.steps("loss") == [2, 4, 6]
    assert [event.training_step for event in run.kinds(Checkpoint)] == [6]
    assert (out / ".watchkeeper/heartbeats/rank-1").exists()


@pytest.mark.parametrize(
    ("rank", "run", "folder"),
    [
        (0, "contextlib.nullcontext()", "lightning_logs/a"),
        (1, "wk.start_run(folder=sys.argv[1] + '/run', pipeline='training', console=False)", "run"),
    ],
    ids=["our run", "the user's run"],
)
def test_lightnings_processes_stop_together(tmp_path, environment, rank, run, folder):
    """One rank is asked after step 5, in our run or the user's; both stop after batch 8, at which
    they log.
    """
    out, said = launch(
        LIGHTNING.replace("== RANK", f"== '{rank}'").replace("RUN:", f"{run}:"),
        tmp_path,
        environment,
    )
    record = recorded(out / folder)
    assert record.ends == ["interrupted"], said[-3000:]
    assert record.steps("loss") == [4, 8]
    assert record.checkpoints[0] == ("interrupted-step=8.ckpt", 8)
