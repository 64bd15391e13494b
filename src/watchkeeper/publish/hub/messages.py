"""What the process that speaks to the Hub is asked to do, and what it answers: one JSON line each.

The token goes with the first line, over a pipe: it is in no environment and on no command line.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Fault = Literal[
    "no-library",
    "token-refused",
    "forbidden",
    "gated",
    "not-found",
    "bad-name",
    "bad-card",
    "changed",
    "busy",
    "server",
    "lost",
    "bad-answer",
    "mismatch",
    "disk-full",
    "other",
]


class Entry(msgspec.Struct, frozen=True):
    """What the Hub lists at a path of a commit. `kind` is its word: "file", "directory". `sha256`
    is "" for a small file, which is known by Git's own hash `oid` alone.
    """

    path: str
    kind: str
    size_bytes: int
    oid: str
    sha256: str = ""


class Greeting(msgspec.Struct, frozen=True):
    """The first line: how the Hub is spoken to. `token` "": without one."""

    endpoint: str
    token: str
    shows_progress: bool = False

    def __repr__(self) -> str:
        return f"Greeting({self.endpoint!r}, …)"


class Look(msgspec.Struct, frozen=True, tag="look"):
    """What does the repository hold at a revision. `names_account`: and whose is the token."""

    repo: str
    revision: str = "main"
    names_account: bool = False


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """The commit at the revision and what it lists. `exists` False: there is no such repository, or
    it is not shown to this token.
    """

    exists: bool
    account: str = ""
    private: bool = False
    commit: str = ""
    entries: tuple[Entry, ...] = ()


class Create(msgspec.Struct, frozen=True, tag="create"):
    """Make the repository."""

    repo: str
    private: bool


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """One file to send: its path in the repository, and where it lies here."""

    path: str
    file: str
    sha256: str


class Send(msgspec.Struct, frozen=True, kw_only=True, tag="send"):
    """Send files, and make one commit of them behind the commit `parent`."""

    repo: str
    parent: str
    create_pr: bool
    message: str
    files: tuple[Upload, ...]


class Fetch(msgspec.Struct, frozen=True, kw_only=True, tag="fetch"):
    """Fetch the listed files of a commit into a folder; continue where an earlier try stopped."""

    repo: str
    commit: str
    folder: str
    entries: tuple[Entry, ...]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It was done. `commit` and `pull_request` (an address) are "" where there is none."""

    commit: str = ""
    pull_request: str = ""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It was not done, or it is not known. `why` is in words, without the token."""

    fault: Fault
    why: str


Job = Look | Create | Send | Fetch
Answer = Seen | Done | Failed
