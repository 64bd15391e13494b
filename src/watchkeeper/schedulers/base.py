"""What a scheduler is to Watchkeeper: four methods, and states with Slurm's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.schedulers.sbatch_head import Head
from watchkeeper.schedulers.shell import Shell
from watchkeeper.schedulers.site import Site

# Slurm's job states (squeue(1), JOB STATE CODES) that no longer change.
TERMINAL = frozenset(
    {
        "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE",
    }
)  # fmt: skip
COMPLETING = "COMPLETING"
UNKNOWN = "UNKNOWN"


def number_of(job_id: str) -> str:
    """A job's own number, which its claim holds: `17` of `17;two`, a job at the cluster `two`."""
    return job_id.partition(";")[0]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is handed to a scheduler: an absolute wrapper to run in an absolute folder. The
    wrapper's file name carries the attempt's token, and its head the user's own #SBATCH lines.
    `after`: ids of jobs that must have ended, however they did, before it starts; `array`: only
    these tasks of an array, "" for all that its head names.
    """

    wrapper: Path
    folder: Path
    name: str
    token: str
    after: tuple[str, ...] = ()
    array: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The scheduler has the job. `exact` is the command really run."""

    job_id: str
    exact: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look. `facts` holds every job that the scheduler knows of those asked for; one that is
    missing there is unknown to it, which proves nothing before `Scheduler.visibility_lag_s` has
    passed. `tokens` says, where the scheduler tells, which token a job's wrapper carries:
    schedulers use ids again, so an id alone names no job. `query` is the look in words. `silent`
    says which part of the scheduler did not answer, and why ("": all did).
    """

    query: str
    facts: Mapping[str, SchedulerFacts]
    tokens: Mapping[str, str] = {}
    silent: str = ""


class Scheduler(Protocol):
    """Who decides when a job starts. Every method may take as long as its own timeouts, none
    longer.
    """

    @property
    def name(self) -> str:
        """`local`, `slurm`, … as written in claims and logs."""
        ...

    @property
    def visibility_lag_s(self) -> float:
        """How long a submitted job, or a file written on a node, may stay invisible, in seconds."""
        ...

    @property
    def far(self) -> Shell | None:
        """The shell by which files are read that only the scheduler's own machines see; None where
        all are here.
        """
        ...

    def submit_words(self, script: str) -> str:
        """How a person would submit this script: `sbatch finetune.slurm`."""
        ...

    def exact_words(self, job: Job, head: Head) -> str:
        """The command by which `submit` would hand this job over; `head` is its script's.

        Raises:
            RefusedError: it would be refused before anybody is asked.
        """
        ...

    def proves_claim(self, folder: Path) -> bool:
        """Whether a claim below this folder is known to be held once only, also between nodes."""
        ...

    def site(self) -> Site:
        """What it takes from this user. Never raises: what does not answer is named there."""
        ...

    def submit(self, job: Job) -> Receipt:
        """Hand the job over, once.

        Raises:
            RefusedError: it was refused; no job exists.
            BusyError: not now; no job exists.
            DoubtError: no answer; a job may exist. UnreachedError, a kind of it: nobody was
                reached.
            UnavailableError: the scheduler could not be asked; no job exists.
        """
        ...

    def find(self, token: str) -> Sequence[str]:
        """The ids of all jobs, ended ones included, whose wrapper carries the token, oldest first.

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
        """Ask for the job's end, as `scancel` does. An ended or unknown job is ignored.

        Raises:
            UnavailableError: the scheduler could not be asked.
        """
        ...
