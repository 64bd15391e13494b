"""The rows of what watches, and of what stands around a job."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from bench.scale.rows import Pair, Row, cpu_of, own_cpu
from tests.simulation.day import journal_bytes, simulate
from watchkeeper.schedulers.wrapper.render import render

_SEED = 1


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
    Row("wrapped job", 0, _wrapped_job, "bare", rounds=7),
)
