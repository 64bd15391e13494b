"""A terminal as a full screen: keys one by one, changed lines only; as it was before at any end."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from watchkeeper.show.live.keys import decode

# The alternate screen, without a cursor and without wrapping.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_LONE_ESCAPE_S = 0.05
_READ = 4096
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Terminal:
    """Full screen while it is entered. `wake` may be called from another thread."""

    def __init__(self) -> None:
        self._keys_in = sys.stdin.fileno()
        self._out = sys.stdout
        self._shown: list[str] = []
        self._rest = b""
        self._before: dict[int, _Handler] = {}
        self._settings: list[Any] = []
        self._wake_in, self._wake_out = os.pipe()
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end, False)

    def __enter__(self) -> Terminal:
        self._settings = termios.tcgetattr(self._keys_in)
        handlers = {
            signal.SIGWINCH: self._redraw_all,
            signal.SIGCONT: self._come_back,
            signal.SIGTSTP: self._stop,
            signal.SIGTERM: _end,
            signal.SIGHUP: _end,
        }
        for number, handler in handlers.items():
            self._before[number] = signal.signal(number, handler)
        self._fill()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._restore()
        os.close(self._wake_in)
        os.close(self._wake_out)

    @property
    def size(self) -> os.terminal_size:
        """Columns and lines."""
        return shutil.get_terminal_size()

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines; only those that differ from what is shown are written."""
        height = self.size.lines
        wanted = [*lines[:height], *[""] * (height - len(lines))]
        shown = self._shown
        if len(shown) != height:
            shown = []
        changed = []
        for number, line in enumerate(wanted):
            if number >= len(shown) or shown[number] != line:
                changed.append(f"\x1b[{number + 1};1H\x1b[2K{line}")
        if changed:
            self._write("".join(changed))
        self._shown = wanted

    def wake(self) -> None:
        """Let `wait` return. Safe to call from any thread."""
        with contextlib.suppress(OSError):  # full is as good; closed: nobody waits
            os.write(self._wake_out, b"\0")

    def wait(self, most_s: float) -> list[str]:
        """The keys that were pressed; none after `most_s` seconds, or when it was woken."""
        ready, _, _ = select.select([self._keys_in, self._wake_in], [], [], most_s)
        if self._wake_in in ready:
            os.read(self._wake_in, _READ)
        if self._keys_in not in ready:
            return []
        return self._pressed()

    def _pressed(self) -> list[str]:
        """What was typed. An escape alone is a key if nothing follows it at once."""
        data = os.read(self._keys_in, _READ)
        if not data:
            return ["interrupt"]
        keys, self._rest = decode(self._rest + data, is_whole=False)
        if self._rest:
            more, _, _ = select.select([self._keys_in], [], [], _LONE_ESCAPE_S)
            if not more:
                last, self._rest = decode(self._rest, is_whole=True)
                keys += last
        return keys

    @contextlib.contextmanager
    def left(self) -> Iterator[None]:
        """The terminal as it was before, for a command; then full screen again."""
        self._restore()
        try:
            yield
        finally:
            self._fill()
            self.wake()

    # ── what is done to the terminal

    def _fill(self) -> None:
        """Take the whole screen, and the keys one by one; Ctrl-C and Ctrl-Z stay signals."""
        tty.setcbreak(self._keys_in)
        self._write(_ENTER)
        self._shown = []

    def _restore(self) -> None:
        """Give the terminal back as it was. A terminal that is gone needs nothing."""
        with contextlib.suppress(OSError, ValueError):
            self._write(_LEAVE)
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(self._keys_in, termios.TCSADRAIN, self._settings)

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()

    # ── signals

    def _redraw_all(self, number: int, frame: FrameType | None) -> None:
        """The window has another size."""
        del number, frame
        self._shown = []
        self.wake()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the screen back, stop, and take it again when the shell lets it run."""
        del frame
        self._restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stop)

    def _come_back(self, number: int, frame: FrameType | None) -> None:
        """Stopped, and running again: another program may have drawn here."""
        del number, frame
        self._fill()
        self.wake()


def _end(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that the terminal is restored."""
    del frame
    sys.exit(128 + number)
