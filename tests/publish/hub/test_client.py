"""The process that speaks to the Hub: bounded in time, and the token is seen nowhere in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.publish.hub.packages import REPO, contents, held, place_at
from tests.publish.hub.server import TOKEN, Trouble
from watchkeeper.publish.hub import client
from watchkeeper.publish.hub.client import HubDoubtError, HubError, asking
from watchkeeper.publish.hub.messages import Look
from watchkeeper.publish.hub.upload import look, records_of, send
from watchkeeper.publish.tokens import Token

WHOSE = Token(Path("/secret/token"), TOKEN)
LONG_S = 600.0


def visible(pid: int) -> bytes:
    """What anybody who may look at a process sees of it."""
    process = Path("/proc", str(pid))
    return (process / "environ").read_bytes() + (process / "cmdline").read_bytes()


def test_a_package_is_uploaded_by_a_process_of_its_own(hub, package, monkeypatch, capfd):
    """All of it arrives; neither the environment, nor the command line, nor what is printed has the
    token, and the user's own variables with one are not passed on.
    """
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_DEBUG", "1")
    started = []
    start = client._start

    def watched(*args, **settings):
        started.append(start(*args, **settings))
        return started[-1]

    monkeypatch.setattr(client, "_start", watched)
    records = records_of(package)
    with asking(place_at(hub), WHOSE, timeout_s=LONG_S, shows_progress=True) as ask:
        plan = look(ask, place_at(hub), package, records)
        seen = visible(started[0].pid)
        send(ask, plan, package, records)
    assert held(hub) == contents(package)
    assert b"watchkeeper.publish.hub.worker" in seen and TOKEN.encode() not in seen
    output = capfd.readouterr()
    assert TOKEN not in output.out + output.err
    assert not Path("/proc", str(started[0].pid)).exists()


def test_a_hub_that_hangs_is_left_after_the_time(hub, monkeypatch):
    """The process is ended with the block; whether it was done is unknown, which is said."""
    hub.troubles = [Trouble("hang", "whoami", times=None)]
    monkeypatch.setattr(client, "_Asker", _Impatient)
    _Impatient.hanging = hub.hanging
    with (
        pytest.raises(HubDoubtError, match="--timeout allows") as error,
        asking(place_at(hub), WHOSE, timeout_s=LONG_S) as ask,
    ):
        ask(Look(REPO, names_account=True))
    assert error.value.exit_code == 4 and "same command again" in error.value.hint
    assert TOKEN not in f"{error.value}"


class _Impatient(client._Asker):
    """Its time is over as soon as the Hub hangs."""

    hanging = None

    def _read(self):
        assert self.hanging.wait(LONG_S)
        pid = self._process.pid
        assert TOKEN.encode() not in visible(pid)
        self._deadline = 0.0
        return super()._read()


def test_a_process_that_dies_is_a_failure(hub, monkeypatch):
    """An end without an answer is said."""
    with asking(place_at(hub), None, timeout_s=LONG_S) as ask:
        os.kill(ask.__self__._process.pid, 9)
        with pytest.raises(HubError, match="process that asks it ended"):
            ask(Look(REPO))
