"""Which rows count where a run was executed more than once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.runfolder.executions import (
    Execution,
    Row,
    final_step,
    is_of_training,
    repeats,
    standing,
)


def training(
    *steps: float | None, loss: float = 1.0, name: str = "loss", **fields: object
) -> Execution:
    """An execution that logged this loss at these steps."""
    return Execution(rows=[Row(step, {name: loss}) for step in steps], **fields)


def steps(executions: list[Execution], metric: str = "loss") -> list[list[float | None]]:
    """The steps at which a metric counts, execution by execution."""
    return [[row.step for row in rows if metric in row.metrics] for rows in standing(executions)]


def test_a_resumed_execution_supersedes_what_it_did_again():
    """From its first step on the later execution's rows count, and before it the earlier one's."""
    assert steps([training(1, 2, 3, 4, 5), training(4, 5, 6)]) == [[1, 2, 3], [4, 5, 6]]
    assert steps([training(1, 2, 3, 4, 5), training(3, 4), training(4, 5)]) == [[1, 2], [3], [4, 5]]


def test_a_fresh_start_supersedes_everything():
    """Who begins at the first step again has nothing of the execution before, rows without a step
    and other metrics too.
    """
    first = Execution(
        rows=[
            Row(1, {"loss": 4.0}),
            Row(None, {"note": 1.0}),
            Row(90, {"val_loss": 3.0}),
            Row(99, {"loss": 2.0}),
        ]
    )
    assert standing([first, training(1, 2)])[0] == []
    assert steps([training(10, 20, 30), training(1, 2)]) == [[], [1, 2]]
    assert steps([training(1, 2, 3), training(2, 3, 4), training(2, 3)]) == [[1], [], [2, 3]]


def test_each_metric_has_its_own_first_step():
    """A validation that was not repeated yet still counts; a row keeps the metrics that count."""
    first = Execution(
        rows=[
            Row(5, {"loss": 2.0}),
            Row(10, {"loss": 1.0, "val_loss": 1.5}),
            Row(20, {"val_loss": 1.4}),
        ]
    )
    later = Execution(rows=[Row(8, {"loss": 1.1}), Row(20, {"val_loss": 1.3})])
    assert standing([first, later]) == [
        [Row(5, {"loss": 2.0}), Row(10, {"val_loss": 1.5})],
        list(later.rows),
    ]


@pytest.mark.parametrize(
    "later",
    [
        Execution(rows=[Row(3, {"val_loss": 1.0, "epoch": 1.0})]),
        Execution(rows=[Row(3, {"eval/accuracy": 0.5}), Row(1, {"accuracy": 0.4})]),
        Execution(rows=[Row(None, {"loss": 1.0})]),
        training(1, 2, pipeline="evaluation"),
        Execution(rows=[]),
    ],
    ids=["validation", "figures", "no step", "another pipeline", "nothing"],
)
def test_an_evaluation_supersedes_nothing(later):
    """Figures of an evaluation, rows without a step, and another pipeline's rows leave the
    training's as they are.
    """
    assert steps([training(1, 2, 3, 4, pipeline="train"), later])[0] == [1, 2, 3, 4]


def test_evaluations_of_one_kind_supersede_each_other():
    """Where nothing trains, a later execution stands for the earlier one as any other does."""
    first, later = (Execution(rows=[Row(1, {"accuracy": value})]) for value in (0.1, 0.2))
    assert standing([first, later]) == [[], list(later.rows)]


def test_two_executions_at_one_time_are_no_resume():
    """Who wrote on after the other had begun was not continued by it; two attempts at a run never
    work at once, whatever their clocks say.
    """
    first = training(1, 2, 3, began=0.0, ended=100.0, boot="a")
    assert steps([first, training(2, 3, began=50.0, ended=110.0, boot="a")])[0] == [1, 2, 3]
    assert steps([first, training(2, 3, began=100.0, ended=110.0, boot="a")])[0] == [1]
    assert steps([first, training(2, 3, began=70.0, ended=110.0, boot="b")])[0] == [1]
    other = training(2, 3, began=50.0, ended=110.0, boot="a", attempt="runs/q/2")
    both = [training(1, 2, 3, began=0.0, ended=100.0, boot="a", attempt="runs/q/1"), other]
    assert steps(both)[0] == [1]


def test_rows_without_a_step_are_kept_by_a_resume():
    """Nothing tells that a row without a step was done again."""
    first = Execution(rows=[Row(1, {"loss": 4.0}), Row(None, {"loss": 3.0}), Row(3, {"loss": 2.0})])
    assert standing([first, training(3)])[0] == [Row(1, {"loss": 4.0}), Row(None, {"loss": 3.0})]


def test_the_final_step_is_that_of_the_training():
    """A superseded row's step, and that of a validation further on, are not how far the training
    came.
    """
    rows = [row for rows in standing([training(1, 500, 1000), training(600, 700)]) for row in rows]
    assert final_step([*rows, Row(1000, {"val_loss": 1.0})]) == 700
    assert final_step([Row(1000, {"val_loss": 1.0})]) == 1000
    assert final_step([]) is None


def test_another_cadence_is_compared_at_the_steps_of_both():
    """Every 10 steps against every 100: what both logged is compared, and the rest counts as it
    stands.
    """
    first = Execution(rows=[Row(step, {"loss": 100.0 - step / 10}) for step in range(10, 510, 10)])
    later = Execution(
        rows=[Row(step, {"loss": 100.5 - step / 10}) for step in range(300, 1000, 100)]
    )
    (found,) = repeats([first, later])
    assert (found.first, found.last, found.difference, found.is_faithful) == (300, 500, 0.5, True)
    (odd,) = repeats([first, training(305, 315)])
    assert (odd.first, odd.last, odd.difference, odd.is_faithful) == (305, 315, None, True)


def test_a_resume_that_comes_out_otherwise_is_not_faithful():
    """Beyond the tolerance, and where one of the two losses is no number, the repeated steps are a
    finding.
    """
    (near,) = repeats([training(1, 2, 3, loss=1.0), training(2, 3, loss=1.01)])
    (far,) = repeats([training(1, 2, 3, loss=1.0), training(2, 3, loss=1.1)])
    (broken,) = repeats([training(1, 2, 3, loss=1.0), training(2, 3, loss=math.nan)])
    (both,) = repeats([training(1, 2, 3, loss=math.nan), training(2, 3, loss=math.nan)])
    assert [one.is_faithful for one in (near, far, broken, both)] == [True, False, False, True]
    assert (far.at, far.before, far.after) in ((2, 1.0, 1.1), (3, 1.0, 1.1))


def test_a_fresh_start_and_a_seamless_resume_are_no_finding():
    """A new start promises no equal result, and a run that repeats nothing has no comparison."""
    (again,) = repeats([training(1, 2, 3, loss=1.0), training(1, 2, loss=9.0)])
    assert again.anew and again.is_faithful
    assert repeats([training(1, 2, 3), training(4, 5)]) == []
    assert repeats([training(1, 2, 3), Execution(rows=[Row(2, {"val_loss": 1.0})])]) == []


def test_a_run_resumed_twice_is_compared_with_what_stood():
    """A third execution is held against the second where that had gone, else against the first."""
    found = repeats(
        [training(1, 2, 3, 4, loss=1.0), training(3, loss=2.0), training(3, 4, loss=2.0)]
    )
    assert [(one.first, one.last, one.difference) for one in found] == [(3, 3, 1.0), (3, 3, 0.0)]


@pytest.mark.parametrize(
    "name", ["loss", "train/loss", "lr", "grad_norm", "reward", "value_loss", "tokens"]
)
def test_these_are_a_trainings(name):
    """Names that only a training logs."""
    assert is_of_training(name)


@pytest.mark.parametrize(
    "name",
    ["val_loss", "eval_loss", "eval/f1", "Accuracy", "test.acc", "epoch", "eval_runtime", "time"],
)
def test_these_are_not(name):
    """Figures of an evaluation, and what either logs."""
    assert not is_of_training(name)


EXECUTIONS = st.lists(
    st.builds(
        Execution,
        rows=st.lists(
            st.builds(
                Row,
                st.none() | st.integers(0, 12),
                st.dictionaries(
                    st.sampled_from(["loss", "val_loss", "lr"]), st.floats(), max_size=3
                ),
            ),
            max_size=8,
        ),
        pipeline=st.sampled_from(["", "train", "evaluation"]),
    ),
    max_size=5,
)


@given(EXECUTIONS)
def test_nothing_is_invented_and_the_last_execution_is_whole(executions):
    """What counts was written, in the order written, by that execution; of the last one every
    figure counts.
    """
    left = standing(executions)
    assert len(left) == len(executions)
    for rows, execution in zip(left, executions, strict=True):
        written = iter(execution.rows)
        for row in rows:
            assert any(
                one.step == row.step and row.metrics.items() <= one.metrics.items()
                for one in written
            )
    if executions:
        assert [row for row in left[-1] if row.metrics] == [
            row for row in executions[-1].rows if row.metrics
        ]


@given(EXECUTIONS)
def test_what_counts_counts_once(executions):
    """Among executions of one pipeline that train, a metric counts at a step in one of them at the
    most.
    """
    executions = [
        one
        for one in executions
        if any("loss" in row.metrics and row.step is not None for row in one.rows)
    ]
    executions = [Execution(rows=one.rows) for one in executions]
    seen: set[tuple[str, float]] = set()
    for rows in standing(executions):
        mine = {(name, row.step) for row in rows if row.step is not None for name in row.metrics}
        assert not mine & seen
        seen |= mine


@given(EXECUTIONS)
def test_a_further_evaluation_changes_nothing(executions):
    """Whatever was executed, figures that were measured later leave every row of a training as it
    was.
    """
    executions = [
        Execution(rows=[*one.rows, Row(1, {"lr": 0.1})], pipeline="train") for one in executions
    ]
    before = standing(executions)
    assert (
        standing(
            [
                *executions,
                Execution(rows=[Row(1, {"accuracy": 1.0, "loss": 0.1})], pipeline="evaluation"),
            ]
        )[:-1]
        == before
    )
    assert standing([*executions, Execution(rows=[Row(1, {"val_loss": 1.0})])])[:-1] == before
