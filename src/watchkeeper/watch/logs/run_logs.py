"""The Markdown run logs of an experiment, kept by whoever watches it.

A log is made when its run is about to be submitted, never later; its path is journalled first, so
that a death in between makes no second one. From then on the leading watcher brings it up whenever
the journal says something new of its run. A file that changed while it was edited is read again at
the next turn. A log that cannot be read or written never stops a watch: this is logged once, and
the journal keeps what the log lacks.

The parts: `said` (what a person says of the runs), `histories` (the journal by key), `about` (what
a log says beside the events), `log_files` (reading and changing pages), `run_log_indexes` (the
timelines and the table).
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.core.events import (
    Answered,
    AnyEvent,
    Documented,
    Intended,
    Observed,
    RunItem,
    Unknown,
)
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.layout import workdir_of
from watchkeeper.core.text.zones import zone_of
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import same_work
from watchkeeper.reading import configs
from watchkeeper.report.compare.prior import fingerprint
from watchkeeper.report.compose import compose, splice
from watchkeeper.report.compose import page as pages
from watchkeeper.report.compose.history import About, History, LogFile, list_differences
from watchkeeper.report.compose.page import Page
from watchkeeper.report.runlog import read
from watchkeeper.report.runlog.document import decode, encode, parse
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import DATED
from watchkeeper.watch.logs import continued, unheeded
from watchkeeper.watch.logs.about import Descriptions
from watchkeeper.watch.logs.continued import Work
from watchkeeper.watch.logs.histories import Histories
from watchkeeper.watch.logs.log_files import LogFiles
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.logs.run_log_folder import read_log
from watchkeeper.watch.logs.run_log_indexes import Indexes, LogUpdate
from watchkeeper.watch.logs.said import Said

_MOST_OF_ONE_NAME = 1000
_NEVER = datetime.max.replace(tzinfo=UTC)


def rebuild(experiment: Experiment, setting: str | None, clock: Clock = utc_now) -> int:
    """Splice the machine's fields into every run log of an experiment again. Returns how many logs
    there are.

    Raises:
        StorageError: the journal cannot be written.
    """
    logbook = Logbook(experiment.folder, "rebuild", lambda event: None, clock, time.monotonic)
    try:
        book = RunBook(experiment, logbook, setting)
        return book.bring_up_all()
    finally:
        logbook.close()


class RunBook:
    """The run logs of one experiment. Feed it every event of the journal; `open` and `bring_up`
    write. `setting` is `run_logs`, `said` what a person says of the runs.
    """

    def __init__(
        self,
        experiment: Experiment,
        logbook: Logbook,
        setting: str | None,
        said: Said | None = None,
    ) -> None:
        self._experiment = experiment
        self._logbook = logbook
        self._said = said or Said()
        self._items = {item.key: item for item in experiment.items}
        self._files = LogFiles(experiment.folder, setting, logbook)
        self._histories = Histories(experiment.items, self._files.path_of)
        self._descriptions = Descriptions(experiment, self._said, self._files, self._histories)
        self._indexes = Indexes(self._files, self._histories, self._descriptions)
        # Task → logs that were there before, newest first; None: not looked for yet.
        self._others: dict[str, list[Path]] | None = None
        for events in logbook.journal.events.values():
            self.feed(events)
        if self._said.log is not None:
            self._check_continued(self._said.log)

    def feed(self, events: Iterable[AnyEvent | Unknown]) -> None:
        """Take events of the journal, each of them once."""
        self._histories.feed(events)

    def _check_continued(self, log: Path) -> None:
        """Refuse to continue a log that lies elsewhere, or is another run's of this experiment.

        Raises:
            UsageError: it is such a log.
        """
        refusal = self._files.refusal(Path(os.path.abspath(log)))  # noqa: PTH100 - links stay
        if refusal:
            raise UsageError(
                f"--continue {log}: {refusal}", hint="move it into the folder of the run logs"
            )
        for key, history in self._histories.by_key.items():
            if self._is_log_of(log, history) and not self._is_chosen(key):
                raise UsageError(
                    f"--continue {log}: it is the log of {key}",
                    hint=f"choose that run: --runs {key}",
                )

    def _is_log_of(self, log: Path, history: History) -> bool:
        """Whether a file is one of the logs of this work."""
        return any(_same_file(self._files.path_of(file.path), log) for file in history.files())

    def _is_chosen(self, key: str) -> bool:
        """Whether what was said on the command line holds for a key: `--runs` chooses by the names
        of runs, and without it all are meant.
        """
        if self._said.runs is None:
            return True
        item = self._items.get(key)
        return item is not None and fnmatchcase(item.run, self._said.runs)

    def remember(self, answers: Said) -> None:
        """Keep what a person answered: it holds for logs that are made later too."""
        self._logbook.write(
            Answered,
            mode=answers.mode,
            objective=answers.objective,
            dataset=answers.dataset,
            group=answers.group,
        )

    @property
    def folders(self) -> list[Path]:
        """Where the run logs of this experiment lie: each folder once, sorted; [] before there is a
        log.
        """
        return sorted({path.parent for path in self._histories.logs})

    def log_of(self, key: str) -> str:
        """The path of a key's run log that was last written to, from the experiment's folder; "":
        it has none.
        """
        documented = self._histories.of(key).documented
        if not documented:
            return ""
        return documented[-1].path

    def unheeded(self) -> list[Problem]:
        """List what the command line says of runs whose log is there already, and which that log
        will not show.
        """
        said = self._said
        group = task = ""
        if said.group:
            group = _safe(said.group)
        if said.task:
            task = _safe(said.task)
        options = {
            "--objective": said.objective,
            "--mode": said.mode,
            "--dataset": said.dataset,
            "--set": ", ".join(said.settings),
            "--group": group,
            "--task": task,
        }
        problems: list[Problem] = []
        for key, history in self._histories.by_key.items():
            item = self._items.get(key)
            if item is None or not self._is_chosen(key) or not history.files():
                continue
            if not self._begins_another(item, history):
                problems += self._unheeded_by(history, options)
        return problems

    def _unheeded_by(self, history: History, options: dict[str, str]) -> Iterable[Problem]:
        """What the options say that the log of this work does not take, since it says otherwise
        already.
        """
        file = history.files()[-1]
        path = self._files.path_of(file.path)
        data, faults = read_log(path)
        if data is None or faults:
            return ()
        shown = os.path.relpath(path, self._files.folder.parent)
        written = history.written(file.path)
        return unheeded.of_log(path, shown, parse(decode(data)), written, options)

    def _begins_another(self, item: RunItem, history: History) -> bool:
        """Whether a further attempt would begin another log, since its script or configuration was
        changed.
        """
        last = history.intended.get(max(history.intended, default=0))
        if last is None or not last.work_sha256 or not item.script:
            return False
        script = self._experiment.folder / item.script
        try:
            files_of = configs.files_of(script, self._experiment.workdir_of(item))
            kept = {
                configs.name_of(path, self._experiment.folder): files.read_whole(path)
                for path in files_of
            }
            work = same_work.fingerprint(files.read_whole(script), kept, item.args)
            return work != last.work_sha256
        except OSError:
            return False

    # ── making one

    def open(self, intended: Intended) -> None:
        """Make the log of an attempt that is about to be submitted, unless it belongs into one that
        is there.
        """
        item = self._items.get(intended.key)
        if item is None or self._files.is_off:
            return
        history = self._histories.of(intended.key)
        history.feed(intended)
        if item.phase == "evaluation" and self._histories.has_log(item.run):
            return
        if self._belongs_into_last(history, intended):
            return
        self._files.guard("run logs", lambda: self._make(item, intended, history))

    def _belongs_into_last(self, history: History, intended: Intended) -> bool:
        """Whether the attempt belongs into the newest log of its key: the one that a person named,
        else any, unless its script or configuration was changed since.
        """
        logs = history.files()
        if not logs:
            return False
        if self._said.log is not None:
            return _same_file(self._files.path_of(logs[-1].path), self._said.log)
        before = history.intended.get(intended.attempt - 1)
        return before is None or not list_differences(before, intended)

    def _make(self, item: RunItem, intended: Intended, history: History) -> None:
        """Make the log of a piece of work, or take the one that a person began for it. Its name is
        the day and the task, with a number where that is taken.
        """
        about = self._descriptions.about(item)
        there = self._said.log or self._continued(about, intended)
        if there is not None:
            self._document(intended, there)
            return
        zone = self._logbook.state.zone
        day = intended.time.astimezone(zone_of(zone)).date()
        without_logs = msgspec.structs.replace(history, documented=[])
        file = LogFile("", intended.attempt)
        change = pages.print_page(compose.compose(without_logs, about, zone, file=file))
        for path in self._names(day, about.task):
            if os.path.lexists(path) and not _holds(path, change.text):
                continue
            # The name is journalled first: after a death here the file is made, or found to be this
            # one.
            self._document(intended, path, change)
            files.make_folder(path.parent)
            if files.create(path, encode(change.text)):
                return

    def _names(self, day: date, task: str) -> Iterator[Path]:
        """The names for a new log, best first: `2026-03-11_r8.md`, then `2026-03-11_r8-2.md` and so
        on, in the folder of the group.
        """
        folder = self._files.folder
        group = self._descriptions.group
        if group:
            folder /= _safe(group)
        stem = f"{day.isoformat()}_{_safe(task)}"
        yield folder / f"{stem}.md"
        for number in range(2, _MOST_OF_ONE_NAME):
            yield folder / f"{stem}-{number}.md"

    def _continued(self, about: About, intended: Intended) -> Path | None:
        """Find a log of this very work that somebody else began, to continue it. Of others of the
        same task the newest is named in the action log, with the reason why it is not continued.
        """
        work = self._work(about, intended)
        refused: list[tuple[Path, str]] = []
        for path in self._logs_before().get(_safe(about.task).casefold(), ()):
            if path in self._histories.logs:
                continue
            refusal = self._refusal_to_continue(path, work)
            if refusal == "":
                return path
            if refusal is not None:
                refused.append((path, refusal))
        if refused:
            path, refusal = refused[0]
            shown = os.path.relpath(path, self._files.folder.parent)
            detail = (
                f"{intended.key}: {shown} is of the same task, and not continued: {refusal}; "
                f"where it is this run's: --continue {shown}"
            )
            self._logbook.write(Observed, what="run log not continued", detail=detail)
        return None

    def _refusal_to_continue(self, path: Path, work: Work) -> str | None:
        """Say why a log is not continued with this work. "": it is; None: it cannot be read."""
        data, faults = read_log(path)
        if data is None or faults:
            return None
        parts = path.relative_to(self._files.folder).parts
        log = read.read(File(str(path), parts, decode(data)))
        if log is None:
            return "it is no run log"
        return continued.refusal(log, work)

    def _work(self, about: About, intended: Intended) -> Work:
        """The work that is about to be submitted, as it is compared with a log."""
        own = self._experiment.folder
        script = own / intended.script
        source = intended.source_sha256 or intended.script_sha256
        return Work(
            top=self._files.folder.parent,
            folders=(own, workdir_of(own, intended.script, intended.workdir)),
            script=Path(os.path.normpath(script)),
            configs=tuple(self._files.path_of(name) for name in intended.configs),
            fingerprint=fingerprint(source, intended.configs.values(), intended.args),
            dataset=about.dataset,
            settings=about.settings,
        )

    def _logs_before(self) -> dict[str, list[Path]]:
        """The logs that were there when this process first made one: task → paths, newest first."""
        if self._others is None:
            self._others = {}
            root = self._files.folder
            paths: list[Path] = []
            if root.is_dir():
                paths = sorted(root.rglob("*.md"), reverse=True)
            for path in paths:
                match = DATED.fullmatch(path.name)
                if match is not None:
                    self._others.setdefault(match[2].casefold(), []).append(path)
        return self._others

    def _document(self, intended: Intended, path: Path, change: pages.Change | None = None) -> None:
        """Journal that a log holds the attempt, and what `change` writes into it."""
        fields: dict[str, str] = {}
        lines: tuple[str, ...] = ()
        if change is not None:
            fields, lines = change.fields, tuple(change.lines)
        self._logbook.write(
            Documented,
            key=intended.key,
            attempt=intended.attempt,
            path=os.path.relpath(path, self._experiment.folder),
            fields=fields,
            lines=lines,
        )

    # ── keeping it

    def bring_up(self) -> None:
        """Bring every log up to what the journal says of its run, and name it in its timeline and
        in `experiments.md`. Only the leading watcher does.
        """
        news, self._histories.news = self._histories.news, set()
        if self._files.is_off:
            return
        logs = self._logs_with(news)
        if not logs:
            return
        for log in logs:
            log.written = log.history.written(log.file.path)
        self._indexes.enter(logs)
        for log in logs:
            # A late verdict may still belong into the log before the newest.
            for file in log.history.files()[-2:]:
                extra: dict[str, str] = {}
                if file == log.file:
                    extra = log.extra
                self._files.guard(file.path, partial(self._splice, log, file, extra))

    def bring_up_all(self) -> int:
        """Splice the machine's fields into every log again; returns how many there are."""
        self._histories.news |= set(self._histories.by_key)
        self.bring_up()
        return sum(bool(history.documented) for history in self._histories.by_key.values())

    def _logs_with(self, news: Iterable[str]) -> list[LogUpdate]:
        """The logs that show these keys, in the order in which their work was first submitted."""
        keys = {self._key_of_log(self._items[key]) for key in news if key in self._items}
        logs: list[LogUpdate] = []
        for key in keys:
            if self._histories.has_log(key):
                logs.append(LogUpdate(self._items[key], self._histories.of(key)))
        return sorted(logs, key=_first_intended)

    def _key_of_log(self, item: RunItem) -> str:
        """The key whose log shows this work. An evaluation is shown in the log of its training,
        where that has one; else it has its own.
        """
        if item.phase == "evaluation" and self._histories.has_log(item.run):
            return item.run
        return item.key

    def _splice(self, log: LogUpdate, file: LogFile, extra: dict[str, str]) -> None:
        """Bring one file up, and journal what was written into it. `extra` are fields of the pages
        beside it. A file that somebody changes at the same time is left for the next turn.
        """
        path = self._files.path_of(file.path)
        refusal = self._files.refusal(path)
        if refusal:
            self._files.leave(str(path), refusal)
            return
        fresh = self._page(log.item, log.history, file)
        if not os.path.lexists(path) and _was_about_to_be_made(log.history, file):
            files.make_folder(path.parent)
            files.create(path, encode(pages.print_page(fresh).text))
        data = self._files.read(path)
        if data is None:
            return
        text = decode(data)
        change = splice.splice(text, fresh, log.history.written(file.path))
        if change.text is not text:
            new = encode(change.text)
            if not files.replace_unchanged(path.resolve(), data, new):
                # Somebody edits it: it is read again at the next turn.
                self._histories.news.add(log.item.key)
                return
        if change.fields or change.lines or change.kept or extra:
            self._logbook.write(
                Documented,
                key=log.item.key,
                attempt=_last_attempt_in(log, file),
                path=file.path,
                fields=change.fields | extra,
                lines=tuple(change.lines),
                kept=change.kept,
            )

    def _page(self, item: RunItem, history: History, file: LogFile) -> Page:
        """The whole page of a log, as it would be written now."""
        about = self._descriptions.about(item, file)
        evaluations = self._histories.evaluations_of(item, file)
        zone = self._logbook.state.zone
        return compose.compose(history, about, zone, file=file, evaluations=evaluations)


def _first_intended(log: LogUpdate) -> datetime:
    """When the work of a log was first submitted; without a submission the end of time, so that it
    comes last.
    """
    return min((intended.time for intended in log.history.intended.values()), default=_NEVER)


def _was_about_to_be_made(history: History, file: LogFile) -> bool:
    """Whether a missing file was about to be made when its maker died: nothing but its name was
    journalled. One that was there before was taken away by a person.
    """
    return sum(event.path == file.path for event in history.documented) == 1


def _last_attempt_in(log: LogUpdate, file: LogFile) -> int:
    """The last attempt that a file holds; of an older file, the first is all that is needed."""
    if file != log.file or not log.history.intended:
        return file.first
    return max(file.first, *log.history.intended)


def _safe(name: str) -> str:
    """A name as one part of a path: `lr 1e-3/a` is `lr_1e-3_a`; `run` where nothing is left
    of it.
    """
    return re.sub(r"[^\w.@+=-]+", "_", name).strip("._") or "run"


def _holds(path: Path, text: str) -> bool:
    """Whether a file is a log with exactly this text: then it was made for this very work before
    its maker died.
    """
    data, faults = read_log(path)
    return data == encode(text) and not faults


def _same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file; not, where one of them cannot be looked at."""
    try:
        return path.samefile(other)
    except OSError:
        return False
