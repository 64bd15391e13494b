"""The run log of a command that `exec` records, as a submitted script has one.

It is made before the command starts, and brought up when it has ended. What a person writes into it
meanwhile stays. Where it cannot be written the command runs all the same. The log of an `exec` that
was killed is completed by the next one of that name there, from what was recorded.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core import journal, layout, processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.ownership import foreign_link
from watchkeeper.core.disk.tails import end_of_file
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import (
    Change,
    ExitRecord,
    Intended,
    Judged,
    Learned,
    Outcome,
    Published,
    RunEnded,
    RunStarted,
    SchedulerFacts,
    Synced,
)
from watchkeeper.core.events.choose import all_of, of_kind, with_code
from watchkeeper.core.text import lazy
from watchkeeper.core.text.redaction import redact, redact_words
from watchkeeper.core.text.zones import zone_of
from watchkeeper.publish.wandb.belonging import ids_of, segments_of
from watchkeeper.publish.wandb.offline import version_in
from watchkeeper.reading import arguments
from watchkeeper.report.compose import splice
from watchkeeper.report.compose.compose import compose
from watchkeeper.report.compose.history import About, History, Sight
from watchkeeper.report.compose.page import Change as Printed
from watchkeeper.report.compose.page import Page, Written, print_page
from watchkeeper.report.runlog.document import decode, encode
from watchkeeper.watch.logs.log_files import root_of
from watchkeeper.watch.logs.run_log_folder import read_log
from watchkeeper.watch.outcome import learned
from watchkeeper.watch.outcome.losses import Tried

_MOST_OF_ONE_NAME = 1000
_TRIES = 3  # of an edit, while a person edits the same page
_SCRIPTS = (".py", ".sh")
_STDERR = "logs/stderr.log"
_EXECUTION = lazy.pattern(r"^- execution_id: (\S+)\s*$", re.MULTILINE)
_CONFIG = {"command", "cwd"}  # of the runs that `exec` records
_MOST_COMPLETED = 20  # of the newest logs of one name
_GONE = "the `exec` that recorded it is gone and wrote no end: how the command ended is not known"
_END_BYTES = 16_384
_STATES: dict[str, tuple[Outcome, str]] = {
    "finished": ("done", "COMPLETED"),
    "interrupted": ("cancelled", "CANCELLED"),
}


class Command(NamedTuple):
    """What is run: its words, the name of its runs, and the folder in which it begins."""

    words: Sequence[str]
    name: str
    workdir: Path


class CommandLog:
    """The run log of one command. `path` is None until it is made, and where it could not be;
    `fault` then says why, "" where none is kept.
    """

    def __init__(self, command: Command, run: Path, setting: str | None) -> None:
        """`run` is the folder of the recorded run, `setting` is `run_logs`."""
        self.path: Path | None = None
        self.fault = ""
        self._command = command
        self._run = run
        self._root = root_of(command.workdir, setting)
        self._written = Written({}, set(), {})

    def open(self) -> None:
        """Make the log, under a name that is free. Raises nothing."""
        self._guard(self._make)

    def close(self) -> None:
        """Bring the log up to the run's end. Raises nothing."""
        if self.path is not None:
            self._guard(self._bring_up)

    def _guard(self, work: Callable[[], None]) -> None:
        """Do `work`; what it raises is the log's `fault`, and does not reach the command."""
        try:
            work()
        except (StorageError, OSError) as error:
            self.fault = str(error)
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error}"

    def _make(self) -> None:
        """Make the log, under the first name that is free. Nothing is made where no folder was
        found for it, nor for a command that is a job: that one's log is its watcher's.
        """
        started, _ = self._events()
        if self._root is None or started is None or started.attempt:
            return  # the run log of a job is its watcher's
        page = self._page()
        for path in self._names(started.time):
            link = foreign_link(path)
            if link is not None:
                self.fault = f"{path} lies behind {link}, a link that another user made"
                return
            change = print_page(page)
            files.make_folder(path.parent)
            if files.create(path, encode(change.text)):
                self.path = path
                self._written = _written_by(change)
                return

    def _names(self, started: datetime) -> Iterator[Path]:
        """The names for the log, best first."""
        assert self._root is not None
        day = started.astimezone(zone_of(journal.local_zone())).date().isoformat()
        task = _task_of(self._command)
        yield self._root / f"{day}_{task}.md"
        for number in range(2, _MOST_OF_ONE_NAME):
            yield self._root / f"{day}_{task}-{number}.md"

    def _bring_up(self) -> None:
        """Write what is new into the log. One that changes meanwhile is read again, a few times."""
        assert self.path is not None
        page = self._page()
        for _ in range(_TRIES):
            data, faults = read_log(self.path)
            if data is None or faults:
                self.fault = f"{self.path}: {faults[0][2] if faults else 'it cannot be read'}"
                return
            text = decode(data)
            change = splice.splice(text, page, self._written)
            if files.replace_unchanged(self.path.resolve(), data, encode(change.text)):
                return
        self.fault = f"{self.path} changes all the time, and is left as it is"

    def _page(self) -> Page:
        """The whole page of the log, as it would be written now."""
        started, ended = self._events()
        assert started is not None
        history = History()
        for event in self._history(started, ended):
            history.feed(event)
        return compose(history, self._about(), journal.local_zone())

    def _events(self) -> tuple[RunStarted | None, RunEnded | None]:
        """The newest start that the run's journal has, and the end of it."""
        started, ended = None, None
        events = all_of(journal.read(self._run / layout.JOURNAL).events)
        for event in events:
            if isinstance(event, RunStarted) and (started is None or event.time >= started.time):
                started, ended = event, None
            elif isinstance(event, RunEnded) and started and event.writer == started.writer:
                ended = event
        return (with_code(started, events) if started else None), ended

    def _about(self) -> About:
        """What the page says beside the events: the command as it was typed, without secrets, and
        its script, if it names one.
        """
        assert self._root is not None
        top = self._root.parent
        words = redact_words(self._command.words)
        typed = f"watchkeeper exec --name {shlex.quote(self._command.name)} -- {shlex.join(words)}"
        script = self._script()
        description = settings = ""
        if script:
            settings = arguments.words_of(words[words.index(script) + 1 :])
        else:
            description = shlex.join(words)
        return About(
            task=self._command.name,
            description=description,
            settings=settings,
            root=str(top),
            host=processes.host(),
            below=os.path.relpath(self._run, top),
            script=os.path.relpath(self._command.workdir / script, top) if script else "",
            command=typed,
            again=typed,
        )

    def _script(self) -> str:
        """The script that the command runs, as it is typed; "" for none."""
        words = (word for word in self._command.words if word.endswith(_SCRIPTS))
        return next((word for word in words if (self._command.workdir / word).is_file()), "")

    def _history(
        self, started: RunStarted, ended: RunEnded | None
    ) -> Iterator[Intended | Sight | Judged | Synced | Published]:
        """The run as the events of a job: it is its own first attempt."""
        name, writer = self._command.name, started.writer
        yield Intended(
            time=started.time,
            writer=writer,
            seq=0,
            key=name,
            phase="preparation",
            attempt=1,
            token="",
            script=self._script(),
            script_sha256=next(iter(started.code.values()), ""),
            git_sha=started.git_sha,
            git_branch=started.git_branch,
            git_dirty=started.git_dirty,
            git_fault=started.git_fault,
            code=started.code,
            uncommitted=started.uncommitted,
            args=tuple(redact_words(self._command.words)),
        )
        facts = SchedulerFacts(state="RUNNING", started=started.time, node=processes.host())
        yield Sight(started.time, self._change(started, "PENDING", facts))
        if ended is None:
            return
        outcome, state = _STATES.get(ended.status, ("failed", "FAILED"))
        facts = SchedulerFacts(
            state=state, started=started.time, ended=ended.time, node=processes.host()
        )
        code = ended.totals.get("exit_code")
        record = None
        if isinstance(code, int):
            record = ExitRecord(job_id=started.run_id, exit_code=code)
        yield Sight(ended.time, self._change(started, "RUNNING", facts, record))
        yield Judged(
            time=ended.time,
            writer=writer,
            seq=1,
            key=name,
            phase="preparation",
            attempt=1,
            outcome=outcome,
            state=state,
            why="" if outcome == "done" else self._why(ended),
            learned=self._learned(),
        )

    def _learned(self) -> Learned:
        """What the run left to say of itself, with the W&B run that ran beside it: none where there
        were several.
        """
        left = learned.of(self._run, [Tried(recorder=self._run)], [])
        segments = [one for own in segments_of(self._run).values() for one in own]
        folders = [os.path.relpath(one.path.parent, self._run) for one in segments]
        if len(ids_of(segments)) != 1:
            return left
        return msgspec.structs.replace(
            left,
            wandb=folders[-1],
            wandb_earlier=tuple(folders[:-1]),
            wandb_version=version_in(segments[-1].path.parent),
        )

    def _why(self, ended: RunEnded) -> str:
        """The last line on the command's standard error; where it wrote none, how it ended."""
        output = end_of_file(self._run / _STDERR, _END_BYTES).decode("utf-8", "replace")
        lines = output.strip().splitlines() or ended.error.strip().splitlines()
        return redact("".join(lines[-1:]).strip())

    def _change(
        self,
        started: RunStarted,
        before: str,
        facts: SchedulerFacts,
        record: ExitRecord | None = None,
    ) -> Change:
        """A change of the command's state, as a poll would have seen it of a job."""
        return Change(
            key=self._command.name,
            phase="preparation",
            attempt=1,
            job_id=started.run_id,
            before=before,
            after=facts.state,
            facts=facts,
            exit_record=record,
        )


class _LeftLog(CommandLog):
    """The run log of a command whose `exec` is gone without an end."""

    def __init__(self, command: Command, run: Path, root: Path, started: RunStarted) -> None:
        super().__init__(command, run, None)
        self._root = root
        self._started = started
        self._is_over = False

    def complete(self, path: Path) -> None:
        """Say in the log at `path` that the run has no end. Raises nothing."""
        self.path = path
        self._guard(self._complete)

    def _complete(self) -> None:
        """Write that the recording broke off into a log that its own process cannot complete any
        more.
        """
        self._written = _written_by(print_page(self._page()))  # as it was made
        self._is_over = True
        self._bring_up()

    def _events(self) -> tuple[RunStarted | None, RunEnded | None]:
        """The start of the run. Its end was never written."""
        return self._started, None

    def _history(
        self, started: RunStarted, ended: RunEnded | None
    ) -> Iterator[Intended | Sight | Judged | Synced | Published]:
        """The events of a run whose process is gone: as of any other, and at the end a verdict that
        its outcome is unknown.
        """
        yield from super()._history(started, ended)
        if self._is_over:
            yield Judged(
                time=_last_sign(self._run, started),
                writer=started.writer,
                seq=1,
                key=self._command.name,
                phase="preparation",
                attempt=1,
                outcome="unknown",
                state="UNKNOWN",
                why=_GONE,
                learned=learned.of(self._run, [Tried(recorder=self._run)], []),
            )


class _EndedLog(CommandLog):
    """The run log of a command that has ended, and whose W&B run was synced or whose checkpoint was
    published since.
    """

    def __init__(self, command: Command, run: Path, root: Path) -> None:
        super().__init__(command, run, None)
        self._root = root
        self._shared: Sequence[Synced | Published] = ()

    def show_pages(self, path: Path) -> None:
        """Put the pages of what was shared into the log at `path`. Raises nothing."""
        self.path = path
        self._guard(self._show_pages)

    def _show_pages(self) -> None:
        """Write the pages that were published of the run into its log, which is complete
        otherwise.
        """
        self._written = _written_by(print_page(self._page()))  # as it was at the end
        events = journal.read(self._run / layout.JOURNAL).events
        self._shared = [*of_kind(events, Synced), *of_kind(events, Published)]
        self._bring_up()

    def _history(
        self, started: RunStarted, ended: RunEnded | None
    ) -> Iterator[Intended | Sight | Judged | Synced | Published]:
        """The events of the run, and those of its publication, as if the one attempt of a job had
        them.
        """
        yield from super()._history(started, ended)
        for event in self._shared:
            yield msgspec.structs.replace(event, key=self._command.name, attempt=1)


def show_pages(run: Path, setting: str | None) -> bool:
    """Put the pages of what a command left, and what was shared since, into its run log; False
    where it has none, or it cannot be written. `run` is the folder of the recorded run, `setting`
    is `run_logs`.
    """
    starts = of_kind(journal.read(run / layout.JOURNAL).events, RunStarted)
    started = max(starts, key=lambda event: event.time, default=None)
    if started is None or started.config.keys() != _CONFIG:
        return False
    workdir = Path(started.config["cwd"])
    root = root_of(workdir, setting)
    if root is None or not root.is_dir():
        return False
    log = _EndedLog(Command(started.config["command"], started.pipeline, workdir), run, root)
    for path in sorted(root.glob("*.md")):
        data, _ = read_log(path)
        if data is not None and _EXECUTION.findall(decode(data)) == [started.run_id]:
            log.show_pages(path)
            return not log.fault
    return False


def complete_left(command: Command, run: Path, setting: str | None) -> None:
    """Complete the logs of earlier commands of this name here whose `exec` is gone without an end.
    They were recorded beside `run`, or in it. What cannot be read or written stays as it is.
    """
    root = root_of(command.workdir, setting)
    if root is None or not root.is_dir():
        return
    task = re.escape(_task_of(command))
    names = re.compile(rf"\d{{4}}-\d\d-\d\d_{task}(?:-\d+)?\.md")
    paths = sorted(path for path in root.iterdir() if names.fullmatch(path.name))
    for path in paths[-_MOST_COMPLETED:]:
        log = _left_log(command.name, path, run, root)
        if log is not None:
            log.complete(path)


def _left_log(name: str, path: Path, run: Path, root: Path) -> _LeftLog | None:
    """The log at `path`, where it is of a command whose `exec` is gone; None for any other."""
    data, faults = read_log(path)
    if data is None or faults:
        return None
    ids = _EXECUTION.findall(decode(data))
    if len(ids) != 1 or _GONE in decode(data):
        return None
    for folder in (run.parent / ids[0], run):
        started = _left_start(folder, ids[0])
        if started is not None:
            words, workdir = started.config["command"], Path(started.config["cwd"])
            return _LeftLog(Command(words, name, workdir), folder, root, started)
    return None


def _left_start(run: Path, run_id: str) -> RunStarted | None:
    """The start of this command in the folder of a run, where its process is gone and has written
    no end; None for anything else, also where that cannot be determined from here.
    """
    if not (run / layout.JOURNAL).is_dir():
        return None
    read = journal.read(run / layout.JOURNAL, is_evidence=True)
    lives = journal.unsealed(read)
    ended = {event.writer for event in of_kind(read.events, RunEnded)}
    for event in of_kind(read.events, RunStarted):
        if event.run_id == run_id and event.writer not in ended:
            is_left = lives.get(event.writer) is False and event.config.keys() == _CONFIG
            return event if is_left else None
    return None


def _last_sign(run: Path, started: RunStarted) -> datetime:
    """When the run last showed a sign of life: its last event, or output."""
    times = [event.time for event in all_of(journal.read(run / layout.JOURNAL).events)]
    for path in (run / "logs").glob("std*.log"):
        times.append(datetime.fromtimestamp(path.stat().st_mtime, UTC))
    return max(times, default=started.time)


def _task_of(command: Command) -> str:
    """The name of a command's runs as part of a file's name."""
    return re.sub(r"[^\w.@+=-]+", "_", command.name).strip("._") or "run"


def _written_by(change: Printed) -> Written:
    """What a page that was printed has of the machine's own."""
    fields = {name: {value} for name, value in change.fields.items()}
    return Written(fields, set(change.lines), {})
