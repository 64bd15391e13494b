"""Steps that a later execution did again, in words. Pure."""

from __future__ import annotations

from watchkeeper.core.events import Learned, Number, Repeated

NOT_FAITHFUL = "a resume that is not faithful"


def words(learned: Learned | None) -> str:
    """Every repetition in a sentence; "" where nothing was done again."""
    if learned is not None:
        return "; ".join(map(_words, learned.repeated))
    return ""


def finding(learned: Learned | None) -> str:
    """The repetitions that came out otherwise; "" where there are none."""
    if learned is not None:
        return "; ".join(_words(one) for one in learned.repeated if not one.faithful)
    return ""


def _words(repeated: Repeated) -> str:
    if repeated.first != repeated.last:
        steps = f"steps {repeated.first} to {repeated.last}"
    else:
        steps = f"step {repeated.first}"
    done = f"{steps} {'were' if repeated.first != repeated.last else 'was'} done again"
    if repeated.anew:
        done += ", from the beginning"
    if repeated.difference is None or repeated.before is None or repeated.after is None:
        return f"{done}; no step has a train_loss of both"
    before, after = _figure(repeated.before), _figure(repeated.after)
    largest = (
        f"the largest difference of train_loss is {_figure(repeated.difference)} at step "
        f"{repeated.at}"
    )
    return f"{done}; {largest} ({before}, then {after})" + (
        "" if repeated.faithful else f": {NOT_FAITHFUL}"
    )


def _figure(value: Number) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
