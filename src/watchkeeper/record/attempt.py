"""Which attempt of an experiment this process works for, if any.

The wrapper around a job exports WATCHKEEPER_ATTEMPT. Environments leak (`sbatch --export=ALL` from
inside a job), so it counts only when a claim in that folder names the job that this process is in.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.disk.records import UnreadableRecordError, read_record
from watchkeeper.runfolder.link import RECORDER


class _Claim(msgspec.Struct, frozen=True):
    """What is read here of a claim; the rest is the wrapper's."""

    job_id: str | int


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt that this process works for: its folder, and the job that claimed it."""

    folder: Path
    job_id: str


def find(environ: Mapping[str, str] = os.environ) -> Attempt | None:
    """The attempt named by the environment and claimed by this job; None when run by hand, or where
    it is not known.

    Slurm's own variable wins over the wrapper's: it is the one that Slurm sets anew in every job.
    """
    named = environ.get("WATCHKEEPER_ATTEMPT", "")
    job_id = environ.get("SLURM_JOB_ID") or environ.get("WATCHKEEPER_JOB_ID") or ""
    if not named or not job_id:
        return None
    array_id, number = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    if array_id and number:
        mine = {job_id, f"{array_id}_{number}"}
    else:
        mine = {job_id}
    folder = Path(named)
    with contextlib.suppress(OSError):
        for path in folder.glob("claim.*"):
            with contextlib.suppress(UnreadableRecordError, OSError):
                if str(read_record(path, _Claim).job_id) in mine:
                    return Attempt(folder=folder, job_id=job_id)
    return None


def leave_word(attempt: Attempt, *, folder: Path, run_id: str, writer: str) -> None:
    """Write down in the attempt where this run keeps its folder; of several runs in one job, the
    last one's.

    Raises:
        StorageError: it could not be written.
    """
    word = msgspec.json.encode({"folder": str(folder), "run_id": run_id, "writer": writer})
    files.replace(attempt.folder / RECORDER, word + b"\n", durable=False)
