"""`watchkeeper publish stage`: a package of a checkpoint, from which nothing private leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, Problem, UsageError
from watchkeeper.core.text.figures import clock, size
from watchkeeper.publish.checks import Check
from watchkeeper.publish.package import contents
from watchkeeper.publish.package.contents import BadCheckpointError
from watchkeeper.publish.package.pages.hub import Declared
from watchkeeper.publish.package.staging import (
    NotStagedError,
    Plan,
    Request,
    Staged,
    make_plan,
    stage,
)
from watchkeeper.publish.signoff.sign import NoReasonError, NotSignedError
from watchkeeper.show.cli.answering import answer, is_quiet, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.publish.sources import source_of
from watchkeeper.show.cli.publish.stories import public_pages, story_of
from watchkeeper.show.cli.trust.key_options import key_options, load_key
from watchkeeper.show.cli.trust.shown import (
    CheckEntry,
    HashingProgress,
    echo_checks,
    entries_of,
    problems_of,
)
from watchkeeper.show.text import printable

Refusal = NotStagedError | NotSignedError | NoReasonError | BadCheckpointError
_REFUSALS = (NotStagedError, NotSignedError, NoReasonError, BadCheckpointError)


@click.command("stage")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The package's folder, which must not be there yet.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The recorded run or experiment that made the checkpoint, if it lies elsewhere.",
)
@click.option("--run-key", "run_key", metavar="RUN", default="", help="The run of the experiment.")
@click.option(
    "--run-log",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The run log that TRAINING_LOG.md is made of. Default: the one that the journal names.",
)
@click.option(
    "--reason",
    default="",
    metavar="TEXT",
    help="Why a package with soft signals is good. Default: the checkpoint's own reason.",
)
@click.option("--license", default="", metavar="NAME", help="The license, as the Hub names it.")
@click.option("--base-model", default="", metavar="OWNER/NAME", help="The model it began from.")
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    metavar="OWNER/NAME",
    help="A dataset on the Hub that it was trained on. Can be given several times.",
)
@click.option("--tag", "tags", multiple=True, metavar="WORD", help="A tag for the card.")
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="TASK=OWNER/NAME",
    help="The dataset on the Hub that an evaluation measures.",
)
@click.option(
    "--public-link",
    "links",
    multiple=True,
    metavar="URL",
    help="An address that everybody may read, such as that of a public W&B run.",
)
@click.option("--with-optimizer", is_flag=True, help="Take the trainer's own state along.")
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Stage a checkpoint that nobody has signed. The run's journal keeps that you did.",
)
@key_options
@click.option("--dry-run", is_flag=True, help="Show what would be staged, and stop.")
@answer_options
@command_errors
def command(  # noqa: PLR0917 - one for each option
    source: Path,
    target: Path,
    run: Path | None,
    run_key: str,
    run_log: Path | None,
    reason: str,
    license: str,
    base_model: str,
    datasets: tuple[str, ...],
    tags: tuple[str, ...],
    benchmarks: tuple[str, ...],
    links: tuple[str, ...],
    with_optimizer: bool,
    allow_unsigned: bool,
    key_file: Path | None,
    passphrase_file: Path | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Make a package of a checkpoint in the new folder DIR: weights, model card, training log,
    passport, sign-off, evaluation results and the run's events, without what is private. SOURCE is
    the checkpoint's folder; or a recorded run, or an experiment with --run-key, that left one.

    The sizes are said first. Weights are shared with the checkpoint where the filesystem can, and
    copied else. The package is checked before it gets its name; what was hidden, and where, stands
    in DIR.REDACTIONS.json beside it. Typed again after an interruption, the command continues.

    Exit code: 0 if it was staged; 1 if a check fails, or nobody has signed the checkpoint; 2 if DIR
    is there, SOURCE is no checkpoint, or a reason is missing.

    Example: watchkeeper publish stage artifacts/epoch_1 -o package --key ~/keys/ada.pem
    """
    request = Request(
        reason=reason,
        with_optimizer=with_optimizer,
        allow_unsigned=allow_unsigned,
        declared=Declared(
            license=license,
            base_model=base_model,
            datasets=datasets,
            tags=tags,
            benchmarks=_benchmarks(benchmarks),
            public_links=links,
        ),
    )
    key = load_key(key_file, passphrase_file)
    try:
        made_from = source_of(source, run, run_key)
        request = _with_links(request, public_pages(made_from))
        plan = make_plan(made_from, target, request)
        if not as_json:
            _show_plan(plan)
        if dry_run:
            return _answer_plan(plan, as_json=as_json)
        progress = HashingProgress(plan.copy_bytes + plan.contents.size_bytes)
        try:
            story = story_of(plan.source, run_log)
            staged = stage(plan, story, request, key=key, progress=progress.add)
        finally:
            progress.end()
    except _REFUSALS as error:
        return _refuse(target, error, as_json=as_json)
    return _show(plan, staged, as_json=as_json)


class StageData(msgspec.Struct, frozen=True, kw_only=True):
    """The package and its checks; of a dry run or a refusal only what would be in it. `step` is the
    checkpoint's name in the package. `copy_bytes` certainly have to be copied; `hashing_s` is an
    estimate in seconds. `hidden` counts what was hidden by file, and `record` says where it stands,
    null where nothing was staged. `left_out` counts the files that stay behind by reason.
    """

    checks: list[CheckEntry]
    package: str
    checkpoint: str | None
    run: str | None
    step: str | None
    files: int
    size_bytes: int
    copy_bytes: int
    hashing_s: float
    left_out: dict[str, int]
    verdict: str | None
    reason: str | None
    hidden: dict[str, int]
    record: str | None


ANSWERS = (StageData,)


def _with_links(request: Request, pages: Sequence[str]) -> Request:
    """With the public pages of the run itself before those that were given."""
    links = dict.fromkeys([*pages, *request.declared.public_links])
    declared = msgspec.structs.replace(request.declared, public_links=tuple(links))
    return msgspec.structs.replace(request, declared=declared)


def _benchmarks(given: Sequence[str]) -> dict[str, str]:
    """Task → the dataset on the Hub, from `clean=ada/clean` and the like.

    Raises:
        UsageError: one is not of that form.
    """
    pairs = {}
    for one in given:
        task, equals, repo = one.partition("=")
        if not (task and equals and repo):
            raise UsageError(
                f"--benchmark {one!r} names no dataset", hint="give it as TASK=OWNER/NAME"
            )
        pairs[task] = repo
    return pairs


def _show_plan(plan: Plan) -> None:
    """Print what would be staged: where to, how much, how long hashing takes, and what is
    left out.
    """
    if is_quiet():
        return
    held = plan.contents
    folder = f"checkpoints/{plan.step}"
    count = f"{_files(len(held.items))}, {size(held.size_bytes)}"
    click.echo(printable(f"{plan.source.root} → {plan.target}/{folder}: {count}"))
    click.echo(printable(f"  {_way(plan)}; hashing takes about {clock(plan.hashing_s)}"))
    for why, files, size_bytes in contents.totals(held.left_out):
        click.echo(f"  left out: {_files(files)}, {size(size_bytes)}: {why}")


def _files(count: int) -> str:
    """`1 file`, `2,000 files`."""
    return "1 file" if count == 1 else f"{count:,} files"


def _way(plan: Plan) -> str:
    """How the files get into the package, in words."""
    if not plan.copy_bytes:
        return "on the same filesystem: shared where it can, copied else"
    return f"{size(plan.copy_bytes)} to copy from another filesystem"


def _data(plan: Plan, staged: Staged | None) -> StageData:
    """The answer for programs; `staged` None: nothing was staged yet."""
    held = plan.contents
    hidden = {} if staged is None else {name: len(all_) for name, all_ in staged.redactions.items()}
    signoff = staged.signoff if staged is not None else None
    return StageData(
        checks=[] if staged is None else entries_of(staged.checks),
        package=str(plan.target),
        checkpoint=str(plan.source.root),
        run=plan.source.key or str(plan.source.folder),
        step=plan.step,
        files=len(held.items),
        size_bytes=held.size_bytes,
        copy_bytes=plan.copy_bytes,
        hashing_s=round(plan.hashing_s, 1),
        left_out={why: files for why, files, _ in contents.totals(held.left_out)},
        verdict=signoff.verdict if signoff is not None else None,
        reason=signoff.verdict_reason if signoff is not None else None,
        hidden=hidden,
        record=str(staged.record) if staged is not None else None,
    )


def _answer_plan(plan: Plan, *, as_json: bool) -> int:
    """Say what would be staged, and end well."""
    held = plan.contents
    summary = f"would stage {_files(len(held.items))}, {size(held.size_bytes)}"
    if not as_json:
        say(f"{summary.capitalize()}.")
        return EXIT_OK
    return answer(
        EXIT_OK,
        summary=summary,
        counts={"files": len(held.items)},
        data=_data(plan, None),
    )


def _show(plan: Plan, staged: Staged, *, as_json: bool) -> int:
    """Say what was staged, and what to read before it is published; EXIT_OK."""
    hidden = sum(map(len, staged.redactions.values()))
    summary = (
        f"{staged.root}: staged, {staged.signoff.verdict}, {size(staged.size_bytes)}; "
        f"{hidden:,} private details hidden"
    )
    if as_json:
        return answer(
            EXIT_OK,
            summary=summary,
            counts={"files": len(plan.contents.items), "hidden": hidden},
            problems=problems_of(staged.root, staged.checks),
            data=_data(plan, staged),
        )
    if is_quiet():
        click.echo(printable(str(staged.root)))
        return EXIT_OK
    soft: list[Check] = [check for check in staged.checks if check.status == "soft_signal"]
    echo_checks(staged.root, soft)
    click.echo(printable(summary))
    click.echo(printable(f"What was hidden, and why: {staged.record} (for you alone)"))
    click.echo(printable(f"Read it first: less {staged.root}/README.md"))
    return EXIT_OK


def _refuse(target: Path, error: Refusal, *, as_json: bool) -> int:
    """Show what stands against the package."""
    message = str(error)
    if not as_json:
        echo_checks(target, error.checks)
        click.echo(printable(f"watchkeeper: {message}"), err=True)
        if error.hint:
            click.echo(printable(f"  {error.hint}"), err=True)
        return error.exit_code
    first = Problem(where=str(target), message=message, hint=error.hint, code=error.code)
    return answer(
        error.exit_code,
        summary=message,
        counts={"against": len(error.checks)},
        problems=[first, *problems_of(target, error.checks)],
        data=StageData(
            checks=entries_of(error.checks),
            package=str(target),
            checkpoint=None,
            run=None,
            step=None,
            files=0,
            size_bytes=0,
            copy_bytes=0,
            hashing_s=0.0,
            left_out={},
            verdict=None,
            reason=None,
            hidden={},
            record=None,
        ),
    )
