"""Is this machine, or this cluster, fit? Each thing that is looked at is one line."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core.code import git
from watchkeeper.core.disk import files, mounts
from watchkeeper.core.errors import Problem, SchedulerError, StorageError
from watchkeeper.core.text.figures import clock
from watchkeeper.schedulers.base import Scheduler
from watchkeeper.schedulers.site import Partition, Site
from watchkeeper.schedulers.wrapper import proof

Verdict = Literal["ok", "warning", "bad", "unknown"]
_LITTLE_BYTES = 2 * 2**30
_FEW_INODES = 10_000
# A claim and a heartbeat are judged by the file server's clock; only what a person compares needs
# the nodes' own.
_CLOCKS_DIFFER_S = 5.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `hint` is what to do, "" for nothing."""

    what: str
    verdict: Verdict
    found: str
    hint: str = ""


def machine(folder: Path) -> Iterator[Check]:
    """This machine, and the folder that experiments lie in."""
    yield Check(what="python", verdict="ok", found=platform.python_version())
    filesystem = mounts.filesystem_of(folder)
    space, inodes = shutil.disk_usage(folder).free, os.statvfs(folder)
    few = inodes.f_files > 0 and inodes.f_favail < _FEW_INODES
    yield Check(
        what="disk",
        verdict="warning" if space < _LITTLE_BYTES or few else "ok",
        found=f"{filesystem}: {space / 2**30:.1f} GiB free"
        + (f", {inodes.f_favail} inodes left" if few else ""),
        hint="make room: a run whose disk is full loses its rows"
        if space < _LITTLE_BYTES or few
        else "",
    )
    yield _links(folder)
    code = git.state(folder)
    if not code.sha:
        hint = "type `git init` and commit: without it no attempt knows the code that it ran"
        yield Check(what="git", verdict="warning", found="no commit here", hint=hint)
    else:
        if code.dirty:
            dirty = ", with uncommitted changes (they are kept with each attempt)"
        else:
            dirty = ""
        yield Check(what="git", verdict="ok", found=f"{code.branch} {code.sha[:12]}{dirty}")


def _links(folder: Path) -> Check:
    name = folder / f".wk-doctor-{secrets.token_hex(8)}"
    try:
        first, second = files.create(name, b"first\n"), files.create(name, b"second\n")
        files.remove(name)
    except StorageError as error:
        hint = error.hint or (
            "an experiment must lie where hard links work; many object stores and some "
            "FUSE mounts cannot"
        )
        return Check(what="links", verdict="bad", found=str(error), hint=hint)
    if (first, second) != (True, False):
        return Check(
            what="links",
            verdict="bad",
            found="one name was given twice",
            hint="use another filesystem",
        )
    return Check(what="links", verdict="ok", found="a name is given once only")


def site(allowed: Site) -> Iterator[Check]:
    """What a cluster allows this user."""
    for words in allowed.unasked:
        yield Check(
            what="slurm", verdict="unknown", found=words, hint="ask again later, or your site"
        )
    if not allowed.version:
        return
    yield Check(what="slurm", verdict="ok", found=f"version {allowed.version}")
    yield _accounting(allowed)
    for partition in allowed.partitions:
        verdict: Verdict = "ok" if partition.up else "warning"
        yield Check(what="partition", verdict=verdict, found=_partition_text(partition))
    limits: list[str] = []
    if allowed.max_submit is not None:
        limits.append(f"{allowed.max_submit} jobs at a time")
    if allowed.max_array:
        limits.append(f"array tasks 0 to {allowed.max_array - 1}")
    yield Check(what="limits", verdict="ok", found=", ".join(limits) or "none known")


def _accounting(allowed: Site) -> Check:
    """Whether the cluster keeps the ends of jobs."""
    if allowed.accounting:
        account = allowed.default_account or "not named"
        return Check(what="accounting", verdict="ok", found=f"on; account {account}")
    found = (
        "off: a job's end is known while the controller remembers it, and by its own exit record"
    )
    return Check(what="accounting", verdict="warning", found=found)


def _partition_text(partition: Partition) -> str:
    """`gpu (default): 1-00:00:00, 01:00:00 without --time; it is down`."""
    text = partition.name
    if partition.is_default:
        text += " (default)"
    text += f": {clock(partition.max_time_s) if partition.max_time_s else 'no limit'}"
    if partition.default_time_s:
        text += f", {clock(partition.default_time_s)} without --time"
    if not partition.up:
        text += "; it is down"
    return text


def claim(
    scheduler: Scheduler, folder: Path, *, wait_s: float, tell: Callable[[str], None]
) -> Iterator[Check]:
    """The claim between this node and a compute node, the folder's visibility and the clocks, by a
    tiny job.
    """
    try:
        found = proof.prove(scheduler, folder, wait_s=wait_s, tell=tell)
    except proof.NotProvedError as error:
        hint = "until it is proved, what sbatch did not answer is never submitted again by itself"
        yield Check(
            what="claim", verdict="bad" if error.broken else "unknown", found=str(error), hint=hint
        )
        return
    except (SchedulerError, StorageError) as error:
        yield Check(what="claim", verdict="unknown", found=str(error), hint=error.hint)
        return
    yield Check(
        what="claim",
        verdict="ok",
        found=f"held once in {found.rounds} of {found.rounds} races with {found.node} "
        f"({found.won_here} won here, {found.rounds - found.won_here} there)",
    )
    late = found.slowest_s > scheduler.visibility_lag_s
    yield Check(
        what="visibility",
        verdict="bad" if late else "ok",
        found=(
            f"a file and its answer took {found.slowest_s:.2f} s; visibility_lag_s is "
            f"{scheduler.visibility_lag_s:g}"
        ),
        hint=f"set visibility_lag_s to {2 * found.slowest_s:.0f} or more in the cluster's profile"
        if late
        else "",
    )
    apart = abs(found.clock_offset_s) - found.clock_error_s > _CLOCKS_DIFFER_S
    yield Check(
        what="clocks",
        verdict="warning" if apart else "ok",
        found=(
            f"{found.node} is {found.clock_offset_s:+.3f} s from here, give or take "
            f"{found.clock_error_s:.3f} s"
        ),
        hint="times in logs of jobs and in ours differ by that much" if apart else "",
    )


def scripts(problems: tuple[Problem, ...]) -> Iterator[Check]:
    """What is wrong with an experiment's files and scripts."""
    verdicts: dict[str, Verdict] = {"error": "bad", "warning": "warning", "note": "ok"}
    for problem in problems:
        found = f"{problem.where}: {problem.message}"
        yield Check(
            what="experiment", verdict=verdicts[problem.severity], found=found, hint=problem.hint
        )
