"""Whose file is it: whether what it says may be executed as this user.

The rule is git's `safe.directory` (git-config(1)): a file is trusted if it belongs to this user or
to root. It must also be writable by nobody else, since whoever can write it can have commands run
as its reader.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path

ROOT = 0


def distrust(path: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Why the file must not be obeyed, in words that follow its path; "" if it may be.

    A link counts as well as the file it leads to. Under sudo the user who typed the command is
    trusted too.

    Raises:
        OSError: the file's status cannot be read.
    """
    trusted = {os.geteuid(), ROOT, *_sudo_users(environment)}
    for status in (path.lstat(), path.stat()):
        if status.st_uid not in trusted:
            return f"belongs to {_user_name(status.st_uid)}"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid, status.st_uid):
        return f"can be written by the group {_group_name(status.st_gid)}"
    return ""


def other_owner(path: Path) -> str:
    """Who owns the path, in words, where it is another user; "" where it is this one.

    Raises:
        OSError: the path's status cannot be read.
    """
    owner = path.stat().st_uid
    if owner == os.geteuid():
        return ""
    return _user_name(owner)


def foreign_link(path: Path) -> Path | None:
    """The first symbolic link on the way to a path, the path included, that another user made; None
    if there is none.

    Who writes through such a link writes where that user chose. Links of this user's and of root's
    are followed.
    """
    trusted = {os.geteuid(), ROOT}
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay: they are what is looked at
    for place in reversed((whole, *whole.parents)):
        try:
            status = place.lstat()
        except OSError:
            return None  # nothing is there yet
        if stat.S_ISLNK(status.st_mode) and status.st_uid not in trusted:
            return place
    return None


def _sudo_users(environment: Mapping[str, str]) -> list[int]:
    """The user who typed the command, under sudo; [] for anybody but root."""
    uid = environment.get("SUDO_UID", "")
    if os.geteuid() == ROOT and uid.isascii() and uid.isdigit() and len(uid) < 11:
        return [int(uid)]
    return []


def _is_private_group(gid: int, uid: int) -> bool:
    """Whether the group is the owner's own: many systems give each user a group of the same name,
    and a umask of 002.
    """
    try:
        group, owner = grp.getgrgid(gid), pwd.getpwuid(uid)
    except KeyError:
        return False
    is_same_name = owner.pw_gid == gid and group.gr_name == owner.pw_name
    return is_same_name and set(group.gr_mem) <= {owner.pw_name}


def _user_name(uid: int) -> str:
    """A user in words, by number where the system does not know the name."""
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user with the id {uid}"


def _group_name(gid: int) -> str:
    """A group's name; in words with its number where the system knows none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"with the id {gid}"
