"""The same history twice, held against each other."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.publish.wandb.files import begin, end, row, write_run
from watchkeeper.query.wandb.agreement import (
    MOST_NAMED,
    Difference,
    check_run,
    compare,
    curves_of,
    pair_names,
)
from watchkeeper.show.cli import main


def test_each_value_that_differs_is_named():
    """Step, metric and both values; NaN is NaN, and the spelling of 32 bits is no difference."""
    ours = {"a": {1.0: 1.0, 2.0: math.nan, 3.0: 0.1, 4.0: 0.0}, "b": {1.0: 5.0}}
    theirs = {"a": {1.0: 1.0, 2.0: math.nan, 3.0: 0.10000000149, 4.0: 1e-9}, "b": {1.0: math.nan}}
    agreement = compare(ours, theirs)
    assert agreement.compared == 5
    (b, a) = agreement.differences
    assert (b.step, b.metric, b.ours) == (1.0, "b", 5.0) and math.isnan(b.theirs)
    assert a == Difference(step=4.0, metric="a", ours=0.0, theirs=1e-9)


def test_steps_that_one_side_lacks_are_counted_and_no_difference():
    """Two loggers may log at other steps."""
    agreement = compare({"a": {1.0: 1.0, 2.0: 2.0}, "c": {1.0: 1.0}}, {"a": {2.0: 2.0, 3.0: 3.0}})
    assert (agreement.compared, agreement.differences) == (1, ())
    assert (agreement.we_lack, agreement.they_lack) == ({"a": 1}, {"a": 1})


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        (["loss"], ["loss"], {"loss": "loss"}),
        (
            ["loss", "val_loss"],
            ["train/loss", "eval/loss"],
            {"loss": "train/loss", "val_loss": "eval/loss"},
        ),
        (["loss", "train_loss"], ["train_loss"], {"train_loss": "train_loss"}),
        (["loss"], ["train_loss", "epoch"], {"loss": "train_loss"}),
        (["eval_acc"], ["eval/acc"], {"eval_acc": "eval/acc"}),
        (["acc"], ["val/acc", "eval/acc"], {}),
        (["loss"], [], {}),
    ],
)
def test_metrics_are_paired_under_the_names_of_either_library(ours, theirs, pairs):
    """A name of the same metric is taken, and none that could be another's."""
    assert pair_names(ours, theirs) == pairs


def test_only_figures_with_a_step_are_compared():
    """Text, truth values and rows without a step say nothing; the last value of a step counts."""
    rows = [(1, {"a": 1, "t": "word", "b": True}), (None, {"a": 9}), (1, {"a": 2, "n": "NaN"})]
    curves = curves_of(rows)
    assert curves["a"] == {1.0: 2.0} and math.isnan(curves["n"][1.0])
    assert curves.keys() == {"a", "n"}


def record(folder: Path, *values: float) -> Path:
    """A recorded run with these losses, from step 0; its folder."""
    run = wk.start_run(folder / "artifacts", pipeline="training")
    for step, value in enumerate(values):
        run.log(step, loss=value)
    run.close()
    return run.folder


def beside(folder: Path, *values: float, run_id: str = "abc", ended_s: float = 600) -> Path:
    """A run of W&B that logs for the given seconds from now, with these losses under the name that
    transformers gives.
    """
    now_s = time.time() + ended_s
    rows = [
        row(7 + step, {"train/loss": value, "train/global_step": step}, now_s)
        for step, value in enumerate(values)
    ]
    return write_run(
        folder, begin(run_id, int(now_s) - 1200), *rows, end(), run_id=run_id, name=run_id
    )


def test_a_run_and_its_wandb_run_are_held_against_each_other(tmp_path):
    """The step that a library logged counts, not W&B's own; of many differences the first are
    named, and all are counted.
    """
    one = tmp_path / "one"
    beside(one, *range(20))
    assert check_run(record(one, *range(20))).verified == ("20 values beside W&B's abc",)
    other = tmp_path / "other"
    beside(other, *range(1, 21), 5)
    run = record(other, *range(20))
    problems = check_run(run).problems
    assert problems[0].where == f"{run}: step 0, loss"
    assert problems[0].message == "0.0 here, 1.0 in W&B's abc"
    assert problems[MOST_NAMED].message == "10 more values differ from W&B's abc"
    assert (
        problems[-1].severity == "warning" and "1 step in W&B's abc alone" in problems[-1].message
    )


def test_what_ran_before_is_never_compared(tmp_path):
    """The W&B run of an earlier attempt in the same folder is not this one's."""
    beside(tmp_path, 1, 2, ended_s=-1)
    (doubt,) = check_run(record(tmp_path, 3, 4)).unverified
    assert doubt.message == "no run of W&B ran beside it"


@pytest.mark.parametrize("first", [0, 1])
def test_steps_that_lightning_counts_from_0_are_found(tmp_path, first):
    """Ours may count as it does, or from 1: no value is held against that of another step."""
    now_s = time.time() + 600
    rows = [row(9, {"loss": n, "trainer/global_step": n}, now_s) for n in range(5)]
    write_run(tmp_path, begin(started_s=int(now_s) - 1200), *rows, end())
    run = wk.start_run(tmp_path / "artifacts", pipeline="training")
    for number in range(5):
        run.log(number + first, loss=number)
    run.close()
    checked = check_run(run.folder)
    assert checked.problems == () and checked.verified == ("5 values beside W&B's abc",)


def test_histories_without_a_value_in_common_are_not_called_the_same(tmp_path):
    """Nothing was compared, so nothing is known."""
    beside(tmp_path, math.nan)
    (doubt,) = check_run(record(tmp_path)).unverified
    assert doubt.message == "no value is both here and in W&B's abc"


def test_several_at_once_are_not_chosen_from(tmp_path):
    """A figure of another run is worse than none."""
    for name in ("abc", "xyz"):
        beside(tmp_path, 1, run_id=name)
    (doubt,) = check_run(record(tmp_path, 1)).unverified
    assert doubt.message == "several runs of W&B ran beside it: abc, xyz"
    other = tmp_path / "other" / "deeper" / "than" / "looked" / "for"
    run = record(other, 1)
    beside(other, 1)
    shutil.copytree(other / "wandb" / "offline-run-abc", other / "wandb" / "offline-run-copy")
    (doubt,) = check_run(run).unverified
    assert doubt.message == "two runs of W&B with the id abc ran beside it at once"


@pytest.mark.parametrize(
    ("values", "code", "verdict"),
    [((1, 2), 0, "sound"), ((1, 3), 1, "unsound"), ((), 4, "unverified")],
)
def test_check_says_it_and_ends_with_its_code(tmp_path, values, code, verdict):
    """Agreement is sound, a difference is a finding, and no W&B run leaves it unverified; without
    the option W&B is not looked at.
    """
    if values:
        beside(tmp_path, *values)
    run = record(tmp_path, 1, 2)
    result = CliRunner().invoke(main, ["check", str(run), "--wandb", "--json"])
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["data"]["verdict"]) == (code, verdict)
    assert CliRunner().invoke(main, ["check", str(run)]).exit_code == 0


def test_a_folder_without_a_recorded_run_is_refused(tmp_path):
    """There is nothing to hold W&B's rows against."""
    (tmp_path / ".watchkeeper" / "journal").mkdir(parents=True)
    (tmp_path / ".watchkeeper" / "runs").mkdir()
    result = CliRunner().invoke(main, ["check", str(tmp_path), "--wandb"])
    assert result.exit_code == 2 and "no run was recorded in" in result.output
