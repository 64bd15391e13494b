"""An evaluation that is made once more."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.passport.reference.evaluation import EvaluationError, run_again

LOG = "import os, pathlib; pathlib.Path(os.environ['INSPECT_LOG_DIR'], 'a.jsonl').write_text('')"


def words(code: str) -> list[str]:
    """A command that runs this Python."""
    return [sys.executable, "-S", "-c", code]


def test_the_log_comes_into_a_folder_of_its_own(tmp_path: Path) -> None:
    """The one log in the new folder is returned, beside what the command printed."""
    folder = tmp_path / "deep" / "again"
    assert run_again(words(f"print('said'); {LOG}"), folder) == folder / "a.jsonl"
    assert (folder / "output.txt").read_text() == "said\n"
    with pytest.raises(UsageError, match="is there already"):
        run_again(words(LOG), folder)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('a'); print('why'); raise SystemExit(3)", "ended with code 3: why"),
        ("", "left no log"),
        (f"{LOG}; pathlib.Path(os.environ['INSPECT_LOG_DIR'], 'b.eval').touch()", "left 2 logs"),
    ],
)
def test_an_evaluation_that_fails_is_named(tmp_path: Path, code: str, message: str) -> None:
    """Its exit code with its last line, no log, and several logs are failures."""
    with pytest.raises(EvaluationError, match=message):
        run_again(words(code), tmp_path / "again")


def test_a_command_that_is_none_is_named(tmp_path: Path) -> None:
    """A program that is not there cannot be started."""
    with pytest.raises(EvaluationError, match="could not be started"):
        run_again(["/no/such/program"], tmp_path / "again")


def test_the_time_limit_ends_it_with_its_children(tmp_path: Path) -> None:
    """A command that has not ended at its limit is killed, and so is what it started: a pipe that
    both write to comes to its end.
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command = ["sh", "-c", f"exec 3>'{pipe}'; sleep 6000 & sleep 6000"]
    with pytest.raises(EvaluationError, match="took longer than 1 s"):
        run_again(command, tmp_path / "again", 1)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)
