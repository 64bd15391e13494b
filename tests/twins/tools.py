"""The tools of the twin table: how each is installed, given one piece of work, and asked for it, as
its documents say.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.experiments import write_experiment

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
# Made by `make twins`, each with what tests/twins/pins says.
ENVIRONMENTS = HERE.parents[1] / ".venv-twins"
# Exit codes of a command, whatever the tool: the work is done; a copy is refused.
DONE, REFUSED = 0, 2

_SETTINGS = """cluster = "lab"
poll_s = 5
stagger_s = 0
unknown_deadline_s = 10
[clusters.lab]
kind = "slurm"
visibility_lag_s = 1.0
"""
_SCRIPT = """#!/bin/bash
#SBATCH --job-name=piece
#SBATCH --output=slurm-%j.out
#SBATCH --time=00:10:00
bash {work} artifacts/epoch_0/model.bin
"""
_SERVATUS = """[target]
slurm_bin = "{trial}/bin"
work_root = "{project}"
log_root = "{project}/logs"
partitions = ["debug"]
max_tasks_per_allocation = 1
max_cpus_per_allocation = 1
max_memory_mib_per_allocation = 100
max_time_limit = "0:10:00"

[profiles.lab.resources]
cpus = 1
memory_mib = 100
time_limit = "0:10:00"
"""


class Tool:
    """One tool. `name` is what the table calls it; its environment is `.venv-twins/ENVIRONMENT`."""

    name: str
    environment: str

    @property
    def python(self) -> Path:
        """The Python of its environment."""
        return ENVIRONMENTS / self.environment / "bin" / "python"

    @property
    def version(self) -> str:
        """The version that is installed."""
        source = f"from importlib.metadata import version; print(version({self.environment!r}))"
        words = [self.python, "-c", source]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def prepare(self, trial: Path, project: Path) -> None:
        """Write what a person would write, into the project's folder."""
        raise NotImplementedError

    def command(self, trial: Path, project: Path, *, recover: bool) -> list[str]:
        """What a person types, in the project's folder; `recover`: after the tool said that the
        work is not done.
        """
        raise NotImplementedError


class Watchkeeper(Tool):
    """An experiment of one run with one checkpoint; `watchkeeper run`, then `watchkeeper run
    --retry-failed`.
    """

    name = environment = "watchkeeper"

    def prepare(self, trial: Path, project: Path) -> None:
        """The experiment, its script, its settings."""
        write_experiment(project, tasks=())
        (project / "one" / "finetune.slurm").write_text(_SCRIPT.format(work=trial / "work.sh"))
        (project / "watchkeeper.toml").write_text(_SETTINGS)

    def command(self, trial: Path, project: Path, *, recover: bool) -> list[str]:
        """`watchkeeper run PROJECT`."""
        words = [str(self.python), "-m", "watchkeeper", "run", str(project)]
        return [*words, "--retry-failed"] if recover else words


class Servatus(Tool):
    """A Python launcher with a probe; the task is the program itself, as the README's section 3
    allows.
    """

    name = "servatus, plain"
    environment = "servatus"

    def prepare(self, trial: Path, project: Path) -> None:
        """The profile, and the folder of its logs."""
        (project / "logs").mkdir(parents=True)
        (project / "SERVATUS.toml").write_text(_SERVATUS.format(trial=trial, project=project))

    def command(self, trial: Path, project: Path, *, recover: bool) -> list[str]:
        """`python launcher.py`."""
        words = [str(self.python), str(PROGRAMS / "servatus_launcher.py"), str(trial / "results")]
        return [*words, *(["--recover"] if recover else []), "--", *self.work(trial)]

    def work(self, trial: Path) -> list[str]:
        """The task's arguments."""
        return ["/bin/bash", str(trial / "work.sh"), str(trial / "results" / "piece" / "model.bin")]


class ServatusWorkspace(Servatus):
    """The same with the README's worker: the program works inside a Workspace, and publishes its
    result.
    """

    name = "servatus, Workspace"

    def work(self, trial: Path) -> list[str]:
        """The worker, around the program."""
        destination = trial / "results" / "piece"
        return [
            str(self.python),
            str(PROGRAMS / "servatus_worker.py"),
            str(destination),
            str(trial / "work.sh"),
        ]


class Submitit(Tool):
    """A Checkpointable function, and its job kept beside the script."""

    name = environment = "submitit"

    def prepare(self, trial: Path, project: Path) -> None:
        """Nothing but a folder: all is in the launcher."""
        project.mkdir()

    def command(self, trial: Path, project: Path, *, recover: bool) -> list[str]:
        """`python launcher.py`."""
        words = [str(self.python), str(PROGRAMS / "submitit_launcher.py"), str(trial / "work.sh")]
        return [
            *words,
            str(trial / "results" / "piece" / "model.bin"),
            *(["--recover"] if recover else []),
        ]


OURS = Watchkeeper()
OTHERS = (Servatus(), ServatusWorkspace(), Submitit())
