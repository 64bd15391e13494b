"""On which filesystem a folder lies. Source of the format: proc(5), /proc/PID/mountinfo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Filesystem(NamedTuple):
    """A mounted filesystem: its type (`ext4`, `nfs4`, `lustre`) and what is mounted (`/dev/vda`,
    `server:/export`).
    """

    kind: str
    source: str

    def __str__(self) -> str:
        return f"{self.kind} {self.source}"


def filesystem_of(path: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> Filesystem:
    """The filesystem that holds the path; both words are "" where the system does not tell. Of
    `/mnt/a/x`, with `/` and `/mnt/a` mounted, that is the one at `/mnt/a`. Links are followed.
    """
    try:
        lines = mountinfo.read_text("utf-8", "surrogateescape").splitlines()
        real = path.resolve()
    except OSError:
        return Filesystem("", "")
    best, deepest = Filesystem("", ""), -1
    for line in lines:
        before, _, after = line.partition(" - ")
        places, words = before.split(" "), after.split(" ")
        if len(places) < 5 or len(words) < 2:
            continue
        point = Path(_unescaped(places[4]))
        # Of two mounts on one place the later one is seen.
        if real.is_relative_to(point) and len(point.parts) >= deepest:
            best, deepest = Filesystem(words[0], _unescaped(words[1])), len(point.parts)
    return best


def _unescaped(text: str) -> str:
    r"""A path of mountinfo as it is: `\040` there is a space. Source: proc(5)."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)
