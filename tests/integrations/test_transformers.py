"""The callback on a real `Trainer`, and the deadline on a real `generate`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from transformers import (
    StoppingCriteria,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

import watchkeeper as wk
from tests.integrations import tiny
from tests.integrations.conftest import ROOT, recorded
from watchkeeper.core.disk.files import replace
from watchkeeper.core.events import OutputFile, RunEnded, RunStarted
from watchkeeper.integrations import recording
from watchkeeper.integrations.transformers import DeadlineCriteria, WatchkeeperCallback
from watchkeeper.record.run import Run


class At(TrainerCallback):
    """Does something after this step, within the training."""

    def __init__(self, step, what):
        self.step, self.what = step, what

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.what()


def test_reported_to_by_name_a_training_is_recorded_in_its_own_folder(tmp_path, capfd):
    """`report_to=["watchkeeper"]` records rows at completed steps, checkpoints, status and settings
    in output_dir.
    """
    handlers = [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    ]
    tiny.trainer(
        tmp_path, report_to=["watchkeeper"], hub_token="hf_very_secret", log_level="passive"
    ).train()
    run = recorded(tmp_path)
    assert run.ends == ["finished"]
    assert run.steps("grad_norm") == [2, 4, 6, 8, 10, 12]
    assert run.steps("val_loss") == [6, 12]
    assert run.checkpoints == [("checkpoint-6", 6), ("checkpoint-12", 12)]
    status = run.status
    assert (status["state"], status["step"], status["total"]) == ("finished", 12, 12)
    assert status["gap"] == pytest.approx(status["val_loss"] - status["loss"], abs=1e-4)
    assert 0 <= status["full_tier_share"] < 1
    assert run.kinds(RunEnded)[0].totals["train_loss"] > 0
    assert (
        run.config["seed"],
        run.config["arguments"]["max_steps"],
        run.config["model"]["hidden_size"],
    ) == (42, 12, 16)
    assert "Run finished" in run.log
    assert not [
        path
        for path in tmp_path.rglob(".watchkeeper/**/*")
        if path.is_file() and b"very_secret" in path.read_bytes()
    ]
    assert [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    ] == handlers
    assert "Run finished" not in capfd.readouterr().err


def test_a_run_that_goes_on_is_used_and_left_open(tmp_path):
    """Within the user's own run nothing else is started, and what comes after the training is
    recorded too.
    """
    with wk.start_run(folder=tmp_path / "run", pipeline="training", console=False) as run:
        trainer = tiny.trainer(tmp_path / "out", callbacks=[WatchkeeperCallback()])
        trainer.train()
        trainer.evaluate()
        assert wk.current_run() is run
        run.totals(after=1)
    mine = recorded(tmp_path / "run")
    assert mine.steps("val_loss") == [6, 12, 12]
    assert mine.ends == ["finished"] and mine.kinds(RunEnded)[0].totals["after"] == 1
    assert [
        output.path for output in mine.kinds(RunEnded)[0].outputs if isinstance(output, OutputFile)
    ] == [recording.FILE]
    assert mine.status["total"] == 12
    assert not (tmp_path / "out/.watchkeeper").exists()


def test_what_is_pushed_to_a_hub_is_not_recorded_into(tmp_path):
    """The Trainer uploads output_dir whole, so the run, with paths and hosts in its journal, lies
    beside it.
    """
    args = TrainingArguments(str(tmp_path / "out"), push_to_hub=True, use_cpu=True)
    callback = WatchkeeperCallback()
    callback.on_train_begin(args, TrainerState(), TrainerControl())
    callback.on_train_end(args, TrainerState(), TrainerControl())
    assert recorded(tmp_path / "out-watchkeeper").ends == ["finished"]
    assert not (tmp_path / "out").exists()


def test_accumulated_batches_are_one_step(tmp_path):
    """Steps are optimizer steps, however many batches each takes."""
    tiny.trainer(
        tmp_path,
        report_to="watchkeeper",
        gradient_accumulation_steps=2,
        max_steps=3,
        logging_steps=1,
    ).train()
    assert recorded(tmp_path).steps("learning_rate") == [1, 2, 3]


def test_no_error_of_ours_ends_a_training(tmp_path, monkeypatch):
    """The recorder's methods may all raise: the training comes to its end, and the log says it
    once.
    """

    def broken(*args, **kwargs):
        raise OSError("planted")

    for name in ("log", "checkpoint", "totals", "cadence"):
        monkeypatch.setattr(Run, name, broken)
    trainer = tiny.trainer(tmp_path, report_to="watchkeeper")
    trainer.train()
    assert trainer.state.global_step == 12
    run = recorded(tmp_path)
    assert run.ends == ["finished"]
    assert (
        run.log.count("WatchkeeperCallback.on_log failed, and goes unrecorded: OSError: planted")
        == 1
    )


def test_a_folder_that_cannot_be_recorded_into_costs_the_record_only(tmp_path):
    """Where no run can be started the training goes on without, and a warning says so once."""
    replace(tmp_path / ".watchkeeper", b"no folder")
    trainer = tiny.trainer(tmp_path, report_to="watchkeeper", save_strategy="no")
    with pytest.warns(RuntimeWarning, match="on_train_begin failed") as warned:
        trainer.train()
    assert trainer.state.global_step == 12
    assert len([each for each in warned if "watchkeeper" in str(each.message)]) == 1


def test_odd_values_are_kept(tmp_path):
    """Non-finite and foreign values in a row harm nobody."""
    trainer = tiny.trainer(
        tmp_path, report_to="watchkeeper", eval_strategy="no", save_strategy="no", max_steps=2
    )
    odd = {
        "nan": float("nan"),
        "tensor": torch.tensor(1.5),
        "text": "x" * 9_999,
        "time": 1,
        "step": object(),
    }
    trainer.add_callback(At(1, lambda: trainer.log(dict(odd))))
    trainer.train()
    (row,) = [row for row in recorded(tmp_path).rows if "nan" in row.metrics]
    assert (
        row.step == 1 and row.metrics["nan"] != row.metrics["nan"] and row.metrics["tensor"] == 1.5
    )


def test_a_training_that_raised_is_told_as_failed_when_the_next_one_begins(tmp_path):
    """Callbacks see no exception from the Trainer; a new training in the folder adds to it."""

    def fail():
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        tiny.trainer(tmp_path, report_to="watchkeeper", callbacks=[At(7, fail)]).train()
    trainer = tiny.trainer(tmp_path, report_to="watchkeeper")
    trainer.train(resume_from_checkpoint=True)
    run = recorded(tmp_path)
    assert run.ends == ["failed", "finished"]
    assert run.steps("grad_norm") == [2, 4, 6, 8, 10, 12]
    assert run.status["step"] == 12


def test_sigterm_stops_the_training_after_its_step_with_a_checkpoint(tmp_path):
    """Our own run ends as interrupted, and the process would end with 143."""
    trainer = tiny.trainer(
        tmp_path,
        report_to="watchkeeper",
        callbacks=[At(4, lambda: os.kill(os.getpid(), signal.SIGTERM))],
    )
    with pytest.raises(wk.Interrupted) as stopped:
        trainer.train()
    run = recorded(tmp_path)
    assert stopped.value.code == 143
    assert run.ends == ["interrupted"]
    assert run.checkpoints == [("checkpoint-5", 5)]
    assert (tmp_path / "checkpoint-5/trainer_state.json").exists()


def test_asked_to_stop_within_the_users_run_training_returns(tmp_path):
    """In the user's `with`, `train()` returns early, and the `with` ends as interrupted."""
    with (
        pytest.raises(wk.Interrupted),
        wk.start_run(folder=tmp_path / "run", pipeline="t", console=False) as run,
    ):
        trainer = tiny.trainer(
            tmp_path / "out",
            callbacks=[WatchkeeperCallback(), At(4, lambda: run.request_stop("enough"))],
        )
        trainer.train()
        assert trainer.state.global_step == 5
        run.totals(after=1)
    mine = recorded(tmp_path / "run")
    assert mine.ends == ["interrupted"] and mine.checkpoints == [("checkpoint-5", 5)]


def test_what_is_evaluated_outside_of_a_training_has_a_run_of_its_own(tmp_path):
    """`evaluate` and `predict` before and after a training are kept beside it, each whole, and name
    what they follow.
    """
    trainer = tiny.trainer(
        tmp_path, report_to="watchkeeper", max_steps=2, eval_strategy="no", save_strategy="no"
    )
    trainer.evaluate(metric_key_prefix="first")
    trainer.train()
    trainer.evaluate(metric_key_prefix="final")
    trainer.predict(tiny.rows(4), metric_key_prefix="held_out")
    run = recorded(tmp_path)
    assert run.ends == ["finished"] and run.steps("final_loss") == []
    after = recorded(tmp_path / "evaluation")
    assert set(after.ends) == {"finished"}
    assert (after.steps("first_loss"), after.steps("final_loss"), after.steps("held_out_loss")) == (
        [0],
        [2],
        [2],
    )
    follows = [event.config.get("follows") for event in after.kinds(RunStarted)]
    assert follows == [
        None,
        *[{"run_id": run.kinds(RunStarted)[0].run_id, "folder": str(tmp_path)}] * 2,
    ]


def test_a_training_within_a_training_has_a_run_of_its_own(tmp_path):
    """Both are recorded whole, with a callback each or with one for both, and whatever folder they
    name.
    """
    shared = WatchkeeperCallback()
    for name, ours, inner_folder in (
        ("a", dict, "inner"),
        ("b", lambda: {"callbacks": [shared]}, "outer"),
    ):
        settings = {"logging_steps": 1, "eval_strategy": "no", "save_strategy": "no"}
        settings |= {} if ours() else {"report_to": "watchkeeper"}
        place, options = tmp_path / name, ours()
        inner = tiny.trainer(place / inner_folder, max_steps=2, **settings, **options)
        options = {"callbacks": [At(2, inner.train), *options.get("callbacks", ())]}
        tiny.trainer(place / "outer", max_steps=4, **settings, **options).train()
        other = recorded(place / "inner" if inner_folder == "inner" else place / "outer/training-2")
        assert recorded(place / "outer").steps("grad_norm") == [1, 2, 3, 4] and other.steps(
            "grad_norm"
        ) == [1, 2]
        assert recorded(place / "outer").ends == other.ends == ["finished"]


def test_trials_in_one_folder_are_kept_apart(tmp_path):
    """A search that trains again and again from the first step in one folder has a run for each
    trial; a trial that raised is recorded as failed when the next one begins.
    """

    def fail():
        raise ValueError("planted")

    settings = {
        "report_to": "watchkeeper",
        "max_steps": 2,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
    }
    with pytest.raises(ValueError, match="planted"):
        tiny.trainer(tmp_path, callbacks=[At(1, fail)], **settings).train()
    for _ in range(2):
        tiny.trainer(tmp_path, **settings).train()
    assert recorded(tmp_path).ends == ["failed"] and recorded(tmp_path).steps("grad_norm") == [1]
    for number in (2, 3):
        trial = recorded(tmp_path / f"training-{number}")
        assert trial.ends == ["finished"] and trial.steps("grad_norm") == [1, 2]


def test_a_training_in_another_thread_is_left_alone(tmp_path):
    """While one thread trains, another's training begins and ends, and takes nothing from it."""
    inner_done, outer_there = threading.Event(), threading.Event()

    def wait():
        outer_there.set()
        assert inner_done.wait(120)

    settings = {
        "report_to": "watchkeeper",
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
    }
    outer = tiny.trainer(tmp_path / "outer", max_steps=3, callbacks=[At(1, wait)], **settings)
    inner = tiny.trainer(tmp_path / "inner", max_steps=2, **settings)
    thread = threading.Thread(target=outer.train)
    thread.start()
    assert outer_there.wait(120)
    inner.train()
    inner_done.set()
    thread.join(120)
    for name, steps in (("outer", [1, 2, 3]), ("inner", [1, 2])):
        run = recorded(tmp_path / name)
        assert run.ends == ["finished"] and run.steps("grad_norm") == steps


SCRIPT = """
import sys
import watchkeeper.integrations.transformers
from tests.integrations import tiny
from tests.integrations.test_transformers import At
def fail():
    raise ValueError("planted")
tiny.trainer(sys.argv[1], report_to=["watchkeeper"], callbacks=[At(3, fail)]).train()
"""


def test_an_exception_that_ends_the_process_ends_the_run_as_failed(tmp_path, environment):
    """At exit the run is told as failed, with the exception."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    run = recorded(tmp_path)
    assert done.returncode == 1 and "ValueError: planted" in done.stderr
    assert run.ends == ["failed"] and run.kinds(RunEnded)[0].error == "ValueError: planted"
    assert run.status["state"] == "failed"


class Slow(StoppingCriteria):
    """Makes each token take a while."""

    def __call__(self, input_ids, scores, **kwargs):
        time.sleep(0.02)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


def test_the_deadline_stops_generate_and_says_so_for_each_call():
    """A deadline stops a whole batch between tokens, knows that it did, and serves the next call as
    well.
    """
    model, prompt = tiny.model(), torch.ones(2, 4, dtype=torch.long)
    options = {"max_new_tokens": 40, "do_sample": False}
    deadline = DeadlineCriteria(0.2)
    for _ in range(2):
        cut = model.generate(prompt, stopping_criteria=[deadline, Slow()], **options)
        assert deadline.timed_out and 4 < cut.shape[1] < 44
    deadline.seconds = None
    whole = model.generate(prompt, stopping_criteria=[deadline], **options)
    assert not deadline.timed_out and whole.shape == (2, 44)
    longer = model.generate(
        cut, stopping_criteria=[deadline.arm(), Slow()], max_new_tokens=3, do_sample=False
    )
    assert not deadline.timed_out and longer.shape[1] == cut.shape[1] + 3


def test_a_deadline_that_is_over_is_told_in_the_run(tmp_path):
    """A generation that its deadline stopped counts among the run's timeouts, beside those that
    ended in time.
    """
    model, prompt = tiny.model(), torch.ones(2, 4, dtype=torch.long)
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        for seconds, slow in ((None, []), (0.2, [Slow()])):
            deadline = DeadlineCriteria(seconds)
            model.generate(
                prompt,
                max_new_tokens=40,
                do_sample=False,
                stopping_criteria=[deadline.arm(), *slow],
            )
    assert (run.limits.calls, run.limits.overruns) == (2, 1)
    assert "TIMEOUT: generate exceeded 0.2s" in (tmp_path / "logs/run.log").read_text()


def test_the_deadline_holds_for_beams():
    """Beam search ends at the deadline too."""
    deadline = DeadlineCriteria(0.2)
    cut = tiny.model().generate(
        torch.ones(2, 4, dtype=torch.long),
        num_beams=2,
        max_new_tokens=40,
        stopping_criteria=[deadline.arm(), Slow()],
    )
    assert deadline.timed_out and cut.shape[1] < 44
