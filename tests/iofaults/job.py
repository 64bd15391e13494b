"""A wrapped job whose disk fails once: the wrapper's own operations, those of `ln`, `sync` and `rm`
among them.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.iofaults.injection import Fault, Injection
from tests.iofaults.outcome import Outcome, Trial, sayings
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.claims import FINISHED, TWIN, read_exit_records
from watchkeeper.schedulers.wrapper.names import wrapper_name

CODE = 7
LAG_S = 4.0  # with it the wrapper leaves a heartbeat, each second
GAP_S = 0.001
DEADLINE_S = 600
# It has run when it has said so outside the failing folder; and it lives until the first heartbeat
# is tried.
SCRIPT = """#!/bin/bash
echo ran >> "$WK_RAN"
for ((i = 0; i < 100; i++)); do
    [[ -e $WATCHKEEPER_ATTEMPT/heartbeat.1 ]] && break
    sleep 0.02
done
exit 7
"""
# The job's interpreter opens these, before the wrapper's first line and after its last word to the
# script.
PROGRAMS = ("/attempt/wk-*.sh", "/attempt/script")


def run(folder: Path, fault: Fault | None = None) -> Trial:
    """Run a wrapped job in a new folder, with this fault or none; then, without one, what may come
    after it: the same job once more, and a second job of the attempt.
    """
    experiment, ran = folder / "experiment", folder / "ran"
    attempt = experiment / "attempt"
    attempt.mkdir(parents=True)
    script = attempt / "script"
    script.write_text(SCRIPT)
    text = render.render(
        read_head(script), attempt_folder=attempt, script=script, token="token", scheduler="local",
        lag_s=LAG_S, starts=experiment / "starts", gap_s=GAP_S,
    )  # fmt: skip
    path = attempt / wrapper_name("token")
    path.write_bytes(text)
    path.chmod(0o755)
    injection = Injection(folder / "notes", experiment, fault)
    done = _start(path, "1", ran, injection.environment)
    again = [_start(path, job_id, ran, {}) for job_id in ("1", "2")]
    executions = len(ran.read_text().splitlines()) if ran.exists() else 0
    begins = fault is None or fault.operation.path not in PROGRAMS
    outcome = Outcome(
        failed=injection.has_failed,
        lost=0,
        changed=int(done.returncode != CODE) if begins else int(done.returncode == 0),
        twice=max(0, executions - 1),
        said=sayings(done.stderr, fault),
        unsound=_unsound(attempt, executions, [one.returncode for one in again]) if begins else "",
        output=f"code {done.returncode}\n{done.stderr}",
    )
    return Trial(outcome, injection.operations())


def _start(
    path: Path, job_id: str, ran: Path, more: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WATCHKEEPER_", "SLURM_"))
    }
    environment = kept | more | {"WATCHKEEPER_JOB_ID": job_id, "WK_RAN": str(ran), "LC_ALL": "C"}
    return subprocess.run(
        [path],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def _unsound(attempt: Path, executions: int, codes: list[int]) -> str:
    if executions != 1:
        return f"{executions} executions"
    ends = [record.exit_code for record in read_exit_records(attempt)]
    if ends != [CODE]:
        return f"the exit records say {ends}"
    if not set(codes) <= {TWIN, FINISHED}:
        return f"later jobs of the attempt ended with {codes}"
    left = [path.name for path in attempt.iterdir() if path.name.startswith(".tmp-")]
    return f"temporaries are left: {left}" if left else ""
