"""What the servers on loopback share that stand in for real ones in the tests: an address, a thread
that serves, requests that wait until they are let go, and bodies in one piece or in chunks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class LoopbackServer:
    """A server on loopback, whose requests `handler` answers. What waits on `released` is let go at
    the end.
    """

    def __init__(self, handler: type[LoopbackHandler]) -> None:
        self.released = threading.Event()
        self._httpd = _Listener(self, handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._httpd.server_port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[Self]:
        """Serve in a thread; every waiting request is let go at the end."""
        thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            self._httpd.shutdown()
            self._httpd.server_close()
            thread.join()


class _Listener(ThreadingHTTPServer):
    """Serves one server; a client that goes away is no error."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner: LoopbackServer, handler: type[LoopbackHandler]) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class LoopbackHandler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else headers and body wait for one another
    server: _Listener

    @property
    def owner(self) -> Any:
        """The server that is spoken to."""
        return self.server.owner

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def body(self) -> bytes:
        """The body of the request, as it was sent."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
