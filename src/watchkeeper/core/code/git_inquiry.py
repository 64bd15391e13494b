"""Questions to git that start at once, and whose answers are read when they are there.

git must be no child of the program: `os.wait` there would meet it, and its end would call a handler
of SIGCHLD. So a shell starts it in the background, and leaves.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.code import git
from watchkeeper.core.disk import files

LIMIT_S = 60
MOST_BYTES = 4 * 2**20
TOO_LATE = 124  # as `timeout` ends; 127: there is no git
_PIECE = 2**16


class Question(NamedTuple):
    """What git is asked in a folder: the words of its command line."""

    folder: Path
    words: Sequence[str]


class Answer(NamedTuple):
    """What git wrote, and how it ended."""

    code: int
    output: bytes


class Inquiry:
    """Questions that git is asked one after the other, each for at most LIMIT_S. Belongs to the
    process that asks.
    """

    def __init__(self, questions: Sequence[Question]) -> None:
        """Ask.

        Raises:
            OSError, subprocess.SubprocessError: no shell could be started.
        """
        self._began = time.monotonic()
        self._count = len(questions)
        self._mark = os.urandom(16).hex()
        self._output = bytearray()
        ours, theirs = os.pipe()
        self._fd = files.above_stdio(ours)
        try:
            os.set_blocking(self._fd, False)
            status = os.fstat(self._fd)
            self._pipe = status.st_dev, status.st_ino
            subprocess.run(
                ["/bin/sh", "-c", self._script(questions)],
                stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, check=True,
                timeout=10, start_new_session=True, cwd="/", env=git.environment(),
            )  # fmt: skip
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs)

    def answers(self, within_s: float = 0.0) -> list[Answer] | None:
        """The answers, in the order of the questions; one that git did not come to is TOO_LATE.
        None: git is not done, `within_s` after it was asked. Does not wait where that is over.
        """
        while self._fd >= 0:
            try:
                self._read()
            except BlockingIOError:
                left_s = self._began + within_s - time.monotonic()
                if left_s <= 0 or not select.select([self._fd], [], [], left_s)[0]:
                    return None
        return self._parsed()

    def close(self) -> None:
        """Leave the rest unanswered."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                if self._is_ours():
                    os.close(self._fd)
            self._fd = -1

    def _read(self) -> None:
        """Take what is there; close at the end, and where the program has closed the pipe.

        Raises:
            BlockingIOError: there is no more yet.
        """
        try:
            piece = os.read(self._fd, _PIECE) if self._is_ours() else b""
        except BlockingIOError:
            raise
        except OSError:
            piece = b""
        self._output += piece
        if not piece or len(self._output) > MOST_BYTES:
            self.close()

    def _is_ours(self) -> bool:
        """False where the program has closed it: the number may be a file of its own by now."""
        try:
            status = os.fstat(self._fd)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._pipe

    def _script(self, questions: Sequence[Question]) -> str:
        """The shell script that asks all questions, one after the other. Behind each answer it
        prints a line with a mark and git's exit code. `timeout` ends a question that takes too
        long, where the system has it.
        """
        asked = [
            f"$limit git -C {shlex.quote(str(question.folder))} {shlex.join(question.words)}; "
            f"printf '\\n{self._mark} %d\\n' $?"
            for question in questions
        ]
        limit = f'command -v timeout >/dev/null && limit="timeout {LIMIT_S}"'
        return "\n".join([limit, "(", *asked, ") </dev/null &"])

    def _parsed(self) -> list[Answer]:
        """The answers as far as they were printed; TOO_LATE for each of the others."""
        found: list[Answer] = []
        rest = bytes(self._output)
        while len(found) < self._count:
            output, mark, rest = rest.partition(f"\n{self._mark} ".encode())
            code, _, rest = rest.partition(b"\n")
            if not mark or not code.isdigit():
                break
            found.append(Answer(int(code), output))
        late = [Answer(TOO_LATE, b"")] * (self._count - len(found))
        return found + late
