"""The rows of what watches, and of what stands around a job."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from bench.scale.rows import Pair, Row, cpu_of, own_cpu, watchkeeper
from tests.simulation.day import HOUR_S, journal_bytes, simulate
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.wrapper.render import render
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy

_SEED = 1
_TURNS = 10
# By then a job that waits is known to, and why.
_WAITED = timedelta(minutes=2)


def _watched_day(folder: Path, items: int) -> Pair:
    """A simulated day of 2 N jobs, cluster and all; its baseline decodes and encodes the lines of
    the journal that the watch leaves.
    """
    experiment = folder / "exp"

    def ours() -> float:
        shutil.rmtree(experiment, ignore_errors=True)
        return own_cpu(lambda: simulate(experiment, _SEED, 2 * items))

    def decode_all() -> None:
        for data in journal_bytes(experiment).values():
            for line in data.splitlines():
                json.dumps(json.loads(line))

    return Pair(ours=ours, baseline=lambda: own_cpu(decode_all))


def _idle_turn(folder: Path, items: int) -> Pair:
    """A turn over N jobs that wait, in which nothing changes; its baseline is the scheduler's
    answer, in memory.
    """
    scripts = _scripts(folder / "exp", items)
    scheduler = FakeScheduler(clock=lambda: datetime.now(UTC) - _WAITED)
    policy = WatchPolicy(
        soonest_s=0, poll_s=HOUR_S, longest_s=HOUR_S, stagger_s=0, cap=0, unknown_deadline_s=HOUR_S
    )
    keeper = Keeper(
        experiments.read(folder / "exp"), scheduler, policy, Selection(), run_logs="off"
    )
    with mock.patch("os.fsync"):  # the disk is not what is measured
        keeper.logbook.take_lead()
        for _ in range(3):
            keeper.turn()
    assert len(scheduler.jobs) == len(scripts)

    return Pair(
        ours=lambda: own_cpu(keeper.turn, _TURNS),
        baseline=lambda: own_cpu(lambda: scheduler.poll(list(scheduler.jobs)), _TURNS),
    )


def _local_jobs(folder: Path, items: int) -> Pair:
    """The watch of N local jobs that do nothing, without the jobs; its baseline runs their scripts
    bare, one after the other.
    """
    experiment = folder / "exp"

    def ours() -> float:
        shutil.rmtree(experiment, ignore_errors=True)
        _scripts(experiment, items)
        return cpu_of(watchkeeper("run", str(experiment)), folder / "cache")

    bare = 'for script in "$0"/*/finetune.slurm; do bash "$script"; done'
    return Pair(
        ours=ours,
        baseline=lambda: cpu_of(["bash", "-c", bare, str(experiment)], folder / "cache"),
    )


def _scripts(experiment: Path, items: int) -> list[Path]:
    """N scripts that do nothing, in the folders of their runs."""
    scripts: list[Path] = []
    for number in range(items):
        script = experiment / f"r{number:05d}" / "finetune.slurm"
        script.parent.mkdir(parents=True)
        script.write_text("#!/bin/bash\n#SBATCH --time=10\n:\n")
        scripts.append(script)
    return scripts


def _wrapped_job(folder: Path, items: int) -> Pair:
    """A job that does nothing, in its wrapper; its baseline is the bare script."""
    del items
    script = folder / "script"
    script.write_text("#!/bin/bash\n:\n")
    script.chmod(0o755)
    attempt = folder / "attempt"
    wrapper = folder / "wrapper.sh"
    text = render(
        b"#!/bin/bash\n", attempt_folder=attempt, script=script, token="t", scheduler="local"
    )
    wrapper.write_bytes(text)

    def ours() -> float:
        shutil.rmtree(attempt, ignore_errors=True)
        attempt.mkdir()
        return cpu_of(["env", "WATCHKEEPER_JOB_ID=1", "bash", "-p", str(wrapper)], folder / "cache")

    return Pair(ours=ours, baseline=lambda: cpu_of(["bash", os.fspath(script)], folder / "cache"))


ROWS = (
    Row(
        "watched day",
        10,
        _watched_day,
        "decode its journal",
        most_exponent=1.2,
        rounds=1,
    ),
    Row("idle turn", 100, _idle_turn, "the answer", most_ratio=16.0, most_exponent=1.2),
    Row("local jobs", 20, _local_jobs, "bare scripts", most_exponent=1.2, rounds=2),
    Row("wrapped job", 0, _wrapped_job, "bare", rounds=7),
)
