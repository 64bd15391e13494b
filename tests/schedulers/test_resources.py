"""What a job asks for, read from sbatch's options as they were written."""

from __future__ import annotations

import pytest

from watchkeeper.schedulers.resources import Request, request_of, size_of
from watchkeeper.schedulers.sbatch_head import read_head
from watchkeeper.schedulers.slurm.text import limit_of, read_sacct

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4000", 4000 * 2**20),
        ("64G", 64 * GIB),
        ("64GB", 64 * GIB),
        ("512k", 512 * 2**10),
        ("1T", 2**40),
        ("0", None),
        ("", None),
        ("lots", None),
        ("-1", None),
        ("9" * 40, None),
    ],
)
def test_sizes_are_read_as_sbatch_reads_them(text: str, size: int | None) -> None:
    """Megabytes without a unit; 0 asks for all, and what is no size asks for nothing."""
    assert size_of(text) == size


@pytest.mark.parametrize(
    ("asked", "request_"),
    [
        ({}, Request()),
        ({"time": "2:00:00", "mem": "8G"}, Request(limit_s=7200, memory_bytes=8 * GIB)),
        ({"time": "soon", "gres": "gpu:a:b:c"}, Request()),
        (
            {"mem-per-cpu": "2G", "cpus-per-task": "4", "ntasks": "2"},
            Request(memory_bytes=16 * GIB, tasks=2),
        ),
        (
            {"mem-per-gpu": "10G", "gpus": "3"},
            Request(memory_bytes=30 * GIB, gpus=3, gpus_in_all=3),
        ),
        ({"mem-per-gpu": "10G"}, Request()),
        (
            {"nodes": "2", "gpus-per-node": "4"},
            Request(gpus=4, gpus_in_all=8, nodes=2, tasks=2),
        ),
        (
            {"nodes": "2-4", "ntasks-per-node": "8", "mem": "1G"},
            Request(memory_bytes=GIB, nodes=2, tasks=16),
        ),
    ],
)
def test_options_make_a_request(asked: dict[str, str], request_: Request) -> None:
    """Memory is that of one node, however it is asked for; what cannot be read asks for nothing."""
    assert request_of(asked) == request_


def test_a_head_keeps_what_it_asks_for_as_it_is_written() -> None:
    """Short options under their long names, the site's options before the script's, and nothing of
    what asks for no resource.
    """
    script = b"#!/bin/bash\n#SBATCH -N 2 -t 30 -c 4\n#SBATCH --mem=8G -J name -p gpu\n"
    head = read_head(script, beside=["--time=60"])
    assert head.asked == {"time": "60", "mem": "8G", "nodes": "2", "cpus-per-task": "4"}
    assert read_head(b"#!/bin/bash\n#SBATCH -N 2 --gpus-per-node=3\n").gpus_in_all == 6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("240", 14_400), ("0", None), ("UNLIMITED", None), ("Partition_Limit", None), ("", None)],
)
def test_saccts_limit_is_minutes(text: str, seconds: int | None) -> None:
    """Slurm's words for no limit, and for a partition's, are no number of seconds."""
    assert limit_of(text) == seconds


def test_sacct_says_what_a_job_was_granted() -> None:
    """The limit and the memory of the job, a partition's defaults included, whatever its steps."""
    text = (
        "JobID|JobIDRaw|State|TimelimitRaw|ReqMem|MaxRSS\n"
        "7|7|COMPLETED|240|64G|\n"
        "7.batch|7.batch|COMPLETED|||2G\n"
        "8|8|COMPLETED|||\n"
    )
    first, second = read_sacct(text, "|")
    assert (first.limit_s, first.asked_bytes, first.max_rss_bytes) == (14_400, 64 * GIB, 2 * GIB)
    assert (second.limit_s, second.asked_bytes) == (None, None)
    assert first.facts().limit_s == 14_400
