"""The Results of a run log."""

from __future__ import annotations

import pytest

from tests.report.compose.events import intended, judged, minute, page, shown, sight, submitted
from watchkeeper.core.events import Evidence, Learned, Milestone, Repeated
from watchkeeper.report.compose.history import About
from watchkeeper.report.compose.results import Evaluation


def results(*events, **options):
    """Results by name, with their notes."""
    return shown(page(*events, **options).sections["results"])


EVALUATION = {"phase": "evaluation"}


def test_nothing_is_claimed_before_the_verdict_or_of_what_never_ran():
    """A running job and one that was never run have no results."""
    assert results(submitted()) == {}
    assert results(submitted(), judged(outcome="not run", state="NOT_RUN")) == {}


def test_a_runtime_has_its_start_and_end():
    """The runtime of the last execution, with both of its times."""
    seen = sight(9, "COMPLETED", started=minute(2), ended=minute(8))
    assert results(submitted(), seen, judged())["runtime"] == (
        "00:06:00 (start `2026-03-11T15:02:00Z`, end `2026-03-11T15:08:00Z`)"
    )
    assert "runtime" not in results(submitted(), judged())


def test_a_training_without_figures_says_so_field_by_field():
    """What a training should leave and did not is `n/a`; without a reading there is nothing."""
    assert results(submitted(), judged()) == {}
    assert results(submitted(), judged(learned=Learned())) == {
        "final step": "n/a",
        "start_train_loss": "n/a",
        "end_train_loss": "n/a",
        "start_val_loss": "n/a",
        "end_val_loss": "n/a",
        "loss_one_liner": "n/a",
        "checkpoint": "n/a: no complete checkpoint is known",
        "config_snapshot": "n/a",
    }


def test_a_trainings_figures_are_stated_in_full():
    """Zeros are figures, a sentence and a configuration are quoted as they are."""
    learned = Learned(
        final_step=0,
        first_train_loss=2.0,
        last_train_loss=0,
        first_val_loss=1.5,
        last_val_loss="NaN",
        reading="it fell",
        config="r8/config.yaml",
        checkpoint="r8/epoch_0",
        milestones=(Milestone(step=0, loss=1.5), Milestone(step=1000, loss=1.0)),
        repeated=(Repeated(first=1, last=2, anew=True),),
        kept=("r8/epoch_0",),
    )
    fields = results(submitted(), judged(learned=learned, used=("a", "b")))
    assert fields == {
        "final step": "0",
        "start_train_loss": "2",
        "end_train_loss": "0",
        "start_val_loss": "1.5",
        "end_val_loss": "NaN",
        "loss@0": "1.5",
        "loss@1k": "1",
        "loss_one_liner": "it fell",
        "repeated steps": "steps 1 to 2 were repeated, from the beginning; no step has a "
        "train_loss from both executions",
        "checkpoint": "r8/epoch_0",
        "config_snapshot": "r8/config.yaml",
        "compute": "a; b",
    }


def test_an_evaluation_states_its_metrics_and_its_checkpoint():
    """Metrics, the result's file, and the checkpoint that it was given."""
    inputs = {"r8/config": "x", "r8/epoch_1": "y"}
    proof = (Evidence(source="eval/a.eval", what="status"),)
    events = (
        intended(inputs=inputs, **EVALUATION),
        submitted(**EVALUATION),
        judged(metrics={"accuracy": 0.5}, evidence=proof, **EVALUATION),
    )
    assert results(*events, about=About(task="one", below="exp")) == {
        "accuracy": "0.5",
        "result": "exp/eval/a.eval",
        "checkpoint": "r8/epoch_1",
        "loss_one_liner": "n/a: an evaluation",
        "config_snapshot": "n/a",
    }


@pytest.mark.parametrize("first", [submitted(**EVALUATION), intended(inputs={}, **EVALUATION)])
def test_an_evaluation_without_a_checkpoint_is_of_the_untrained_model(first):
    """Without inputs, or without a purpose, no checkpoint is named; a failed one has no result."""
    proof = (Evidence(source="eval/a.eval", what="status"),)
    failed = judged(outcome="failed", state="FAILED", evidence=proof, **EVALUATION)
    fields = results(first, failed)
    assert fields["checkpoint"] == "n/a: untrained" and "result" not in fields


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        (judged(metrics={"a": 0.5, "b": 1}), "a 0.5, b 1"),
        (judged(), "done"),
        (judged(outcome="failed but good", metrics={"a": 1}), "a 1"),
        (judged(outcome="failed", state="TIMEOUT"), "failed: TIMEOUT"),
        (judged(outcome="failed", state="TIMEOUT", why="too\nlong"), "failed: too long"),
    ],
)
def test_each_evaluation_of_a_training_is_one_line(verdict, says):
    """Its metrics where it ended well, else what went wrong; before the training's own end, too."""
    evaluations = [Evaluation(name="words epoch 0", judged=verdict)]
    assert results(submitted(), evaluations=evaluations) == {"words epoch 0": says}


def test_a_criterion_stands_beside_the_evaluations_that_it_is_about():
    """What was expected, and what came of it, is shown with evaluations and not without."""
    words = "accuracy >= 0.9: met by one/clean/epoch0 (0.93); stated before the first evaluation"
    about = About(task="one", expected=words)
    evaluation = Evaluation("clean", judged(**EVALUATION, metrics={"accuracy": 0.93}))
    assert "expected" not in results(submitted(), judged(), about=about)
    for shown_values in (
        results(submitted(), judged(), about=about, evaluations=[evaluation]),
        results(submitted(**EVALUATION), judged(**EVALUATION), about=about),
    ):
        assert shown_values["expected"] == words
