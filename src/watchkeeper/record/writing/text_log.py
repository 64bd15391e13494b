"""The run's log: what the program's loggers say, to `logs/run.log` and to stderr, with the run and
the step on each line.

Loggers that know nothing of us are captured where they meet: at the root, or at the one logger that
the run was given. Everything changed there (level, propagation, handlers) is put back when the last
run that needs it ends. Nothing here raises into the program that logs; a line that could not be
written is counted.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from watchkeeper.core.disk.files import STDERR, open_regular
from watchkeeper.core.disk.spill import SpillingFile
from watchkeeper.core.errors import StorageError, UsageError
from watchkeeper.core.text.inert import inert_lines
from watchkeeper.record.writing.consoles import prints

FILE = "logs/run.log"
FORMAT = "%(asctime)s %(levelname)s [%(pipeline)s %(run_id)s %(step)s] %(message)s"
LEVELS_OF_OTHERS = {"TRACE": 5, "SUCCESS": 25}  # loguru's
MESSAGE_LIMIT = 4_000  # characters of one message
TRACE_LIMIT = 20_000  # characters of one traceback
OWNER = "watchkeeper_run"  # on our own records: the run that says it; no other run's log takes it
# its traceback is for the file: Python prints it again when nobody catches it
QUIET_TRACE = "watchkeeper_quiet"
_SHOWN = "watchkeeper_shown"  # a console of ours has printed this record
_KEPT = "watchkeeper_kept"  # a file of ours has taken this record

Choose = Callable[[Path, set[Path]], Path]

# Where this thread or task is: (run id, step's label) from the outside in; "-" is a run outside its
# steps.
_where: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("watchkeeper_where", default=())


def entered() -> tuple[str, ...]:
    """The ids of the runs that this thread or task is within, from the outside in."""
    return tuple(run_id for run_id, _ in _where.get())


def level_of(value: object) -> int | None:
    """A level by its name, in any case, or by its number; None where there is no such level."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value >= 0:
            return int(value)
        return None
    if not isinstance(value, str):
        return None
    word = value.strip().upper()
    if word.isascii() and word.isdigit():
        return int(word[:9])
    return {**logging.getLevelNamesMapping(), **LEVELS_OF_OTHERS}.get(word)


def bounded(text: str, limit: int) -> str:
    """The text, its middle left out where it is longer than `limit` characters."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half} characters…] {text[-half:]}"


class _Formatter(logging.Formatter):
    """Bounds messages and tracebacks, and has something to say even of a record whose arguments do
    not fit.
    """

    def formatException(self, ei: Any) -> str:
        return bounded(super().formatException(ei), TRACE_LIMIT)

    def of_run(self, record: logging.LogRecord, *, trace: bool, **fields: str) -> str:
        """The record's lines, with the run's fields; the record itself is not changed, since others
        format it too.
        """
        try:
            message = record.getMessage()
        except Exception as error:
            message = f"{record.msg!r} {record.args!r} (not formatted: {error})"
        record = copy.copy(record)
        record.__dict__.update(
            fields, msg=bounded(message, MESSAGE_LIMIT), args=None, exc_text=None
        )
        if not trace:
            record.exc_info = None
        return self.format(record)


class _ToFile(logging.Handler):
    """Appends lines to the log file. A line from a signal handler that comes in the middle of a
    write is taken along by that write.
    """

    def __init__(
        self,
        log: TextLog,
        path: Path,
        instead: Path,
        may_go_on: Callable[[], bool],
        choose: Choose = lambda path, left: path,
    ) -> None:
        """`instead` is the file to write where `path` is there and must not be continued: a living
        process writes it. `choose` takes the path and what was left to the program, and returns
        where the log lies.
        """
        super().__init__(log.level)
        self.lost = 0
        self.spent_s = 0.0
        self._log = log
        self._path, self._instead, self._may_go_on = path, instead, may_go_on
        self._choose = choose
        self._left: set[Path] = set()  # files of ours that the program has begun to write to
        self._file: SpillingFile | None = None
        self._waiting: deque[bytes] = deque()
        self._busy = False

    def emit(self, record: logging.LogRecord) -> None:
        if self._log.takes(record):
            setattr(record, _KEPT, True)
            began = time.perf_counter()
            try:
                lines = inert_lines(self._log.render(record, trace=True))
                self._waiting.append(lines.encode("utf-8", "backslashreplace") + b"\n")
            except Exception:
                self.lost += 1
            self._drain()
            self.spent_s += time.perf_counter() - began

    def _drain(self) -> None:
        """Write the lines that wait. A line that a signal handler logs meanwhile joins them; one
        stays in line until it is written.
        """
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                try:
                    if self._file is not None and not self._file.is_ours_alone():
                        self._leave(self._file)
                    if self._file is None:
                        self._file = self._open()
                    self._file.revive()
                    self._file.append(
                        self._waiting[0]
                    )  # left in line until it is written, should an interrupt come
                except (StorageError, OSError) as error:
                    self.lost += 1
                    if self._file is not None:
                        self._file.trim()  # a person reads this file at any time
                    if self.lost == 1:
                        self._log.mutter(
                            f"a line of {self._path} could not be written, and later ones "
                            f"may be lost: {error}"
                        )
                self._waiting.popleft()
        finally:
            self._busy = False

    def _open(self) -> SpillingFile:
        """The log file, new or to be gone on with; a line that a killed process left torn is ended
        first.
        """
        path = self._choose(self._path, self._left)
        file = SpillingFile(path)
        try:
            file.append(b"")  # it is made now, if nobody was quicker
            return file
        except StorageError:
            if not path.exists():
                raise
        if not self._may_go_on():
            return SpillingFile(self._instead)
        with open_regular(path) as old:
            size = old.seek(0, os.SEEK_END)
            old.seek(max(0, size - 1))
            torn = old.read(1) not in (b"", b"\n")
        file = SpillingFile(path, resume_at=size)
        if torn:
            file.append(b"\n")
        return file

    def _leave(self, file: SpillingFile) -> None:
        """Write to another file from here on, since somebody else writes to this one: no byte of
        theirs is overwritten.
        """
        self._left.add(file.path)
        self._file = None
        file.close()

    def finish(self) -> None:
        with contextlib.suppress(StorageError, OSError):
            if self._file is not None:
                self._file.sync()
                self._file.close()
        self.close()


class _ToConsole(logging.Handler):
    """Prints to whatever stderr is at that moment, unless somebody else prints the record there
    already.
    """

    def __init__(self, log: TextLog) -> None:
        super().__init__(log.level)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if (
                self._log.takes(record)
                and not hasattr(record, _SHOWN)
                and not _printed_by_others(record)
            ):
                setattr(record, _SHOWN, True)
                _print(self._log.render(record, trace=not hasattr(record, QUIET_TRACE)))
        except Exception:  # a closed stream, a broken pipe: the file has the line
            return


def _has_stderr() -> bool:
    """Whether descriptor 2 is the standard error: where that was closed at the start, another file
    has its number.
    """
    return sys.stderr is not None and sys.__stderr__ is not None and not sys.__stderr__.closed


def _print(text: str) -> None:
    """Print a line to stderr: above the bars of tqdm, and in ASCII where the terminal takes no
    more.
    """
    stream = sys.stderr
    if stream is None:
        return
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is not None and getattr(tqdm, "_instances", None) and stream.isatty():
        tqdm.write(text, file=stream)  # above the bars
        return
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    stream.flush()


def _printed_by_others(record: logging.LogRecord) -> bool:
    """Whether a handler of the user's prints this record to stdout or stderr."""
    logger: logging.Logger | None = _logger_of(record)
    while logger is not None:
        for handler in logger.handlers:
            if (
                not isinstance(handler, _ToFile | _ToConsole)
                and record.levelno >= handler.level
                and prints(handler)
            ):
                return all(
                    own.filter(record) for own in handler.filters if isinstance(own, _AsBefore)
                )
        if logger.propagate:
            logger = logger.parent
        else:
            logger = None
    return False


def _logger_of(record: logging.LogRecord) -> logging.Logger:
    """The logger that a record was given to; the root where it is gone."""
    logger = logging.root.manager.loggerDict.get(record.name)
    if isinstance(logger, logging.Logger):
        return logger
    return logging.root


class _AsBefore(logging.Filter):
    """Keeps from a user's handler what it did not get before we lowered its logger's level."""

    def __init__(self, logger: logging.Logger, level: int) -> None:
        super().__init__()
        self._logger = logger
        self._level = level

    def filter(self, record: logging.LogRecord) -> bool:
        logger = _logger_of(record)
        while logger is not self._logger and not logger.level and logger.parent is not None:
            logger = logger.parent
        return logger is not self._logger or record.levelno >= self._level


class _Held:
    """A logger that runs have captured: what it was before, and what the runs need of it."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.runs: list[TextLog] = []
        self._propagate = logger.propagate
        self._look()

    def _look(self) -> None:
        """What the logger is without us."""
        self._level = self.logger.level
        self._effective = self.logger.getEffectiveLevel()
        self._filter = _AsBefore(self.logger, self._effective)
        self._filtered = [
            handler
            for handler in self.logger.handlers
            if not isinstance(handler, _ToFile | _ToConsole)
        ]
        for handler in self._filtered:
            handler.addFilter(self._filter)
        self._set = self.logger.level

    def is_whole(self) -> bool:
        """Whether no configuration has thrown out a handler of ours since."""
        there = self.logger.handlers
        return all(handler in there for run in self.runs for handler in run.handlers())

    def renew(self) -> None:
        """A configuration has thrown our handlers out: capture the logger as it is now."""
        runs, self.runs = self.runs, []
        changed = self.logger.level != self._set
        before = self._level
        for handler in self._filtered:
            handler.removeFilter(self._filter)
        if not changed:
            self.logger.setLevel(before)
        self._look()
        self.runs = runs
        self.settle()
        for run in runs:
            run.add_handlers()

    def settle(self) -> None:
        """Set the level that the runs need; after the last one, everything as it was, but for what
        the user changed.
        """
        ours = self.logger.level == self._set
        if self.runs:
            self._set = (
                min(self._effective, *(run.level for run in self.runs)) or logging.NOTSET + 1
            )
            self.logger.propagate = self._propagate and self.logger.parent is None
        else:
            self._set = self._level
            self.logger.propagate = self._propagate
            for handler in self._filtered:
                handler.removeFilter(self._filter)
        if ours:
            self.logger.setLevel(self._set)


_held: dict[str, _Held] = {}
_lock = threading.RLock()


_live: set[str] = set()  # ids of the runs whose logs are attached
_next_factory: Callable[..., logging.LogRecord] | None = None  # of records, before ours


def _make_record(*args: Any, **fields: Any) -> logging.LogRecord:
    """A record for logging, and before anybody gets it, our handlers where a configuration has
    thrown them out.
    """
    for held in list(_held.values()):
        if not held.is_whole():
            with _lock, contextlib.suppress(Exception):
                held.renew()
    return (_next_factory or logging.LogRecord)(*args, **fields)


def _look_after_handlers() -> None:
    """From the first capture to the last, look after our handlers at each record."""
    global _next_factory  # noqa: PLW0603 - logging has one factory
    if _held and _next_factory is None:
        _next_factory = logging.getLogRecordFactory()
        logging.setLogRecordFactory(_make_record)
    elif not _held and logging.getLogRecordFactory() is _make_record:
        logging.setLogRecordFactory(_next_factory or logging.LogRecord)
        _next_factory = None


def _new_lock() -> None:
    """Make a new lock in a child process."""
    global _lock  # noqa: PLW0603 - the parent's may be held by a thread that the child does not have
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_new_lock)


class TextLog:
    """One run's log, from `attach` to `detach`. `level` is of Python's numbers; `scope` "" is the
    root logger.
    """

    def __init__(
        self,
        *,
        run_id: str,
        pipeline: str,
        path: Path | None,
        line_format: str,
        level: int,
        scope: str,
        console: bool,
        quiet: bool = False,
        writer: str = "other",
        may_go_on: Callable[[], bool] = lambda: True,
        choose: Choose = lambda path, left: path,
    ) -> None:
        """Without a path there is no file. `choose` says at the first line where it lies. Where it
        is there, `may_go_on` says whether to go on with it; else the writer makes its own. `quiet`:
        nothing is captured, and of the run's own words only warnings are said.

        Raises:
            UsageError: the format is none.
        """
        self.run_id = run_id
        self.level = level
        self.logger = logging.getLogger(scope or "watchkeeper")
        self.open_steps: list[
            str
        ] = []  # labels, in the order of their begin: what a thread without a step of its own is in
        self._scope = scope
        self.superseded = False
        """Another run was started in its place: what is said outside all runs is no longer said in
        it.
        """
        self._quiet = quiet
        self._ended = False
        self._fields = {"run_id": run_id, "pipeline": pipeline}
        self._path = path
        try:
            self._formatter = _Formatter(line_format)
            self.render(logging.makeLogRecord({}), trace=False)
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"log_format {line_format!r} is none: {error}", hint=f"the default is {FORMAT!r}"
            ) from error
        self._file = (
            _ToFile(self, path, own_file(path, writer), may_go_on, choose) if path else None
        )
        self._console = _ToConsole(self) if console else None

    @property
    def lost(self) -> int:
        """How many lines could not be written."""
        if self._file:
            return self._file.lost
        return 0

    @property
    def spent_s(self) -> float:
        """How long writing lines has taken."""
        if self._file:
            return self._file.spent_s
        return 0.0

    def handlers(self) -> list[logging.Handler]:
        """Ours, of this run."""
        return [handler for handler in (self._file, self._console) if handler is not None]

    def attach(self) -> None:
        """Capture the logger; again, where a configuration of the user's has thrown the handlers
        out since.
        """
        if self._quiet or self._ended:
            return
        with _lock:
            logger = logging.getLogger(self._scope or None)
            held = _held.get(self._scope) or _held.setdefault(self._scope, _Held(logger))
            if self not in held.runs:
                held.runs.append(self)
                held.settle()
            _live.add(self.run_id)
            if held.is_whole():
                self.add_handlers()
            else:
                held.renew()
            _look_after_handlers()

    def add_handlers(self) -> None:
        """Give the logger our handlers; the console of the run that began last comes first, and
        prints.
        """
        there = logging.getLogger(self._scope or None).handlers
        for handler in self.handlers():
            if handler not in there:
                first = (at for at, other in enumerate(there) if isinstance(other, _ToConsole))
                there.insert(
                    next(first, len(there)) if handler is self._console else len(there), handler
                )

    def detach(self) -> None:
        """Put the logger back as it was, and close the file."""
        self._ended = True
        with _lock:
            held = _held.get(self._scope)
            if held is not None and self in held.runs:
                held.runs.remove(self)
                held.settle()
                if not held.runs:
                    del _held[self._scope]
                _look_after_handlers()
            _live.discard(self.run_id)
            for handler in self.handlers():
                logging.getLogger(self._scope or None).removeHandler(handler)
        if self._file:
            self._file.finish()

    def after_fork(self, writer: str) -> None:
        """In the child: lines go to a file of its own, `run.<writer>.log`, made by the first one;
        to none where the writer is "".
        """
        old = self._file
        if old is None or self._path is None:
            return
        own = own_file(self._path, writer)
        self._file = _ToFile(self, own, own, lambda: False) if writer else None
        logger = logging.getLogger(self._scope or None)
        if old in logger.handlers:
            logger.removeHandler(old)
            if self._file is not None:
                logger.addHandler(self._file)

    def takes(self, record: logging.LogRecord) -> bool:
        """Whether the record is this run's: its own word, or anything said in its context or
        outside all runs.
        """
        owner = getattr(record, OWNER, None)
        if owner is not None:
            return bool(owner == self.run_id)
        runs = [run for run, _ in _where.get() if run in _live]
        return self.run_id in runs or not (runs or self.superseded)

    def render(self, record: logging.LogRecord, *, trace: bool) -> str:
        """The record in the run's format."""
        own = [label for run, label in _where.get() if run == self.run_id]
        if own:
            step = own[-1]
        elif self.open_steps:
            step = self.open_steps[-1]
        else:
            step = "-"
        return self._formatter.of_run(record, trace=trace, step=step, **self._fields)

    def say(
        self,
        level: int,
        message: str,
        *args: object,
        exc_info: Any = None,
        quiet_trace: bool = False,
    ) -> None:
        """A line of the run's own, which only its log takes. It never raises, whatever handlers of
        the user's do.
        """
        if self._quiet or self._ended:
            if level >= logging.WARNING:
                self._say_alone(level, message, *args)
            return
        extra: dict[str, object] = {OWNER: self.run_id}
        if quiet_trace:
            extra[QUIET_TRACE] = True
        with contextlib.suppress(Exception):
            record = self.logger.makeRecord(
                self.logger.name, level, __file__, 0, message, args, exc_info, extra=extra
            )
            # A dictConfig disables what it does not name; logging.disable and a higher level are
            # for the program's lines.
            is_heard = self.logger.isEnabledFor(level) and not self.logger.disabled
            if is_heard:
                self.logger.handle(record)
            if level < self.level:
                return
            if self._file and not hasattr(record, _KEPT):
                self._file.handle(record)
            if not is_heard and self._is_for_console(level):
                _print(self.render(record, trace=not quiet_trace))

    def _is_for_console(self, level: int) -> bool:
        """Whether a line that no handler took is printed all the same."""
        return bool(self._console) and (level >= logging.WARNING or self.logger.disabled)

    def _say_alone(self, level: int, message: str, *args: object) -> None:
        """A line where the run has no log: to what handlers the user has, and to stderr whether
        they do or not.
        """
        with contextlib.suppress(Exception):
            record = self.logger.makeRecord(
                self.logger.name, level, "", 0, message, args, None, extra={OWNER: self.run_id}
            )
            if self.logger.hasHandlers():
                self.logger.handle(record)
            if not _printed_by_others(record):
                _print(f"watchkeeper: {record.getMessage()}")

    def tell(self, level: int, message: str, *args: object) -> None:
        """A line of the run's own to its file and stderr alone, past all handlers of the user's:
        for signal handlers.
        """
        with contextlib.suppress(Exception):
            record = self.logger.makeRecord(
                self.logger.name, level, "", 0, message, args, None, extra={OWNER: self.run_id}
            )
            if level >= self.level:
                if self._file:
                    self._file.handle(record)
                if (
                    self._console and _has_stderr()
                ):  # past sys.stderr, whose buffer this thread may be writing
                    os.write(
                        STDERR,
                        self.render(record, trace=False).encode("utf-8", "backslashreplace")
                        + b"\n",
                    )

    def mutter(self, message: str) -> None:
        """To stderr alone: what the file cannot hold."""
        if self._console:
            with contextlib.suppress(Exception):
                _print(f"watchkeeper: run {self.run_id}: {message}")

    def here(self) -> str:
        """The label of the step that this thread or task is in; "" outside one."""
        own = [label for run, label in _where.get() if run == self.run_id and label != "-"]
        if own:
            return own[-1]
        return ""

    def enter(self, label: str = "-") -> None:
        """From here on, in this thread or task: the run, or its step of this label."""
        _where.set((*_where.get(), (self.run_id, label)))
        if label != "-":
            self.open_steps.append(label)

    def is_entered(self) -> bool:
        """Whether this thread or task is in the run."""
        return any(run == self.run_id for run, _ in _where.get())

    def leave_all(self) -> None:
        """From here on, in this thread or task, nothing is said within this run, nor outside all
        runs.
        """
        self.superseded = True
        _where.set(tuple(frame for frame in _where.get() if frame[0] != self.run_id))

    def leave(self, label: str = "-") -> None:
        """The reverse of `enter`."""
        frames = _where.get()
        frame = (self.run_id, label)
        if frame in frames:
            last = len(frames) - 1 - frames[::-1].index(frame)
            _where.set(frames[:last] + frames[last + 1 :])
        with contextlib.suppress(ValueError):
            self.open_steps.remove(label)


def own_file(path: Path, writer: str) -> Path:
    """The log beside `path` for a process that does not own it: one writer, one file."""
    return path.with_name(f"{path.stem}.{writer}{path.suffix}")
