"""The time limits of one run, and what is written down of work that exceeds one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from watchkeeper.core.events import Number, TimedOut
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.stopping.limits import Limit, Limits, Overrun
from watchkeeper.runfolder.values import number, text


class Overruns:
    """The time limits of one run."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        training_step: Callable[[], Number | None],
        count: Callable[[], None],
    ) -> None:
        """`training_step` returns the step that the loop is at; `count` counts one time-out."""
        self.limits = Limits(self._on_overrun, recorder.warn)
        self._recorder = recorder
        self._training_step = training_step
        self._count = count

    def limit(self, seconds: object, *, isolate: bool, name: str) -> Limit:
        """A limit around one piece of work; see `Run.limit`."""
        if name:
            name = text(name)
        return Limit(self.limits, self._seconds(seconds), isolate=isolate, name=name)

    def _seconds(self, given: object) -> float:
        """The limit in seconds, 0 for no limit."""
        seconds = number(0 if given is None else given)
        if not isinstance(seconds, int | float) or seconds < 0:
            self._recorder.warn(
                "limit",
                f"a limit of {text(given)} s is none: what it is around may take any time",
            )
            return 0.0
        return float(seconds)

    def _on_overrun(self, overrun: Overrun) -> None:
        """Limited work did not end in time: in the thread that did it, after it."""
        step = self._training_step()
        self._recorder.write(
            TimedOut,
            what=overrun.what,
            limit_s=overrun.limit_s,
            elapsed_s=round(overrun.elapsed_s, 6),
            how=overrun.how,
            training_step=step,
            stack=overrun.stack,
        )
        self._count()
        at = ""
        if step is not None:
            at = f" at step {step}"
        exceeded = f"exceeded {overrun.limit_s:g}s"
        if overrun.how == "died":
            exceeded = "died"
        outcome = _outcome(overrun)
        self._recorder.say(
            logging.WARNING, "TIMEOUT: %s %s%s: %s", overrun.what, exceeded, at, outcome
        )


def _outcome(overrun: Overrun) -> str:
    """What became of the work, in words."""
    if overrun.how == "interrupted":
        return "it was left, and its result is None"
    if overrun.how == "killed":
        return "its process was killed, and its result is None"
    if overrun.how == "died":
        return f"{overrun.stack}, and its result is None"
    return (
        f"nothing could break into it, and it took {overrun.elapsed_s:.1f} s; "
        "isolate=True would stop it"
    )
