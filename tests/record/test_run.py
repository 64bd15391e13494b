"""A run's life: start, steps, checkpoints, end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import watchkeeper as wk
from watchkeeper.core.errors import StorageError, UsageError
from watchkeeper.core.events import (
    Checkpoint,
    CheckpointFile,
    RunEnded,
    RunStarted,
    StepFinished,
    StepStarted,
)
from watchkeeper.core.journal import read, verify_seals


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_a_run_has_a_folder_of_its_own_and_a_clean_end(tmp_path, events):
    """A run's journal tells its start with its config, its end with its counts, and is sealed."""
    with wk.start_run(
        tmp_path,
        pipeline="training",
        config={"lr": 1e-5, "path": Path("/data")},
        code_folder=tmp_path,
    ) as run:
        run.log(1, loss=2.5)
    assert run.folder == tmp_path / run.run_id
    told = events(run.folder)
    assert [type(event).__struct_config__.tag for event in told] == [
        "opened",
        "run_started",
        "run_ended",
        "sealed",
    ]
    started = told[1]
    assert isinstance(started, RunStarted)
    assert (
        started.pipeline,
        started.config,
        started.attempt,
        started.job_id,
    ) == ("training", {"lr": 1e-5, "path": "/data"}, "", "")
    ended = told[2]
    assert isinstance(ended, RunEnded)
    assert (ended.status, ended.error, ended.metric_rows, ended.lost_rows) == ("finished", "", 1, 0)
    assert verify_seals(read(run.folder / ".watchkeeper/journal")) == (1, [])


def test_folder_is_used_exactly(tmp_path):
    """`folder=` names the run's folder itself, also relative to a directory that the process
    leaves.
    """
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        with wk.start_run(folder="here", pipeline="benchmark") as run:
            os.chdir("/")
            run.log(1, loss=1.0)
    finally:
        os.chdir(before)
    assert tmp_path / "here" == run.folder
    assert len(wk.read_rows(tmp_path / "here")[0]) == 1


def test_an_exception_is_raised_again_and_told(tmp_path, events):
    """A failed run says which exception ended it, and the caller still gets it."""
    with (
        pytest.raises(ValueError, match="loss is not finite"),
        wk.start_run(tmp_path, pipeline="training") as run,
    ):
        raise ValueError("loss is not finite")
    (ended,) = of_kind(events(run.folder), RunEnded)
    assert (ended.status, ended.error) == ("failed", "ValueError: loss is not finite")


@pytest.mark.parametrize(("code", "status"), [(0, "finished"), (None, "finished"), (3, "failed")])
def test_sys_exit_is_judged_by_its_code(tmp_path, events, code, status):
    """`sys.exit(0)` inside the run is a clean end, any other code a failed one."""
    with pytest.raises(SystemExit), wk.start_run(tmp_path, pipeline="training") as run:
        sys.exit(code)
    assert [status] == [event.status for event in of_kind(events(run.folder), RunEnded)]


def test_an_exception_without_a_message_is_still_told(tmp_path, events):
    """An exception whose str() fails ends the run as any other."""

    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    with pytest.raises(Odd), wk.start_run(tmp_path, pipeline="training") as run:
        raise Odd
    assert [event.error for event in of_kind(events(run.folder), RunEnded)] == [
        "Odd: (its message could not be made)"
    ]


def test_steps_tell_rows_and_metrics(tmp_path, events):
    """A step's event holds what the step was told, numpy's numbers included, and nothing it was
    not.
    """
    with wk.start_run(tmp_path, pipeline="training") as run:
        with run.step("00_ingest") as step:
            step.rows(read=1000, kept=np.int64(980))
            step.metrics(num_slates=3, share=np.float32(0.5), worst=float("nan"), nothing=None)
        with run.step("01_train"), run.step("inner"):
            pass
    told = events(run.folder)
    assert [event.step for event in of_kind(told, StepStarted)] == [
        "00_ingest",
        "01_train",
        "inner",
    ]
    ingest, inner, train = of_kind(told, StepFinished)
    assert (ingest.row_count_in, ingest.row_count_out) == (1000, 980)
    assert ingest.metrics == {"num_slates": 3, "share": 0.5, "worst": "NaN"}
    assert (inner.step, train.step, train.row_count_in, train.metrics) == (
        "inner",
        "01_train",
        None,
        {},
    )
    assert ingest.duration_s >= 0


def test_a_failing_step_names_itself(tmp_path, events):
    """The step in which a run failed carries the exception."""
    with (
        pytest.raises(KeyError),
        wk.start_run(tmp_path, pipeline="training") as run,
        run.step("02_fit"),
    ):
        raise KeyError("x")
    assert [(event.step, event.error) for event in of_kind(events(run.folder), StepFinished)] == [
        ("02_fit", "KeyError: 'x'")
    ]


def test_what_is_no_number_is_left_out_of_a_step_and_said(tmp_path, events, caplog):
    """A step's metric that is no number is named in a warning, and the journal stays readable."""
    with wk.start_run(tmp_path, pipeline="training") as run, run.step("00_ingest") as step:
        step.metrics(good=1, bad="many", worse=np.zeros(3))
        step.rows(read="all")
    assert [event.metrics for event in of_kind(events(run.folder), StepFinished)] == [{"good": 1}]
    assert "no numbers, and left out: bad, worse, row_count_in" in caplog.text


def test_a_checkpoint_is_recorded_with_its_files(tmp_path, events):
    """A checkpoint's event lists files and sizes; temporaries are no part of it."""
    folder = tmp_path / "epoch_0"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"12345")
    (folder / "sub/config.json").write_bytes(b"{}")
    (folder / ".tmp-x").write_bytes(b"1")
    with wk.start_run(tmp_path, pipeline="training") as run:
        run.checkpoint(folder, training_step=42)
        run.checkpoint(folder / "model.safetensors")
    whole, single = of_kind(events(run.folder), Checkpoint)
    expected = (
        CheckpointFile(path="model.safetensors", size_bytes=5),
        CheckpointFile(path="sub/config.json", size_bytes=2),
    )
    assert (str(folder), expected, 42) == (whole.path, whole.files, whole.training_step)
    assert (expected[:1], None) == (single.files, single.training_step)


def test_a_checkpoint_that_is_not_there_is_not_recorded(tmp_path, events, caplog):
    """No claim without evidence: where there is no file there is a warning and no event."""
    (tmp_path / "empty").mkdir()
    with wk.start_run(tmp_path, pipeline="training") as run:
        run.checkpoint("nowhere")
        run.checkpoint(tmp_path / "empty")
        run.checkpoint(None)
    assert of_kind(events(run.folder), Checkpoint) == []
    assert len(caplog.records) == 3


@dataclass
class Config:
    lr: float
    inner: object = None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, {}),
        ({"a": [1, (2, None)], 3: {"b": True}}, {"a": [1, [2, None]], "3": {"b": True}}),
        (
            {"nan": float("nan"), "np": np.float64(0.5), "array": np.arange(2)},
            {"nan": "NaN", "np": 0.5, "array": [0, 1]},
        ),
        (Namespace(lr=0.1), {"lr": 0.1}),
        (Config(lr=0.1, inner=Config(lr=0.2)), {"lr": 0.1, "inner": {"lr": 0.2, "inner": None}}),
        ({"lone": "\ud800"}, {"lone": "?"}),
    ],
)
def test_configs_of_many_kinds_are_kept(tmp_path, events, config, expected):
    """A configuration is kept as plain fields, whatever it is made of."""
    with wk.start_run(tmp_path, pipeline="training", config=config) as run:
        pass
    assert [expected] == [event.config for event in of_kind(events(run.folder), RunStarted)]


@pytest.mark.parametrize("config", ["config.yaml", [1], 3, print, Config])
def test_a_config_of_the_wrong_type_is_refused_at_the_start(tmp_path, config):
    """A config that is no mapping is named before anything runs, and leaves nothing behind."""
    with pytest.raises(UsageError, match="must be a mapping, a dataclass or a namespace"):
        wk.start_run(tmp_path, pipeline="training", config=config)
    assert list(tmp_path.iterdir()) == []


def test_root_or_folder_but_not_both(tmp_path):
    """A run needs one place, and says so."""
    for places in ({}, {"root": tmp_path, "folder": tmp_path}):
        with pytest.raises(UsageError, match="root or folder"):
            wk.start_run(pipeline="training", **places)
    with pytest.raises(UsageError, match="pipeline"):
        wk.start_run(tmp_path, pipeline="")


def test_a_folder_that_cannot_be_made_is_an_error_at_the_start(tmp_path):
    """Starting may fail, and says on which folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        wk.start_run(tmp_path / "file", pipeline="training")


def test_after_the_end_nothing_is_raised(tmp_path, events, caplog):
    """Whoever still holds an ended run harms neither himself nor the journal, and is told once."""
    with wk.start_run(tmp_path, pipeline="training") as run:
        pass
    before = events(run.folder)
    run.log(1, loss=1.0)
    run.log(2, loss=1.0)
    with run.step("late"):
        pass
    assert before == events(run.folder)
    assert sum("metric row" in record.message for record in caplog.records) == 1


def test_a_handler_that_raises_does_not_reach_the_loop(tmp_path):
    """A logging handler of the user's that raises is no reason to end a training."""

    class Angry(logging.Handler):
        def emit(self, record):
            raise RuntimeError("no")

    angry = Angry()
    logging.getLogger("watchkeeper").addHandler(angry)
    try:
        with wk.start_run(tmp_path, pipeline="training") as run:
            run.checkpoint("nowhere")
    finally:
        logging.getLogger("watchkeeper").removeHandler(angry)


def test_a_hundred_runs_in_one_process(tmp_path):
    """Runs leave no open file behind."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        with wk.start_run(tmp_path, pipeline="training") as run:
            run.log(1, loss=1.0)
    assert before == len(os.listdir("/proc/self/fd"))
    assert len(list(tmp_path.iterdir())) == 100


def _in_child(work):
    """Run `work` in a forked child, and return its exit code, -9 for one that hung."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        threading.Event().wait(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return -9


def test_a_forked_child_takes_its_own_files(tmp_path, events):
    """After a fork, child and parent write to separate files, and only the parent ends the run."""
    with wk.start_run(tmp_path, pipeline="training") as run:
        run.log(1, who=0)

        def work():
            run.log(2, who=1)
            with run.step("in the child"):
                pass
            run.__exit__(None, None, None)

        assert _in_child(work) == 0
        run.log(3, who=0)
    rows, problems = wk.read_rows(run.folder)
    assert problems == []
    assert {(1, 0), (2, 1), (3, 0)} == {(row.step, row.metrics["who"]) for row in rows}
    assert len({row.writer for row in rows}) == 2
    (ended,) = of_kind(events(run.folder), RunEnded)
    assert ended.metric_rows == 2
    assert verify_seals(read(run.folder / ".watchkeeper/journal")) == (2, [])


def test_a_fork_beside_logging_threads_does_not_hang_the_child(tmp_path):
    """A lock that another thread held at the fork is not the child's."""
    stop = threading.Event()
    with wk.start_run(tmp_path, pipeline="training") as run:

        def busy():
            while not stop.is_set():
                run.log(1, loss=1.0)

        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            assert [_in_child(lambda: run.log(2, loss=2.0)) for _ in range(20)] == [0] * 20
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    rows, problems = wk.read_rows(run.folder)
    assert problems == []
    assert sum(row.step == 2 for row in rows) == 20


def test_import_is_lazy():
    """`import watchkeeper` loads no third-party module, and its names are there all the same."""
    code = (
        "import sys, watchkeeper as wk; heavy = {'msgspec', 'click', 'ruamel'} & set(sys.modules); "
        "assert not heavy, heavy;"
        "assert 'start_run' in dir(wk); assert callable(wk.start_run); assert 'msgspec' in "
        "sys.modules;"
        "assert not hasattr(wk, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_current_run_is_the_last_one_that_goes_on(tmp_path):
    """Code that was not handed the run finds the innermost one that has not ended, and None outside
    all.
    """
    assert wk.current_run() is None
    with wk.start_run(tmp_path, pipeline="outer") as outer:
        with wk.start_run(tmp_path, pipeline="inner") as inner:
            assert wk.current_run() is inner
        assert wk.current_run() is outer
    assert wk.current_run() is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"tags": "best"}, "a list"),
        ({"tags": ["a\nb"]}, "line end"),
        ({"tags": [3]}, "a tag is a int"),
        ({"name": "x" * 101}, "101 characters"),
        ({"name": 3}, "name is a int"),
    ],
)
def test_a_name_or_tag_that_is_none_is_refused_before_anything_is_written(tmp_path, words, error):
    """The call fails with what is wrong, and leaves no folder."""
    with pytest.raises(wk.UsageError) as raised:
        wk.start_run(tmp_path / "runs", pipeline="training", console=False, **words)
    assert error in f"{raised.value} {raised.value.hint}"
    assert not (tmp_path / "runs").exists()


def test_the_runs_name_and_tags_are_in_its_first_event(tmp_path):
    """Each tag once, in the order given."""
    words = {"name": "baseline", "tags": ["b", "a", "b"]}
    with wk.start_run(tmp_path, pipeline="training", console=False, **words) as run:
        pass
    (started,) = (event for event in wk.load(run.folder).events if event_is_start(event))
    assert (started.name, started.tags) == ("baseline", ("b", "a"))


def event_is_start(event):
    """Whether this is the event of a run's start."""
    return isinstance(event, RunStarted)
