"""Training steps that a later execution repeated, in words. Pure."""

from __future__ import annotations

from watchkeeper.core.events import Learned, Number, Repeated

NOT_FAITHFUL = "a resume that is not faithful"


def describe(learned: Learned | None) -> str:
    """Describe every repetition: `steps 400 to 450 were repeated; the largest difference of
    train_loss is 0.002 at step 431 (0.35, then 0.352)`. "": no step was repeated.
    """
    if learned is None:
        return ""
    return "; ".join(map(_describe, learned.repeated))


def describe_unfaithful(learned: Learned | None) -> str:
    """Describe the repetitions that gave other losses: a difference over 2 % of the larger one. "":
    there are none.

    `watchkeeper status` names only these.
    """
    if learned is None:
        return ""
    unfaithful = [repeated for repeated in learned.repeated if not repeated.faithful]
    return "; ".join(map(_describe, unfaithful))


def _describe(repeated: Repeated) -> str:
    """Describe one repetition. `first` and `last` are training steps; the losses are those of the
    step with the largest difference, None where no step has one from both executions.
    """
    if repeated.first == repeated.last:
        text = f"step {repeated.first} was repeated"
    else:
        text = f"steps {repeated.first} to {repeated.last} were repeated"
    if repeated.anew:
        text += ", from the beginning"
    if repeated.difference is None or repeated.before is None or repeated.after is None:
        return f"{text}; no step has a train_loss from both executions"
    difference = _format_loss(repeated.difference)
    before = _format_loss(repeated.before)
    after = _format_loss(repeated.after)
    text += (
        f"; the largest difference of train_loss is {difference} at step {repeated.at} "
        f"({before}, then {after})"
    )
    if not repeated.faithful:
        text += f": {NOT_FAITHFUL}"
    return text


def _format_loss(value: Number) -> str:
    """A loss to four digits; NaN and infinities as they are spelled."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
