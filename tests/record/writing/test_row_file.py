"""Metric rows: what is handed in comes back, and damage costs only itself."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections import UserDict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import PurePath

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import watchkeeper as wk
from watchkeeper.core.events import Checkpoint, RunEnded
from watchkeeper.runfolder.rows import encode_row
from watchkeeper.runfolder.values import metric, number, training_step, whole_step


def logged(folder, **metrics):
    with wk.start_run(folder, pipeline="training") as run:
        run.log(1, **metrics)
    rows, problems = wk.read_rows(run.folder)
    assert problems == []
    return rows[0].metrics


def test_non_finite_numbers_survive(tmp_path):
    """NaN and the infinities come back as what they were."""
    read = logged(
        tmp_path, a=float("nan"), b=float("inf"), c=np.float32("-inf"), d=np.float64("nan")
    )
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


def kind(value):
    """A parameter's name: some values cannot be printed."""
    return type(value).__name__


class Phase(Enum):
    """A plain enum."""

    TRAIN = "train"


class Level(IntEnum):
    """An enum of numbers."""

    HIGH = 3


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
        (Fraction(1, 2), 0.5),
        (np.longdouble("0.5"), 0.5),
        (np.longdouble("1e4000"), "np.longdouble('1e+4000')"),
        (np.float16(0.5), 0.5),
        (Decimal("1e400"), "Decimal('1E+400')"),
        (-(10**5000), "-1.000000e+5000"),
        (Phase.TRAIN, "train"),
        (Level.HIGH, 3),
        (date(2026, 3, 11), "2026-03-11"),
        (np.datetime64("2026-03-11T01:02:03", "ns"), "2026-03-11T01:02:03.000000000"),
        (timedelta(seconds=5), "0:00:05"),
        (PurePath("/data"), "/data"),
        ({}, "{}"),
        (None, None),
        ("words", "words"),
        (1 + 2j, "(1+2j)"),
        ("x" * 1000, "x" * 499 + "…"),
    ],
    ids=kind,
)
def test_values_of_many_kinds_are_kept(tmp_path, value, expected):
    """Numbers of every kind are kept as numbers, everything else as bounded text."""
    assert {"value": expected} == logged(tmp_path, value=value)


def test_values_that_cannot_be_numbers_do_not_raise(tmp_path):
    """A tensor of many elements, a repr that raises, a number too long to print: kept as text, and
    the loop goes on.
    """

    class Odd:
        def __repr__(self):
            raise RuntimeError

    read = logged(
        tmp_path, many=Tensor(None), odd=Odd(), lone="\ud800", array=np.arange(3), huge=10**5000
    )
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
        st.text(st.characters(exclude_categories=["Cs"])).filter(
            lambda name: name not in ("time", "step")
        ),
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


@given(
    st.one_of(
        st.floats(),
        st.integers(),
        st.text(),
        st.binary(),
        st.lists(st.integers()),
        st.complex_numbers(),
    )
)
def test_no_value_raises(value):
    """Whatever the value, the conversions return."""
    number(value)
    metric(value)


@pytest.mark.parametrize(
    "beside", [10**5000, math.nan, "words", None, np.float32(0.5), True, {"a": 1}], ids=kind
)
def test_a_value_keeps_its_type_beside_any_other(tmp_path, beside):
    """What stands next to a number, a bool or a text changes neither it nor the row's step."""
    with wk.start_run(tmp_path, pipeline="training") as run:
        run.log(4, beside=beside, n=3, x=0.5, big=10**30, flag=True, words="w", **{"x\ud800": 1})
    ((row,), problems) = wk.read_rows(run.folder)
    assert problems == [] and (type(row.step), row.step) == (int, 4)
    kept = [row.metrics[name] for name in ("n", "x", "big", "flag", "words", "x?")]
    assert [(type(value), value) for value in kept] == [
        (int, 3), (float, 0.5), (int, 10**30), (bool, True), (str, "w"), (int, 1),
    ]  # fmt: skip


def test_two_names_that_are_written_alike_are_both_kept(tmp_path):
    """Names that UTF-8 cannot tell apart, or that a key and a nested one share, cost no value."""
    lone = [f"x{chr(code)}" for code in (0xD800, 0xD801)]  # halves of a character
    read = logged(tmp_path, **{lone[0]: 1, lone[1]: 2, "x?": 3, "a": {"b": 4}, "a/b": 5})
    assert read == {"x?": 1, "x?_": 2, "x?__": 3, "a/b": 4, "a/b_": 5}


CALLS = {
    "by position": lambda run: run.log(5, loss=0.5),
    "by name": lambda run: run.log(step=5, loss=0.5),
    "a dict and a step by name": lambda run: run.log({"loss": 0.5}, step=5),
    "a dict and a step by position": lambda run: run.log({"loss": 0.5}, 5),
    "a step and a dict": lambda run: run.log(5, {"loss": 0.5}),
    "a step within the dict": lambda run: run.log({"loss": 0.5, "step": 5}),
    "a mapping that is no dict": lambda run: run.log(UserDict(loss=0.5), step=np.int64(5)),
    "a configuration of OmegaConf": lambda run: run.log(
        OmegaConf.create({"loss": 0.5}), step=torch.tensor(5)
    ),
    "a mapping by its methods only": lambda run: run.log(Series(loss=0.5), step=5),
}


class Series:
    """Has keys and items and is no Mapping, like a pandas Series."""

    def __init__(self, **values):
        self.values = values

    def keys(self):
        """The labels."""
        return self.values.keys()

    def items(self):
        """The labels with their values."""
        return self.values.items()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_each_way_to_call_log_is_the_same_row(tmp_path, call):
    """A step and metrics mean the same however they are handed in, and the status knows the step
    too.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.cadence(log_every=1)
        call(run)
    ((row,), problems) = wk.read_rows(tmp_path)
    assert (problems, row.step, type(row.step), row.metrics) == ([], 5, int, {"loss": 0.5})
    status = json.loads((tmp_path / "status/training_status.json").read_text())
    assert (status["step"], status["loss"]) == (5, 0.5)


class Broken(dict):
    """A dict that cannot be read."""

    def items(self):
        """Fails."""
        raise RuntimeError

    def __repr__(self):
        return "broken"


LOOP: dict[str, object] = {"x": 1}
LOOP["loop"] = LOOP


@pytest.mark.parametrize(
    ("call", "step", "metrics"),
    [
        (lambda run: run.log({"loss": 0.5}), None, {"loss": 0.5}),
        (lambda run: run.log({"loss": 0.5}, step=None), None, {"loss": 0.5}),
        (lambda run: run.log({"loss": 0.5, "step": 7}, step=5), 5, {"loss": 0.5, "step_": 7}),
        (lambda run: run.log({"loss": 0.5}, 5, step=7), 5, {"loss": 0.5, "step_": 7}),
        (lambda run: run.log(5, step=7), 5, {"step_": 7}),
        (lambda run: run.log(None, step=7), None, {"step_": 7}),
        (lambda run: run.log({"loss": 0.5}, loss=0.25, step=5), 5, {"loss": 0.25, "loss_": 0.5}),
        (
            lambda run: run.log({"loss": 0.5}, {"loss": 0.25}, step=5),
            5,
            {"loss": 0.5, "loss_": 0.25},
        ),
        (lambda run: run.log({1: 2, "1": 3}, step=5), 5, {"1": 2, "1_": 3}),
        (lambda run: run.log({"a": {"b": 1, "c": {"d": 2}}}, step=5), 5, {"a/b": 1, "a/c/d": 2}),
        (lambda run: run.log(5, a={"b": 1}), 5, {"a/b": 1}),
        (lambda run: run.log(Broken(a=1), step=5), 5, {"value": "broken"}),
        (lambda run: run.log(5, a=Broken(b=1)), 5, {"a": "broken"}),
        (lambda run: run.log(5, a=LOOP), 5, {"a/x": 1, "a/loop": "{'x': 1, 'loop': {...}}"}),
        (lambda run: run.log(), None, {}),
        (lambda run: run.log({}), None, {}),
    ],
)
def test_nothing_of_a_call_is_lost(tmp_path, call, step, metrics):
    """`step=` beside a step by position is a metric, names that clash stay distinct, and nested
    mappings are opened.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        call(run)
    ((row,), problems) = wk.read_rows(tmp_path)
    assert (problems, row.step, row.metrics) == ([], step, metrics)


def test_a_row_of_many_nested_names_is_bounded(tmp_path):
    """Mappings and lists that hold each other many times over make no endless row, and are not
    looked at to their end.
    """
    wide: dict[str, object] = {"x": 1}
    for _ in range(40):
        wide = {f"k{count}": wide for count in range(9)}
    read = logged(tmp_path, wide=wide, listed=[[wide] * 9])
    assert len(read) <= 1_002
    assert all(len(str(value)) <= 500 for value in read.values())


STEPS = [
    (np.int64(8), 8),
    (torch.tensor(8), 8),
    (np.float32(0.5), 0.5),
    (2.5, 2.5),
    (3.0, 3),
    (-1, -1),
    (Decimal(4), 4),
    (None, None),
]


@pytest.mark.parametrize(("given", "step"), STEPS, ids=kind)
def test_a_step_may_be_a_number_of_any_library(tmp_path, caplog, given, step):
    """The row has that number, and nobody is warned."""
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.log(given, x=1)
    ((row,), _) = wk.read_rows(tmp_path)
    assert (row.step, row.metrics, caplog.text.count("WARNING")) == (step, {"x": 1}, 0)


NO_STEPS = [
    ("loss", "loss"), (True, True), (np.bool_(False), False), (math.inf, math.inf), ([1], "[1]"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "kept"), NO_STEPS, ids=kind)
def test_a_step_that_is_no_number_is_kept_beside_the_row(tmp_path, caplog, given, kept):
    """The row is kept without a step, the value as `step_`, the status keeps the last step, and one
    warning says so.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.cadence(log_every=1)
        run.log(1, x=1)
        for _ in range(3):
            run.log(given, x=1)
    rows, problems = wk.read_rows(tmp_path)
    assert problems == [] and [row.step for row in rows] == [1, None, None, None]
    assert [row.metrics for row in rows[1:]] == [{"step_": kept, "x": 1}] * 3
    assert json.loads((tmp_path / "status/training_status.json").read_text())["step"] == 1
    assert (
        caplog.text.count("is no number; the row is kept without a step, and the value as `step_`")
        == 1
    )


def test_a_step_too_long_to_be_read_back_is_kept_by_its_magnitude(tmp_path):
    """Its row and the rows after it are whole."""
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.log(10**5000, x=1)
        run.log(2, x=1)
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    assert [(row.step, row.metrics) for row in rows] == [
        (None, {"step_": "1.000000e+5000", "x": 1}),
        (2, {"x": 1}),
    ]


def test_a_value_without_a_name_is_kept_and_said(tmp_path, caplog):
    """`run.log("loss", 0.5)`, as other libraries have it, keeps both and says how it is written
    here.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.log("loss", 0.5)
    ((row,), _) = wk.read_rows(tmp_path)
    assert (row.step, row.metrics) == (None, {"step_": "loss", "value": 0.5})
    assert (
        "0.5 has no name and is kept as `value`; give it one: run.log(5, loss=0.5)" in caplog.text
    )


@pytest.mark.parametrize(
    ("value", "step", "whole"),
    [
        (5, 5, 5),
        (5.0, 5.0, 5),
        (5.5, 5.5, None),
        (True, None, None),
        ("5", None, None),
        (math.nan, None, None),
    ],
)
def test_what_counts_as_a_training_step(value, step, whole):
    """A finite number is one; a bool, a text and NaN are none; a whole one has no fraction."""
    assert (training_step(value), whole_step(value)) == (step, whole)


def test_examples_and_checkpoints_keep_a_step_that_is_none(tmp_path, events, caplog, capsys):
    """An example and a checkpoint keep what was given as `step_`, and a cadence that can never be
    due says so.
    """
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        run.example("late", prompt="p")
        run.example(3, prompt="p")
        for given in ("late", 2.5, 3.0):
            run.checkpoint(__file__, training_step=given)
        cadence = run.cadence(log_every=1)
        assert [cadence.due(step) for step in ("late", True, None, 2.0)] == [
            None,
            None,
            None,
            "fast",
        ]
    (path,) = (tmp_path / ".watchkeeper/examples").iterdir()
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["step"], row.get("step_")) for row in kept] == [(None, "late"), (3, None)]
    saved = [event for event in events(tmp_path) if isinstance(event, Checkpoint)]
    assert [(event.training_step, event.step_) for event in saved] == [
        (None, "late"),
        (None, "2.5"),
        (3, ""),
    ]
    for call in ("run.example", "run.checkpoint", "cadence"):
        assert caplog.text.count(f"{call}: the training step 'late'") == 1
    capsys.readouterr()


def test_a_torn_tail_is_no_problem_and_a_torn_middle_is(tmp_path):
    """Damage costs the line it is in, is reported with its place, and a row behind a hole of NULs
    is found.
    """
    folder = tmp_path / ".watchkeeper/metrics"
    folder.mkdir(parents=True)
    now = datetime(2026, 3, 11, tzinfo=UTC)
    good = [encode_row(now, step, {"loss": 0.5}) for step in range(4)]
    path = folder / "w.jsonl"
    path.write_bytes(
        good[0]
        + good[1][:9]
        + b"\n"
        + good[1][:5]
        + b"\0" * 30
        + good[2]
        + b"[1]\n"
        + good[3]
        + good[0][:20]
    )
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
    assert [event.metric_rows for event in events(run.folder) if isinstance(event, RunEnded)] == [
        2000
    ]


# The metrics' file may grow to 4,000 bytes, then no more, then again: a full disk as a process sees
# it.
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
    """On a full disk the loop goes on, is told once, and the end says how many rows are missing;
    later rows are kept.
    """
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
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
    """Where not even the first row can be written, all are counted as lost and the run still ends
    well.
    """
    (tmp_path / ".watchkeeper").mkdir()
    (tmp_path / ".watchkeeper/metrics").write_text("a file where a folder should be")
    with wk.start_run(folder=tmp_path, pipeline="training") as run:
        for step in range(5):
            run.log(step, loss=1.0)
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert (ended.status, ended.metric_rows, ended.lost_rows) == ("finished", 0, 5)
    assert len(caplog.records) == 1
