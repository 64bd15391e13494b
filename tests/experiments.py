"""Small real experiments for tests: ordinary batch scripts that leave real files, and count how
often they ran.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from watchkeeper.core import journal
from watchkeeper.core.state import State, fold
from watchkeeper.report.actionlog.block_format import Block, parse

FINETUNE = """#!/bin/bash
#SBATCH --job-name={run}
#SBATCH --output=slurm-%j.out
#SBATCH --time=00:05:00
echo "$SLURM_JOB_ID" >> ran.txt
{body}
for epoch in {epochs}; do
    mkdir -p artifacts/epoch_$epoch
    printf 'weights of {run} %s' $epoch > artifacts/.tmp-weights
    mv artifacts/.tmp-weights artifacts/epoch_$epoch/model.bin
done
"""
EVALUATE = """#!/bin/bash
#SBATCH --job-name={run}_{cell}
#SBATCH --output=slurm-%j.out
#SBATCH --time=00:05:00
echo "$SLURM_JOB_ID" >> {cell}.ran.txt
{body}
mkdir -p {cell}
printf '{{"accuracy": 0.5}}\\n' > {cell}/.tmp-result && mv {cell}/.tmp-result {cell}/result.json
"""


def write_experiment(
    folder: Path,
    runs: tuple[str, ...] = ("one",),
    tasks: tuple[str, ...] = ("clean",),
    epochs: tuple[int, ...] = (0,),
    body: str = "",
    control: bool = False,
) -> Path:
    """An experiment with `runs` × `tasks` × `epochs`, with its summary; `body` is a line of shell
    inside each script.
    """
    names = [*runs, *(["untrained"] if control else [])]
    summary = {
        "experiment": {
            "name": folder.name,
            "project": "tests",
            "question": "does it run?",
            "date": "2026-03-11",
            "dir": str(folder),
        },
        "tools": {"preparation": "script", "evaluation": "script"},
        "output": {
            "checkpoint": "{folder}/artifacts/epoch_{epoch}",
            "result": "{folder}/eval/{cell}/result.json",
        },
        "runs": [
            {
                "name": n,
                "type": "control" if n == "untrained" else "fine-tuned",
                "model": "tiny",
                "parameters": {},
            }
            for n in names
        ],
        "evaluation": {
            "tasks": [
                {"name": task, "script": f"{task}.py", "description": task, "dataset": "none"}
                for task in tasks
            ],
            "matrix": [
                {
                    "run": n,
                    "tasks": list(tasks),
                    "epochs": None if n == "untrained" else list(epochs),
                }
                for n in names
            ],
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment_summary.yaml").write_text(json.dumps(summary, indent=1))
    for run in names:
        (folder / run / "eval").mkdir(parents=True)
        if run != "untrained":
            script = FINETUNE.format(run=run, body=body, epochs=" ".join(map(str, epochs)))
            (folder / run / "finetune.slurm").write_text(script)
        for task in tasks:
            cells = (
                [f"{task}_base"]
                if run == "untrained"
                else [f"{task}_epoch{epoch}" for epoch in epochs]
            )
            for cell in cells:
                (folder / run / "eval" / f"{cell}.slurm").write_text(
                    EVALUATE.format(run=run, cell=cell, body=body)
                )
    return folder


def wk(
    *arguments: str | Path, state: Path, timeout_s: float = 600, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, with a spool of its own in `state`."""
    return subprocess.run(
        command(*arguments),
        env=env(state, **environment),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def command(*arguments: str | Path) -> list[str]:
    """The command line that runs Watchkeeper from this environment."""
    return [sys.executable, "-m", "watchkeeper", *map(str, arguments)]


def env(state: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of the user's own settings or spool is touched."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WATCHKEEPER_", "SLURM_"))
    }
    return (
        kept
        | {"WATCHKEEPER_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(state / "config")}
        | more
    )


def state_of(folder: Path) -> State:
    """The experiment's state, folded from its journal."""
    return fold(journal.read(folder / ".watchkeeper" / "journal").events)


def blocks_of(folder: Path, name: str) -> list[Block]:
    """The blocks of one of its logs, which must parse without a problem."""
    blocks, problems = parse((folder / name).read_text(encoding="utf-8"), name)
    assert problems == []
    return blocks


def times_run(folder: Path) -> dict[str, int]:
    """How often each script really did its work, by the lines it wrote."""
    return {
        str(path.relative_to(folder)): len(path.read_text().splitlines())
        for path in folder.rglob("*ran.txt")
    }


def claims(folder: Path) -> list[dict]:
    """Every claim of every attempt."""
    return [
        msgspec.json.decode(path.read_bytes())
        for path in (folder / ".watchkeeper" / "runs").rglob("claim.*")
    ]
