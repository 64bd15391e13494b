"""`watchkeeper serve` as a person starts it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import jsonschema
import pytest

import watchkeeper as wk
from tests.experiments import command, env, write_experiment
from watchkeeper.show.schemas import schemas
from watchkeeper.show.web.serving import is_loopback, tunnel_command


class Process:
    """A server, its answer, and a browser without a screen."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], **environment: str) -> None:
        self.process = subprocess.Popen(
            command("serve", "--json", *arguments),
            cwd=folder,
            env=env(folder / ".state", XDG_CACHE_HOME=str(folder / ".cache"), **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.answer = json.loads(self.process.stdout.readline())
        self.data = self.answer["data"]
        self.browser: OpenerDirector = build_opener(HTTPCookieProcessor())

    def get(self, path: str = "") -> str:
        """The page of the first address, or what another path gives after it."""
        address = self.data["address"]
        if path:
            address = f"http://{self.data['host']}:{self.data['port']}{path}"
        with self.browser.open(address, timeout=300) as answer:
            return answer.read().decode()

    def end(self, number: int) -> tuple[int, str]:
        """Send it a signal: its exit code, and what it had to say."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=300)
        return self.process.returncode, errors


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """`serve(argument, …)` → a server in an empty folder; it ends with the test."""
    servers: list[Process] = []

    def start(*arguments: str, **environment: str) -> Process:
        servers.append(Process(tmp_path, arguments, **environment))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.communicate()


def test_its_address_is_an_answer_as_its_schema_says(serve: Callable[..., Process]) -> None:
    """A program reads the address from the one line that it prints, and then asks it."""
    jsonschema.validate(serve().answer, schemas()["serve"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly(serve: Callable[..., Process], number: int) -> None:
    """It ends with 0 and without a word, also while a page listens."""
    server = serve()
    assert "<noscript>" in server.get()
    stream = server.browser.open(
        f"http://127.0.0.1:{server.data['port']}/api/1/events?scope=overview", timeout=300
    )
    assert stream.readline() == b"event: beat\n"
    assert server.end(number) == (0, "")


def test_only_loopback_is_listened_on(serve: Callable[..., Process]) -> None:
    """No other address of the machine answers."""
    port = serve().data["port"]
    listening = Path("/proc/net/tcp").read_text().splitlines()
    hosts = [line.split()[1] for line in listening if line.split()[1].endswith(f":{port:04X}")]
    assert set(hosts) == {f"0100007F:{port:04X}"}


def test_another_port_is_taken_where_the_first_is_in_use(serve: Callable[..., Process]) -> None:
    """Two servers at a time have two ports, and each its own token."""
    first, second = serve(), serve()
    assert first.data["port"] != second.data["port"]
    with pytest.raises(URLError):
        first.browser.open(f"http://127.0.0.1:{second.data['port']}/", timeout=300)


def test_a_port_that_was_named_is_not_changed(tmp_path: Path) -> None:
    """A port in use that was asked for is an error that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_serve(tmp_path, "--port", str(port))
    assert done.returncode == 2
    assert f"port {port} is in use" in done.stderr and "--port" in done.stderr


def run_serve(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("serve", *arguments),
        cwd=folder,
        env=env(folder / ".state"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.com"])
def test_other_machines_are_let_in_knowingly_or_not_at_all(tmp_path: Path, host: str) -> None:
    """An address beyond loopback needs --i-know, and the refusal names the tunnel."""
    done = run_serve(tmp_path, "--host", host)
    assert done.returncode == 2
    assert "--i-know" in done.stderr and "ssh" in done.stderr


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    """A slip in the path is an error, not an empty page."""
    done = run_serve(tmp_path, "nothing")
    assert done.returncode == 2 and "nothing is no folder" in done.stderr


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    """Without Starlette or uvicorn the error says what to install."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nreal = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'uvicorn' else real(name, *more)\n"
    )
    done = subprocess.run(
        command("serve"),
        cwd=tmp_path,
        env=env(tmp_path / ".state", PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert "need uvicorn" in done.stderr and "pip install 'watchkeeper[views]'" in done.stderr


def test_other_commands_do_not_import_the_server(tmp_path: Path) -> None:
    """Listing, looking and helping cost nothing for it."""
    code = (
        "import sys\nfrom watchkeeper.show.cli import COMMANDS, main\nimport click\n"
        "for name in COMMANDS: main.get_command(click.Context(main), name)\n"
        "sys.exit(' '.join(sys.modules.keys() & {'starlette', 'uvicorn', 'asyncio'}))"
    )
    done = subprocess.run([*command()[:1], "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_first_address_leads_to_the_one_thing_there_is(
    tmp_path: Path, serve: Callable[..., Process]
) -> None:
    """The page of the run or the experiment that was named, else the overview."""
    wk.start_run(folder=tmp_path / "one", pipeline="p", console=False, sidecar=False).close()
    write_experiment(tmp_path / "exp")
    for arguments, path in ((["one"], "/r/one"), (["exp"], "/e/exp"), (["one", "exp"], "/")):
        address = serve(*arguments).data["address"]
        assert address.partition("?")[0].endswith(path)


def test_ssh_gets_the_command_of_a_tunnel(serve: Callable[..., Process]) -> None:
    """Who came by ssh is shown what to type on his own machine."""
    server = serve(SSH_CONNECTION="10.1.1.5 50000 10.0.0.9 22")
    port = server.data["port"]
    assert server.data["tunnel"].startswith(f"ssh -N -L {port}:127.0.0.1:{port} ")
    assert server.data["tunnel"].endswith("@10.0.0.9")
    assert tunnel_command(8321, "", "me") == ""


def test_loopback_is_known_by_all_its_names() -> None:
    """No other host passes for it."""
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "127.0.0.1.evil.example", "10.0.0.1", ""]))


def test_it_shows_its_address_and_opens_the_browser(tmp_path: Path) -> None:
    """With --open the browser of the session gets the address that is printed, with a token that
    opens once: others on the machine see what a browser is started with.
    """
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}.part && mv {seen}.part {seen}\n')
    browser.chmod(0o755)
    process = subprocess.Popen(
        command("serve", "--open", "--quiet"),
        cwd=tmp_path,
        env=env(tmp_path / ".state", BROWSER=str(browser)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        while not seen.exists():
            assert process.poll() is None
            time.sleep(0.05)
        opened = seen.read_text().strip()
        assert opened.partition("?")[0] == address.partition("?")[0]
        assert opened != address
        browser_of_session = build_opener(HTTPCookieProcessor())
        assert "<noscript>" in browser_of_session.open(opened, timeout=300).read().decode()
    finally:
        process.kill()
        process.communicate()


def test_it_reads_and_writes_nothing_where_it_looks(
    tmp_path: Path, serve: Callable[..., Process]
) -> None:
    """Pages change no byte and no time of what they show."""
    folder = tmp_path / "night"
    wk.start_run(folder=folder / "one", pipeline="p", console=False, sidecar=False).close()

    def stats() -> dict[str, tuple[int, int]]:
        paths = [folder, *folder.rglob("*")]
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}

    before = stats()
    server = serve(str(folder))
    server.get()
    for path in ("/api/1/overview", "/api/1/run/night/one"):
        with contextlib.suppress(URLError):
            server.get(path)
    assert stats() == before


def test_it_ends_after_what_it_serves(tmp_path: Path) -> None:
    """A process that does not exist is refused: there would be no end."""
    done = run_serve(tmp_path, "--until", str(2**22 + os.getpid()))
    assert done.returncode == 2 and "no such process" in done.stderr
