"""`python -m tests.iofaults`: each file operation fails once, in each of five ways, and a table of
what came of it.

Usage: python -m tests.iofaults [--workers N] [--all] [SUBJECT ...]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.iofaults.injection import ERRORS, NoCompilerError, library
from tests.iofaults.outcome import Outcome, hung
from tests.iofaults.plans import SUBJECTS, Plan

COLUMNS = ("lost", "changed", "twice", "silent", "repeated", "unsound")
HEADS = ("rows lost", "codes changed", "executed twice", "silent", "said twice", "unsound")


def try_all(plan: Plan, workers: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Try each fault of the plan. Prints what is not as promised of a trial as soon as it is known;
    returns the counts of each error, and these texts.
    """
    counts = {error: Counter[str]() for error in ERRORS}
    short: list[str] = []
    with tempfile.TemporaryDirectory(prefix="watchkeeper-iofaults-") as base:

        def try_one(number: int) -> Outcome:
            folder = Path(base) / str(number)
            try:
                return plan.subject(folder, plan.faults[number]).outcome
            except subprocess.TimeoutExpired as error:
                return hung(str(error))
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        with ThreadPoolExecutor(workers) as pool:
            for fault, outcome in zip(
                plan.faults, pool.map(try_one, range(len(plan.faults))), strict=True
            ):
                tally = counts[fault.error]
                tally["trials"] += outcome.failed
                tally["not reached"] += not outcome.failed
                found = outcome.faults(fault) if outcome.failed else {}
                tally.update(found)
                if any(found.values()):
                    words = ", ".join(f"{name} {count}" for name, count in found.items() if count)
                    said = "\n    ".join(outcome.output.splitlines()[-12:])
                    short.append(
                        f"{fault.error} at {fault.operation}: {words}; {outcome.unsound}\n "
                        f"   {said}"
                    )
                    print(short[-1], flush=True)
    return counts, short


def main() -> int:
    """Print the table. 1: a row is not all zeros; 2: nothing could be tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.iofaults")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time (2)")
    parser.add_argument(
        "--all",
        action="store_true",
        help="each error at each place of the watcher too (some 1,300 trials)",
    )
    parser.add_argument("subjects", nargs="*", help=f"of {', '.join(SUBJECTS)} (all)")
    given = parser.parse_args()
    try:
        library()
    except NoCompilerError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{'subject':10}{'error':8}{'trials':>7}  " + "  ".join(HEADS), flush=True)
    bad: list[str] = []
    trials = 0
    began = time.monotonic()
    for name in given.subjects or SUBJECTS:
        counts, short = try_all(SUBJECTS[name](given.all), given.workers)
        bad += short
        for error, tally in counts.items():
            trials += tally["trials"]
            cells = "  ".join(
                f"{tally[column]:>{len(head)}}" for column, head in zip(COLUMNS, HEADS, strict=True)
            )
            missed = f"  ({tally['not reached']} not reached)" if tally["not reached"] else ""
            print(f"{name:10}{error:8}{tally['trials']:7}  {cells}{missed}", flush=True)
    print("\n".join(bad))
    print(
        f"{trials} trials in {(time.monotonic() - began) / 60:.0f} minutes; {len(bad)} not "
        "as promised"
    )
    return 1 if bad or not trials else 0


if __name__ == "__main__":
    sys.exit(main())
