"""The tracker in a real accelerate loop."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator

import watchkeeper as wk
from tests.integrations.conftest import recorded
from watchkeeper.core.events import RunEnded
from watchkeeper.core.files import replace
from watchkeeper.integrations import recording
from watchkeeper.integrations.accelerate import WatchkeeperTracker
from watchkeeper.record.run import Run


def train(tracker, *, config=None, steps=6, at=lambda step: None):
    """A straight line, learnt in six steps."""
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("line", config=config)
    layer = torch.nn.Linear(1, 1)
    layer, optimizer = accelerator.prepare(layer, torch.optim.SGD(layer.parameters(), lr=0.1))
    x = torch.linspace(0, 1, 8).reshape(-1, 1)
    for step in range(1, steps + 1):
        at(step)
        loss = torch.nn.functional.mse_loss(layer(x), 2 * x)
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log({"train_loss": loss.detach(), "lr": 0.1}, step=step)
    accelerator.log({"eval_loss": 0.5}, step=steps)
    assert accelerator.get_tracker("watchkeeper", unwrap=True) is wk.current_run()
    accelerator.end_training()


def test_a_training_is_recorded_in_the_trackers_folder(tmp_path):
    """Rows have the steps that the program gave, losses their common names, and the configuration no secret."""
    train(WatchkeeperTracker(tmp_path, total=6), config={"lr": 0.1, "hf_token": "secret", "seed": 3})
    run = recorded(tmp_path)
    assert run.ends == ["finished"]
    assert run.steps("loss") == [1, 2, 3, 4, 5, 6] and run.steps("val_loss") == [6]
    assert run.config == {"lr": 0.1, "seed": 3}
    assert (run.status["step"], run.status["total"], run.status["val_loss"]) == (6, 6, 0.5)
    assert run.status["full_tier_share"] is None


def test_a_run_that_goes_on_is_used_and_left_open(tmp_path):
    """In the user's run the configuration is an output of it, and `end_training` does not end it."""
    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False) as mine:
        train(WatchkeeperTracker(tmp_path / "other"), config={"lr": 0.1})
        assert wk.current_run() is mine
    run = recorded(tmp_path / "run")
    assert run.steps("loss") == [1, 2, 3, 4, 5, 6] and run.ends == ["finished"]
    assert [output.path for output in run.kinds(RunEnded)[0].outputs] == ["hyperparameters.json"]
    assert not (tmp_path / "other").exists()


def test_no_error_of_ours_ends_a_training(tmp_path, monkeypatch):
    """The recorder's `log` may raise at each step, and a folder may be unusable: the loop goes on."""

    def broken(*args, **kwargs):
        raise OSError("planted")

    with monkeypatch.context() as patched:
        patched.setattr(Run, "log", broken)
        train(WatchkeeperTracker(tmp_path / "a"))
    assert recorded(tmp_path / "a").log.count("OSError: planted") == 1
    replace(tmp_path / "b", b"no folder")
    with pytest.warns(RuntimeWarning, match=r"WatchkeeperTracker.log failed"):
        train(WatchkeeperTracker(tmp_path / "b"))


def test_a_training_that_never_ended_is_told_as_failed_at_exit(tmp_path, monkeypatch):
    """Without `end_training`, the exception that ends the process is the run's end; with none, that is said."""

    def fail(step):
        if step == 3:
            raise ValueError("planted")

    for folder, error, words in (
        ("a", ValueError("planted"), "ValueError: planted"),
        ("b", None, "RuntimeError: accelerate"),
    ):
        with pytest.raises(ValueError, match="planted"):
            train(WatchkeeperTracker(tmp_path / folder), at=fail)
        monkeypatch.setattr("sys.last_value", error, raising=False)
        monkeypatch.setattr("sys.last_exc", error, raising=False)
        recording._at_exit()
        run = recorded(tmp_path / folder)
        assert run.ends == ["failed"] and run.kinds(RunEnded)[0].error.startswith(words)
        assert run.steps("loss") == [1, 2]
