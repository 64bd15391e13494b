"""Notifications: which events are worth one, and what happens when they cannot be sent."""

from __future__ import annotations

import sys
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import Assessed, Concluded, Decided, Decision, Judged
from watchkeeper.core.settings import Settings, load
from watchkeeper.watch import notify
from watchkeeper.watch.notify import Notifier, notifier_of, of_event

AT = {"time": datetime(2026, 3, 11, 15, tzinfo=UTC), "writer": "w", "seq": 7}
JOB = {"key": "r8", "phase": "preparation", "attempt": 1}
ENDED = Concluded(**AT, phase=None, counts={"COMPLETED": 2, "FAILED": 1}, duration_s=9.0)
BLOCKED = Decision(
    key="r8/clean/epoch0", phase="evaluation", action="blocked", reason="checkpoint missing"
)


@pytest.mark.parametrize(
    ("event", "what", "line"),
    [
        (
            Assessed(**AT, **JOB, health="stalled", why="no step since\nstep 7", alarm="raised"),
            "alarm",
            "exp: r8: STALLED: no step since step 7",
        ),
        (
            Judged(**AT, **JOB, outcome="failed", state="TIMEOUT", why="late"),
            "failed",
            "exp: r8: failed (TIMEOUT): late",
        ),
        (
            Decided(**AT, phase="evaluation", decisions=(BLOCKED,)),
            "blocked",
            "exp: r8/clean/epoch0: blocked: checkpoint missing",
        ),
        (ENDED, "complete", "exp: all jobs have ended: 2 COMPLETED, 1 FAILED"),
    ],
)
def test_alarms_failures_what_is_blocked_and_the_end_are_worth_one(event, what, line):
    """Each is one notification, in one printable line."""
    (found,) = of_event(event, "exp")
    assert (found.what, found.line) == (what, line)


@pytest.mark.parametrize(
    "event",
    [
        Assessed(**AT, **JOB, health="stalled", why="still"),
        Assessed(**AT, **JOB, health="advancing", why="again", alarm="over"),
        Judged(**AT, **JOB, outcome="done", state="COMPLETED"),
        Judged(**AT, **JOB, outcome="cancelled", state="CANCELLED"),
        Decided(**AT, phase="evaluation", decisions=(BLOCKED,), first=True),
        Concluded(**AT, phase="preparation", counts={}, duration_s=1.0),
    ],
)
def test_nothing_else_is(event):
    """What is no news, or was a person's own doing, wakes nobody."""
    assert of_event(event, "exp") == []


def test_a_command_that_fails_is_told_once_without_its_words(tmp_path: Path):
    """The name of the program and its code, once; neither arguments nor output, which may hold a
    secret.
    """
    script = tmp_path / "hook"
    script.write_text("#!/bin/bash\necho run >> $2\necho $1 >&2\nexit 3\n")
    script.chmod(0o755)
    ran = tmp_path / "ran"
    notifier = notifier_of(Settings(notify=(str(script), "s3cret", str(ran))), "exp")
    for _ in range(3):
        notifier.tell(ENDED)
    notifier.close()
    assert (
        notifier.failures() == ["the command hook ended with code 3"] and notifier.failures() == []
    )
    assert len(ran.read_text().splitlines()) == 3


def test_a_command_that_does_not_end_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is killed at its time limit, and told; a command that is not there is told too."""
    monkeypatch.setattr(notify, "TIMEOUT_S", 0.1)
    script = tmp_path / "slow"
    script.write_text("#!/bin/bash\nexec sleep 600\n")
    script.chmod(0o755)
    notifier = notifier_of(Settings(notify=(str(script),)), "exp")
    notifier._ways["other"] = notify._by_command(["/nowhere/hook"])
    notifier.tell(ENDED)
    notifier.close()
    assert notifier.failures() == [
        "the command slow did not end in 0.1 s, and was killed",
        "there is no command hook",
    ]


def test_nothing_is_sent_where_nothing_is_set():
    """Without a setting there is no thread and no word."""
    notifier = Notifier({}, "exp")
    notifier.tell(ENDED)
    notifier.close()
    assert notifier._thread is None and notifier.failures() == []


def test_apprise_is_an_extra_and_its_urls_are_never_shown(monkeypatch: pytest.MonkeyPatch):
    """Missing, the error says what to install; an unknown or failing service is told by number,
    never by URL.
    """
    monkeypatch.setattr(notify, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs apprise") as missing:
        notifier_of(Settings(notify_urls="ntfy://s3cret/topic"), "exp")
    assert "watchkeeper[notify]" in missing.value.hint and "s3cret" not in str(missing.value)
    sent = []

    class Apprise:
        def add(self, url):
            if url == "boom://s3cret":
                raise RuntimeError(url)
            return url.startswith("ntfy://")

        def notify(self, title, body):
            sent.append((title, body))
            return True

    monkeypatch.setattr(notify, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=Apprise))
    for urls, failures in (
        ("ntfy://s3cret/a ntfy://b", []),
        (("ntfy://a", "odd://s3cret"), ["apprise does not know URL number 2 of notify_urls"]),
        ("boom://s3cret", ["apprise raised RuntimeError"]),
    ):
        notifier = notifier_of(Settings(notify_urls=urls), "exp")
        notifier.tell(ENDED)
        notifier.close()
        assert notifier.failures() == failures
    assert sent == [("Watchkeeper: exp", "exp: all jobs have ended: 2 COMPLETED, 1 FAILED")]


def test_the_settings_are_read_from_file_and_environment(tmp_path: Path):
    """A command is a string or a list; variables are strings."""
    (tmp_path / "watchkeeper.toml").write_text('notify = ["hook", "--to me"]\nsilent_s = 5\n')
    assert load(tmp_path, {"HOME": "/"}).notify == ("hook", "--to me")
    found = load(
        tmp_path, {"HOME": "/", "WATCHKEEPER_NOTIFY": "hook 'a b'", "WATCHKEEPER_STALL_S": "30"}
    )
    assert (found.notify, found.stall_s, found.silent_s) == ("hook 'a b'", 30.0, 5.0)
    with pytest.raises(UsageError, match="no command"):
        notifier_of(Settings(notify="hook 'a"), "exp")
