"""How the run's code compares with its commit, written down as soon as git has answered."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from watchkeeper.core.code import comparison
from watchkeeper.core.code.code_files import Code
from watchkeeper.core.code.comparison import Compared, Comparison
from watchkeeper.core.code.git import LIMIT_S, Git
from watchkeeper.core.events import CodeCompared
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.writing.manifest import changes_of, place_of_code

BUSY_S = 0.5  # that a close waits for another thread's look


class ComparedCode:
    """The question of one run, and its answer. No thread waits: a look costs one system call, and
    follows the events and rows of the run.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._comparison: Comparison | None = None
        self._lock = threading.Lock()

    def begin(self, place: Path | None) -> Code:
        """Ask, and return what is known at once. `place` is a script or a folder; None: the
        running program's. Where another process records, git is asked nothing.
        """
        if not self._recorder.records:
            return Code(Git(), "", Path(), {})
        code, self._comparison = comparison.begin(place_of_code(place))
        self._recorder.on_look = self.look
        return code

    def look(self) -> None:
        """Write the answer down if it is there."""
        recorder = self._recorder
        # An event of a signal handler that interrupts another one has a file of its own.
        if self._comparison is None or not recorder.is_starter or recorder.pen.is_writing:
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._take(0.0)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Write the answer down, and wait for it no longer than LIMIT_S from the question on."""
        if self._comparison is None or not self._recorder.is_starter:
            return
        # Not for ever: this may be a signal handler that interrupts `look`.
        if not self._lock.acquire(timeout=BUSY_S):
            return
        try:
            self._take(LIMIT_S, is_last=True)
        finally:
            self._lock.release()

    def after_fork(self) -> None:
        """In the child: the parent reads the answer."""
        self._lock = threading.Lock()
        if self._comparison is not None:
            self._comparison.close()
            self._comparison = None

    def _take(self, within_s: float, *, is_last: bool = False) -> None:
        """Write the answer down if it comes within that time after the question."""
        asked = self._comparison
        if asked is None:
            return
        with self._recorder.harmless("what git says of the code could not be read"):
            answer = asked.answer(within_s)
            if answer is None and is_last:
                answer = asked.unanswered()
            if answer is not None:
                self._write(answer)

    def _write(self, answer: Compared) -> None:
        self._comparison = None
        event = self._recorder.write(
            CodeCompared,
            git_dirty=answer.dirty,
            uncommitted=answer.uncommitted,
            git_fault=answer.fault,
        )
        if event is not None and self._recorder.started.git_sha:
            self._recorder.say(logging.INFO, "Git: %s", changes_of(event))
