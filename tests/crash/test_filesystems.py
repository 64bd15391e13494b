"""The recorder on filesystems that hang, and that are full."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.crash.mounts import Frozen, freezing_disk, small_disk
from watchkeeper.core.disk.spill import SLOW_S
from watchkeeper.core.events import RunEnded
from watchkeeper.core.journal import read

# Says each step once its row is kept; ends well when it is told to.
LOGGING = """
import logging, os, select, sys
import watchkeeper as wk
with wk.start_run(folder=sys.argv[1], pipeline="hang", console=False) as run:
    step = 0
    while not select.select([0], [], [], 0.002)[0]:
        step += 1
        run.log(step, loss=1 / step)
        logging.getLogger("training").warning("step %d", step)
        os.write(1, b"%d\\n" % step)
"""


class Logging:
    """A process that logs rows and lines, and says which."""

    def __init__(self, folder: Path, node: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGGING, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(node)},
            bufsize=0,
        )
        self.said: list[int] = []
        self._rest = b""

    def hear(self, more: int) -> None:
        """Wait until it has kept so many more rows."""
        assert self.process.stdout is not None
        wanted = len(self.said) + more
        while len(self.said) < wanted:
            assert select.select([self.process.stdout], [], [], 60)[0], (
                f"nothing more is kept after {self.said[-1:]}"
            )
            *lines, self._rest = (self._rest + os.read(self.process.stdout.fileno(), 65536)).split(
                b"\n"
            )
            self.said += map(int, lines)

    def wait_until_stuck(self) -> None:
        """Wait until its main thread hangs in a write."""
        while (
            Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "D"
        ):
            time.sleep(0.01)

    def end(self) -> None:
        """Tell it to end, and hear the rest."""
        rest, _ = self.process.communicate(b"end\n", timeout=300)
        self.said += map(int, (self._rest + rest).split())
        assert self.process.returncode == 0

    def kill(self) -> None:
        """SIGKILL; what hangs in the kernel dies when the filesystem goes on."""
        self.process.kill()

    def hear_the_rest(self) -> None:
        """What it had said when it died."""
        rest, _ = self.process.communicate(timeout=300)
        self.said += map(int, (self._rest + rest).split(b"\n")[:-1])


def hang_once(logging: Logging, disk: Frozen) -> None:
    """Let the process meet a filesystem that hangs."""
    logging.hear(20)
    disk.freeze()
    logging.wait_until_stuck()
    time.sleep(2 * SLOW_S)
    disk.thaw()
    logging.hear(20)


def test_a_filesystem_that_hangs_holds_a_loop_up_once(tmp_path: Path) -> None:
    """After one write that hung, rows and lines are kept while the filesystem hangs again, and all
    come to their place.
    """
    node = tmp_path / "node"
    node.mkdir()
    with freezing_disk(tmp_path / "disk") as disk:
        logging = Logging(disk.folder / "run", node)
        try:
            hang_once(logging, disk)
            disk.freeze()
            logging.hear(200)
            disk.thaw()
            logging.end()
        finally:
            disk.thaw()
            logging.kill()
            logging.process.wait(60)
        rows, problems = wk.read_rows(disk.folder / "run")
        assert problems == []
        assert logging.said == [row.step for row in rows]
        lines = (disk.folder / "run/logs/run.log").read_text().splitlines()
        assert [f"step {step}" for step in logging.said] == [
            line.partition("] ")[2] for line in lines if "] step " in line
        ]
        (events,) = read(disk.folder / "run/.watchkeeper/journal").events.values()
        (ended,) = [event for event in events if isinstance(event, RunEnded)]
        assert (ended.metric_rows, ended.lost_rows, ended.lost_lines) == (len(rows), 0, 0)
    assert [path for path in node.rglob("*") if path.is_file()] == []


def test_what_waits_on_the_node_outlives_sigkill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed while its rows wait for a filesystem loses none: the next run there
    brings them over.
    """
    node = tmp_path / "node"
    node.mkdir()
    with freezing_disk(tmp_path / "disk") as disk:
        logging = Logging(disk.folder / "run", node)
        try:
            hang_once(logging, disk)
            disk.freeze()
            logging.hear(100)
            logging.kill()
        finally:
            disk.thaw()
            logging.kill()
            logging.hear_the_rest()
        assert logging.process.returncode == -signal.SIGKILL
        assert list(node.rglob("*.bytes")) != []
        monkeypatch.setenv("TMPDIR", str(node))
        with wk.start_run(tmp_path / "next", pipeline="next", console=False) as run:
            pass
        rows, problems = wk.read_rows(disk.folder / "run")
    assert problems == []
    steps = [row.step for row in rows]
    assert steps[: len(logging.said)] == logging.said
    assert len(steps) <= len(logging.said) + 1, "one row may have been kept and not yet been told"
    assert (
        "Brought over what a killed process had left on this node"
        in (run.folder / "logs/run.log").read_text()
    )
    assert [path for path in node.rglob("*") if path.is_file()] == []


# Fills the disk under its own run, makes room again, and says how many rows it logged in each part.
FILLING = """
import pathlib, sys
import watchkeeper as wk
folder = pathlib.Path(sys.argv[1])
ballast = folder / "ballast"
with wk.start_run(folder=folder / "run", pipeline="full") as run:
    table = run.table("results")
    def measure(steps):
        for step in steps:
            run.log(step, loss=0.5)
            table.append({"step": step, "loss": 0.5})
    measure(range(1, 51))
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    measure(range(51, 251))
    ballast.unlink()
    measure(range(251, 301))
    table.close()
print("went on")
"""


def test_a_full_disk_and_then_space_again(tmp_path: Path) -> None:
    """On a disk that is really full training goes on, it is said once, the loss is counted, and
    rows after it are kept.
    """
    with small_disk(tmp_path / "disk", "1M") as disk:
        done = subprocess.run(
            [sys.executable, "-c", FILLING, disk],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        assert done.stdout == "went on\n"
        assert done.stderr.count("a metric row could not be written") == 1
        rows, problems = wk.read_rows(disk / "run")
        assert problems == []
        steps = [row.step for row in rows]
        assert steps[:50] == list(range(1, 51)) and steps[-50:] == list(range(251, 301))
        (events,) = read(disk / "run/.watchkeeper/journal").events.values()
        (ended,) = [event for event in events if isinstance(event, RunEnded)]
        assert (ended.metric_rows, ended.lost_rows) == (len(steps), 300 - len(steps))
        assert 0 < ended.lost_rows <= 200
        table, faults = wk.read_table(disk / "run/results.csv")
        assert faults == []
        assert [row["step"] for row in table] == list(range(1, 301)), (
            "rows of a table wait in memory for space"
        )
