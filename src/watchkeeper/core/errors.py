"""What can go wrong.

    WatchkeeperError              something failed; exit code 1
    ├── UsageError                bad input or a wrong call; exit code 2
    │   ├── ExperimentError       the experiment folder cannot be planned
    │   └── NewerJournalError     a later version wrote the journal, in a form that this one would
    misread
    ├── StorageError              a file could not be written (nothing acknowledged is lost) or read
    │   └── NotAWriterError       this process does not own the file (a fork, a closed writer)
    └── SchedulerError            the scheduler said no, or nothing
        ├── RefusedError          it said no: the job does not exist
        ├── BusyError             it said "later": limits, or temporarily unable; the job does not
        exist
        ├── DoubtError            it did not say: the job may exist
        │   └── UnreachedError    it says that it reached nobody: the job may exist if it had tried
        before
        └── UnavailableError      it could not be asked; exit code 4

An exception stops a command. A finding about the user's data or cluster does not: it is a
`Problem`, returned as a value, so that one bad run out of 5,000 costs one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DETACHED = 3
EXIT_UNKNOWN = 4


class WatchkeeperError(Exception):
    """Something failed. The message says what failed, on which run or file, and what to type next.

    `code` is a short name that stays the same, for programs; `next` is the command that helps, as
    its words, None where there is none or the hint alone says it.
    """

    exit_code: ClassVar[int] = EXIT_FAILED
    code: str = "failed"

    def __init__(
        self,
        message: str = "",
        *,
        hint: str = "",
        code: str = "",
        next: Sequence[str] | None = None,
    ) -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])
        self.hint = hint
        self.code = code or type(self).code
        self.next = tuple(next) if next is not None else None


class UsageError(WatchkeeperError):
    """The command or its input is wrong."""

    exit_code = EXIT_USAGE
    code = "bad-input"


class ExperimentError(UsageError):
    """The experiment cannot be planned; `problems` says what is wrong, each with its place."""

    code = "bad-experiment"

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class NewerJournalError(UsageError):
    """A later version of Watchkeeper wrote the journal, in a form that this one would misread."""

    code = "newer-journal"


class StorageError(WatchkeeperError):
    """A file could not be written, or a disk refused twice to read it."""

    code = "storage"


class NotAWriterError(StorageError):
    """This process does not own the file: it was forked from the owner, or the file is closed."""

    code = "not-a-writer"


class SchedulerError(WatchkeeperError):
    """The scheduler could not do what was asked."""

    code = "scheduler"


class UnsignedError(WatchkeeperError):
    """A checkpoint from elsewhere was to be used, and nobody has signed it."""

    code = "unsigned-checkpoint"


class RefusedError(SchedulerError):
    """The scheduler refused the job: it does not exist."""

    code = "submission-refused"


class BusyError(SchedulerError):
    """The scheduler takes no more jobs at present: the job does not exist; ask again later."""

    code = "scheduler-busy"


class DoubtError(SchedulerError):
    """The scheduler did not answer in time: the job may exist."""

    code = "submission-in-doubt"


class UnreachedError(DoubtError):
    """The submitting command reached nobody. Sites wrap it, and a wrapper may have tried before:
    look for the job first.
    """

    code = "scheduler-unreached"


class UnavailableError(SchedulerError):
    """The scheduler could not be asked."""

    exit_code = EXIT_UNKNOWN
    code = "scheduler-unavailable"


Severity = Literal["error", "warning", "note"]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finding about the user's data or cluster.

    `where` is a path (with `:line:column` where known), a run's key, or a command; `hint` is what
    to do, "" if nothing. `error` keeps the run it names from being submitted, `warning` may explain
    a surprise, `note` is information. `code` is a short name that stays the same, "" where there is
    none yet; `next` is the command that helps, as its words, None for none.
    """

    where: str
    message: str
    hint: str = ""
    severity: Severity = "error"
    code: str = ""
    next: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """In one line: `warning: train.sh:3: it names no output (add --output)`."""
        hint = ""
        if self.hint:
            hint = f" ({self.hint})"
        return f"{self.severity}: {self.where}: {self.message}{hint}"
