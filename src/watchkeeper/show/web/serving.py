"""Running the server: a port on this machine, its first address, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import uvicorn

from watchkeeper.core import processes
from watchkeeper.core.errors import UsageError
from watchkeeper.core.processes import ProcessName
from watchkeeper.show.web.app import Api, app_of
from watchkeeper.show.web.security import TOKEN, Keys
from watchkeeper.show.web.served import Served

PORT = 8321
"""The first port that is tried."""
LOOPBACK = "127.0.0.1"
_MOST_PORTS = 50
_BACKLOG = 64
_LINGER_S = 60.0
"""After the process that it serves has ended, and the last page was closed."""
_LOOK_S = 1.0


class Listening(NamedTuple):
    """A socket that accepts connections, and where."""

    socket: socket.socket
    host: str
    port: int

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens on all addresses of this machine."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @property
    def hosts(self) -> list[str]:
        """Under which names it may be asked for; "*" is any numeric address."""
        if self.is_everywhere:
            return [socket.gethostname(), socket.getfqdn(), "*"]
        return [_in_address(self.host)]

    @property
    def origin(self) -> str:
        """The address without a path."""
        host = self.host
        if self.is_everywhere:
            host = socket.gethostname()
        return f"http://{_in_address(host)}:{self.port}"


def _in_address(host: str) -> str:
    if ":" in host:
        return f"[{host}]"
    return host


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int | None) -> Listening:
    """Listen on a port; None: the first free one from `PORT` on, or any.

    Raises:
        UsageError: the port is in use or not allowed, or this machine has no such host.
    """
    if port is not None:
        return _bound(host, port)
    for number in range(PORT, PORT + _MOST_PORTS):
        with contextlib.suppress(PortInUseError):
            return _bound(host, number)
    return _bound(host, 0)


class PortInUseError(UsageError):
    """Another program listens on the port."""

    code = "port-in-use"


def _bound(host: str, port: int) -> Listening:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise UsageError(
            f"--host {host}: {error.strerror}", hint="name an address of this machine"
        ) from error
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise _refused(host, port, error) from error
    return Listening(opened, host, opened.getsockname()[1])


def _refused(host: str, port: int, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(
            f"port {port} is in use",
            hint="leave out --port for the next free one, or name another",
        )
    return UsageError(
        f"cannot listen on {host}, port {port}: {error.strerror}",
        hint="leave out --port and --host, or name others",
    )


class Site:
    """A server over some folders: its first address, and its life."""

    def __init__(self, paths: Sequence[Path], listening: Listening) -> None:
        self.listening = listening
        self.keys = Keys()
        self.api = Api(Served(paths))
        self._app = app_of(self.api, self.keys, listening.hosts)

    @property
    def address(self) -> str:
        """The first address. It leads to the page of the one run or experiment that is served, or
        to the overview, and carries the token.
        """
        return f"{self._first_page()}?{TOKEN}={self.keys.token}"

    @property
    def address_for_once(self) -> str:
        """The same, with a token that opens once."""
        return f"{self._first_page()}?{TOKEN}={self.keys.new_ticket()}"

    def run(self, until: ProcessName | None = None) -> None:
        """Serve until SIGINT or SIGTERM comes; or until the process `until` has ended, and for a
        minute nobody has looked.
        """
        asyncio.run(self._serve(until))

    def _first_page(self) -> str:
        return f"{self.listening.origin}{self._first_path()}"

    def _first_path(self) -> str:
        self.api.served.look()
        roots = self.api.served.roots
        if len(roots) > 1:
            return "/"
        name = roots[0].name
        for page, find in (("e", self.api.served.experiment), ("r", self.api.served.run)):
            with contextlib.suppress(UsageError):
                return f"/{page}/{quote(find(name).id)}"
        return "/"

    async def _serve(self, until: ProcessName | None) -> None:
        # uvicorn's messages are of no use to the person who reads these pages.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            self._app,
            access_log=False,
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        server = _Server(config)
        with _ending_on_signals(lambda: self._end(server)):
            waiting = asyncio.ensure_future(self._wait_for_end(server, until))
            await server.serve(sockets=[self.listening.socket])
            waiting.cancel()

    def _end(self, server: uvicorn.Server) -> None:
        self.api.close()
        server.should_exit = True

    async def _wait_for_end(self, server: uvicorn.Server, until: ProcessName | None) -> None:
        """End the server when the process that it serves has ended and nobody looks."""
        if until is None:
            return
        ended = None
        while True:
            await asyncio.sleep(_LOOK_S)
            if ended is None and processes.is_alive(until) is False:
                ended = time.monotonic()
            if ended is None or self.api.feeds.tabs:
                continue
            if time.monotonic() - max(ended, self.api.feeds.left) > _LINGER_S:
                self._end(server)
                return


class _Server(uvicorn.Server):
    """A server that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.contextmanager
def _ending_on_signals(end: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def tunnel_command(port: int, connection: str, user: str) -> str:
    """What to type on the machine that one sits at, where this one is reached by ssh: `connection`
    is the variable SSH_CONNECTION, "" where it is not; then "".
    """
    words = connection.split()
    if len(words) < 3:
        return ""
    return f"ssh -N -L {port}:{LOOPBACK}:{port} {user}@{words[2]}"


def can_open_browser() -> bool:
    """Whether this session has a screen, or names a browser: one in the terminal is not wanted."""
    if os.environ.get("BROWSER"):
        return True
    if os.environ.get("SSH_CONNECTION"):
        return False
    has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(has_screen or shutil.which("open"))


def open_browser(address: str) -> bool:
    """Show the address in the user's browser; whether that worked."""
    import webbrowser

    if not can_open_browser():
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
