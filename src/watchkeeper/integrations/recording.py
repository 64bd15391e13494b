"""Which run an integration records into: the user's open run, else a run of its own, which it
ends as well.

One training, one run, one folder. What another training records into is left to it, whether that
one is further out on the stack, in another thread, or never said its end.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import RunEnded
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.journal import encode_json
from watchkeeper.record.configuration.config import settings
from watchkeeper.record.display.cadence import Cadence
from watchkeeper.record.run import Run, open_runs
from watchkeeper.record.start import start_run
from watchkeeper.record.stopping.interrupts import Interrupted
from watchkeeper.record.writing.text_log import entered

FILE = "hyperparameters.json"
# the pipeline, and the folder's name, of figures that come when a training is over
EVALUATION = "evaluation"

_open: list[Recording] = []  # those whose own run is open
_begun: list[Recording] = []  # those that have begun and not ended, in whosever run
_folders: set[Path] = set()  # in which runs of our own were started


def users_run() -> Run | None:
    """The user's run that is open here: the innermost that this thread or task is
    within, else the last one that was started. A thread that is in none takes the only one there
    is. None: there is none, or a thread cannot tell which of several is meant.
    """
    ours = [other.run for other in list(_open) if other.own]
    runs: list[Run] = []
    for run in open_runs.in_order():
        if not any(run is one for one in ours):
            runs.append(run)
    here = [run for run_id in entered() for run in runs if run.run_id == run_id]
    if here:
        return here[-1]
    if len(runs) > 1 and threading.current_thread() is not threading.main_thread():
        return None
    if runs:
        return runs[-1]
    return None


class Recording:
    """What one callback records into, from `begin` to `end`.

    The run of the user's own `with wk.start_run(…)` is used where there is one that no other
    training records into, and only written to. Otherwise a run is started, and takes over the
    signals as a `with` would: a loop that looks at `asked` stops in good order, any other is
    stopped by the first signal, as without us. Nothing is printed: its log is in its folder.
    """

    def __init__(self, library: str, *, says_its_end: bool = True) -> None:
        """`says_its_end`: the library does so where all went well; otherwise the user has to, and
        may forget it.
        """
        self.own = False
        """Whether the run is ours, to be ended by us."""
        self._library = library
        self._says_its_end = says_its_end
        self._run: Run | None = None
        self._last: Run | None = None  # our own, that has ended
        self._refused = False
        self._is_running: Callable[[], bool] | None = None
        self._said: dict[str, Any] = {}
        self._written = b""  # hyperparameters, last
        self._cadence: Cadence | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Sent to another process or copied, it is one that has not begun."""
        return vars(Recording(self._library, says_its_end=self._says_its_end))

    @property
    def run(self) -> Run | None:
        """The run, while it is open."""
        run = self._run
        if run is None or run._recorder.has_ended:
            return None
        return run

    @property
    def is_wanted(self) -> bool:
        """Whether nothing has said that no run can be started."""
        return not self._refused

    @property
    def asked(self) -> bool:
        """Whether the run was asked to stop. Who looks here is trusted to stop."""
        run = self.run
        return run is not None and run.stop_requested

    def ask(self, why: str) -> None:
        """Ask the run to stop, unless it was asked: another process of the group was."""
        run = self.run
        if run is not None and not run.stop_requested:
            run.request_stop(why)
            _ = run.stop_requested  # heard

    def begin(
        self,
        folder: str | os.PathLike[str],
        *,
        pipeline: str = "training",
        config: Mapping[str, Any] | None = None,
        signals: bool = True,
        resumes: bool = False,
        is_running: Callable[[], bool] | None = None,
    ) -> Run | None:
        """The user's open run, or a new one in exactly this folder. Begun already, nothing
        happens. None: it could not be started, and is not tried again.

        `signals=False`: the library handles them itself. A second training of this process in the
        same folder goes to `FOLDER/training-2`, unless it `resumes` the first. `is_running` tells
        whether the library still works on it: what it no longer works on when another one begins
        has failed. None: that cannot be known.

        Raises:
            StorageError: the folder cannot be written to.
        """
        if self.run is not None or self._refused:
            return self.run
        _abandon_the_dead()
        self._is_running = is_running
        outer = users_run()
        if outer is not None and not any(other.run is outer for other in _begun):
            self._run, self.own = outer, False
            _begun.append(self)
            self.settings(config)
            return outer
        self._refused = True
        place = _place(Path(folder).absolute(), pipeline, resumes=resumes)
        start = partial(
            start_run, folder=place, pipeline=pipeline, console=False, handle_signals=signals
        )
        try:
            run = start(config=settings(config))
        except (
            UsageError
        ):  # a setting of theirs has the name of one of ours: `persist_step_outputs="maybe"`
            run = start(config={self._library: settings(config)})
        self._refused = False
        _folders.add(place)
        self._run, self.own, self._said, self._cadence = run, True, {}, None
        _open.append(self)
        _begun.append(self)
        run.__enter__()
        return run

    def follow(
        self,
        folder: str | os.PathLike[str],
        step: int | None,
        metrics: Mapping[str, Any],
        *,
        config: object = None,
    ) -> None:
        """Keep figures that come before or after a training: in the open run, else in one
        of their own, in `FOLDER/evaluation`, which names the training that they follow.

        Raises:
            StorageError: the folder cannot be written to.
        """
        run = self.run or users_run()
        if run is not None:
            run.log(step, **metrics)
            return
        place, fields = self._evaluation(Path(folder), config)
        with start_run(
            folder=place,
            pipeline=EVALUATION,
            config=fields,
            console=False,
            handle_signals=False,
            sidecar=False,
        ) as own:
            own.log(step, **metrics)

    def begin_evaluation(self, folder: str | os.PathLike[str], *, config: object = None) -> None:
        """Begin what keeps many rows of one evaluation outside of a training, in the same places as
        `follow`.

        Raises:
            StorageError: the folder cannot be written to.
        """
        place, fields = self._evaluation(Path(folder), config)
        self.begin(place, pipeline=EVALUATION, config=fields, signals=False, resumes=True)

    def _evaluation(self, folder: Path, config: object) -> tuple[Path, dict[str, Any]]:
        """The folder and configuration of a run that evaluates what the last training made."""
        last = self._last
        if last is None:
            return folder / EVALUATION, settings(config)
        return last.folder / EVALUATION, {
            **settings(config),
            "follows": {"run_id": last.run_id, "folder": str(last.folder)},
        }

    def settings(self, config: Mapping[str, Any] | None) -> None:
        """Keep hyperparameters that come when the run has begun: in `hyperparameters.json`, an
        output of the run.
        """
        run = self.run
        if run is None or not config:
            return
        self._said.update(settings(config))
        if run._recorder.records:
            data = encode_json(self._said) + b"\n"
            place = run._recorder.homes.put(FILE, data, partial(_is_ours, run, data, self._written))
            self._written = data
            run.output(place, what=f"hyperparameters, by {self._library}")

    def planned(
        self, total: int | None, *, log_every: int | None = None, eval_every: int | None = None
    ) -> None:
        """How many training steps there will be, and how often is logged and validated. The user's
        own word goes first.
        """
        run = self.run
        if run is not None and (run._display.status is None or run._display.status.total is None):
            if total is not None and total > 0:
                planned = total
            else:
                planned = None
            cadence = run.cadence(
                log_every=log_every, eval_every=eval_every, total=planned, max_share=None
            )
            if eval_every:
                self._cadence = cadence
            elif run._display.status is not None:
                run._display.status.full_share = None  # nobody measures it

    def passed(self, step: int) -> None:
        """This training step is completed: what its validation takes is measured until the next one
        is, so that the run's status can say how much of the time training has.
        """
        if self._cadence is not None:
            self._cadence.due(step)

    def end(self, error: BaseException | None = None) -> None:
        """End our own run: as finished, as interrupted where it was asked to stop, as failed with
        an error.

        Raises:
            Interrupted: it was asked to stop, and is ours: the process is to end, with the signal's
                code.
        """
        if self in _begun:
            _begun.remove(self)
        run = self.run
        if run is None or not self.own:
            return
        self._run, self.own = None, False
        if run._recorder.pipeline != EVALUATION:
            self._last = run
        _open.remove(self)
        run.__exit__(
            None if error is None else type(error),
            error,
            None if error is None else error.__traceback__,
        )

    def abandon(self, error: BaseException | None) -> None:
        """End our own run, of which nobody has said how it ended. Raises nothing.

        Without an `error` it was interrupted if a signal asked it to stop, and failed if its
        library would have said a good end, or if fewer steps were made than planned; else it is
        finished.
        """
        run = self.run
        if run is not None and error is None:
            if run._stops.interrupts.was_heard:
                error = SystemExit()
            elif self._says_its_end or self._is_short():
                error = RuntimeError(f"{self._library} did not come to its end")
        with contextlib.suppress(Interrupted):
            self.end(error)

    def _is_short(self) -> bool:
        """Whether fewer training steps were recorded than were planned; not, where none were."""
        if self._run is None:
            return False
        status = self._run._display.status
        if status is None or status.total is None:
            return False
        return (status.step or 0) < status.total


def _abandon_the_dead() -> None:
    """End what is known to be no longer worked on, and forget what has ended. Where nobody can say
    whether it is worked on, it stays.
    """
    for other in list(_begun):
        if other.run is None or other._is_running is None:
            continue
        if not other._is_running():
            other.abandon(None)
    _begun[:] = [other for other in _begun if other.run is not None]


def _place(folder: Path, pipeline: str, *, resumes: bool) -> Path:
    """The folder; another one below it where a run of ours was started in it before, by this
    process: `FOLDER/training-2`. A training that resumes shares its folder with the one before, if
    that has ended.
    """
    taken = {other.run.folder for other in _open if other.run is not None}
    is_free = folder not in _folders
    if is_free or (resumes and folder not in taken):
        return folder
    number = 2
    while (place := folder / f"{pipeline}-{number}") in _folders:
        number += 1
    return place


def _is_ours(run: Run, data: bytes, written: bytes, path: Path) -> bool:
    """Whether these hyperparameters are ours: what we wrote last, what we would write now, or an
    earlier run's output.
    """
    held = path.read_bytes()
    ends = of_kind(run._recorder.homes.events(), RunEnded)
    known = {output.sha256 for event in ends for output in event.outputs}
    return held in (data, written) or hashlib.sha256(held).hexdigest() in known


@atexit.register
def _at_exit() -> None:
    """Runs whose library did not say how it ended: by the exception that ends the process, where
    there is one.
    """
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    for recording in reversed(_open.copy()):
        with contextlib.suppress(Exception):
            recording.abandon(error if isinstance(error, BaseException) else None)
