"""Sparklines of files of any length."""

from __future__ import annotations

import watchkeeper as wk
from watchkeeper.query.views.spark import spark_of

OPTIONS = {"pipeline": "training", "console": False, "sidecar": False}


def test_a_large_file_is_read_at_48_places(tmp_path):
    """The line falls as the loss does, from its first value to its last."""
    with wk.start_run(folder=tmp_path / "run", **OPTIONS) as run:
        for step in range(12_000):
            run.log(step, loss=12_000 - step, lr=0.1)
    spark = spark_of(tmp_path / "run")
    assert len(spark) == 48 and list(spark) == sorted(spark, reverse=True)
    assert spark[0] > 11_900 and spark[-1] < 100


def test_what_is_no_number_is_left_out(tmp_path):
    """NaN and infinities are no values of a line, and one value is none."""
    with wk.start_run(folder=tmp_path / "run", **OPTIONS) as run:
        run.log(1, loss=float("nan"))
        run.log(2, loss=0.5)
        run.log(3, loss=float("inf"))
        assert spark_of(tmp_path / "run") == ()
        run.log(4, loss=0.25)
    assert spark_of(tmp_path / "run") == (0.5, 0.25)


def test_a_folder_without_rows_has_none(tmp_path):
    """Nothing is read where nothing lies."""
    assert spark_of(tmp_path) == ()
