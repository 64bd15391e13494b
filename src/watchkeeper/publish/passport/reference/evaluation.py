"""Making an evaluation once more: its command runs in a session of its own, with a time limit, and
its log and output come into a folder of their own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from watchkeeper.core.disk.files import make_folder
from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.publish.passport.reference.program import end_group, last_line
from watchkeeper.tools.samples import SUFFIXES

LIMIT_S = 3600.0
OUTPUT = "output.txt"
LOG_FOLDER = "INSPECT_LOG_DIR"
"""Where inspect-ai writes its log, unless its command says so."""


class EvaluationError(WatchkeeperError):
    """The evaluation failed, took too long, or left no log."""

    code = "evaluation-failed"


def run_again(words: Sequence[str], folder: Path, limit_s: float = LIMIT_S) -> Path:
    """Run the command of an evaluation in this process's folder, and return the log that it left in
    `folder`, which is made for it. The command finds its absolute path in INSPECT_LOG_DIR.

    Raises:
        UsageError: the folder is there already.
        EvaluationError: the command did not start, failed, took longer than `limit_s` seconds, or
            left no log or several.
        OSError: the folder cannot be made.
    """
    if os.path.lexists(folder):
        raise UsageError(
            f"{folder} is there already: the log must come into a folder of its own",
            hint="name another: --into FOLDER",
            code="exists",
        )
    make_folder(folder)
    with (folder / OUTPUT).open("xb+") as output:
        try:
            process = subprocess.Popen(
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, LOG_FOLDER: str(folder.absolute())},
            )
        except OSError as error:
            raise EvaluationError(f"{words[0]} could not be started: {error.strerror}") from error
        _wait(process, limit_s, folder)
        if process.returncode != 0:
            raise EvaluationError(
                f"the evaluation ended with code {process.returncode}: {last_line(output)}",
                hint=f"read {folder / OUTPUT}",
            )
    return _log_in(folder)


def _wait(process: subprocess.Popen[bytes], limit_s: float, folder: Path) -> None:
    """Wait for the evaluation, at most `limit_s` seconds, and end all of its processes where that
    is not enough, or where this program is interrupted.

    Raises:
        EvaluationError: it took longer.
    """
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired as error:
        end_group(process)
        raise EvaluationError(
            f"the evaluation took longer than {limit_s:g} s, and was ended",
            hint=f"give it more time with --timeout SECONDS; its output is in {folder / OUTPUT}",
        ) from error
    except BaseException:
        end_group(process)
        raise


def _log_in(folder: Path) -> Path:
    """The one log that an evaluation left below a folder.

    Raises:
        EvaluationError: it left none, or several.
    """
    logs = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(logs) == 1:
        return logs[0]
    what = f"{len(logs)} logs" if logs else "no log"
    raise EvaluationError(
        f"the evaluation left {what} in {folder}",
        hint=f"its command must write one log into the folder that {LOG_FOLDER} names",
    )
