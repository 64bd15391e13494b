"""`watchkeeper doctor`: is this machine or cluster fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN, ExperimentError, UsageError
from watchkeeper.core.settings import load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import doctor, preflight
from watchkeeper.launch.doctor import Check
from watchkeeper.schedulers.base import SubmitHost
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.schedulers.site import Site
from watchkeeper.show.cli.common import cluster_option, command_errors, echo_json, json_option
from watchkeeper.show.text import printable


@click.command("doctor")
@click.argument("folder", type=click.Path(path_type=Path), default=".")
@cluster_option
@click.option(
    "--wait",
    "wait_s",
    type=float,
    metavar="SECONDS",
    default=300.0,
    show_default=True,
    help="How long its job may wait in the queue.",
)
@json_option
@command_errors
def command(folder: Path, cluster: str | None, wait_s: float, as_json: bool) -> int:
    """Check whether this machine or a cluster can run the experiments in FOLDER (default: here).

    On a cluster, a job of a few seconds proves that an attempt can be claimed only once, also
    between nodes. Without this proof, a submission that sbatch did not answer is never repeated.
    Exit code: 1 if something is wrong, 4 if something could not be determined.

    Example: watchkeeper doctor examples/digits
    """
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}", hint="name the folder that your experiments lie in"
        )
    folder = folder.resolve()
    settings = load(folder, cluster=cluster)
    scheduler = scheduler_of(settings)
    found = []
    for check in _checks(folder, scheduler, wait_s, remote=settings.cluster is not None):
        found.append(check)
        if not as_json:
            if check.hint:
                hint = f"\n           {check.hint}"
            else:
                hint = ""
            click.echo(printable(f"{check.verdict:8} {check.what:11} {check.found}{hint}"))
    if as_json:
        echo_json({"folder": str(folder), "scheduler": scheduler.name, "checks": found})
    verdicts = {check.verdict for check in found}
    if "bad" in verdicts:
        return EXIT_FAILED
    if "unknown" in verdicts:
        return EXIT_UNKNOWN
    return EXIT_OK


def _checks(folder: Path, scheduler: SubmitHost, wait_s: float, *, remote: bool) -> Iterator[Check]:
    yield from doctor.machine(folder)
    allowed = Site()
    if remote:
        allowed = scheduler.site()
        yield from doctor.site(allowed)
        yield from doctor.claim(
            scheduler, folder, wait_s=wait_s, tell=lambda words: click.echo(f"{words} …", err=True)
        )
    try:
        yield from doctor.scripts(preflight.checked(experiments.read(folder), allowed).problems)
    except ExperimentError as error:
        if any(folder.glob("experiment_summary.*")):
            yield from doctor.scripts(error.problems)
