"""Notifications: a command that a person set is run, and apprise's services are notified, of
alarms and ends.

They are sent from a thread, after the event is in the journal: the watch never waits for them. A
watcher that dies between the two has not sent it, and nobody sends it later: each event is sent
once at most. What cannot be sent is said once for each way, without the command's words or the
URLs, which may hold secrets.
"""

from __future__ import annotations

import os
import queue
import shlex
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import (
    AnyEvent,
    Assessed,
    Concluded,
    Decided,
    Decision,
    Halted,
    Judged,
    Polled,
    Unknown,
)
from watchkeeper.core.settings import Settings
from watchkeeper.launch.plan import HALTED
from watchkeeper.report.actionlog.render import concluded_words
from watchkeeper.schedulers.shell import NOT_THERE, Here

TIMEOUT_S = 20.0  # for one command
CLOSE_S = 30.0  # for all that is still to be sent when the watch ends
WAITING = 100  # notifications; later ones are dropped, and that is said
LINE_LIMIT = 500
VARIABLE = "WATCHKEEPER_NOTIFICATION"
_BAD = frozenset({"invalid", "failed", "lost", "unknown"})


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. `what`: `alarm`, `failed`, `blocked` or `complete`; `line` says it in one line;
    `event` is the journal's, None for a decision.
    """

    what: str
    experiment: str
    line: str
    event: AnyEvent | None = None


def of_event(event: AnyEvent | Unknown, experiment: str) -> list[Notification]:
    """The notifications that an event is worth, none for most. Pure. A decision is not carried
    along: it is about all of the work at once.
    """
    what, lines = _words_of(event)
    carried = None
    if not isinstance(event, Decided | Unknown):
        carried = event
    return [_notification(what, experiment, line, carried) for line in lines]


def _words_of(event: AnyEvent | Unknown) -> tuple[str, list[str]]:
    """What an event gives notice of, and each notification's line; none: it is worth none."""
    match event:
        case Assessed(alarm="raised"):
            return "alarm", [f"{event.key}: {event.health.upper()}: {event.why}"]
        case Polled():
            stuck = [change for change in event.changes if change.stuck]
            return "alarm", [f"{one.key}: {one.facts.reason}: {one.stuck}" for one in stuck]
        case Judged() if event.outcome in _BAD:
            words = f"{event.outcome} ({event.state}){_after_colon(event.why)}"
            return "failed", [f"{event.key}: {words}"]
        case Decided(first=False):
            blocked = list(filter(_is_blocked, event.decisions))
            return "blocked", list(map(_blocked_line, blocked))
        case Halted():
            words = f"{event.left} more not submitted"
            return "blocked", [f"{event.phase} halted: {event.why}; {words}"]
        case Concluded(phase=None):
            return "complete", [f"all jobs have ended: {concluded_words(event)}"]
    return "", []


def _is_blocked(decision: Decision) -> bool:
    """Whether it is blocked by something else than a halt, of which there is a notification
    already.
    """
    return decision.action == "blocked" and decision.reason != HALTED


def _blocked_line(decision: Decision) -> str:
    """`r8/clean/epoch0: blocked: ` and why, with details where there are some."""
    return f"{decision.key}: blocked: {decision.reason}{_after_colon(decision.detail)}"


def _after_colon(text: str) -> str:
    """The text behind a colon; "" for ""."""
    if not text:
        return ""
    return f": {text}"


def _notification(what: str, experiment: str, line: str, event: AnyEvent | None) -> Notification:
    """A notification whose line has at most LINE_LIMIT letters, all of them printable: a phone's
    screen shows it as it is.
    """
    words = "".join(sign if sign.isprintable() else " " for sign in f"{experiment}: {line}")
    return Notification(what=what, experiment=experiment, line=words[:LINE_LIMIT], event=event)


Send = Callable[[Notification], None]


class _FailedError(Exception):
    """It could not be sent; the message holds no secret."""


class Notifier:
    """Sends what `tell` is given, one after the other. `ways`: name → how."""

    def __init__(self, ways: dict[str, Send], experiment: str) -> None:
        self._ways = ways
        self._experiment = experiment
        self._waiting: queue.Queue[Notification | None] = queue.Queue(WAITING)
        self._failures: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._said: set[str] = set()
        self._thread: threading.Thread | None = None

    def tell(self, event: AnyEvent | Unknown) -> None:
        """An event of our own was written: send what it is worth. Returns at once."""
        if not self._ways:
            return
        for one in of_event(event, self._experiment):
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="notifications", daemon=True
                )
                self._thread.start()
            try:
                self._waiting.put_nowait(one)
            except queue.Full:
                self._fail("queue", f"{WAITING} notifications wait: later ones are dropped")

    def failures(self) -> list[str]:
        """What could not be sent since the last call, in words; each way's first failure only."""
        failures = []
        while not self._failures.empty():
            failures.append(self._failures.get())
        return failures

    def close(self, seconds: float = CLOSE_S) -> None:
        """Wait until all is sent, for so long at the most."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._fail("end", f"some were not sent in {seconds:g} s")

    def _work(self) -> None:
        """Send what waits, in its order, until the end is asked for. A way that fails does not keep
        the others from being tried.
        """
        while (one := self._waiting.get()) is not None:
            for name, send in self._ways.items():
                try:
                    send(one)
                except _FailedError as error:
                    self._fail(name, str(error))
                except Exception as error:  # a service's own: its words may hold the URL
                    self._fail(name, f"{name} raised {type(error).__name__}")

    def _fail(self, name: str, words: str) -> None:
        """Keep a failure for `failures`; of each `name` only the first."""
        if name not in self._said:
            self._said.add(name)
            self._failures.put(words)


def notifier_of(settings: Settings, experiment: str) -> Notifier:
    """The notifier that the settings ask for; without any it sends nothing.

    Raises:
        UsageError: `notify_urls` is set, and apprise is not installed; `notify` cannot be parted
            into words.
    """
    ways: dict[str, Send] = {}
    if settings.notify:
        ways["notify"] = _by_command(_words(settings.notify))
    if isinstance(settings.notify_urls, str):
        urls = settings.notify_urls.split()
    else:
        urls = list(settings.notify_urls)
    if urls:
        if find_spec("apprise") is None:
            raise UsageError(
                "notify_urls needs apprise, which is not installed",
                hint="pip install 'watchkeeper[notify]'",
            )
        ways["apprise"] = _by_apprise(urls)
    return Notifier(ways, experiment)


def _words(command: str | Sequence[str]) -> list[str]:
    """The words of the command that `notify` sets.

    Raises:
        UsageError: it has a quote that is not closed.
    """
    try:
        if isinstance(command, str):
            return shlex.split(command)
        return list(command)
    except ValueError as error:
        raise UsageError(
            f"the setting notify is no command: {error}", hint="write it as a list of words"
        ) from error


def _by_command(argv: list[str]) -> Send:
    """Run it without a shell: the notification as JSON on standard input, its line as last argument
    and in the environment.
    """
    name, shell = Path(argv[0]).name, Here(environment=os.environ)

    def send(one: Notification) -> None:
        words = msgspec.json.encode(one).decode()
        done = shell.run(
            [*argv, one.line], timeout_s=TIMEOUT_S, env={VARIABLE: one.line}, input=words
        )
        if done.timed_out:
            raise _FailedError(f"the command {name} did not end in {TIMEOUT_S:g} s, and was killed")
        if done.code == NOT_THERE:
            raise _FailedError(f"there is no command {name}")
        if done.code:
            raise _FailedError(f"the command {name} ended with code {done.code}")

    return send


def _by_apprise(urls: list[str]) -> Send:
    """Notify the services behind these URLs. Messages name a URL by its place in the list, from 1:
    it may hold a secret.
    """

    def send(one: Notification) -> None:
        apprise = import_module("apprise")
        services = apprise.Apprise()
        taken = [services.add(url) for url in urls]
        if not all(taken):
            raise _FailedError(
                f"apprise does not know URL number {taken.index(False) + 1} of notify_urls"
            )
        if not services.notify(title=f"Watchkeeper: {one.experiment}", body=one.line):
            raise _FailedError("apprise could not reach every service")

    return send
