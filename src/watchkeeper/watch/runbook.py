"""The Markdown run logs of an experiment, kept by whoever watches it.

A log is made when its run is about to be submitted, never later; its path is journalled first, so that a death in between
makes no second one. From then on the leading watcher brings it up whenever the journal says something new of its run. A
file that changed while it was edited is read again at the next turn. A log that cannot be read or written never stops
a watch: that is told once, and the journal keeps what the log lacks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from watchkeeper.core import files, git
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import AnyEvent, Documented, Intended, Observed, RunItem, Unknown
from watchkeeper.launch.experiment import Experiment
from watchkeeper.report import page as pages
from watchkeeper.report import story
from watchkeeper.report.lint_read import DATED
from watchkeeper.report.page import ALIASES, PENDING, Page
from watchkeeper.report.runlog import Document, decode, encode, parse
from watchkeeper.report.story import About, Evaluation, LogFile, Told
from watchkeeper.report.timeline import with_entry
from watchkeeper.watch.logbook import Logbook
from watchkeeper.watch.runlogs import FOLDER, read_log

OFF = "off"
_MOST_OF_ONE_NAME = 1000


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of the runs on the command line; "" where nothing was said."""

    mode: str = ""
    objective: str = ""
    task: str = ""
    group: str = ""
    dataset: str = ""
    settings: tuple[str, ...] = ()


def root_of(experiment: Path, setting: str | None) -> Path | None:
    """Where the run logs of an experiment lie: `run_logs/` at the top of its Git repository, else in its own folder; the
    setting's folder, taken from there, where there is one. None: none are kept.
    """
    if setting == OFF:
        return None
    top = git.top(experiment) or experiment
    return top / (setting or FOLDER)


class RunBook:
    """The run logs of one experiment. Feed it every event of the journal; `open` and `bring_up` write."""

    def __init__(self, experiment: Experiment, logbook: Logbook, setting: str | None, said: Said | None = None) -> None:
        self._experiment = experiment
        self._logbook = logbook
        self._said = said or Said()
        self._items: Mapping[str, RunItem] = {item.key: item for item in experiment.items}
        self._told: dict[str, Told] = {}
        self._news: set[str] = set()
        self._left: set[tuple[str, str]] = set()  # (path, why) that was told
        self._setting = setting
        self._root: Path | None = None
        self._others: dict[str, list[Path]] | None = None  # task → logs that were there before
        self._cells: dict[str, list[RunItem]] = {}
        for item in experiment.items:
            if item.phase == "evaluation":
                self._cells.setdefault(item.run, []).append(item)
        for events in logbook.journal.events.values():
            self.feed(events)

    def feed(self, events: Iterable[AnyEvent | Unknown]) -> None:
        """Take events of the journal, each of them once."""
        for event in events:
            for key, part in story.keyed(event):
                self._told.setdefault(key, Told()).feed(part)
                if not isinstance(part, Documented):
                    self._news.add(key)

    # ── making one ─────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, intended: Intended) -> None:
        """Make the log of an attempt that is about to be submitted, unless it goes into one that is there."""
        item = self._items.get(intended.key)
        if item is None or self._setting == OFF:
            return
        told = self._told.setdefault(intended.key, Told())
        told.feed(intended)
        if item.phase == "evaluation" and self._has_log(item.run):
            return
        before = told.intended.get(intended.attempt - 1)
        known = told.files()
        if known and not (before is not None and story.differs(before, intended)):
            return
        try:
            self._make(item, intended, told)
        except (StorageError, OSError) as error:
            self._leave("run logs", str(error))

    def _has_log(self, key: str) -> bool:
        return key in self._told and bool(self._told[key].documented)

    def _make(self, item: RunItem, intended: Intended, told: Told) -> None:
        root = self._folder()
        about = self._about(item)
        zone = self._logbook.state.zone
        day = intended.time.astimezone(ZoneInfo(zone)).date()
        single = msgspec.structs.replace(told, documented=[])
        fresh = story.page(single, about, zone, file=LogFile("", intended.attempt))
        if (found := self._continued(root, about, fresh)) is not None:
            self._document(intended, found)
            return
        change = pages.new(fresh)
        for path in self._names(root, day, about.task):
            if os.path.lexists(path) and not _holds(path, change.text):
                continue
            # The name is journalled first: after a death here the file is made, or found to be this one.
            self._document(intended, path, change)
            files.make_folder(path.parent)
            if files.create(path, encode(change.text)):
                self._enter(path, day)
                return

    def _names(self, root: Path, day: date, task: str) -> Iterable[Path]:
        group = self._said.group or (self._experiment.name if self._is_group() else "")
        folder = root / _safe(group) if group else root
        stem = f"{day.isoformat()}_{_safe(task)}"
        yield folder / f"{stem}.md"
        yield from (folder / f"{stem}-{number}.md" for number in range(2, _MOST_OF_ONE_NAME))

    def _is_group(self) -> bool:
        """Whether more than one run is planned."""
        return len({item.run for item in self._experiment.items}) > 1

    def _continued(self, root: Path, about: About, fresh: Page) -> Path | None:
        """A log that somebody else began for this very work, which is gone on with."""
        mine = {self._path(file.path) for told in self._told.values() for file in told.files()}
        for path in self._before(root).get(_safe(about.task).casefold(), ()):
            data, fault = read_log(path)
            if path not in mine and data is not None and not fault and _same_work(parse(decode(data)), fresh):
                return path
        return None

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

    def _enter(self, path: Path, day: date) -> None:
        """Name the log in the timeline of its folder, which is begun where there is none."""
        timeline = path.parent / "timeline.md"
        group = "" if path.parent == self._root else path.parent.name
        for _ in range(3):  # somebody may edit it just now
            data, fault = read_log(timeline) if timeline.exists() else (b"", [])
            if data is None or fault:
                self._leave(str(timeline), fault[0][2] if fault else "it cannot be read")
                return
            text = with_entry(decode(data), path.name, day, group)
            if text is None:
                return
            new = encode(text)
            if files.replace_unchanged(timeline, data, new) if timeline.exists() else files.create(timeline, new):
                return

    # ── keeping it ─────────────────────────────────────────────────────────────────────────────────────────────────

    def bring_up(self) -> None:
        """Bring every log up to what the journal says of its run. Only the leading watcher does."""
        news, self._news = self._news, set()
        told_of = [item for key in news if (item := self._items.get(key)) is not None]
        keys = {item.run if item.phase == "evaluation" and self._has_log(item.run) else item.key for item in told_of}
        for key in sorted(keys):
            if self._has_log(key):
                self._bring_up(self._items[key])

    def bring_up_all(self) -> None:
        """Splice the machine's fields into every log again."""
        self._news |= set(self._told)
        self.bring_up()

    def _bring_up(self, item: RunItem) -> None:
        told = self._told[item.key]
        files_of = told.files()
        for file in files_of[-2:]:
            path = self._path(file.path)
            try:
                self._splice(item, told, file, path)
            except (StorageError, OSError) as error:
                self._leave(str(path), str(error))

    def _splice(self, item: RunItem, told: Told, file: LogFile, path: Path) -> None:
        fresh = story.page(
            told, self._about(item), self._logbook.state.zone, file=file, evaluations=self._evaluations(item)
        )
        if not os.path.lexists(path) and sum(event.path == file.path for event in told.documented) == 1:
            # It was about to be made when its maker died; one that was there before, and is gone, was taken away.
            files.make_folder(path.parent)
            files.create(path, encode(pages.new(fresh).text))
        data, fault = read_log(path)
        if data is None or fault:
            self._leave(str(path), fault[0][2] if fault else "it cannot be read")
            return
        fresh = story.page(
            told, self._about(item), self._logbook.state.zone, file=file, evaluations=self._evaluations(item)
        )
        text = decode(data)
        change = pages.bring_up(text, fresh, told.written(file.path))
        if change.text is not text and not files.replace_unchanged(path.resolve(), data, encode(change.text)):
            self._news.add(item.key)  # somebody edits it: read it again at the next turn
            return
        if change.fields or change.lines or change.kept:
            self._logbook.write(
                Documented,
                key=item.key,
                attempt=max(file.first, *told.intended, 0) if file == told.files()[-1] else file.first,
                path=file.path,
                fields=change.fields,
                lines=tuple(change.lines),
                kept=change.kept,
            )

    def _evaluations(self, item: RunItem) -> list[Evaluation]:
        found = []
        for other in self._cells.get(item.run, ()) if item.phase == "preparation" else ():
            told = self._told.get(other.key)
            if told is not None and told.judged:
                name = other.task + ("" if other.epoch is None else f" epoch {other.epoch}")
                found.append(Evaluation(name, told.judged[max(told.judged)]))
        return found

    def _about(self, item: RunItem) -> About:
        said, experiment = self._said, self._experiment
        task = item.run if item.phase == "preparation" else f"{item.run}_{item.task}"
        task += f"_epoch{item.epoch}" if item.epoch is not None else ""
        settings = ", ".join(said.settings) or experiment.settings.get(item.run, "")
        return About(
            task=said.task or task,
            description="; ".join(filter(None, [experiment.name, settings])) if experiment.name != task else settings,
            run_type=said.mode or ("experiment" if experiment.summary else ""),
            objective=said.objective or experiment.question,
            dataset=said.dataset or experiment.dataset,
            settings=settings,
            script=os.path.relpath(experiment.folder / item.script, self._folder().parent) if item.script else "",
            command=f"watchkeeper run {os.path.relpath(experiment.folder, self._folder().parent)}",
        )

    def _folder(self) -> Path:
        if self._root is None:
            self._root = root_of(self._experiment.folder, self._setting) or self._experiment.folder / FOLDER
        return self._root

    def _leave(self, path: str, why: str) -> None:
        if (path, why) not in self._left:
            self._left.add((path, why))
            self._logbook.write(Observed, what="run log left", detail=f"{path}: {why}")


def _safe(name: str) -> str:
    """A name as one part of a path."""
    return re.sub(r"[^\w.@+=-]+", "_", name).strip("._") or "run"


def _holds(path: Path, text: str) -> bool:
    data, fault = read_log(path)
    return data == encode(text) and not fault


def _same_work(document: Document, fresh: Page) -> bool:
    """Whether a log that exists is of the same script and configuration, as far as it names them."""
    wanted = {value.name: value.value for value in fresh.sections["config"]}
    found = {}
    for section in document.of("config"):
        for name in ("script", "config", "dataset"):
            field = section.field(*ALIASES.get(name, (name,)))
            if field is not None and field.value and field.value != PENDING:
                found[name] = field.value
    if "script" not in found or not document.of("job"):
        return False
    for name, value in found.items():
        if wanted[name] not in (PENDING, "n/a") and Path(value).name != Path(wanted[name]).name:
            return False
    return True
