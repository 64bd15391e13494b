"""What an experiment's attempts have used so far, from the journal and the scripts as submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.journal import Clock
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, AttemptId, State
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.resources import request_of
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.watch import budget
from watchkeeper.watch.budget import Budget, Used


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a job asked for: GPUs of all its tasks together, and a time limit (None: none)."""

    gpus: int = 0
    limit_s: int | None = None


class Use(NamedTuple):
    """The GPU-seconds of one attempt, and how its time is known: as in `_Took`."""

    attempt: Attempt
    gpu_s: float
    source: str


class _Took(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job ran, and how that is known: `said`, or by its `limit`, or by the `clock`."""

    seconds: float
    source: str = "said"


class Spending:
    """The use of one experiment against a person's budget (None: there is none). `options` are what
    the site puts before every script.
    """

    def __init__(
        self, folder: Path, limit: Budget | None, options: Sequence[str], clock: Clock
    ) -> None:
        self.limit = limit
        self._folder = folder
        self._options = options
        self._clock = clock
        self._asked: dict[AttemptId, _Asked] = {}

    def spent(self, state: State) -> str:
        """What of the budget is used up, in words; "": nothing is, or there is none."""
        if self.limit is None:
            return ""
        return budget.spent(self.limit, self.used(state))

    def describe(self, state: State) -> str:
        """What was used and what is left, in words; "" without a budget."""
        if self.limit is None:
            return ""
        return budget.describe(self.limit, self.used(state))

    def used(self, state: State) -> Used:
        """What all attempts that had a job have used until now. Attempts whose time is not said are
        named: by their time limit, or by the clock since they were submitted, which may be more
        than they used.
        """
        gpu_s = 0.0
        guessed: dict[str, list[str]] = {"limit": [], "clock": []}
        for use in self.uses(state):
            gpu_s += use.gpu_s
            if use.source != "said":
                guessed[use.source].append(use.attempt.key)
        return Used(
            gpu_s=gpu_s,
            jobs=sum(len(attempt.submissions) for attempt in state.attempts()),
            by_limit=tuple(guessed["limit"]),
            by_clock=tuple(guessed["clock"]),
        )

    def uses(self, state: State) -> Iterator[Use]:
        """The use of each attempt that had a job with GPUs, until now. A job of 4 GPUs that ran for
        an hour has 14,400 GPU-seconds.
        """
        now = self._clock()
        for attempt in state.attempts():
            asked = self._asked_by(attempt)
            if not attempt.submissions or not asked.gpus:
                continue
            took = _took(attempt, asked.limit_s, now)
            yield Use(attempt, asked.gpus * took.seconds, took.source)

    def _asked_by(self, attempt: Attempt) -> _Asked:
        """What an attempt asked for; nothing before its first job. It is read once: an attempt's
        script and options are fixed.
        """
        name = (attempt.key, attempt.number)
        if name not in self._asked and attempt.submissions:
            self._asked[name] = self._read(attempt)
        return self._asked.get(name, _Asked())

    def _read(self, attempt: Attempt) -> _Asked:
        """What the journal says that the attempt asked for. Of one that an older version submitted,
        its own copy of the script says so; nothing where that is gone.

        Of an array each task has the GPUs: `--gpus 1` in an array of 8 is 8, as if all ran at a
        time.
        """
        tasks = 1
        if attempt.array:
            tasks = arrays.count_of(attempt.array)
        if attempt.intended is not None and attempt.intended.asked:
            request = request_of(attempt.intended.asked)
            return _Asked(gpus=request.gpus_in_all * tasks, limit_s=request.limit_s)
        script = attempt_folder(self._folder, attempt.key, attempt.number) / "script"
        try:
            source = read_whole(script)
        except OSError:
            return _Asked()
        head = read_head(source, beside=self._options)
        return _Asked(gpus=head.gpus_in_all * tasks, limit_s=head.time_limit_s)


def _took(attempt: Attempt, limit_s: int | None, now: datetime) -> _Took:
    """How long the attempt's job has had its GPUs, by the best source that there is: the verdict,
    then the scheduler's start and end, then the time limit (None: it has none), then the clock. A
    job that still waits has had none. `now` is aware, and ends a job that runs.
    """
    judged = attempt.judged
    if judged is not None and judged.elapsed_s is not None:
        return _Took(seconds=judged.elapsed_s)
    started = said_end = None
    if attempt.seen is not None:
        started, said_end = attempt.seen.facts.started, attempt.seen.facts.ended
    if judged is None and started is None and attempt.state == "PENDING":
        return _Took(seconds=0.0)
    # The verdict comes later than the end: it stands for an end that the scheduler did not say.
    ended = now
    if said_end is not None:
        ended = said_end
    elif judged is not None:
        ended = judged.time
    is_end_known = judged is None or said_end is not None
    if started is not None and is_end_known:
        return _Took(seconds=max((ended - started).total_seconds(), 0.0))
    if limit_s is not None:
        return _Took(seconds=limit_s, source="limit")
    submitted = min(one.time for one in attempt.submissions.values())
    return _Took(seconds=max((ended - submitted).total_seconds(), 0.0), source="clock")
