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
        """Add one event, or one change that a poll saw: what `split_by_key` yields for this key.

        The events of one writer come in their order; those of several may come in any. An event of
        another kind changes nothing. Of two `intended` of one attempt, or two `submitted` of one
        job, the first counts: a second one is the same, written again by whoever took over.

        Of two verdicts on one attempt the later counts: a late exit record may change the first.
        """
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
        """Keep the newest word on a checkpoint, by its path: passports and sign-offs may be made
        again.
        """
        before = self.vouched.get(event.path)
        if before is None or event.time >= before.time:
            self.vouched[event.path] = event

    def _take_page(self, event: Synced) -> None:
        """Keep the newest page of an attempt's W&B run: a run may be synced again, and to another
        project.

        The team's page and the public copy are kept apart.
        """
        place = (event.attempt, event.public)
        before = self.synced.get(place)
        if before is None or event.time >= before.time:
            self.synced[place] = event

    def page_of(self, attempt: int, *, public: bool = False) -> str:
        """The address of an attempt's W&B run; "": it was not synced.

        `public` asks for the copy that a publication made, else it is the team's own page.
        """
        synced = self.synced.get((attempt, public))
        return synced.url if synced else ""

    def files(self) -> list[LogFile]:
        """List its run logs, oldest first: a change of purpose begins a new one.

        Empty: none was written yet. `first` of each is its lowest attempt, also where the journal
        tells of a later one first.
        """
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
        """Return the run log that continues this one. None: it is the newest.

        Of two logs that begin with the same attempt, neither continues the other.
        """
        for other in self.files():
            if other.first > file.first:
                return other
        return None

    def attempts_of(self, file: LogFile) -> range:
        """Return the numbers of the attempts that one of its run logs holds: from its first to the
        one before the next log's first. The newest log has no upper end.
        """
        successor = self.file_after(file)
        if successor is None:
            return range(file.first, _NO_LIMIT)
        return range(file.first, successor.first)

    def attempt_at(self, time: datetime) -> int:
        """Return the number of the newest attempt at this time. 1: there was none yet.

        A note that was written at that time belongs to this attempt.
        """
        newest = 1
        for number, intended in self.intended.items():
            if intended.time <= time:
                newest = max(newest, number)
        return newest

    def attempt_numbers(self) -> list[int]:
        """Return the numbers of all attempts, in order: also of those that the journal knows only
        by a submission or a verdict.
        """
        submitted = {number for number, _ in self.submitted}
        return sorted({*self.intended, *submitted, *self.judged})

    def submission_of(self, number: int) -> Submitted | None:
        """Return the first submission of an attempt. None: it was never submitted.

        A doubtful submission that was repeated may have more than one.
        """
        for (attempt, _), submission in self.submitted.items():
            if attempt == number:
                return submission
        return None

    def executions_of(self, number: int) -> list[Execution]:
        """Split an attempt into its executions: a job that waits again after it ran is started
        again.

            PENDING → RUNNING → PENDING → RUNNING → COMPLETED
            execution 0         execution 1, which has the verdict

        There is always one, also of an attempt that no poll has seen yet.
        """
        groups: list[list[Sight]] = [[]]
        for sight in self.sights:
            if sight.change.attempt != number:
                continue
            waits_again = sight.change.after == "PENDING" and _has_started(groups[-1])
            if waits_again:
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
        """Return the last exit code that an attempt's polls saw. None: they saw none.

        The wrapper's record knows the script's own code, and counts before the scheduler's.
        """
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
        """Collect what the machine has written into one of its run logs: the values of each field,
        the lines of Status, and what it has kept of a person's. Empty: it has written nothing
        there.
        """
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
    """Whether the scheduler gave a start in any of these changes."""
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
        """What the scheduler said of it at each change, newest first. Empty: no poll has seen
        it.
        """
        return [sight.change.facts for sight in reversed(self.sights)]

    @property
    def job_id(self) -> str:
        """The job's id, with the number of the restart: `70412`, `70412 (restart 1)`. "": not known
        yet.

        The last change names it; before any, the submission does.
        """
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
        """Where it ran, by the newest facts that name a node: `gpu-07`. "": not known.

        A scheduler forgets the node of a job that is over, so that older facts count as well.
        """
        for facts in self.newest_facts:
            if facts.node:
                return facts.node
        return ""

    @property
    def started(self) -> datetime | None:
        """When the scheduler started it, by the newest facts that say so. None: not known, as long
        as it waits, or where no poll saw it run.
        """
        for facts in self.newest_facts:
            if facts.started:
                return facts.started
        return None

    @property
    def begun(self) -> datetime | None:
        """When it was started, else submitted, else intended. None: none of them is known.

        A further execution was not submitted: it begins where a poll first saw it wait. The block
        of the job says this time as `submitted/start`.
        """
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
        """When it ended. None: it runs, or its first execution awaits a verdict.

        The scheduler's time, else that of the verdict, if it was seen to start at all. A later
        execution of the same attempt may end before there is a verdict: each requeue ends the one
        before.
        """
        if self.judged is None and not self.index:
            return None
        for facts in self.newest_facts:
            if facts.ended:
                return facts.ended
        if self.judged is not None and self.started is not None:
            return self.judged.time
        return None

    @property
    def runtime_s(self) -> float | None:
        """Seconds from its start to its end. None: one of them is not known, or they disagree.

        Both times are the scheduler's, where it gave them, so that clocks of two hosts rarely mix.
        """
        started, ended = self.started, self.ended
        if started is None or ended is None:
            return None
        if ended < started:
            return None
        return (ended - started).total_seconds()


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
        """The purpose of its first attempt. None: it has no attempt, or the journal no purpose."""
        if not self.attempts:
            return None
        return self.history.intended.get(self.attempts[0])

    @property
    def last_judged(self) -> Judged | None:
        """The verdict on its newest attempt. None: there is none yet."""
        if not self.attempts:
            return None
        return self.history.judged.get(self.attempts[-1])

    @property
    def last_with_wandb(self) -> Judged | None:
        """The verdict on the newest attempt that left a W&B run. None: no attempt left one.

        A retry that failed before it began to log must not hide the run of the attempt before.
        """
        for number in reversed(self.attempts):
            judged = self.history.judged.get(number)
            if judged is None or judged.learned is None:
                continue
            if judged.learned.wandb:
                return judged
        return None

    def path(self, path: str) -> str:
        """Turn a path of the journal, relative to the experiment, into one relative to the log's
        root.

        `r8/artifacts/epoch_1` becomes `experiments/digits/r8/artifacts/epoch_1` where the root is
        the repository. An absolute path stays as it is, and so does "".
        """
        if not path or not self.about.below:
            return path
        if path.startswith("/"):
            return path
        return posixpath.normpath(posixpath.join(self.about.below, path))

    def iso(self, time: datetime) -> str:
        """Write `2026-03-11T15:00:00Z`, or with the zone's offset: `2026-03-11T16:00:00+01:00`."""
        local = time.astimezone(self.zone).replace(microsecond=0)
        return local.isoformat().replace("+00:00", "Z")

    def human(self, time: datetime) -> str:
        """Write the date for people, in the log's zone: `Wednesday, Mar 11th, 2026`."""
        return human(time.astimezone(self.zone).date())

    def stamp(self, time: datetime) -> str:
        """Write `2026-03-11 15:00 UTC`, or with the offset where the zone has no letters:
        `2026-03-11 18:00 +03:00`. Lines of Status begin so.
        """
        local = time.astimezone(self.zone)
        zone = local.strftime("%Z")
        if not (zone.isalpha() and zone.isupper()):
            zone = local.isoformat()[-6:]
        return local.strftime("%Y-%m-%d %H:%M ") + zone


def split_by_key(event: AnyEvent | Unknown) -> Iterator[tuple[str, AnyEvent | Unknown | Sight]]:
    """Yield the keys that an event is about, each with what its `History` is fed.

    A `polled` is about each job that changed; most others are about one key. Nothing: an event that
    no run log shows, such as `leased`.
    """
    if isinstance(event, Polled):
        for change in event.changes:
            yield change.key, Sight(event.time, change)
    elif isinstance(event, _OF_ONE_KEY):
        yield event.key, event


def list_differences(before: Intended, after: Intended) -> list[str]:
    """List the script and configurations in which two attempts differ, by path: `["train.sh",
    "lr.yaml"]`. Empty: they do the same work.

    A difference starts a new run log. Requests to the scheduler and resume paths are no difference:
    `work_sha256` is a hash without them ("": an older event). Files that only one of the two has
    count.
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
    """Return the hash of a script as people wrote it, where the journal has it, else of the script
    that was submitted.
    """
    return intended.source_sha256 or intended.script_sha256


def describe_uncommitted(intended: Intended) -> str:
    """Say what ran that the commit does not hold: `not in the commit: train.py; kept with the
    attempt`. "": the commit holds all of it, or it is not known.
    """
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
    """Write the first names, and how many more there are: `a.py, b.py, c.py, d.py, e.py and 4
    more`.
    """
    listed = ", ".join(names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    if more > 0:
        return f"{listed} and {more} more"
    return listed


def shorten(text: str) -> str:
    """Put a text on one line, cut to 600 characters: a run log is read by people."""
    return " ".join(text.split())[:600]
