"""How a run is to be recorded: what the call, the environment and the configuration say, checked at
the start.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from watchkeeper.core import layout, processes, words
from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import DamagedLineError, Opened, decode
from watchkeeper.core.journal import MOST_OPENING_BYTES
from watchkeeper.record.writing.manifest import earlier_runs
from watchkeeper.record.writing.text_log import level_of
from watchkeeper.runfolder.telemetry import SIDECAR
from watchkeeper.runfolder.values import text

GRACE_S = 30.0  # between SIGTERM and SIGKILL, for a run that is ended because it is stalled
LEVEL_VARIABLE = "WATCHKEEPER_LOG_LEVEL"
FRESH_S = 600.0  # a process on another host that has not ended, and writes that often, lives
RUN_ID_BYTES = 128  # the longest id that a program may give
WORDS = 80  # characters of a value in a message
TAIL_BYTES = 512  # of a journal's file, that hold its last event

_RUN_ID = re.compile(r"[^\W_][\w.=+@,~:-]*")


COMMAND = frozenset({"command", "cwd"})
"""The configuration of a run that is another program: how it was started, and where."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`level` is one of Python's; `logger` "" is the root; `log_file` None is none; `earlier` are
    the run folders in which a finished step is looked for, the newest first; `exit_code` None is
    the signal's own; `warning_signal` None is none; `stall_s` None is from the run's own history;
    `code_folder` None is the main script's; `name` "" is none.
    """

    level: int = logging.INFO
    logger: str = ""
    log_file: str | None
    log_format: str
    console: bool = True
    persist: bool = True
    earlier: tuple[Path, ...] = ()
    handle_signals: bool = True
    warning_signal: int | None = signal.SIGUSR1
    exit_code: int | None = None
    sidecar: bool = True
    stall_s: float | None = None
    end_stalled: bool = False
    grace_s: float = GRACE_S
    dump_signal: int
    code_folder: Path | None = None
    name: str = ""
    tags: tuple[str, ...] = ()


def name_from(given: object) -> str:
    """The program's own name for the run; "" for none.

    Raises:
        UsageError: it can be none.
    """
    if given is None or given == "":
        return ""
    if not isinstance(given, str):
        raise UsageError(f"name is a {type(given).__name__}", hint='as in name="baseline"')
    fault = words.name_fault(given)
    if fault:
        raise UsageError(f"name {text(given, limit=WORDS)!r} {fault}", hint="give another name")
    return given


def tags_from(given: object) -> tuple[str, ...]:
    """The program's own tags for the run, each once.

    Raises:
        UsageError: they are no list of texts, or one of them can be no tag.
    """
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageError(
            f"tags is a {type(given).__name__}", hint='it is a list: tags=["baseline"]'
        )
    tags = list(dict.fromkeys(given))
    for tag in tags:
        if not isinstance(tag, str):
            raise UsageError(f"a tag is a {type(tag).__name__}", hint='as in tags=["baseline"]')
        fault = words.tag_fault(tag)
        if fault:
            raise UsageError(f"tag {text(tag, limit=WORDS)!r} {fault}", hint="give another tag")
    return tuple(tags)


def run_id_from(given: object) -> str:
    """The program's own id of the run, as text; it names the run's folder and stands in each line
    of the log.

    Raises:
        UsageError: it cannot do so.
    """
    if isinstance(given, str) or (isinstance(given, int) and not isinstance(given, bool)):
        words = str(given)
    else:
        words = ""
    fault = ""
    if not words:
        if given == "":
            fault = "it is empty"
        else:
            fault = f"it is a {type(given).__name__}"
    elif not _RUN_ID.fullmatch(words):
        fault = "it names a folder and a field of each log line"
    elif len(words.encode()) > RUN_ID_BYTES:
        fault = f"it is longer than {RUN_ID_BYTES} bytes"
    if fault:
        hint = (
            "use letters, digits and . _ - = + @ , ~ : after a first letter or digit; or leave "
            "run_id out"
        )
        raise UsageError(f"run_id {text(given, 80)!r} cannot be used: {fault}", hint=hint)
    return words


def recording_process(folder: Path) -> int | None:
    """The process on this host that records into the folder at present, besides this one; None
    where none is known to.
    """
    return next((name.pid for _, name in _unended(folder) if processes.is_alive(name)), None)


def others_live(folder: Path, log: Path) -> bool:
    """Whether another process that recorded into this folder still lives; one on another host is
    taken to live while it has written in the last ten minutes and has not ended.
    """
    for path, name in _unended(folder):
        alive = processes.is_alive(name)
        if alive or (alive is None and _is_fresh(path, log)):
            return True
    return False


def _unended(folder: Path) -> Iterator[tuple[Path, processes.ProcessName]]:
    """The journal's files of other processes that have not written their end, each with its
    process.
    """
    for path in (folder / layout.JOURNAL).glob("*.jsonl"):
        try:
            with open_regular(path) as file:
                opened = decode(file.readline(MOST_OPENING_BYTES))
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                ended = b'{"kind":"sealed",' in file.read()
        except (OSError, DamagedLineError):
            continue
        if (
            isinstance(opened, Opened)
            and opened.pid != os.getpid()
            and opened.purpose != SIDECAR
            and not ended
        ):
            yield (
                path,
                processes.ProcessName(
                    host=opened.host,
                    boot_id=opened.boot_id,
                    pid=opened.pid,
                    start_ticks=opened.start_ticks,
                ),
            )


def _is_fresh(*paths: Path) -> bool:
    """Whether one of them was written to a short while ago."""
    with contextlib.suppress(OSError):
        return max(path.stat().st_mtime for path in paths) > time.time() - FRESH_S
    return False


class Level(NamedTuple):
    """A log's level, and what is to be said of a word that is none; "" for nothing."""

    number: int
    words: str


def level_from(
    flag: object, config: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Level:
    """The level by the call, else the environment, else the configuration's `log_level`, else INFO.
    A word that is no level, such as another library's, is passed over, and said.
    """
    places = (
        (flag, "log_level"),
        (environ.get(LEVEL_VARIABLE) or None, LEVEL_VARIABLE),
        (config.get("log_level"), "log_level in the config"),
    )
    unknown: list[str] = []
    number = logging.INFO
    for value, place in places:
        if value is None:
            continue
        level = level_of(value)
        if level is not None:
            number = level
            break
        unknown.append(f"{place} is {text(value, limit=WORDS)}")
    if not unknown:
        return Level(number, "")
    return Level(
        number,
        (
            f"{', '.join(unknown)}, which is no level here; the log is kept at "
            f"{logging.getLevelName(number)}"
        ),
    )


def persist_from(flag: bool | None, config: Mapping[str, Any]) -> bool:
    """Whether the artifacts of steps are kept: by the call, else the configuration's
    `persist_step_outputs`, else yes.

    Raises:
        UsageError: the configuration's is neither true nor false.
    """
    if flag is None:
        value = config.get("persist_step_outputs")
    else:
        value = flag
    if value is None:
        return True
    if not isinstance(value, bool):
        raise UsageError(f"persist_step_outputs is {value!r}", hint="it is true or false")
    return value


def earlier_from(
    reuse: bool | str | os.PathLike[str], root: Path | None, folder: Path, pipeline: str
) -> tuple[Path, ...]:
    """The run folders whose finished steps may be reused: none, the pipeline's earlier ones in the
    same place, or the one named.

    Raises:
        UsageError: there is no run where one was named.
    """
    if reuse is False or reuse is None:
        return ()
    if reuse is True:
        if root is not None:
            return tuple(earlier_runs(root, pipeline))
        return (folder,)
    named = Path(reuse).absolute()
    if not (named / layout.JOURNAL).is_dir():
        raise UsageError(
            f"reuse: there is no recorded run in {named}",
            hint="name a run's folder, or reuse=True for all",
        )
    return (named,)


def sidecar_from(
    flag: bool | None,
    stall_s: float | None,
    end_stalled: bool | None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[bool, float | None, bool]:
    """Whether a sidecar watches, after how many seconds without an advance it raises the alarm
    (None: by the history), and whether it then ends the run: by the call, else WATCHKEEPER_SIDECAR,
    WATCHKEEPER_STALL_S, WATCHKEEPER_END_STALLED.

    Raises:
        UsageError: a value that is none, or an end without a limit that somebody set.
    """
    limit = _seconds("stall_s", environ.get("WATCHKEEPER_STALL_S") if stall_s is None else stall_s)
    if end_stalled is None:
        ends = _switch("WATCHKEEPER_END_STALLED", environ, default=False)
    else:
        ends = end_stalled
    if ends and limit is None:
        raise UsageError(
            "a stalled run is to be ended, and nobody said after how long",
            hint="set stall_s=1800, say",
        )
    return (
        (_switch("WATCHKEEPER_SIDECAR", environ, default=True) if flag is None else flag),
        limit,
        ends,
    )


def grace_from(environ: Mapping[str, str] = os.environ) -> float:
    """Seconds between SIGTERM and SIGKILL for a stalled run that is ended: WATCHKEEPER_GRACE_S,
    else 30.

    Raises:
        UsageError: it is none.
    """
    seconds = _seconds("WATCHKEEPER_GRACE_S", environ.get("WATCHKEEPER_GRACE_S"))
    if seconds is None:
        return GRACE_S
    return seconds


def _seconds(name: str, given: object) -> float | None:
    try:
        if given is None or given == "":
            seconds = None
        else:
            seconds = float(str(given))
    except ValueError:
        seconds = math.nan
    if seconds is not None and not seconds > 0:
        raise UsageError(f"{name} is {given!r}", hint="it is a number of seconds above 0")
    return seconds


def _switch(name: str, environ: Mapping[str, str], *, default: bool) -> bool:
    value = environ.get(name, "")
    if value not in ("", "0", "1"):
        raise UsageError(f"{name} is {value!r}", hint="it is 0 or 1")
    if value == "":
        return default
    return value == "1"


def seed_of(config: Mapping[str, Any]) -> int | None:
    """The configuration's `seed`, or `random_seed`, wherever it is an integer at the top; None for
    none.
    """
    for name in ("seed", "random_seed"):
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
