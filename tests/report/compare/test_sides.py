"""Runs side by side."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runlogs import GENERATED, files_of, tree
from watchkeeper.query.compare import Compared
from watchkeeper.report.compare import sides as compare
from watchkeeper.report.compare.direction import better_end
from watchkeeper.report.compare.sides import Side, against, best, of_log, varying
from watchkeeper.report.runlog.figures import number_of, split_settings
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import read
from watchkeeper.show.comparison_table import comparison

LOG = """# train — front cam

## Mode
- run_type: experiment
## Config
- script: `train.sh`
- config: `configs/a.yaml`
- dataset: `demo_v1`
- key settings: lr 1.0e-3, batch size = 8, warm restarts
- commit: `0123abcd4567` (with changes that are not committed; they are kept with the attempt)
- branch: `trunk`
- workers: pending
## Status
- 2026-03-11 15:00 UTC — running, step 3
- 2026-03-11 16:00 UTC — completed, exit code 0
## Results
- final step: 100
- start_train_loss: 2.1
- end_train_loss: 0.5
- end_val_loss: 0.028 (at 5k)
- loss@5k: n/a
- runtime: 01:00:00
- clean epoch 0: accuracy 0.9, loss 0.3, samples 450
- clean epoch 1: accuracy 0.8, loss 0.2, samples 450
"""


def log_of(text: str, name: str = "2026-03-11_train.md"):
    """A run log, read."""
    found = read(File(f"run_logs/{name}", (name,), text))
    assert found is not None
    return found


def test_a_log_by_hand_has_a_side() -> None:
    """Settings, code, data, state and the best figures of a run log are read from its own words."""
    side = of_log(log_of(LOG))
    assert (side.name, side.state, side.code, side.data) == (
        "train_2026-03-11",
        "completed",
        "0123abcd+dirty",
        "demo_v1",
    )
    assert side.settings == {
        "script": "train.sh",
        "config": "configs/a.yaml",
        "lr": "0.001",
        "batch_size": "8",
        "warm restarts": "yes",
    }
    assert side.metrics == {
        "end_train_loss": 0.5,
        "end_val_loss": 0.028,
        "clean accuracy": 0.9,
        "clean loss": 0.2,
    }
    assert side.at == {"clean accuracy": "0", "clean loss": "1"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GENERATED)
def test_any_text_has_a_side(text: str) -> None:
    """No run log, however odd, keeps the others from being compared."""
    log = read(File("run_logs/2026-03-11_x.md", ("2026-03-11_x.md",), text))
    assert log is not None
    side = of_log(log)
    against(side, side)
    varying([side, side])


def test_every_dialect_of_the_corpus_has_a_side() -> None:
    """Logs as people write them are compared with the same words as the machine's."""
    sides = [of_log(log) for file in files_of(tree("dialects")) if (log := read(file)) is not None]
    assert len(sides) > 8 and all(side.settings or side.name for side in sides)
    assert {side.data for side in sides} >= {"demo_v1", "corpus"}


FIGURES = st.one_of(
    st.integers(-99, 99), st.floats(-9, 9), st.sampled_from(["NaN", "Infinity", "-Infinity"])
)


@given(st.lists(FIGURES, min_size=1), st.sampled_from(["val_loss", "accuracy"]))
def test_the_best_figure_is_one_of_them_and_none_is_better(figures: list, metric: str) -> None:
    """The best of a metric is one of its figures, and is NaN only where all are."""
    found, at = best((metric, str(number), figure) for number, figure in enumerate(figures))
    values = [compare.value_of(figure) for figure in figures]
    chosen = compare.value_of(found[metric])
    finite = [value for value in values if not math.isnan(value)]
    assert figures[int(at[metric])] == found[metric] or math.isnan(chosen)
    if finite:
        assert chosen == (min(finite) if better_end(metric) == "less" else max(finite))
    else:
        assert math.isnan(chosen)


def test_the_logs_of_people_are_compared_by_what_they_say() -> None:
    """State, last step, runtime and losses of a corpus in many dialects; no step of the middle is
    called the last.
    """
    sides = {
        side.name: side
        for file in files_of(tree("people"))
        if (log := read(file)) and (side := of_log(log))
    }
    told = {
        name: (
            side.state,
            side.final_step,
            side.runtime,
            side.metrics.get("end_train_loss"),
            side.settings.get("lr"),
        )
        for name, side in sides.items()
        if name[:4] in ("pick", "sft_", "dpo_", "eval", "toke")
    }
    assert told == {
        "pick_baseline_2026-05-04": ("completed", None, 23400, 0.188, "0.0001"),
        "pick_lowlr_2026-05-05": ("completed", None, 21900, 0.201, "5e-05"),
        "pick_wide_2026-05-06": ("completed", 12000, 39600, 0.192, None),
        "pick_crash_2026-05-07": ("failed", 40, None, 2.0, None),
        "pick_resumed_2026-05-08": ("completed", 50000, 159000, 0.15, "0.0001"),
        "pick_cloud_2026-05-09": ("completed", 12000, 45000, 0.19, None),
        "pick_tables_2026-05-11": ("completed", None, None, 0.188, None),
        "pick_prose_2026-05-12": ("completed", None, None, 0.19, None),
        "pick_giveup_2026-05-13": ("abandoned", 40, None, 2.0, None),
        "pick_hub_2026-05-14": ("completed", 12000, None, 0.18, None),
        "pick_running_2026-05-15": ("running", 400, None, 0.4, None),
        "pick_planned_2026-05-18": ("", None, None, None, None),
        "sft_2026-06-01": ("completed", 2400, None, 0.84, "2e-05"),
        "sft_requeued_2026-06-09": ("running", 1500, None, 0.9, None),
        "dpo_2026-06-02": ("cancelled", 40, None, 0.69, None),
        "eval_mmlu_2026-06-03": ("completed", None, 7200, None, None),
        "tokenize_2026-06-04": ("completed", None, None, None, None),
    }
    assert (
        sides["sft_2026-06-01"].commit == "9c41d7e"
        and "(hidden)" in sides["train_c_2026-07-03"].settings.values()
    )


SIDES = st.lists(
    st.builds(
        Side,
        name=st.sampled_from("abc"),
        where=st.just("x"),
        settings=st.dictionaries(st.sampled_from(["lr", "seed", "a.b"]), st.sampled_from("123")),
        partial=st.booleans(),
        metrics=st.dictionaries(st.sampled_from(["loss", "acc"]), FIGURES),
    ),
    min_size=2,
    max_size=5,
)


@given(SIDES)
def test_what_does_not_vary_is_nobodys_difference(sides: list[Side]) -> None:
    """A setting that differs between two runs is among those that vary, and a run differs from
    itself in nothing.
    """
    names = set(varying(sides))
    for side in sides:
        found = against(sides[0], side)
        assert {change.key for change in found.config} <= names
        assert {delta.metric for delta in found.metrics} == {*side.metrics, *sides[0].metrics}
    own = against(sides[0], sides[0])
    assert own.config == () and own.code is None and own.data is None and not own.diff
    assert all(not delta.change for delta in own.metrics)


def test_a_delta_has_a_sign_and_a_verdict() -> None:
    """A smaller loss is better, a smaller accuracy worse, and what is equal or not there is
    neither.
    """
    base = Side(
        name="a",
        where="",
        metrics={"val_loss": 0.5, "accuracy": 0.9, "f1": 1, "ppl": "NaN", "gone": 1.0},
    )
    other = Side(
        name="b", where="", metrics={"val_loss": 0.4, "accuracy": 0.8, "f1": 1, "ppl": 3.0}
    )
    found = {
        delta.metric: (delta.change and round(delta.change, 3), delta.better)
        for delta in against(base, other).metrics
    }
    assert found == {
        "val_loss": (-0.1, True),
        "accuracy": (-0.1, False),
        "f1": (0, None),
        "ppl": (None, None),
        "gone": (None, None),
    }


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("0.0285", 0.0285),
        ("12", 12),
        ("~0.3 (at 5k)", 0.3),
        ("3%", 3),
        ("NaN", "NaN"),
        ("-inf", "-Infinity"),
        ("n/a", None),
        ("", None),
        ("1_000", None),
        ("pending", None),
    ],
)
def test_a_figure_is_read_from_the_beginning_of_a_value(text: str, figure: object) -> None:
    """What people write behind a figure does not hide it, and words are no figure."""
    assert number_of(text) == figure


def test_settings_in_words_are_parted() -> None:
    """Commas inside brackets do not part a setting."""
    found = dict(split_settings("lr 1e-3, layers: [1, 2], batch size=8; n/a"))
    assert found == {"lr": "0.001", "layers": "[1, 2]", "batch_size": "8"}


def _side(name: str, state: str, **metrics: float) -> Side:
    return Side(name=name, where="", state=state, metrics=metrics)


def test_a_run_that_did_not_finish_never_leads_in_silence() -> None:
    """The best is one of those that finished; a run that failed or works still leads only where no
    other has the metric.
    """
    sides = [
        _side("crashed", "failed", loss=0.1),
        _side("good", "completed", loss=0.5),
        _side("late", "running", loss=0.2),
    ]
    assert compare.leader("loss", sides) == "good"
    assert [side.name for side in compare.ahead("loss", sides, "good")] == ["crashed", "late"]
    assert (
        compare.leader("loss", [sides[0], sides[2]]) == "crashed"
        and compare.leader("acc", sides) == ""
    )
    assert compare.ahead("loss", sides, "nobody") == []


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        (
            [_side("crashed", "failed", loss=0.1), _side("good", "completed", loss=0.5)],
            (
                "Best  loss: good (0.5000)\nNot counted, loss of runs that did not finish: "
                "crashed (0.1000, failed)\n"
            ),
        ),
        (
            [_side("a", "failed", loss=0.1), _side("b", "", loss=0.5)],
            "Best  loss: a (0.1000, failed)\n",
        ),
        (
            [_side("a", "failed, but good", loss=0.1), _side("b", "completed", loss=0.5)],
            "Best  loss: a (0.1000, failed, but good)\n",
        ),
    ],
)
def test_the_state_stands_beside_a_leader_that_did_not_finish(
    sides: list[Side], words: str
) -> None:
    """The line that names the best says how such a run ended, and which better ones were not
    counted.
    """
    best = {"loss": compare.leader("loss", sides)}
    found = Compared(
        base=sides[0].name, runs=sides, varying=[], best=best, differences=[], problems=[]
    )
    assert words in comparison(found) + "\n"


def _compared(*sides: Side, varying: list[str]) -> Compared:
    differences = [compare.against(sides[0], side) for side in sides[1:]]
    return Compared(
        base=sides[0].name,
        runs=list(sides),
        varying=varying,
        best={},
        differences=differences,
        problems=[],
    )


def _wide_sides(count: int) -> tuple[list[Side], list[str]]:
    """Runs with ten settings and ten metrics each, all different."""
    names = [f"setting_{number}" for number in range(10)]
    sides = []
    for run in range(count):
        side = _side(f"run{run}", "completed", **{f"metric_{n}": run + n for n in range(10)})
        settings = {name: str(run) for name in names}
        sides.append(msgspec.structs.replace(side, settings=settings))
    return sides, names


def test_of_two_runs_the_differences_come_before_the_best() -> None:
    """Why two runs differ is read first below the table; of more runs, which is best."""
    sides, varying = _wide_sides(3)
    for count, first in ((2, "Against"), (3, "Best")):
        found = _compared(*sides[:count], varying=varying)
        found = msgspec.structs.replace(found, best={"metric_0": "run1"})
        lines = comparison(found).splitlines()
        assert lines[0].startswith("run ")
        order = [line.split()[0] for line in lines if line.startswith(("Against", "Best"))]
        assert order[0] == first and len(order) == 2


def test_a_table_fits_the_terminal_and_says_what_it_leaves_out() -> None:
    """Metrics give way before settings, one of each stays, and `wide` leaves nothing out."""
    sides, varying = _wide_sides(3)
    found = _compared(*sides, varying=varying)

    def header(**options: Any) -> list[str]:
        lines = comparison(found, **options).splitlines()
        width = options.get("width")
        if width and width >= 60:
            table = lines[: lines.index("")] if "" in lines else lines
            assert all(len(line) <= width for line in table[:5])
        return lines[0].split()

    assert len(header()) == 2 + 8 + 6
    assert len(header(wide=True)) == 2 + 10 + 10
    assert header(width=60)[-1] == "metric_0" and "setting_0" in header(width=60)
    assert header(width=10) == ["run", "state", "setting_0", "metric_0"]
    assert "2 more settings vary and 4 more metrics: --wide shows all." in comparison(found)
    assert "--wide" not in comparison(found, wide=True)
