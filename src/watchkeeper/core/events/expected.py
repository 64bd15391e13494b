"""What was expected of the evaluations before there was a result."""

from __future__ import annotations

from typing import Literal

from watchkeeper.core.events.base import Event

Relation = Literal["<", "<=", ">", ">=", "=="]


class Expected(Event, frozen=True, kw_only=True, omit_defaults=True, tag="expected"):
    """Somebody stated what the evaluations are to report: `metric` beside `value`. `source` is
    `--expect`, or the name of the summary that states it.
    """

    metric: str
    relation: Relation
    value: float
    source: str = ""
