"""`watchkeeper publish upload`: a package to the Hugging Face Hub, and whether it arrived."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, UsageError
from watchkeeper.core.text.figures import clock, size
from watchkeeper.publish.checks import Check, verdict
from watchkeeper.publish.hub.client import asking
from watchkeeper.publish.hub.place import place_of
from watchkeeper.publish.hub.plan import PlannedFile, State, UploadPlan
from watchkeeper.publish.hub.token import find_token
from watchkeeper.publish.hub.upload import Uploaded, look, records_of, send
from watchkeeper.publish.manifest import files
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.package.check import check_package
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet, say, shows_progress
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.publish.recording import Recorded, owner_of, record
from watchkeeper.show.cli.trust.shown import HashingProgress, echo_checks, problems_of
from watchkeeper.show.text import printable

SHORTEST_TIMEOUT_S = 1800.0
_SLACK = 4
"""How many times the estimated time an upload may take by default."""
_MOST_SHOWN = 20

timeout_option = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=None,
    metavar="SECONDS",
    help="The longest that it may take. Default: 1800, or four times the estimate if that is more.",
)


@click.command("upload")
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--repo", required=True, metavar="USER/NAME", help="The repository to upload to.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is to be made.")
@click.option(
    "--create-pr",
    is_flag=True,
    help="Propose the package as a pull request, and change no branch.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The token. Default: where `hf auth login` keeps it.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The recorded run or experiment that made it. Default: what `publish stage` noted.",
)
@click.option("--run-key", "run_key", metavar="RUN", default="", help="The run of the experiment.")
@timeout_option
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answer_options
@command_errors
def command(  # noqa: PLR0917 - one for each option
    package: Path,
    repo: str,
    private: bool,
    create_pr: bool,
    token_file: Path | None,
    run: Path | None,
    run_key: str,
    timeout_s: float | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Upload the PACKAGE that `publish stage` made to a repository of models, in one commit.

    The package is checked first, and nothing of one that fails is sent. The plan is shown next:
    where to, who sees it, each file with its size, what the repository holds already. Without
    `--yes` you are asked. It counts as uploaded when the repository lists each file with its size
    and hash. A repository that holds other files is left alone: with `--create-pr` the package is
    proposed there as a pull request.

    After a broken connection type the same command again: what has arrived is not sent again. The
    upload stands then in the run's journal, and in its run log under HuggingFace.

    Exit code: 0 if it is uploaded, was there already, or is shown by --dry-run; 1 if a check or the
    Hub refused it; 2 for bad input, or if nobody said yes; 4 if the Hub did not say what came of
    it.

    Example: watchkeeper publish upload package --repo ada/my-model --private
    """
    place = place_of(repo)
    owner = owner_of(package, run, run_key)
    records = _hashed(package)
    checks = check_package(package, records={one.path: one for one in records})
    if verdict(checks) not in ("pass", "soft_signal"):
        return _refused(package, checks, as_json=as_json)
    token = find_token(token_file)
    limit_s = timeout_s or time_for(sum(one.size_bytes for one in records))
    with asking(place, token, timeout_s=limit_s) as ask:
        plan = look(ask, place, package, records, private=private, create_pr=create_pr)
    if not as_json:
        _show(plan)
    if plan.refusal:
        raise UsageError(f"{repo}: {plan.refusal}", hint=plan.hint)
    if dry_run:
        return _answer(plan, None, Recorded(), as_json=as_json)
    _confirm(plan, yes=yes, may_ask=not as_json)
    # The time in which a person thinks is no time of the upload's.
    with asking(place, token, timeout_s=limit_s, shows_progress=is_watched()) as ask:
        done = send(ask, plan, package, records)
    kept = record(package, [one.path for one in records], done, owner)
    echo_problems(kept.problems)
    return _answer(plan, done, kept, as_json=as_json)


class UploadRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the package. `state` is `new`, `there` (the repository has it) or `other` (it has
    one of this name with other bytes).
    """

    path: str
    size_bytes: int
    sha256: str
    state: State


class UploadData(msgspec.Struct, frozen=True, kw_only=True):
    """The plan, and what came of it. `account` is whose token it is; `exists` whether the
    repository was there; `unsent_bytes` were to be sent. `commit` and `pull_request` (an address)
    are "" where nothing was uploaded; `recorded_in` is the run whose journal has it, "" for none.
    """

    files: list[UploadRow]
    repo: str
    url: str
    account: str
    private: bool
    exists: bool
    unsent_bytes: int
    estimate_s: float
    others: list[str]
    commit: str
    pull_request: str
    recorded_in: str


ANSWERS = (UploadData,)


def time_for(size_bytes: int) -> float:
    """The seconds that this many bytes may take by default."""
    from watchkeeper.publish.hub.plan import BYTES_PER_S

    return max(SHORTEST_TIMEOUT_S, _SLACK * size_bytes / BYTES_PER_S)


def is_watched() -> bool:
    """Whether somebody sees how far it is: a terminal, and neither --json nor --quiet."""
    return shows_progress() and sys.stderr.isatty()


def _hashed(package: Path) -> list[FileRecord]:
    """The files of a package with their hashes. On a terminal the progress is shown."""
    listed, _ = files.list_files(package)
    progress = HashingProgress(listed.size_bytes)
    try:
        return records_of(package, progress.add)
    finally:
        progress.end()


def _refused(package: Path, checks: Sequence[Check], *, as_json: bool) -> int:
    """Say which checks failed; EXIT_FAILED."""
    failed = [check for check in checks if check.status == "fail"]
    summary = f"{package} is not fit to be published: {len(failed)} checks failed; nothing was sent"
    if not as_json:
        echo_checks(package, failed)
        click.echo(printable(f"{summary}."))
        return EXIT_FAILED
    return answer(EXIT_FAILED, summary=summary, problems=problems_of(package, checks), data=None)


def _show(plan: UploadPlan) -> None:
    """Print the plan."""
    if is_quiet():
        return
    seen_by = "private" if plan.private else "public"
    state = "is there" if plan.exists else "is to be made"
    click.echo(printable(f"To {plan.place.page}: {seen_by}, {state}; as {plan.account}"))
    for one in plan.files[:_MOST_SHOWN]:
        click.echo(printable(_line(one)))
    if len(plan.files) > _MOST_SHOWN:
        click.echo(f"  … and {len(plan.files) - _MOST_SHOWN:,} more files")
    for path in plan.others[:_MOST_SHOWN]:
        click.echo(printable(f"  theirs: {path}"))
    click.echo(_total(plan))


def _line(one: PlannedFile) -> str:
    """One file of the plan with its size, and what the repository has under its name."""
    words = {"new": "", "there": ", there already", "other": ", replaces another"}[one.state]
    return f"  {one.path}: {size(one.size_bytes)}{words}"


def _total(plan: UploadPlan) -> str:
    """How much there is to send, and how long that takes."""
    count = len(plan.unsent)
    if not count:
        return "Nothing to send: the repository has all of it."
    return (
        f"{count} file{'' if count == 1 else 's'} to send, {size(plan.unsent_bytes)}: "
        f"about {clock(plan.estimate_s)} at 10 MB/s"
    )


def _confirm(plan: UploadPlan, *, yes: bool, may_ask: bool) -> None:
    """Ask before anything is sent. `yes`: the person has said so already.

    Raises:
        UsageError: the answer is no, or there is no terminal to ask on.
    """
    if yes or not plan.unsent:
        return
    seen_by = "private" if plan.private else "public"
    verb = "Propose it to" if plan.create_pr else "Upload it to"
    question = f"{verb} the {seen_by} repository {plan.place.repo}?"
    if may_ask and sys.stdin.isatty() and click.confirm(question):
        return
    raise UsageError("nothing was sent", hint="pass --yes to send, --dry-run to see the plan")


def _answer(plan: UploadPlan, done: Uploaded | None, kept: Recorded, *, as_json: bool) -> int:
    """Say what came of an upload; `done` None: only the plan was asked for. EXIT_OK."""
    summary = _summary(plan, done)
    if as_json:
        counts = {"sent": done.sent if done is not None else 0, "files": len(plan.files)}
        return answer(EXIT_OK, summary=summary, counts=counts, data=_data(plan, done, kept))
    click.echo(printable(f"{summary}."))
    if done is not None:
        _say_where(kept)
    return EXIT_OK


def _summary(plan: UploadPlan, done: Uploaded | None) -> str:
    """In one line what came of an upload, or what would; `done` None: only the plan was
    asked for.
    """
    if done is None:
        return f"{len(plan.unsent)} files would be sent to {plan.place.repo}; nothing was"
    if not done.sent:
        return f"{plan.place.repo} has all {len(plan.files)} files already, at {done.commit[:12]}"
    listed = f"all {len(plan.files)} files are listed with their hashes"
    if done.pull_request:
        return f"Proposed as {done.pull_request}: {listed}"
    return f"Uploaded to {plan.place.page}, commit {done.commit[:12]}: {listed}"


def _say_where(kept: Recorded) -> None:
    """Say where the upload was written down. Where that failed, the problem has said so already."""
    if kept.owner is None:
        say("No run is known that made the package: nothing was written into a run log.")
        say("To have it there, type the same command with --run FOLDER.")
    elif kept.is_shown:
        say(printable(f"It stands in the run log of {kept.owner.words}."))
    elif not kept.problems:
        say(printable(f"It stands in the journal of {kept.owner.words}."))


def _data(plan: UploadPlan, done: Uploaded | None, kept: Recorded) -> UploadData:
    """The answer for programs; `done` None: only the plan was asked for."""
    rows = [
        UploadRow(path=one.path, size_bytes=one.size_bytes, sha256=one.sha256, state=one.state)
        for one in plan.files
    ]
    is_recorded = kept.owner is not None and not kept.problems
    return UploadData(
        files=rows,
        repo=plan.place.repo,
        url=plan.place.page,
        account=plan.account,
        private=plan.private,
        exists=plan.exists,
        unsent_bytes=plan.unsent_bytes,
        estimate_s=plan.estimate_s,
        others=list(plan.others),
        commit=done.commit if done is not None else "",
        pull_request=done.pull_request if done is not None else "",
        recorded_in=kept.owner.words if is_recorded and kept.owner is not None else "",
    )
