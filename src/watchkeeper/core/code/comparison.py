"""How a run's code compares with its commit: git is asked while the run begins, since its answer
takes longer than all the rest of a start.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.code import code_files, git
from watchkeeper.core.code.code_files import Code
from watchkeeper.core.code.git_head import head_of
from watchkeeper.core.code.git_inquiry import LIMIT_S, TOO_LATE, Answer, Inquiry, Question

_NO_GIT = 127


class Compared(NamedTuple):
    """`dirty`: whether tracked files differ from the commit, None where git could not tell, and
    `fault` says why. `uncommitted`: the names of the code's files that the commit does not hold.
    """

    dirty: bool | None
    uncommitted: tuple[str, ...]
    fault: str


class Comparison:
    """What git is still asked about a run's code. Belongs to the process that asks."""

    def __init__(self, code: Code) -> None:
        """Ask about `code`, whose folder lies in a repository.

        Raises:
            OSError, subprocess.SubprocessError: no shell could be started.
        """
        self._code = code
        self._strangers, self._unsure = code_files.sort_out(code.folder, code.files) or (set(), {})
        questions = [Question(code.folder, git.STATUS)]
        for top, places in self._unsure.items():
            questions.append(Question(top, git.which_tracked(top, places.values())))
        self._inquiry = Inquiry(questions)

    def answer(self, within_s: float = 0.0) -> Compared | None:
        """What git said; None: it is not done, `within_s` seconds after it was asked."""
        answers = self._inquiry.answers(within_s)
        if answers is None:
            return None
        status, *listings = answers
        strangers = set(self._strangers)
        for (top, places), listing in zip(self._unsure.items(), listings, strict=True):
            if listing.code == 0:
                tracked = git.tracked_in(listing.output, top, places.values())
                strangers |= {path for path, real in places.items() if real not in tracked}
        names = tuple(self._code.name(path) for path in self._code.files if path in strangers)
        if status.code:
            return Compared(None, names, self._fault(status))
        return Compared(git.state_in(status.output).dirty, names, "")

    def unanswered(self) -> Compared:
        """What is known without an answer; git's is not waited for any more."""
        self.close()
        names = tuple(self._code.name(path) for path in self._code.files if path in self._strangers)
        return Compared(None, names, "git gave no answer before the run ended")

    def close(self) -> None:
        """Leave the rest unanswered."""
        self._inquiry.close()

    def _fault(self, status: Answer) -> str:
        """Why git did not say whether files differ, in words."""
        if status.code == TOO_LATE:
            return f"git gave no answer within {LIMIT_S} s"
        if status.code == _NO_GIT:
            return "git is not installed"
        return git.refusal(self._code.folder)


def begin(place: Path) -> tuple[Code, Comparison | None]:
    """The code of a run that begins with the script `place`, as far as it can be read at once; and
    what git is still asked (None: nothing). Of a folder, only the commit. A Comparison is to be
    closed.
    """
    folder, files = code_files.begin(place)
    head = head_of(folder)
    if head is None:
        return code_files.of(place), None
    code = Code(head, "", folder, files)
    if git.holder_of(folder) is None:
        return code, None
    try:
        return code, Comparison(code)
    except (OSError, subprocess.SubprocessError) as error:
        return code._replace(fault=f"git could not be asked: {error}"), None
