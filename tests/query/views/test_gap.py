"""The gap of a run that logs both losses and no gap."""

from __future__ import annotations

import pytest

from tests.query.series.recorded import read, rows_file, write_rows
from watchkeeper.query.ranking import BY_NAME
from watchkeeper.query.views.charts import Chart, gap_lines, gap_parts, loss_names, series_of
from watchkeeper.query.views.pages import Line
from watchkeeper.query.views.run_page.metrics import metrics_of


def rows(validated=(), **metrics):
    """Five rows with a training loss of 4, 3, 2, 1 and 0.5, and a validation loss of 2 at some."""
    for step, loss in enumerate((4.0, 3.0, 2.0, 1.0, 0.5)):
        more = {"val_loss": 2.0} if step in validated else {}
        yield step, step, {"train_loss": loss, **more, **metrics}


def line(x, smooth, *, superseded=False) -> Line:
    """A line with these points."""
    return Line(
        metric="any",
        attempt=1,
        superseded=superseded,
        is_requeue=False,
        x=x,
        min=smooth,
        max=smooth,
        smooth=smooth,
        n=[1] * len(x),
        bad=[],
    )


def test_a_strip_has_the_gap_where_both_losses_were_logged(tmp_path):
    """It is the validation loss less the training loss, at the steps of the validation loss."""
    write_rows(rows_file(tmp_path), rows(validated=(1, 4)))
    run = read(tmp_path)
    (gap,) = series_of(run, Chart(metrics=("gap",))).lines
    assert (gap.metric, gap.x, gap.smooth) == ("gap", [1, 4], [-1.0, 1.5])
    named = [one.metric for one in series_of(run, Chart(metrics=("gap", "val_loss"))).lines]
    assert sorted(named) == ["gap", "val_loss"]


def test_the_figures_of_a_made_gap_say_what_it_is_made_of(tmp_path):
    """Its last value is that of its strip, it stands behind the losses, and has no best."""
    write_rows(rows_file(tmp_path), rows(validated=(1, 4), acc=1.0))
    listed = metrics_of(read(tmp_path), BY_NAME)
    assert [row.name for row in listed] == ["train_loss", "val_loss", "gap", "acc"]
    gap = listed[2]
    assert (gap.last, gap.last_step, gap.best, gap.role) == (1.5, 4, None, "gap")
    assert gap.made_of == ("train_loss", "val_loss") and listed[0].made_of == ()


@pytest.mark.parametrize(
    ("validated", "metrics"),
    [((), {}), ((1,), {"loss_gap": 0.25})],
    ids=["no validation loss", "a gap of its own"],
)
def test_no_gap_is_made_where_a_loss_is_lacking_or_a_gap_is_logged(tmp_path, validated, metrics):
    """What the run logged itself is shown as it is."""
    write_rows(rows_file(tmp_path), rows(validated=validated, **metrics))
    run = read(tmp_path)
    assert series_of(run, Chart(metrics=("gap",))).lines == []
    assert all(row.made_of == () for row in metrics_of(run, BY_NAME))


def test_a_gap_is_less_the_training_loss_before_it():
    """Between two points of the training loss the earlier one counts; before the first there is no
    gap, and a break stays one.
    """
    train = line([10, None, 20], [3.0, None, 1.0])
    val = line([5, 10, 15, None, 30], [2.0, 2.0, 2.0, None, 2.0])
    (gap,) = gap_lines([train], [val])
    assert gap.smooth == [None, -1.0, -1.0, None, 1.0] and gap.x == val.x


def test_what_was_superseded_makes_a_gap_of_its_own():
    """A later attempt's loss is never taken from an earlier one's."""
    old, new = line([1], [3.0], superseded=True), line([1], [1.0])
    gaps = list(gap_lines([old, new], [line([1], [2.0]), line([1], [2.0], superseded=True)]))
    assert [(gap.superseded, gap.smooth) for gap in gaps] == [(False, [1.0]), (True, [-1.0])]
    assert list(gap_lines([old], [line([1], [2.0])])) == []


def test_the_names_of_the_losses():
    """Either may be lacking."""
    assert loss_names(["a", "val_loss"]) == ("", "val_loss")
    assert gap_parts(["loss", "val_loss"]) == ("loss", "val_loss")
    assert gap_parts(["loss", "val_loss", "gap"]) == gap_parts(["loss"]) == ()
