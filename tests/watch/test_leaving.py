"""When a watch leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments import write_experiment
from watchkeeper.core import layout
from watchkeeper.core.errors import StorageError
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.leaving import SENTINEL, Leaving
from watchkeeper.watch.logs.lease import STALE_AFTER_S
from watchkeeper.watch.policy import WatchPolicy


class Time:
    """A monotonic clock that moves a little at each look, and as far as a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        self.now += 0.001
        return self.now


def never() -> float:
    """A monotonic clock that stands still."""
    return 0.0


def test_the_first_reason_to_leave_stays(tmp_path: Path) -> None:
    """A second signal, or the sentinel after a signal, does not change why the watch left."""
    leaving = Leaving(tmp_path, never)
    assert not leaving.is_requested() and leaving.why == ""
    leaving.request("SIGINT")
    leaving.request("SIGTERM")
    (tmp_path / SENTINEL).touch()
    assert leaving.is_requested() and leaving.why == "SIGINT"


def test_the_sentinel_ends_a_wait_and_an_old_one_is_removed(tmp_path: Path) -> None:
    """A sentinel that lies there at the start is an earlier watch's; one that appears later ends
    every wait.
    """
    (tmp_path / SENTINEL).touch()
    leaving = Leaving(tmp_path, never)
    assert leaving.remove_sentinel() and not leaving.remove_sentinel()
    (tmp_path / SENTINEL).touch()
    leaving.wait(3600)  # by a clock that stands still: only the sentinel ends it
    assert leaving.why == f"sentinel {SENTINEL}"


def test_a_sentinel_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    """The watch would leave at once: the error names the file instead."""
    (tmp_path / SENTINEL).mkdir()
    with pytest.raises(StorageError, match=SENTINEL):
        Leaving(tmp_path, never).remove_sentinel()


def test_a_watch_shows_its_life_while_it_waits(tmp_path: Path) -> None:
    """However long the pause until the next poll is, the lease's heartbeat moves often enough that
    no watcher on another host takes the lease.
    """
    time, beats = Time(), []
    policy = WatchPolicy(
        soonest_s=5, poll_s=300, longest_s=300, stagger_s=0, cap=0, unknown_deadline_s=600
    )
    folder = write_experiment(tmp_path / "exp")
    one = Keeper(experiments.read(folder), FakeScheduler(), policy, Selection(), monotonic=time)
    event = one._leaving._event

    class Waiting:
        """Waits in the test's own time."""

        def is_set(self) -> bool:
            return event.is_set()

        def set(self) -> None:
            event.set()

        def wait(self, seconds: float) -> None:
            time.now += seconds
            (beat,) = (folder / layout.LEASE).glob("*.beat")
            beats.append((time.now, beat.read_bytes()))
            if time.now > 290:
                one.ask_to_leave("enough")

    one._leaving._event = Waiting()
    assert not one.keep()
    seen: dict[bytes, list[float]] = {}
    for at, beat in beats:
        seen.setdefault(beat, []).append(at)
    assert len(seen) > 290 / STALE_AFTER_S
    assert max(times[-1] - times[0] for times in seen.values()) < STALE_AFTER_S / 2
