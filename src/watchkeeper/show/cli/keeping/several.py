"""`watch` of several experiments: one process, one look at each scheduler for all of them."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core import layout
from watchkeeper.core.errors import (
    EXIT_DETACHED,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNKNOWN,
    EXIT_USAGE,
    Problem,
    WatchkeeperError,
)
from watchkeeper.core.events import AnyEvent, Unknown
from watchkeeper.core.settings import Cluster, Settings, load
from watchkeeper.core.state import Replay
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import watch_job
from watchkeeper.launch.plan import Selection, check_selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query import copies
from watchkeeper.query.rows import Row
from watchkeeper.schedulers.base import SubmitHost
from watchkeeper.schedulers.choose import profile_of, scheduler_of
from watchkeeper.schedulers.site import Site
from watchkeeper.show.cli.answering import (
    answer,
    echo_problems,
    is_quiet,
    problems_of,
    shows_progress,
)
from watchkeeper.show.cli.keeping.keep import (
    detached_words,
    exit_code_of,
    leaving_on_signals,
    record_failures,
    rows_of,
    selected_keys,
    unsent,
)
from watchkeeper.show.cli.keeping.limits import parse_criteria
from watchkeeper.show.cli.keeping.scripts import Target, problems_about
from watchkeeper.show.envelope import PROGRAM
from watchkeeper.show.live.standing import StandingPicture
from watchkeeper.show.standing import WatchedData, WatchedEntry, counts_of, counts_words
from watchkeeper.show.standing import problems_of as problems_of_rows
from watchkeeper.show.tables import standings_words
from watchkeeper.show.terminal import Progress
from watchkeeper.show.text import printable, shorten, table
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.notify import Notifier, notifier_of
from watchkeeper.watch.policy import WatchPolicy
from watchkeeper.watch.together.looks import SharedLook
from watchkeeper.watch.together.watches import Group, Together

BAD_TO_WORSE = (EXIT_OK, EXIT_DETACHED, EXIT_UNKNOWN, EXIT_FAILED, EXIT_USAGE)
"""The exit codes of watches; of several, the worst is the command's."""


class _One(msgspec.Struct, frozen=True, kw_only=True):
    """One of the experiments, read: nothing of its watch has begun."""

    target: Target
    experiment: Experiment
    settings: Settings
    selection: Selection
    expect: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder as it was typed."""
        return str(self.target.folder)

    @property
    def place(self) -> Cluster | tuple[int | None, str | None]:
        """Which scheduler it has: those with the same place share its looks."""
        if self.settings.cluster is None:
            return self.settings.slots, self.settings.gpus
        return profile_of(self.settings, self.settings.cluster)


class _Watch:
    """One of the watches. `problems`: what it failed by, `code`: the exit code of that."""

    def __init__(
        self,
        one: _One,
        scheduler: SubmitHost,
        look: SharedLook,
        progress: Progress | StandingPicture,
    ) -> None:
        self.one = one
        self.progress = progress
        self.notifier: Notifier = notifier_of(one.settings, one.experiment.name)
        self.problems: list[Problem] = []
        self.code = EXIT_OK
        self.keeper = Keeper(
            one.experiment,
            scheduler,
            WatchPolicy.of(one.settings, scheduler, Site()),
            one.selection,
            purpose="watch",
            submits=False,
            restarted=watch_job.is_restarted(os.environ),
            tell=self._tell,
            turned=self._turned,
            run_logs=one.settings.run_logs,
            cluster=one.settings.cluster or "",
            expect={"--expect": parse_criteria(one.expect, one.experiment)["--expect"]},
            ask=look.poll,
        )

    @property
    def words(self) -> str:
        """How it stands now, on one line."""
        if self.problems:
            return f"error: {self.problems[0].message}"
        return standings_words(self.keeper.plan, self.keeper.logbook.state)

    def fail(self, error: Exception) -> None:
        """Say what the watch failed by; the others continue."""
        self.code = EXIT_FAILED
        if isinstance(error, WatchkeeperError | OSError):
            self.code = getattr(error, "exit_code", EXIT_FAILED)
            problems = problems_of(error)
        else:
            traceback.print_exception(error)
            problems = [Problem(where="", message=repr(error), code="bug")]
        self.problems = _placed(self.one.name, problems)
        self.progress.end()
        echo_problems(self.problems)

    def _tell(self, event: AnyEvent | Unknown) -> None:
        """Show an event as progress, and send it where it is worth a notification."""
        self.progress.tell(event)
        # Of several watchers, the one that wrote the event sends it.
        if event.writer == self.keeper.logbook.writer.id:
            self.notifier.tell(event)

    def _turned(self, keeper: Keeper) -> None:
        """Show where the watch stands after a turn. Only the leader writes down what could not be
        sent.
        """
        self.progress.count(f"{self.one.name}: {self.words}")
        if keeper.logbook.leads:
            record_failures(keeper, self.notifier)


def keep_several(
    folders: Sequence[Path],
    chosen: Selection,
    *,
    as_json: bool,
    verbose: bool = False,
    expect: tuple[str, ...] = (),
    **flags: Any,
) -> int:
    """Watch several experiments, of each the work that the globs choose, to their ends, and show
    how each ended. Submits nothing. Returns the worst of their exit codes.

    Raises:
        UsageError: one of them cannot be watched as it was named; nothing has begun.
    """
    ones: list[_One] = []
    for folder in folders:
        with _named(folder):
            ones.append(_read(folder, chosen, expect, flags))
    groups, watches = _opened(ones, is_live=not verbose)
    for one in ones:
        echo_problems(_placed(one.name, problems_about(one.experiment, one.target)))
    by_keeper = {watch.keeper: watch for watch in watches}
    together = Together(
        groups,
        failed=lambda keeper, error: by_keeper[keeper].fail(error),
        begun=partial(_name_leaders, watches),
    )
    with _shown_to_the_end(watches), leaving_on_signals(together.ask_to_leave):
        together.keep()
    for watch in watches:
        echo_problems(_placed(watch.one.name, map(unsent, watch.notifier.failures())))
    rows = [_rows(watch) for watch in watches]
    entries = [
        _entry(watch, found, ended=together.over.get(watch.keeper) == "ended")
        for watch, found in zip(watches, rows, strict=True)
    ]
    return _answer(watches, rows, entries, as_json=as_json)


def keys_of(folder: Path, chosen: Selection) -> frozenset[str] | None:
    """The work of an experiment that the globs choose; None: all, where there are none.

    Raises:
        UsageError: one of them chooses none.
    """
    if chosen == Selection():
        return None
    experiment = experiments.read(folder)
    check_selection(experiment, chosen)
    items = experiment.items
    return frozenset(item.key for item in items if chosen.has(item.phase, item.run, item.key))


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Put the experiment's folder, as it was typed, before the message of an error."""
    try:
        yield
    except WatchkeeperError as error:
        error.args = (f"{folder}: {error}",)
        raise


def _read(folder: Path, chosen: Selection, expect: tuple[str, ...], flags: dict[str, Any]) -> _One:
    """Read one experiment.

    Raises:
        UsageError: it cannot be watched as it was named.
    """
    experiment = experiments.read(folder)
    copies.refuse(experiment.folder, Replay(experiment.folder / layout.JOURNAL).state)
    parse_criteria(expect, experiment)
    settings = load(experiment.folder, **flags)
    target = Target(folder=folder, only=keys_of(folder, chosen))
    selection = Selection(
        keys=selected_keys(experiment, target),
        gate=settings.gate,
        queue_ahead=settings.queue_ahead,
        rules=Rules.of(settings),
    )
    if settings.cluster is not None:
        profile_of(settings, settings.cluster)
    return _One(
        target=target,
        experiment=experiment,
        settings=settings,
        selection=selection,
        expect=expect,
    )


def _opened(ones: Sequence[_One], *, is_live: bool) -> tuple[list[Group], list[_Watch]]:
    """The watches, and their groups: one for each scheduler."""
    schedulers: dict[object, tuple[SubmitHost, SharedLook]] = {}
    for one in ones:
        if one.place not in schedulers:
            scheduler = scheduler_of(one.settings)
            schedulers[one.place] = scheduler, SharedLook(scheduler)
    watches: list[_Watch] = []
    picture = _picture(watches) if is_live else None
    widest = max(len(one.name) for one in ones)
    for one in ones:
        progress = picture or Progress(shown=shows_progress(), name=one.name.ljust(widest))
        watches.append(_Watch(one, *schedulers[one.place], progress))
    groups = []
    for place, (_, look) in schedulers.items():
        here = [watch.keeper for watch in watches if watch.one.place == place]
        groups.append(Group(look, here))
    return groups, watches


def _picture(watches: Sequence[_Watch]) -> StandingPicture | None:
    """On a terminal: a line for each experiment, renewed in place."""
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    if not (shows_progress() and is_terminal):
        return None
    return StandingPicture(sys.stderr, partial(_lines, watches))


def _lines(watches: Sequence[_Watch]) -> list[str]:
    """A table of the experiments and where each stands, no wider than the terminal."""
    columns = shutil.get_terminal_size().columns
    cells = [[watch.one.name, watch.words] for watch in watches]
    return [shorten(line, columns) for line in table(["experiment", "now"], cells).splitlines()]


@contextmanager
def _shown_to_the_end(watches: Sequence[_Watch]) -> Iterator[None]:
    """At the end, leave the terminal clean, and send what is still to be sent."""
    try:
        yield
    finally:
        for watch in watches:
            watch.progress.end()
            watch.notifier.close()


def _name_leaders(watches: Sequence[_Watch]) -> None:
    """Name each experiment that another process polls, and keeps the logs of."""
    for watch in watches:
        leader = watch.keeper.logbook.leader
        if leader and not watch.problems:
            words = f"{leader} watches it already: polls and logs are left to that"
            watch.progress.end()
            echo_problems(
                [
                    Problem(
                        where=watch.one.name,
                        message=words,
                        severity="note",
                        code="watched-elsewhere",
                    )
                ]
            )


def _placed(name: str, problems: Iterable[Problem]) -> list[Problem]:
    """The problems of one experiment, each with its name before its place."""
    placed = []
    for problem in problems:
        where = f"{name}: {problem.where}" if problem.where else name
        placed.append(msgspec.structs.replace(problem, where=where))
    return placed


# ── how they ended


def _rows(watch: _Watch) -> list[Row]:
    """Where its work stands; nothing is known of a watch that failed."""
    if watch.problems:
        return []
    return rows_of(watch.keeper, watch.one.experiment, watch.one.target)


def _entry(watch: _Watch, found: list[Row], *, ended: bool) -> WatchedEntry:
    """One experiment for programs. `found`: the rows of what was watched; a watch that failed has
    the code and the words of its error.
    """
    one, keeper = watch.one, watch.keeper
    code, error = watch.code, ""
    if watch.problems:
        error = watch.problems[0].message
    else:
        problems = problems_about(one.experiment, one.target)
        code = exit_code_of(keeper, problems, found, ended=ended, stays=True)
    return WatchedEntry(
        experiment=one.experiment.name,
        folder=str(one.experiment.folder),
        exit_code=code,
        ended=ended,
        counts=counts_of(found),
        why=keeper.why,
        error=error,
        led_by=keeper.logbook.leader,
    )


def _answer(
    watches: Sequence[_Watch],
    rows: Sequence[list[Row]],
    entries: list[WatchedEntry],
    *,
    as_json: bool,
) -> int:
    """Say how the watches ended, and return the exit code."""
    code = max((entry.exit_code for entry in entries), key=BAD_TO_WORSE.index)
    counts = sum((Counter(entry.counts) for entry in entries), Counter[str]())
    words = counts_words(counts)
    ended = sum(entry.ended for entry in entries)
    detached = _detached(watches, entries)
    summary = f"{ended} of {len(entries)} experiments have ended: {words}. {detached}".strip()
    problems: list[Problem] = []
    for watch, found in zip(watches, rows, strict=True):
        folder, cluster = str(watch.one.experiment.folder), watch.one.settings.cluster or ""
        problems += _placed(watch.one.name, problems_of_rows(found, folder, cluster))
    if as_json:
        return answer(
            code,
            summary=summary,
            counts=dict(counts),
            problems=problems,
            data=WatchedData(experiments=entries),
            more_from=("ls", *(entry.folder for entry in entries), "--json"),
        )
    if is_quiet():
        click.echo(words)
    else:
        _show(watches, entries, problems)
        click.echo(f"\n{ended} of {len(entries)} experiments have ended: {words}")
    if detached:
        click.echo(detached)
    return code


def _detached(watches: Sequence[_Watch], entries: Sequence[WatchedEntry]) -> str:
    """That watches were left, if they were, and what continues them."""
    left = [
        watch.one.name
        for watch, entry in zip(watches, entries, strict=True)
        if entry.exit_code == EXIT_DETACHED
    ]
    whys = dict.fromkeys(entry.why for entry in entries if entry.exit_code == EXIT_DETACHED)
    command = shlex.join((PROGRAM, "watch", *left))
    return detached_words(", ".join(whys), command, bool(left))


def _show(
    watches: Sequence[_Watch], entries: Sequence[WatchedEntry], problems: Sequence[Problem]
) -> None:
    """A line for each experiment, and what is wrong."""
    lines = []
    for watch, entry in zip(watches, entries, strict=True):
        stands = entry.error or counts_words(entry.counts)
        lines.append([watch.one.name, _end_words(entry), stands])
    click.echo(table(["experiment", "watch", "stands"], lines))
    for problem in problems:
        click.echo(printable(str(problem)))


def _end_words(entry: WatchedEntry) -> str:
    """How the watch ended: `ended`, `left`, `failed`."""
    if entry.error:
        return "failed"
    if entry.ended:
        return "ended"
    return "left"
