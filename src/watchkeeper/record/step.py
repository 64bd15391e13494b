"""A named stage of a run."""

from __future__ import annotations

from watchkeeper.core.events import Number
from watchkeeper.record.values import number


class Step:
    """What a stage says of itself while it runs; it is written down when the stage ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.row_count_in: int | None = None
        self.row_count_out: int | None = None
        self.key_metrics: dict[str, Number] = {}
        self.not_numbers: list[str] = []

    def rows(self, *, read: int | None = None, kept: int | None = None) -> None:
        """How many rows the stage took in and put out; None where there is nothing to say. Said again, the last counts."""
        for attribute, value in (("row_count_in", read), ("row_count_out", kept)):
            if value is None:
                continue
            count = number(value)
            if isinstance(count, int):
                setattr(self, attribute, count)
            else:
                self.not_numbers.append(attribute)

    def metrics(self, **metrics: object) -> None:
        """The stage's key figures. Only numbers are kept; None says nothing."""
        for name, value in metrics.items():
            if value is None:
                continue
            figure = number(value)
            if figure is None:
                self.not_numbers.append(name)
            else:
                self.key_metrics[name] = figure
