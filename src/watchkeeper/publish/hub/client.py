"""Asking the process that speaks to the Hub, within a time; and what its faults mean to users."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from watchkeeper.core.errors import EXIT_UNKNOWN, UsageError, WatchkeeperError
from watchkeeper.publish.hub.messages import (
    Answer,
    Done,
    Failed,
    Fault,
    Greeting,
    Job,
    Seen,
)
from watchkeeper.publish.hub.place import VARIABLE, Place
from watchkeeper.publish.hub.token import VARIABLES
from watchkeeper.publish.tokens import Token

Ask = Callable[[Job], Seen | Done]
"""Does one job.

Raises:
    HubError: it was not done. HubDoubtError: it is not known whether it was.
"""
_MODULE = "watchkeeper.publish.hub.worker"
_MOST_LINE_BYTES = 64 * 2**20
_GRACE_S = 5.0
_answers = msgspec.json.Decoder(Answer)


class HubError(WatchkeeperError):
    """The Hub did not do what was asked. `fault` is the kind of its failure."""

    code = "hub"

    def __init__(self, message: str, fault: Fault, *, hint: str = "") -> None:
        super().__init__(message, hint=hint, code=f"hub-{fault}")
        self.fault: Fault = fault


class HubDoubtError(WatchkeeperError):
    """The Hub did not say whether it did what was asked."""

    exit_code = EXIT_UNKNOWN
    code = "hub-in-doubt"


_HINTS: Mapping[Fault, str] = {
    "no-library": "pip install 'watchkeeper[hub]'",
    "token-refused": (
        "it has expired or was revoked: make another at {endpoint}/settings/tokens and put it into "
        "{token}"
    ),
    "forbidden": "take a token of its owner that may write, or another --repo",
    "gated": "ask for access at {page}, and pass a token of that account with --token-file",
    "not-found": "check its name and revision; a private one needs a token: --token-file FILE",
    "bad-name": "give another --repo",
    "bad-card": "correct the lines between --- at the top of README.md, and stage again",
    "changed": "somebody else changed it: type the same command again to see the new plan",
    "busy": "wait some minutes, then type the same command again",
    "server": "wait some minutes, then type the same command again",
    "lost": "type the same command again: what has arrived is not sent again",
    "bad-answer": "check " + VARIABLE + ": this may be no Hub",
    "mismatch": "what was fetched of it is gone; type the same command again",
    "disk-full": "make room, then type the same command again",
}
_WORDS: Mapping[Fault, str] = {
    "no-library": "huggingface_hub is not installed here",
    "token-refused": "the Hub refuses the token",
    "forbidden": "the token may not write there",
    "gated": "access to it has to be asked for",
    "not-found": "it is not there, or not shown to this token",
    "bad-name": "the Hub refuses the name",
    "bad-card": "the Hub refuses the model card",
    "changed": "it changed meanwhile",
    "busy": "the Hub takes no more requests for now",
    "server": "the Hub failed",
    "lost": "the connection was lost",
    "bad-answer": "the answer is not that of a Hub",
    "mismatch": "what came is not what the Hub lists",
    "disk-full": "the disk is full",
    "other": "it failed",
}


def done_of(answer: Answer, place: Place, token: Token | None) -> Seen | Done:
    """The answer, where the job was done.

    Raises:
        HubError: it was not.
    """
    if not isinstance(answer, Failed):
        return answer
    words = _WORDS[answer.fault]
    hint = _HINTS.get(answer.fault, "").format(
        endpoint=place.endpoint,
        page=place.page,
        token=token.path if token is not None else "a file for --token-file",
    )
    raise HubError(f"{place.repo}: {words}: {answer.why}", answer.fault, hint=hint)


@contextmanager
def asking(
    place: Place, token: Token | None, *, timeout_s: float, shows_progress: bool = False
) -> Iterator[Ask]:
    """A process that does jobs at one Hub for `timeout_s` seconds in all. It is ended with all that
    it started when the block is left.
    """
    greeting = Greeting(place.endpoint, token.key if token is not None else "", shows_progress)
    with tempfile.TemporaryDirectory(prefix="watchkeeper-hub-") as home:
        process = _start(home, shows_progress=shows_progress)
        try:
            asker = _Asker(process, place, token, timeout_s)
            asker.write(greeting)
            yield asker.ask
        finally:
            _end(process)


class _Asker:
    """Sends jobs to the process, and waits for its answers, `timeout_s` seconds in all."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        place: Place,
        token: Token | None,
        timeout_s: float,
    ) -> None:
        self._process = process
        self._place = place
        self._token = token
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s

    def ask(self, job: Job) -> Seen | Done:
        """Do one job."""
        self.write(job)
        line = self._read()
        return done_of(_answers.decode(line), self._place, self._token)

    def write(self, message: Greeting | Job) -> None:
        """Send a line to the process."""
        assert self._process.stdin is not None
        # A process that has died says so by its answer.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(message) + b"\n")
            self._process.stdin.flush()

    def _read(self) -> bytes:
        """The next line of the process that talks to the Hub.

        It is waited for until the deadline; a process that ends, or sends a line without an end, is
        not waited for.

        Raises:
            HubDoubtError: the time is over, and what was sent may have arrived.
            HubError: the process ended.
        """
        stream = self._process.stdout
        assert stream is not None
        parts: list[bytes] = []
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while not parts or not parts[-1].endswith(b"\n"):
                if not selector.select(max(0.0, self._deadline - time.monotonic())):
                    raise self._late()
                part = os.read(stream.fileno(), 2**16)
                if not part or sum(map(len, parts)) > _MOST_LINE_BYTES:
                    raise HubError(f"{self._place.repo}: the process that asks it ended", "other")
                parts.append(part)
        return b"".join(parts)

    def _late(self) -> HubDoubtError:
        """The error that the time is over."""
        return HubDoubtError(
            f"{self._place.repo}: not done after {self._timeout_s:.0f} s, which --timeout allows",
            hint="type the same command again: what has arrived is not sent again",
        )


def _start(home: str, *, shows_progress: bool) -> subprocess.Popen[bytes]:
    """Start the process. It sees no token in its environment and finds none in a file, imports
    nothing from the current folder, and keeps nothing in the user's caches.
    """
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment.pop("HF_DEBUG", None)
    environment |= {
        "HF_HOME": home,
        "HF_TOKEN_PATH": os.path.join(home, "token"),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_VERBOSITY": "critical",
        "HF_HUB_DISABLE_PROGRESS_BARS": "0" if shows_progress else "1",
    }
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if shows_progress else subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(f"{sys.executable} cannot be started: {error.strerror}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process's group, and wait for it."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
            return
