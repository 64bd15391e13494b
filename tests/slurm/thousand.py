"""Many short jobs on a real Slurm, by Watchkeeper and by submitit: what each asks of Slurm for
them, what that costs, when it knows of a job's end, and how many jobs it loses or runs twice.

`python -m tests.slurm.thousand [--jobs 1000]` prints the table (root). Each tool has an environment
of its own in `.venv-twins`, which `make thousand` makes. Watchkeeper hands over each job by itself,
with its own pace of polls and neither a limit nor a pause between submissions; submitit hands over
one array, and waits by `submitit.helpers.as_completed`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tests.experiments import state_of, write_experiment
from tests.slurm.lab import USER, CannotError, Lab, write_settings
from tests.twins.tools import ENVIRONMENTS, PROGRAMS
from tests.twins.trial import COMMANDS
from watchkeeper.schedulers.shell import as_user

SETTINGS = """cluster = "lab"
stagger_s = 0
cap = 0
[clusters.lab]
kind = "slurm"
visibility_lag_s = 1.0
"""
# Stands for each of Slurm's commands, and writes down which was run; those of jobs are not counted.
SHIM = """#!/bin/bash
export SLURM_CONF={conf}
[ -n "$SLURM_JOB_ID" ] || echo "${{0##*/}}" >> {folder}/commands
exec /usr/bin/"${{0##*/}}" "$@"
"""
HEADER = (
    "tool", "jobs", "sbatch", "squeue", "sacct", "others", "CPU ms a job", "ends known after, s",
    "lost", "twice", "minutes",
)  # fmt: skip


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool did with so many jobs. `commands`: name → how often it was run; `ends`: job →
    when it ended, each time that it ran; `known`: job → when the tool knew of its good end. Times
    are in seconds since 1970, `cpu_s` and `wall_s` in seconds.
    """

    tool: str
    jobs: int
    commands: Mapping[str, int]
    ends: Mapping[str, Sequence[float]]
    known: Mapping[str, float]
    cpu_s: float
    wall_s: float

    @property
    def lost(self) -> int:
        """Jobs that never ran, or of whose good end the tool does not know."""
        return self.jobs - len(self.ends.keys() & self.known.keys())

    @property
    def twice(self) -> int:
        """Jobs that ran more than once."""
        return sum(len(ends) > 1 for ends in self.ends.values())

    @property
    def delays_s(self) -> list[float]:
        """Seconds from each job's end to the tool's knowing it, shortest first."""
        return sorted(
            self.known[job] - self.ends[job][-1] for job in self.known if job in self.ends
        )

    @property
    def cells(self) -> list[str]:
        """Its row of the table."""
        named = ("sbatch", "squeue", "sacct")
        others = sum(count for name, count in self.commands.items() if name not in named)
        return [
            self.tool,
            str(self.jobs),
            *(str(self.commands.get(name, 0)) for name in named),
            str(others),
            f"{1000 * self.cpu_s / self.jobs:.0f}",
            _spread(self.delays_s),
            str(self.lost),
            str(self.twice),
            f"{self.wall_s / 60:.1f}",
        ]


def _spread(seconds: Sequence[float]) -> str:
    """Median, nine of ten, and the longest; "" for none."""
    if not seconds:
        return ""
    nine_of_ten = seconds[int(0.9 * (len(seconds) - 1))]
    return f"{statistics.median(seconds):.1f} / {nine_of_ten:.1f} / {seconds[-1]:.1f}"


class Place:
    """A folder for one tool: Slurm's commands that are counted, and where jobs write their ends."""

    def __init__(self, lab: Lab, jobs: int) -> None:
        self.lab = lab
        self.jobs = jobs
        self.folder = lab.workspace()
        self.ends = self.folder / "ends"
        for name in ("bin", "ends", "home", "project"):
            (self.folder / name).mkdir()
        for name in COMMANDS:
            shim = self.folder / "bin" / name
            shim.write_text(SHIM.format(conf=lab.conf, folder=self.folder))
            shim.chmod(0o755)

    def run(self, tool: str, words: Sequence[str | Path]) -> tuple[float, float]:
        """Run a tool to its end, as the user; CPU and wall time in seconds."""
        for path in [self.folder, *self.folder.rglob("*")]:
            shutil.chown(path, USER, USER)
            path.chmod(path.stat().st_mode & 0o755)
        environment = self.lab.environment | {
            "PATH": f"{self.folder}/bin:{self.lab.environment['PATH']}",
            "HOME": str(self.folder / "home"),
            "USER": USER,
            "LOGNAME": USER,
            "WATCHKEEPER_STATE_DIR": str(self.folder / "home"),
        }
        began = time.monotonic()
        with (self.folder / f"{tool}.out").open("wb") as output:
            process = subprocess.Popen(
                [*as_user(USER), *map(str, words)],
                cwd=self.folder / "project",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if not (self.folder / "commands").exists():
            said = (self.folder / f"{tool}.out").read_text()[-2000:]
            raise RuntimeError(
                f"{tool} asked Slurm nothing, exit code {process.returncode}: {said}"
            )
        return used.ru_utime + used.ru_stime, time.monotonic() - began

    def outcome(self, tool: str, known: Mapping[str, float], used: tuple[float, float]) -> Outcome:
        """What came of the jobs."""
        commands = Counter((self.folder / "commands").read_text().split())
        ends = {
            path.name: [float(word) for word in path.read_text().split()]
            for path in self.ends.iterdir()
        }
        return Outcome(
            tool=tool, jobs=self.jobs, commands=commands, ends=ends, known=known,
            cpu_s=used[0], wall_s=used[1],
        )  # fmt: skip


def by_watchkeeper(lab: Lab, jobs: int, python: Path) -> Outcome:
    """`watchkeeper run` of an experiment with so many fine-tunes."""
    place = Place(lab, jobs)
    experiment = place.folder / "project" / "exp"
    runs = tuple(f"j{number:04d}" for number in range(jobs))
    write_experiment(experiment, runs=runs, tasks=())
    for run in runs:
        script = experiment / run / "finetune.slurm"
        script.write_text(f"{script.read_text()}echo $EPOCHREALTIME >> {place.ends}/{run}\n")
    write_settings(experiment, SETTINGS)
    used = place.run("watchkeeper", [python, "-m", "watchkeeper", "run", experiment])
    attempts = state_of(experiment).attempts()
    judged = [(attempt.key, attempt.judged) for attempt in attempts]
    known = {
        key: verdict.time.timestamp()
        for key, verdict in judged
        if verdict is not None and verdict.outcome == "done"
    }
    return place.outcome("Watchkeeper", known, used)


def by_submitit(lab: Lab, jobs: int, python: Path) -> Outcome:
    """An array of so many functions."""
    place = Place(lab, jobs)
    program, known = place.folder / "submitit_many.py", place.folder / "project" / "known"
    shutil.copy(PROGRAMS / program.name, program)
    used = place.run("submitit", [python, program, jobs, place.ends, known])
    lines = [line.split() for line in known.read_text().splitlines()]
    return place.outcome("submitit", {job: float(at) for job, at in lines}, used)


TOOLS = {"watchkeeper": by_watchkeeper, "submitit": by_submitit}


def table(outcomes: Sequence[Outcome]) -> str:
    """The table, in Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *(outcome.cells for outcome in outcomes)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Let each tool run the jobs, one tool after the other, and print the table."""
    parser = argparse.ArgumentParser(description="many short jobs on a real Slurm")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    asked = parser.parse_args()
    lab = Lab()
    outcomes = []
    try:
        for tool in asked.tools:
            lab.up()
            python = ENVIRONMENTS / tool / "bin" / "python"
            outcomes.append(TOOLS[tool](lab, asked.jobs, python))
            print(table(outcomes[-1:]), flush=True)
            lab.cancel_all()
    except CannotError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        lab.down()
    print(f"\n{table(outcomes)}")
    return int(any(outcome.lost or outcome.twice for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
