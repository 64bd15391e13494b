"""docs/integrations.md: each block runs as it stands, on the real library, with the names that a
program has by then.
"""

from __future__ import annotations

import re

import pytest
import torch

import watchkeeper as wk
from tests.integrations import tiny
from tests.integrations.conftest import ROOT, recorded

PAGE = (ROOT / "docs/integrations.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


def blocks(section: str, language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[section], re.DOTALL)


@pytest.fixture
def run_block(tmp_path, monkeypatch):
    """Run a block in an empty folder; returns its names."""
    monkeypatch.chdir(tmp_path)

    def run(code, **names):
        exec(compile(code, "docs/integrations.md", "exec"), names)
        return names

    return run


def line_data():
    x = torch.linspace(0, 1, 32).reshape(-1, 1)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 2 * x), batch_size=4)


def test_no_block_is_longer_than_three_lines():
    """An integration takes at most three lines of a program; a loop of the program's own is not
    counted.
    """
    for section in SECTIONS:
        for language in ("python", "yaml", "sh"):
            for block in blocks(section, language):
                ours = [
                    line
                    for line in block.splitlines()
                    if line and not re.match(r"for |    optimizer", line)
                ]
                assert len(ours) <= 3, section


def test_transformers(run_block, tmp_path):
    """`report_to` records a training, and the deadline lets a quick `generate` finish."""
    from transformers import Trainer, TrainingArguments

    training, deadline = blocks("transformers")
    run_block(
        training,
        TrainingArguments=TrainingArguments,
        Trainer=Trainer,
        model=tiny.model(),
        dataset=tiny.rows(),
    )
    assert recorded(tmp_path / "out").steps("learning_rate") == [2, 4]
    inputs = {"input_ids": torch.ones(1, 4, dtype=torch.long)}
    names = run_block(deadline, model=tiny.model(), inputs=inputs)
    assert names["output"].shape == (1, 12) and not names["deadline"].timed_out


def test_lightning(run_block, tmp_path):
    """Logger and callback record a training."""
    from functools import partial

    from lightning.pytorch import Trainer

    from tests.integrations.test_lightning import Line

    (code,) = blocks("Lightning")
    quiet = partial(
        Trainer,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=4,
    )
    run_block(code, Trainer=quiet, module=Line(), loader=line_data())
    assert recorded(tmp_path / "logs/lightning_logs/version_0").steps("loss") == [4, 8, 12, 16]


def test_accelerate(run_block, tmp_path):
    """The tracker records what the loop logs."""
    from accelerate import Accelerator

    (code,) = blocks("accelerate")
    names = run_block(code, Accelerator=Accelerator)
    names["accelerator"].log({"loss": 0.5}, step=1)
    names["accelerator"].end_training()
    run = recorded(tmp_path / "logs/line")
    assert run.steps("loss") == [1] and run.config == {"lr": 0.1} and run.ends == ["finished"]


def test_plain_pytorch(run_block, tmp_path):
    """The optimizer's own steps have rows."""
    (code,) = blocks("Plain PyTorch")
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

    def step(batch):
        loss = torch.nn.functional.mse_loss(layer(batch[0]), batch[1])
        optimizer.zero_grad()
        loss.backward()
        return loss

    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False) as run:
        run_block(
            code,
            optimizer=optimizer,
            run=run,
            loader=[*line_data(), *line_data(), *line_data()][:20],
            step=step,
        )
    assert recorded(tmp_path / "run").steps("loss") == [10, 20]
