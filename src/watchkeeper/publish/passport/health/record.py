"""What was seen of the weights' numbers, as fields of the passport and as checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from watchkeeper.publish.checks import Check, Status
from watchkeeper.publish.passport.document import Fact, Facts
from watchkeeper.publish.passport.health.numbers import Amiss
from watchkeeper.publish.passport.health.scan import Health
from watchkeeper.publish.passport.rules.examined import counted, finding
from watchkeeper.tools.file_formats import short

FIELD = "model_internals.numerical_health"
_MOST_NAMES = 100
"""Of tensors that the passport names; the counts are of all."""
_MOST_NAMED = 5
"""Of tensors with a check each."""


def facts_of(health: Health) -> Facts:
    """The fields of the passport, all of them observed."""
    fields: dict[str, Any] = {
        "scanned_tensors": health.scanned_tensors,
        "nan_count": health.total.nan,
        "inf_count": health.total.infinite,
        "tensors_amiss": [
            {"name": name, "nan": one.nan, "inf": one.infinite}
            for name, one in list(health.amiss.items())[:_MOST_NAMES]
        ],
        "not_scanned": [
            {"reason": why, "count": len(names), "first": names[:3]}
            for why, names in health.unscanned.items()
        ],
    }
    return {f"{FIELD}.{name}": Fact(value, "observed") for name, value in fields.items()}


def checks_of(health: Health) -> Iterator[Check]:
    """What is amiss among the numbers, and what was not looked at; one check that passes where all
    that was looked at is sound.
    """
    for name, one in list(health.amiss.items())[:_MOST_NAMED]:
        message = f"{short(name)} holds {_words(one)}"
        yield _check("fail", "nan-found", message, "do not use it: train from the one before")
    if len(health.amiss) > _MOST_NAMED:
        message = f"{len(health.amiss) - _MOST_NAMED:,} more tensors hold NaN or infinity"
        yield _check("fail", "nan-found", message)
    for why, names in health.unscanned.items():
        shown = counted([short(name) for name in names])
        yield _check("not_checked", "numbers", f"{shown}: {why}")
    if health.scanned_tensors and not health.amiss:
        message = f"no number of {health.scanned_tensors:,} tensors is NaN or infinite"
        yield _check("pass", "numbers", message)


def _words(one: Amiss) -> str:
    """`3 × NaN and 1 × infinity`; what there is none of is left out."""
    counts = [(one.nan, "NaN"), (one.infinite, "infinity")]
    return " and ".join(f"{count:,} × {name}" for count, name in counts if count)


def _check(status: Status, name: str, message: str, hint: str = "") -> Check:
    return finding("model_internals", status, name, FIELD, message, hint=hint)
