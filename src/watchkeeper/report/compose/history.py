"""The journal of one piece of work, as the questions that its run logs ask. Pure.

    events of one key  →  History  →  LogView (what one of its run logs shows)  →  its Executions

Format source: the run-log document. A job block is an execution: a resubmission, a resumption or a
requeue adds one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from watchkeeper.core.events import (
    AnyEvent,
    Assessed,
    Change,
    Documented,
    Intended,
    Judged,
    Noted,
    Phase,
    Polled,
    Published,
    Rejected,
    SchedulerFacts,
    Submitted,
    Synced,
    Unknown,
    Vouched,
)
from watchkeeper.report.compose.page import Written
from watchkeeper.report.runlog.dates import human

WELL = ("done", "failed but good")
MOST_NAMES = 5  # names of files that one note lists
_NO_LIMIT = 2**31  # above the number of any attempt
_OF_ONE_KEY = (
    Intended, Submitted, Rejected, Assessed, Judged, Documented, Noted, Vouched, Synced, Published,
)  # fmt: skip


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What people said about a piece of work. "": nothing was said.

    Paths are as the log shows them; `command` continues the work, and `again` tries it again after
    a failure ("": `command` with `--retry-failed`). `dataset_facts` is what else is
    known of the dataset, `settings` is what varies between the runs, `controls` what is the same
    in all of them. The log's paths are relative to `root`, which lies on the machine `host`;
    `below` is the experiment's folder, relative to `root`. `expected` is each criterion on the
    evaluations that the log shows, and what came of it.
    """

    task: str
    description: str = ""
    run_type: str = ""
    objective: str = ""
    dataset: str = ""
    dataset_facts: str = ""
    settings: str = ""
    controls: str = ""
    root: str = ""
    host: str = ""
    below: str = ""
    script: str = ""
    command: str = ""
    again: str = ""
    expected: str = ""


class Sight(msgspec.Struct, frozen=True):
    """A change that a poll saw, and when."""

    time: datetime
    change: Change


class LogFile(msgspec.Struct, frozen=True):
    """A run log of this work: its path, the first attempt in it, and whether someone else began
    it.
    """

    path: str
    first: int
    continued: bool = False


class History(msgspec.Struct):
    """The events of one key. Feed each of them once, whichever writer it comes from."""

    phase: Phase = "preparation"
    intended: dict[int, Intended] = {}
    submitted: dict[tuple[int, str], Submitted] = {}
    rejected: list[Rejected] = []
    sights: list[Sight] = []
    assessed: list[Assessed] = []
    judged: dict[int, Judged] = {}
    documented: list[Documented] = []
    notes: list[tuple[datetime, str]] = []
    vouched: dict[str, Vouched] = {}
    synced: dict[tuple[int, bool], Synced] = {}
    """By the attempt, and whether it is the public copy."""
    published: list[Published] = []

    def feed(self, event: AnyEvent | Unknown | Sight) -> None:
        """Add one event, or one change that a poll saw."""
        if isinstance(event, Sight):
            self.sights.append(event)
        elif isinstance(event, Intended):
            self.phase = event.phase
            self.intended.setdefault(event.attempt, event)
        elif isinstance(event, Submitted):
            self.phase = event.phase
            self.submitted.setdefault((event.attempt, event.job_id), event)
        elif isinstance(event, Rejected):
            self.rejected.append(event)
        elif isinstance(event, Assessed):
            self.assessed.append(event)
        elif isinstance(event, Judged):
            self.judged[event.attempt] = event
        elif isinstance(event, Documented):
            self.documented.append(event)
        elif isinstance(event, Noted):
            self.notes.append((event.time, event.text))
        elif isinstance(event, Vouched):
            self._take_word(event)
        elif isinstance(event, Synced):
            self._take_page(event)
        elif isinstance(event, Published):
            self.published.append(event)

    def _take_word(self, event: Vouched) -> None:
        """Keep the newest word on a checkpoint, by its path."""
        before = self.vouched.get(event.path)
        if before is None or event.time >= before.time:
            self.vouched[event.path] = event

    def _take_page(self, event: Synced) -> None:
        """Keep the newest page of an attempt's W&B run."""
        place = (event.attempt, event.public)
        before = self.synced.get(place)
        if before is None or event.time >= before.time:
            self.synced[place] = event

    def page_of(self, attempt: int, *, public: bool = False) -> str:
        """The address of an attempt's W&B run; "": it was not synced."""
        synced = self.synced.get((attempt, public))
        return synced.url if synced else ""

    def files(self) -> list[LogFile]:
        """List its run logs, oldest first: a change of purpose begins a new one."""
        files: dict[str, LogFile] = {}
        for event in self.documented:
            file = files.get(event.path)
            if file is None:
                # A log that the machine begins has fields from its first event on.
                file = LogFile(event.path, event.attempt, continued=not event.fields)
            first = min(file.first, event.attempt)
            files[event.path] = msgspec.structs.replace(file, first=first)
        return sorted(files.values(), key=lambda file: (file.first, file.path))

    def file_after(self, file: LogFile) -> LogFile | None:
        """Return the run log that continues this one. None: it is the newest."""
        for other in self.files():
            if other.first > file.first:
                return other
        return None

    def attempts_of(self, file: LogFile) -> range:
        """Return the numbers of the attempts that one of its run logs holds."""
        successor = self.file_after(file)
        if successor is None:
            return range(file.first, _NO_LIMIT)
        return range(file.first, successor.first)

    def attempt_at(self, time: datetime) -> int:
        """Return the number of the newest attempt at this time. 1: there was none yet."""
        before = (n for n, intended in self.intended.items() if intended.time <= time)
        return max(before, default=1)

    def attempt_numbers(self) -> list[int]:
        """Return the numbers of all attempts, in order."""
        submitted = {number for number, _ in self.submitted}
        return sorted({*self.intended, *submitted, *self.judged})

    def submission_of(self, number: int) -> Submitted | None:
        """Return the first submission of an attempt. None: it was never submitted."""
        for (attempt, _), submission in self.submitted.items():
            if attempt == number:
                return submission
        return None

    def executions_of(self, number: int) -> list[Execution]:
        """Split an attempt into its executions: a job that waits again after it ran is started
        again.
        """
        groups: list[list[Sight]] = [[]]
        for sight in self.sights:
            if sight.change.attempt != number:
                continue
            if sight.change.after == "PENDING" and _has_started(groups[-1]):
                groups.append([])
            groups[-1].append(sight)
        executions = []
        for index, sights in enumerate(groups):
            is_last = index == len(groups) - 1
            executions.append(
                Execution(
                    number=number,
                    index=index,
                    sights=sights,
                    intended=self.intended.get(number),
                    submission=self.submission_of(number),
                    judged=self.judged.get(number) if is_last else None,
                )
            )
        return executions

    def exit_code_of(self, number: int) -> int | None:
        """Return the last exit code that an attempt's polls saw. None: they saw none."""
        code = None
        for sight in self.sights:
            change = sight.change
            if change.attempt != number:
                continue
            if change.exit_record is not None:
                code = change.exit_record.exit_code
            elif change.facts.exit_code is not None:
                code = change.facts.exit_code
        return code

    def written(self, path: str) -> Written:
        """Collect what the machine has written into one of its run logs."""
        written = Written({}, set(), {})
        for event in self.documented:
            if event.path != path:
                continue
            for field, value in event.fields.items():
                written.fields.setdefault(field, set()).add(value)
            written.lines.update(event.lines)
            written.kept.update(event.kept)
        return written


def _has_started(sights: list[Sight]) -> bool:
    return any(sight.change.facts.started for sight in sights)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an attempt's job.

    `number` is the attempt's, `index` counts its executions from 0. `intended` and `submission` are
    the attempt's; None: the journal has none. `judged` is its verdict; None: it has none yet, or a
    later execution has it.
    """

    number: int
    index: int
    sights: list[Sight]
    intended: Intended | None
    submission: Submitted | None
    judged: Judged | None

    @property
    def name(self) -> str:
        """`2` for the first execution of attempt 2, `2.2` for its second one."""
        if self.index:
            return f"{self.number}.{self.index + 1}"
        return str(self.number)

    @property
    def newest_facts(self) -> list[SchedulerFacts]:
        """What the scheduler said of it, newest first."""
        return [sight.change.facts for sight in reversed(self.sights)]

    @property
    def job_id(self) -> str:
        """The job's id, with the number of the restart. "": not known yet."""
        job_id = ""
        if self.sights:
            job_id = self.sights[-1].change.job_id
        if not job_id and self.submission is not None:
            job_id = self.submission.job_id
        if job_id and self.index:
            return f"{job_id} (restart {self.index})"
        return job_id

    @property
    def node(self) -> str:
        """Where it ran. "": not known."""
        nodes = (facts.node for facts in self.newest_facts if facts.node)
        return next(nodes, "")

    @property
    def started(self) -> datetime | None:
        """When the scheduler started it. None: not known."""
        starts = (facts.started for facts in self.newest_facts if facts.started)
        return next(starts, None)

    @property
    def begun(self) -> datetime | None:
        """When it was started, else submitted, else intended. None: none of them is known."""
        if self.started is not None:
            return self.started
        if self.index and self.sights:
            return self.sights[0].time
        if self.submission is not None:
            return self.submission.time
        if self.intended is not None:
            return self.intended.time
        return None

    @property
    def ended(self) -> datetime | None:
        """When it ended. None: it runs, or its first execution awaits a verdict."""
        if self.judged is None and not self.index:
            return None
        ends = (facts.ended for facts in self.newest_facts if facts.ended)
        end = next(ends, None)
        if end is None and self.judged is not None and self.started is not None:
            return self.judged.time
        return end

    @property
    def runtime_s(self) -> float | None:
        """Seconds from its start to its end. None: one of them is not known, or they disagree."""
        if self.started is None or self.ended is None or self.ended < self.started:
            return None
        return (self.ended - self.started).total_seconds()


class LogView:
    """The part of a history that one run log shows, and how the log writes paths and times.

    `file` is the run log; None: the only one, or one that is to be made. `attempts` are the numbers
    of its attempts, in order, `executions` all of theirs. `successor` is the run log that continues
    it; None: it is the newest. `continued`: someone else began it.
    """

    def __init__(
        self, history: History, about: About, zone: ZoneInfo, file: LogFile | None
    ) -> None:
        self.history = history
        self.about = about
        self.zone = zone
        self.successor = None
        shown = range(1, _NO_LIMIT)
        if file is not None:
            self.successor = history.file_after(file)
            shown = history.attempts_of(file)
        self.attempts = [number for number in history.attempt_numbers() if number in shown]
        self.executions: list[Execution] = []
        for number in self.attempts:
            self.executions += history.executions_of(number)
        self.is_evaluation = history.phase == "evaluation"
        self.continued = file is not None and file.continued

    @property
    def first_intended(self) -> Intended | None:
        """The purpose of its first attempt. None: the journal has none."""
        if self.attempts:
            return self.history.intended.get(self.attempts[0])
        return None

    @property
    def last_judged(self) -> Judged | None:
        """The verdict on its newest attempt. None: there is none yet."""
        if self.attempts:
            return self.history.judged.get(self.attempts[-1])
        return None

    @property
    def last_with_wandb(self) -> Judged | None:
        """The verdict on the newest attempt that left a W&B run. None: no attempt left one."""
        for number in reversed(self.attempts):
            judged = self.history.judged.get(number)
            if judged is not None and judged.learned is not None and judged.learned.wandb:
                return judged
        return None

    def path(self, path: str) -> str:
        """Turn a path of the journal, relative to the experiment, into one relative to the log's
        root.
        """
        if not path or not self.about.below or path.startswith("/"):
            return path
        return posixpath.normpath(posixpath.join(self.about.below, path))

    def iso(self, time: datetime) -> str:
        """Write `2026-03-11T15:00:00Z`, or with the zone's offset."""
        local = time.astimezone(self.zone).replace(microsecond=0)
        return local.isoformat().replace("+00:00", "Z")

    def human(self, time: datetime) -> str:
        """Write the date for people: `Wednesday, Mar 11th, 2026`."""
        return human(time.astimezone(self.zone).date())

    def stamp(self, time: datetime) -> str:
        """Write `2026-03-11 15:00 UTC`, or with the offset where the zone has no letters."""
        local = time.astimezone(self.zone)
        zone = local.strftime("%Z")
        if not (zone.isalpha() and zone.isupper()):
            zone = local.isoformat()[-6:]
        return local.strftime("%Y-%m-%d %H:%M ") + zone


def split_by_key(event: AnyEvent | Unknown) -> Iterator[tuple[str, AnyEvent | Unknown | Sight]]:
    """Yield the keys that an event is about, each with what its `History` is fed."""
    if isinstance(event, Polled):
        for change in event.changes:
            yield change.key, Sight(event.time, change)
    elif isinstance(event, _OF_ONE_KEY):
        yield event.key, event


def list_differences(before: Intended, after: Intended) -> list[str]:
    """List the script and configurations in which two attempts differ. Empty: they do the same
    work.
    """
    if before.work_sha256 and before.work_sha256 == after.work_sha256:
        return []
    differences = []
    if _script_of(before) != _script_of(after):
        differences.append(after.script)
    for name in sorted(before.configs.keys() | after.configs.keys()):
        if before.configs.get(name) != after.configs.get(name):
            differences.append(name)
    return differences


def _script_of(intended: Intended) -> str:
    """Return the hash of a script as people wrote it, where the journal has it."""
    return intended.source_sha256 or intended.script_sha256


def describe_uncommitted(intended: Intended) -> str:
    """Say what ran that the commit does not hold. "": the commit holds all of it."""
    notes = []
    if intended.git_dirty:
        notes.append("with uncommitted changes")
    if intended.uncommitted:
        notes.append(f"not in the commit: {list_names(intended.uncommitted)}")
    if not notes:
        return ""
    if intended.token:  # a command of `exec` has none: what it ran beside the commit is not kept
        notes.append("kept with the attempt")
    return "; ".join(notes)


def list_names(names: tuple[str, ...]) -> str:
    """Write the first names, and how many more there are."""
    listed = ", ".join(names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    if more > 0:
        return f"{listed} and {more} more"
    return listed


def shorten(text: str) -> str:
    """Put a text on one line, cut to 600 characters."""
    return " ".join(text.split())[:600]
