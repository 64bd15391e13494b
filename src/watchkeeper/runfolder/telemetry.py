"""The sidecar's samples of CPU, memory, disk and GPUs: JSON lines in `.watchkeeper/telemetry/` of
the run folder, one file per sidecar.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.disk.records import UnreadableRecordError, decode_record
from watchkeeper.core.disk.tails import end_of_file

SIDECAR = "sidecar"
"""The purpose that a sidecar's journal states."""
BEAT_S = 30.0
"""Between two heartbeats of one node."""
BEAT_BYTES = 120
"""Of a heartbeat's file."""
FULL_BYTES = 100 * 2**20
FULL_SHARE = 0.01
_MOST_BYTES = 64 * 2**20  # read of one file
_TAIL_BYTES = 16_384  # read to find the last sample


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One device. `busy` is from 0 to 1, over the driver's last sample; `ours_bytes` is what the
    job's processes hold.
    """

    index: int
    name: str
    busy: float
    used_bytes: int
    total_bytes: int
    ours_bytes: int


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One row. None: could not be measured.

    `cpus` is how many CPUs the job kept busy since the sample before; `free_bytes` and `free_files`
    are what this user may still write in the run folder, as the filesystem reports it (most report
    a folder's quota, not a user's quota).
    """

    time: datetime
    processes: int | None = None
    threads: int | None = None
    cpus: float | None = None
    rss_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    host_available_bytes: int | None = None
    oom_kills: int | None = None
    disk_bytes: int | None = None
    free_bytes: int | None = None
    free_files: int | None = None
    gpus: tuple[Gpu, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether the disk is full, or has no room for another file."""
        if self.free_bytes is None or self.disk_bytes is None:
            return False
        return is_disk_full(self.free_bytes, self.disk_bytes, self.free_files)


def is_disk_full(free_bytes: int, disk_bytes: int, free_files: int | None) -> bool:
    """Whether a disk counts as full: less than 100 MiB and less than 1 % of it are free, or no
    file can be made. `free_files` None: the filesystem does not count files.
    """
    if free_files == 0:
        return True
    return free_bytes < min(FULL_BYTES, FULL_SHARE * disk_bytes)


def encode_row(sample: Sample) -> bytes:
    """Encode a sample as one line."""
    return msgspec.json.encode(sample) + b"\n"


def decode_row(line: bytes) -> Sample | None:
    """Decode one line; None: torn, or not a sample."""
    try:
        return decode_record(line, Sample)
    except UnreadableRecordError:
        return None


def read_samples(run_folder: Path) -> list[Sample]:
    """Read all samples of a run, at most 64 MiB of each file. Files and lines that cannot be read
    are left out.
    """
    samples: list[Sample] = []
    for path in _files(run_folder):
        samples += filter(None, map(decode_row, _lines(path)))
    return samples


def read_last_sample(run_folder: Path) -> tuple[Path, Sample] | None:
    """Read the newest file's last sample, and return it with that file's path; None: no sample."""
    paths = _files(run_folder)
    if not paths:
        return None
    newest = paths[-1]
    for line in reversed(end_of_file(newest, _TAIL_BYTES).split(b"\n")):
        sample = decode_row(line)
        if sample is not None:
            return newest, sample
    return None


def _files(run_folder: Path) -> list[Path]:
    """List the files of samples by name, which sorts them by time."""
    try:
        return sorted((run_folder / layout.TELEMETRY).glob("*.jsonl"))
    except OSError:
        return []


def _lines(path: Path) -> list[bytes]:
    """The lines of a file, at most 64 MiB from its beginning; none of one that cannot be read."""
    try:
        with open_regular(path) as file:
            return read_most(file, _MOST_BYTES).splitlines()
    except OSError:
        return []
