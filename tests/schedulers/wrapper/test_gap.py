"""Jobs of one experiment begin a little apart, however many the scheduler starts together."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiments import times_run, wk, write_experiment
from watchkeeper.schedulers.wrapper import render
from watchkeeper.schedulers.wrapper.names import wrapper_name

SCRIPT = b'#!/bin/bash\ndate +%s.%N >> "$(dirname "$WATCHKEEPER_ATTEMPT")/began"\n'


class Jobs:
    """Attempts that share a folder of starts."""

    def __init__(self, folder: Path, gap_s: float) -> None:
        self.folder = folder
        self.starts = folder / "starts"
        self.gap_s = gap_s

    def start(self, number: int) -> subprocess.Popen:
        """Start the wrapper of one more attempt."""
        attempt = self.folder / f"attempt{number}"
        attempt.mkdir()
        script = attempt / "script"
        script.write_bytes(SCRIPT)
        script.chmod(0o755)
        path = attempt / wrapper_name("token")
        made = {"attempt_folder": attempt, "script": script, "token": "token", "scheduler": "local"}
        path.write_bytes(render.render(SCRIPT, **made, starts=self.starts, gap_s=self.gap_s))
        path.chmod(0o755)
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLURM_", "WATCHKEEPER_"))
        }
        env = clean | {"WATCHKEEPER_JOB_ID": str(number)}
        return subprocess.Popen([path], env=env, stderr=subprocess.PIPE, text=True)

    def gaps(self) -> list[float]:
        """The seconds between the starts that are kept, in their order."""
        return gaps_of(self.starts)

    def began(self) -> list[float]:
        """When each script began, in seconds, in that order."""
        path = self.folder / "began"
        return sorted(map(float, path.read_text().split())) if path.exists() else []


def gaps_of(starts: Path) -> list[float]:
    """The seconds between the starts of a folder. A start is written when its job may begin: how
    long a busy machine then takes to begin the script does not count.
    """
    times = sorted(path.stat().st_mtime for path in starts.glob("start.*"))
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def ended(process: subprocess.Popen) -> str:
    """What it said, after its good end."""
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def test_jobs_that_start_together_begin_apart(tmp_path: Path) -> None:
    """Of twelve jobs that start at once no two begin together, and each says that it waits; the
    trail is short.
    """
    jobs = Jobs(tmp_path, 0.5)
    said = [ended(process) for process in [jobs.start(number) for number in range(12)]]
    assert len(jobs.began()) == 12
    assert len(jobs.gaps()) >= 7 and min(jobs.gaps()) > 0.49
    assert sum("begin 500 ms apart" in words for words in said) >= 10
    assert len(list(jobs.starts.iterdir())) <= 9
    assert not list(tmp_path.rglob(".tmp-*"))


def test_without_a_gap_nothing_waits_and_nothing_is_left(tmp_path: Path) -> None:
    """A gap of 0 makes no folder."""
    jobs = Jobs(tmp_path, 0.0)
    assert ended(jobs.start(1)) == "" and not jobs.starts.exists()


def test_a_job_that_dies_holds_nobody_up(tmp_path: Path) -> None:
    """A job killed while it waits holds nobody up, and has claimed nothing."""
    jobs = Jobs(tmp_path, 300.0)
    ended(jobs.start(1))
    killed = jobs.start(2)
    assert "apart" in killed.stderr.readline()
    killed.kill()
    killed.communicate()
    assert not (tmp_path / "attempt2" / "claim.1").exists()
    (start,) = jobs.starts.glob("start.*")
    long_ago = start.stat().st_mtime - 300
    os.utime(start, (long_ago, long_ago))
    ended(jobs.start(3))
    assert len(jobs.began()) == 2


@pytest.mark.parametrize("amiss", ["a file", "read-only", "a time to come", "other files"])
def test_whatever_is_amiss_the_job_begins(tmp_path: Path, amiss: str) -> None:
    """The gap is a courtesy: where it cannot be kept the job begins all the same."""
    jobs = Jobs(tmp_path, 5.0)
    if amiss == "a file":
        jobs.starts.touch()
    else:
        jobs.starts.mkdir()
        (jobs.starts / ("start.4" if amiss == "a time to come" else "start.x")).touch()
        (jobs.starts / "start.08").touch()
    if amiss == "read-only":
        jobs.starts.chmod(0o555)
    if amiss == "a time to come":
        os.utime(jobs.starts / "start.4", (time.time() + 10**6,) * 2)
    ended(jobs.start(1))
    assert len(jobs.began()) == 1


def test_no_job_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait ends after its longest time, whatever the gap."""
    monkeypatch.setattr(render, "LONGEST_GAPS_S", 1)
    jobs = Jobs(tmp_path, 600.0)
    ended(jobs.start(1))
    ended(jobs.start(2))
    assert len(jobs.began()) == 2


def test_an_experiments_jobs_keep_the_gap_of_its_submissions(tmp_path: Path) -> None:
    """`--stagger` reaches the wrappers of real jobs, which begin apart by it and run once each."""
    runs = ("a", "b", "c")
    folder = write_experiment(
        tmp_path / "exp", runs=runs, tasks=(), body="date +%s.%N >> ../began.txt; sleep 3"
    )
    done = wk("run", folder, "--stagger", "0.5", "--slots", "3", state=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    assert len((folder / "began.txt").read_text().split()) == 3
    gaps = gaps_of(folder / ".watchkeeper" / "starts")
    assert len(gaps) == 2 and min(gaps) > 0.49
    assert set(times_run(folder).values()) == {1}
