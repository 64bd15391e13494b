"""What git is asked about a run's code while the run begins."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.core.code.test_git import committed, head
from watchkeeper.core.code import code_files, comparison, git_inquiry
from watchkeeper.core.code.git_inquiry import TOO_LATE, Inquiry, Question

LONG_S = 300.0


def stand_in(folder, monkeypatch, script):
    """A program that is called git, first on the PATH."""
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_both_ways_of_asking_say_the_same(tmp_path):
    """Commit, changes and files that the commit does not hold are those of a plain look."""
    repo = committed(tmp_path / "repo", train="import new, lib\n", lib="1")
    (repo / "new.py").write_text("x = 'lib.py'\n")
    (repo / "lib.py").write_text("2")
    whole = code_files.of(repo / "train.py")
    code, asked = comparison.begin(repo / "train.py")
    assert asked is not None
    answer = asked.answer(LONG_S)
    assert code == whole._replace(git=whole.git._replace(dirty=None), uncommitted=())
    assert answer == (True, ("new.py",), "")
    assert whole.git.dirty and whole.uncommitted_names() == answer.uncommitted


def test_nothing_is_asked_outside_of_a_repository(tmp_path):
    """Where no repository is, git is not started."""
    code, asked = comparison.begin(tmp_path)
    assert asked is None and code.git == ("", "", None) and not code.fault


def test_a_repository_that_cannot_be_read_is_gits(tmp_path):
    """What the files do not say, git is asked at once."""
    repo = committed(tmp_path / "repo", a="1")
    (repo / ".git/HEAD").write_text("ref: refs/remotes/x\n")
    code, asked = comparison.begin(repo)
    assert asked is None and code.git.dirty is not None


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 124", "git gave no answer within 60 s"),
        ("exit 127", "git is not installed"),
        ("echo fatal: broken >&2; exit 128", "git failed: fatal: broken"),
    ],
)
def test_a_git_that_fails_leaves_the_commit_and_a_reason(tmp_path, monkeypatch, script, fault):
    """The commit is known without git; whether the code differs is not, and the reason stands."""
    repo = committed(tmp_path / "repo", a="1")
    sha = head(repo)
    stand_in(tmp_path / "bin", monkeypatch, script)
    code, asked = comparison.begin(repo)
    assert asked is not None and code.git.sha == sha
    assert asked.answer(LONG_S) == (None, (), fault)


def test_a_git_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    """No look waits for git, and what is certain without it is kept."""
    repo = committed(tmp_path / "repo", train="x = '../tool.py'\n")
    (tmp_path / "tool.py").write_text("")
    (tmp_path / "never").touch()
    os.mkfifo(tmp_path / "fifo")
    stand_in(tmp_path / "bin", monkeypatch, f"exec cat {tmp_path / 'fifo'}")
    _, asked = comparison.begin(repo / "train.py")
    assert asked is not None and asked.answer() is None
    known = asked.unanswered()
    assert known.dirty is None and known.uncommitted == (str(tmp_path / "tool.py"),)
    assert "no answer" in known.fault
    os.close(os.open(tmp_path / "fifo", os.O_WRONLY))  # git ends


def test_git_is_no_child_of_the_program(tmp_path, monkeypatch):
    """The program's own `os.wait` meets no process that it did not start."""
    stand_in(tmp_path / "bin", monkeypatch, "echo yes")
    inquiry = Inquiry([Question(tmp_path, ["status"])])
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert inquiry.answers(LONG_S) == [(0, b"yes\n")]


def test_answers_stand_in_the_order_of_the_questions(tmp_path, monkeypatch):
    """Each question has its own answer, whatever bytes it has; words are not the shell's."""
    stand_in(tmp_path / "bin", monkeypatch, "shift 2; printf '%s\\0\\n' \"$@\"; exit $#")
    questions = [Question(tmp_path, ["a'b", "$HOME"]), Question(tmp_path, ["\n"])]
    assert Inquiry(questions).answers(LONG_S) == [(2, b"a'b\0\n$HOME\0\n"), (1, b"\n\0\n")]


def test_a_git_that_is_killed_with_its_shell_has_not_answered(tmp_path, monkeypatch):
    """What ends in the middle is no answer."""
    stand_in(tmp_path / "bin", monkeypatch, "echo half; kill -9 $(ps -o ppid= -p $PPID)")
    questions = [Question(tmp_path, ["a"]), Question(tmp_path, ["b"])]
    assert Inquiry(questions).answers(LONG_S) == [(TOO_LATE, b"")] * 2


def test_an_answer_without_end_is_cut(tmp_path, monkeypatch):
    """No more than MOST_BYTES are read."""
    stand_in(tmp_path / "bin", monkeypatch, "exec cat /dev/zero")
    monkeypatch.setattr(git_inquiry, "MOST_BYTES", 10)
    assert Inquiry([Question(tmp_path, ["a"])]).answers(LONG_S) == [(TOO_LATE, b"")]


def test_a_descriptor_that_the_program_closed_is_left_alone(tmp_path, monkeypatch):
    """A program that closes all descriptors may have opened a file under the same number."""
    stand_in(tmp_path / "bin", monkeypatch, "echo yes")
    inquiry = Inquiry([Question(tmp_path, ["a"])])
    number = inquiry._fd
    os.close(number)
    (tmp_path / "own").write_text("mine")
    own = os.open(tmp_path / "own", os.O_RDONLY)
    os.dup2(own, number)
    assert inquiry.answers(LONG_S) == [(TOO_LATE, b"")]
    assert os.read(number, 4) == b"mine"
    os.close(number)


def test_a_shell_that_cannot_start_is_a_reason(tmp_path, monkeypatch):
    """The run starts without git's answer."""
    repo = committed(tmp_path / "repo", a="1")

    def fail(*args, **kwargs):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "run", fail)
    code, asked = comparison.begin(repo)
    assert asked is None and code.fault == "git could not be asked: no more processes"


def test_no_signal_reaches_the_program(tmp_path, monkeypatch):
    """git's end calls no handler of SIGCHLD once the question was asked."""
    os.mkfifo(tmp_path / "fifo")
    stand_in(tmp_path / "bin", monkeypatch, f"exec cat {tmp_path / 'fifo'}")
    inquiry = Inquiry([Question(tmp_path, ["a"])])
    met: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: met.append(number))
    try:
        os.close(os.open(tmp_path / "fifo", os.O_WRONLY))
        assert inquiry.answers(LONG_S) == [(0, b"")]
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert not met
