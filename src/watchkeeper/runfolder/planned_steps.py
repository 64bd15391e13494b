"""How many training steps a run has in all, by what its recorder wrote. Pure.

A cadence says it. So does an outermost loop with a length, if its items are training steps: if the
step that was logged last kept pace with the items that were done. A loop over epochs, files or
samples does not.
"""

from __future__ import annotations

from watchkeeper.core.events import AnyEvent, CadenceSet, Progressed, Unknown

_SHARE = 0.1  # of the items done: by so much the logged step may lag, as where each tenth is logged


class PlannedSteps:
    """The total of one run, as its events come, each writer's in the order written."""

    def __init__(self) -> None:
        self.total: int | None = None
        """Training steps in all, counted from the first; None: not known."""
        self._began: dict[tuple[str, str], Progressed] = {}

    def take(self, event: AnyEvent | Unknown) -> None:
        """Take one more event; what is no word on the total is passed over.

        Inner loops, over the batches of an epoch, and loops without a length say nothing.
        """
        if isinstance(event, CadenceSet):
            self.total = event.total
            return
        if not isinstance(event, Progressed) or event.total is None:
            return
        if event.depth == 0:
            self._take_loop(event, event.total)

    def _take_loop(self, now: Progressed, total: int) -> None:
        """Take the progress of an outermost loop; its first event is kept, to compare later ones
        with.
        """
        began = self._began.setdefault((now.writer, now.what), now)
        if _counts_training_steps(began, now):
            self.total = total


def _counts_training_steps(began: Progressed, now: Progressed) -> bool:
    """Whether the items of a loop are training steps, by its first event and a later one.

    `done` 400 with the training step 390 logged last keeps pace; `done` 2 (epochs) with the step
    800 does not, nor does a loop of which no step was logged.
    """
    if now.training_step is None:
        return False
    lag = now.done - now.training_step
    if not 0 <= lag <= max(1.0, _SHARE * now.done):
        return False
    items = now.done - began.done
    if items <= 0:
        return False
    first = began.training_step
    if first is None:
        first = began.done
    steps = now.training_step - first
    return abs(items - steps) <= max(1.0, _SHARE * items)
