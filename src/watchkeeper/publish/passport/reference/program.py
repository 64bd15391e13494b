"""Running the program that makes a forward pass. It is the user's own, and runs only when asked.

It is called with the checkpoint's folder as its one argument, and is given one line of JSON on its
standard input: `{"inputs": null}` to record, `{"inputs": …}` with what was recorded to replay. The
last line of its standard output is a JSON object:

    {"inputs": {"prompt": "…"}, "outputs": {"logits": [0.1, …]}, "tolerance": {"absolute": 1e-4}}
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from watchkeeper.core.errors import UsageError, WatchkeeperError

HUGGING_FACE = "hf"
"""The name of the built-in program, for causal language models of transformers."""
BUILT_IN = {HUGGING_FACE: Path(__file__).parent / "programs" / "causal_lm.py"}
LIMIT_S = 600.0
MOST_ANSWER_BYTES = 4 * 2**20
_TAIL_BYTES = 2_000


class ForwardPassError(WatchkeeperError):
    """The program that makes the forward pass failed, or did not answer as it must."""

    code = "reference-failed"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a forward pass was given and gave. `tolerance` is by how much a replay may differ:
    `absolute`, `relative`; what it lacks is the default.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    tolerance: dict[str, float] = {}


def path_of(name: str) -> Path:
    """The program of this name: a built-in one, or a file.

    Raises:
        UsageError: there is no such file.
    """
    path = BUILT_IN.get(name, Path(name))
    if not path.is_file():
        raise UsageError(
            f"there is no program {name}",
            hint=f"name a Python file, or {HUGGING_FACE} for a language model of transformers",
            code="not-found",
        )
    return path


def run(path: Path, root: Path, inputs: Any, limit_s: float = LIMIT_S) -> Answer:
    """Run the program once, in its own session, and end it and its children at the limit.

    Raises:
        ForwardPassError: it did not start, failed, took longer than `limit_s` seconds, or its last
            line is no answer.
    """
    question = json.dumps({"inputs": inputs}) + "\n"
    interpreter = [sys.executable] if path.suffix == ".py" else []
    command = [*interpreter, str(path.resolve()), str(root)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise ForwardPassError(f"{path} could not be started: {error.strerror}") from error
        _wait(process, path, question, limit_s)
        if process.returncode != 0:
            raise ForwardPassError(
                f"{path} ended with code {process.returncode}: {last_line(err)}",
                hint="run it by hand: it needs the folder as its argument",
            )
        return _answer(path, last_line(out, MOST_ANSWER_BYTES))


def _wait(process: subprocess.Popen[bytes], path: Path, question: str, limit_s: float) -> None:
    """Ask the program its question and wait for its end, at most `limit_s` seconds. All of its
    processes are ended where that is not enough, or where this program is interrupted.

    Raises:
        ForwardPassError: it took longer.
    """
    try:
        process.communicate(question.encode(), timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        end_group(process)
        raise ForwardPassError(
            f"{path} took longer than {limit_s:g} s, and was ended",
            hint="give it more time with --timeout SECONDS",
        ) from error
    except BaseException:
        end_group(process)
        raise


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads its own session, and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_line(file: BinaryIO, most_bytes: int = _TAIL_BYTES) -> str:
    """The last line that is not empty in the last bytes of a file; "": there is none.

    Libraries print before and between: only the last line is the answer.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, size_bytes - most_bytes))
    lines = file.read().decode("utf-8", "replace").split("\n")
    for line in reversed(lines):
        if line.strip():
            return line.strip()
    return ""


def _answer(path: Path, line: str) -> Answer:
    """The answer in the last line that a program printed: `{"inputs": {…}, "outputs": {…}}`.

    Raises:
        ForwardPassError: it is none, holds NaN, or has no inputs or outputs.
    """
    try:
        value = json.loads(line, parse_constant=_refuse)
        answer = msgspec.convert(value, Answer)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ForwardPassError(
            f"the last line that {path} printed is no answer: {error}",
            hint='it must be JSON on one line: {"inputs": {…}, "outputs": {…}}',
        ) from error
    if not answer.inputs or not answer.outputs:
        raise ForwardPassError(f"{path} answered without inputs or without outputs")
    return answer


def _refuse(name: str) -> Any:
    """Refuse `NaN` and `Infinity`: such an output proves nothing."""
    raise ValueError(f"the forward pass gave {name}")
