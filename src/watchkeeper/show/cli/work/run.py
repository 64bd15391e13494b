"""`watchkeeper run`: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.settings import VARIABLES, load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import watch_job
from watchkeeper.launch.watch_job import TIME
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.schedulers.sbatch_head import time_limit_s
from watchkeeper.show.cli.answering import answer, is_quiet, say
from watchkeeper.show.cli.common import (
    allow_unsigned_option,
    budget_option,
    cluster_option,
    dry_run_option,
    expect_option,
    keep_going_option,
    run_log_options,
    selection_options,
    verbose_option,
)
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.keeping.dry_run import DryRunData, show_script_commands
from watchkeeper.show.cli.keeping.keep import keep
from watchkeeper.show.cli.keeping.opening import check_extra, open_option
from watchkeeper.show.cli.keeping.scripts import (
    ScriptCommand,
    is_folder_named,
    script_options,
    take_options,
    target_of,
    targets_argument,
)
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.standing import StandingData
from watchkeeper.watch.leaving import SENTINEL

_OF_THE_WATCH = (
    *("runs", "evals", "gate", "poll_s", "stagger_s", "cap", "retries", "budget"),
    *("mode", "objective", "task", "group", "dataset"),
)


@click.command("run", cls=ScriptCommand)
@targets_argument
@script_options
@selection_options
@click.option(
    "--poll",
    "poll_s",
    type=float,
    metavar="SECONDS",
    help="Time between two polls of the scheduler.",
)
@click.option(
    "--stagger", "stagger_s", type=float, metavar="SECONDS", help="Time between two submissions."
)
@click.option(
    "--cap", type=int, metavar="JOBS", help="The most jobs queued or running at a time; 0: no cap."
)
@click.option("--slots", type=int, metavar="JOBS", help="Local jobs running at a time.")
@click.option(
    "--retries",
    type=int,
    metavar="N",
    help="How often in a row a run is retried automatically; 0: never.",
)
@click.option(
    "--as-job", is_flag=True, help="Submit the watch itself as a job on the cluster, and exit."
)
@click.option(
    "--time",
    "time_limit",
    metavar="LIMIT",
    default="",
    help=f"Time limit of a Python file's job; of that of --as-job, which then restarts: {TIME}.",
)
@keep_going_option
@allow_unsigned_option
@budget_option
@expect_option
@run_log_options
@dry_run_option
@open_option
@cluster_option
@verbose_option
@answer_options
@click.pass_context
@command_errors
def command(
    context: click.Context,
    paths: tuple[Path, ...],
    as_json: bool,
    as_job: bool,
    time_limit: str,
    **options: Any,
) -> int:
    """Fine-tune, verify, evaluate and validate an experiment; or run scripts as they lie.

    EXPERIMENT is a folder with experiment_summary.yaml or .md, or with RUN/finetune.slurm and
    RUN/eval/TASK_epochN.slurm. A SCRIPT runs as with sbatch: in this folder, with the arguments
    after --. Ctrl-C detaches: the jobs keep running, and the same command continues the watch. It
    submits only what is not done yet.

    Example: watchkeeper run examples/digits
    """
    scripts = take_options(options, time_limit)
    if as_job and options["dry_run"]:
        raise UsageError(
            "--dry-run shows what the experiment's own jobs are", hint="leave out --as-job"
        )
    _check_open(as_job=as_job, **options)
    if as_job:
        return _submit_watch(context, _only_folder(paths), time_limit or TIME, as_json)
    if options["dry_run"] and not is_folder_named(paths):
        return show_script_commands(
            context,
            paths,
            scripts,
            options["cluster"],
            allow_unsigned=options["allow_unsigned"],
            as_json=as_json,
        )
    target = target_of(context, paths, scripts)
    return keep(target, purpose="run", as_json=as_json, **options)


def _check_open(*, opens: bool, dry_run: bool, as_job: bool, **others: Any) -> None:
    """Refuse `--open` where nothing is watched here, or cannot be shown."""
    if not opens:
        return
    if dry_run or as_job:
        raise UsageError(
            "--open shows the page of what is watched here",
            hint="leave it out, and look with: watchkeeper serve",
        )
    check_extra()


def _only_folder(paths: Sequence[Path]) -> Path:
    """The experiment's folder, where that is what was named.

    Raises:
        UsageError: scripts were named.
    """
    if is_folder_named(paths):
        return paths[0]
    folder = paths[0].parent
    raise UsageError(
        "--as-job watches an experiment, and a script was named",
        hint=f"watchkeeper submit {paths[0]}, then watchkeeper run {folder} --as-job",
    )


def _submit_watch(context: click.Context, folder: Path, time_limit: str, as_json: bool) -> int:
    """Let a job of the cluster keep the watch, with the options given here."""
    experiment = experiments.read(folder)
    settings = load(experiment.folder, cluster=context.params["cluster"])
    if settings.cluster is None:
        raise UsageError(
            "--as-job needs a cluster",
            hint="name it: --cluster NAME; on this machine, use nohup or tmux",
        )
    try:
        time_limit_s(time_limit)
    except ValueError as error:
        raise UsageError(
            f"--time: {error}", hint="write --time=HH:MM:SS or --time=D-HH:MM:SS"
        ) from error
    command = [sys.executable, "-m", "watchkeeper", "run", str(experiment.folder)]
    command += [f"--cluster={settings.cluster}", *_passed_on(context)]
    receipt, output = watch_job.submit(
        experiment.folder,
        scheduler_of(settings),
        command,
        first_words=["--retry-failed"] if context.params["retry_failed"] else [],
        settings=_settings_for_the_job(),
        time_limit=time_limit,
    )
    summary = f"Job {receipt.job_id} keeps the watch; its output goes to {output}"
    if as_json:
        data = AsJobData(experiment=experiment.name, job_id=receipt.job_id, output=str(output))
        return answer(EXIT_OK, summary=summary, data=data)
    click.echo(receipt.job_id if is_quiet() else summary)
    say(f"Look: watchkeeper status {folder}    End the watch: touch {folder / SENTINEL}")
    return EXIT_OK


class AsJobData(msgspec.Struct, frozen=True, kw_only=True):
    """The job that keeps the watch, and the file that its output goes to."""

    experiment: str
    job_id: str
    output: str


ANSWERS = (StandingData, DryRunData, AsJobData)


def _passed_on(context: click.Context) -> list[str]:
    """The options of this command that the watch in the job is to have as well."""
    options: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if parameter.name in ("queue_ahead", "keep_going", "allow_unsigned") and value:
            options.append(parameter.opts[-1])
        elif parameter.name == "log" and value is not None:
            options.append(f"--continue={value.absolute()}")
        elif parameter.name == "settings":
            options += [f"--set={setting}" for setting in value or ()]
        elif parameter.name == "expect":
            options += [f"--expect={criterion}" for criterion in value or ()]
        elif parameter.name in _OF_THE_WATCH and value not in (None, ""):
            options.append(f"{parameter.opts[-1]}={value}")
    return options


def _settings_for_the_job() -> dict[str, str]:
    """The variables that set something here, without those of notifications: the job's script is a
    file that others may read.
    """
    settings = {}
    for variable, name in VARIABLES.items():
        value = os.environ.get(variable)
        if value and not name.startswith("notify"):
            settings[variable] = value
    return settings
