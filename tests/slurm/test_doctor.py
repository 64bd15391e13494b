"""`watchkeeper doctor` on a real Slurm: the claim proved with a compute node, and what is said when
it cannot be.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.experiments import command, env, write_experiment
from tests.slurm.lab import Lab, write_settings
from tests.slurm.trial import Trial
from watchkeeper.core.events import Doubted


@pytest.fixture
def lab(slurm_lab: Lab) -> Lab:
    """The cluster, all of it up."""
    slurm_lab.up()
    return slurm_lab


def doctor(
    lab: Lab, folder: Path, *words: str, state: Path | None = None
) -> tuple[int, dict[str, dict[str, str]]]:
    """Type it; the exit code, and what was looked at → its line."""
    done = subprocess.run(
        command("doctor", folder, "--json", *words),
        env=env(state or folder / "state", SLURM_CONF=str(lab.conf)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, {
        check["what"]: check for check in json.loads(done.stdout)["data"]["checks"]
    }


def test_a_fit_cluster(lab: Lab) -> None:
    """On a cluster that is fit nothing is bad: the claim was held once in every race, and the job
    leaves no folder.
    """
    with Trial(lab, proved=False) as trial:
        code, found = doctor(lab, trial.folder)
        assert code == 0 and found["claim"]["verdict"] == "ok", found
        assert "held once in 12 of 12 races" in found["claim"]["found"]
        assert (
            found["visibility"]["verdict"]
            == found["clocks"]["verdict"]
            == found["accounting"]["verdict"]
            == "ok"
        )
        assert found["slurm"]["found"].startswith("version 2")
        assert not list(trial.folder.glob(".wk-*"))


def test_a_job_that_does_not_start_proves_nothing(lab: Lab) -> None:
    """Where its job is not started in time the claim is unknown, the job is cancelled, and the exit
    code says 4.
    """
    with Trial(lab, proved=False) as trial:
        settings = trial.folder / "watchkeeper.toml"
        settings.write_text(settings.read_text() + 'sbatch_options = ["--hold"]\n')
        code, found = doctor(lab, trial.folder, "--wait", "2")
        assert (code, found["claim"]["verdict"]) == (4, "unknown")
        assert "has not started within 2 s" in found["claim"]["found"]
        assert not lab.root(
            "squeue", "--noheader", "--states=pending,running", "--name=watchkeeper-doctor"
        ).strip()


def test_a_folder_that_compute_nodes_cannot_see(lab: Lab) -> None:
    """Where the compute node has no such folder, its job ends, and that is said with the folder's
    name.
    """
    with Trial(lab, proved=False) as trial:
        # Only the submitting side is let in: for the user's jobs the folder is as good as not
        # there.
        write_experiment(hidden := trial.folder.parent / "hidden" / "exp", tasks=())
        text = (trial.folder / "watchkeeper.toml").read_text()
        write_settings(
            hidden,
            text.replace("command_prefix", 'sbatch_options = ["--chdir=/tmp"]\ncommand_prefix'),
        )
        hidden.parent.chmod(0o700)
        code, found = doctor(lab, hidden, "--wait", "60")
        assert (code, found["claim"]["verdict"]) == (4, "unknown"), found


def test_without_a_proof_what_was_doubted_is_not_repeated(lab: Lab) -> None:
    """On a cluster where nobody typed `doctor`, a submission that is nowhere to be found ends as
    unknown, not twice.
    """
    with Trial(lab, proved=False, deadline_s=4.0) as trial:
        # sbatch is answered for by nobody: it fails as one whose answer was lost, and takes no job.
        prefix = trial.root / "as-user"
        lost = (
            '[[ $1 == sbatch && $2 == --parsable ]] && { echo "sbatch: error: Socket timed '
            'out" >&2; exit 1; }\n'
        )
        prefix.write_text(prefix.read_text().replace("\n", f"\n{lost}", 1))
        printed = trial.run(codes=(1, 4), WATCHKEEPER_STATE_DIR=str(trial.root / "state"))
        trial.told(Doubted)
        assert trial.attempts[1].judged.outcome == "unknown" and "watchkeeper doctor" in printed
        assert len([event for event in trial.events if isinstance(event, Doubted)]) == 1
