"""Which scheduler the settings name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments import wk, write_experiment
from watchkeeper.core.errors import UsageError
from watchkeeper.core.settings import Cluster, Settings
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy


def test_without_a_cluster_jobs_run_here() -> None:
    """The default is this machine."""
    assert scheduler_of(Settings()).name == "local"


def test_an_unknown_cluster_is_answered_with_the_known_ones() -> None:
    """A name that no profile has is refused, with what to write and what there is."""
    with pytest.raises(UsageError, match="no cluster is called 'lap'") as caught:
        scheduler_of(Settings(cluster="lap", clusters={"lab": Cluster(kind="slurm")}))
    assert "known: lab" in caught.value.hint


def test_a_machine_without_slurm_says_so_and_offers_itself(tmp_path: Path) -> None:
    """Where there is no sbatch the command ends with that, and with what runs here."""
    folder = write_experiment(tmp_path / "exp")
    (folder / "watchkeeper.toml").write_text('[clusters.lab]\nkind = "slurm"\n')
    (tmp_path / "bin").mkdir()
    done = wk(
        "run", folder, "--cluster", "lab", state=tmp_path / "state", PATH=str(tmp_path / "bin")
    )
    assert (
        done.returncode == 2
        and "no Slurm here" in done.stderr
        and "jobs run on this machine" in done.stderr
    )


def test_jobs_under_way_elsewhere_are_not_taken_for_lost(tmp_path: Path) -> None:
    """A command that asks the wrong scheduler is refused with what to type, before anything becomes
    UNKNOWN.
    """
    folder = write_experiment(tmp_path / "exp")
    policy = WatchPolicy(
        soonest_s=0.01, poll_s=0.01, longest_s=0.01, stagger_s=0, cap=0, unknown_deadline_s=0
    )

    def keeper(name: str) -> Keeper:
        fake = FakeScheduler(name=name)
        return Keeper(experiments.read(folder), fake, policy, Selection(), stays=False)

    assert not keeper("slurm").keep()
    with pytest.raises(UsageError, match=r"one is under way on slurm \(job 1\)"):
        keeper("local").keep()
