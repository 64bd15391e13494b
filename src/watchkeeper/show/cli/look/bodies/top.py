"""What `watchkeeper top` does, imported when it is called."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

import click

from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.query.views.overview import overview
from watchkeeper.query.views.pages import Overview
from watchkeeper.query.views.recent import Recent
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet
from watchkeeper.show.listing.screen import screen_of
from watchkeeper.show.screens.top import TopPicture, top_lines
from watchkeeper.show.screens.words import counts_line

ANSWERS = (Overview,)


def perform(paths: tuple[Path, ...], as_json: bool) -> int:
    """Do what `top` is asked for; the arguments are its options."""
    chosen = paths or (Path(),)
    for path in chosen:
        if not path.is_dir():
            raise UsageError(f"{path} is no folder", hint="name a folder with experiments or runs")
    if as_json:
        whole = overview(chosen)
        echo_problems(whole.problems)
        summary = counts_line(whole.counts) or "nothing was recorded"
        return answer(EXIT_OK, summary=summary, counts=whole.counts, data=whole, again=True)
    if is_quiet():
        click.echo(counts_line(overview(chosen).counts))
        return EXIT_OK
    if _is_live():
        from watchkeeper.show.live.loop import run_top  # a terminal's own

        run_top(chosen)
        return EXIT_OK
    whole = overview(chosen)
    echo_problems(whole.problems)
    happened = Recent().look(whole)
    picture = TopPicture(overview=whole, rows=whole.running, happened=happened)
    now = datetime.now().astimezone()
    click.echo("\n".join(top_lines(picture, screen_of(sys.stdout), now)))
    return EXIT_OK


def _is_live() -> bool:
    """Whether a person sits there, and the terminal can be drawn on."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM") not in (None, "", "dumb")
