"""What every part of a run writes with: its pen, its text log, its warnings and its counts.

Nothing here raises into the user's loop once the run has started: what cannot be written is
reported once and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from watchkeeper.core import layout
from watchkeeper.core.disk import spill
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import (
    AnyEvent,
    Checkpoint,
    CodeCompared,
    Event,
    OutputFile,
    Renamed,
    RunEnded,
    RunStarted,
    StepFinished,
    TableSealed,
)
from watchkeeper.core.journal import Clock
from watchkeeper.record.options import Options, others_live
from watchkeeper.record.ranks import Rank, agreed, is_data_worker
from watchkeeper.record.writing import leftout, seals
from watchkeeper.record.writing.homes import Homes
from watchkeeper.record.writing.leftout import WORDS, LeftOut, words_of
from watchkeeper.record.writing.pen import ProcessWriter, SilentWriter
from watchkeeper.record.writing.text_log import TextLog

IN_MANIFEST = (CodeCompared, StepFinished, Checkpoint, TableSealed, Renamed, RunEnded)
"""The events that the run's manifest is made of, besides its start."""

E = TypeVar("E", bound=Event)


class Recorder:
    """What one process of a run writes with. Safe from threads, signal handlers and forks."""

    started: RunStarted
    """The run's first event."""

    def __init__(
        self,
        folder: Path,
        run_id: str,
        pipeline: str,
        *,
        clock: Clock,
        options: Options,
        rank: Rank | None,
        shares_folder: bool,
    ) -> None:
        """`rank` None: this process records alone. `shares_folder`: another run of this process
        records into the same folder.

        Raises:
            UsageError: the format of the log's lines is unusable.
            StorageError: the folder cannot be written to.
        """
        self.folder = folder
        self.run_id = run_id
        self.pipeline = pipeline
        self.clock = clock
        self.options = options
        self.rank = rank
        self.began = time.monotonic()
        self.records = rank is None or rank.number == 0
        """False where another process records: on another rank, or in a process that loads data."""
        self.left_out = LeftOut()
        self.is_over = False
        """The end is written: nothing more is."""
        self.homes = Homes(folder, self._on_renamed)
        self.rows_before: set[Path] = set()
        """The files of rows that earlier runs left in the folder."""
        if self.records:
            self.rows_before = seals.row_files(folder / layout.METRICS)
        self.outputs: dict[str, OutputFile] = {}
        """The results of the run and of its stages, by path."""
        self.events: list[AnyEvent] = []
        """What the run's manifest is made of."""
        self.on_look: Callable[[], None] = lambda: None
        """Called after events, and now and then after rows."""
        self.recovered = spill.recover()
        """The files that a killed process had left on this node, and that are in place now."""
        self.pen = self._new_pen(rank)
        self.starter = self.pen.pid
        """The process that started the run."""
        self.log = self._new_log(shares_folder)

    def _new_pen(self, rank: Rank | None) -> ProcessWriter:
        if self.records:
            return ProcessWriter(
                self.folder,
                self.pipeline,
                self.clock,
                revived=self._on_revived,
                looked=self._on_look,
            )
        return SilentWriter(
            self.folder,
            self.pipeline,
            self.clock,
            rank,
            refuse=self.refuses,
            left_out=lambda: words_of(self.left_out.take()),
        )

    def _new_log(self, shares_folder: bool) -> TextLog:
        options, folder = self.options, self.folder
        path: Path | None = None
        if options.log_file is not None and self.records:
            path = folder / options.log_file

        def may_continue() -> bool:
            return not shares_folder and path is not None and not others_live(folder, path)

        def choose(path: Path, left: set[Path]) -> Path:
            return self.homes.choose_log(self.homes.shown(path), self.writer, left)

        return TextLog(
            run_id=self.run_id,
            pipeline=self.pipeline,
            path=path,
            writer=self.writer,
            may_go_on=may_continue,
            line_format=options.log_format,
            level=options.level,
            scope=options.logger,
            console=options.console and self.records,
            quiet=not self.records,
            choose=choose,
        )

    # ── who and when

    @property
    def writer(self) -> str:
        """This process's id in the journal."""
        return self.pen.writer.id

    @property
    def has_ended(self) -> bool:
        """Whether the run's end has begun in this process."""
        return self.pen.ended

    @property
    def is_starter(self) -> bool:
        """Whether this process started the run: a forked child did not."""
        return self.pen.pid == self.starter

    @property
    def spent_s(self) -> float:
        """How long writing events, rows and lines has taken in this process."""
        return self.pen.spent_s + self.log.spent_s

    # ── writing

    def start(self, **fields: object) -> None:
        """Write the run's first event. Raises what `Writer.write` raises."""
        self.started = self.pen.write(
            RunStarted,
            run_id=self.run_id,
            pipeline=self.pipeline,
            folder=str(self.folder),
            **fields,
        )
        self.events.append(self.started)

    def write(self, kind: type[E], **fields: object) -> E | None:
        """Append an event and return it; None if it could not be written, or if another process
        records.
        """
        tag = str(kind.__struct_config__.tag)
        if self.is_over:
            self.refuses(WORDS.get(tag, "others"))
            return None
        with self.harmless(f"{tag} could not be written down"):
            event = self.pen.write(kind, **fields)
            if not self.records:
                return None
            if isinstance(event, IN_MANIFEST) and event.writer == self.started.writer:
                self.events.append(event)
            self.on_look()
            return event
        return None

    def say(self, level: int, message: str, *values: object) -> None:
        """Write a line into the text log and to the console."""
        self.log.say(level, message, *values)

    def warn(self, about: str, message: str) -> None:
        """Warn once a process. A logging handler that fails does not stop the user's loop."""
        if about in self.pen.said:
            return
        self.pen.said.add(about)
        self.log.say(logging.WARNING, "run %s: %s", self.run_id, message)

    @contextlib.contextmanager
    def harmless(self, what: str) -> Iterator[None]:
        """Turn an exception into a warning. `what` failed, in words."""
        try:
            yield
        except Exception as error:
            self.warn(what, f"{what}: {error}")

    # ── what is not kept

    def lose_row(self, error: Exception) -> None:
        """Count a row that could not be written."""
        if self.has_ended:
            self.refuses("metric rows")
            return
        if not self.is_starter:  # the end of the run counts its own rows only
            self.left_out.add("lost rows")
        self.warn(
            "rows", f"a metric row could not be written, and later ones may be lost too: {error}"
        )

    def refuses(self, what: str) -> bool:
        """Whether the run does not keep this: after its end, and where another process records.
        What is refused is counted, and reported once.
        """
        if self.records and not self.has_ended:
            return False
        with self.harmless("what is not kept could not be counted"):
            self.left_out.add(what)
            if self.has_ended:
                self._say_ended(what)
            else:
                self._say_silent(what)
            self.pen.said.add("refused")
        return True

    def _say_ended(self, what: str) -> None:
        if os.getpid() == self.starter or self._speaks("it has ended"):
            self.warn(
                "refused",
                f"it has ended: {what}, and whatever else is handed to it now, are not kept",
            )
            leftout.say_at_exit(self.run_id, self.left_out)

    def _say_silent(self, what: str) -> None:
        if "refused" not in self.pen.said and self._speaks("only rank 0 records"):
            self.warn(
                "refused",
                f"{self._role()} does not record: {what}, and whatever else it hands in, "
                "are not kept",
            )

    def _role(self) -> str:
        if self.rank is not None and os.getpid() == self.starter:
            return f"rank {self.rank.number} of {self.rank.world} (rank 0 does)"
        return "a process that loads data"

    def _speaks(self, words: str) -> bool:
        """Whether this process says so for all ranks and forked children: the first one does."""
        if "refused" in self.pen.said:
            return True
        group = self.run_id
        if self.rank is not None:
            group = self.rank.group
        me = f"{self.writer} {os.getpid()}"
        try:
            return agreed(self.folder, group, f"{self.run_id}: {words}", me) == me
        except StorageError:
            return True

    # ── what happens to the process and its files

    def after_fork(self) -> None:
        """In the child: the parent's files and locks are the parent's."""
        self.left_out.after_fork()
        if is_data_worker():
            self.records = False
        self.pen = self._new_pen(None)
        self.log.after_fork(self.writer if self.records else "")

    def _on_revived(self, path: Path) -> None:
        self.warn(
            "deleted", f"{path} was deleted while the run goes on; what it held is written again"
        )

    def _on_look(self) -> None:
        self.on_look()

    def _on_renamed(self, name: str, path: str, reason: str) -> None:
        """A file of ours lies under another name than readers would look for."""
        self.write(Renamed, name=name, path=path, reason=reason)
        file = name.rpartition("/")[2]
        self.warn(f"renamed {file}", f"{name} is kept in {path}: {reason}")
