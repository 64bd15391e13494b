"""The looks at one scheduler that several watches share."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.errors import UnavailableError
from watchkeeper.schedulers.base import Scheduler, SharedLooks, Snapshot


class SharedLook:
    """One look at a scheduler at a time, for several watches: `look` asks about the jobs of all of
    them, and `poll` answers each of them from that.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._answers: dict[tuple[str, ...], Snapshot | UnavailableError] = {}

    def look(self, groups: Sequence[Sequence[str]]) -> None:
        """Ask about the jobs of each watch: a list of ids for each, which may be empty. A scheduler
        whose looks cost no commands is not asked here: `poll` does. One that does not answer does
        so for every watch.
        """
        self._answers = {}
        asked = [tuple(job_ids) for job_ids in groups if job_ids]
        if not asked or not isinstance(self._scheduler, SharedLooks):
            return
        try:
            self._answers = dict(zip(asked, self._scheduler.poll_groups(asked), strict=True))
        except UnavailableError as error:
            self._answers = dict.fromkeys(asked, error)

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """What the last `look` says of one watch's jobs, once; the scheduler itself is asked where
        it was not asked about them.

        Raises:
            UnavailableError: the scheduler could not be asked.
        """
        answer = self._answers.pop(tuple(job_ids), None)
        if answer is None:
            return self._scheduler.poll(job_ids)
        if isinstance(answer, UnavailableError):
            raise answer
        return answer
