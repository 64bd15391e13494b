"""`--open`: the page of what runs, beside it and never in its way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.experiments import command, env, wk, write_experiment
from watchkeeper.core import processes

LOSSES = "for i in 1 2 3; do echo step $i/9 loss: 0.$i; done; while [ ! -e go ]; do sleep 0.1; done"


class Session:
    """A person's session, with a browser that writes down what it is to show."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = folder / "seen"
        browser = folder / "browser"
        line = f'echo "$1" > {self._seen}.part && mv {self._seen}.part {self._seen}'
        browser.write_text(f"#!/bin/sh\n{line}\n")
        browser.chmod(0o755)
        self.environment = env(
            folder / ".state", BROWSER=str(browser), XDG_CACHE_HOME=str(folder / ".cache")
        )
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command in this session."""
        process = subprocess.Popen(
            command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def opened(self, process: subprocess.Popen[str]) -> str:
        """The address that the browser was given, while the process runs."""
        while not self._seen.exists():
            assert process.poll() is None
            time.sleep(0.05)
        return self._seen.read_text().strip()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.communicate()
    for pid in servers_of(tmp_path):
        os.kill(pid, signal.SIGKILL)


def servers_of(folder: Path) -> list[int]:
    """The servers over folders in this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if "serve" in words and any(word.startswith(f"{folder}/") for word in words):
            found.append(int(entry.name))
    return found


def test_exec_shows_its_page_with_the_first_losses(session: Session) -> None:
    """The page of the run is there while the command runs, with what it has printed; the command
    ends with its own code, whatever becomes of the page.
    """
    process = session.start("exec", "--open", "--", "sh", "-c", f"{LOSSES}; exit 7")
    address = session.opened(process)
    parts = urlsplit(address)
    assert parts.path.startswith("/r/")
    browser = build_opener(HTTPCookieProcessor())
    browser.open(address, timeout=300).read()
    series = f"http://{parts.netloc}/api/1/run/{parts.path[3:]}/series?m=loss"
    values: list[float] = []
    while len(values) < 3:
        assert process.poll() is None
        lines = json.loads(browser.open(series, timeout=300).read())["data"]["lines"]
        values = lines[0]["max"] if lines else []
    assert values == [0.1, 0.2, 0.3]
    (server,) = servers_of(session.folder)
    assert os.getsid(server) == server
    nice = os.getpriority(os.PRIO_PROCESS, process.pid)
    assert os.getpriority(os.PRIO_PROCESS, server) == min(19, nice + 10)  # 19 is the most there is
    os.kill(server, signal.SIGKILL)
    (session.folder / "go").touch()
    assert process.wait(60) == 7


def test_run_shows_the_experiment_while_it_is_watched(session: Session) -> None:
    """The page of the experiment is there while its jobs run."""
    folder = session.folder / "exp"
    wait = f"while [ ! -e {session.folder}/go ]; do sleep 0.1; done"
    write_experiment(folder, body=wait)
    process = session.start("run", str(folder), "--open", "--poll", "0.2", "--stagger", "0")
    assert urlsplit(session.opened(process)).path == "/e/exp"
    (session.folder / "go").touch()
    assert process.wait(120) == 0
    assert processes.start_ticks(servers_of(session.folder)[0]) is not None


@pytest.mark.parametrize(
    "arguments", [("run", "exp", "--open", "--dry-run"), ("run", "exp", "--open", "--as-job")]
)
def test_open_is_refused_where_nothing_runs_here(tmp_path: Path, arguments: tuple) -> None:
    """Without a watch in this process there is nothing to show."""
    write_experiment(tmp_path / "exp")
    done = wk("run", tmp_path / "exp", *arguments[2:], state=tmp_path / ".state")
    assert done.returncode == 2 and "--open" in done.stderr


def test_a_missing_extra_is_said_before_anything_starts(tmp_path: Path) -> None:
    """The command is not started when its page could not be shown."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'starlette' else real(name, *more)\n"
    )
    mark = tmp_path / "mark"
    done = wk(
        *("exec", "--open", "--folder", tmp_path / "run", "--", "touch", mark),
        state=tmp_path / ".state",
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode == 2 and "watchkeeper[views]" in done.stderr
    assert not mark.exists()


def test_a_server_that_cannot_start_is_said_and_harms_nothing(
    tmp_path: Path, session: Session
) -> None:
    """Where the page cannot be shown, the command runs as ever."""
    broken = tmp_path / "broken"
    (broken / "uvicorn").mkdir(parents=True)
    (broken / "uvicorn" / "__init__.py").write_text("raise OSError('broken')\n")
    session.environment["PYTHONPATH"] = str(broken)
    process = session.start("exec", "--open", "--", "sh", "-c", f"{LOSSES}; exit 3")
    assert process.stderr is not None
    while "the page cannot be shown" not in process.stderr.readline():
        assert process.poll() is None
    (session.folder / "go").touch()
    assert process.wait(60) == 3
