"""`watchkeeper run`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from watchkeeper.show.cli.common import cluster_option, command_errors, experiment_argument, json_option, selection_options
from watchkeeper.show.cli.keeping import keep


@click.command("run")
@experiment_argument
@selection_options
@click.option("--poll", "poll_s", type=float, metavar="SECONDS", help="Time between two looks at the scheduler.")
@click.option("--stagger", "stagger_s", type=float, metavar="SECONDS", help="Time between two submissions.")
@click.option("--cap", type=int, metavar="JOBS", help="The most jobs queued or running at a time; 0: no cap.")
@click.option("--slots", type=int, metavar="JOBS", help="Local jobs running at a time.")
@cluster_option
@json_option
@command_errors
def command(experiment: Path, as_json: bool, **options: Any) -> int:
    """Fine-tune, verify, evaluate and validate an experiment.

    EXPERIMENT is a folder with experiment_summary.yaml, or with RUN/finetune.slurm and RUN/eval/TASK_epochN.slurm.
    Ctrl-C detaches: the jobs go on, and the same command goes on from there. It submits only what is not done yet.

    Example: watchkeeper run examples/digits
    """
    return keep(experiment, purpose="run", as_json=as_json, **options)
