"""Which figures of a metric are the better ones."""

from __future__ import annotations

import pytest

from watchkeeper.report.compare.direction import better_end


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        ("val_loss", "less"),
        ("trainLoss", "less"),
        ("eval/wer", "less"),
        ("step_time", "less"),
        ("time_per_step", "less"),
        ("clean accuracy", "more"),
        ("acc", "more"),
        ("eval/f1_macro", "more"),
        ("pass@1", "more"),
        ("mean_score", "more"),
        ("answer accuracy", "more"),
        ("time_series accuracy", "more"),
        ("tokens_per_second", ""),
        ("loss_scale", ""),
        ("reward_std", ""),
        ("stderr", ""),
        ("confidence", ""),
        ("lower_bound", ""),
        ("grad_norm", ""),
        ("", ""),
    ],
)
def test_whole_words_of_the_name_decide(metric: str, better: str) -> None:
    """A name that holds `err`, `fid` or `wer` within another word says nothing, nor does a task."""
    assert better_end(metric) == better


@pytest.mark.parametrize(
    ("metric", "rules", "better"),
    [
        ("my_score", {"my_score": "min"}, "less"),
        ("clean my_score", {"my_score": "min"}, "less"),
        ("clean my_score", {"my_score": "min", "clean my_score": "max"}, "more"),
        ("depth_gap", {"*_gap": "min", "depth_*": "max"}, "less"),
        ("depth_gap", {"*_gap": "min", "depth_gap": "max"}, "more"),
        ("val_loss", {"val_loss": "max"}, "more"),
        ("gap", {"*_gap": "min"}, ""),
    ],
)
def test_a_rule_comes_before_the_name(metric: str, rules: dict[str, str], better: str) -> None:
    """The whole name comes before patterns; of patterns the first that matches counts."""
    assert better_end(metric, rules) == better
