"""What a cluster allows, and what of a script's wishes it does not: found before a job waits for
ever, or is refused.

Only a warning is ever drawn from it: a site's own plugins may route or rewrite a job, so the
scheduler has the last word.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.text.figures import clock
from watchkeeper.schedulers import arrays
from watchkeeper.schedulers.sbatch_head import Head


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """One partition. `max_time_s`: None for no limit. `default_time_s`: what a job that asks for
    none gets, None for the maximum. `refuses`: it is drained or inactive, and takes no job before
    it is up again.
    """

    name: str
    is_default: bool
    up: bool
    refuses: bool = False
    max_time_s: int | None
    default_time_s: int | None

    def allows(self, limit_s: int | None) -> bool:
        """Whether a job may have this time limit, in seconds; None asks for no limit."""
        if self.max_time_s is None:
            return True
        return limit_s is not None and limit_s <= self.max_time_s


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler takes from this user. None and empty: no limit, or it is not known.

    `options` go before every script. `max_array`: one more than the highest task number.
    `max_submit`: the most jobs queued or running at a time. `accounts`: those that the user may
    charge; `default_account` is charged where none is named. `accounting`: whether ended jobs are
    remembered; where not, they are forgotten after `forgets_s`. `checks_accounts`: whether a job on
    another account is refused. `unasked`: what could not be found out, and why. `remarks`: what a
    person should know of where jobs go.
    """

    version: str = ""
    options: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()
    max_array: int | None = None
    max_submit: int | None = None
    accounts: tuple[str, ...] = ()
    default_account: str = ""
    accounting: bool = True
    checks_accounts: bool = False
    forgets_s: int | None = None
    unasked: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def problems(self, head: Head, where: str) -> list[Problem]:
        """What of a script's head this site does not allow, or will decide by itself; `where` names
        the script.
        """
        findings = (
            *self._partition(head),
            *self._time(head),
            *self._account(head),
            *self._array(head),
        )
        return [
            Problem(where=where, message=message, hint=hint, severity="warning", code="hazard")
            for message, hint in findings
        ]

    def _chosen(self, head: Head) -> list[Partition]:
        """The partitions that the job may run on."""
        if not head.partition:
            return [partition for partition in self.partitions if partition.is_default]
        names = head.partition.split(",")
        return [partition for partition in self.partitions if partition.name in names]

    def _partition(self, head: Head) -> Iterator[tuple[str, str]]:
        if not self.partitions:
            return
        known = [partition.name for partition in self.partitions]
        for name in head.partition.split(","):
            if name and name not in known:
                yield f"there is no partition {name!r}", _near(name, known)
        chosen = self._chosen(head)
        if chosen:
            yield from _closed(chosen)
        elif not head.partition:
            message = "it names no partition, and there is no default one"
            yield message, f"write --partition={' or '.join(known)}"

    def _time(self, head: Head) -> Iterator[tuple[str, str]]:
        chosen = self._chosen(head)
        if not chosen:
            return
        if not head.has_time_limit:
            default_s = chosen[0].default_time_s or chosen[0].max_time_s
            if default_s:
                effect = f"ends it after {clock(default_s)}"
            else:
                effect = "sets no limit, and it may wait long for its start"
            message = f"it has no --time: partition {chosen[0].name} {effect}"
            yield message, "write --time=HH:MM:SS"
        elif not any(partition.allows(head.time_limit_s) for partition in chosen):
            yield self._too_long(head.time_limit_s, chosen)

    def _too_long(self, limit_s: int | None, chosen: list[Partition]) -> tuple[str, str]:
        most = max(chosen, key=lambda partition: partition.max_time_s or 0)
        wanted = "no limit"
        if limit_s:
            wanted = clock(limit_s)
        message = (
            f"--time asks for {wanted}, and partition {most.name} allows "
            f"{clock(most.max_time_s or 0)}"
        )
        longer = [partition.name for partition in self.partitions if partition.allows(limit_s)]
        if longer:
            return message, f"partitions that allow it: {', '.join(longer)}"
        return message, "no partition allows that much"

    def _account(self, head: Head) -> Iterator[tuple[str, str]]:
        known = ", ".join(self.accounts)
        if head.account:
            if not self.checks_accounts or not self.accounts:
                return
            if head.account.lower() in self.accounts:
                return
            yield f"account {head.account!r} is none of this user's", f"there are: {known}"
        elif len(self.accounts) > 1:
            if self.default_account:
                charged = f"{self.default_account!r} is charged"
            else:
                charged = "there is no default one"
            yield f"it has no --account: {charged}", f"write --account=NAME; there are: {known}"

    def _array(self, head: Head) -> Iterator[tuple[str, str]]:
        if not head.array or self.max_array is None:
            return
        try:
            highest = max(arrays.numbers_of(head.array), default=0)
        except ValueError:
            return
        tasks = len(list(arrays.numbers_of(head.array)))
        if self.max_submit is not None and tasks > self.max_submit:
            message = (
                f"--array has {tasks} tasks, each of them counts as a job, and you may have "
                f"{self.max_submit} at a time"
            )
            yield message, "split the array: sbatch would never take it"
        if highest >= self.max_array:
            yield (
                f"--array names task {highest}, and this cluster takes 0 to {self.max_array - 1}",
                "split the array",
            )


def _near(name: str, known: list[str]) -> str:
    """The hint for a partition that is not known."""
    hint = f"There are: {', '.join(known)}"
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}? {hint}"
    return hint


def _closed(chosen: list[Partition]) -> Iterator[tuple[str, str]]:
    """Says so where no partition that the job may run on is up."""
    if any(partition.up for partition in chosen):
        return
    name = chosen[0].name
    if all(partition.refuses for partition in chosen):
        message = f"partition {name} is drained or inactive: jobs are refused until it is up again"
        yield message, "it is asked again for a day; `sinfo` says more"
    else:
        yield f"partition {name} is down: the job will wait", "`sinfo` says more"
