"""The logger and the callback on a real Lightning Trainer."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

import watchkeeper as wk
from tests.integrations.conftest import recorded
from watchkeeper.core.disk.files import replace
from watchkeeper.core.events import RunEnded
from watchkeeper.integrations.lightning import WatchkeeperCallback, WatchkeeperLogger
from watchkeeper.record.run import Run


class Line(LightningModule):
    """A straight line, learnt from 32 points in 8 batches an epoch."""

    def __init__(self, lr: float = 0.01, api_key: str = "very_secret") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.mse_loss(self.layer(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch, batch_idx):
        """What `trainer.test` logs."""
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


class At(Callback):
    """Does something before the batch that follows this step."""

    def __init__(self, step, what):
        self.step, self.what = step, what

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            self.what()


@pytest.fixture
def data():
    x = torch.linspace(0, 1, 32).reshape(-1, 1)
    return DataLoader(TensorDataset(x, 2 * x), batch_size=4)


@pytest.fixture
def fit(tmp_path, data):
    """Train two epochs of eight steps, logged every fourth."""

    def fit(*callbacks, logger=False, model=None, ckpt_path=None, **arguments):
        settings = {
            "max_epochs": 2,
            "log_every_n_steps": 4,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        trainer = Trainer(
            accelerator="cpu",
            logger=logger,
            callbacks=list(callbacks),
            default_root_dir=tmp_path,
            **{**settings, **arguments},
        )
        trainer.fit(model or Line(), data, data, ckpt_path=ckpt_path)
        return trainer

    return fit


def test_the_logger_alone_records_rows_checkpoints_and_status(tmp_path, fit):
    """Its own run is where Lightning puts a logger's version; steps are completed ones, from 1."""
    fit(logger=WatchkeeperLogger(tmp_path))
    run = recorded(tmp_path / "lightning_logs/version_0")
    assert run.ends == ["finished"]
    assert run.steps("loss") == [4, 8, 12, 16]
    assert run.steps("val_loss") == [8, 16]
    assert run.checkpoints == [("epoch=0-step=8.ckpt", 8), ("epoch=1-step=16.ckpt", 16)]
    assert run.config == {"lr": 0.01, "api_key": "<redacted>"}
    status = run.status
    assert (status["state"], status["step"], status["total"]) == ("finished", 16, 16)
    assert status["gap"] == pytest.approx(status["val_loss"] - status["loss"], abs=1e-4)
    assert (run.folder / "checkpoints/epoch=1-step=16.ckpt").exists()
    assert WatchkeeperLogger(tmp_path).version == 1


def test_the_callback_alone_records_the_same(tmp_path, fit):
    """Without our logger the callback keeps rows, checkpoints and hyperparameters itself."""
    fit(WatchkeeperCallback())
    run = recorded(tmp_path)
    assert run.ends == ["finished"]
    assert run.steps("loss") == [4, 8, 12, 16]
    assert run.steps("val_loss") == [8, 16]
    assert run.checkpoints == [("epoch=0-step=8.ckpt", 8), ("epoch=1-step=16.ckpt", 16)]
    assert run.config == {"lr": 0.01, "api_key": "<redacted>"}
    assert (run.status["step"], run.status["total"]) == (16, 16)


def test_both_together_record_once(tmp_path, fit):
    """With the logger, the callback adds neither rows nor checkpoints."""
    fit(WatchkeeperCallback(), logger=WatchkeeperLogger(tmp_path, version="mine"))
    run = recorded(tmp_path / "lightning_logs/mine")
    assert run.steps("loss") == [4, 8, 12, 16] and len(run.checkpoints) == 2
    assert run.ends == ["finished"]
    assert not (tmp_path / ".watchkeeper").exists()


def test_accumulated_batches_are_one_step(tmp_path, fit):
    """Steps are optimizer steps: eight batches, accumulated by twos, are four."""
    fit(
        logger=WatchkeeperLogger(tmp_path, version="a"),
        max_epochs=1,
        accumulate_grad_batches=2,
        log_every_n_steps=2,
    )
    run = recorded(tmp_path / "lightning_logs/a")
    assert set(run.steps("loss")) == {2, 4}
    assert run.steps("val_loss") == [4] and run.status["total"] == 4


class Chatty(Line):
    """Logs each validation batch too."""

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), on_step=True, on_epoch=True)


def test_rows_of_single_validation_batches_have_no_training_step(tmp_path, fit):
    """Lightning counts validation batches on their own; their rows disturb neither steps nor
    status.
    """
    fit(WatchkeeperCallback(), logger=WatchkeeperLogger(tmp_path, version="a"), model=Chatty())
    run = recorded(tmp_path / "lightning_logs/a")
    assert set(run.steps("val_loss_step")) == {None} and run.steps("val_loss") == [8, 16]
    assert [row.metrics["eval_batch"] for row in run.rows if "eval_batch" in row.metrics][:3] == [
        0,
        1,
        2,
    ]
    assert run.status["step"] == 16


def test_a_trial_run_is_not_recorded(tmp_path, fit):
    """`fast_dev_run` leaves nothing."""
    fit(WatchkeeperCallback(), fast_dev_run=True)
    assert not (tmp_path / ".watchkeeper").exists()


def test_a_run_that_goes_on_is_used_and_left_open(tmp_path, fit, data):
    """In the user's run, training and testing have the same count of steps, and checkpoints lie in
    its folder.
    """
    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False):
        trainer = fit(WatchkeeperCallback(), logger=WatchkeeperLogger())
        trainer.test(trainer.model, data, verbose=False)
    run = recorded(tmp_path / "run")
    assert run.ends == ["finished"]
    assert run.steps("loss") == [4, 8, 12, 16] and run.steps("test_loss") == [16]
    assert [output.path for output in run.kinds(RunEnded)[0].outputs] == ["hyperparameters.json"]
    assert b"very_secret" not in (tmp_path / "run/hyperparameters.json").read_bytes()
    assert (tmp_path / "run/checkpoints/epoch=1-step=16.ckpt").exists()


class Nested(Callback):
    """Trains another model, with a logger of its own, in the middle of a training."""

    def __init__(self, folder, data):
        self.folder, self.data = folder, data

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 3:
            quiet = {
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "log_every_n_steps": 1,
            }
            inner = Trainer(
                accelerator="cpu",
                logger=WatchkeeperLogger(self.folder, version="a"),
                max_epochs=1,
                **quiet,
            )
            inner.fit(Line(), self.data)


def test_a_fit_within_a_fit_has_a_run_of_its_own(tmp_path, fit, data):
    """Both are recorded whole, each in the folder of its logger."""
    outer = WatchkeeperLogger(tmp_path / "outer", version="a")
    fit(Nested(tmp_path / "inner", data), logger=outer, max_epochs=1, log_every_n_steps=1)
    for name in ("outer", "inner"):
        run = recorded(tmp_path / name / "lightning_logs/a")
        assert run.steps("loss") == [1, 2, 3, 4, 5, 6, 7, 8] and run.ends == ["finished"]


@pytest.mark.parametrize("logger", [True, False])
def test_what_is_tested_outside_of_a_training_has_a_run_of_its_own(tmp_path, fit, data, logger):
    """`validate` before and `test` after a training are kept beside it, at the step that the model
    was trained to.
    """
    ours = WatchkeeperLogger(tmp_path, version="a") if logger else False
    folder = tmp_path / "lightning_logs/a" if logger else tmp_path
    callbacks = [] if logger else [WatchkeeperCallback()]
    trainer = fit(*callbacks, logger=ours, max_epochs=1)
    trainer.test(trainer.model, data, verbose=False)
    trainer.validate(trainer.model, data, verbose=False)
    assert recorded(folder).ends == ["finished"] and recorded(folder).steps("test_loss") == []
    after = recorded(folder / "evaluation")
    assert set(after.ends) == {"finished"}
    assert after.steps("test_loss") == [8] and after.steps("val_loss") == [8]
    assert after.config["follows"]["folder"] == str(folder)


def test_a_training_that_goes_on_stays_in_its_folder_and_another_does_not(tmp_path, fit, data):
    """`fit` again on the same Trainer adds to its run's folder; a new Trainer with the same logger
    begins another run.
    """
    ours = WatchkeeperLogger(tmp_path, version="a")
    trainer = fit(logger=ours, max_epochs=1)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(trainer.model, data, data)
    fit(logger=ours, max_epochs=1)
    first = recorded(tmp_path / "lightning_logs/a")
    assert first.steps("loss") == [4, 8, 12, 16] and first.ends == ["finished", "finished"]
    assert recorded(tmp_path / "lightning_logs/a/training-2").steps("loss") == [4, 8]


@pytest.mark.parametrize("logger", [True, False])
def test_no_error_of_ours_ends_a_training(tmp_path, fit, monkeypatch, logger):
    """The recorder's methods may all raise: the training comes to its end, and the log says it
    once.
    """

    def broken(*args, **kwargs):
        raise OSError("planted")

    for name in ("log", "checkpoint", "cadence"):
        monkeypatch.setattr(Run, name, broken)
    trainer = fit(
        WatchkeeperCallback(), logger=WatchkeeperLogger(tmp_path, version="a") if logger else False
    )
    assert trainer.global_step == 16
    run = recorded(tmp_path / "lightning_logs/a" if logger else tmp_path)
    assert run.ends == ["finished"]
    assert run.log.count("failed, and goes unrecorded: OSError: planted") >= 2
    assert len([line for line in run.log.splitlines() if "log_metrics failed" in line]) == logger


def test_a_folder_that_cannot_be_recorded_into_costs_the_record_only(tmp_path, fit):
    """Where no run can be started the training goes on without."""
    replace(tmp_path / ".watchkeeper", b"no folder")
    with pytest.warns(RuntimeWarning, match="watchkeeper: .*on_fit_start failed"):
        assert fit(WatchkeeperCallback()).global_step == 16


@pytest.mark.parametrize("logger", [True, False])
def test_an_exception_ends_the_run_as_failed(tmp_path, fit, logger):
    """What a training raised is the run's end; a training resumed in the same folder adds to it."""

    def fail():
        raise ValueError("planted")

    def ours():
        return {"logger": WatchkeeperLogger(tmp_path, version="a") if logger else False}

    with pytest.raises(ValueError, match="planted"):
        fit(WatchkeeperCallback(), At(9, fail), **ours())
    folder = tmp_path / "lightning_logs/a" if logger else tmp_path
    run = recorded(folder)
    assert run.ends == ["failed"] and run.kinds(RunEnded)[0].error == "ValueError: planted"
    assert run.status["state"] == "failed"
    fit(WatchkeeperCallback(), ckpt_path=folder / "checkpoints/epoch=0-step=8.ckpt", **ours())
    run = recorded(folder)
    assert run.ends == ["failed", "finished"] and run.steps("loss") == [4, 8, 12, 16]
    assert run.status["step"] == 16


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_stops_the_training_after_its_batch_with_a_checkpoint(tmp_path, fit, number):
    """Our own run ends as interrupted, and the process would end with the signal's code."""
    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    }
    try:
        with pytest.raises(SystemExit) as stopped:
            fit(
                WatchkeeperCallback(),
                At(5, lambda: os.kill(os.getpid(), number)),
                logger=WatchkeeperLogger(tmp_path, version="a"),
            )
    finally:
        left = {each: signal.getsignal(each) for each in handlers}
        for each, handler in handlers.items():
            signal.signal(each, handler)
    run = recorded(tmp_path / "lightning_logs/a")
    assert stopped.value.code == (130 if number == signal.SIGINT else 143)
    assert run.ends == ["interrupted"]
    assert run.checkpoints[0] == ("interrupted-step=6.ckpt", 6)
    assert (
        torch.load(run.folder / "checkpoints/interrupted-step=6.ckpt", weights_only=True)[
            "global_step"
        ]
        == 6
    )
    assert number == signal.SIGTERM or left == handlers


def test_sigterm_within_the_users_run_ends_it_as_interrupted(tmp_path, fit):
    """Lightning leaves `fit` by a SystemExit without a code; with the run the process ends with
    143.
    """
    with (
        pytest.raises(SystemExit) as stopped,
        wk.start_run(folder=tmp_path / "run", pipeline="training", console=False),
    ):
        fit(
            WatchkeeperCallback(),
            At(5, lambda: os.kill(os.getpid(), signal.SIGTERM)),
            ModelCheckpoint(tmp_path / "c"),
        )
    run = recorded(tmp_path / "run")
    assert stopped.value.code == 143
    assert run.ends == ["interrupted"] and ("interrupted-step=6.ckpt", 6) in run.checkpoints
