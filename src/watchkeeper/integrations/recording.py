"""Which run an integration records into: the one that goes on, else one of its own, which it ends as well."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import RunEnded
from watchkeeper.core.journal import encode_json
from watchkeeper.record.cadence import Cadence
from watchkeeper.record.config import settings
from watchkeeper.record.interrupts import Interrupted
from watchkeeper.record.run import Run, current_run
from watchkeeper.record.start import start_run

FILE = "hyperparameters.json"

_open: list[Recording] = []  # those whose own run goes on


class Recording:
    """What one callback records into, from `begin` to `end`.

    The run of the user's own `with wk.start_run(…)` is used where there is one, and only written to. Otherwise a run is
    started, and takes over the signals as a `with` would: a loop that looks at `asked` stops in good order, any other is
    stopped by the first signal, as without us. Nothing is printed: its log is in its folder.
    """

    def __init__(self, library: str) -> None:
        self.own = False
        """Whether the run is ours, to be ended by us."""
        self._library = library
        self._run: Run | None = None
        self._refused = False
        self._said: dict[str, Any] = {}
        self._written = b""  # hyperparameters, last
        self._cadence: Cadence | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Sent to another process or copied, it is one that has not begun."""
        return vars(Recording(self._library))

    @property
    def run(self) -> Run | None:
        """The run, while it goes on."""
        run = self._run
        return None if run is None or run._hands.ended else run

    @property
    def asked(self) -> bool:
        """Whether the run was asked to stop. Who looks here is trusted to stop."""
        run = self.run
        return run is not None and run.should_stop

    def ask(self, why: str) -> None:
        """Ask the run to stop, unless it was asked: another process of the group was."""
        run = self.run
        if run is not None and not run.should_stop:
            run.ask_to_stop(why)
            _ = run.should_stop  # heard

    def begin(
        self,
        folder: str | os.PathLike[str],
        *,
        pipeline: str = "training",
        config: Mapping[str, Any] | None = None,
        anew: bool = False,
        signals: bool = True,
    ) -> Run | None:
        """The run that goes on, or a new one in exactly this folder. Begun already, nothing happens. `anew`: what this
        library began before never came to its end, and failed. `signals=False`: the library handles them itself. None: it
        could not be started, and is not tried again.

        Raises:
            StorageError: the folder cannot be written to.
        """
        if anew:
            self._refused = False
            for left in [other for other in _open if other._library == self._library]:
                left.abandon(None)
        if self.run is not None or self._refused:
            return self.run
        going = current_run()
        if going is not None:
            self._run, self.own = going, False
            self.settings(config)
            return going
        self._refused = True
        start = partial(start_run, folder=folder, pipeline=pipeline, console=False, handle_signals=signals)
        try:
            run = start(config=settings(config))
        except UsageError:  # a setting of theirs has the name of one of ours: `log_level="passive"`
            run = start(config={self._library: settings(config)})
        self._refused = False
        self._run, self.own, self._said, self._cadence = run, True, {}, None
        _open.append(self)
        run.__enter__()
        return run

    def settings(self, config: Mapping[str, Any] | None) -> None:
        """Keep hyperparameters that come when the run has begun: in `hyperparameters.json`, an output of the run."""
        run = self.run
        if run is None or not config:
            return
        self._said.update(settings(config))
        if run._records:
            data = encode_json(self._said) + b"\n"
            place = run._homes.put(FILE, data, partial(_is_ours, run, data, self._written))
            self._written = data
            run.output(place, what=f"hyperparameters, by {self._library}")

    def planned(self, total: int | None, *, log_every: int | None = None, eval_every: int | None = None) -> None:
        """How many training steps there will be, and how often is logged and validated. The user's own word goes first."""
        run = self.run
        if run is not None and (run._status is None or run._status.total is None):
            planned = total if total is not None and total > 0 else None
            cadence = run.cadence(log_every=log_every, eval_every=eval_every, total=planned, max_share=None)
            if eval_every:
                self._cadence = cadence
            elif run._status is not None:
                run._status.full_share = None  # nobody measures it

    def passed(self, step: int) -> None:
        """This training step is completed: what its validation takes is measured until the next one is."""
        if self._cadence is not None:
            self._cadence.due(step)

    def end(self, error: BaseException | None = None) -> None:
        """End our own run: as finished, as interrupted where it was asked to stop, as failed with an error.

        Raises:
            Interrupted: it was asked to stop, and is ours: the process is to end, with the signal's code.
        """
        run = self.run
        if run is None or not self.own:
            return
        self._run, self.own = None, False
        _open.remove(self)
        run.__exit__(None if error is None else type(error), error, None if error is None else error.__traceback__)

    def abandon(self, error: BaseException | None) -> None:
        """End our own run, of which nobody has said how it ended. Raises nothing."""
        run = self.run
        if run is not None and error is None:
            asked = run._interrupts.asked and run._interrupts.heard
            error = SystemExit() if asked else RuntimeError(f"{self._library} did not come to its end")
        with contextlib.suppress(Interrupted):
            self.end(error)


def _is_ours(run: Run, data: bytes, written: bytes, path: Path) -> bool:
    """Whether these hyperparameters are ours: what we wrote last, what we would write now, or an earlier run's output."""
    held = path.read_bytes()
    events = (event for own in run._homes.events().values() for event in own if isinstance(event, RunEnded))
    known = {output.sha256 for event in events for output in event.outputs}
    return held in (data, written) or hashlib.sha256(held).hexdigest() in known


@atexit.register
def _at_exit() -> None:
    """Runs whose library did not say how it ended: by the exception that ends the process, where there is one."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for recording in reversed(_open.copy()):
        with contextlib.suppress(Exception):
            recording.abandon(error if isinstance(error, BaseException) else None)
