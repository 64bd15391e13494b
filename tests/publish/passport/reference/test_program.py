"""The program that makes a forward pass, and how its answer is read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.checkpoints import write_program
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.passport.reference.program import BUILT_IN, ForwardPassError, path_of, run

ANSWER = {"inputs": {"x": 1}, "outputs": {"y": 2.5}}


def test_a_program_gets_the_folder_and_the_question(tmp_path: Path) -> None:
    """The folder is its argument, the inputs its standard input, its last line the answer."""
    path = write_program(
        tmp_path / "forward.py",
        "import json, sys\nasked = json.loads(sys.stdin.readline())\n"
        "print('noise')\n"
        "print(json.dumps({'inputs': {'x': asked['inputs']}, 'outputs': {'root': sys.argv[1]}}))\n",
    )
    answer = run(path, tmp_path, {"a": [1]})
    assert answer.inputs == {"x": {"a": [1]}} and answer.outputs == {"root": str(tmp_path)}
    assert run(path, tmp_path, None).inputs == {"x": None}


def test_a_program_in_another_language_is_run_as_it_is(tmp_path: Path) -> None:
    """A file that is no Python is executed; one that cannot be is named."""
    path = write_program(tmp_path / "forward", f"#!/bin/sh\necho '{json.dumps(ANSWER)}'\n")
    with pytest.raises(ForwardPassError, match="could not be started"):
        run(path, tmp_path, None)
    path.chmod(0o755)
    assert run(path, tmp_path, None).outputs == {"y": 2.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print('hello')", "no answer"),
        ("", "no answer"),
        ('print(\'{"inputs": {"x": 1}}\')', "no answer"),
        ('print(\'{"inputs": {}, "outputs": {"y": 1}}\')', "without inputs"),
        ('print(\'{"inputs": {"x": 1}, "outputs": {"y": NaN}}\')', "gave NaN"),
        ("print('[' * 100000)", "no answer"),
        ("import sys; sys.exit('no such model')", "no such model"),
        ("raise SystemExit(3)", "ended with code 3"),
    ],
)
def test_a_bad_answer_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A program that fails, prints something else, or gives NaN says which it was."""
    with pytest.raises(ForwardPassError, match=message):
        run(write_program(tmp_path / "forward.py", text), tmp_path, None)


def test_a_program_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    """At the limit the whole session is killed: its child's end of a pipe closes."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    text = (
        "import os, subprocess, sys\n"
        f"os.dup2(os.open('/proc/{os.getpid()}/fd/{writer}', os.O_WRONLY), 9)\n"
        "subprocess.run(['sleep', '600'], pass_fds=[9])\n"
    )
    try:
        with pytest.raises(ForwardPassError, match="longer than 1 s"):
            run(write_program(tmp_path / "forward.py", text), tmp_path, None, limit_s=1)
    finally:
        os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_program_is_a_file_or_built_in(tmp_path: Path) -> None:
    """`hf` names the built-in program, and a file that is not there is named."""
    assert path_of("hf") == BUILT_IN["hf"] and BUILT_IN["hf"].is_file()
    with pytest.raises(UsageError, match=r"no program nowhere\.py"):
        path_of("nowhere.py")
