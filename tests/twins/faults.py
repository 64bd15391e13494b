"""Twelve faults that can run one piece of work twice, or lose it; each is done to every tool in the
same way.

A fault has up to four turns. `before` and `strike` are done once to the cluster, `begin` and
`finish` to each trial, many at a time. Trials with even and odd numbers are harmed at different
moments, where there are two that matter.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.slurm.faults import kill_now, node_of
from tests.slurm.lab import Lab, until
from tests.twins.trial import Trial, queue
from watchkeeper.schedulers.base import TERMINAL

BACK_S = -2 * 3600
# Long enough for every tool to have asked for its job, on a machine that does thirty other things.
_WHILE_DOWN_S = 12.0
_BEFORE_KILL_S = 4.0
_STEP = re.compile(rb"slurmstepd: \[(\d+)\.")


class Fault:
    """One fault. Without a body it does no harm."""

    def __init__(self) -> None:
        self.first: dict[Trial, subprocess.Popen[bytes]] = {}

    def before(self, lab: Lab) -> None:
        """What must be known of the cluster before the trials begin."""

    def begin(self, trial: Trial) -> None:
        """Type the command, and do the harm."""
        self.first[trial] = trial.start()

    def strike(self, lab: Lab, trials: Sequence[Trial]) -> None:
        """Harm the cluster, with all trials under way; it is whole again afterwards."""

    def finish(self, trial: Trial) -> None:
        """Do what a person does until the work is done."""
        trial.settle(self.first.get(trial))


class _OfSbatch(Fault):
    """A fault of sbatch itself: the first submission has it."""

    word = ""

    def begin(self, trial: Trial) -> None:
        """Type the command, with an sbatch that has the fault."""
        trial.harm(self.word)
        super().begin(trial)


class AnswerLost(_OfSbatch):
    """Slurm takes the job, and sbatch says that the connection timed out."""

    word = "answer-lost"


class AcceptedLate(_OfSbatch):
    """sbatch says that the connection timed out, and Slurm takes the job only after the next
    submission.
    """

    word = "late"


class WrapperRetries(_OfSbatch):
    """The site's sbatch submits again what was taken already, and gives the second job's id."""

    word = "submitted-twice"


class StateCopied(Fault):
    """The project is copied with its state, and the command is typed in the copy: before sbatch has
    answered (even), or while the job runs (odd).
    """

    def begin(self, trial: Trial) -> None:
        """Copy, and type the command in the copy."""
        if trial.number % 2:
            trial.long()
        else:
            trial.harm("slow-answer")
        super().begin(trial)
        if trial.number % 2:
            trial.begun()
        else:
            trial.taken()
        copy = trial.copy()
        other = trial.start(project=copy)
        (trial.folder / "answer").touch()
        trial.go()
        trial.end(other)
        trial.settle(project=copy)


class Requeued(Fault):
    """`scontrol requeue`, while the work runs (even), or after it has finished (odd)."""

    def begin(self, trial: Trial) -> None:
        """Requeue it."""
        if trial.number % 2 == 0:
            trial.long()
        super().begin(trial)
        trial.begun()
        job = trial.taken()
        if trial.number % 2:
            until(lambda: queue(trial.lab).get(job) in TERMINAL, 120.0, 0.5)
        trial.lab.root("scontrol", "requeue", job)
        trial.go()


class IdReused(Fault):
    """The controller loses the jobs that wait, and gives their ids to other people's jobs."""

    def before(self, lab: Lab) -> None:
        """Keep what the controller remembers."""
        lab.stop("slurmctld")
        self.saved = (lab.folder / "state" / "job_state").read_bytes()
        lab.up()

    def begin(self, trial: Trial) -> None:
        """Submit a job that waits."""
        trial.harm("held")
        super().begin(trial)
        trial.taken()
        if trial.number % 2:
            trial.interrupt(self.first[trial])

    def strike(self, lab: Lab, trials: Sequence[Trial]) -> None:
        """Kill the controller, take its memory, and use the ids."""
        kill_now(lab, "slurmctld")
        for name in ("job_state", "job_state.old"):
            (lab.folder / "state" / name).write_bytes(self.saved)
        lab.up()
        lost = {int(trial.taken()) for trial in trials}
        script = lab.folder / "stranger.sh"
        script.write_text("#!/bin/bash\nsleep 1\n")
        last = 0
        while last < max(lost):
            done = lab.shell.run(
                ["sbatch", "--parsable", "--output=/dev/null", str(script)], timeout_s=60
            )
            last = int(done.out)
        for trial in trials:
            (trial.folder / "jobs").unlink()


class ControllerRestarted(Fault):
    """The controller is restarted while the work runs (even), or while it is submitted (odd)."""

    def begin(self, trial: Trial) -> None:
        """Begin what is to run."""
        if trial.number % 2 == 0:
            trial.long()
            super().begin(trial)
            trial.begun()

    def strike(self, lab: Lab, trials: Sequence[Trial]) -> None:
        """Stop the controller, submit the others, and start it."""
        lab.stop("slurmctld")
        for trial in trials:
            if trial.number % 2:
                super().begin(trial)
        time.sleep(_WHILE_DOWN_S)
        lab.up()
        for trial in trials:
            trial.go()


class SubmitterKilled(Fault):
    """SIGKILL to the submitter: at a random moment (even), or when Slurm has taken its job and it
    does not know (odd).
    """

    def begin(self, trial: Trial) -> None:
        """Kill it."""
        if trial.number % 2:
            trial.harm("submitter-dies")
        super().begin(trial)
        process = self.first[trial]
        if trial.number % 2 == 0:
            time.sleep(random.uniform(0.0, _BEFORE_KILL_S))
            process.kill()
        trial.end(process)


class TwoSubmitters(Fault):
    """The command is typed twice at the same moment."""

    def begin(self, trial: Trial) -> None:
        """Type it twice."""
        super().begin(trial)
        trial.end(trial.start())


class NodeLost(Fault):
    """The node's slurmd dies, Slurm starts the job again elsewhere, and the node comes back. What
    ran there lives on (even), or died with the node (odd).
    """

    def begin(self, trial: Trial) -> None:
        """Begin work that lasts."""
        trial.long()
        super().begin(trial)
        trial.begun()

    def strike(self, lab: Lab, trials: Sequence[Trial]) -> None:
        """Lose the nodes, and bring them back once the jobs were given to others."""
        where = {trial.taken(): node_of(lab, trial.taken()) for trial in trials}
        for node in sorted(set(where.values())):
            kill_now(lab, f"slurmd-{node}")
        kill_trees(lab, {trial.taken() for trial in trials if trial.number % 2})
        for job, node in where.items():
            until(lambda job=job, node=node: has_left(lab, job, node), 180.0, 0.5)
        time.sleep(_WHILE_DOWN_S)
        lab.up()
        for trial in trials:
            trial.go()


class HeldAndReleased(Fault):
    """The job is held before it starts (even), or while it runs (`scontrol requeuehold`, odd); the
    command is typed again; the job is released.
    """

    def begin(self, trial: Trial) -> None:
        """Hold it, ask again, release it."""
        if trial.number % 2:
            trial.long()
        else:
            trial.harm("held")
        super().begin(trial)
        job = trial.taken()
        if trial.number % 2:
            trial.begun()
            trial.lab.root("scontrol", "requeuehold", job)
            until(lambda: queue(trial.lab).get(job) == "PENDING", 60.0, 0.5)
        trial.interrupt(self.first.pop(trial))
        self.first[trial] = trial.start()
        time.sleep(_BEFORE_KILL_S)
        trial.lab.root("scontrol", "release", job)
        trial.go()


class ClockSetBack(Fault):
    """The submitter's clock is two hours late: at the first command (even), or at all later ones
    (odd).
    """

    def begin(self, trial: Trial) -> None:
        """Submit, and leave while the work runs."""
        trial.long()
        process = trial.start(clock_s=0 if trial.number % 2 else BACK_S)
        trial.begun()
        trial.interrupt(process)
        self.first[trial] = trial.start(clock_s=BACK_S if trial.number % 2 else 0)
        trial.go()

    def finish(self, trial: Trial) -> None:
        """Do what a person does, by the other clock."""
        trial.settle(self.first[trial], clock_s=BACK_S if trial.number % 2 else 0)


def has_left(lab: Lab, job: str, node: str) -> bool:
    """Whether Slurm gave the job to another node; it may have ended there already."""
    return queue(lab).get(job) in TERMINAL or node_of(lab, job) not in ("", node)


def kill_trees(lab: Lab, jobs: set[str]) -> None:
    """SIGKILL all processes of these jobs, by their parents: a program may have no environment that
    names its job. One look at all processes, since Slurm must not start the jobs again meanwhile.
    """
    children: dict[str, list[str]] = {}
    doomed = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            children.setdefault(parent, []).append(process.name)
            step = _STEP.match((process / "cmdline").read_bytes())
            is_ours = str(lab.folder).encode() in (process / "environ").read_bytes()
            if step and step[1].decode() in jobs and is_ours:
                doomed.append(process.name)
    assert len(doomed) >= len(jobs), f"of jobs {jobs} there are only {len(doomed)} steps"
    while doomed:
        pid = doomed.pop()
        doomed += children.get(pid, [])
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


FAULTS: dict[str, type[Fault]] = {
    "answer of sbatch lost": AnswerLost,
    "accepted late": AcceptedLate,
    "state folder copied": StateCopied,
    "requeued": Requeued,
    "job id used again": IdReused,
    "controller restarted": ControllerRestarted,
    "submitter killed": SubmitterKilled,
    "two submitters": TwoSubmitters,
    "node lost and back": NodeLost,
    "sbatch wrapper that retries": WrapperRetries,
    "held and released": HeldAndReleased,
    "clock set back": ClockSetBack,
}
