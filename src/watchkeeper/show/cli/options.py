"""The options of every command that answers. What they say is kept for the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

PAGE = "watchkeeper.page"
QUIET = "watchkeeper.quiet"
JSON = "watchkeeper.json"
"""Where click keeps them for the command that is running, in `Context.meta`."""


def stream_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` and `--quiet`, which every command has."""
    for option in (
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_keep(QUIET),
            help="Print only the result; errors and warnings still go to standard error.",
        ),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            callback=_keep(JSON),
            help="Answer with one line of JSON on standard output.",
        ),
    ):
        command = option(command)
    return command


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`stream_options`, and `--limit`, for commands whose answer can have long lists."""
    limit = click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        expose_value=False,
        callback=_keep(f"{PAGE}.limit"),
        help="With --json: entries of each list; 0: all. Default: what fits into 8 KB.",
    )
    return stream_options(limit(command))


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`answer_options`, and `--cursor`, for commands that can be asked again for the rest."""
    cursor = click.option(
        "--cursor",
        metavar="TOKEN",
        expose_value=False,
        callback=_keep(f"{PAGE}.cursor"),
        help="With --json: continue where the answer before ended, as its `more` says.",
    )
    return answer_options(cursor(command))


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that keeps an option's value for the answer, so that no command has to pass it
    on.
    """

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        del parameter
        context.meta[name] = value
        return value

    return keep
