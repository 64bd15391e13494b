"""What `run`, `submit` and `watch` share: a keeper, its signals, its progress, and the table at the
end.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
import msgspec

from watchkeeper.core import criteria, layout
from watchkeeper.core.collector import collector_paused
from watchkeeper.core.errors import EXIT_DETACHED, EXIT_FAILED, EXIT_OK, Problem
from watchkeeper.core.events import PHASES, AnyEvent, Observed, RunItem, Unknown
from watchkeeper.core.settings import load
from watchkeeper.core.state import Replay, RunState, State
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.needs import with_needs
from watchkeeper.launch import preflight, watch_job
from watchkeeper.launch.plan import UNSELECTED, Selection, check_selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies, foreign_jobs, prior
from watchkeeper.query.rows import Row, exit_code, rows
from watchkeeper.query.status import decide, with_array_tasks
from watchkeeper.query.usage.nodes import bad_nodes
from watchkeeper.query.usage.sizing import sizings
from watchkeeper.report.actionlog.render import EXPERIMENT_LOG
from watchkeeper.report.compose.history import WELL
from watchkeeper.schedulers.choose import scheduler_of
from watchkeeper.schedulers.site import Site
from watchkeeper.show.cli.answering import (
    answer,
    echo_expectations,
    echo_problems,
    is_quiet,
    shows_progress,
)
from watchkeeper.show.cli.keeping import unsigned
from watchkeeper.show.cli.keeping.asking import answers
from watchkeeper.show.cli.keeping.dry_run import show_commands
from watchkeeper.show.cli.keeping.limits import budget_notes, parse_budget, parse_criteria
from watchkeeper.show.cli.keeping.opening import open_page
from watchkeeper.show.cli.keeping.scripts import Target, problems_about, remarks
from watchkeeper.show.cli.picture import drawn, live_lines, look_at, without_watcher
from watchkeeper.show.envelope import PROGRAM
from watchkeeper.show.live.standing import StandingPicture
from watchkeeper.show.sizing import bad_node_words, sizing_table
from watchkeeper.show.standing import (
    StandingData,
    counts_of,
    most_urgent_first,
    problems_of,
    totals,
)
from watchkeeper.show.tables import compute_table, standings_words
from watchkeeper.show.terminal import Progress
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.logs.log_files import OFF
from watchkeeper.watch.logs.said import Said, check_said
from watchkeeper.watch.notify import Notifier, notifier_of
from watchkeeper.watch.outcome import compute
from watchkeeper.watch.outcome.compute import ComputeRow
from watchkeeper.watch.policy import WatchPolicy


@contextmanager
def leaving_on_signals(ask_to_leave: Callable[[str], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks the watch to leave, with the signal's name; the second is
    Python's own.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        ask_to_leave(signal.Signals(number).name)
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep(
    target: Target,
    *,
    purpose: str,
    as_json: bool,
    submits: bool = True,
    stays: bool = True,
    dry_run: bool = False,
    runs: str | None = None,
    evals: str | None = None,
    retry_failed: bool = False,
    resumes: bool = False,
    keep_going: bool = False,
    allow_unsigned: bool = False,
    verbose: bool = False,
    budget: str = "",
    expect: tuple[str, ...] = (),
    mode: str = "",
    objective: str = "",
    task: str = "",
    group: str = "",
    dataset: str = "",
    settings: tuple[str, ...] = (),
    log: Path | None = None,
    opens: bool = False,
    **flags: Any,
) -> int:
    """Keep the watch over an experiment, or over some of its scripts, and show how it ends, or only
    what it would submit. `opens`: a browser shows its page meanwhile. Returns the exit code.
    """
    limits = parse_budget(budget)
    folder = target.folder
    experiment = experiments.read(folder)
    replay = Replay(experiment.folder / layout.JOURNAL)
    state = replay.state
    copies.refuse(experiment.folder, state)
    expected = parse_criteria(expect, experiment)
    chosen = load(experiment.folder, **flags)
    said = Said(
        mode=mode,
        objective=objective,
        task=task,
        group=group,
        dataset=dataset,
        settings=settings,
        log=log.absolute() if log is not None else None,
        runs=runs,
    )
    selection = Selection(
        runs=runs,
        evals=evals,
        keys=selected_keys(experiment, target),
        retry_failed=retry_failed,
        gate=chosen.gate,
        queue_ahead=chosen.queue_ahead,
        rules=msgspec.structs.replace(Rules.of(chosen), resumes=resumes),
        allows_unsigned=allow_unsigned,
    )
    check_selection(experiment, selection)
    scheduler = scheduler_of(chosen)
    site = Site()
    if submits:
        check_said(said, _chosen_runs(experiment, target, runs))
        site = scheduler.site()
        experiment = _preflighted(experiment, state, site)
    remarked = _remarks(experiment, state, target, selection)
    echo_problems((*problems_about(experiment, target), *remarked))
    if dry_run:
        return show_commands(experiment, state, scheduler, selection, as_json=as_json)
    if submits:
        echo_problems(unsigned.warnings(experiment, state, selection, _coming(experiment, state)))
        echo_problems(prior.notes(experiment, selection, chosen.run_logs, said, state=state))
    may_ask = submits and not as_json and chosen.run_logs != OFF
    answered = answers(experiment, said) if may_ask else None
    progress = _progress_of(experiment, target, is_live=stays and not verbose)
    notifier = notifier_of(chosen, experiment.name)

    def tell(event: AnyEvent | Unknown) -> None:
        progress.tell(event)
        # Of several watchers, the one that wrote the event sends it.
        if event.writer == keeper.logbook.writer.id:
            notifier.tell(event)

    def turned(one: Keeper) -> None:
        progress.count(standings_words(one.plan, one.logbook.state))
        if one.logbook.leads:
            record_failures(one, notifier)

    keeper = Keeper(
        experiment,
        scheduler,
        msgspec.structs.replace(
            WatchPolicy.of(chosen, scheduler, site),
            keeps_going=keep_going,
        ),
        selection,
        purpose=purpose,
        submits=submits,
        stays=stays,
        restarted=watch_job.is_restarted(os.environ),
        tell=tell,
        turned=turned,
        run_logs=chosen.run_logs,
        said=said,
        cluster=chosen.cluster or "",
        budget=limits,
        expect=expected if submits else {"--expect": expected["--expect"]},
        replay=replay,
    )
    echo_problems(budget_notes(keeper.spending, keeper.logbook.state))
    if submits:
        echo_problems(tuple(keeper.runbook.unheeded()))
    if answered is not None:
        keeper.runbook.remember(answered)
    if opens:
        open_page(experiment.folder, is_quiet=is_quiet())
    ended = _watch(keeper, progress, notifier)
    table_rows = rows_of(keeper, experiment, target)
    problems = problems_about(experiment, target)
    code = exit_code_of(keeper, problems, table_rows, ended=ended, stays=stays)
    detached = detached_words(keeper.why, f"watchkeeper {purpose} {folder}", stays and not ended)
    if as_json:
        return _answer(
            keeper,
            experiment,
            table_rows,
            code,
            cluster=chosen.cluster or "",
            ended=ended,
            detached=detached,
        )
    _show(keeper, experiment, folder, table_rows, detached)
    _name_report(experiment, ended=ended)
    return code


def _progress_of(
    experiment: experiments.Experiment, target: Target, *, is_live: bool
) -> Progress | StandingPicture:
    """What is shown meanwhile: on a terminal the picture of `status`, else the events."""
    shown = shows_progress()
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    if not (shown and is_live and is_terminal):
        return Progress(shown=shown)
    keys = [item.key for item in experiment.items]
    if target.keys is not None:
        keys = [key for key in keys if key in target.keys]
    return StandingPicture(sys.stderr, partial(live_lines, experiment, target.folder, keys))


def _remarks(
    experiment: experiments.Experiment, state: State, target: Target, selection: Selection
) -> list[Problem]:
    """A note on each script that was submitted before: how it stands, and what changed since."""
    if target.runs is None:
        return []
    plan, _ = decide(experiment, state, selection)
    return list(remarks(experiment, target, plan))


def selected_keys(experiment: experiments.Experiment, target: Target) -> frozenset[str] | None:
    """The runs of the scripts that were named, and what they need; None: all."""
    if target.keys is None:
        return None
    return with_needs(target.keys, {item.key: item.needs for item in experiment.items})


def _chosen_runs(
    experiment: experiments.Experiment, target: Target, runs: str | None
) -> frozenset[str]:
    """The names of the runs that are to be kept: of the scripts that were named, else those that
    match the glob `runs`; None: all of them.
    """
    if target.keys is not None:
        return target.keys
    names = {item.run for item in experiment.items}
    if runs is None:
        return frozenset(names)
    return frozenset(name for name in names if fnmatchcase(name, runs))


def rows_of(keeper: Keeper, experiment: experiments.Experiment, target: Target) -> list[Row]:
    """The table's rows: of the scripts that were named, or of the whole experiment."""
    state = keeper.logbook.state
    table = rows(experiment, state, keeper.plan, keeper.book.findings)
    if target.keys is not None:
        table = [row for row in table if row.key in target.keys]
    return with_array_tasks(experiment, state, table)


def _preflighted(
    experiment: experiments.Experiment, state: State, site: Site
) -> experiments.Experiment:
    """The experiment with the problems that its scripts, the site and other tools' logs show. Other
    tools' logs are read before they are set aside; the scripts, where one may be submitted.
    """
    checked = preflight.checked(experiment, site, coming=bool(_coming(experiment, state)))
    problems = (*checked.problems, *foreign_jobs.notes(experiment.folder, state))
    return msgspec.structs.replace(checked, problems=problems)


def _coming(experiment: experiments.Experiment, state: State) -> list[RunItem]:
    """The work of which the journal has no good end, so that it is likely to be submitted."""
    return [item for item in experiment.items if not _has_gone_well(item, state.run(item.key))]


def _has_gone_well(item: RunItem, run: RunState) -> bool:
    """Whether nothing more has to be done for a piece of work. A control has nothing to train; a
    stale result does not count.
    """
    if item.control and item.phase == "preparation":
        return True
    latest = run.latest
    if latest is None or latest.judged is None or run.stale:
        return False
    return latest.judged.outcome in WELL


def record_failures(keeper: Keeper, notifier: Notifier) -> None:
    """Write down each notification that could not be sent."""
    for failure in notifier.failures():
        keeper.logbook.write(Observed, what="notification failed", detail=failure)


def _watch(keeper: Keeper, progress: Progress | StandingPicture, notifier: Notifier) -> bool:
    """Keep the watch to its end (True), or until it is left."""
    with leaving_on_signals(keeper.ask_to_leave):
        try:
            ended = keeper.keep()
        finally:
            notifier.close()
            progress.end()
    echo_problems(unsent(words) for words in notifier.failures())
    return ended


def unsent(words: str) -> Problem:
    """The warning that a notification was not sent; `words` say why."""
    return Problem(
        where="notify",
        message=f"a notification could not be sent: {words}",
        severity="warning",
        code="notification-failed",
    )


def _answer(
    keeper: Keeper,
    experiment: experiments.Experiment,
    found: list[Row],
    code: int,
    *,
    cluster: str,
    ended: bool,
    detached: str,
) -> int:
    """Where everything stands now, for a program."""
    folder = str(experiment.folder)
    used = _compute_of(keeper, experiment, found)
    return answer(
        code,
        summary=" ".join(filter(None, [f"{totals(found)}.", detached])),
        counts=counts_of(found),
        problems=problems_of(found, folder, cluster),
        data=StandingData(
            experiment=experiment.name,
            folder=folder,
            rows=most_urgent_first(found),
            ended=ended,
            compute=used,
            expected=criteria.standings(keeper.logbook.journal.events),
            sizing=sizings(keeper.logbook.state, used),
            bad_nodes=bad_nodes(keeper.logbook.state, [row.key for row in found]),
        ),
        more_from=("status", folder, "--json"),
    )


def detached_words(why: str, command: str, is_detached: bool) -> str:
    """That the watch was left, why, and by which `command` it continues; "" where it was not."""
    if not is_detached:
        return ""
    return f"Detached ({why}): the jobs keep running; `{command}` continues the watch."


def _show(
    keeper: Keeper,
    experiment: experiments.Experiment,
    folder: Path,
    found: list[Row],
    detached: str,
) -> None:
    """Where everything stands now, which logs say it, and that the watch was left, if it was."""
    if is_quiet():
        click.echo(totals(found))
    else:
        _show_table(keeper, experiment, folder, found)
    if detached:
        click.echo(detached)


def _compute_of(
    keeper: Keeper, experiment: experiments.Experiment, found: list[Row]
) -> list[ComputeRow]:
    """What the attempts at the work in the table took."""
    keys = {row.key for row in found}
    computed = compute.read(experiment, keeper.logbook.state)
    return [row for row in computed if row.key in keys]


@collector_paused()
def _show_table(
    keeper: Keeper, experiment: experiments.Experiment, folder: Path, found: list[Row]
) -> None:
    """Show what came of an experiment: its page, what its jobs took, its budget and criteria, and
    where its logs are. `found` are the rows of the work that was watched.
    """
    used = _compute_of(keeper, experiment, found)
    replay = keeper.logbook.replay
    replay.refresh()
    page = look_at(experiment, replay, folder, [row.key for row in found])
    click.echo(drawn(without_watcher(page)))
    if words := compute_table(used):
        click.echo(f"\n{words}")
    state = keeper.logbook.state
    if words := sizing_table(sizings(state, used), whole=False):
        click.echo(f"\n{words}")
    if words := bad_node_words(bad_nodes(state, [row.key for row in found])):
        click.echo(f"\n{words}")
    if words := keeper.spending.describe(keeper.logbook.state):
        click.echo(f"\nBudget: {words}")
    echo_expectations(criteria.standings(keeper.logbook.journal.events))
    names = keeper.logbook.log_names
    logs = [experiment.folder / names[phase] for phase in PHASES if phase in names]
    logs.append(experiment.folder / EXPERIMENT_LOG)
    pages = [path for path in keeper.runbook.folders if path.exists()]
    click.echo("\nLogs: " + "  ".join(_relative(path) for path in [*logs, *pages] if path.exists()))


def exit_code_of(
    keeper: Keeper,
    problems: tuple[Problem, ...],
    found: list[Row],
    *,
    ended: bool,
    stays: bool,
) -> int:
    """3 while jobs are under way; of a submission alone 1 where something was refused, or a phase
    halted; else as everything stands.
    """
    if not ended and stays:
        return EXIT_DETACHED
    if not ended:
        if keeper.refused or keeper.is_halted:
            return EXIT_FAILED
        return EXIT_OK
    errors = any(problem.severity == "error" for problem in problems)
    asked = [d.key for d in keeper.plan.decisions if d.reason != UNSELECTED]
    return exit_code(found, selected=asked, problems=errors)


def _name_report(experiment: experiments.Experiment, *, ended: bool) -> None:
    """What to type for an experiment that has ended as one file."""
    if not ended or is_quiet():
        return
    folder = _relative(experiment.folder)
    name = "report" if folder == "." else experiment.folder.name
    words = shlex.join((PROGRAM, "report", folder, "-o", f"{name}.html"))
    click.echo(f"Report: {words}")


def _relative(path: Path) -> str:
    """A path as it would be typed in this folder; whole where it lies elsewhere."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
