"""Plain PyTorch loops."""

from __future__ import annotations

import pytest
import torch

import watchkeeper as wk
from tests.integrations.conftest import recorded
from watchkeeper.integrations.torch import watch
from watchkeeper.record.run import Run


@pytest.fixture
def train():
    """A straight line, learnt in that many steps; `before` is called before each."""

    def train(before, steps=6, **settings):
        layer = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        watched = watch(optimizer, **settings)
        x = torch.linspace(0, 1, 8).reshape(-1, 1)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(layer(x), 2 * x)
            loss.backward()
            before(watched, loss)
            optimizer.step()
        return watched

    return train


def test_rows_come_at_completed_steps(tmp_path, train):
    """Every second completed step has a row, with the loss that was given before it; a resumed
    count goes on.
    """
    losses = []

    def give(watched, loss):
        losses.append(loss.item())
        watched.metrics(train_loss=loss)

    with wk.start_run(folder=tmp_path, pipeline="training", console=False):
        train(give, log_every=2, total=16, step=10, grad_norm=True)
    run = recorded(tmp_path)
    assert run.steps("loss") == [12, 14, 16]
    assert [row.metrics["loss"] for row in run.rows] == pytest.approx(losses[1::2])
    assert run.rows[0].metrics["lr"] == 0.1 and run.rows[0].metrics["grad_norm"] > 0
    assert (run.status["step"], run.status["total"]) == (16, 16)


def test_a_tensor_is_read_only_where_a_row_is_due(tmp_path, train):
    """No step waits for the device but those at which a row is written."""

    class Counted(torch.Tensor):
        read = 0

        def item(self):
            Counted.read += 1
            return super().item()

    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        train(
            lambda watched, loss: watched.metrics(loss=loss.as_subclass(Counted)),
            run=run,
            log_every=3,
        )
    assert Counted.read == 2


def test_no_error_of_ours_ends_a_training(tmp_path, train, monkeypatch):
    """A recorder that raises, and no run at all, cost the record only."""

    def broken(*args, **kwargs):
        raise OSError("planted")

    with pytest.warns(RuntimeWarning, match="no run is open"):
        assert train(lambda watched, loss: watched.metrics(loss=loss)).step == 6
    monkeypatch.setattr(Run, "log", broken)
    with wk.start_run(folder=tmp_path, pipeline="training", console=False):
        assert train(lambda watched, loss: watched.metrics(loss=loss), log_every=1).step == 6
    assert recorded(tmp_path).log.count("OSError: planted") == 1


def test_it_may_be_stopped_and_outlives_its_run(tmp_path, train):
    """After `stop` nothing is counted; after the run's end rows are lost, and nobody is harmed."""
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        watched = train(lambda watched, loss: watched.stop(), run=run, log_every=1)
    assert watched.step == 0
    train(lambda watched, loss: watched.metrics(loss=loss), run=run, log_every=1)
    assert recorded(tmp_path).rows == []
