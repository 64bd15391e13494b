"""The GPU check without a GPU: what it reads, how it judges what was recorded, and the two parts
that need no device.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
H100 = Path(__file__).parent / "h100"
"""What `scripts/gpu-check --out` wrote on an H100 (driver 580.159, PyTorch 2.11) on 2026-11-28."""
_spec = importlib.util.spec_from_file_location("gpu_check", ROOT / "scripts" / "gpu_check.py")
gpu_check = importlib.util.module_from_spec(_spec)
sys.modules["gpu_check"] = gpu_check
_spec.loader.exec_module(gpu_check)

TOTAL_MIB = 81559
# PyTorch's own words, of 2.x and of 1.x, as people paste them into public reports.
OUT_OF_MEMORY = [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1024.00 MiB. GPU 0 has a total "
    "capacity of 79.11 GiB of "
    "which 440.56 MiB is free. Including non-PyTorch memory, this process has 78.66 GiB memory in "
    "use. Of the allocated "
    "memory 78.00 GiB is allocated by PyTorch, and 13.00 MiB is reserved by PyTorch but "
    "unallocated. If reserved but "
    "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to "
    "avoid fragmentation.",
    "RuntimeError: CUDA out of memory. Tried to allocate 978.00 MiB (GPU 0; 15.90 GiB total "
    "capacity; 14.22 GiB already "
    "allocated; 167.88 MiB free; 14.99 GiB reserved in total by PyTorch) If reserved memory is >> "
    "allocated memory try "
    "setting max_split_size_mb to avoid fragmentation.",
]


def sample(
    *,
    busy: float = 0.95,
    theirs: int = 97,
    used_mib: int = 9000,
    more_mib: int = 600,
    total_mib: int = TOTAL_MIB,
):
    """One second of one device, as the check writes it down."""
    ours = {
        "index": 0,
        "busy": busy,
        "used_bytes": (used_mib + more_mib) * 2**20,
        "total_bytes": total_mib * 2**20,
    }
    return {
        "at": "2026-03-11T15:00:00+00:00",
        "ours": [ours],
        "smi": f"0, {theirs}, {used_mib}, {TOTAL_MIB}\n",
    }


def test_nvidia_smis_lines_are_read_and_what_is_no_figure_is_left_out():
    """Per cent become shares and MiB bytes; a device without figures, a warning and nothing give
    none.
    """
    text = "0, 97, 9000, 81559\n1, [N/A], 3, 81559\nFailed to initialize NVML\n\n2, 0, 0, 16384\n"
    assert gpu_check.parse_smi(text) == [
        gpu_check.Figures(0, 0.97, 9000 * 2**20, 81559 * 2**20),
        gpu_check.Figures(2, 0.0, 0, 16384 * 2**20),
    ]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, ""),
        ({"busy": 0.7}, "busy is apart"),
        ({"busy": 0.1, "theirs": 12}, "the load is not seen"),
        ({"more_mib": 4000}, "used memory is apart"),
        ({"total_mib": 40_000}, "total memory is apart"),
    ],
)
def test_telemetry_holds_where_both_say_the_same(changed, fault):
    """Each way in which our figures and nvidia-smi's can be apart is named."""
    row = gpu_check.judge_telemetry([sample(**changed) for _ in range(10)])
    assert row.holds == (not fault) and row.saw.startswith(fault)


def test_too_few_samples_hold_nothing():
    """Without our figures, or without theirs, nothing can be compared, and that is no success."""
    assert not gpu_check.judge_telemetry([]).holds
    assert not gpu_check.judge_telemetry([sample() | {"ours": []} for _ in range(10)]).holds
    assert not gpu_check.judge_telemetry([sample() | {"smi": ""} for _ in range(10)]).holds


def test_what_an_h100_gave_holds():
    """The three parts hold on what was recorded on real hardware."""
    rows = gpu_check.judge(H100)
    assert [row.what for row in rows] == ["telemetry", "memory", "hang"]
    assert all(row.holds for row in rows), rows
    assert rows[0].saw == "15 samples; busy 99% and 99%; used memory at most 480 MiB apart"
    assert "all_reduce" in rows[2].saw


@pytest.mark.parametrize("words", OUT_OF_MEMORY, ids=["torch 2", "torch 1"])
def test_a_job_that_says_what_torch_says_is_out_of_gpu_memory(tmp_path, words, monkeypatch):
    """The whole way of that part, watch and verdict included, with a program that ends as PyTorch's
    does.
    """
    monkeypatch.setattr(gpu_check, "MOST_WAIT_S", 600.0)
    gpu_check.look_at_memory(
        tmp_path, f"import sys\nprint({words!r}, file=sys.stderr)\nsys.exit(1)\n"
    )
    row = gpu_check.judge(tmp_path)[1]
    assert row.holds and row.saw.startswith(
        "failed, cause: memory gpu: exit code 1; out of memory on the GPU"
    ), row


def test_another_end_is_no_out_of_memory(tmp_path):
    """A job that fails otherwise, or none, does not hold."""
    gpu_check.look_at_memory(tmp_path, "raise KeyError('lr')\n")
    assert not gpu_check.judge(tmp_path)[1].holds
    assert not gpu_check.judge_memory({}).holds


def test_a_collective_that_one_rank_never_enters_is_found_with_its_stack(tmp_path, monkeypatch):
    """The whole way of that part, on CPUs (gloo in place of NCCL): the sidecar finds the stall, its
    stack says where.
    """
    pytest.importorskip("torch")
    monkeypatch.setattr(gpu_check, "MOST_WAIT_S", 600.0)
    gpu_check.look_at_hang(tmp_path, "gloo")
    row = gpu_check.judge(tmp_path)[2]
    assert row.holds and "all_reduce" in row.saw, (row, (tmp_path / "hang.output").read_text())


def test_a_stall_without_its_stack_holds_nothing():
    """A report in which no collective shows is not enough."""
    assert not gpu_check.judge_hang(
        {"cause": "no advance"}, "Thread 1\n  File x.py, line 3 in train\n"
    ).holds
    assert not gpu_check.judge_hang({}, "").holds


def test_without_a_gpu_it_says_so_and_ends_with_77(tmp_path):
    """Nothing is done and nothing claimed where a GPU, or what the check needs, is missing."""
    environment = os.environ | {
        "PYTHON": sys.executable,
        "PATH": "/usr/bin:/bin",
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [ROOT / "scripts" / "gpu-check"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77 and done.stdout.startswith("gpu-check: not done here: "), (
        done.stderr
    )


def test_what_was_seen_can_be_judged_again(tmp_path):
    """`--judge` makes the table from a folder alone, and ends with 1 if something does not hold."""
    (tmp_path / "telemetry.jsonl").write_text(
        "".join(json.dumps(sample()) + "\n" for _ in range(10))
    )
    (tmp_path / "memory.json").write_text(
        json.dumps({"outcome": "failed", "cause": "memory gpu", "why": OUT_OF_MEMORY[0]})
    )
    command = [ROOT / "scripts" / "gpu-check", "--judge", tmp_path]
    environment = os.environ | {"PYTHON": sys.executable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()[:3]] == [
        ["telemetry", "holds"], ["memory", "holds"], ["hang", "FAILS"]
    ]  # fmt: skip
