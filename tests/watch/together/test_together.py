"""Several experiments watched by one process, in front of a fake Slurm that counts its commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from tests.experiments import blocks_of, state_of, write_experiment
from watchkeeper.core import journal
from watchkeeper.core.errors import StorageError, UnavailableError, UsageError
from watchkeeper.core.events import Detached, Polled
from watchkeeper.core.journal import utc_now
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.schedulers.base import SubmitHost
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.fake.slurm import FakeSlurm
from watchkeeper.schedulers.slurm.scheduler import SlurmScheduler
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.policy import WatchPolicy
from watchkeeper.watch.together.looks import SharedLook
from watchkeeper.watch.together.watches import MOST_LOOKED_AT, Group, Together

EXPERIMENTS = 50
JOBS = 200 if os.environ.get("WATCHKEEPER_TEST_SIZE") == "full" else 2
POLICY = WatchPolicy(
    soonest_s=0.005,
    poll_s=0.005,
    longest_s=0.005,
    stagger_s=0,
    cap=0,
    unknown_deadline_s=600,
)


class CountedLook(SharedLook):
    """`commands`: how many each look ran."""

    def __init__(self, scheduler: SubmitHost, cluster: Cluster) -> None:
        super().__init__(scheduler)
        self.commands: list[int] = []
        self._cluster = cluster

    def look(self, groups: Sequence[Sequence[str]]) -> None:
        """See `SharedLook.look`."""
        before = self._cluster.asked
        super().look(groups)
        self.commands.append(self._cluster.asked - before)


class Cluster:
    """A Slurm in memory, and the experiments that have jobs there."""

    def __init__(self) -> None:
        self.fake = FakeScheduler(name="slurm")
        self.shell = FakeSlurm(self.fake)
        self.slurm = SlurmScheduler(self.shell, user="me")
        self.look = CountedLook(self.slurm, self)

    @property
    def asked(self) -> int:
        """How often it was asked about jobs so far."""
        words = [one for one in self.shell.asked if one[0] in ("squeue", "sacct")]
        return sum("--helpformat" not in one for one in words)

    def submitted(self, folder: Path, runs: int = 2) -> Path:
        """An experiment whose fine-tunes were submitted here."""
        write_experiment(folder, runs=tuple(f"r{number}" for number in range(runs)))
        assert not Keeper(
            experiments.read(folder), self.slurm, POLICY, Selection(), stays=False, run_logs="off"
        ).keep()
        return folder

    def keeper(self, folder: Path, *, shares: bool = True, **more: object) -> Keeper:
        """A watch of an experiment, which shares the looks or is alone."""
        return Keeper(
            experiments.read(folder),
            self.slurm,
            POLICY,
            Selection(),
            submits=False,
            run_logs="off",
            ask=self.look.poll if shares else None,
            **more,
        )

    def end(self, job_id: str, looks: int) -> None:
        """Let a job end after so many looks at it."""
        running = msgspec.structs.replace(
            self.fake.jobs[job_id].facts, state="RUNNING", reason="", started=utc_now(), node="n1"
        )
        ended = msgspec.structs.replace(running, state="COMPLETED", ended=utc_now(), exit_code=0)
        self.fake.report(job_id, *[running] * looks, ended)

    def end_all(self, looks: int = 2) -> None:
        """Let every job end after so many looks."""
        for job_id in self.fake.jobs:
            self.end(job_id, looks)


def fails(keeper: Keeper, error: Exception) -> None:
    """No watch here fails."""
    raise error


def together(*keepers: Keeper, look: SharedLook, failed: Callable = fails) -> Together:
    """A watch of several experiments that share their looks."""
    return Together([Group(look, keepers)], failed)


def written_by(keeper: Keeper) -> list[tuple[str, str]]:
    """What a watch wrote into its experiment's journal, and about which run, in order."""
    events = keeper.logbook.journal.events[keeper.logbook.writer.id]
    return [(type(event).__name__, getattr(event, "key", "")) for event in events]


def test_fifty_experiments_cost_two_commands_a_poll(tmp_path: Path) -> None:
    """However many experiments one process watches, a poll is at most two commands, and every job's
    end is known to its own experiment.
    """
    cluster = Cluster()
    names = [f"e{number}" for number in range(EXPERIMENTS)]
    folders = [cluster.submitted(tmp_path / name, JOBS) for name in names]
    for number, job_id in enumerate(cluster.fake.jobs):
        cluster.end(job_id, looks=number % 5)
    before = cluster.asked
    both = together(*map(cluster.keeper, folders), look=cluster.look)
    both.keep()
    assert set(both.over.values()) == {"ended"} and len(both.over) == EXPERIMENTS
    assert max(cluster.look.commands) == 2
    assert cluster.asked - before == sum(cluster.look.commands)
    for folder in folders:
        attempts = list(state_of(folder).attempts())
        assert len(attempts) == JOBS and all(attempt.judged for attempt in attempts)


def test_each_experiment_is_watched_as_if_it_were_alone(tmp_path: Path) -> None:
    """Journal and logs of an experiment hold the same, watched alone or with others; what was asked
    is written with its own jobs only.
    """
    written = []
    for others in (0, 3):
        cluster = Cluster()
        root = tmp_path / str(others)
        folders = [cluster.submitted(root / f"e{number}") for number in range(others + 1)]
        cluster.end_all()
        keepers = [cluster.keeper(folder, shares=bool(others)) for folder in folders]
        if others:
            together(*keepers, look=cluster.look).keep()
        else:
            assert keepers[0].keep()
        logs = [blocks_of(folders[0], f"run-{name}.log") for name in ("training", "experiment")]
        actions = [[(block.action, block.subject) for block in blocks] for blocks in logs]
        events = journal.read(folders[0] / ".watchkeeper/journal").events.values()
        queries = {e.query for one in events for e in one if isinstance(e, Polled)}
        written.append((written_by(keepers[0]), actions, queries))
    assert written[0] == written[1]
    assert all(query.endswith("# jobs 1,2") for query in queries)


def test_one_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    """An experiment whose watch raises is over with its error and gives its lease back; the others
    are watched to their ends.
    """
    cluster = Cluster()
    good, bad, broken = (cluster.submitted(tmp_path / name) for name in ("good", "bad", "broken"))
    cluster.end_all()
    failures: dict[Path, Exception] = {}

    def failed(keeper: Keeper, error: Exception) -> None:
        failures[keeper.experiment.folder] = error

    def cannot(keeper: Keeper) -> None:
        raise StorageError("the disk is full")

    def breaks(keeper: Keeper) -> None:
        raise KeyError("bug")

    watches = [
        cluster.keeper(bad, turned=cannot),
        cluster.keeper(broken, turned=breaks),
        cluster.keeper(good),
    ]
    several = together(*watches, look=cluster.look, failed=failed)
    several.keep()
    assert {folder.name: type(e) for folder, e in failures.items()} == {
        "bad": StorageError,
        "broken": KeyError,
    }
    assert list(several.over.values()) == ["ended"]
    assert all(attempt.judged for attempt in state_of(good).attempts())
    assert cluster.keeper(bad).keep()  # its lease was given back


def test_a_request_to_leave_ends_all_and_a_sentinel_one(tmp_path: Path) -> None:
    """`.detach` in one folder ends the watch there; a signal ends the rest. Each says so in its own
    journal, and the jobs stay.
    """
    cluster = Cluster()
    folders = [cluster.submitted(tmp_path / name) for name in ("a", "b", "c")]
    turns: list[str] = []

    def turned(keeper: Keeper) -> None:
        turns.append(keeper.experiment.folder.name)
        if turns.count("a") == 3:
            (folders[0] / ".detach").touch()
        if turns.count("b") == 6:
            several.ask_to_leave("SIGINT")

    keepers = [cluster.keeper(folder, turned=turned) for folder in folders]
    several = together(*keepers, look=cluster.look)
    several.keep()
    assert turns.count("a") < 6 and turns.count("b") in (6, 7)
    assert set(several.over.values()) == {"left"}
    assert [keeper.why for keeper in keepers] == ["sentinel .detach", "SIGINT", "SIGINT"]
    for folder in folders:
        events = journal.read(folder / ".watchkeeper/journal").events.values()
        assert sum(isinstance(event, Detached) for one in events for event in one) == 2
        assert len(state_of(folder).active) == 2


def test_an_outage_is_said_in_each_experiment(tmp_path: Path) -> None:
    """Where the controller does not answer, each journal says so once, and nothing has ended."""
    cluster = Cluster()
    folders = [cluster.submitted(tmp_path / name) for name in ("a", "b")]
    cluster.end_all()
    cluster.fake.outage(3)
    together(*map(cluster.keeper, folders), look=cluster.look).keep()
    for folder in folders:
        events = journal.read(folder / ".watchkeeper/journal").events.values()
        errors = [e.error for one in events for e in one if isinstance(e, Polled) and e.error]
        assert len(errors) == 1 and "Unable to contact slurm controller" in errors[0]
        assert {attempt.judged.outcome for attempt in state_of(folder).attempts()} == {"invalid"}


def test_each_cluster_is_asked_about_its_own_jobs(tmp_path: Path) -> None:
    """Two clusters are polled each for itself, and one that does not answer delays no end on the
    other.
    """
    near, far = Cluster(), Cluster()
    here, there = near.submitted(tmp_path / "here"), far.submitted(tmp_path / "there")
    near.end_all()
    far.fake.outage(10**9)
    keepers = [near.keeper(here), far.keeper(there)]

    def turned(keeper: Keeper) -> None:
        if all(attempt.judged for attempt in state_of(here).attempts()):
            far.fake.outage(0)
            far.end_all(looks=0)

    keepers[1] = far.keeper(there, turned=turned)
    groups = [Group(near.look, keepers[:1]), Group(far.look, keepers[1:])]
    several = Together(groups, fails)
    several.keep()
    assert list(several.over.values()) == ["ended", "ended"]
    assert list(several.over) == keepers


def test_an_experiment_that_another_watcher_leads_is_left_to_it(tmp_path: Path) -> None:
    """Its jobs are not asked about and its logs not written, and the leader is named; its end is
    seen when the leader has judged it.
    """
    cluster = Cluster()
    mine, theirs = (cluster.submitted(tmp_path / name) for name in ("mine", "theirs"))
    leader = cluster.keeper(theirs, shares=False)
    leader.begin()
    leader.prepare()
    leader.turn()
    named: list[str] = []
    asked: list[list[str]] = []

    def turned(keeper: Keeper) -> None:
        asked.append(follower.job_ids)
        if len(asked) == 3:
            cluster.end_all(looks=0)
            leader.prepare()
            assert leader.turn() == "ended"

    keepers = [cluster.keeper(mine, turned=turned), cluster.keeper(theirs)]
    follower = keepers[1]
    several = Together(
        [Group(cluster.look, keepers)],
        fails,
        begun=lambda: named.extend(keeper.logbook.leader for keeper in keepers),
    )
    several.keep()
    assert named[0] == "" and f"process {os.getpid()} on " in named[1]
    assert not any(asked) and several.over[follower] == "ended"
    leases = [len(list((one / ".watchkeeper/lease").glob("*.json"))) for one in (mine, theirs)]
    assert leases == [2, 2]  # one of the submitter, one of its leader


def test_a_shared_look_answers_each_once(tmp_path: Path) -> None:
    """What was not asked about, or was answered already, is asked of the scheduler itself; a
    scheduler whose looks cost no commands always is.
    """
    cluster = Cluster()
    cluster.submitted(tmp_path / "exp")
    cluster.look.look([["1"], [], ["2"]])
    asked = cluster.asked
    assert cluster.look.poll(["2"]).facts.keys() == {"2"} and cluster.asked == asked
    assert cluster.look.poll(["2"]).facts.keys() == {"2"} and cluster.asked == asked + 1
    assert cluster.look.poll(["1", "2"]).facts.keys() == {"1", "2"} and cluster.asked == asked + 2
    cluster.fake.outage(1)
    cluster.look.look([["1"], ["2"]])
    for job_id in "12":
        with pytest.raises(UnavailableError):
            cluster.look.poll([job_id])
    plain = SharedLook(cluster.fake)
    polls = cluster.fake.polls
    plain.look([["1"]])
    assert cluster.fake.polls == polls and plain.poll(["1"]).facts.keys() == {"1"}


def test_of_many_experiments_some_are_looked_at_between_two_polls(tmp_path: Path) -> None:
    """Between two polls the files of a few experiments' jobs are looked at each time, and after
    enough times those of each; none is before its pause, and none once a turn is due.
    """
    folders = [write_experiment(tmp_path / str(number)) for number in range(7)]
    cluster = Cluster()
    keepers = list(map(cluster.keeper, folders))
    group = Group(cluster.look, keepers)
    group.rest(100.0)
    assert group.next_looked_at(100.0) == [] == group.next_looked_at(group.due_at)
    group.due_at = 200.0
    seen = [*group.next_looked_at(150.0), *group.next_looked_at(151.0)]
    assert seen == [*keepers, *keepers[: 2 * MOST_LOOKED_AT - 7]]
    assert group.wakes_at == pytest.approx(151.0 + 0.005 * 1.5**2)


def test_jobs_on_another_scheduler_end_that_watch_alone(tmp_path: Path) -> None:
    """An experiment whose jobs this scheduler cannot know is refused by itself."""
    cluster = Cluster()
    here, away = (cluster.submitted(tmp_path / name) for name in ("here", "away"))
    cluster.end_all()
    failures: list[Exception] = []
    other = Keeper(
        experiments.read(away), FakeScheduler(), POLICY, Selection(), submits=False, run_logs="off"
    )
    several = together(
        other,
        cluster.keeper(here),
        look=cluster.look,
        failed=lambda keeper, error: failures.append(error),
    )
    several.keep()
    assert [type(error) for error in failures] == [UsageError]
    assert list(several.over.values()) == ["ended"]
