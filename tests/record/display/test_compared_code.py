"""How a run's code compares with its commit, as the run writes it down."""

from __future__ import annotations

import json
import os
import time

import pytest

import watchkeeper as wk
from tests.core.code.test_comparison import stand_in
from tests.core.code.test_git import committed, head
from watchkeeper.core.events import CodeCompared, RunEnded, RunStarted
from watchkeeper.record.display import compared_code
from watchkeeper.record.writing import manifest, row_file

LONG_S = 300.0


def of_kind(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def repo(tmp_path):
    """A repository with a script, changed since its commit."""
    folder = committed(tmp_path / "repo", train="import new\n")
    (folder / "new.py").write_text("")
    (folder / "train.py").write_text("import new  # changed\n")
    return folder


def start(tmp_path, repo):
    return wk.start_run(
        folder=tmp_path / "run", pipeline="p", code_folder=repo / "train.py", sidecar=False
    )


def test_the_answer_is_written_by_the_end(tmp_path, repo, events, monkeypatch):
    """The journal has the commit at the start, and what differs before the end; the manifest has
    both, and is made again to the same bytes.
    """
    monkeypatch.setattr(compared_code, "LIMIT_S", LONG_S)
    start(tmp_path, repo).close()
    found = events(tmp_path / "run")
    (started,) = of_kind(found, RunStarted)
    (compared,) = of_kind(found, CodeCompared)
    assert (started.git_sha, started.git_dirty) == (head(repo), None)
    assert (compared.git_dirty, compared.uncommitted) == (True, ("new.py",))
    assert found.index(compared) < found.index(of_kind(found, RunEnded)[0])
    path = tmp_path / "run" / manifest.RUN_FILE
    data = path.read_bytes()
    held = json.loads(data)
    assert (held["git_sha"], held["git_dirty"]) == (head(repo), True)
    assert held["uncommitted"] == ["new.py"]
    path.unlink()
    manifest.rebuild(tmp_path / "run")
    assert path.read_bytes() == data
    text = (tmp_path / "run/logs/run.log").read_text()
    assert "Git: with uncommitted changes, not in the commit: new.py" in text


@pytest.mark.parametrize("what", ["a row", "an event"])
def test_the_answer_is_kept_while_the_run_goes_on(tmp_path, repo, events, monkeypatch, what):
    """A run that is killed later has the answer: rows and events look for it."""
    monkeypatch.setattr(row_file, "LOOK_S", 0.0)
    run = start(tmp_path, repo)
    until = time.monotonic() + LONG_S
    while not of_kind(events(tmp_path / "run"), CodeCompared) and time.monotonic() < until:
        if what == "a row":
            run.log(1, loss=1.0)
        else:
            with run.step("00_a"):
                pass
    before = of_kind(events(tmp_path / "run"), CodeCompared)
    run.close()
    assert len(before) == 1 and of_kind(events(tmp_path / "run"), CodeCompared) == before


def test_a_git_that_hangs_holds_up_no_end(tmp_path, repo, events, monkeypatch):
    """The end is written without git's answer, and says why."""
    os.mkfifo(tmp_path / "fifo")
    stand_in(tmp_path / "bin", monkeypatch, f"exec cat {tmp_path / 'fifo'}")
    monkeypatch.setattr(compared_code, "LIMIT_S", 0.0)
    start(tmp_path, repo).close()
    os.close(os.open(tmp_path / "fifo", os.O_WRONLY))  # git ends
    (compared,) = of_kind(events(tmp_path / "run"), CodeCompared)
    assert compared.git_dirty is None
    assert compared.git_fault == "git gave no answer before the run ended"
    text = (tmp_path / "run/logs/run.log").read_text()
    assert "Git: whether there are uncommitted changes is unknown: git gave no answer" in text


def test_a_fork_leaves_the_answer_to_its_parent(tmp_path, repo, events):
    """One process writes it, whoever comes first to the end."""
    run = start(tmp_path, repo)
    child = os.fork()
    if not child:
        run.log(1, loss=1.0)
        run.close()
        os._exit(0)
    os.waitpid(child, 0)
    run.close()
    assert len(of_kind(events(tmp_path / "run"), CodeCompared)) == 1


def test_no_answer_is_written_below_another_event(tmp_path, repo, events, monkeypatch):
    """A signal handler that interrupts an event leaves the answer for later: its events have a file
    of their own, and the answer belongs to the file of the start.
    """
    run = start(tmp_path, repo)
    code = run._lifetime._code
    assert code._comparison is not None
    code._comparison.answer(LONG_S)
    pen = run._lifetime.recorder.pen
    pen._writing = True
    code.look()
    pen._writing = False
    assert not of_kind(events(tmp_path / "run"), CodeCompared)
    code.look()
    assert len(of_kind(events(tmp_path / "run"), CodeCompared)) == 1
    run.close()


def test_a_look_that_interrupts_a_look_does_nothing(tmp_path, repo, events, monkeypatch):
    """Two looks at once, by threads or by a handler, write one answer; an end that interrupts one
    does not wait for ever.
    """
    run = start(tmp_path, repo)
    code = run._lifetime._code
    monkeypatch.setattr(compared_code, "BUSY_S", 0.0)
    with code._lock:
        code.look()
        code.close()
    assert not of_kind(events(tmp_path / "run"), CodeCompared)
    run.close()
    assert len(of_kind(events(tmp_path / "run"), CodeCompared)) == 1
