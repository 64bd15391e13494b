"""The rows of the sidecar's telemetry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper.core import layout
from watchkeeper.runfolder.telemetry import (
    Gpu,
    Sample,
    encode_row,
    is_disk_full,
    read_last_sample,
    read_samples,
)

GIB = 2**30
GPU = Gpu(index=0, name="H100", busy=0.5, used_bytes=7, total_bytes=80, ours_bytes=5)


def sample(second: int, rss_bytes: int) -> Sample:
    """A sample with one GPU."""
    time = datetime(2026, 3, 11, 15, 0, second, tzinfo=UTC)
    return Sample(time=time, rss_bytes=rss_bytes, gpus=(GPU,))


def test_rows_are_read_as_they_were_written_and_torn_ones_left_out(tmp_path: Path) -> None:
    """All files count, in the order of their names; a torn tail hides no earlier row."""
    folder = tmp_path / layout.TELEMETRY
    folder.mkdir(parents=True)
    first, second, third = sample(1, 10), sample(2, 20), sample(3, 30)
    (folder / "a.jsonl").write_bytes(encode_row(first) + encode_row(second))
    (folder / "b.jsonl").write_bytes(encode_row(third) + b'{"time":"2026-03-1')
    assert read_samples(tmp_path) == [first, second, third]
    assert read_last_sample(tmp_path) == (folder / "b.jsonl", third)


def test_a_run_without_telemetry_has_no_samples(tmp_path: Path) -> None:
    """A missing folder and a file without a whole row both read as nothing."""
    assert (read_samples(tmp_path), read_last_sample(tmp_path)) == ([], None)
    folder = tmp_path / layout.TELEMETRY
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(b"\0\0[]\n{")
    assert (read_samples(tmp_path), read_last_sample(tmp_path)) == ([], None)


def test_the_form_of_a_row_stays(tmp_path: Path) -> None:
    """Every field is written, in this order, so that rows of all versions read alike."""
    assert encode_row(sample(1, 10)) == (
        b'{"time":"2026-03-11T15:00:01Z","processes":null,"threads":null,"cpus":null,'
        b'"rss_bytes":10,"read_bytes":null,"written_bytes":null,"host_available_bytes":null,'
        b'"oom_kills":null,"disk_bytes":null,"free_bytes":null,"free_files":null,'
        b'"gpus":[{"index":0,"name":"H100","busy":0.5,"used_bytes":7,"total_bytes":80,'
        b'"ours_bytes":5}]}\n'
    )


@pytest.mark.parametrize(
    ("free_bytes", "disk_bytes", "free_files", "full"),
    [
        (100 * 2**20, 1000 * GIB, None, False),
        (100 * 2**20 - 1, 1000 * GIB, None, True),
        (2 * 2**20, GIB // 4, None, True),
        (3 * 2**20, GIB // 4, 1, False),
        (500 * GIB, 1000 * GIB, 0, True),
    ],
)
def test_a_disk_is_full_below_100_mib_and_one_percent_or_without_a_file_left(
    free_bytes: int, disk_bytes: int, free_files: int | None, full: bool
) -> None:
    """Both bounds hold on a disk of any size; a filesystem that counts no files has no limit."""
    assert is_disk_full(free_bytes, disk_bytes, free_files) is full
