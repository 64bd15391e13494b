"""`watchkeeper doctor`: is this machine or cluster fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNKNOWN,
    ExperimentError,
    Problem,
    UsageError,
)
from watchkeeper.core.settings import load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch import doctor, preflight
from watchkeeper.launch.doctor import Check
from watchkeeper.schedulers.base import SubmitHost
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.schedulers.site import Site
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.common import cluster_option
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
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
@answer_options
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
    remote = settings.cluster is not None
    shown = not as_json
    for check in _checks(folder, scheduler, wait_s, remote=remote, aloud=shown):
        found.append(check)
        if shown and not (is_quiet() and check.verdict == "ok"):
            _show(check)
    counts = Counter[str](check.verdict for check in found)
    code = _exit_code(set(counts))
    if not as_json:
        return code
    return answer(
        code,
        summary=", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        counts=counts,
        problems=[_problem(check) for check in found if check.verdict != "ok"],
        data=DoctorData(folder=str(folder), scheduler=scheduler.name, checks=found),
        again=True,
    )


class DoctorData(msgspec.Struct, frozen=True, kw_only=True):
    """The folder and the scheduler that were looked at, and what was found."""

    folder: str
    scheduler: str
    checks: list[Check]


ANSWERS = (DoctorData,)


def _show(check: Check) -> None:
    """A check on one line; what to do about it below."""
    hint = f"\n           {check.hint}" if check.hint else ""
    click.echo(printable(f"{check.verdict:8} {check.what:11} {check.found}{hint}"))


def _problem(check: Check) -> Problem:
    """A check that is not ok, as a problem."""
    return Problem(
        where=check.what,
        message=check.found,
        hint=check.hint,
        severity="error" if check.verdict == "bad" else "warning",
        code=f"{check.what.replace(' ', '-')}-{check.verdict}",
    )


def _exit_code(verdicts: set[str]) -> int:
    """1 where a check is bad, 4 where one could not be made, else 0."""
    if "bad" in verdicts:
        return EXIT_FAILED
    if "unknown" in verdicts:
        return EXIT_UNKNOWN
    return EXIT_OK


def _checks(
    folder: Path, scheduler: SubmitHost, wait_s: float, *, remote: bool, aloud: bool
) -> Iterator[Check]:
    """What is looked at; `aloud`: say on standard error what takes its time."""

    def tell(words: str) -> None:
        if aloud:
            click.echo(f"{words} …", err=True)

    yield from doctor.machine(folder)
    allowed = Site()
    if remote:
        allowed = scheduler.site()
        yield from doctor.site(allowed)
        yield from doctor.claim(scheduler, folder, wait_s=wait_s, tell=tell)
    try:
        yield from doctor.scripts(preflight.checked(experiments.read(folder), allowed).problems)
    except ExperimentError as error:
        if any(folder.glob("experiment_summary.*")):
            yield from doctor.scripts(error.problems)
