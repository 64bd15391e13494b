"""What the sidecar gets when it is started."""

from __future__ import annotations

import msgspec

from watchkeeper.core.processes import ProcessName


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """`work` is the process that is watched, with its children; `recorder` the one that writes the
    run (often the same). `output` names files, relative to the run's folder, whose growth is an
    advance; `files` are glob patterns for more. `stall_s` None: from the run's own history.
    `group`: the work leads a process group, which is ended as a whole.
    """

    run_id: str
    pipeline: str
    folder: str
    work: ProcessName
    recorder: ProcessName
    output: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    stall_s: float | None = None
    end_stalled: bool = False
    grace_s: float
    dump_signal: int
    group: bool = False
