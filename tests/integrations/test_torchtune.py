"""The metric logger in a real torchtune recipe, on a model and a tokenizer that are made here."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
from pathlib import Path

import pytest
import torch
import torchtune
from omegaconf import OmegaConf
from torchtune import config

import watchkeeper as wk
from tests.integrations import tune
from tests.integrations.conftest import ROOT, recorded
from watchkeeper.core.events import RunEnded
from watchkeeper.integrations import recording
from watchkeeper.integrations.torchtune import WatchkeeperLogger
from watchkeeper.record.run import Run

RECIPES = Path(torchtune.__file__).parents[1] / "recipes"  # files, and no package
_spec = importlib.util.spec_from_file_location(
    "lora_recipe", RECIPES / "lora_finetune_single_device.py"
)
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
LoRAFinetuneRecipeSingleDevice = _module.LoRAFinetuneRecipeSingleDevice


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tune.make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def recipe(model, tmp_path, monkeypatch):
    """Run the recipe as its `main` does, with the page's metric logger; what is given overrides its
    configuration.
    """
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def run(**changes):
        text = tune.configuration(tmp_path / "out", model)
        (logger,) = re.findall(
            r"```yaml\n(.*?)```", (ROOT / "docs/integrations.md").read_text(), re.DOTALL
        )
        cfg = OmegaConf.merge(
            OmegaConf.create(text), OmegaConf.create(logger), OmegaConf.create(changes)
        )
        ours = LoRAFinetuneRecipeSingleDevice(cfg=cfg)
        ours.setup(cfg=cfg)
        ours.train()
        ours.cleanup()
        return tmp_path / "out"

    return run


def test_a_recipe_is_recorded_in_its_log_dir(recipe):
    """Rows at steps from 1, both checkpoints at their steps, the configuration, and
    torchtune_config.yaml as usual.
    """
    out = recipe()
    run = recorded(out / "logs")
    assert run.ends == ["finished"]
    assert run.steps("loss") == [1, 2, 3, 4, 5, 6] and run.steps("grad_norm") == [1, 2, 3, 4, 5, 6]
    assert run.checkpoints == [("epoch_0", 3), ("epoch_1", 6)]
    assert run.config["model"]["lora_rank"] == 2 and run.config["seed"] == 7
    assert run.config["tokenizer"]["max_seq_len"] == 64
    assert (run.status["state"], run.status["step"], run.status["total"]) == ("finished", 6, 6)
    assert OmegaConf.load(out / "torchtune_config.yaml").epochs == 2


def test_a_run_that_goes_on_is_used_and_left_open(recipe, tmp_path):
    """In the user's run the recipe's rows, configuration and checkpoints are recorded, and it is
    not ended.
    """
    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False) as mine:
        out = recipe(log_every_n_steps=2)
        assert wk.current_run() is mine
    run = recorded(tmp_path / "run")
    assert run.ends == ["finished"] and run.steps("loss") == [2, 4, 6]
    assert run.checkpoints == [("epoch_0", None), ("epoch_1", None)]
    assert [output.path for output in run.kinds(RunEnded)[0].outputs] == ["hyperparameters.json"]
    assert not (out / "logs/.watchkeeper").exists()


def test_no_error_of_ours_ends_a_recipe(recipe, monkeypatch):
    """The recorder's methods may all raise: the recipe comes to its end."""

    def broken(*args, **kwargs):
        raise OSError("planted")

    for name in ("log", "checkpoint", "cadence"):
        monkeypatch.setattr(Run, name, broken)
    out = recipe(epochs=1)
    assert (out / "epoch_0").is_dir() and (out / "torchtune_config.yaml").exists()
    run = recorded(out / "logs")
    assert (
        run.ends == ["finished"]
        and run.log.count("log_dict failed, and goes unrecorded: OSError: planted") == 1
    )


def test_a_recipe_that_raises_ends_as_failed(recipe, monkeypatch, tmp_path):
    """What ends the process in the middle of the recipe is the run's end."""

    def fail(*args, **kwargs):
        raise ValueError("planted")

    monkeypatch.setattr(LoRAFinetuneRecipeSingleDevice, "save_checkpoint", fail)
    with pytest.raises(ValueError, match="planted") as failed:
        recipe()
    monkeypatch.setattr("sys.last_value", failed.value, raising=False)
    monkeypatch.setattr("sys.last_exc", failed.value, raising=False)
    recording._at_exit()
    run = recorded(tmp_path / "out/logs")
    assert run.ends == ["failed"] and run.kinds(RunEnded)[0].error == "ValueError: planted"


def test_a_signal_ends_a_recipe_at_once_as_without_us(tmp_path):
    """A recipe ignores requests to stop: the first SIGTERM ends it, and the run as interrupted."""
    ours = config.instantiate(
        OmegaConf.create(
            {
                "_component_": "watchkeeper.integrations.torchtune.WatchkeeperLogger",
                "log_dir": str(tmp_path),
            }
        )
    )
    assert isinstance(ours, WatchkeeperLogger)
    ours.log("loss", torch.tensor(float("nan")), 1)
    with pytest.raises(wk.Interrupted) as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
    recording._at_exit()
    run = recorded(tmp_path)
    assert stopped.value.code == 143 and run.ends == ["interrupted"]
    assert run.rows[0].metrics["loss"] != run.rows[0].metrics["loss"]
