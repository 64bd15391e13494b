"""Settings and figures of run logs, as people spell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.compare.test_sides import log_of
from watchkeeper.report.compare.sides import Side, in_one_spelling, of_log
from watchkeeper.report.runlog.figures import last_number_of, metric_name, number_of, split_settings


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (
            "`batch_size=24` per GPU, global batch `96`, frozen (`lr=0.0` + `eval()`), 12k steps",
            {
                "batch_size": "24",
                "global_batch": "96",
                "frozen": "lr=0.0 + eval()",
                "steps": "12000",
            },
        ),
        ("lr=1e-3, bs 64", {"lr": "0.001", "bs": "64"}),
        ("lr: 1e-3; warmup 2,000", {"lr": "0.001", "warmup": "2000"}),
        ("lr=1e-3 bs=64 wd=0.1", {"lr": "0.001", "bs": "64", "wd": "0.1"}),
        ("--lr 1e-3 --bs 8", {"lr": "0.001", "bs": "8"}),
        ("lr 1e-3 → 5e-4", {"lr": "1e-3 → 5e-4"}),
        ("layers: [1, 2], dropout 0.1 (encoder only)", {"layers": "[1, 2]", "dropout": "0.1"}),
        (
            "resume=true, 100 epochs, 8 GPUs, use_ema",
            {"resume": "true", "epochs": "100", "GPUs": "8", "use_ema": "yes"},
        ),
        ("batch 32 x 4, EMA (0.999)", {"batch": "32 x 4", "EMA": "0.999"}),
        ("optimizer adamw, cosine schedule", {"optimizer": "adamw", "cosine schedule": "yes"}),
        ("path=/data/x, url: http://a/b?c=d", {"path": "/data/x", "url": "http://a/b?c=d"}),
        ("**lr**: 0.0010, 1.5M samples", {"lr": "0.001", "samples": "1500000"}),
        ("n/a", {}),
        ("", {}),
    ],
)
def test_settings_are_read_as_they_are_spelled(text: str, settings: dict) -> None:
    """Backticks, brackets, units, `=`, `:` and words: a name is whole, and a figure without the
    words behind it.
    """
    assert dict(split_settings(text)) == settings


@given(st.text(alphabet="ab 12k.,;=:()[]`-→/", max_size=60))
def test_any_settings_are_read_without_a_stray_mark(text: str) -> None:
    """Whatever is written, a name has no backtick and no half of a bracket, and nothing raises."""
    for name, _ in split_settings(text):
        assert "`" not in name and name.count("(") == name.count(")")


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("0.41 → 0.02", 0.02),
        ("1.31 -> 0.188 (12k)", 0.188),
        ("from 1.31 to 0.188", 0.188),
        ("12k", 12000),
        ("12,000", 12000),
        ("1.5M", 1500000),
        ("94.2%", 94.2),
        ("`0.188`", 0.188),
        ("train_loss 0.41 -> 0.02", None),
        ("fell to 0.02", None),
    ],
)
def test_a_figure_that_went_somewhere_is_where_it_ended(text: str, figure: object) -> None:
    """An arrow leads to the end's figure, a unit is counted, and a sentence is no figure."""
    assert last_number_of(text) == figure


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("final_train_loss", "end_train_loss"),
        ("train_loss_final", "end_train_loss"),
        ("training_loss", "end_train_loss"),
        ("validation_loss", "end_val_loss"),
        ("best_validation_loss", "best_val_loss"),
        ("val_loss_best", "best_val_loss"),
        ("min_val_loss", "best_val_loss"),
        ("final_loss", "loss"),
        ("accuracy", "accuracy"),
        ("start_train_loss", ""),
        ("initial_loss", ""),
        ("final_step", ""),
    ],
)
def test_a_loss_has_one_name(name: str, metric: str) -> None:
    """End and best losses are known in every spelling; first losses and counts are no metrics."""
    assert metric_name(name) == metric


RESULTS = {
    (
        "- final step: 12k\n- final train loss: 0.188\n- best val loss: 0.21 @ 8000\n- "
        "elapsed: 6h 30m\n"
    ): (
        12000,
        23400,
        0.188,
        0.21,
    ),
    "- **Steps**: `12,000/20,000`\n- train loss (final): `1.3 → 0.188`\n- best_val_loss: 0.21\n": (
        12000,
        None,
        0.188,
        0.21,
    ),
    (
        "| metric | value |\n|---|---|\n| final step | 12000 |\n| train_loss | 0.188 |\n| best "
        "val loss | 0.21 |\n"
    ): (
        12000,
        None,
        0.188,
        0.21,
    ),
    (
        "- losses:\n  - train loss: 0.188\n  - best val loss: 0.21\n- progress: epoch 3 (step "
        "12000)\n"
    ): (
        12000,
        None,
        0.188,
        0.21,
    ),
    (
        "| step | train_loss | best_val_loss |\n|---|---|---|\n| 12000 | 0.188 | 0.21 |\n| 400 "
        "| 0.9 | 0.9 |\n"
    ): (
        None,
        None,
        0.188,
        0.21,
    ),
}


@pytest.mark.parametrize("results", RESULTS)
def test_results_are_read_in_every_form(results: str) -> None:
    """Fields, nested bullets and tables give the final step, runtime, and end and best losses."""
    step, seconds, end, best = RESULTS[results]
    side = of_log(log_of(f"# train — x\n## Mode\n- run_type: replication\n## Results\n{results}"))
    assert (side.final_step, side.runtime) == (step, seconds)
    assert side.metrics == {"end_train_loss": end, "best_val_loss": best}


STATUS = """# train — x
## Job
- job_id: 1
- elapsed: 01:00:00
## Job (resumed)
- job_id: 2
- elapsed: 02:30:00
## Status
- 2026-05-04 15:00 — running, step 5600, train_loss 0.31
- 2026-05-04 16:00 — cancelled at step 6,100, loss 0.29
- 2026-05-04 17:00 — eval of step 5000: loss 0.5
"""


def test_what_results_lack_is_taken_from_status() -> None:
    """The last step and loss of Status count where Results name none, those of an evaluation never;
    runtimes add up.
    """
    side = of_log(log_of(STATUS))
    assert (side.state, side.final_step, side.runtime) == ("cancelled", 6100, 12600)
    assert side.metrics == {"end_train_loss": 0.29}
    assert of_log(log_of(STATUS.replace("- elapsed: 01:00:00\n", ""))).runtime is None


def test_one_setting_has_one_name_among_the_runs() -> None:
    """`lr` and `learning_rate` of two logs are one column, under the name met first."""
    sides = [
        Side(name="a", where="", settings={"lr": "1"}),
        Side(name="b", where="", settings={"learning_rate": "2"}),
    ]
    assert [side.settings for side in in_one_spelling(sides)] == [{"lr": "1"}, {"lr": "2"}]
    assert number_of("pending") is None


JOBS = """# train — x
## Jobs

| job id | submitted | state | runtime |
|---|---|---|---|
| 1 | 2026-05-04 09:12 | FAILED | 00:30:00 |
| 2 | 2026-05-04 12:12 | COMPLETED | 03:30:00 |
"""


def test_a_table_of_jobs_is_the_jobs_of_the_run() -> None:
    """The newest row says how the run stands; the runtimes of all rows are the run's, and a missing
    one leaves none.
    """
    side = of_log(log_of(JOBS))
    assert (side.state, side.runtime) == ("completed", 14400)
    assert of_log(log_of(JOBS.replace("00:30:00", ""))).runtime is None


@pytest.mark.parametrize(
    ("job", "seconds"),
    [
        ("- elapsed: 2h\n- walltime: 24:00:00\n", 7200),
        ("- wall time: 01:30:10\n", 5410),
        ("- walltime: 24:00:00\n", None),
        ("- start: 2026-05-04 09:00\n- end: 2026-05-04 11:00\n- walltime: 24:00:00\n", None),
        ("- start: 2026-05-04 09:00\n- end: 2026-05-04 11:00\n- wall time: 02:00:00\n", 7200),
    ],
)
def test_a_limit_is_no_runtime(job: str, seconds: float | None) -> None:
    """A wall time counts where it can be one that was used: a limit is round, or longer than the
    job was there.
    """
    assert of_log(log_of(f"# train — x\n## Job\n- job_id: 1\n{job}")).runtime == seconds
