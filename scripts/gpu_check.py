"""Holds what Watchkeeper says of GPUs to the machine's own word, in five minutes at most. Run it by
`scripts/gpu-check`.

    telemetry   our figures of each device beside those of nvidia-smi, once a second, while a
    program works on device 0
    memory      a job that runs out of GPU memory: is that what is named as the cause of its end?
    hang        a collective (NCCL) that one of two ranks never enters: is the stall found, and do
    the stacks show where?

It needs Watchkeeper with nvidia-ml-py (`pip install 'watchkeeper[sidecar]'`), PyTorch with CUDA,
and nvidia-smi. It prints a table and leaves what it saw in a folder, which `--judge FOLDER` judges
again, without a GPU. It ends with 0 where all three hold, 1 where one does not, 77 where there is
no GPU, or something that it needs is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

LEFT_OUT = 77
SAMPLES = 15
LEAST_SAMPLES = 5
STALL_S = 10.0
MOST_WAIT_S = 90.0
BUSY_APART = 0.15  # of the mean: the two are not sampled in the same instant
BUSY_LEAST = 0.5  # under load, on device 0
MEMORY_APART_BYTES = (
    3 * 2**29
)  # NVML's older call counts what the driver reserves as used, nvidia-smi does not
MEMORY_APART = 0.02  # of the total
QUERY = ("index", "utilization.gpu", "memory.used", "memory.total")

LOAD = """
import sys, time, torch
matrix = torch.randn(8192, 8192, device="cuda:0", dtype=torch.float16)
held = torch.empty(4 * 2**30, dtype=torch.uint8, device="cuda:0")
print("ready", flush=True)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    for _ in range(20):
        matrix @ matrix
    torch.cuda.synchronize()
"""
ALLOCATE = """
import torch
held = []
while True:
    held.append(torch.empty(2**30, dtype=torch.uint8, device="cuda:0"))
"""
COLLECTIVE = """
import os, sys, time, torch, torch.distributed as dist
import watchkeeper as wk
rank, backend, folder = int(os.environ["RANK"]), sys.argv[1], sys.argv[2]
if backend == "nccl":
    torch.cuda.set_device(rank % torch.cuda.device_count())
dist.init_process_group(backend)
if rank:
    time.sleep(600)  # it never enters the collective
with wk.start_run(folder=folder, pipeline="training") as run:
    for step in range(1, 21):
        run.log(step, loss=1 / step)
        time.sleep(0.05)
    total = torch.ones(1, device="cuda" if backend == "nccl" else "cpu")
    dist.all_reduce(total)
    total.item()
"""


class Figures(NamedTuple):
    """One device at one moment; `busy` from 0 to 1."""

    index: int
    busy: float
    used_bytes: int
    total_bytes: int


class Row(NamedTuple):
    """A line of the table."""

    what: str
    holds: bool
    saw: str


# ── judging: pure


def parse_smi(text: str) -> list[Figures]:
    """nvidia-smi's CSV (`noheader,nounits`) of `QUERY`: per cent and MiB. A line with `[N/A]` in it
    is left out.
    """
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(QUERY) and all(cell.replace(".", "", 1).isdigit() for cell in cells):
            index, busy, used, total = (float(cell) for cell in cells)
            found.append(Figures(int(index), busy / 100, int(used * 2**20), int(total * 2**20)))
    return found


def judge_telemetry(samples: Iterable[Mapping[str, Any]]) -> Row:
    """`samples` are lines of telemetry.jsonl: `ours`, our figures, and `smi`, nvidia-smi's text, of
    one moment each.
    """
    pairs: list[tuple[Figures, Figures]] = []
    for sample in samples:
        theirs = {one.index: one for one in parse_smi(sample["smi"])}
        ours = [Figures(**figures) for figures in sample["ours"]]
        pairs += [(one, theirs[one.index]) for one in ours if one.index in theirs]
    first = [pair for pair in pairs if pair[0].index == 0]
    if len(first) < LEAST_SAMPLES:
        return Row(
            "telemetry",
            False,
            f"{len(first)} samples of device 0 that both have; {LEAST_SAMPLES} are needed",
        )
    busy = [sum(pair[side].busy for pair in first) / len(first) for side in (0, 1)]
    apart = max(abs(ours.used_bytes - theirs.used_bytes) for ours, theirs in pairs)
    total = max(
        abs(ours.total_bytes - theirs.total_bytes) / theirs.total_bytes for ours, theirs in pairs
    )
    most = max(MEMORY_APART_BYTES, *(MEMORY_APART * theirs.total_bytes for _, theirs in pairs))
    faults = [
        *(["busy is apart"] if abs(busy[0] - busy[1]) > BUSY_APART else []),
        *(["the load is not seen"] if min(busy) < BUSY_LEAST else []),
        *(["used memory is apart"] if apart > most else []),
        *(["total memory is apart"] if total > MEMORY_APART else []),
    ]
    words = (
        f"{len(first)} samples; busy {busy[0]:.0%} and {busy[1]:.0%}; used memory at most "
        f"{apart / 2**20:.0f} MiB apart"
    )
    return Row("telemetry", not faults, "; ".join([*faults, words]))


def judge_memory(judged: Mapping[str, Any]) -> Row:
    """`judged` is the verdict on the job that ran out of GPU memory."""
    cause, why = judged.get("cause", ""), str(judged.get("why", ""))
    words = f"{judged.get('outcome', 'no verdict')}, cause: {cause or 'none'}: {why[:160]}"
    return Row("memory", judged.get("outcome") == "failed" and cause == "memory gpu", words)


def judge_hang(stalled: Mapping[str, Any], report: str) -> Row:
    """`stalled` is the sidecar's event ({}: there is none), `report` what it wrote down."""
    if not stalled:
        return Row("hang", False, "no stall was found")
    line = next((line.strip() for line in report.splitlines() if "all_reduce" in line), "")
    words = f"stalled: {str(stalled.get('cause', ''))[:100]}; " + (
        f"stack: {line}" if line else "the stacks show no all_reduce"
    )
    return Row("hang", bool(line), words)


def judge(folder: Path) -> list[Row]:
    """The rows of what lies in a folder."""
    samples = [json.loads(line) for line in _text(folder / "telemetry.jsonl").splitlines()]
    judged = json.loads(_text(folder / "memory.json") or "{}")
    stalled = json.loads(_text(folder / "hang.json") or "{}")
    return [
        judge_telemetry(samples),
        judge_memory(judged),
        judge_hang(stalled, _text(folder / "hang.txt")),
    ]


def table(rows: Sequence[Row]) -> str:
    """For people."""
    return "\n".join(
        f"{row.what:<10} {'holds' if row.holds else 'FAILS'}  {row.saw}" for row in rows
    )


# ── looking


def look_at_telemetry(folder: Path, program: str = LOAD) -> None:
    """Our figures and nvidia-smi's, side by side, while the program works."""
    from watchkeeper.record.sidecar.telemetry import Telemetry

    load = subprocess.Popen(
        [sys.executable, "-c", program, str(SAMPLES + 5)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert load.stdout is not None
        load.stdout.readline()  # it works
        telemetry = Telemetry(load.pid, folder)
        with (folder / "telemetry.jsonl").open("w") as file:
            for _ in range(SAMPLES):
                time.sleep(1)
                sample = telemetry.sample(datetime.now(UTC))
                ours = [
                    Figures(one.index, one.busy, one.used_bytes, one.total_bytes)._asdict()
                    for one in sample.gpus
                ]
                file.write(
                    json.dumps({"at": sample.time.isoformat(), "ours": ours, "smi": _smi()}) + "\n"
                )
    finally:
        _end(load)


def look_at_memory(folder: Path, program: str = ALLOCATE) -> None:
    """Let a watched job run out of GPU memory, and keep its output and the verdict on it."""
    from watchkeeper.core import journal
    from watchkeeper.core.events import Judged

    run = folder / "memory" / "out_of_memory"
    run.mkdir(parents=True)
    (run / "allocate.py").write_text(program)
    (run / "finetune.slurm").write_text(
        f"#!/bin/bash\n#SBATCH --output=output.txt\nexec '{sys.executable}' allocate.py\n"
    )
    command = [
        sys.executable,
        "-m",
        "watchkeeper",
        "run",
        str(run.parent),
        "--poll",
        "1",
        "--retries",
        "0",
    ]
    environment = _environment() | {"WATCHKEEPER_STATE_DIR": str(folder / "state")}
    subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=MOST_WAIT_S,
        check=False,
    )
    for events in journal.read(run.parent / ".watchkeeper" / "journal").events.values():
        for event in events:
            if isinstance(event, Judged):
                told = {"outcome": event.outcome, "cause": event.cause, "why": event.why}
                (folder / "memory.json").write_text(json.dumps(told))


def look_at_hang(folder: Path, backend: str = "nccl", program: str = COLLECTIVE) -> None:
    """Two ranks, of which one never enters the collective; what the sidecar of the other says of
    it.
    """
    from watchkeeper.core import journal
    from watchkeeper.core.events import Stalled

    run = folder / "hang"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    ours = {"WATCHKEEPER_STALL_S": str(STALL_S), "WATCHKEEPER_SIDECAR_DELAY_S": "0.1"}
    output = (folder / "hang.output").open("w")
    ranks = []
    for rank in (0, 1):
        environment = _environment() | shared | ours | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = [sys.executable, "-c", program, backend, str(run)]
        ranks.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
    try:
        until = time.monotonic() + MOST_WAIT_S
        while time.monotonic() < until and ranks[0].poll() is None:
            told = journal.read(run / ".watchkeeper" / "journal").events.values()
            event = next(
                (one for events in told for one in events if isinstance(one, Stalled)), None
            )
            if event is not None:
                (folder / "hang.json").write_text(
                    json.dumps({"cause": event.cause, "report": event.report})
                )
                (folder / "hang.txt").write_text(_text(run / event.report))
                return
            time.sleep(0.5)
    finally:
        for rank in ranks:
            _end(rank)
        output.close()


def _environment() -> dict[str, str]:
    """This process's, without settings of Watchkeeper that would change what is checked."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("WATCHKEEPER_")
    }


def _smi() -> str:
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.wait()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def lacks() -> str:
    """What is missing for a check of GPUs here; "" where nothing is."""
    if shutil.which("nvidia-smi") is None:
        return "nvidia-smi is not here"
    if not parse_smi(_smi()):
        return "nvidia-smi shows no GPU"
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    if not torch.cuda.is_available():
        return "this PyTorch sees no GPU"
    try:
        import pynvml  # noqa: F401
    except ImportError:
        return "nvidia-ml-py is not installed: pip install 'watchkeeper[sidecar]'"
    return ""


def main() -> int:
    """Check, or judge again what was seen before."""
    parser = argparse.ArgumentParser(
        prog="gpu-check", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, help="where to leave what was seen (default: a new folder)"
    )
    parser.add_argument(
        "--judge", type=Path, metavar="FOLDER", help="judge what an earlier check left"
    )
    options = parser.parse_args()
    folder: Path | None = options.judge
    if folder is None:
        if missing := lacks():
            print(f"gpu-check: not done here: {missing}")
            return LEFT_OUT
        folder = (options.out or Path(tempfile.mkdtemp(prefix="gpu-check-"))).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        for work in (look_at_telemetry, look_at_memory, look_at_hang):
            with contextlib.suppress(subprocess.TimeoutExpired):  # what it left is judged
                work(folder)
    rows = judge(folder)
    print(f"{table(rows)}\nWhat was seen lies in {folder}")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
