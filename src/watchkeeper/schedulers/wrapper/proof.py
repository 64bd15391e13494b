"""Proving the claim (law 5) between this node and a compute node, by a tiny job.

Both race for a number of hard links in one folder, each by the wrapper's own rule: link a complete
file, and judge by reading back. It is proved when in every round both read the same winner. On the
way, the folder's visibility both ways and the offset of the two clocks are measured.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shlex
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core import ids, processes
from watchkeeper.core.disk import files, mounts
from watchkeeper.core.errors import SchedulerError, StorageError
from watchkeeper.core.events import Host, JobId
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.core.settings import state_folder
from watchkeeper.schedulers.base import TERMINAL, Job, Scheduler
from watchkeeper.schedulers.wrapper.names import wrapper_name

ROUNDS = 12
_LOOK_S = 0.02
_POLL_S = 2.0
# A round waits twice for the other node to see a file.
_ROUND_S = 120.0


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof found between `host` and `node`, on one filesystem. `won_here` of `rounds` were
    won by this node.

    `slowest_s`: the longest time from writing a file here to seeing the other node's answer.
    `clock_offset_s`: how far the other node's clock is ahead of ours, give or take `clock_error_s`.
    """

    scheduler: str
    filesystem: str
    host: Host
    node: Host
    job_id: JobId
    rounds: int
    won_here: int
    slowest_s: float
    clock_offset_s: float
    clock_error_s: float
    time: datetime


class NotProvedError(Exception):
    """The claim was not proved; the message says why. `broken`: it was seen to fail, and is not
    merely unknown.
    """

    def __init__(self, why: str, *, broken: bool = False) -> None:
        super().__init__(why)
        self.broken = broken


def find(scheduler: str, folder: Path) -> Proof | None:
    """The proof that holds for this folder on this scheduler; None if there is none."""
    filesystem = str(mounts.filesystem_of(folder))
    try:
        proof = msgspec.json.decode(files.read_whole(_place(scheduler, filesystem)), type=Proof)
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    if (proof.scheduler, proof.filesystem) == (scheduler, filesystem):
        return proof
    return None


def prove(
    scheduler: Scheduler,
    folder: Path,
    *,
    wait_s: float,
    tell: Callable[[str], None] = lambda words: None,
    clock: Clock = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Proof:
    """Submit the job, wait at most `wait_s` for its start, race, and keep what was found for
    `find`.

    Raises:
        NotProvedError: it was not proved.
        SchedulerError: the job could not be submitted.
        StorageError: the folder cannot be written.
    """
    token = ids.token()
    place = files.make_folder(folder / f".wk-proof-{token}")
    job_id = ""
    try:
        script = place / wrapper_name(token)
        files.replace(script, _script(place), mode=0o777)
        job_id = scheduler.submit(
            Job(wrapper=script, folder=place, name="watchkeeper-doctor", token=token)
        ).job_id
        tell(f"job {job_id} on {scheduler.name} races for {ROUNDS} claims with this node")
        race = _Race(scheduler, place, job_id, sleep)
        race.wait("ready.1", wait_s, f"job {job_id} has not started within {wait_s:g} s")
        node = race.wait_for_line("node", _ROUND_S)
        won = sum(race.round(number) for number in range(1, ROUNDS + 1))
        proof = Proof(
            scheduler=scheduler.name,
            filesystem=str(mounts.filesystem_of(folder)),
            host=processes.host(),
            node=node,
            job_id=job_id,
            rounds=ROUNDS,
            won_here=won,
            slowest_s=race.slowest_s,
            clock_offset_s=race.offset_s,
            clock_error_s=race.error_s,
            time=clock(),
        )
        kept = _place(proof.scheduler, proof.filesystem)
        files.make_folder(kept.parent)
        files.replace(kept, msgspec.json.encode(proof) + b"\n")
        return proof
    except NotProvedError:
        # What held before holds no more.
        with contextlib.suppress(StorageError):
            files.remove(_place(scheduler.name, str(mounts.filesystem_of(folder))))
        raise
    finally:
        if job_id:
            with contextlib.suppress(SchedulerError):
                scheduler.cancel(job_id)
        shutil.rmtree(place, ignore_errors=True)


def _place(scheduler: str, filesystem: str) -> Path:
    name = hashlib.sha256(
        f"{scheduler}\n{filesystem}".encode(errors="surrogateescape")
    ).hexdigest()[:32]
    return state_folder() / "proofs" / f"{name}.json"


class _Race:
    """This node's side."""

    def __init__(
        self, scheduler: Scheduler, folder: Path, job_id: str, sleep: Callable[[float], None]
    ) -> None:
        self._scheduler = scheduler
        self._folder = folder
        self._job_id = job_id
        self._sleep = sleep
        self._start_late_s = 0.01
        self.slowest_s = 0.0
        self.offset_s = 0.0
        self.error_s = float("inf")

    def wait(self, name: str, seconds: float, why: str) -> None:
        """Wait for a file of the other side. Raises NotProvedError with `why` when it does not
        come, or the job ends.
        """
        until, look = time.monotonic() + seconds, time.monotonic() + _POLL_S
        ended = ""
        while not self._seen(name):
            now = time.monotonic()
            if ended or now >= until:
                raise NotProvedError(ended or why)
            if now >= look:
                # Its last file may come after its end is reported: look for it once more.
                ended, look = self._ended(), now + _POLL_S
            self._sleep(_LOOK_S)

    def wait_for_line(self, name: str, seconds: float) -> str:
        """The line in a file of the other side."""
        self.wait(name, seconds, f"the other node wrote no {name} within {seconds:g} s")
        return files.read_whole(self._folder / name).decode(errors="replace").strip()

    def round(self, number: int) -> bool:
        """One race. Returns whether this node won it. Raises NotProvedError where the two sides saw
        different winners.
        """
        self.wait(
            f"ready.{number}",
            _ROUND_S,
            f"round {number}: the other node is not ready after {_ROUND_S:g} s",
        )
        mine, claim = self._folder / f"here.{number}", self._folder / f"claim.{number}"
        line = f"here {secrets.token_hex(16)}"
        files.replace(mine, f"{line}\n".encode())
        began, wall = time.monotonic(), time.time()
        files.replace(self._folder / f"go.{number}", b"go\n", durable=False)
        self._sleep(self._start_late_s)
        with contextlib.suppress(OSError):
            os.link(mine, claim)
        here = files.read_whole(claim).decode(errors="replace").strip()
        answer = self.wait_for_line(f"said.{number}", _ROUND_S)
        took = time.monotonic() - began
        at, _, there = answer.partition(" ")
        if here != there:
            why = (
                f"round {number}: this node read {here!r} and the other {there!r}: a claim "
                "could be held twice"
            )
            raise NotProvedError(why, broken=True)
        self.slowest_s = max(self.slowest_s, took)
        if took / 2 < self.error_s:
            self.error_s, self.offset_s = took / 2, float(at) - (wall + took / 2)
        won = here == line
        # Whoever won starts later, so that the next race is closer.
        self._start_late_s = min(0.2, max(0.0005, self._start_late_s * (1.5 if won else 0.6)))
        return won

    def _seen(self, name: str) -> bool:
        # Writing here makes this node look at the folder afresh.
        (self._folder / "look.here").touch()
        return (self._folder / name).exists()

    def _ended(self) -> str:
        try:
            facts = self._scheduler.poll([self._job_id]).facts.get(self._job_id)
        except SchedulerError:
            return ""
        if facts is None or facts.state not in TERMINAL:
            return ""
        said = self._folder / "job.out"
        if said.exists():
            words = files.read_regular(said, files.MOST_TEXT_BYTES).decode(errors="replace").strip()
        else:
            words = ""
        if words:
            seen = f"; it said: {words[-300:]}"
        else:
            seen = f": does the compute node see {self._folder.parent}?"
        return f"job {self._job_id} ended as {facts.state} {facts.reason}".rstrip() + seen


def _script(folder: Path) -> bytes:
    """The compute node's side, which races in this folder."""
    places = {
        b"__FOLDER__": os.fsencode(shlex.quote(str(folder))),
        b"__ROUNDS__": str(ROUNDS).encode(),
    }
    script = Path(__file__).with_name("race.sh").read_bytes()
    return re.sub(rb"__[A-Z]+__", lambda place: places[place.group()], script)
