"""What the work uses: CPU, memory and threads of its processes, the host's memory, the disk, the
GPUs.

psutil and nvidia-ml-py (NVML) are extras (`watchkeeper[sidecar]`); without them their figures are
None.
"""

from __future__ import annotations

import contextlib
import os
import time
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from watchkeeper.core.text.figures import gib
from watchkeeper.core.text.redaction import redact_words
from watchkeeper.runfolder.telemetry import Gpu, Sample


def describe(sample: Sample) -> str:
    """Describe a sample in one line."""
    parts = [f"{sample.time:%Y-%m-%d %H:%M:%S} UTC"]
    if sample.processes is not None:
        parts.append(f"{sample.processes} processes, {sample.threads} threads")
    if sample.cpus is not None:
        parts.append(f"{sample.cpus:.2f} CPUs busy")
    for size, what in (
        (sample.rss_bytes, "resident"),
        (sample.host_available_bytes, "available on the host"),
        (sample.free_bytes, "free on the disk"),
    ):
        if size is not None:
            parts.append(f"{gib(size)} {what}")
    for gpu in sample.gpus:
        held = f"{gib(gpu.ours_bytes)} ours of {gib(gpu.total_bytes)}"
        parts.append(f"GPU {gpu.index} {gpu.busy:.0%} busy, {held}")
    return "; ".join(parts)


class Telemetry:
    """Takes samples of one process and its children."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._pid = pid
        self._folder = folder
        self._psutil = _module("psutil")
        self._nvml = _module("pynvml")
        self._spent: dict[int, float] = {}  # CPU seconds of each process at the look before
        self._looked = time.monotonic()
        self._oom = _oom_counter(pid)
        if self._nvml is not None:
            try:
                self._nvml.nvmlInit()
            except Exception:  # no driver here
                self._nvml = None

    def sample(self, now: datetime) -> Sample:
        """What is used now. Raises nothing; a filesystem that hangs holds it up."""
        fields: dict[str, Any] = {}
        pids = {self._pid}
        if self._psutil is not None:
            with contextlib.suppress(Exception):
                tree = self._tree()
                pids = {process.pid for process in tree}
                fields |= self._of_processes(tree)
                fields["host_available_bytes"] = int(self._psutil.virtual_memory().available)
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._folder)
            fields["disk_bytes"] = disk.f_blocks * disk.f_frsize
            fields["free_bytes"] = disk.f_bavail * disk.f_frsize
            fields["free_files"] = disk.f_favail if disk.f_files else None
        return Sample(time=now, oom_kills=_read_oom(self._oom), gpus=self._gpus(pids), **fields)

    def processes(self) -> list[str]:
        """A line for each process of the work: pid, state, CPU, memory, where it waits in the
        kernel, command.
        """
        if self._psutil is None:
            return ["psutil is not installed: pip install 'watchkeeper[sidecar]'"]
        lines = []
        for process in self._tree():
            with contextlib.suppress(Exception), process.oneshot():
                command = " ".join(redact_words(process.cmdline()))[:200] or process.name()
                wait = _read(f"/proc/{process.pid}/wchan").strip("0") or "-"
                lines.append(
                    f"{process.pid:>8}  {process.status():<10} "
                    f"{sum(process.cpu_times()[:2]):>9.1f} s  "
                    f"{gib(process.memory_info().rss):>10}  {wait:<24} {command}"
                )
        return lines

    def _tree(self) -> list[Any]:
        assert self._psutil is not None
        top = self._psutil.Process(self._pid)
        return [top, *top.children(recursive=True)]

    def _of_processes(self, tree: list[Any]) -> dict[str, Any]:
        assert self._psutil is not None
        spent: dict[int, float] = {}
        rss = threads = read = written = 0
        for process in tree:
            with contextlib.suppress(self._psutil.Error), process.oneshot():
                spent[process.pid] = sum(process.cpu_times()[:2])
                rss += process.memory_info().rss
                threads += process.num_threads()
                with contextlib.suppress(self._psutil.Error):
                    counters = process.io_counters()
                    read, written = read + counters.read_bytes, written + counters.write_bytes
        now = time.monotonic()
        busy = sum(max(0.0, seconds - self._spent.get(pid, 0.0)) for pid, seconds in spent.items())
        passed, first = now - self._looked, not self._spent
        self._spent, self._looked = spent, now
        return {
            "processes": len(spent),
            "threads": threads,
            "cpus": None if first or passed <= 0 else round(busy / passed, 3),
            "rss_bytes": rss,
            "read_bytes": read,
            "written_bytes": written,
        }

    def _gpus(self, pids: set[int]) -> tuple[Gpu, ...]:
        """Source of the calls: NVML, through nvidia-ml-py."""
        if self._nvml is None:
            return ()
        gpus = []
        with contextlib.suppress(Exception):
            for index in range(self._nvml.nvmlDeviceGetCount()):
                device = self._nvml.nvmlDeviceGetHandleByIndex(index)
                memory = self._nvml.nvmlDeviceGetMemoryInfo(device)
                name = self._nvml.nvmlDeviceGetName(device)
                running = self._nvml.nvmlDeviceGetComputeRunningProcesses(device)
                ours = sum(each.usedGpuMemory or 0 for each in running if each.pid in pids)
                gpus.append(
                    Gpu(
                        index=index,
                        name=name.decode() if isinstance(name, bytes) else name,
                        busy=self._nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100,
                        used_bytes=memory.used,
                        total_bytes=memory.total,
                        ours_bytes=ours,
                    )
                )
        return tuple(gpus)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _oom_counter(pid: int) -> Path | None:
    """Where the kernel counts what it killed in the process's control group when memory ran out
    (cgroup v2, memory.events); None where it does not.
    """
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        if line.startswith("0::"):
            path = Path("/sys/fs/cgroup") / line[3:].lstrip("/") / "memory.events"
            if path.is_file():
                return path
            return None
    return None


def _read_oom(path: Path | None) -> int | None:
    for line in _read(str(path)).splitlines() if path else ():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None
