"""What `watchkeeper ls` does, imported when it is called."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, Problem, UsageError
from watchkeeper.query.catalogue import filters
from watchkeeper.query.catalogue.listing import Listing, Run, list_runs, newest_first
from watchkeeper.query.views.pages import Overview
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet
from watchkeeper.show.listing.listed import LsData, listed
from watchkeeper.show.listing.reading import ReadingLine
from watchkeeper.show.listing.runs_table import count_states, counts_words, runs_table
from watchkeeper.show.listing.screen import screen_of
from watchkeeper.show.screens.overview import overview_lines
from watchkeeper.show.screens.words import counts_line
from watchkeeper.show.text import printable

ANSWERS = (LsData,)
_MOST_PROBLEMS = 10


class _Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: empty and "" are no wish."""

    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    since: str = ""
    where: tuple[str, ...] = ()
    sort: str = ""
    reverse: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether neither a filter nor an order was asked for."""
        return self == _Wish()


def perform(paths: tuple[Path, ...], as_json: bool, **wish: Any) -> int:
    """Do what `ls` is asked for; the arguments are its options.

    With experiments below `paths` (none: this folder) and no filter it shows the overview that the
    pages have; else a table of runs.

    Raises:
        UsageError: nothing was recorded there, or a filter names what no run has.
    """
    wanted = _Wish(**wish)
    now = datetime.now().astimezone()
    line = ReadingLine(is_shown=sys.stdout.isatty() and not as_json)
    try:
        listing = list_runs(paths or (Path(),), line.note)
    finally:
        line.end()
    _tell(listing.problems)
    _refuse_nothing(listing, paths)
    runs = _chosen(listing.runs, wanted, now)
    order = _ordered(runs, listing.runs, wanted)
    page = _overview(listing, paths or (Path(),), wanted)
    summary = _summary(order, listing, wanted)
    counts = count_states(order.runs)
    if page is not None:
        summary, counts = counts_line(page.counts), page.counts
    if as_json:
        data = LsData(
            runs=[listed(run) for run in order.runs], order=order.words, of=len(listing.runs)
        )
        if page is not None:
            data = _with_overview(data, page)
        return answer(EXIT_OK, summary=summary, counts=counts, data=data)
    if is_quiet():
        for run in order.runs:
            click.echo(printable(f"{run.path} {run.key}".rstrip()))
        return EXIT_OK
    if page is not None:
        click.echo("\n".join(overview_lines(page, screen_of(sys.stdout), now)))
        return EXIT_OK
    click.echo(summary)
    if order.runs:
        click.echo()
        click.echo(runs_table(order.runs, screen_of(sys.stdout), now))
    return EXIT_OK


def _with_overview(data: LsData, page: Overview) -> LsData:
    """The answer for programs with the parts of the overview."""
    return msgspec.structs.replace(
        data,
        needs=page.needs,
        running=page.running,
        waiting=page.waiting,
        places=page.places,
        left_out=page.more,
        reading=page.reading,
    )


def _overview(listing: Listing, paths: tuple[Path, ...], wish: _Wish) -> Overview | None:
    """The overview, if there are experiments and no runs are wanted; None: runs are listed. Says
    the problems that only the overview found.
    """
    if not listing.experiments or not wish.is_plain:
        return None
    from watchkeeper.query.views.overview import overview_of  # not for recorded runs alone

    page = overview_of(listing, paths)
    _tell(page.problems[len(listing.problems) :])
    return page


def _tell(problems: list[Problem]) -> None:
    """Say the first problems, and how many more there are: among thousands of runs there may be
    hundreds.
    """
    context = click.get_current_context()
    more = len(problems) - _MOST_PROBLEMS
    if more <= 0 or context.params.get("as_json"):
        echo_problems(problems)
        return
    echo_problems(problems[:_MOST_PROBLEMS])
    click.echo(f"and {more} more problems: watchkeeper ls --json", err=True)


def _refuse_nothing(listing: Listing, paths: tuple[Path, ...]) -> None:
    """Refuse to list nothing at all, and say where runs come from, or which run the folder lies in.

    Raises:
        UsageError: there is no run and no experiment.
    """
    if not listing.runs and not listing.experiments:
        from watchkeeper.query.catalogue.enclosing import enclosing_place  # of an error only

        named = ", ".join(map(str, paths)) or "this folder"
        hint = "a run begins with start_run, `watchkeeper exec -- CMD` or `watchkeeper run EXP`"
        above = enclosing_place(next(iter(paths), Path()))
        if above is not None:
            hint = f"it lies in {above}: name that folder"
        raise UsageError(f"nothing was recorded in {named} or below", hint=hint)


def _chosen(runs: list[Run], wish: _Wish, now: datetime) -> list[Run]:
    """The runs that were asked for: in one of the states, with all of the tags, by one of the
    users, begun since then, and with every condition met. A run whose start is unknown was not
    begun since any time.

    Raises:
        UsageError: a condition or a time cannot be read, or no run has what a condition names.
    """
    conditions = [filters.parse_condition(text) for text in wish.where]
    for condition in conditions:
        filters.check_name(condition.name, runs, "--where")
    since = None
    if wish.since:
        since = filters.parse_since(wish.since, now)
    states = {state.replace("-", " ") for state in wish.states}
    chosen = [run for run in runs if not states or run.state in states]
    chosen = [run for run in chosen if set(wish.tags) <= {*run.tags, *run.inherited}]
    chosen = [run for run in chosen if not wish.users or run.user in wish.users]
    if since is not None:
        chosen = [run for run in chosen if run.started is not None and run.started >= since]
    for condition in conditions:
        chosen = [run for run in chosen if condition.holds(run)]
    return chosen


def _ordered(chosen: list[Run], runs: list[Run], wish: _Wish) -> filters.Order:
    """The chosen runs in the order that was asked for, newest first by default; a name is looked
    for in all of them. `-val_loss` is `val_loss` backwards, and `--reverse` turns it round again.

    Raises:
        UsageError: no run has what the order names.
    """
    name = wish.sort
    reverse = wish.reverse
    if name.startswith("-"):
        name, reverse = name[1:], not reverse
        if not name:
            raise UsageError("--sort -: no name stands there", hint="as in --sort -val_loss")
    if name:
        filters.check_name(name, runs, "--sort")
        return filters.in_order(chosen, name, reverse=reverse)
    newest = newest_first(chosen)
    if reverse:
        return filters.Order(newest[::-1], "oldest first")
    return filters.Order(newest, "newest first")


def _summary(order: filters.Order, listing: Listing, wish: _Wish) -> str:
    """How many runs there are, in which order and in which states.

    It begins with `3 runs, newest first`, or with a filter `3 of 40 runs, newest first`.
    """
    count = f"{len(order.runs):,} runs"
    if len(order.runs) == 1:
        count = "1 run"
    if not wish.is_plain:
        count = f"{len(order.runs):,} of {len(listing.runs):,} runs"
    if not order.runs:
        return f"{count}: none is as asked"
    return printable(f"{count}, {order.words}: {counts_words(order.runs)}")
