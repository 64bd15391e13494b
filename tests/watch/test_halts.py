"""A sweep that cannot work is halted, once, and tried again by the next person."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.experiments import blocks_of, state_of, times_run, write_experiment
from tests.watch.test_keeper import Time, keeper, outcomes, run_pending
from watchkeeper.core.events import Halted
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query import status
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.watch.logs.logbook import Logbook

NO_MODULE = "echo \"ModuleNotFoundError: No module named 'safetensors'\" >&2; exit 1"
RUNS = tuple("abcdefgh")


def broken(folder: Path, runs: tuple[str, ...] = RUNS) -> Path:
    return write_experiment(folder, runs=runs, tasks=(), body=NO_MODULE)


def submitted(folder: Path) -> int:
    return sum(len(found) for found in outcomes(folder).values())


def repair(folder: Path) -> None:
    for script in folder.glob("*/finetune.slurm"):
        script.write_text(script.read_text().replace(NO_MODULE, "true"))


def test_the_first_three_failures_halt_the_sweep(tmp_path: Path) -> None:
    """After three failures by one cause nothing more is submitted, and one block says why."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    assert submitted(folder) == 3
    (block,) = [b for b in blocks_of(folder, "run-training.log") if b.action == "HALT"]
    assert "No module named 'safetensors'" in block.details
    assert block.details.endswith("(a, b, c)")
    assert block.result.startswith("5 more not submitted; read ")
    halted = state_of(folder).halted["preparation"]
    assert halted.keys == ("a", "b", "c") and halted.cause == "install" and halted.left == 5


def test_status_shows_what_is_halted(tmp_path: Path) -> None:
    """What is held back stands as blocked, with the cause; nothing is pending."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    standing = status.look(experiments.read(folder), Selection())
    rows = {row.key: row for row in standing.rows}
    assert rows["a"].standing == "failed"
    assert rows["h"].standing == "blocked" and rows["h"].state == "halted"
    assert "safetensors" in rows["h"].why


def test_the_next_run_of_a_person_tries_again(tmp_path: Path) -> None:
    """A new execution ends the halt: what was held back is submitted, and runs where it can."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    repair(folder)
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    assert {key for key, ends in outcomes(folder).items() if ends == ["done"]} == set("defgh")
    assert state_of(folder).halted == {}


def test_an_execution_that_fails_again_is_halted_again(tmp_path: Path) -> None:
    """The failures of an earlier execution count for nothing: three new ones halt the next."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    assert submitted(folder) == 6
    assert state_of(folder).halted["preparation"].keys == ("d", "e", "f")


def test_a_watch_that_the_cluster_starts_again_keeps_the_halt(tmp_path: Path) -> None:
    """A restarted watcher submits nothing of a halted phase."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1).keep()
    assert keeper(folder, fake, run_pending(fake), cap=1, restarted=True).keep()
    assert submitted(folder) == 3
    assert "preparation" in state_of(folder).halted


def test_keep_going_submits_all(tmp_path: Path) -> None:
    """With --keep-going no failure keeps the others from being submitted."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1, keeps_going=True).keep()
    assert submitted(folder) == len(RUNS)
    assert times_run(folder) == {f"{key}/ran.txt": 1 for key in RUNS}
    assert state_of(folder).halted == {}


def test_a_long_row_of_submissions_is_looked_at_in_between(tmp_path: Path) -> None:
    """Without a cap, too, the first failures are seen before everything is submitted."""
    folder, fake = broken(tmp_path / "exp"), FakeScheduler()
    slow = Time()
    slow.step = 0.6  # seconds at each look: two submissions take longer than the next poll is away
    assert keeper(folder, fake, run_pending(fake), time=slow).keep()
    assert submitted(folder) < len(RUNS)
    assert "preparation" in state_of(folder).halted


def killed_at_the_halt(folder: Path, *, is_written: bool) -> None:
    """A watch, in a process of its own, that is killed right before or after the halt is written.
    No job is left under way.
    """
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        return
    write = Logbook.write

    def write_or_die(self, kind, **fields):
        if kind is Halted and not is_written:
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, kind, **fields)
        if kind is Halted:
            os.kill(os.getpid(), signal.SIGKILL)

    Logbook.write = write_or_die
    fake = FakeScheduler()
    keeper(folder, fake, run_pending(fake), cap=1).keep()
    os._exit(0)  # it was not killed


@pytest.mark.parametrize(("is_written", "most"), [(True, 3), (False, 6)])
def test_a_watch_that_is_killed_while_it_halts_is_continued(tmp_path, is_written, most) -> None:
    """A halt that was written holds for the watch that the cluster starts again; one that was not
    is made by that one, of its own three failures. The log says it once.
    """
    folder = broken(tmp_path / "exp")
    killed_at_the_halt(folder, is_written=is_written)
    fake = FakeScheduler()
    assert keeper(folder, fake, run_pending(fake), cap=1, restarted=True).keep()
    assert submitted(folder) == most
    assert state_of(folder).halted["preparation"].cause == "install"
    blocks = [one for one in blocks_of(folder, "run-training.log") if one.action == "HALT"]
    assert len(blocks) == 1
    assert all(len(run.attempts) <= 1 for run in state_of(folder).runs.values())
