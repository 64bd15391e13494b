"""The twin table's own arithmetic and faults: what it counts is what the work wrote down, and each
fault does its harm.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.slurm.lab import until
from tests.twins.count import Counts, cell, judge, table
from tests.twins.faults import FAULTS
from tests.twins.tools import PROGRAMS

ONCE = "start 1.0.7 10.0\nalive 1.0.7 10.5\ndone 1.0.7 11.0\n"
# What a command of Slurm would answer, without one; the shim asks this for it.
SBATCH = """#!/bin/bash
cat >/dev/null
count=$(($(cat {folder}/taken 2>/dev/null || echo 0) + 1))
echo "$count" >{folder}/taken
echo "$*" >>{folder}/asked
echo "Submitted batch job $count"
"""


@pytest.mark.parametrize(
    ("written", "twice", "lost"),
    [
        ("", 0, 1),
        ("start 1.0.7 10.0\nalive 1.0.7 10.5\n", 0, 1),
        (ONCE, 0, 0),
        # Slurm started it again, before it had finished.
        ("start 1.0.7 1.0\nalive 1.0.7 2.0\n" + ONCE.replace("1.0.7", "1.1.8"), 0, 0),
        # One after the other, and one beside the other, of which the second did not finish.
        (ONCE + ONCE.replace("1.0.7 1", "2.0.8 2"), 1, 0),
        (ONCE + "start 2.0.8 10.7\n", 1, 0),
        (ONCE + "start 1.1.8 12.0\n", 1, 0),
    ],
)
def test_executions_are_counted_from_what_the_work_wrote(
    written: str, twice: int, lost: int
) -> None:
    """No finished execution is lost; one beside another, or one after a finished one, is twice; a
    restart is neither.
    """
    assert judge(written, done=True) == Counts(trials=1, twice=twice, lost=lost)


def test_a_loss_that_the_tool_reports_is_told_apart() -> None:
    """Lost work of which the tool said that it is not done is lost all the same, and counted as
    reported.
    """
    assert judge("", done=False) == Counts(trials=1, lost=1, reported=1)
    assert judge(ONCE, done=False) == Counts(trials=1)


def test_the_table_has_a_row_for_each_fault_and_sums_up() -> None:
    """Each cell shows trials, twice and lost; what was not tried is a dash; the last row holds the
    sums.
    """
    rows = {
        "a": {"x": Counts(trials=3), "y": Counts(trials=2, twice=1)},
        "b": {"x": Counts(trials=4, lost=2, reported=1)},
    }
    assert table(rows, ["x", "y"]).splitlines() == [
        "| fault | x | y |",
        "| --- | --- | --- |",
        "| a | 3 / 0 / 0 | 2 / 1 / 0 |",
        "| b | 4 / 0 / 2 (1 reported) | – |",
        "| **all** | **7 / 0 / 2 (1 reported)** | **2 / 1 / 0** |",
    ]
    assert cell(None) == "–"


def test_there_are_the_twelve_faults() -> None:
    """The table has twelve faults, each of them another one."""
    assert len(set(FAULTS.values())) == 12


class Site:
    """The shim of one trial, in front of an sbatch that counts what it takes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        real = folder / "real-sbatch"
        real.write_text(SBATCH.format(folder=folder))
        real.chmod(0o755)
        source = (
            (PROGRAMS / "shim.sh")
            .read_text()
            .replace("@TRIAL@", str(folder))
            .replace("@CONF@", "/dev/null")
        )
        self.shim = folder / "sbatch"
        self.shim.write_text(source.replace("/usr/bin/sbatch", str(real)))
        self.shim.chmod(0o755)

    def submit(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type `sbatch`, from a shell of its own: a fault may kill who typed it."""
        line = f'{self.shim} "$@"; exit $?'
        return subprocess.run(
            ["bash", "-c", line, "-", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def taken(self) -> int:
        """How many jobs were taken."""
        path = self.folder / "taken"
        return int(path.read_text() or 0) if path.exists() else 0


@pytest.mark.parametrize(
    ("fault", "code", "answer", "taken"),
    [
        ("", 0, "Submitted batch job 1\n", 1),
        ("answer-lost", 1, "", 1),
        ("late", 1, "", 0),
        ("submitted-twice", 0, "Submitted batch job 2\n", 2),
        ("held", 0, "Submitted batch job 1\n", 1),
        ("submitter-dies", -9, "", 1),
    ],
)
def test_a_fault_of_sbatch_does_its_harm_once(
    tmp_path: Path, fault: str, code: int, answer: str, taken: int
) -> None:
    """The first submission has the fault, in answer and in jobs that were taken; the second has
    none.
    """
    site = Site(tmp_path)
    if fault:
        (tmp_path / "fault").write_text(fault)
    first = site.submit("job.sh")
    assert (first.returncode, first.stdout, site.taken) == (code, answer, taken), first.stderr
    assert ("--hold" in (tmp_path / "asked").read_text()) == (fault == "held") if taken else True
    second = site.submit("job.sh")
    assert second.returncode == 0 and second.stdout.startswith("Submitted batch job ")
    if fault == "late":  # it is taken behind the second one
        until(lambda: site.taken == 2 and not (tmp_path / "pending").exists())
    assert len((tmp_path / "jobs").read_text().split()) == site.taken


def test_the_work_writes_down_that_it_ran(tmp_path: Path) -> None:
    """work.sh leaves a result, and lines from which one finished execution is counted."""
    work = tmp_path / "work.sh"
    work.write_bytes((PROGRAMS / "work.sh").read_bytes())
    subprocess.run(
        ["bash", work, tmp_path / "out" / "model.bin"],
        env=os.environ | {"SLURM_JOB_ID": "5"},
        check=True,
    )
    assert (tmp_path / "out" / "model.bin").read_text() == "weights\n"
    assert judge((tmp_path / "executions").read_text(), done=True) == Counts(trials=1)
