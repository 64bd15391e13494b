"""The files of an experiment's run logs. People edit them too: nothing in them stops a watch."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from watchkeeper.core.code import git
from watchkeeper.core.disk import files
from watchkeeper.core.disk.ownership import foreign_link
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import Observed
from watchkeeper.report.runlog.document import decode, encode
from watchkeeper.watch.logs.logbook import Logbook
from watchkeeper.watch.logs.run_log_folder import FOLDER, read_log

OFF = "off"
_TRIES = 3  # of an edit, while a person edits the same page


def root_of(experiment: Path, setting: str | None) -> Path | None:
    """Locate the run logs of an experiment; None: none are kept.

    They lie in `run_logs/` at the top of its Git repository, else in its own folder. `setting`
    names another folder, from the same place.
    """
    if setting == OFF:
        return None
    top = git.top(experiment) or experiment
    return top / (setting or FOLDER)


class LogFiles:
    """The folder of an experiment's run logs, and changes to the pages in it. What cannot be read
    or written is left alone and logged once.
    """

    def __init__(self, experiment: Path, setting: str | None, logbook: Logbook) -> None:
        self.is_off = setting == OFF
        self._experiment = experiment
        self._setting = setting
        self._logbook = logbook
        self._left: set[tuple[str, str]] = set()  # (path, why) that was logged

    @cached_property
    def folder(self) -> Path:
        """The folder of the run logs, whether it is there or not."""
        return root_of(self._experiment, self._setting) or self._experiment / FOLDER

    def path_of(self, shown: str) -> Path:
        """The file that an event names, from the experiment's folder."""
        return Path(os.path.normpath(self._experiment / shown))

    def refusal(self, path: Path) -> str:
        """Say why a page must not be written: the journal, or another user's link, leads elsewhere.
        "": it may be.
        """
        if not path.is_relative_to(self.folder):
            return f"it is not in {self.folder}, and is left alone"
        link = foreign_link(path)
        if link is not None:
            return f"it lies behind {link}, a link that another user made"
        return ""

    def leave(self, path: str, why: str) -> None:
        """Log, once, that a page is left as it is."""
        if (path, why) not in self._left:
            self._left.add((path, why))
            self._logbook.write(Observed, what="run log left", detail=f"{path}: {why}")

    def guard(self, what: str, work: Callable[[], None]) -> None:
        """Do `work`, and log what it raises. A journal that cannot be written raises all the same:
        logging it fails too.
        """
        try:
            work()
        except (StorageError, OSError) as error:
            self.leave(what, str(error))
        except Exception as error:
            self.leave(what, f"{type(error).__name__}: {error}")

    def read(self, path: Path) -> bytes | None:
        """Read a page; None, and logged: it cannot be read."""
        data, faults = read_log(path)
        if data is not None and not faults:
            return data
        self.leave(str(path), faults[0][2] if faults else "it cannot be read")
        return None

    def edit(self, path: Path, change: Callable[[str], str]) -> bool:
        """Change a page, or make it. False: it cannot be read, which is logged, or it changes all
        the time.
        """
        refusal = self.refusal(path)
        if refusal:
            self.leave(str(path), refusal)
            return False
        for _ in range(_TRIES):
            is_there = os.path.lexists(path)
            data = self.read(path) if is_there else b""
            if data is None:
                return False
            new = encode(change(decode(data)))
            if new == data:
                return True
            if is_there:
                is_written = files.replace_unchanged(path.resolve(), data, new)
            else:
                is_written = files.create(path, new)
            if is_written:
                return True
        return False
