"""What the screen of `top` shows and what its keys do. Pure: a key becomes a wish, which others
fulfil.
"""

from __future__ import annotations

import glob
import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.query.views.pages import Overview, Run, RunningRow, Series
from watchkeeper.query.views.recent import Happened
from watchkeeper.show.envelope import PROGRAM
from watchkeeper.show.listing.grid import one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.show.screens.needs import wrapped
from watchkeeper.show.screens.opened import opened_lines
from watchkeeper.show.screens.top import TopPicture, top_lines

Mode = Literal["list", "run", "log", "keys"]
Wish = Literal["", "quit", "look", "act"]
"""What is left to do after a key: nothing; end; look at once; run `View.command`."""
HELP = (
    "up, down     choose a run",
    "Enter        open it; Backspace or Esc: back",
    "l            the end of its log",
    "n            write a note about it",
    "c            cancel its job",
    "r            retry what failed in its experiment",
    "/            show only runs with these words",
    "Ctrl-L       draw everything again",
    "q, Ctrl-C    quit",
    "",
    "n, c and r show the command first, and run it after y.",
)


class Place(msgspec.Struct, frozen=True):
    """Where a run is: the folder of its experiment or of the run itself, and its key there."""

    folder: str
    key: str


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the last look saw. `run`, `series` and `log` are those of the run at `place`, which is
    open; `fault`: why the look failed, "" where it did not.
    """

    overview: Overview
    happened: Sequence[Happened] = ()
    place: Place | None = None
    run: Run | None = None
    series: Series | None = None
    log: Sequence[str] = ()
    fault: str = ""

    @property
    def is_part(self) -> bool:
        """Whether the first look is still under way."""
        return self.overview.reading.done < self.overview.reading.total


class View(msgspec.Struct, kw_only=True):
    """The state of the screen. `chosen` is a run's id; `typed` what is being typed after `asked`;
    `command`: the words that `y` runs.
    """

    seen: Seen | None = None
    mode: Mode = "list"
    chosen: str = ""
    filter: str = ""
    asked: Literal["", "filter", "note", "sure"] = ""
    typed: str = ""
    command: list[str] = []
    message: str = ""

    # ── keys

    def press(self, key: str) -> Wish:
        """Do what a key says."""
        if key == "interrupt":
            return "quit"
        self.message = ""
        if self.asked == "sure":
            return self._answer(key)
        if self.asked:
            return self._type(key)
        act = _KEYS.get(key)
        if act is None:
            return ""
        return act(self)

    def _answer(self, key: str) -> Wish:
        """After a command was shown: only `y` runs it."""
        self.asked = ""
        if key == "y":
            return "act"
        self.message = "not done"
        return ""

    def _type(self, key: str) -> Wish:
        """A line that is being typed."""
        if key == "escape":
            self.asked, self.typed = "", ""
        elif key == "enter":
            self._typed_whole()
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif len(key) == 1:
            self.typed += key
        if self.asked == "filter":
            self.filter = self.typed
        return ""

    def _typed_whole(self) -> None:
        """The line has ended: a filter stays, a note becomes a command."""
        asked, typed = self.asked, self.typed.strip()
        self.asked, self.typed = "", ""
        if asked == "note" and typed:
            place = self.place
            self._ask_for(["note", place.folder, *filter(None, [place.key]), "--", typed])

    def _ask_for(self, command: list[str]) -> None:
        """Show a command, to be run after `y`."""
        self.command = command
        self.asked = "sure"

    def move(self, by: int) -> Wish:
        """Choose another run."""
        rows = self.rows
        if rows and self.mode == "list":
            number = min(max(self.number + by, 0), len(rows) - 1)
            self.chosen = rows[number].id
        return ""

    def open(self, mode: Mode) -> Wish:
        """Look closer at the chosen run."""
        if self.row is None:
            self.message = "no run is chosen"
            return ""
        self.mode = mode
        return "look"

    def back(self) -> Wish:
        """To the list; from there, away with the filter."""
        if self.mode == "list":
            self.filter = ""
        self.mode = "list"
        return ""

    def show_keys(self) -> Wish:
        """What the keys do, or back."""
        self.mode = "list" if self.mode == "keys" else "keys"
        return ""

    def ask_filter(self) -> Wish:
        """Begin to type a filter."""
        self.mode = "list"
        self.asked, self.typed, self.filter = "filter", "", ""
        return ""

    def ask_note(self) -> Wish:
        """Begin to type a note on the chosen run."""
        if self.row is None:
            self.message = "no run is chosen"
        else:
            self.asked = "note"
        return ""

    def ask_cancel(self) -> Wish:
        """Show the command that cancels the chosen job."""
        place = self.place
        if self.row is None:
            self.message = "no run is chosen"
        elif not place.key:
            self.message = f"{self.row.key} was not submitted: end it where it was started"
        else:
            self._ask_for(["cancel", place.folder, "--jobs", glob.escape(place.key)])
        return ""

    def ask_retry(self) -> Wish:
        """Show the command that retries what failed: in the chosen run's experiment, else the
        first there is.
        """
        if self.seen is None:
            return ""
        retries = [need for need in self.seen.overview.needs if "--retry-failed" in need.command]
        row = self.row
        here = [need for need in retries if row is not None and need.experiment == row.experiment]
        for need in (here or retries)[:1]:
            self._ask_for(shlex.split(need.command)[1:])
            return ""
        self.message = "nothing failed that can be retried"
        return ""

    # ── what is chosen

    @property
    def rows(self) -> list[RunningRow]:
        """The runs that are shown."""
        if self.seen is None:
            return []
        wanted = self.filter.casefold().split()
        return [row for row in self.seen.overview.running if _has_words(row, wanted)]

    @property
    def number(self) -> int:
        """The place of the chosen run in the list; the first where it is gone."""
        ids = [row.id for row in self.rows]
        if self.chosen in ids:
            return ids.index(self.chosen)
        return 0

    @property
    def row(self) -> RunningRow | None:
        """The chosen run; None where none is shown."""
        rows = self.rows
        if not rows:
            return None
        return rows[self.number]

    @property
    def place(self) -> Place:
        """Where the chosen run is."""
        row = self.row
        if row is None or self.seen is None:
            return Place("", "")
        return place_of(row, self.seen.overview)

    # ── the picture

    def lines(self, screen: Screen, height: int, now: datetime) -> list[str]:
        """The whole screen, `height` lines at most."""
        if self.seen is None:
            return [screen.cut("reading ...", screen.room)]
        foot = self._foot(screen)
        if self.mode == "keys":
            return [screen.cut(line, screen.room) for line in HELP][:height]
        if self.mode in ("run", "log") and self.seen.place != self.place:
            return [screen.cut("reading ...", screen.room), *foot]
        if self.mode == "log":
            return [*self._log_lines(screen, height - len(foot), now), *foot]
        if self.mode == "run" and self.seen.run is not None:
            room = height - len(foot)
            whole = opened_lines(self.seen.run, self.seen.series, screen, now, room)
            return [*whole, *foot]
        picture = TopPicture(
            overview=self.seen.overview,
            rows=self.rows,
            happened=self.seen.happened,
            height=height,
            chosen=self.number,
            filter=self.filter,
            foot=foot,
        )
        return top_lines(picture, screen, now)

    def _log_lines(self, screen: Screen, height: int, now: datetime) -> list[str]:
        """The end of the run's log."""
        assert self.seen is not None
        row = self.row
        title = row.key if row is not None else ""
        lines = [screen.cut(one_line(f"{title}   log   {now:%H:%M:%S}"), screen.room)]
        text = list(self.seen.log) or ["nothing is in its log yet"]
        lines += [screen.cut(one_line(line), screen.room) for line in text[-(height - 1) :]]
        return lines

    def _foot(self, screen: Screen) -> list[str]:
        """What is asked, or said, in the place of the keys; none where they are shown."""
        assert self.seen is not None
        if self.asked == "sure":
            command = shlex.join(["wk", *self.command])
            return wrapped(one_line(f"{command}   run it? y/n"), screen)
        if self.asked:
            return wrapped(one_line(f"{self.asked}: {self.typed}_"), screen)
        text = self.message or self.seen.fault
        if text:
            return wrapped(one_line(text), screen)
        if self.mode in ("run", "log"):
            return wrapped("Esc back  l log  n note  c cancel  r retry  q quit", screen)
        return []


def _has_words(row: RunningRow, wanted: Sequence[str]) -> bool:
    """Whether a run has all these words in its name, experiment or health."""
    text = f"{row.key} {row.experiment} {row.health}".casefold()
    return all(word in text for word in wanted)


def place_of(row: RunningRow, overview: Overview) -> Place:
    """Where a run is: in the place whose id its own begins with."""
    for place in sorted(overview.places, key=lambda one: -len(one.id)):
        below = row.id.removeprefix(f"{place.id}/")
        if place.kind == "experiment" and below != row.id:
            return Place(place.folder, row.key)
        if place.kind == "run" and place.id == row.id:
            return Place(place.folder, "")
        if place.kind == "runs" and below != row.id:
            return Place(str(Path(place.folder) / below), "")
    return Place("", "")


def command_line(command: Sequence[str]) -> str:
    """The command as a person types it."""
    return words.short_command(shlex.join([PROGRAM, *command]))


def _quit(view: View) -> Wish:
    """End."""
    del view
    return "quit"


def _look(view: View) -> Wish:
    """Look and draw again."""
    del view
    return "look"


_KEYS: dict[str, Callable[[View], Wish]] = {
    "up": lambda view: view.move(-1),
    "k": lambda view: view.move(-1),
    "down": lambda view: view.move(1),
    "j": lambda view: view.move(1),
    "page up": lambda view: view.move(-10),
    "page down": lambda view: view.move(10),
    "enter": lambda view: view.open("run"),
    "l": lambda view: view.open("log"),
    "escape": View.back,
    "backspace": View.back,
    "?": View.show_keys,
    "/": View.ask_filter,
    "n": View.ask_note,
    "c": View.ask_cancel,
    "r": View.ask_retry,
    "q": _quit,
    "redraw": _look,
}
