"""The Markdown run logs of an experiment, kept by whoever watches it.

A log is made when its run is about to be submitted, never later; its path is journalled first, so
that a death in between makes no second one. From then on the leading watcher brings it up whenever
the journal says something new of its run. A file that changed while it was edited is read again at
the next turn. A log that cannot be read or written never stops a watch: that is told once, and the
journal keeps what the log lacks.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.code import git
from watchkeeper.core.disk import files
from watchkeeper.core.disk.ownership import foreign_link
from watchkeeper.core.errors import Problem, StorageError, UsageError
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
from watchkeeper.core.text.figures import size
from watchkeeper.core.text.zones import zone_of
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import same_work
from watchkeeper.reading import configs
from watchkeeper.report.compare.prior import fingerprint
from watchkeeper.report.compose import columns, compose, lineage
from watchkeeper.report.compose import page as pages
from watchkeeper.report.compose.compose import About, Evaluation, LogFile, Told
from watchkeeper.report.compose.page import PENDING, Page, Written
from watchkeeper.report.runlog import read
from watchkeeper.report.runlog.dates import stamp
from watchkeeper.report.runlog.document import decode, encode, parse
from watchkeeper.report.runlog.experiments_table import Entry, with_rows
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import DATED
from watchkeeper.report.runlog.timeline import with_entry
from watchkeeper.watch.logs import continued, unheeded
from watchkeeper.watch.logs.continued import Work
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.logs.run_log_folder import FOLDER, HINT, load, read_log

OFF = "off"
MODE = re.compile(r"replication|experiment|pipeline(?: \([^()\n]+\))?")
MODES = "replication, experiment, pipeline (kind)"
_MOST_OF_ONE_NAME = 1000
_ENTERED = "timeline.entry"
_NEVER = datetime.max.replace(tzinfo=UTC)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of the runs on the command line; "" where nothing was said."""

    mode: str = ""
    objective: str = ""
    task: str = ""
    group: str = ""
    dataset: str = ""
    settings: tuple[str, ...] = ()
    log: Path | None = None
    """A run log that is to be continued, whoever began it."""
    runs: str | None = None
    """The glob that selects the runs; None: all of them."""


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


def check_said(experiment: Experiment, said: Said, runs: str | None) -> None:
    """What was said must be sayable.

    Raises:
        UsageError: a mode that is none of the three, one task's name or one log for several runs,
        or a log that is none.
    """
    if said.mode and not MODE.fullmatch(said.mode):
        raise UsageError(f"--mode {said.mode!r} is none of: {MODES}")
    chosen = {item.run for item in experiment.items if runs is None or fnmatchcase(item.run, runs)}
    if said.task and len(chosen) > 1:
        raise UsageError(
            f"--task names the log of one run, and {len(chosen)} are selected",
            hint="choose one with --runs",
        )
    if said.log is not None:
        _check_log(said, len(chosen))
    for name, words in (
        ("--objective", said.objective),
        ("--dataset", said.dataset),
        *(("--set", one) for one in said.settings),
    ):
        if any(ord(letter) < 32 for letter in words):
            raise UsageError(f"{name} must be one line of text")


def _check_log(said: Said, chosen: int) -> None:
    """A log that is to be continued must be one, and of one run."""
    assert said.log is not None
    if chosen > 1:
        raise UsageError(
            f"--continue names the log of one run, and {chosen} are selected",
            hint="choose one with --runs",
        )
    if said.group or said.task:
        if said.group:
            option = "--group"
        else:
            option = "--task"
        raise UsageError(
            f"{option} is for a log that is begun, and --continue for one that is there",
            hint="leave one out",
        )
    data, fault = read_log(said.log)
    if data is None or fault:
        if fault:
            why = fault[0][2]
        else:
            why = "it cannot be read"
        raise UsageError(
            f"--continue {said.log}: {why}",
            hint="name a run log: run_logs/[group/]<date>_<task>.md",
        )
    log = read.read(File(str(said.log), (said.log.name,), decode(data)))
    if log is None or not (log.document.of("job") or log.document.of("config")):
        raise UsageError(
            f"--continue {said.log}: it is no run log: it has neither a Job nor a Config section",
            hint=HINT,
        )


def root_of(experiment: Path, setting: str | None) -> Path | None:
    """Where the run logs of an experiment lie: `run_logs/` at the top of its Git repository, else
    in its own folder; the setting's folder, taken from there, where there is one. None: none are
    kept.
    """
    if setting == OFF:
        return None
    top = git.top(experiment) or experiment
    return top / (setting or FOLDER)


class RunBook:
    """The run logs of one experiment. Feed it every event of the journal; `open` and `bring_up`
    write.
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
        self._answered: Answered | None = None
        self._items: Mapping[str, RunItem] = {item.key: item for item in experiment.items}
        self._told: dict[str, Told] = {}
        self._news: set[str] = set()
        self._left: set[tuple[str, str]] = set()  # (path, why) that was told
        self._setting = setting
        self._root: Path | None = None
        self._ours: set[Path] = set()
        self._others: dict[str, list[Path]] | None = None  # task → logs that were there before
        self._cells: dict[str, list[RunItem]] = {}
        for item in experiment.items:
            if item.phase == "evaluation":
                self._cells.setdefault(item.run, []).append(item)
        for events in logbook.journal.events.values():
            self.feed(events)
        if self._said.log is not None:
            misplaced = self._misplaced(Path(os.path.abspath(self._said.log)))  # noqa: PTH100 - links stay
            if misplaced:
                raise UsageError(
                    f"--continue {self._said.log}: {misplaced}",
                    hint="move it into the folder of the run logs",
                )
            self._refuse_log_of_another(self._said.log)

    def feed(self, events: Iterable[AnyEvent | Unknown]) -> None:
        """Take events of the journal, each of them once."""
        for event in events:
            if isinstance(event, Answered) and (
                self._answered is None or event.time >= self._answered.time
            ):
                self._answered = event
            for key, part in compose.keyed(event):
                self._told.setdefault(key, Told()).feed(part)
                if isinstance(part, Documented):
                    self._ours.add(self._path(part.path))
                else:
                    self._news.add(key)

    def _refuse_log_of_another(self, log: Path) -> None:
        """A log that is to be continued may be no other run's of this experiment."""
        for key, told in self._told.items():
            if any(_same_file(self._path(file.path), log) for file in told.files()):
                item = self._items.get(key)
                chosen = self._said.runs is None or (
                    item is not None and fnmatchcase(item.run, self._said.runs)
                )
                if not chosen:
                    raise UsageError(
                        f"--continue {log}: it is the log of {key}",
                        hint=f"choose that run: --runs {key}",
                    )

    def remember(self, answers: Said) -> None:
        """Keep what a person answered: it holds for logs that are made later too."""
        told = {
            "mode": answers.mode,
            "objective": answers.objective,
            "dataset": answers.dataset,
            "group": answers.group,
        }
        self._logbook.write(Answered, **told)

    @property
    def folders(self) -> list[Path]:
        """Where the run logs of this experiment lie."""
        return sorted({path.parent for path in self._ours})

    def unheeded(self) -> list[Problem]:
        """What the command line says of runs whose log is there already, and which that log will
        not show.
        """
        said = self._said
        options = {
            "--objective": said.objective,
            "--mode": said.mode,
            "--dataset": said.dataset,
            "--set": ", ".join(said.settings),
            "--group": _safe(said.group) if said.group else "",
            "--task": _safe(said.task) if said.task else "",
        }
        found: list[Problem] = []
        for key, told in self._told.items():
            item = self._items.get(key)
            chosen = item is not None and (said.runs is None or fnmatchcase(item.run, said.runs))
            if item is None or not chosen or not told.files() or self._begins_another(item, told):
                continue
            file = told.files()[-1]
            path = self._path(file.path)
            data, fault = read_log(path)
            if data is not None and not fault:
                shown = os.path.relpath(path, self._folder().parent)
                found += unheeded.of_log(
                    path, shown, parse(decode(data)), told.written(file.path), options
                )
        return found

    def _begins_another(self, item: RunItem, told: Told) -> bool:
        """Whether a further attempt would begin a log of its own, since its script or configuration
        was changed.
        """
        last = told.intended.get(max(told.intended, default=0))
        if last is None or not last.work_sha256 or not item.script:
            return False
        script = self._experiment.folder / item.script
        try:
            files_of = configs.files_of(script)
            kept = {
                configs.name_of(path, self._experiment.folder): path.read_bytes()
                for path in files_of
            }
            return same_work.fingerprint(script.read_bytes(), kept) != last.work_sha256
        except OSError:
            return False

    # ── making one
    # ─────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, intended: Intended) -> None:
        """Make the log of an attempt that is about to be submitted, unless it goes into one that is
        there.
        """
        item = self._items.get(intended.key)
        if item is None or self._setting == OFF:
            return
        told = self._told.setdefault(intended.key, Told())
        told.feed(intended)
        if item.phase == "evaluation" and self._has_log(item.run):
            return
        before = told.intended.get(intended.attempt - 1)
        known = told.files()
        named = self._said.log
        if known and named is not None and _same_file(self._path(known[-1].path), named):
            return
        if (
            known
            and named is None
            and not (before is not None and compose.differs(before, intended))
        ):
            return
        self._keep("run logs", lambda: self._make(item, intended, told))

    def _has_log(self, key: str) -> bool:
        return key in self._told and bool(self._told[key].documented)

    def _make(self, item: RunItem, intended: Intended, told: Told) -> None:
        root = self._folder()
        about = self._about(item)
        zone = self._logbook.state.zone
        day = intended.time.astimezone(zone_of(zone)).date()
        single = msgspec.structs.replace(told, documented=[])
        fresh = compose.page(single, about, zone, file=LogFile("", intended.attempt))
        found = self._said.log or self._continued(root, about, intended)
        if found is not None:
            self._document(intended, found)
            return
        change = pages.new(fresh)
        for path in self._names(root, day, about.task):
            if os.path.lexists(path) and not _holds(path, change.text):
                continue
            # The name is journalled first: after a death here the file is made, or found to be this
            # one.
            self._document(intended, path, change)
            files.make_folder(path.parent)
            if files.create(path, encode(change.text)):
                return

    def _names(self, root: Path, day: date, task: str) -> Iterable[Path]:
        group = (
            self._said.group
            or self._answers.group
            or (self._experiment.name if self._is_group() else "")
        )
        if group:
            folder = root / _safe(group)
        else:
            folder = root
        stem = f"{day.isoformat()}_{_safe(task)}"
        yield folder / f"{stem}.md"
        yield from (folder / f"{stem}-{number}.md" for number in range(2, _MOST_OF_ONE_NAME))

    def _is_group(self) -> bool:
        """Whether more than one run is planned."""
        return len({item.run for item in self._experiment.items}) > 1

    def _continued(self, root: Path, about: About, intended: Intended) -> Path | None:
        """A log that somebody else began for this very work, to be continued. Of others of the same
        task the newest is named, with the reason why it is not.
        """
        work = self._work(root, about, intended)
        refused: list[tuple[Path, str]] = []
        for path in self._before(root).get(_safe(about.task).casefold(), ()):
            data, fault = read_log(path)
            if path in self._ours or data is None or fault:
                continue
            log = read.read(File(str(path), path.relative_to(root).parts, decode(data)))
            if log is not None:
                why = continued.refusal(log, work)
            else:
                why = "it is no run log"
            if not why:
                return path
            refused.append((path, why))
        if refused:
            path, why = refused[0]
            shown = os.path.relpath(path, root.parent)
            words = (
                f"{shown} is of the same task, and not continued: {why}; where it is this "
                f"run's: --continue {shown}"
            )
            self._logbook.write(
                Observed, what="run log not continued", detail=f"{intended.key}: {words}"
            )
        return None

    def _work(self, root: Path, about: About, intended: Intended) -> Work:
        """The work that is about to be submitted, as it is compared with a log."""
        own = self._experiment.folder
        script = own / intended.script
        source = intended.source_sha256 or intended.script_sha256
        return Work(
            top=root.parent,
            folders=(own, script.parent),
            script=Path(os.path.normpath(script)),
            configs=tuple(self._path(name) for name in intended.configs),
            fingerprint=fingerprint(source, intended.configs.values()),
            dataset=about.dataset,
            settings=about.settings,
        )

    def _before(self, root: Path) -> dict[str, list[Path]]:
        if self._others is None:
            self._others = {}
            for path in sorted(root.rglob("*.md"), reverse=True) if root.is_dir() else ():
                if match := DATED.fullmatch(path.name):
                    self._others.setdefault(match[2].casefold(), []).append(path)
        return self._others

    def _path(self, shown: str) -> Path:
        return Path(os.path.normpath(self._experiment.folder / shown))

    def _document(self, intended: Intended, path: Path, change: pages.Change | None = None) -> None:
        self._logbook.write(
            Documented,
            key=intended.key,
            attempt=intended.attempt,
            path=os.path.relpath(path, self._experiment.folder),
            fields=change.fields if change else {},
            lines=tuple(change.lines) if change else (),
        )

    # ── keeping it
    # ─────────────────────────────────────────────────────────────────────────────────────────────────

    def bring_up(self) -> None:
        """Bring every log up to what the journal says of its run, and name it in its timeline and
        in `experiments.md`. Only the leading watcher does.
        """
        news, self._news = self._news, set()
        if self._setting == OFF:
            return
        told_of = [item for key in news if (item := self._items.get(key)) is not None]
        keys = {
            item.run if item.phase == "evaluation" and self._has_log(item.run) else item.key
            for item in told_of
        }
        logs = [_Log(self._items[key], self._told[key]) for key in keys if self._has_log(key)]
        logs.sort(
            key=lambda log: min((one.time for one in log.told.intended.values()), default=_NEVER)
        )
        if not logs:
            return
        for log in logs:
            log.written = log.told.written(log.file.path)
        self._keep("the timelines", lambda: self._enter_timelines(logs))
        self._keep("experiments.md", lambda: self._enter_table(logs))
        for log in logs:
            for file in log.told.files()[-2:]:
                if file == log.file:
                    extra = log.extra
                else:
                    extra = {}
                self._keep(file.path, partial(self._splice, log, file, extra))

    def _keep(self, what: str, work: Callable[[], None]) -> None:
        """Do it, whatever people wrote into their pages: nothing in them may stop a watch. That the
        journal cannot be written is raised all the same, by what tells of it.
        """
        try:
            work()
        except (StorageError, OSError) as error:
            self._leave(what, str(error))
        except Exception as error:
            self._leave(what, f"{type(error).__name__}: {error}")

    def bring_up_all(self) -> int:
        """Splice the machine's fields into every log again; returns how many there are."""
        self._news |= set(self._told)
        self.bring_up()
        return sum(bool(told.documented) for told in self._told.values())

    def _splice(self, log: _Log, file: LogFile, extra: dict[str, str]) -> None:
        told, path = log.told, self._path(file.path)
        fault = self._misplaced(path)
        if fault:
            self._leave(str(path), fault)
            return
        fresh = self._page(log.item, told, file)
        if (
            not os.path.lexists(path)
            and sum(event.path == file.path for event in told.documented) == 1
        ):
            # It was about to be made when its maker died; one that was there before, and is gone,
            # was taken away.
            files.make_folder(path.parent)
            files.create(path, encode(pages.new(fresh).text))
        data, faults = read_log(path)
        if data is None or faults:
            self._leave(str(path), faults[0][2] if faults else "it cannot be read")
            return
        text = decode(data)
        change = pages.bring_up(text, fresh, told.written(file.path))
        if change.text is not text and not files.replace_unchanged(
            path.resolve(), data, encode(change.text)
        ):
            self._news.add(log.item.key)  # somebody edits it: read it again at the next turn
            return
        if change.fields or change.lines or change.kept or extra:
            self._logbook.write(
                Documented,
                key=log.item.key,
                attempt=max(file.first, *told.intended)
                if file == told.files()[-1] and told.intended
                else file.first,
                path=file.path,
                fields=change.fields | extra,
                lines=tuple(change.lines),
                kept=change.kept,
            )

    def _page(self, item: RunItem, told: Told, file: LogFile) -> Page:
        zone, evaluations = self._logbook.state.zone, self._evaluations(item, file)
        return compose.page(told, self._about(item, file), zone, file=file, evaluations=evaluations)

    # ── the pages beside them
    # ──────────────────────────────────────────────────────────────────────────────────────

    def _enter_timelines(self, logs: list[_Log]) -> None:
        """Name each log in the timeline of its folder, once; a folder without one gets one."""
        folders: dict[Path, list[_Log]] = {}
        for log in logs:
            if _ENTERED not in log.written.fields and DATED.fullmatch(
                self._path(log.file.path).name
            ):
                folders.setdefault(self._path(log.file.path).parent, []).append(log)
        for folder, new in folders.items():
            if folder == self._folder():
                group = ""
            else:
                group = folder.name
            names = [self._path(log.file.path).name for log in new]
            if not (
                folder / "timeline.md"
            ).exists():  # it is begun: with the logs that people wrote before
                others = {
                    path.name for path in folder.glob("*.md") if DATED.fullmatch(path.name)
                } - set(names)
                names = [*sorted(others), *names]

            def with_all(text: str, names: list[str] = names, group: str = group) -> str:
                for name in names:
                    day = stamp(name[:10])
                    if day is not None and day.day is not None:
                        text = with_entry(text, name, day.day, group) or text
                return text

            if self._edit(folder / "timeline.md", with_all):
                for log in new:
                    log.extra[_ENTERED] = "named"

    def _enter_table(self, logs: list[_Log]) -> None:
        """Bring up the rows of these runs in the table that compares them."""
        path = self._folder() / "experiments.md"
        entries, written, made = [], {}, {}
        for log in logs:
            name = DATED.fullmatch(self._path(log.file.path).name)
            if name is None or not (
                self._said.mode or self._answers.mode or self._experiment.summary
            ):
                continue
            row = f"{name[2]}_{name[1]}"
            cells = self._cells_of(log) | self._metrics_of(log)
            link = os.path.relpath(self._path(log.file.path), path.parent).replace(" ", "%20")
            entries.append(Entry(row, link, cells))
            fields = log.written.fields
            written[row] = {
                name.removeprefix("table."): fields[name]
                for name in fields
                if name.startswith("table.")
            }
            made[row] = log

        news: dict[str, dict[str, str]] = {}
        wanted = dict.fromkeys(column for log in logs for column in self._metrics_of(log))
        documented = (one for told in self._told.values() for one in told.documented)
        columns_before = {column for one in documented for column in columns.given(one.fields)}
        put_in: list[str] = []
        if path.exists():
            before = []
        else:
            before = [entry for entry in self._rows_of_people() if entry.run not in made]

        def with_all(text: str) -> str:
            text, put_in[:] = columns.with_columns(text, wanted, columns_before)
            text, found = with_rows(text, [*before, *entries], written)
            if wanted and not put_in:  # the table was begun just now
                text, put_in[:] = columns.with_columns(text, wanted, columns_before)
                text, more = with_rows(text, entries, _joined(written, found))
                found = {
                    row: found.get(row, {}) | more.get(row, {})
                    for row in found.keys() | more.keys()
                }
            news.clear()
            news.update(found)
            return text

        if entries and self._edit(path, with_all):
            for row, cells in ((row, cells) for row, cells in news.items() if row in made):
                made[row].extra |= {f"table.{column}": value for column, value in cells.items()}
            if put_in:
                logs[0].extra["table.columns"] = "|".join(put_in)

    def _rows_of_people(self) -> list[Entry]:
        """A row for each experiment whose log was there before: the table is begun with them."""
        found = []
        for file in load(self._folder()).files:
            log = read.read(file)
            if log is None or log.kind != "experiment" or not log.day:
                continue
            results = [
                field for section in log.document.of("results") for field in section.fields()
            ]
            loss = next(
                (one.value for one in results if one.name in ("end_val_loss", "val_loss")), ""
            )
            if log.document.title:
                title = log.document.title.text
            else:
                title = ""
            described = re.split(r" [—–-] ", title, maxsplit=1)
            cells = {"description": described[1] if len(described) > 1 else "", "val_loss": loss}
            found.append(
                Entry(f"{log.task}_{log.day}", "/".join(file.parts).replace(" ", "%20"), cells)
            )
        return sorted(found, key=lambda entry: entry.run.rpartition("_")[2])

    def _cells_of(self, log: _Log) -> dict[str, str]:
        judged = log.told.judged.get(max(log.told.intended, default=0))
        if judged is not None:
            learned = judged.learned
        else:
            learned = None
        if learned is not None:
            loss = learned.last_val_loss
        else:
            loss = None
        if loss is not None:
            shown = compose.number_words(loss)
        elif judged is not None:
            shown = "n/a"
        else:
            shown = ""
        if judged is None:
            status = "running"
        elif judged.outcome in compose.WELL:
            status = "completed"
        else:
            status = judged.outcome
        about = self._about(log.item, log.file)
        return {
            "description": about.settings or about.description,
            "val_loss": shown,
            "status": status,
        }

    def _metrics_of(self, log: _Log) -> dict[str, str]:
        """The main metrics of its evaluations, or its own where it is one; each of one attempt's
        checkpoint.
        """
        item, told = log.item, log.told
        if item.phase == "evaluation":
            judged = told.judged.get(max(told.intended, default=0))
            return columns.main_metrics(
                [(item.task, item.epoch, judged)] if judged is not None else []
            )
        found = self._evaluations(item, log.file)
        return columns.main_metrics([(one.task, one.epoch, one.judged) for one in found])

    def _misplaced(self, path: Path) -> str:
        """Why a page must not be written: the journal, or a link that another user made, leads
        elsewhere; "" if it may.
        """
        if not path.is_relative_to(self._folder()):
            return f"it is not in {self._folder()}, and is left alone"
        link = foreign_link(path)
        if link is not None:
            return f"it lies behind {link}, a link that another user made"
        return ""

    def _edit(self, path: Path, change: Callable[[str], str]) -> bool:
        """Change a page that people edit too; False, and told, where it cannot be read or changes
        all the time.
        """
        misplaced = self._misplaced(path)
        if misplaced:
            self._leave(str(path), misplaced)
            return False
        for _ in range(3):
            there = os.path.lexists(path)
            data, fault = read_log(path) if there else (b"", [])
            if data is None or fault:
                self._leave(str(path), fault[0][2] if fault else "it cannot be read")
                return False
            new = encode(change(decode(data)))
            if new == data or (
                files.replace_unchanged(path.resolve(), data, new)
                if there
                else files.create(path, new)
            ):
                return True
        return False

    # ── what the pages are made of
    # ─────────────────────────────────────────────────────────────────────────────────

    def _evaluations(self, item: RunItem, file: LogFile) -> list[Evaluation]:
        """The evaluations of the checkpoints that the attempts of this log made, the last verdict
        on each.
        """
        found = []
        trained = self._told[item.key]
        numbers = trained.attempts_of(file)
        for other in self._cells.get(item.run, ()) if item.phase == "preparation" else ():
            told = self._told.get(other.key, Told())
            judged = [
                told.judged[number]
                for number in sorted(told.judged)
                if _read_from(trained, told, number) in numbers
            ]
            if judged:
                name = other.task + ("" if other.epoch is None else f" epoch {other.epoch}")
                found.append(Evaluation(name, judged[-1], other.task, other.epoch))
        return found

    def _about(self, item: RunItem, file: LogFile | None = None) -> About:
        """What was said of a piece of work: now, else when its log was made, else in the summary."""
        said, answers, experiment = self._said, self._answers, self._experiment
        if item.phase == "preparation":
            task = item.run
        else:
            task = f"{item.run}_{item.task}"
        task += f"_epoch{item.epoch}" if item.epoch is not None else ""
        before = self._said_before(item.key, file)
        settings = (
            before.get("config.key_settings", "")
            or ", ".join(said.settings)
            or experiment.settings.get(item.run, "")
        )
        dataset = (
            before.get("config.dataset", "")
            or said.dataset
            or answers.dataset
            or experiment.dataset
        )
        below = os.path.relpath(experiment.folder, self._folder().parent)
        mode = (
            said.mode
            or before.get("mode.run_type", "")
            or answers.mode
            or ("experiment" if experiment.summary else "")
        )
        return About(
            task=said.task or task,
            description="; ".join(filter(None, [experiment.name, settings]))
            if experiment.name != task
            else settings,
            run_type=mode,
            objective=said.objective
            or before.get("mode.objective", "")
            or answers.objective
            or experiment.question,
            dataset=dataset,
            dataset_facts=self._dataset_facts(dataset),
            settings=settings,
            controls=experiment.controls,
            root=str(self._folder().parent),
            host=processes.host(),
            below="" if below == "." else below,
            script=os.path.relpath(experiment.folder / item.script, self._folder().parent)
            if item.script
            else "",
            command=f"watchkeeper run {os.path.relpath(experiment.folder, self._folder().parent)}",
        )

    @property
    def _answers(self) -> Said:
        """What a person answered when the experiment was first started on a terminal."""
        event = self._answered
        if event is None:
            return Said()
        return Said(
            mode=event.mode, objective=event.objective, dataset=event.dataset, group=event.group
        )

    def _dataset_facts(self, dataset: str) -> str:
        """What the summary says of its dataset beside the path, and the size of a file that lies
        here.
        """
        experiment = self._experiment
        if dataset == experiment.dataset:
            facts = [experiment.dataset_facts]
        else:
            facts = []
        for folder in (experiment.folder, self._folder().parent) if dataset else ():
            with contextlib.suppress(OSError):
                if (found := folder / dataset).is_file():
                    facts.append(size(found.stat().st_size))
                    break
        return ", ".join(filter(None, facts))

    def _said_before(self, key: str, file: LogFile | None) -> dict[str, str]:
        """The fields as they were written into the log last, without those that nobody had
        answered.
        """
        if file is not None and key in self._told:
            documented = self._told[key].documented
        else:
            documented = []
        made = [event.fields for event in documented if file and event.path == file.path]
        return {
            field: value
            for fields in made
            for field, value in fields.items()
            if value not in (PENDING, "n/a")
        }

    def _folder(self) -> Path:
        if self._root is None:
            self._root = (
                root_of(self._experiment.folder, self._setting) or self._experiment.folder / FOLDER
            )
        return self._root

    def _leave(self, path: str, why: str) -> None:
        if (path, why) not in self._left:
            self._left.add((path, why))
            self._logbook.write(Observed, what="run log left", detail=f"{path}: {why}")


class _Log(msgspec.Struct):
    """One log that is brought up: `extra` are fields of the pages beside it."""

    item: RunItem
    told: Told
    written: Written = msgspec.field(default_factory=Written)
    extra: dict[str, str] = {}

    @property
    def file(self) -> LogFile:
        return self.told.files()[-1]


def _joined(
    written: Mapping[str, Mapping[str, set[str]]], found: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, set[str]]]:
    """What the machine had written before, and has just written, by row and column."""
    joined = {
        row: {column: set(values) for column, values in cells.items()}
        for row, cells in written.items()
    }
    for row, cells in found.items():
        for column, value in cells.items():
            joined.setdefault(row, {}).setdefault(column, set()).add(value)
    return joined


def _safe(name: str) -> str:
    """A name as one part of a path."""
    return re.sub(r"[^\w.@+=-]+", "_", name).strip("._") or "run"


def _holds(path: Path, text: str) -> bool:
    data, fault = read_log(path)
    return data == encode(text) and not fault


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _read_from(trained: Told, told: Told, number: int) -> int | None:
    """The attempt of a training whose checkpoint an attempt at an evaluation read."""
    judged, intended = told.judged[number], told.intended.get(number)
    inputs = {**(intended.inputs if intended is not None else {}), **judged.inputs}
    if intended is not None:
        began = intended.time
    else:
        began = judged.time
    return lineage.read_from(trained.intended, trained.judged, inputs, began)
