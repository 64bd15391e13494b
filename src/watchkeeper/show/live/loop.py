"""`top` as it runs: look, draw, wait for a key, do what it says."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.show.listing.screen import Screen, screen_of
from watchkeeper.show.live.looks import Looks, Wanted
from watchkeeper.show.live.terminal import Terminal
from watchkeeper.show.live.view import View, command_line
from watchkeeper.show.screens.opened import chart_columns
from watchkeeper.show.text import printable

_TICK_S = 2.0


def run_top(paths: Sequence[Path]) -> None:
    """Show what is below the folders until a person quits.

    Raises:
        WatchkeeperError: the first look failed.
    """
    with Terminal() as terminal:
        looks = Looks(paths, terminal.wake)
        looks.start()
        with contextlib.suppress(KeyboardInterrupt):
            _follow(terminal, looks, View())


def _follow(terminal: Terminal, looks: Looks, view: View) -> None:
    """Draw, wait and act, until a key or Ctrl-C ends it."""
    while True:
        if looks.error is not None:
            raise looks.error
        view.seen = looks.seen
        size = terminal.size
        screen = _screen(size.columns)
        looks.look_at(_wanted(view, screen))
        terminal.draw(view.lines(screen, size.lines, datetime.now().astimezone()))
        for key in terminal.wait(_TICK_S):
            wish = view.press(key)
            if wish == "quit":
                return
            if wish == "look":
                looks.look_now()
            if wish == "act":
                _run(terminal, view)
                looks.look_now()


def _screen(columns: int) -> Screen:
    """What standard output can show, at the size that the window has now."""
    return msgspec.structs.replace(screen_of(sys.stdout), width=columns)


def _wanted(view: View, screen: Screen) -> Wanted:
    """What is to be looked at beside the overview."""
    if view.mode not in ("run", "log") or view.row is None:
        return Wanted()
    return Wanted(
        place=view.place, is_log=view.mode == "log", columns=min(2_000, chart_columns(screen))
    )


def _run(terminal: Terminal, view: View) -> None:
    """Run the command that was asked for, on the terminal as it was before."""
    with terminal.left():
        print(printable(f"$ {command_line(view.command)}"), flush=True)
        words = [sys.executable, "-m", "watchkeeper", *view.command]
        try:
            code = subprocess.run(words, check=False).returncode
            input(f"\nExit code {code}. Enter goes back to top. ")
        except (KeyboardInterrupt, EOFError):
            return
