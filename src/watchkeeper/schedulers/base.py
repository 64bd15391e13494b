"""What a scheduler is to Watchkeeper: four methods, and states with Slurm's names.

Every scheduler is a `Scheduler`. The one that a person's commands work with is a `SubmitHost` too.
One whose jobs run on other machines also has `RemoteNodes`: what depends on it is asked for by
`remote_shell` and `proves_claim`. One that is asked by commands has `SharedLooks`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.sbatch_head import Head
from watchkeeper.schedulers.shell import Shell
from watchkeeper.schedulers.site import Site

# Slurm's job states (squeue(1), JOB STATE CODES) that no longer change.
TERMINAL = frozenset(
    {
        "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED",
        "BOOT_FAIL", "DEADLINE",
    }
)  # fmt: skip
COMPLETING = "COMPLETING"
UNKNOWN = "UNKNOWN"


def number_of(job_id: str) -> str:
    """The number that a job's claim holds: `17` for `17;two`, a job on the cluster `two`."""
    return job_id.partition(";")[0]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A submission: an absolute wrapper to run in an absolute folder. The wrapper's file name
    carries the attempt's token, and its head the user's own #SBATCH lines.

    `after`: the ids of jobs that must have ended, well or not, before this one starts. `array`: the
    tasks to run of an array, "" for all that its head names.
    """

    wrapper: Path
    folder: Path
    name: str
    token: str
    after: tuple[str, ...] = ()
    array: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted job. `exact` is the command that submitted it."""

    job_id: str
    exact: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look at some jobs. `query` says in words how the scheduler was asked.

    `facts`: job id → what the scheduler reports, for each job that it knows. A missing job is
    unknown to it, which proves nothing until `Scheduler.visibility_lag_s` has passed. `tokens`: job
    id → the token of its wrapper, where the scheduler reports it; schedulers reuse ids, so an id
    alone identifies no job. `silent`: which part of the scheduler did not answer, and why; "": all
    of it answered.
    """

    query: str
    facts: Mapping[str, SchedulerFacts]
    tokens: Mapping[str, str] = {}
    silent: str = ""


class Scheduler(Protocol):
    """Runs jobs. Each method returns or raises within its own time limits."""

    @property
    def name(self) -> str:
        """`local`, `slurm`, … as written in claims and logs."""
        ...

    @property
    def visibility_lag_s(self) -> float:
        """How many seconds a submitted job, or a file written on a node, may stay invisible. 0: no
        time, and no job is started again on another node.
        """
        ...

    def submit(self, job: Job) -> Receipt:
        """Submit the job, once.

        Raises:
            RefusedError: it was refused; no job exists.
            BusyError: the scheduler takes no job now; no job exists.
            DoubtError: no answer came; a job may exist. Its subclass UnreachedError: the scheduler
                was not reached.
            UnavailableError: the scheduler could not be asked; no job exists.
        """
        ...

    def find(self, token: str) -> Sequence[str]:
        """The ids of all jobs whose wrapper carries the token, ended ones included, oldest first.

        Raises:
            UnavailableError: the scheduler could not be asked.
        """
        ...

    def poll(self, job_ids: Sequence[str]) -> Snapshot:
        """Look at these jobs.

        Raises:
            UnavailableError: the scheduler could not be asked.
        """
        ...

    def cancel(self, job_id: str) -> None:
        """Request the job's end, as `scancel` does. An ended or unknown job is ignored.

        Raises:
            UnavailableError: the scheduler could not be asked.
        """
        ...


class SubmitHost(Scheduler, Protocol):
    """A scheduler, seen from where people submit: their commands, and what the site allows them."""

    @property
    def options(self) -> Sequence[str]:
        """The options that it puts before every script, and that outweigh the script's own."""
        ...

    def submit_words(self, script: str) -> str:
        """How a person would submit this script: `sbatch finetune.slurm`."""
        ...

    def exact_words(self, job: Job, head: Head) -> str:
        """The command by which `submit` would submit this job; `head` is its script's.

        Raises:
            RefusedError: it would be refused before the scheduler is asked.
        """
        ...

    def site(self) -> Site:
        """What it allows this user. Never raises: what could not be found out is named there."""
        ...


@runtime_checkable
class RemoteNodes(Protocol):
    """What a scheduler needs whose jobs run on other machines than the watcher."""

    @property
    def far(self) -> Shell | None:
        """The shell that reads files which only the cluster's own machines see; None where all
        files are visible here.
        """
        ...

    def proves_claim(self, folder: Path) -> bool:
        """Whether a claim below this folder is known to have one holder only, across all nodes."""
        ...


@runtime_checkable
class SharedLooks(Protocol):
    """What a scheduler needs for which each look costs commands."""

    def poll_groups(self, groups: Sequence[Sequence[str]]) -> list[Snapshot]:
        """Look once at several groups of jobs: for each group what `poll` would say of it alone.

        Raises:
            UnavailableError: the scheduler could not be asked.
        """
        ...


@runtime_checkable
class KeepsRecords(Protocol):
    """A scheduler that keeps records of its jobs on this user's disk until they are released."""

    def release(self, tokens: Collection[str]) -> Collection[str]:
        """Remove the records of the jobs whose wrappers carry these tokens. Their ends are in a
        journal that is on the disk. Returns the tokens of which something is kept: a job of theirs
        has not ended, or cannot be removed yet.
        """
        ...


def remote_shell(scheduler: Scheduler) -> Shell | None:
    """The shell that reads files which only the scheduler's machines see; None where all files are
    visible here.
    """
    if isinstance(scheduler, RemoteNodes):
        return scheduler.far
    return None


def proves_claim(scheduler: Scheduler, folder: Path) -> bool:
    """Whether a claim below this folder is known to have one holder only. It always has where all
    jobs run on this machine: one kernel makes all hard links.
    """
    if isinstance(scheduler, RemoteNodes):
        return scheduler.proves_claim(folder)
    return True
