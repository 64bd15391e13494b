"""What is said of training steps that a later execution repeated."""

from __future__ import annotations

import pytest

from watchkeeper.core.events import Learned, Repeated
from watchkeeper.report.compose.repeated import describe, describe_unfaithful

SAME = {"difference": 0.0, "at": 4, "before": 1.25, "after": 1.25}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"first": 4, "last": 4} | SAME, "step 4 was repeated" "; the largest difference of "
         "train_loss is 0 at step 4 (1.25, then 1.25)"),
        ({"first": 4, "last": 6} | SAME | {"difference": 1, "after": "NaN", "faithful": False},
         "steps 4 to 6 were repeated; the largest difference of train_loss is 1 at step 4 "
         "(1.25, then NaN): a resume that is not faithful"),
        ({"first": 0, "last": 6, "anew": True},
         "steps 0 to 6 were repeated, from the beginning; no step has a train_loss from both "
         "executions"),
    ],
)  # fmt: skip
def test_a_repetition_names_its_steps_and_the_largest_difference(fields, says):
    """The range, a new start, and the difference with both losses; an unfaithful one says so."""
    assert describe(Learned(repeated=(Repeated(**fields),))) == says


@pytest.mark.parametrize("missing", ["difference", "before", "after"])
def test_a_difference_needs_both_losses(missing):
    """Where one of the figures is missing, no difference is claimed."""
    fields = SAME | {missing: None}
    (text,) = describe(Learned(repeated=(Repeated(first=1, last=2, **fields),))).splitlines()
    assert text.endswith("; no step has a train_loss from both executions")


def test_only_unfaithful_repetitions_are_a_warning():
    """All of them are described, and apart from them those that came out otherwise."""
    faithful, other = Repeated(first=1, last=1), Repeated(first=2, last=2, faithful=False)
    learned = Learned(repeated=(faithful, other))
    assert describe(learned).count("was repeated") == 2
    assert describe_unfaithful(learned).startswith("step 2 was repeated")
    assert "step 1" not in describe_unfaithful(learned)
    assert describe(None) == describe_unfaithful(None) == ""
    assert describe(Learned()) == describe_unfaithful(Learned()) == ""
