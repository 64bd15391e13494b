"""Jobs of other tools are told before the same is started again."""

from __future__ import annotations

from pathlib import Path

from tests.experiments import wk, write_experiment

LOG = """\
[2025-11-11 11:00:05] SUBMIT_JOB: one
Details: sbatch finetune.slurm
Job ID: 1234567
Result: success

[2025-11-11 11:00:09] SUBMIT_JOB: two
Job ID: 1234568
Result: success

[2025-11-11 11:30:09] STATE_CHANGE: two
Details: RUNNING → COMPLETED
Result: x
"""


def test_jobs_of_other_tools_are_told_and_ours_are_not(tmp_path: Path) -> None:
    """`plan` and `status` name the jobs in others' logs, of either folder, with their lines; our
    own logs draw nothing.
    """
    folder = write_experiment(tmp_path / "exp")
    (folder / "logs").mkdir()
    (folder / "logs" / "run-torchtune.log").write_text(LOG)
    told = (
        "warning: logs/run-torchtune.log:3: job 1234567 was submitted for one by another tool; "
        "it is not watched"
    )
    for command in ("plan", "status"):
        said = wk(command, folder, state=tmp_path / "state").stderr
        assert (
            told in said
            and "1 job of another tool, which it says have ended" in said
            and "1234568" not in said
        )
    assert wk("run", folder, state=tmp_path / "state").returncode == 0
    said = wk("status", folder, state=tmp_path / "state").stderr
    assert [
        line for line in said.splitlines() if "another tool" in line and " logs/" not in line
    ] == []


def test_what_is_set_aside_is_still_told(tmp_path: Path) -> None:
    """A log of another tool in the experiment's folder gives way to ours, and what it names is told
    all the same.
    """
    folder = write_experiment(tmp_path / "exp")
    (folder / "run-torchtune.log").write_text(LOG)
    assert (
        "warning: run-torchtune.log:3: job 1234567"
        in wk("run", folder, state=tmp_path / "state").stderr
    )
    assert (
        "warning: run-torchtune.log.kept-1:3: job 1234567"
        in wk("status", folder, state=tmp_path / "state").stderr
    )
