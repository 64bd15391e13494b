"""Files that are not here: a job's output on a disk that only the cluster's own machines see, read
through its shell.

One command a round for all of them: `sh`, with the script on its standard input, so that nothing is
parted or expanded on the way. It sends of each file what was not read yet, at most `MOST_BYTES`, in
base64.
"""

from __future__ import annotations

import base64
import binascii
import shlex
from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.disk.tails import end_as_text
from watchkeeper.schedulers.shell import Shell

MOST_BYTES = 65_536
TIMEOUT_S = 30.0
OUTPUT_BYTES = 16_384  # the end of a job's output that is searched for errors
_SCRIPT = """LC_ALL=C; export LC_ALL
look() { # file, offset
    found=$(stat -Lc '%i %s %Y' -- "$1" 2>/dev/null) || { echo -; return; }
    set -- "$1" "$2" $found
    from=$2
    [ "$4" -ge "$from" ] || from=0
    [ $(($4 - from)) -le MOST ] || from=$(($4 - MOST))
    echo "$3 $4 $5 $from $(tail -c +$((from + 1)) -- "$1" 2>/dev/null |
        head -c $(($4 - from)) | base64 | tr -d '\\n')"
}
"""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was there: `data` are its bytes from `start` on. `modified` is in seconds since
    1970, by its server.
    """

    inode: int
    size: int
    modified: float
    start: int
    data: bytes

    def read(self, start: int, end: int) -> tuple[int, bytes]:
        """What was sent of its bytes from one offset to another, and where that begins."""
        first = max(start, self.start)
        return first, self.data[first - self.start : max(0, end - self.start)]


def look(shell: Shell, offsets: Mapping[str, int]) -> dict[str, Seen | None] | None:
    """What each file holds beyond its offset; None for one that is not there. None for all: nobody
    could be asked.
    """
    calls = "".join(f"look {shlex.quote(path)} {offset}\n" for path, offset in offsets.items())
    done = shell.run(
        ["sh"], timeout_s=TIMEOUT_S, input=_SCRIPT.replace("MOST", str(MOST_BYTES)) + calls
    )
    lines = done.out.splitlines()
    if done.timed_out or done.code or len(lines) != len(offsets):
        return None
    return {path: _seen(line) for path, line in zip(offsets, lines, strict=True)}


def end_of_file(shell: Shell, path: str) -> str:
    """The end of a file that is not here, as text; "" where there is none, or nobody could be
    asked.
    """
    seen = (look(shell, {path: 0}) or {}).get(path)
    if seen is not None:
        return seen.data.decode("utf-8", "replace")
    return ""


def is_far(path: str) -> bool:
    """Whether a named file cannot be seen here."""
    return bool(path) and not Path(path).exists()


def _seen(line: str) -> Seen | None:
    fields = line.split(" ")
    try:
        inode, size, modified, start = map(int, fields[:4])
        data = base64.b64decode(fields[4], validate=True)
    except (ValueError, IndexError, binascii.Error):
        return None
    return Seen(inode=inode, size=size, modified=float(modified), start=start, data=data)


def last_output(path: str, shell: Shell | None = None) -> str:
    """Return the end of a job's output, with each carriage return as a newline; "" if there is
    nothing to read. A file that is not on this machine is read through `shell`.
    """
    if shell is not None and is_far(path):
        return end_of_file(shell, path)[-OUTPUT_BYTES:].replace("\r", "\n")
    if not path:
        return ""
    return end_as_text(path, OUTPUT_BYTES).replace("\r", "\n")
