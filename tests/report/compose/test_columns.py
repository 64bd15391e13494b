"""Columns of experiments.md for what the runs were made for."""

from __future__ import annotations

from datetime import UTC, datetime

from watchkeeper.core.events import Judged
from watchkeeper.report.compose.columns import main_metrics, with_columns

TABLE = """# Experiments

| run | description | val_loss | status | notes |
|-----|-------------|----------|--------|-------|
| [a_2026-03-11](a.md) | lr 1e-3 | n/a | completed | mine \\| yours |
| a person's | | 0.5 | keep |

Words of a person | with a bar.
"""


def judged(outcome: str = "done", **metrics: float) -> Judged:
    """A verdict on an evaluation with these figures."""
    return Judged(
        time=datetime(2026, 3, 11, tzinfo=UTC),
        writer="w",
        seq=0,
        key="k",
        phase="evaluation",
        attempt=1,
        outcome=outcome,
        state="COMPLETED",
        metrics=metrics,
    )


def test_a_column_is_put_into_the_machines_table_and_no_other_byte_changes() -> None:
    """Header, rule and each row get one cell behind val_loss; taking it out again gives the same
    bytes.
    """
    text, new = with_columns(TABLE, ["accuracy"])
    assert new == ["accuracy"]
    assert "| run | description | val_loss | accuracy | status | notes |\n" in text
    assert "| a person's | | 0.5 |  | keep |\n" in text
    taken_out = text.replace(" accuracy |", "", 1).replace(
        "----------|----------|", "----------|", 1
    )
    assert taken_out.replace("| n/a |  |", "| n/a |").replace("| 0.5 |  |", "| 0.5 |") == TABLE


def test_it_is_put_in_once_and_not_again_where_a_person_took_it_out() -> None:
    """A table that has it stays, also where a death came before it was noted; one that lost it
    keeps without.
    """
    text, _ = with_columns(TABLE, ["accuracy"])
    assert with_columns(text, ["accuracy"]) == (text, [])
    assert with_columns(text, ["accuracy"], ["accuracy"]) == (text, [])
    assert with_columns(TABLE, ["accuracy"], ["accuracy"]) == (TABLE, [])
    more, new = with_columns(text, ["f1"], ["accuracy"])
    assert new == ["f1"] and "| val_loss | f1 | accuracy | status |" in more


def test_a_persons_own_table_is_given_no_column() -> None:
    """With other columns, or in another order, a table is a person's."""
    for text in (
        "",
        "words\n",
        TABLE.replace("| status | notes |", "| verdict |"),
        TABLE.replace("run | desc", "log | desc"),
    ):
        assert with_columns(text, ["accuracy"]) == (text, [])


def test_the_main_metric_of_each_task_at_its_last_epoch() -> None:
    """Each task's first figure; the epoch is named; a failed evaluation and one without figures say
    nothing.
    """
    both = [
        ("clean", 0, judged(accuracy=0.8, loss=1.5)),
        ("clean", 1, judged(accuracy=0.94, loss=0.5)),
        ("noisy", 1, judged(accuracy=0.8156)),
        ("noisy", 2, judged("failed", accuracy=0.1)),
    ]
    assert main_metrics(both) == {"accuracy": "clean 0.94, noisy 0.8156 (epoch 1)"}
    assert main_metrics(both[:2]) == {"accuracy": "0.94 (epoch 1)"}
    assert main_metrics([both[0], both[2]]) == {
        "accuracy": "clean 0.8 (epoch 0), noisy 0.8156 (epoch 1)"
    }
    assert main_metrics([("clean", None, judged(accuracy=0.12))]) == {"accuracy": "0.12"}
    assert main_metrics([("t", 0, judged(f1=0.5)), ("u", 0, judged(accuracy=1.0))]) == {
        "f1": "t 0.5 (epoch 0)",
        "accuracy": "u 1 (epoch 0)",
    }
    assert (
        main_metrics(
            [("t", 0, judged()), ("u", 0, judged(**{"a|b": 1.0})), ("v", 0, judged(status=1.0))]
        )
        == {}
    )
