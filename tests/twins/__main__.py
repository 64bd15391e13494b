"""The twin table: three tools that submit one piece of work to a real Slurm, under twelve faults
that can run it twice.

`make twins` prints it. docs/twins.md says what is counted and how each tool is used.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.slurm.lab import USER, CannotError, Lab, until
from tests.twins.count import Counts, table
from tests.twins.faults import FAULTS
from tests.twins.tools import OTHERS, OURS, Tool
from tests.twins.trial import CLOCK, Trial, queue
from watchkeeper.schedulers.base import TERMINAL
from watchkeeper.schedulers.shell import as_user

TRIALS, TRIALS_OF_OTHERS = 17, 6
# What a person does next must not wait for another trial.
AT_ONCE = 64
# Room for all trials, and for all of them again when their nodes are lost.
NODES = 24


def side_by_side(
    act: Callable[[Trial], object], trials: Sequence[Trial], broken: dict[Trial, str]
) -> None:
    """Do it to many trials at a time; one that breaks is left alone from then on."""

    def try_it(trial: Trial) -> None:
        if trial in broken:
            return
        try:
            act(trial)
        except Exception as error:
            broken[trial] = f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(try_it, trials))


def try_fault(
    name: str, lab: Lab, numbers: dict[Tool, int], keep: Path | None
) -> tuple[dict[str, Counts], list[str]]:
    """Do one fault to trials of every tool. Returns tool → counts, and what went wrong with the
    trials themselves.
    """
    fault = FAULTS[name]()
    lab.up()
    trials = [
        Trial(lab, tool, number) for tool, count in numbers.items() for number in range(count)
    ]
    broken: dict[Trial, str] = {}
    try:
        fault.before(lab)
        side_by_side(fault.begin, trials, broken)
        try:
            fault.strike(lab, [trial for trial in trials if trial not in broken])
        except Exception as error:
            # The rows of the other faults are worth printing all the same.
            broken = dict.fromkeys(trials, f"{type(error).__name__}: {error}")
            lab.up()
        side_by_side(fault.finish, trials, broken)
        side_by_side(Trial.quiet, trials, broken)
        counts = {tool.name: Counts() for tool in numbers}
        for trial in trials:
            if trial in broken:
                continue
            one = trial.counts()
            counts[trial.tool.name] += one
            if keep and (one.twice or one.lost):
                keep_trial(trial, keep / name)
        for trial in broken if keep else ():
            keep_trial(trial, keep / name)
        return counts, [f"{trial.tool.name} {trial.number}: {why}" for trial, why in broken.items()]
    finally:
        for trial in trials:
            trial.close()
        lab.up()
        lab.cancel_all()
        until(lambda: not set(queue(lab).values()) - TERMINAL, 120.0, 1.0)


def keep_trial(trial: Trial, folder: Path) -> None:
    """Copy a trial's folder, to look into what happened there."""
    shutil.copytree(trial.folder, folder / f"{trial.tool.name} {trial.number}", symlinks=True)


def prove(lab: Lab) -> None:
    """Type `watchkeeper doctor` once, as the documentation asks of everybody on a new cluster."""
    trial = Trial(lab, OURS, 0)
    environment = lab.environment | {"HOME": str(trial.folder / "home")}
    environment |= {"WATCHKEEPER_STATE_DIR": str(lab.folder / "user-state")}
    (lab.folder / "user-state").mkdir()
    (lab.folder / "user-state").chmod(0o777)
    doctor = [OURS.python, "-m", "watchkeeper", "doctor", trial.project, "--wait", "60"]
    words = [*as_user(USER), *doctor]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if not (lab.folder / "user-state" / "proofs").exists():
        raise CannotError(f"watchkeeper doctor proved nothing: {done.stdout}{done.stderr}")


def require(tools: Sequence[Tool]) -> None:
    """Raises CannotError where something that every trial needs is missing."""
    for tool in tools:
        done = subprocess.run(
            [*as_user(USER), tool.python, "--version"], capture_output=True, check=False
        )
        if done.returncode:
            hint = "type `make twins` in a folder that all users can read"
            raise CannotError(f"{USER} cannot run {tool.python}: {hint}")
    if CLOCK is None:
        raise CannotError("no libfaketime here: apt-get install faketime")


def main() -> int:
    """Print the table. Exit code 1: Watchkeeper ran a job twice or lost it, or a trial broke; 77:
    it cannot run here.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "faults", nargs="*", help="only faults with one of these words; default: all"
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=TRIALS,
        metavar="N",
        help="trials of Watchkeeper for each fault",
    )
    parser.add_argument(
        "--others",
        type=int,
        default=TRIALS_OF_OTHERS,
        metavar="N",
        help="trials of each other tool",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep there what ran twice, was lost, or broke"
    )
    options = parser.parse_args()
    names = [
        name
        for name in FAULTS
        if not options.faults or any(word in name for word in options.faults)
    ]
    numbers: dict[Tool, int] = {OURS: options.trials} | dict.fromkeys(OTHERS, options.others)
    numbers = {tool: count for tool, count in numbers.items() if count}
    os.umask(0o022)
    os.environ["NODES"] = str(NODES)
    lab = Lab()
    lab.folder.chmod(0o755)
    rows: dict[str, dict[str, Counts]] = {}
    problems: list[str] = []
    try:
        lab.up()
        require(list(numbers))
        prove(lab)
        slurm = lab.root("sbatch", "--version").strip()
        for name in names:
            began = time.monotonic()
            rows[name], broken = try_fault(name, lab, numbers, options.keep)
            problems += [f"{name}: {why}" for why in broken]
            print(
                f"{name}: {rows[name]} {time.monotonic() - began:.0f} s",
                *broken,
                sep="\n  ",
                flush=True,
            )
    except CannotError as error:
        print(error, file=sys.stderr)
        return 77
    finally:
        lab.down()
    versions = ", ".join(dict.fromkeys(f"{tool.environment} {tool.version}" for tool in numbers))
    print(f"\n{datetime.now(UTC):%Y-%m-%d}; {versions}; {slurm}; trials / twice / lost\n")
    print(table(rows, [tool.name for tool in numbers]))
    print(*problems, sep="\n")
    ours = sum((row[OURS.name] for row in rows.values() if OURS.name in row), Counts())
    return 1 if problems or ours.twice or ours.lost else 0


if __name__ == "__main__":
    sys.exit(main())
