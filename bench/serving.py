"""What `watchkeeper serve` costs: its memory, and its CPU time while nothing happens.

    python -m bench.serving [--runs 5000] [--wide 1500] [--seconds 60] [--folder DIR]

The first overview of many recorded runs is timed until it has rows and until it is whole, beside
reading the same files as bytes. `idle` is the server over these runs with pages open and no run
writing, beside a process that does the `stat` of each of their files every two seconds: the CPU
time of both, in % of one core. `wide` is the server over runs with many metrics: its peak memory
after the overview, the pages and curves of several runs, a comparison, and tabs that follow them.
Both begin with an empty cache.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import watchkeeper as wk
from bench.listing import make_runs

TICKS = os.sysconf("SC_CLK_TCK")
TABS = 8
ROWS = 2
OPENED = 12
"""Runs whose pages are opened."""


def main() -> None:
    """Make the runs, and print one line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--wide", type=int, default=1500, metavar="N", help="N runs of N metrics")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-serving-") as scratch:
        folder = options.folder or Path(scratch)
        make_runs(folder / "many", options.runs)
        make_wide(folder / "wide", options.wide)
        measure_idle(folder / "many", Path(scratch, "cache"), options.seconds)
        measure_wide(folder / "wide", Path(scratch, "cache"))


def make_wide(folder: Path, count: int) -> None:
    """Record so many runs of as many metrics, with a few rows each."""
    metrics = {f"layer_{number // 10}/metric_{number % 10}": 0.5 for number in range(count)}
    for number in range(count):
        place = folder / f"run-{number:04d}"
        if place.exists():
            continue
        options = {"folder": place, "pipeline": "p", "console": False, "sidecar": False}
        with wk.start_run(**options) as run:
            for step in range(ROWS):
                run.log(step, {**metrics, "loss": 1 / (1 + step)})


class Server:
    """A server, and a client that has its cookie."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "watchkeeper", "serve", "--json", str(folder)],
            env={**os.environ, "XDG_CACHE_HOME": str(cache)},
            stdout=subprocess.PIPE,
        )
        address = urlsplit(json.loads(self.process.stdout.readline())["data"]["address"])
        self.place = address.netloc
        self.headers = {}
        answer, _ = self.get(f"/?{address.query}")
        self.headers = {"cookie": answer.headers["set-cookie"].partition(";")[0]}

    def get(self, path: str) -> tuple[http.client.HTTPResponse, bytes]:
        """An answer, and its body."""
        connection = http.client.HTTPConnection(self.place, timeout=600)
        connection.request("GET", path, headers=self.headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def overview(self, until: Callable[[dict], bool] | None = None) -> dict:
        """The overview, once all journals are read, or it has what is waited for."""
        while True:
            data = json.loads(self.get("/api/1/overview")[1])["data"]
            if (until or is_whole)(data):
                return data
            time.sleep(0.2)

    def open_tab(self, scope: str) -> http.client.HTTPConnection:
        """A page that listens and has had its first word."""
        connection = http.client.HTTPConnection(self.place, timeout=600)
        path = f"/api/1/events?{urlencode({'scope': scope})}"
        connection.request("GET", path, headers=self.headers)
        connection.getresponse().readline()
        return connection

    def cpu_s(self) -> float:
        """Its CPU time so far."""
        return cpu_s_of(self.process.pid)

    def memory_mib(self) -> dict[str, float]:
        """Its memory now and at its peak, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        values = dict(line.split(":", 1) for line in status.splitlines())
        return {name: int(values[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


def is_whole(overview: dict) -> bool:
    """Whether all journals are read."""
    return overview["reading"]["done"] >= overview["reading"]["total"]


def read_bytes(folder: Path) -> None:
    """The baseline of the first overview: the journals and the rows, as bytes."""
    for path in folder.rglob("*.jsonl"):
        path.read_bytes()


def cpu_s_of(pid: int) -> float:
    """The CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure_idle(folder: Path, cache: Path, seconds: float) -> None:
    """The server with tabs open, beside a process that does the `stat` of each file."""
    server = Server(folder, cache)
    began = time.perf_counter()
    server.overview(lambda data: bool(data["places"]))
    rows_s = time.perf_counter() - began
    server.overview()
    whole_s = time.perf_counter() - began
    cost_s = server.cpu_s()
    began = time.perf_counter()
    read_bytes(folder)
    bytes_s = time.perf_counter() - began
    print(f"overview, first time: rows after {rows_s:.2f} s, whole after {whole_s:.2f} s")
    print(f"  that is {whole_s / bytes_s:.1f} x reading the same bytes; {cost_s:.2f} s of CPU")
    tabs = [server.open_tab("overview") for _ in range(TABS)]
    code = (
        "import os, pathlib, time\n"
        f"paths = [str(p) for p in pathlib.Path({str(folder)!r}).rglob('*.jsonl')]\n"
        "print(flush=True)\n"
        "while True:\n    for path in paths: os.stat(path)\n    time.sleep(2)\n"
    )
    baseline = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    baseline.stdout.readline()
    before, before_baseline = server.cpu_s(), cpu_s_of(baseline.pid)
    time.sleep(seconds)
    share = 100 * (server.cpu_s() - before) / seconds
    share_baseline = 100 * (cpu_s_of(baseline.pid) - before_baseline) / seconds
    print(
        f"idle, {TABS} tabs: {share:.2f} % of a core; `stat` of each file: {share_baseline:.2f} %"
    )
    print(f"memory: {server.memory_mib()['VmHWM']:.0f} MiB at its peak")
    baseline.kill()
    for tab in tabs:
        tab.close()
    server.end()


def measure_wide(folder: Path, cache: Path) -> None:
    """The memory of the server after a person has looked around."""
    server = Server(folder, cache)
    server.overview()
    print(f"wide, overview: {server.memory_mib()['VmHWM']:.0f} MiB")
    names = sorted(path.name for path in folder.iterdir())[:OPENED]
    ids = [f"{folder.name}/{name}" for name in names]
    slowest = 0.0
    sizes = []
    for id in ids:
        began = time.perf_counter()
        sizes.append(len(server.get(f"/api/1/run/{id}")[1]))
        slowest = max(slowest, time.perf_counter() - began)
        server.get(f"/api/1/run/{id}/series?m=loss&m=layer_0/metric_0")
    print(f"wide, {OPENED} run pages: the slowest {slowest:.2f} s, {max(sizes) / 1000:.0f} KB")
    server.get(f"/api/1/compare?{urlencode([('r', id) for id in ids])}")
    tabs = [server.open_tab(f"run/{id}?m=loss") for id in ids[:TABS]]
    memory = server.memory_mib()
    print(f"wide, all that: {memory['VmRSS']:.0f} MiB, {memory['VmHWM']:.0f} MiB at its peak")
    for tab in tabs:
        tab.close()
    server.end()


if __name__ == "__main__":
    main()
