"""`python -m tests.fuzz`: every reader against mutated inputs, 60 s each, and a table of what came
of it.

Usage: python -m tests.fuzz [--seconds S] [--seed N] [TARGET ...]
"""

from __future__ import annotations

import argparse
import sys
import traceback

from tests.fuzz.fuzzing import try_for
from tests.fuzz.targets import ALL


def main() -> int:
    """Try each target; 1 if a reader raised what it may not."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each reader (60)")
    parser.add_argument("--seed", type=int, default=0, help="the first number of the inputs (0)")
    parser.add_argument("targets", nargs="*", help="names of readers, or parts of them (all)")
    given = parser.parse_args()
    chosen = [
        target
        for target in ALL
        if not given.targets or any(word in target.name for word in given.targets)
    ]
    failed = 0
    print(f"{'reader':30}  {'inputs':>7}  {'slowest':>8}  result")
    for target in chosen:
        try:
            tally = try_for(target, given.seconds, given.seed)
        except Exception as error:
            failed += 1
            print(
                f"{target.name:30}  {'':>7}  {'':>8}  {type(error).__name__}: {str(error)[:200]}",
                flush=True,
            )
            traceback.print_exc()
            continue
        print(f"{target.name:30}  {tally.inputs:7}  {tally.slowest_s:6.2f} s  good", flush=True)
    print(f"{len(chosen) - failed} of {len(chosen)} hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
