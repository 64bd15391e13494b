"""Many functions by submitit, handed over as one array, and awaited as its documents say. Writes
when it learned of each end.

Usage: submitit_many.py JOBS ENDS KNOWN. Exit code 1: a job gave no result.
"""

import sys
import time
from pathlib import Path

import submitit


def work(ends, number):
    """Note that the job ends now."""
    with open(f"{ends}/{number}", "a") as file:
        file.write(f"{time.time()}\n")
    return number


def main():
    """Submit, and wait for each."""
    jobs, ends, known = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    executor = submitit.AutoExecutor(folder="log")
    executor.update_parameters(timeout_min=5, slurm_array_parallelism=jobs)
    submitted = executor.map_array(lambda number: work(ends, number), range(jobs))
    failed = 0
    with known.open("w") as file:
        for job in submitit.helpers.as_completed(submitted):
            now = time.time()
            if job.exception() is None:
                file.write(f"{job.result()} {now}\n")
            else:
                failed += 1
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
