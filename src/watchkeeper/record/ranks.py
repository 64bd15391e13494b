"""Which of several processes that work together this one is, and what they have in common.

Sources: the environment that torchrun makes (PyTorch's documentation, "torchrun (Elastic Launch)"),
and other launchers in part: RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, TORCHELASTIC_RUN_ID,
TORCHELASTIC_RESTART_COUNT; srun(1): SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_STEP_TASKS_PER_NODE,
SLURM_JOB_ID, SLURM_STEP_ID, SLURM_RESTART_COUNT.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core import layout, processes
from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record

MARK = "WATCHKEEPER_RANK_OF"  # in the environment that a rank's children inherit: they are none

_asked: Counter[str] = Counter()  # how often this process asked its group about something


class Rank(NamedTuple):
    """One of a group's processes, counted from 0. `local` is how many of them this node has;
    `execution` is 1, and one more for each elastic restart; `group` is the same in all of them, and
    in no other group.
    """

    number: int
    world: int
    local: int
    execution: int
    group: str


def find(environ: Mapping[str, str] = os.environ) -> Rank | None:
    """This process's place in its group; None for one that works alone, or was started by one of a
    group.
    """
    try:
        rank = _by_launcher(environ) or _by_srun(environ)
    except ValueError:
        return None
    if rank is None or environ.get(MARK, _mark(rank.group)) != _mark(rank.group):
        return None
    return rank


def _by_launcher(environ: Mapping[str, str]) -> Rank | None:
    if not {"RANK", "WORLD_SIZE"} <= environ.keys():
        return None
    number, world = int(environ["RANK"]), int(environ["WORLD_SIZE"])
    elastic = "TORCHELASTIC_RESTART_COUNT" in environ
    if not 0 <= number < world or (world == 1 and not elastic):
        return None
    nodes = int(environ.get("SLURM_JOB_NUM_NODES") or 1)
    local = int(environ.get("LOCAL_WORLD_SIZE") or max(1, world // nodes))
    if local == world:
        common = [
            _launcher(number)
        ]  # names and ports are used again; one launcher on this node is not
    else:
        common = [
            _job(environ),
            *(environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR")),
        ]
        common += [] if elastic else [environ.get("MASTER_PORT", "")]
    execution = 1 + int(environ.get("TORCHELASTIC_RESTART_COUNT") or 0)
    return Rank(number, world, local, execution, "/".join(common))


def _by_srun(environ: Mapping[str, str]) -> Rank | None:
    if not {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"} <= environ.keys():
        return None
    number, world = int(environ["SLURM_PROCID"]), int(environ["SLURM_STEP_NUM_TASKS"])
    if world < 2:
        return None
    local = int(environ.get("SLURM_STEP_TASKS_PER_NODE", "1").partition("(")[0].partition(",")[0])
    return Rank(number, world, local, 1, _job(environ))


def _job(environ: Mapping[str, str]) -> str:
    return ".".join(
        environ.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_STEP_ID")
    )


def _launcher(rank: int) -> str:
    """The process that started this group on this node: the nearest ancestor that was not given the
    rank.
    """
    pid = os.getppid()
    with contextlib.suppress(OSError):
        while f"\0RANK={rank}\0".encode() in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
            pid = processes.parent_of(pid) or 1
    name = processes.name_of(pid)
    if name is not None:
        return msgspec.json.encode(name).decode()
    return str(pid)


def _mark(group: str) -> str:
    return f"{os.getpid()} {hashlib.sha256(group.encode()).hexdigest()[:20]}"


def agreed_run_id(top: Path, rank: Rank, proposal: str) -> str:
    """The run id that all processes of the group use for this run of theirs. After an elastic
    restart it is the same again.

    Raises:
        StorageError: they cannot agree, since nothing can be written below `top`.
    """
    os.environ[MARK] = _mark(rank.group)
    return agreed(top, rank.group, "run", proposal)


def agreed(top: Path, group: str, what: str, proposal: str) -> str:
    """What all processes of the group take, whoever comes first: his proposal. The n-th time that a
    process asks of `what` is the n-th of each.

    Raises:
        StorageError: they cannot agree, since nothing can be written below `top`.
    """
    question = f"{group}#{what}"
    count = _asked[question]
    _asked[question] += 1
    name = hashlib.sha256(f"{question}#{count}".encode()).hexdigest()[:20]
    path = files.make_folder(top / layout.GROUPS) / f"{name}.json"
    words = {"what": what, "said": proposal, "nonce": secrets.token_hex(8)}
    if files.create(path, msgspec.json.encode(words) + b"\n"):
        return proposal
    with contextlib.suppress(OSError, UnreadableRecordError, KeyError):
        return str(read_record(path, dict[str, str])["said"])
    return proposal


def is_data_worker() -> bool:
    """In a child that was just forked: whether PyTorch's DataLoader forked it, to fetch data."""
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        if str(frame.f_globals.get("__name__", "")).startswith("torch.utils.data"):
            return True
    return False
