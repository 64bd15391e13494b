"""The lease: one leader at a time, taken over only from the dead, the silent or the released."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from watchkeeper.core import processes
from watchkeeper.watch.logs.lease import STALE_AFTER_S, Holder, Lease


class Time:
    """A monotonic clock that stands still until told."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_of_many_at_once_one_takes_the_lease(tmp_path: Path) -> None:
    """Sixteen watchers that start together agree on one leader."""
    leases = [Lease(tmp_path, f"w{n}", Time()) for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(Lease.take, leases))
    assert taken.count(True) == 1 and [lease.held for lease in leases] == taken


def test_a_released_lease_is_taken_at_once(tmp_path: Path) -> None:
    """Who leaves lets the next one lead without a wait, and leads no more itself."""
    first, second = Lease(tmp_path, "a", Time()), Lease(tmp_path, "b", Time())
    assert first.take() and not second.take()
    first.release()
    assert second.take() and second.number == 2 and not first.held


def test_a_lease_whose_file_is_gone_is_held_no_more(tmp_path: Path) -> None:
    """Where a person has removed the folder, the next watcher leads, and the one before it not."""
    first, second = Lease(tmp_path, "a", Time()), Lease(tmp_path, "b", Time())
    assert first.take()
    (tmp_path / "1.json").unlink()
    assert not first.held
    assert second.take() and second.held


def test_a_dead_leader_on_this_host_is_followed_at_once(tmp_path: Path) -> None:
    """A leader that was killed is known to be gone by its process, without waiting."""
    code = (
        "import sys, time; from pathlib import Path; from watchkeeper.watch.logs.lease import "
        "Lease; "
        "print(Lease(Path(sys.argv[1]), 'a', time.monotonic).take(), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        second = Lease(tmp_path, "b", Time())
        assert not second.take()
    finally:
        process.kill()
        process.communicate()
    assert second.take()


@pytest.mark.parametrize("beats", [True, False])
def test_a_leader_on_another_host_is_followed_only_when_its_heart_stands_still(
    tmp_path: Path, beats: bool
) -> None:
    """From elsewhere, only a heartbeat unchanged for the whole lag on our own clock counts as
    death.
    """
    elsewhere = msgspec.structs.replace(processes.this_process(), host="another-host")
    (tmp_path / "1.json").write_bytes(
        msgspec.json.encode(Holder(lease=1, writer="a", process=elsewhere))
    )
    time = Time()
    lease = Lease(tmp_path, "b", time)
    for minute in range(1, 6):
        if beats:
            (tmp_path / "1.beat").write_text(f"beat {minute}")
        assert not lease.take() or (not beats and time.now > STALE_AFTER_S)
        time.now += 60
    assert lease.held is not beats
