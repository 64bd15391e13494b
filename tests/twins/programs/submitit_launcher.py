"""One function by submitit, whose job is kept for the next time, as its maintainers advise (issues
1625 and 1627).

Usage: launcher.py WORK-SCRIPT RESULT [--recover] `--recover` submits again what ended without a
result, or is unknown. Exit codes: 0 the function has returned; 1 it ended without; 3 it cannot be
told, or is under way.
"""

import pickle
import subprocess
import sys
import time
from pathlib import Path

import submitit

DONE, FAILED, UNDER_WAY = 0, 1, 3
KEPT = Path("job.pkl")
LOOK_S = 3.0
MOST_LOOKS = 60


class Piece(submitit.helpers.Checkpointable):
    """The work. After a preemption submitit calls it again with the same arguments."""

    def __call__(self, work, result):
        """Run the script."""
        subprocess.run(["/bin/bash", work, result], check=True)


def submit(work, result):
    """Submit the function, and keep the job."""
    executor = submitit.AutoExecutor(folder="log")
    executor.update_parameters(timeout_min=5, slurm_job_name="piece")
    job = executor.submit(Piece(), work, result)
    temporary = KEPT.with_suffix(".tmp")
    temporary.write_bytes(pickle.dumps(job))
    temporary.replace(KEPT)
    return job


def take(work, result):
    """The job that is kept, or a new one."""
    if not KEPT.exists():
        return submit(work, result)
    job = pickle.loads(KEPT.read_bytes())
    if "--recover" in sys.argv and not (job.done(force_check=True) and job.exception() is None):
        return submit(work, result)
    return job


def main():
    """Submit, unless a job is kept; wait for it."""
    job = take(*sys.argv[1:3])
    for _ in range(MOST_LOOKS):
        if job.done(force_check=True):
            break
        time.sleep(LOOK_S)
    else:
        print(job.state)
        return UNDER_WAY
    error = job.exception()
    print(error or "done")
    return FAILED if error else DONE


if __name__ == "__main__":
    sys.exit(main())
