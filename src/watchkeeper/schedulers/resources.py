"""What a job asks for, in figures: pure functions from sbatch's options (sbatch(1)) as they were
written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.schedulers.sbatch_head import gpus_of, least_nodes, time_limit_s

_SIZE = lazy.pattern(r"([0-9]{1,15})([KMGT]?)B?")
# Without a unit, sbatch means megabytes; its units are powers of 1024.
_UNITS = {"K": 2**10, "": 2**20, "M": 2**20, "G": 2**30, "T": 2**40}
_COUNT = lazy.pattern(r"[0-9]{1,9}")
MEMORY_OPTIONS = ("mem", "mem-per-cpu", "mem-per-gpu")
GPU_OPTIONS = ("gpus", "gpus-per-node", "gpus-per-task", "gres")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What one job asks for. `limit_s` is in seconds, `memory_bytes` is of one node; None: it asks
    for none, for no limit, or for all that a node has. `gpus` are those of one node, `gpus_in_all`
    those of all its nodes.
    """

    limit_s: int | None = None
    memory_bytes: int | None = None
    gpus: int = 0
    gpus_in_all: int = 0
    nodes: int = 1
    tasks: int = 1

    @property
    def is_of_one_task(self) -> bool:
        """Whether one task on one node is all of it: then the figures of a task are the job's."""
        return self.nodes == 1 and self.tasks == 1


def request_of(asked: Mapping[str, str]) -> Request:
    """The request that these options make, by their long names; what cannot be read asks for
    nothing.
    """
    nodes = least_nodes(asked)
    tasks = max(_count(asked, "ntasks", 1), _count(asked, "ntasks-per-node", 1) * nodes)
    limit_s, gpus, gpus_in_all = None, 0, 0
    with contextlib.suppress(ValueError):
        limit_s = time_limit_s(asked.get("time", "0"))
    with contextlib.suppress(ValueError):
        gpus, gpus_in_all = gpus_of(asked), gpus_of(asked, nodes=nodes)
    return Request(
        limit_s=limit_s,
        memory_bytes=_memory_bytes(asked, -(-tasks // nodes), gpus),
        gpus=gpus,
        gpus_in_all=gpus_in_all,
        nodes=nodes,
        tasks=tasks,
    )


def size_of(text: str) -> int | None:
    """`4000`, `64G` or `1T` in bytes; None for 0, which asks for all, and for anything else."""
    match = _SIZE.fullmatch(text.upper())
    if match is None:
        return None
    return int(match[1]) * _UNITS[match[2]] or None


def _memory_bytes(asked: Mapping[str, str], tasks: int, gpus: int) -> int | None:
    """The memory of one node with `tasks` of the tasks and `gpus` GPUs."""
    cpus = tasks * _count(asked, "cpus-per-task", 1)
    times = {"mem": 1, "mem-per-cpu": cpus, "mem-per-gpu": gpus}
    for option, number in times.items():
        size = size_of(asked.get(option, ""))
        if size is not None and number:
            return size * number
    return None


def _count(asked: Mapping[str, str], option: str, default: int) -> int:
    value = asked.get(option, "")
    if _COUNT.fullmatch(value) is None:
        return default
    return max(int(value), 1)
