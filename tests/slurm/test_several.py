"""Several experiments watched by one process on a real Slurm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.experiments import state_of, times_run, write_experiment
from tests.slurm.lab import USER
from tests.watch.together.test_together import CountedLook, fails
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.shell import Done, Shell
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy
from watchkeeper.watch.together.watches import Group, Together

POLICY = WatchPolicy(soonest_s=1, poll_s=2, longest_s=2, stagger_s=0, cap=0, unknown_deadline_s=120)


class CountedShell:
    """A shell, and how often Slurm was asked about jobs through it."""

    def __init__(self, shell: Shell) -> None:
        self.asked = 0
        self._shell = shell

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        folder: str = "",
        env: Mapping[str, str] | None = None,
        input: str = "",
    ) -> Done:
        """See `Shell.run`."""
        self.asked += argv[0] in ("squeue", "sacct") and "--helpformat" not in argv
        return self._shell.run(argv, timeout_s=timeout_s, folder=folder, env=env, input=input)


def submitted(folder: Path, slurm: SlurmScheduler) -> Path:
    """An experiment of two short fine-tunes, of which each user may write, handed over."""
    write_experiment(folder, runs=("one", "two"), tasks=(), body="sleep 3")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    one = Keeper(experiments.read(folder), slurm, POLICY, Selection(), stays=False, run_logs="off")
    assert not one.keep()
    return folder


def test_a_real_slurm_is_asked_once_for_several_experiments(slurm_lab) -> None:
    """A poll of three experiments is at most two commands; each job's end is known to its own
    experiment, and each ran once.
    """
    slurm_lab.up()
    shell = CountedShell(slurm_lab.shell)
    slurm = SlurmScheduler(shell, user=USER, visibility_lag_s=1.0)
    root = slurm_lab.workspace()
    folders = [submitted(root / name, slurm) for name in ("a", "b", "c")]
    before = shell.asked
    look = CountedLook(slurm, shell)
    keepers = [
        Keeper(
            experiments.read(folder),
            slurm,
            POLICY,
            Selection(),
            submits=False,
            run_logs="off",
            ask=look.poll,
        )
        for folder in folders
    ]
    several = Together([Group(look, keepers)], fails)
    several.keep()
    assert set(several.over.values()) == {"ended"}
    assert look.commands and max(look.commands) <= 2
    assert shell.asked - before == sum(look.commands)
    for folder in folders:
        judged = [attempt.judged for attempt in state_of(folder).attempts()]
        assert [one.outcome for one in judged if one] == ["done", "done"]
        assert set(times_run(folder).values()) == {1}
