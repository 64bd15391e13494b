"""The tracker in a real accelerate loop."""

from __future__ import annotations

import threading

import pytest
import torch
from accelerate import Accelerator

import watchkeeper as wk
from tests.integrations.conftest import recorded
from watchkeeper.core.disk.files import replace
from watchkeeper.core.events import RunEnded
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
    """Rows have the steps that the program gave, losses their common names, and the configuration
    no secret.
    """
    train(
        WatchkeeperTracker(tmp_path, total=6), config={"lr": 0.1, "hf_token": "secret", "seed": 3}
    )
    run = recorded(tmp_path)
    assert run.ends == ["finished"]
    assert run.steps("loss") == [1, 2, 3, 4, 5, 6] and run.steps("val_loss") == [6]
    assert run.config == {"lr": 0.1, "hf_token": "<redacted>", "seed": 3}
    assert (run.status["step"], run.status["total"], run.status["val_loss"]) == (6, 6, 0.5)
    assert run.status["full_tier_share"] is None


def test_a_run_that_goes_on_is_used_and_left_open(tmp_path):
    """In the user's run the configuration is an output, and `end_training` does not end the run."""
    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False) as mine:
        train(WatchkeeperTracker(tmp_path / "other"), config={"lr": 0.1})
        assert wk.current_run() is mine
    run = recorded(tmp_path / "run")
    assert run.steps("loss") == [1, 2, 3, 4, 5, 6] and run.ends == ["finished"]
    assert [output.path for output in run.kinds(RunEnded)[0].outputs] == ["hyperparameters.json"]
    assert not (tmp_path / "other").exists()


def test_no_error_of_ours_ends_a_training(tmp_path, monkeypatch):
    """The loop continues when the recorder's `log` raises at each step or a folder is unusable."""

    def broken(*args, **kwargs):
        raise OSError("planted")

    with monkeypatch.context() as patched:
        patched.setattr(Run, "log", broken)
        train(WatchkeeperTracker(tmp_path / "a"))
    assert recorded(tmp_path / "a").log.count("OSError: planted") == 1
    replace(tmp_path / "b", b"no folder")
    with pytest.warns(RuntimeWarning, match=r"WatchkeeperTracker.log failed"):
        train(WatchkeeperTracker(tmp_path / "b"))


def test_a_training_that_never_ended_is_told_at_exit(tmp_path, monkeypatch):
    """Without `end_training`, the exception that ends the process is the run's end; with none, the
    program has come to its end, and so has the run, unless steps that were planned are missing.
    """

    def fail(step):
        if step == 3:
            raise ValueError("planted")

    for folder, total, error, status, words in (
        ("a", None, ValueError("planted"), "failed", "ValueError: planted"),
        ("b", 6, None, "failed", "RuntimeError: accelerate did not come to its end"),
        ("c", None, None, "finished", ""),
    ):
        with pytest.raises(ValueError, match="planted"):
            train(WatchkeeperTracker(tmp_path / folder, total=total), at=fail)
        monkeypatch.setattr("sys.last_value", error, raising=False)
        monkeypatch.setattr("sys.last_exc", error, raising=False)
        recording._at_exit()
        run = recorded(tmp_path / folder)
        assert run.ends == [status] and run.kinds(RunEnded)[0].error == words
        assert run.steps("loss") == [1, 2]


def begin(tracker, *steps, config=None):
    """An Accelerator whose user logs these steps, and never says the end."""
    accelerator = Accelerator(cpu=True, log_with=tracker)
    accelerator.init_trackers("line", config=config)
    for step in steps:
        accelerator.log({"train_loss": 1.0 / step}, step=step)
    return accelerator


def test_a_training_takes_nothing_from_one_that_was_not_ended(tmp_path):
    """Each tracker has a folder of its own, whether the one before has said its end or not; a
    second training in the same folder gets one below it.
    """
    first = begin(WatchkeeperTracker(tmp_path / "a"), 1, 2, 3)
    second = begin(WatchkeeperTracker(tmp_path / "b"), 1, 2)
    third = begin(WatchkeeperTracker(tmp_path / "a"), 1)
    first.log({"train_loss": 0.1}, step=4)
    for accelerator in (third, first, second):
        accelerator.end_training()
    steps = {
        place: recorded(tmp_path / place).steps("loss") for place in ("a", "b", "a/training-2")
    }
    assert steps == {"a": [1, 2, 3, 4], "b": [1, 2], "a/training-2": [1]}
    assert [recorded(tmp_path / place).ends for place in steps] == [["finished"]] * 3


def test_a_tracker_that_is_used_again_begins_another_run(tmp_path):
    """`init_trackers` after `end_training` starts a second run; what is logged in between is kept
    beside the first.
    """
    tracker = WatchkeeperTracker(tmp_path / "a")
    accelerator = begin(tracker, 1, 2, config={"lr": 0.1})
    accelerator.end_training()
    accelerator.log({"test_accuracy": 0.5}, step=2)
    begin(tracker, 1, config={"lr": 0.2}).end_training()
    assert recorded(tmp_path / "a").steps("loss") == [1, 2]
    after = recorded(tmp_path / "a/evaluation")
    assert after.steps("test_accuracy") == [2] and after.ends == ["finished"]
    assert after.config["follows"]["folder"] == str(tmp_path / "a")
    second = recorded(tmp_path / "a/training-2")
    assert (second.steps("loss"), second.config) == ([1], {"lr": 0.2})


def test_two_trainings_within_the_users_run_are_kept_apart(tmp_path):
    """The user's run takes the first; one that begins meanwhile gets a folder for itself."""
    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False):
        outer = begin(WatchkeeperTracker(tmp_path / "outer"), 1, 2)
        begin(WatchkeeperTracker(tmp_path / "inner"), 1).end_training()
        outer.log({"train_loss": 0.1}, step=3)
        outer.end_training()
    assert recorded(tmp_path / "run").steps("loss") == [1, 2, 3]
    assert recorded(tmp_path / "inner").steps("loss") == [1]
    assert not (tmp_path / "outer").exists()


def test_a_thread_records_into_the_run_that_it_is_within(tmp_path):
    """Of two runs of the user's that go on in two threads, each thread's training goes into its
    own.
    """
    both_started, done = threading.Barrier(2), []

    def work(name):
        with wk.start_run(
            folder=tmp_path / name, pipeline="training", console=False, handle_signals=False
        ):
            both_started.wait(60)
            begin(WatchkeeperTracker(tmp_path / "other" / name), 1, 2).end_training()
            both_started.wait(60)
        done.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(done) == ["a", "b"]
    assert [recorded(tmp_path / name).steps("loss") for name in "ab"] == [[1, 2], [1, 2]]
    assert not (tmp_path / "other").exists()
