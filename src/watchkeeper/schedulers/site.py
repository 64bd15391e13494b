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


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What a scheduler takes from this user. None and empty: no limit, or nobody told.

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
        return [
            Problem(where=where, message=message, hint=hint, severity="warning")
            for found in (
                self._partition(head),
                self._time(head),
                self._account(head),
                self._array(head),
            )
            for message, hint in found
        ]

    def _wanted(self, head: Head) -> list[Partition]:
        if head.partition:
            names = head.partition.split(",")
        else:
            names = [one.name for one in self.partitions if one.is_default]
        return [one for one in self.partitions if one.name in names]

    def _partition(self, head: Head) -> Iterator[tuple[str, str]]:
        known = [one.name for one in self.partitions]
        for name in filter(None, head.partition.split(",") if known else ()):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = (
                    f"did you mean {near[0]!r}? " if near else ""
                ) + f"There are: {', '.join(known)}"
                yield f"there is no partition {name!r}", hint
        if known and not head.partition and not self._wanted(head):
            yield (
                "it names no partition, and there is no default one",
                f"write --partition={' or '.join(known)}",
            )
        wanted = self._wanted(head)
        if wanted and not any(one.up for one in wanted) and all(one.refuses for one in wanted):
            hint = "it is asked again for a day; `sinfo` says more"
            yield (
                (
                    f"partition {wanted[0].name} is drained or inactive: jobs are refused "
                    "until it is up again"
                ),
                hint,
            )
        elif wanted and not any(one.up for one in wanted):
            yield f"partition {wanted[0].name} is down: the job will wait", "`sinfo` says more"

    def _time(self, head: Head) -> Iterator[tuple[str, str]]:
        wanted = self._wanted(head)
        if not wanted:
            return
        if not head.has_time_limit:
            default = wanted[0].default_time_s or wanted[0].max_time_s
            if default:
                what = f"ends it after {clock(default)}"
            else:
                what = "sets no limit, and it may wait long for its start"
            yield f"it has no --time: partition {wanted[0].name} {what}", "write --time=HH:MM:SS"
        elif all(
            one.max_time_s is not None and (head.time_limit_s or 10**12) > one.max_time_s
            for one in wanted
        ):
            most = max(wanted, key=lambda one: one.max_time_s or 0)
            if head.time_limit_s:
                asked = clock(head.time_limit_s)
            else:
                asked = "no limit"
            message = (
                f"--time asks for {asked}, and partition {most.name} allows "
                f"{clock(most.max_time_s or 0)}"
            )
            longer = [
                one.name
                for one in self.partitions
                if (one.max_time_s or 10**12) >= (head.time_limit_s or 10**12)
            ]
            yield (
                message,
                f"partitions that allow it: {', '.join(longer)}"
                if longer
                else "no partition allows that much",
            )

    def _account(self, head: Head) -> Iterator[tuple[str, str]]:
        known = ", ".join(self.accounts)
        if (
            head.account
            and self.checks_accounts
            and self.accounts
            and head.account.lower() not in self.accounts
        ):
            yield f"account {head.account!r} is none of this user's", f"there are: {known}"
        elif not head.account and len(self.accounts) > 1:
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
