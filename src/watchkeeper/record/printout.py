"""What a command prints, as metric rows: each step that it names, with all metrics of the line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from watchkeeper.runfolder.printed import position_of
from watchkeeper.runfolder.printed_metrics import (
    BAR_COUNT,
    HINT,
    LINE_LIMIT,
    MARKS,
    Printed,
    epoch_of,
    read_line,
)

ROWS_PER_S = 1_000
PENDING_BYTES = 65_536  # of a line without an end, which then is none

Row = tuple[int | float | None, dict[str, int | float]]


class Lines:
    """Puts the lines of one stream together again. A carriage return ends a line too, as a bar's
    does.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._too_long = False

    def add(self, data: bytes) -> bytes:
        """The lines that are complete now, each with a newline behind it."""
        whole = self._pending + data.replace(b"\r", b"\n")
        end = whole.rfind(b"\n") + 1
        lines, self._pending = whole[:end], whole[end:]
        if lines and self._too_long:
            lines, self._too_long = lines[lines.find(b"\n") + 1 :], False
        if len(self._pending) > PENDING_BYTES:
            self._pending, self._too_long = b"", True
        return lines

    def rest(self, *, ended: bool) -> Iterator[bytes]:
        """What stands behind the last line's end: at the end of all, or a bar drawn whole."""
        if (
            self._pending
            and not self._too_long
            and (ended or self._pending.rstrip().endswith(b"]"))
        ):
            yield self._pending


def of_use(lines: bytes) -> Iterator[bytes]:
    """Those lines that hold one of the MARKS, or a bar's count, in their order. Nearly all output
    holds none: looking for words in all of it at once takes a tenth of the time of looking line by
    line.
    """
    folded = lines.lower()
    found: dict[int, int] = {}
    for find in (*(partial(folded.find, mark) for mark in MARKS), partial(_find_bar, folded)):
        at = find(0)
        while at >= 0:
            begin = folded.rfind(b"\n", 0, at) + 1
            found[begin] = folded.find(b"\n", at)
            at = find(found[begin])
    for begin in sorted(found):
        yield lines[begin : found[begin]]


def _find_bar(lines: bytes, begin: int) -> int:
    match = BAR_COUNT.search(lines, begin)
    if match is None:
        return -1
    return match.start()


class PrintedRows:
    """The rows of a command's streams. `keep` gets each row, `leave_out` counts one beyond what a
    second may bring.
    """

    def __init__(
        self,
        streams: int,
        keep: Callable[[Printed], None],
        leave_out: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._keep, self._leave_out, self._monotonic = keep, leave_out, monotonic
        self._lines = [Lines() for _ in range(streams)]
        self._last: list[Row | None] = [None] * streams
        self._named_step: list[int | float | None] = [None] * streams
        self._held: tuple[int, str] | None = (
            None  # the last line beyond the second's rows: where the command stands
        )
        self._room: float = ROWS_PER_S
        self._looked = monotonic()

    def look(self) -> None:
        """A look at all streams begins."""
        now = self._monotonic()
        passed, self._looked = now - self._looked, now
        self._room = min(self._room + ROWS_PER_S * passed, ROWS_PER_S * max(1.0, passed))
        self._release()

    def add(self, stream: int, data: bytes) -> None:
        """What the stream has brought since the last look; b"" for nothing."""
        lines = self._lines[stream]
        for line in of_use(lines.add(data)) if data else lines.rest(ended=False):
            self._read(stream, line)

    def finish(self) -> None:
        """Everything has been read."""
        for stream, lines in enumerate(self._lines):
            for line in lines.rest(ended=True):
                self._read(stream, line)
        self._room += 1
        self._release()

    def _release(self) -> None:
        held = self._held
        if held is not None and self._room >= 1:
            self._held = None
            self._take(*held)

    def _read(self, stream: int, line: bytes) -> None:
        if HINT.search(line, 0, LINE_LIMIT) is None:
            return
        words = line[: 4 * LINE_LIMIT].decode("utf-8", "replace")[:LINE_LIMIT]
        if self._room >= 1:
            self._take(stream, words)
        elif "loss" in words.lower() or position_of(words) is not None:  # counted, and not read
            if self._held is not None:
                self._leave_out()
            self._held = stream, words

    def _take(self, stream: int, words: str) -> None:
        printed = read_line(words)
        if printed is None:
            return
        step = printed.step
        if step is None:
            step = self._named_step[stream]
            if step is None and (epoch := epoch_of(words)) is not None:
                # It counts in epochs, and in nothing smaller.
                step = epoch
        else:
            self._named_step[stream] = None if printed.bar else step
        row = step, printed.metrics
        if row == self._last[stream] and printed.step is not None:  # a bar that is drawn again
            return
        self._last[stream] = row
        self._room -= 1
        self._keep(
            Printed(step=step, total=printed.total, bar=printed.bar, metrics=printed.metrics)
        )
