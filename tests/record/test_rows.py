"""Metric rows: what is handed in comes back, and damage costs only itself."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchkeeper as wk
from watchkeeper.core.events import RunEnded
from watchkeeper.record.rows import encode_row
from watchkeeper.record.values import metric, number


def logged(folder, **metrics):
    with wk.start_run(folder, pipeline="training") as run:
        run.log(1, **metrics)
    rows, problems = wk.read_rows(run.folder)
    assert problems == []
    return rows[0].metrics


def test_non_finite_numbers_survive(tmp_path):
    """NaN and the infinities come back as what they were."""
    read = logged(tmp_path, a=float("nan"), b=float("inf"), c=np.float32("-inf"), d=np.float64("nan"))
    assert math.isnan(read["a"]) and math.isnan(read["d"])
    assert (math.inf, -math.inf) == (read["b"], read["c"])


def test_a_row_is_one_flat_line_that_any_json_reader_reads(tmp_path):
    """The file is plain JSON lines, without a NaN that JSON does not have."""
    with wk.start_run(tmp_path, pipeline="training") as run:
        run.log(7, loss=0.5, bad=float("nan"))
    (path,) = (run.folder / ".watchkeeper/metrics").iterdir()
    (line,) = path.read_text().splitlines()
    row = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert datetime.fromisoformat(row.pop("time")).tzinfo is not None
    assert row == {"step": 7, "loss": 0.5, "bad": "NaN"}


class Tensor:
    """A 0-d tensor, as PyTorch's looks from outside; `item` may fail, as on many elements."""

    def __init__(self, value):
        self.value = value

    def item(self):
        """The number, as torch.Tensor.item gives it."""
        if self.value is None:
            raise RuntimeError("a tensor with 2 elements cannot be converted to Scalar")
        return self.value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), 1),
        (np.array(2.0), 2.0),
        (np.array([2.0]), 2.0),
        (Tensor(1.5), 1.5),
        (Decimal("0.25"), 0.25),
        (True, 1),
        (10**30, 10**30),
        (None, None),
        ("words", "words"),
        (1 + 2j, "(1+2j)"),
        ("x" * 1000, "x" * 499 + "…"),
    ],
)
def test_values_of_many_kinds_are_kept(tmp_path, value, expected):
    """Numbers of every kind are kept as numbers, everything else as bounded text."""
    assert {"value": expected} == logged(tmp_path, value=value)


def test_values_that_cannot_be_numbers_do_not_raise(tmp_path):
    """A tensor of many elements, a repr that raises, a number too long to print: kept as text, and the loop goes on."""

    class Odd:
        def __repr__(self):
            raise RuntimeError

    read = logged(tmp_path, many=Tensor(None), odd=Odd(), lone="\ud800", array=np.arange(3), huge=10**5000)
    assert read["odd"] == "<Odd, whose repr raised RuntimeError>"
    assert (read["lone"], read["array"]) == ("?", "array([0, 1, 2])")
    assert all(isinstance(value, str) for value in read.values())


def test_names_of_ours_and_strange_names_are_kept(tmp_path):
    """A metric named as a field of ours, or as a path, is kept and overwrites nothing."""
    given_metrics = {"time": 1, "time_": 2, "step": 3, "../../x": 4, "": 5, "naïve\n": 6}
    read = logged(tmp_path, **given_metrics)
    assert read == {"time__": 1, "time_": 2, "step_": 3, "../../x": 4, "": 5, "naïve\n": 6}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])).filter(lambda name: name not in ("time", "step")),
        st.floats() | st.integers(-(2**63), 2**63) | st.none(),
    )
)
def test_every_row_comes_back(tmp_path_factory, metrics):
    """What is logged is what is read, for any names and any numbers."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / ".watchkeeper/metrics").mkdir(parents=True)
    line = encode_row(datetime(2026, 3, 11, tzinfo=UTC), 5, metrics)
    assert (line.count(b"\n"), line.endswith(b"\n")) == (1, True)
    (folder / ".watchkeeper/metrics/w.jsonl").write_bytes(line)
    (row,), problems = wk.read_rows(folder)
    assert problems == []
    assert (repr(metrics), 5, "w") == (repr(row.metrics), row.step, row.writer)


@given(st.one_of(st.floats(), st.integers(), st.text(), st.binary(), st.lists(st.integers()), st.complex_numbers()))
def test_no_value_raises(value):
    """Whatever the value, the conversions return."""
    number(value)
    metric(value)


def test_a_torn_tail_is_no_problem_and_a_torn_middle_is(tmp_path):
    """Damage costs the line it is in, is reported with its place, and a row behind a hole of NULs is found."""
    folder = tmp_path / ".watchkeeper/metrics"
    folder.mkdir(parents=True)
    now = datetime(2026, 3, 11, tzinfo=UTC)
    good = [encode_row(now, step, {"loss": 0.5}) for step in range(4)]
    path = folder / "w.jsonl"
    path.write_bytes(good[0] + good[1][:9] + b"\n" + good[1][:5] + b"\0" * 30 + good[2] + b"[1]\n" + good[3] + good[0][:20])
    rows, problems = wk.read_rows(tmp_path)
    assert [row.step for row in rows] == [0, 2, 3]
    assert [f"{path}:2", f"{path}:3", f"{path}:4"] == [problem.where for problem in problems]
    assert path.read_bytes().endswith(good[0][:20])


def test_a_folder_without_rows_has_none(tmp_path):
    """No rows is an answer, not an error."""
    assert wk.read_rows(tmp_path / "nowhere") == ([], [])


def test_threads_lose_and_mix_nothing(tmp_path, events):
    """Four threads' rows are all there, whole, in each thread's order, and counted."""
    with wk.start_run(tmp_path, pipeline="training") as run:

        def work(thread):
            for count in range(500):
                run.log(count, thread=thread)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    rows, problems = wk.read_rows(run.folder)
    assert problems == []
    for thread in range(4):
        assert list(range(500)) == [row.step for row in rows if row.metrics["thread"] == thread]
    assert [event.metric_rows for event in events(run.folder) if isinstance(event, RunEnded)] == [2000]


# The metrics' file may grow to 4,000 bytes, then no more, then again: a full disk as a process sees it.
FULL_DISK = """
import resource, sys, watchkeeper as wk
with wk.start_run(folder=sys.argv[1], pipeline="training") as run:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
    for step in range(1, 101):
        run.log(step, loss=0.123456789, more="x" * 50)
    with run.step("full"):
        pass
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for step in range(101, 111):
        run.log(step, loss=0.5)
print("went on")
"""


def test_a_full_disk_costs_rows_and_no_training(tmp_path, events):
    """On a full disk the loop goes on, is told once, and the end says how many rows are missing; later rows are kept."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "went on\n"
    assert done.stderr.count("could not be written") == 1
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    kept = [row.step for row in rows]
    before = len(kept) - 10
    assert [*range(1, before + 1), *range(101, 111)] == kept
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert (len(kept), 100 - before) == (ended.metric_rows, ended.lost_rows)
    assert 0 < before < 100


def test_rows_that_have_no_place_from_the_first(tmp_path, events, caplog):
    """Where not even the first row can be written, all are counted as lost and the run still ends well."""
    (tmp_path / ".watchkeeper").mkdir()
    (tmp_path / ".watchkeeper/metrics").write_text("a file where a folder should be")
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        for step in range(5):
            run.log(step, loss=1.0)
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert (ended.status, ended.metric_rows, ended.lost_rows) == ("finished", 0, 5)
    assert len(caplog.records) == 1
