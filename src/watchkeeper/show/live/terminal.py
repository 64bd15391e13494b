"""A terminal as a full screen: keys one by one, changed lines only; as it was before at any end."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from watchkeeper.show.live.keys import decode

# The alternate screen, without a cursor and without wrapping.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_CLEAR = "\x1b[2J"
_LONE_ESCAPE_S = 0.05
_READ = 4096
_Handler = Callable[[int, FrameType | None], Any] | int | None


class Terminal:
    """Full screen while it is entered. `wake` may be called from another thread.

    A signal can come in the middle of a write, so its handler only notes it, and `wait` obeys.
    """

    def __init__(self) -> None:
        self._keys_in = sys.stdin.fileno()
        self._out = sys.stdout
        self._shown: list[str] = []
        self._rest = b""
        self._handling = contextlib.ExitStack()
        self._noted: set[int] = set()
        self._settings: list[Any] = []
        self._wake_in, self._wake_out = os.pipe()
        for end in (self._wake_in, self._wake_out):
            os.set_blocking(end, False)

    def __enter__(self) -> Terminal:
        self._settings = termios.tcgetattr(self._keys_in)
        handlers: dict[int, _Handler] = {
            signal.SIGWINCH: self._note,
            signal.SIGCONT: self._note,
            signal.SIGTSTP: self._note,
            signal.SIGTERM: _end,
            signal.SIGHUP: _end,
        }
        self._handling.enter_context(_handlers(handlers))
        self._fill()
        return self

    def __exit__(self, *error: object) -> None:
        self._handling.close()
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
        """The keys that were pressed; none after `most_s` seconds, or when it was woken. What a
        signal wants is done first: Ctrl-Z stops the program here.
        """
        ready, _, _ = select.select([self._keys_in, self._wake_in], [], [], most_s)
        if self._wake_in in ready:
            os.read(self._wake_in, _READ)
        self._obey()
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
        """The terminal as it was before, for a command; then full screen again. Ctrl-Z stops this
        program together with the command, and the shell continues both.
        """
        self._restore()
        try:
            with _handlers({signal.SIGTSTP: signal.SIG_DFL, signal.SIGCONT: signal.SIG_DFL}):
                yield
        finally:
            self._fill()
            self.wake()

    # ── what is done to the terminal

    def _fill(self) -> None:
        """Take the whole screen, and the keys one by one; Ctrl-C and Ctrl-Z stay signals."""
        self._take_keys()
        self._write(_ENTER)
        self._shown = []

    def _take_keys(self) -> None:
        """Read keys one by one. In the background this stops the program, and the signal with which
        it comes to the foreground interrupts the call.
        """
        while True:
            try:
                tty.setcbreak(self._keys_in)
            except termios.error as error:
                if error.args[0] != errno.EINTR:
                    raise
            else:
                return

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

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal for `wait`."""
        del frame
        self._noted.add(number)
        self.wake()

    def _obey(self) -> None:
        """Do what the signals since the last time want."""
        noted, self._noted = self._noted, set()
        if signal.SIGTSTP in noted:
            self._stop()
        elif signal.SIGCONT in noted:
            self._fill()  # another program may have drawn here
        elif signal.SIGWINCH in noted:
            self._write(_CLEAR)
            self._shown = []

    def _stop(self) -> None:
        """Give the screen back, stop, and take it again when the shell lets the program run."""
        self._restore()
        with _handlers({signal.SIGTSTP: signal.SIG_DFL}):
            signal.raise_signal(signal.SIGTSTP)
        self._noted.discard(signal.SIGCONT)
        self._fill()


@contextlib.contextmanager
def _handlers(handlers: Mapping[int, _Handler]) -> Iterator[None]:
    """Signals with these handlers; then with those that they had."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    """Leave by an exception, so that the terminal is restored."""
    del frame
    sys.exit(128 + number)
