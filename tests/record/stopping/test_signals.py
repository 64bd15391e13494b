"""A signal handler that records comes at any moment, also in the middle of a write of its own
thread.
"""

from __future__ import annotations

import random
import signal
import time

import pytest

import watchkeeper as wk
from watchkeeper.core.events import Checkpoint, RunEnded, StepFinished
from watchkeeper.core.journal import read, verify_seals

INTERRUPTS = 400
DEADLINE_S = 60


@pytest.fixture
def interrupt():
    """Run `work` over and over, and `handler` in the middle of it, at random moments, that many
    times.
    """
    before = signal.getsignal(signal.SIGALRM)
    chance = random.Random(1)

    def run(work, handler, times):
        count = 0

        def on_alarm(*_):
            nonlocal count
            count += 1
            handler(count)
            if count < times:  # armed again only now: handlers do not pile up on a slow machine
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 5e-4))

        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 1e-6)
        deadline = time.monotonic() + DEADLINE_S
        while count < times and time.monotonic() < deadline:
            work()
        assert count == times

    yield run
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_rows_from_a_signal_handler_are_kept(tmp_path, interrupt, events):
    """No row is lost, doubled or torn, be it the handler's or the one that the handler interrupted;
    all are counted.
    """
    acknowledged = []
    with wk.start_run(folder=tmp_path, pipeline="training") as run:

        def work():
            step = len(acknowledged) + 1
            acknowledged.append(step)
            run.log(step, loss=0.5)

        interrupt(work, lambda count: run.log(-count, loss=0.5), INTERRUPTS)
    rows, problems = wk.read_rows(tmp_path)
    assert problems == []
    expected = [*range(-INTERRUPTS, 0), *range(1, len(acknowledged) + 1)]
    assert expected == sorted(row.step for row in rows)
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert (len(rows), 0) == (ended.metric_rows, ended.lost_rows)
    assert len({row.writer for row in rows}) == 1


def test_events_from_a_signal_handler_leave_the_journal_whole(tmp_path, interrupt, events):
    """A checkpoint recorded by a handler in the middle of another event breaks neither; every seal
    holds.
    """
    checkpoint = tmp_path / "model.safetensors"
    checkpoint.write_bytes(b"1")
    steps = []
    with wk.start_run(folder=tmp_path / "run", pipeline="training") as run:

        def work():
            with run.step("busy"):
                steps.append(1)

        interrupt(work, lambda count: run.checkpoint(checkpoint, training_step=count), INTERRUPTS)
    told = events(tmp_path / "run")
    assert list(range(1, INTERRUPTS + 1)) == sorted(
        event.training_step for event in told if isinstance(event, Checkpoint)
    )
    assert len(steps) == sum(isinstance(event, StepFinished) for event in told)
    seals, problems = verify_seals(read(tmp_path / "run/.watchkeeper/journal"))
    assert problems == []
    assert seals >= 1
