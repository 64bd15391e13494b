"""`training_status.json`: whole at any moment, seldom written, honest about the code that runs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.journal import utc_now
from watchkeeper.record.display.code import Code
from watchkeeper.record.display.status import Status


class Time:
    """A clock that is set by hand, in seconds."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        """The time."""
        return self.now


@pytest.fixture
def status(tmp_path):
    """A status with a clock set by hand, and what it warned of."""
    said = {}
    made = Status(
        tmp_path / "status/s.json",
        run_id="r",
        pipeline="p",
        clock=utc_now,
        warn=said.setdefault,
        monotonic=Time(),
    )
    made.said = said
    return made


def read(path):
    return json.loads(path.read_text())


def test_it_says_where_a_training_stands(tmp_path):
    """step, total, losses, gap, rate and the last output are there, as `jq` users read them; nobody
    said is null.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.cadence(log_every=10, eval_every=200, total=12487)
        first = (
            read(tmp_path / "status/training_status.json") if (tmp_path / "status").exists() else {}
        )
        run.log(2800, loss=0.2134)
        run.example(2800, prompt="p", golden="g", output=None, loss=0.2134)
        run.log(2800, val_loss=0.2456)
    found = read(tmp_path / "status/training_status.json")
    assert first == {} or first["state"] == "running"
    assert (found["step"], found["total"], found["loss"], found["val_loss"], found["gap"]) == (
        2800, 12487, 0.2134, 0.2456, 0.2456 - 0.2134,
    )  # fmt: skip
    assert (found["state"], found["model_output"], found["timeouts"]) == ("finished", None, 0)
    assert [example["model_output"] for example in found["recent_examples"]] == [None]
    assert found["run_id"] == run.run_id


def test_it_is_written_at_most_every_few_seconds(status, monkeypatch):
    """A thousand rows in ten seconds are a handful of writes."""
    writes = []
    from watchkeeper.core.disk import files

    real = files.replace
    monkeypatch.setattr(
        files, "replace", lambda *args, **kw: (writes.append(1), real(*args, **kw))[1]
    )
    for step in range(1, 1001):
        status._monotonic.now += 0.01
        status.saw(step, {"loss": 1 / step})
    assert 4 <= len(writes) <= 6


def test_rate_and_time_left_follow_the_steps(status):
    """Rate covers the last minute; the time left follows from it; a step back starts afresh."""
    status.total = 1000
    for step in range(1, 101):
        status._monotonic.now += 0.5
        status.saw(step, {"loss": 1.0})
    fields = status.fields(status._monotonic.now)
    assert fields["steps_per_s"] == pytest.approx(2.0, rel=0.05)
    assert fields["eta_s"] == pytest.approx(450, rel=0.05)
    status.saw(3, {"loss": 1.0})
    assert status.fields(status._monotonic.now)["steps_per_s"] is None


@pytest.mark.parametrize(
    "value",
    [None, float("nan"), float("inf"), "text", [1], object(), 10**400],
    ids=lambda value: type(value).__name__,
)
def test_no_metric_raises_or_breaks_the_json(status, value):
    """None, NaN and things that are no number are legal everywhere, and the file stays JSON."""
    status.saw(1, {"loss": value})
    status.saw(value, {"val_loss": value})
    status.close("finished")
    found = read(status.path)
    if isinstance(value, float):
        assert found["loss"] == ("NaN" if math.isnan(value) else "Infinity")
    assert found["state"] == "finished"


def test_the_gap_is_against_the_loss_of_its_moment(status):
    """Later training losses do not move a gap; the next validation does."""
    status.saw(1, {"loss": 1.0})
    status.saw(1, {"val_loss": 1.5})
    status.saw(2, {"loss": 0.1})
    assert status.fields(0)["gap"] == 0.5
    status.saw(2, {"val_loss": 0.05})
    found = status.fields(0)
    assert (found["gap"], found["gap_loss"], found["val_step"]) == (0.05 - 0.1, 0.1, 2)


def test_a_place_that_cannot_be_written_is_said_once(tmp_path, status):
    """A status that cannot be written warns, and the training goes on."""
    (tmp_path / "status").write_text("in the way")
    for step in range(3):
        status._monotonic.now += 10
        status.saw(step, {"loss": 1.0})
    assert list(status.said) == ["status"]


def test_another_place_may_be_named(tmp_path):
    """A configured path overrides the run's folder."""
    with wk.start_run(folder=tmp_path / "run", pipeline="training") as run:
        run.cadence(log_every=10, status=tmp_path / "elsewhere/s.json")
        run.log(10, loss=1.0)
    assert read(tmp_path / "elsewhere/s.json")["step"] == 10
    assert not (tmp_path / "run/status").exists()


def test_a_run_that_trains_nothing_has_no_status(tmp_path):
    """Who asks for no cadence and shows no example gets no status file."""
    with wk.start_run(folder=tmp_path, pipeline="benchmark") as run:
        run.log(1, latency=1.0)
    assert not (tmp_path / "status").exists()


def test_a_forked_child_does_not_write_it(status):
    """The status is the parent's: a child that logs leaves it alone."""
    status.saw(1, {"loss": 1.0})
    before = status.path.read_bytes()
    pid = os.fork()
    if pid == 0:
        status._monotonic.now += 10
        status.saw(2, {"loss": 2.0})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert status.path.read_bytes() == before


PROGRAM = """
import json, os, sys, time
from pathlib import Path
import helper
from watchkeeper.record.display.code import Code

code = Code()
print(json.dumps([code.sha256, code.look()]))
Path(helper.__file__).write_text("x = 1  # edited while it runs")
print(json.dumps([code.sha256, code.look()]))
Path(helper.__file__).unlink()
print(json.dumps([code.sha256, code.look()]))
"""


def test_a_process_that_runs_older_code_says_so(tmp_path):
    """The identity is that of what was loaded; a file edited or removed since is named, one that is
    only touched is not.
    """
    (tmp_path / "helper.py").write_text("x = 1")
    script = tmp_path / "train.py"
    script.write_text(PROGRAM)
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        env=environ,
        timeout=300,
        check=True,
        text=True,
    )
    first, edited, gone = (json.loads(line) for line in done.stdout.splitlines())
    assert len(first[0]) == 64
    assert {first[0]} == {edited[0], gone[0]}
    assert [first[1], edited[1], gone[1]] == [[], ["helper.py"], ["helper.py"]]


def test_a_touched_file_is_not_a_changed_one(tmp_path, monkeypatch):
    """A new time with the same bytes is the same code."""
    path = tmp_path / "module.py"
    path.write_text("x = 1")
    monkeypatch.setattr("watchkeeper.record.display.code.source_files", lambda: [path])
    code = Code()
    os.utime(path, (1, 1))
    assert code.look() == ()
    path.write_text("x = 2")
    assert code.look() == ("module.py",)


def test_older_code_is_warned_of(status, tmp_path, monkeypatch):
    """The status names the changed files, and the run warns."""
    path = tmp_path / "train.py"
    path.write_text("x = 1")
    monkeypatch.setattr("watchkeeper.record.display.code.source_files", lambda: [path])
    status.saw(1, {"loss": 1.0})
    path.write_text("x = 22")
    status._monotonic.now += 100
    status.saw(2, {"loss": 1.0})
    assert read(status.path)["code"]["changed"] == ["train.py"]
    assert "the older code keeps running" in status.said["code"]


def test_runs_of_several_folders_share_a_status_outside_them(tmp_path):
    """A status file that the runs of one program are given is each run's in its turn; a program's
    own file there stays.
    """
    place = tmp_path / "status" / "training_status.json"
    for number in (1, 2):
        with wk.start_run(tmp_path / "runs", pipeline="t", console=False) as run:
            run.cadence(log_every=1, status=place)
            run.log(number, loss=0.5)
        assert json.loads(place.read_text())["run_id"] == run.run_id
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    place.write_text('{"step": 5, "state": "mine"}')
    with wk.start_run(tmp_path / "runs", pipeline="t", console=False) as run:
        run.cadence(log_every=1, status=place)
        run.log(1, loss=0.5)
    assert place.read_text() == '{"step": 5, "state": "mine"}'
    assert (
        json.loads((place.parent / "training_status.watchkeeper.json").read_text())["run_id"]
        == run.run_id
    )
