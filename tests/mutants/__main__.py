"""Change the pure parts in small ways, one at a time, and name the changes that no test notices.

    python -m tests.mutants [--most 40] [--seed 1] [--limit-s 60] [MODULE …]

Of each module a random sample of its mutants is tried against the module's own tests. Ours, and not
a library: mutmut and cosmic-ray try every mutant, or copy the whole tree, and both change messages
too.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

from tests.mutants.changes import Mutant, mutants_of
from tests.mutants.trial import KILLED, SURVIVED, TIMED_OUT, preload, try_mutant

ROOT = Path(__file__).parents[2]
SOURCE = Path("src/watchkeeper")
LEAST = 0.85  # of the mutants, the share that the tests must kill

# Each module, and the tests that are directly of it.
TARGETS = {
    "launch/plan.py": ("tests/launch/test_plan.py", "tests/launch/test_retries.py"),
    "core/state.py": ("tests/core/test_state.py", "tests/core/test_events.py"),
    "watch/health/judge.py": ("tests/watch/health/test_judge.py",),
    "watch/verdict/causes.py": ("tests/watch/verdict/test_causes.py",),
    "report/compose": ("tests/report/compose",),
    "report/lint": ("tests/report/lint",),
}


def files_of(target: str) -> list[Path]:
    """The target's modules: itself, or all of its folder."""
    place = ROOT / SOURCE / target
    paths = [place] if place.is_file() else sorted(place.glob("[!_]*.py"))
    if not paths:
        sys.exit(f"tests.mutants names {target}, which is not there")
    return paths


def sample(target: str, most: int, seed: int) -> list[Mutant]:
    """Some of the target's mutants, the same for the same seed, in the order of their lines."""
    mutants = [mutant for path in files_of(target) for mutant in mutants_of(path)]
    chosen = random.Random(f"{seed} {target}").sample(mutants, min(most, len(mutants)))
    return sorted(chosen, key=lambda mutant: (mutant.path, mutant.line, mutant.number))


def run(target: str, arguments: argparse.Namespace) -> tuple[int, int]:
    """Try a sample of the target's mutants; how many were killed, and how many made."""
    killed, survivors = 0, []
    mutants = sample(target, arguments.most, arguments.seed)
    began = time.monotonic()
    for mutant in mutants:
        outcome = try_mutant(mutant, TARGETS[target], arguments.limit_s)
        if outcome == SURVIVED:
            survivors.append(mutant)
        killed += outcome in (KILLED, TIMED_OUT)
    print(f"{target}: {killed} of {len(mutants)} killed, in {time.monotonic() - began:.0f} s")
    for mutant in survivors:
        print(f"  survived: {mutant.path.relative_to(ROOT)}:{mutant.line}: {mutant.what}")
        print(f"    - {mutant.before}")
        print(f"    + {mutant.after}", flush=True)
    return killed, len(mutants)


def main() -> int:
    """Try each target that was named, or all; 1 where too few mutants were killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("targets", nargs="*", metavar="MODULE", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--most", type=int, default=40, help="mutants of each module (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="another sample (default 1)")
    parser.add_argument(
        "--limit-s", type=float, default=60.0, help="for one mutant; then it is killed"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    os.chdir(ROOT)
    preload()
    killed = made = 0
    for target in arguments.targets or TARGETS:
        if try_mutant(None, TARGETS[target], 10 * arguments.limit_s) != SURVIVED:
            print(f"{target}: its tests fail without any change: run {' '.join(TARGETS[target])}")
            return 2
        of_target = run(target, arguments)
        killed, made = killed + of_target[0], made + of_target[1]
    print(f"{killed} of {made} mutants killed: {killed / made:.0%}, wanted {LEAST:.0%}")
    return 0 if killed >= LEAST * made else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
