"""A night's work for the tests of views."""

from __future__ import annotations

from pathlib import Path

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.schedulers.fake.scheduler import FakeScheduler

FAILS = 'case $PWD in *r16*) echo "MemoryError: step 40 of 120" >&2; exit 3;; esac'


def make_night(root: Path) -> Path:
    """The folder `root` with the experiments `cap` (one of two trainings fails) and
    `good`, and the recorded runs of `sweep`.
    """
    failing = write_experiment(root / "cap", runs=("r4", "r16"), epochs=(0, 1), body=FAILS)
    keep(failing, FakeScheduler(), setting="none")
    keep(write_experiment(root / "good", control=True), FakeScheduler(), setting="none")
    for number in range(3):
        record(root / "sweep" / f"s{number}", val_loss=0.5 - number / 10)
    return root


def record(folder: Path, **metrics: float) -> None:
    """A recorded run with one row."""
    options = {"pipeline": "training", "console": False, "sidecar": False}
    with wk.start_run(folder=folder, **options) as run:
        run.log(1, **metrics)
