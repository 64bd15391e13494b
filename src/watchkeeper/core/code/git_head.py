"""The commit that a working tree stands on, read from the repository's files: starting git costs
more than the rest of a start.

Source: gitrepository-layout(5), and git-pack-refs(1) for `packed-refs`.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core.code.git import DETACHED, Git, holder_of
from watchkeeper.core.disk.files import read_whole

MOST_BYTES = 64 * 2**20  # of packed-refs
_MOST_LINKS = 5  # of refs that name another ref, as git follows them
_REF = "ref:"
_BRANCHES = "refs/heads/"
_ELSEWHERE = "refs/heads/.invalid"  # what HEAD names where refs are kept in another format


def head_of(folder: Path) -> Git | None:
    """The commit and the branch of the folder's repository, `dirty` left None. All is empty where
    the folder lies in none; None where only git can tell.
    """
    real = folder.resolve()
    top = holder_of(real)
    if top is None:
        return Git()
    try:
        if top.stat().st_dev != real.stat().st_dev:  # git looks no further than one filesystem
            return None
        own = folder_of(top)
        head = _text(own / "HEAD")
        ref = _link_of(head)
        if not ref:
            return Git(_checked(head), DETACHED)
        if ref == _ELSEWHERE or not ref.startswith(_BRANCHES):
            return None
        return Git(_commit_of(_shared(own), ref), ref.removeprefix(_BRANCHES))
    except (OSError, ValueError):
        return None


def folder_of(top: Path) -> Path:
    """The repository's own folder: `.git`, or what a worktree's or a submodule's `.git` names.

    Raises:
        OSError: it cannot be read.
    """
    place = top / ".git"
    if place.is_file():
        return top / _text(place).removeprefix("gitdir:").strip()
    return place


def _shared(own: Path) -> Path:
    """The folder that all worktrees of a repository share."""
    try:
        return own / _text(own / "commondir")
    except FileNotFoundError:
        return own


def _commit_of(shared: Path, ref: str) -> str:
    """The commit that a branch names; "" for a branch without one.

    Raises:
        OSError, ValueError: it cannot be told.
    """
    for _ in range(_MOST_LINKS):
        try:
            value = _text(shared / ref)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return _packed(shared, ref)
        if not _link_of(value):
            return _checked(value)
        ref = _link_of(value)
    raise ValueError(f"{ref}: refs that name one another")


def _packed(shared: Path, ref: str) -> str:
    """The commit of a branch as the file of packed references names it; "": it does not. Source of
    the format: gitrepository-layout(5), a line `COMMIT refs/heads/main` each.
    """
    try:
        data = read_whole(shared / "packed-refs", MOST_BYTES)
    except FileNotFoundError:
        return ""
    ending = b" " + os.fsencode(ref)
    for line in data.splitlines():
        if line.endswith(ending):
            return _checked(line[: -len(ending)].decode("ascii"))
    return ""


def _checked(sha: str) -> str:
    """The hash of a commit.

    Raises:
        ValueError: it is none: the repository is damaged, or of a format of another time.
    """
    if len(sha) not in (40, 64) or set(sha) - set("0123456789abcdef"):
        raise ValueError(f"{sha[:80]!r} is no commit")
    return sha


def _link_of(value: str) -> str:
    """The ref that a ref names; "" where it names a commit."""
    if value.startswith(_REF):
        return value.removeprefix(_REF).strip()
    return ""


def _text(path: Path) -> str:
    """The text of a small file of git's, without the line end. Bytes that are no UTF-8 stay as they
    are.
    """
    return read_whole(path).decode("utf-8", "surrogateescape").strip()
