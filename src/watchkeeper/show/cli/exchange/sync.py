"""`watchkeeper wandb sync`: offline runs of W&B to a server, and whether they arrived."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN, Problem, UsageError
from watchkeeper.core.settings import load
from watchkeeper.core.text.figures import size
from watchkeeper.publish.wandb import staging
from watchkeeper.publish.wandb.calling import Wandb, local_wandb, remote_wandb
from watchkeeper.publish.wandb.offline import grouped
from watchkeeper.publish.wandb.plan import GENERIC_PROJECTS, RunPlan, SyncPlan, plan_sync
from watchkeeper.publish.wandb.server import Server, server_from
from watchkeeper.publish.wandb.sync import Sent, Syncer
from watchkeeper.publish.wandb.token import find_token
from watchkeeper.query.wandb.owners import files_of
from watchkeeper.schedulers.choose import profile_of
from watchkeeper.schedulers.shell import Here, Ssh
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.exchange.pages import Kept, keep_pages
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.text import printable


@click.command("sync")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option("-e", "--entity", default="", metavar="NAME", help="The team or user to send to.")
@click.option("-p", "--project", default="", metavar="NAME", help="The project to send to.")
@click.option(
    "--public-project",
    default="",
    metavar="NAME",
    help="Send a second copy to this project, which is, or is to be made, public.",
)
@click.option("--generic", is_flag=True, help="Send to a project even if its name is generic.")
@click.option(
    "--server",
    "url",
    metavar="URL",
    help="The server. Default: WANDB_BASE_URL, else https://api.wandb.ai",
)
@click.option(
    "--wandb-token-file",
    "token_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The key. Default: ~/.wandb_token, else ~/.wandb_key",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=1800.0,
    metavar="SECONDS",
    help="The longest that one run may take. Default: 1800",
)
@click.option("--again", is_flag=True, help="Send also what W&B marked as synced before.")
@click.option(
    "--remove-staging",
    is_flag=True,
    help="Remove W&B's staged copies of artifacts once every run was synced.",
)
@click.option(
    "--cluster",
    metavar="NAME",
    help="Call wandb on this cluster of watchkeeper.toml, which sees PATH under the same path.",
)
@click.option(
    "--of",
    "owner",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="The experiment or recorded run that left the runs. Default: the one that PATH lies in.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan, and stop.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@answer_options
@command_errors
def command(  # noqa: PLR0917 - one for each option
    paths: tuple[Path, ...],
    entity: str,
    project: str,
    public_project: str,
    generic: bool,
    url: str | None,
    token_file: Path | None,
    timeout_s: float,
    again: bool,
    remove_staging: bool,
    cluster: str | None,
    owner: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Send runs that W&B kept on this disk to a server, and say whether they arrived. PATH is a
    folder `offline-run-…`, any folder with some in it, a recorded run, or an experiment.

    Entity and project are always yours to name: what a run was begun for may be stale. The plan is
    shown first. A run counts as synced when W&B has marked it and the server, asked afterwards, has
    all its rows; the exit code of `wandb sync` is not believed. A run that is still running, or
    whose rows the server has already, is not sent.

    The page of a synced run is written down with the attempt that left it: in its run log it stands
    in that attempt's job block and under W&B. A public copy has its own evidence and its own page;
    it holds all that W&B kept: host, paths, command line and output too.

    Ends with 0 when all are synced, 1 when one is not, 4 when the server does not say what it has.

    Example: watchkeeper wandb sync wandb -e my-team -p my-project --dry-run
    """
    _check_target(entity, project)
    server = server_from(url)
    sources, problems = grouped(_files(paths))
    plans = [plan_sync(sources, entity=entity, project=project, again=again)]
    if public_project:
        plans.append(plan_sync(sources, entity=entity, project=public_project, is_copy=True))
    if not as_json:
        _show(plans, server)
    echo_problems(problems)
    results = [Result(plan) for plan in plans]
    syncer: Syncer | None = None
    if any(plan.ready for plan in plans) and not dry_run:
        _check_generic(plans, allowed=generic, may_ask=not as_json)
        _confirm(plans, yes=yes, may_ask=not as_json)
        syncer = Syncer(server, find_token(token_file), _wandb(cluster), timeout_s=timeout_s)
        if not as_json:
            _show_versions(syncer)
        given = list(paths)
        if owner is not None:
            given = [owner]
        for number, result in enumerate(results):
            result.send(syncer, given, is_public=number > 0, is_shown=not as_json)
    removed = 0
    if remove_staging and not dry_run:
        removed = _remove_staging(results)
    exit_code = _exit_code(results, problems, is_dry=dry_run)
    summary = _summary(results, is_dry=dry_run)
    if as_json:
        return answer(
            exit_code,
            summary=summary,
            counts=_counts(results),
            problems=[*problems, *(problem for one in results for problem in one.problems)],
            data=_data(results, server, removed, syncer),
        )
    if removed:
        say(f"{size(removed)} of staged copies removed.")
    say(summary)
    return exit_code


class Result:
    """A plan, and what came of it: each run that was sent, and what is to be said beside it."""

    def __init__(self, plan: SyncPlan) -> None:
        self.plan = plan
        self.sent: list[Sent] = []
        self.problems: list[Problem] = []

    def send(
        self, syncer: Syncer, given: Sequence[Path], *, is_public: bool, is_shown: bool
    ) -> None:
        """Send each run, and write its page down at once: a later one may take its time."""
        for one in syncer.sync(self.plan):
            self.sent.append(one)
            if is_shown:
                click.echo(printable(_line(one)))
            kept = keep_pages(self.plan, [one], given, public=is_public)
            self.problems += kept.problems
            if is_shown:
                _show_kept(kept)


def _wandb(cluster: str | None) -> Wandb:
    """`wandb` here, or on a cluster: over its `ssh`, or where this is its login node, here.

    Raises:
        UsageError: the settings name no such cluster.
    """
    if cluster is None:
        return local_wandb()
    profile = profile_of(load(Path.cwd(), acts=False), cluster)
    prefix = profile.command_prefix
    if profile.ssh:
        return remote_wandb(Ssh(profile.ssh, prefix=prefix), cluster)
    return remote_wandb(Here(prefix=prefix), cluster)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The `.wandb` files that the paths mean, each once, though several paths lead to it."""
    files = [path for given in paths for path in files_of(given)]
    return list({path.resolve(): path for path in files}.values())


def _show_kept(kept: Kept) -> None:
    """Say where the pages stand now."""
    echo_problems(kept.problems)
    if is_quiet():
        return
    for owner in kept.owners:
        place = "its journal"
        if owner.folder in kept.shown:
            place = "its run log"
        click.echo(printable(f"  the page is in {place}: {owner.words}"))


class SyncRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `refusal` is why it was not sent; `outcome` what came of it, "" where it was not
    sent; `rows_held` how many rows the server says it has, null where it did not say; `why` the
    reason of an outcome that is not `synced`. `remark` is what is to be known of the version of
    wandb that logged it, "" for nothing.
    """

    id: str
    name: str
    folders: list[str]
    rows: int
    bytes: int
    own_target: str
    refusal: str
    outcome: str
    rows_held: int | None
    why: str
    url: str
    remark: str


class SyncData(msgspec.Struct, frozen=True, kw_only=True):
    """Where the runs went, each run, and W&B's staged copies: their bytes, and how many were
    removed. `public_runs` are the same of the second copy; `public_project` is "" for none.
    `wandb_version` is what sent them, `server_version` what the server says it is: both "" where
    nothing was to be sent, the second also where the server does not say.
    """

    server: str
    entity: str
    project: str
    runs: list[SyncRow]
    staged_bytes: int
    removed_bytes: int
    public_project: str
    public_runs: list[SyncRow]
    wandb_version: str
    server_version: str


ANSWERS = (SyncData,)


def _check_target(entity: str, project: str) -> None:
    """Refuse to send anything to a place that nobody named.

    Raises:
        UsageError: the entity or the project is not given, or blank.
    """
    missing: list[str] = []
    if not entity.strip():
        missing.append("--entity")
    if not project.strip():
        missing.append("--project")
    if missing:
        raise UsageError(
            f"{' and '.join(missing)}: not given",
            hint="name both: what a run was begun for is not taken, it may be stale",
        )


def _check_generic(plans: Sequence[SyncPlan], *, allowed: bool, may_ask: bool) -> None:
    """Ask about each project with a generic name, such as `test`; refuse without a terminal.

    Raises:
        UsageError: the answer is no, or nobody can be asked.
    """
    if allowed:
        return
    for project in (plan.project for plan in plans):
        if project.casefold() not in GENERIC_PROJECTS:
            continue
        if may_ask and sys.stdin.isatty() and click.confirm(f"The project is {project!r}. Right?"):
            continue
        raise UsageError(
            f"the project's name {project!r} is generic",
            hint="give another --project, or pass --generic",
        )


def _confirm(plans: Sequence[SyncPlan], *, yes: bool, may_ask: bool) -> None:
    """Ask before anything is sent. `yes`: the person has said so already.

    Raises:
        UsageError: the answer is no, or there is no terminal to ask on.
    """
    if yes:
        return
    count = max(len(plan.ready) for plan in plans)
    places = " and ".join(f"{plan.entity}/{plan.project}" for plan in plans)
    question = f"Send {_run_count(count)} to {places}?"
    if may_ask and sys.stdin.isatty() and click.confirm(question):
        return
    raise UsageError("nothing was sent", hint="pass --yes to send, --dry-run to see the plan")


def _show(plans: Sequence[SyncPlan], server: Server) -> None:
    """Print the plans: where to, each run with its size, and what lies beside it."""
    if is_quiet():
        return
    for number, plan in enumerate(plans):
        place = f"To {plan.entity}/{plan.project} at {server.url}"
        if number:
            place += " (a public copy: host, paths, command line and output are in it)"
        click.echo(printable(place))
        for run in plan.runs:
            click.echo(printable(_plan_line(run)))
            if run.refusal:
                click.echo(printable(f"    not sent: {run.refusal}"))
            if run.remark:
                click.echo(printable(f"    {run.remark}"))
    for one in _staged(plans[0]):
        text = f"  staged copies: {len(one.files)} files, {size(one.bytes)} in {one.folder}"
        click.echo(printable(text))


def _show_versions(syncer: Syncer) -> None:
    """Say which versions will speak to each other."""
    if is_quiet():
        return
    server = syncer.server_version
    says = "the server does not say its version"
    if server:
        says = f"the server is W&B {server}"
    click.echo(printable(f"With wandb {syncer.wandb_version}; {says}"))


def _plan_line(run: RunPlan) -> str:
    """`  r8 (abc123): 1,000 rows, 2.1 MB, 2 segments, begun for team/project`."""
    named = run.run_id
    if run.name:
        named = f"{run.name} ({run.run_id})"
    parts = [_counted(run.rows), size(run.bytes)]
    if len(run.folders) > 1:
        parts.append(f"{len(run.folders)} segments")
    if run.own_target:
        parts.append(f"begun for {run.own_target}")
    return f"  {named}: {', '.join(parts)}"


def _counted(rows: int) -> str:
    """`1 row`, `2,000 rows`."""
    if rows == 1:
        return "1 row"
    return f"{rows:,} rows"


def _run_count(count: int) -> str:
    """`1 run`, `2 runs`."""
    if count == 1:
        return "1 run"
    return f"{count} runs"


def _line(sent: Sent) -> str:
    """What came of a run that was sent: `abc123: synced, the server has all 1,000 rows`, with its
    page below; or why it is not synced, or not known to be.
    """
    if is_quiet():
        return f"{sent.run_id} {sent.outcome}"
    if sent.outcome == "synced":
        has = f"the server has all {sent.rows:,} rows"
        if sent.rows == 1:
            has = "the server has its row"
        return f"{sent.run_id}: synced, {has}\n  {sent.url}"
    word = "not known"
    if sent.outcome == "failed":
        word = "NOT synced"
    return f"{sent.run_id}: {word}: {sent.why}"


def _staged(plan: SyncPlan) -> list[staging.Staging]:
    """Each folder of W&B's staged copies of artifacts once, though several runs share it."""
    return list({one.folder: one for run in plan.runs for one in run.staging}.values())


def _remove_staging(results: Sequence[Result]) -> int:
    """Remove the staged copies if every run that may need them is on the server; bytes freed.

    Raises:
        UsageError: one is not.
    """
    waiting = list(dict.fromkeys(name for one in results for name in _not_arrived(one)))
    if waiting:
        raise UsageError(
            f"the staged copies stay: {', '.join(waiting[:5])} may still need them",
            hint="sync every run in the folder first",
        )
    return sum(staging.remove(one) for one in _staged(results[0].plan))


def _not_arrived(result: Result) -> list[str]:
    """The runs of a plan that are not on the server, or not known to be."""
    synced = {one.run_id for one in result.sent if one.outcome == "synced"}
    return [run.run_id for run in result.plan.runs if run.run_id not in synced]


def _exit_code(results: Sequence[Result], problems: Sequence[Problem], *, is_dry: bool) -> int:
    """1 where something failed, could not be read or was refused; 4 where the server did not say;
    else 0. A run that is marked as synced already is no refusal, and a plan alone refuses nothing.
    """
    outcomes = {one.outcome for result in results for one in result.sent}
    runs = [run for result in results for run in result.plan.runs]
    open_refusals = [run for run in runs if run.refusal and not run.is_marked]
    if problems or "failed" in outcomes or (open_refusals and not is_dry):
        return EXIT_FAILED
    if "unknown" in outcomes:
        return EXIT_UNKNOWN
    return EXIT_OK


def _counts(results: Sequence[Result]) -> dict[str, int]:
    """Outcome → runs; a second, public copy of a run is counted as another one.

    {"synced": 2, "failed": 0, "unknown": 0, "not sent": 1}
    """
    outcomes = [one.outcome for result in results for one in result.sent]
    return {
        "synced": outcomes.count("synced"),
        "failed": outcomes.count("failed"),
        "unknown": outcomes.count("unknown"),
        "not sent": sum(len(result.plan.runs) for result in results) - len(outcomes),
    }


def _summary(results: Sequence[Result], *, is_dry: bool) -> str:
    """`2 synced, 1 failed.`; of a plan alone, how many runs would be sent."""
    if is_dry:
        count = len({run.run_id for result in results for run in result.plan.ready})
        return f"{_run_count(count)} would be sent; nothing was."
    counts = _counts(results)
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return ", ".join(parts) + "."


def _data(
    results: Sequence[Result], server: Server, removed: int, syncer: Syncer | None
) -> SyncData:
    """The answer for programs. `removed` are the bytes of staged copies that were removed; `syncer`
    is None where nothing was to be sent.
    """
    plan = results[0].plan
    public_project = ""
    public_runs: list[SyncRow] = []
    if len(results) > 1:
        public_project = results[1].plan.project
        public_runs = _rows(results[1])
    wandb_version = server_version = ""
    if syncer is not None:
        wandb_version, server_version = syncer.wandb_version, syncer.server_version
    return SyncData(
        server=server.url,
        entity=plan.entity,
        project=plan.project,
        runs=_rows(results[0]),
        staged_bytes=sum(one.bytes for one in _staged(plan)),
        removed_bytes=removed,
        public_project=public_project,
        public_runs=public_runs,
        wandb_version=wandb_version,
        server_version=server_version,
    )


def _rows(result: Result) -> list[SyncRow]:
    """A row for each run of a plan, in its order, sent or not."""
    by_id = {one.run_id: one for one in result.sent}
    return [_row(run, by_id.get(run.run_id)) for run in result.plan.runs]


def _row(run: RunPlan, sent: Sent | None) -> SyncRow:
    """One run for programs; `sent` None: it was not sent."""
    row = SyncRow(
        id=run.run_id,
        name=run.name,
        folders=[str(folder) for folder in run.folders],
        rows=run.rows,
        bytes=run.bytes,
        own_target=run.own_target,
        refusal=run.refusal,
        outcome="",
        rows_held=None,
        why="",
        url="",
        remark=run.remark,
    )
    if sent is None:
        return row
    return msgspec.structs.replace(
        row, outcome=sent.outcome, rows_held=sent.rows_held, why=sent.why, url=sent.url
    )
