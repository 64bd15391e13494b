"""`--open` of `run` and `exec`: the page of what runs, from a server in a process beside it.

The server is no part of the job: it starts in its own session, runs with less priority,
gets no signal that is meant for the job, and ends a minute after the job once no page is open.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import click
import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.show.text import printable

NEEDED = ("starlette", "uvicorn")
"""What the extra `views` brings."""

open_option = click.option(
    "--open",
    "opens",
    is_flag=True,
    help="Show its page in a browser, live; the page stays for a minute after the end.",
)


def check_extra() -> None:
    """Refuse where what the server needs is not installed.

    Raises:
        UsageError: it is not.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the views in a browser need {' and '.join(missing)}",
            hint="pip install 'watchkeeper[views]'; in the terminal: watchkeeper ls",
            code="not-installed",
        )


def open_page(folder: Path, *, is_quiet: bool) -> None:
    """Start a server over the folder, let it open a browser, and say the address on standard error
    as soon as it is known. Does not wait, and raises nothing: where the server cannot start, that
    is said instead.
    """
    command = [sys.executable, "-m", "watchkeeper", "serve", str(folder.absolute())]
    command += ["--open", "--json", f"--until={os.getpid()}"]
    try:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        _say(f"the page cannot be shown: {error.strerror}")
        return
    assert server.stdout is not None
    # The address takes a second: the job does not wait for it.
    reading = threading.Thread(
        target=_say_address, args=(server.stdout, folder, is_quiet), daemon=True
    )
    reading.start()


def _say_address(output: IO[bytes], folder: Path, is_quiet: bool) -> None:
    """Say where the page is, once its server has said so itself on its first line. A server that
    ends without it is reported, with what shows why.
    """
    with output:
        line = output.readline()
    try:
        answer = msgspec.json.decode(line)
        address, tunnel = answer["data"]["address"], answer["data"]["tunnel"]
    except (msgspec.DecodeError, KeyError, TypeError):
        _say(f"the page cannot be shown; to see why: watchkeeper serve {folder}")
        return
    if is_quiet:
        return
    _say(f"its page is at {address}")
    if tunnel:
        _say(f"from your own machine, first: {tunnel}")


def _say(words: str) -> None:
    """Say something beside the command's own output."""
    click.echo(printable(f"watchkeeper: {words}"), err=True)
