"""When a real browser first shows something of many wide runs, and what a refresh and the server
cost.

    python -m bench.painting [--runs 1500] [--metrics 1500] [--rows 100] [--folder DIR]

One run is recorded, the others are copies of its journal under ids of their own, and share its file
of rows. `paint` is the browser's own first contentful paint after the address is opened, `rows` is
when the first row of a table, or a curve, stands there: for the overview, without a cache and with
the one that the first look left, and for the page of one run. `refresh` is the largest event that a
page gets while a row is added each second. The baseline is a page of text from the same server in
the same browser.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

import watchkeeper as wk
from bench.listing import copy
from bench.serving import Server
from watchkeeper.core import layout

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
ROW = "main table tbody tr"
CURVE = "main canvas"
REFRESHES = 6
PATIENCE_MS = 3_600_000


def main() -> None:
    """Make the runs, and print one line for each figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1500)
    parser.add_argument("--metrics", type=int, default=1500)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wk-painting-") as scratch:
        folder = options.folder or Path(scratch, "wide")
        live = make_runs(folder, options.runs, options.metrics, options.rows)
        with browser() as chromium:
            measure(chromium, folder, Path(scratch, "cache"), live)


def make_runs(folder: Path, runs: int, metrics: int, rows: int) -> Path:
    """Record the run that the others are copies of, and one that is to grow: its folder."""
    model = folder / "20260101-000000-model"
    if not model.exists():
        record(model, metrics, rows)
    (journal,) = (model / layout.JOURNAL).iterdir()
    (figures,) = (model / layout.METRICS).iterdir()
    files = {journal.relative_to(model): journal.read_bytes()}
    for number in range(len(list(folder.iterdir())), runs):
        place = folder / f"20260101-{number:06d}-copy"
        copy(place, files, journal.stem, number)
        (writer,) = (place / layout.JOURNAL).iterdir()
        (place / layout.METRICS).mkdir()
        (place / layout.METRICS / f"{writer.stem}.jsonl").hardlink_to(figures)
    live = folder / "20260102-000000-live"
    if not live.exists():
        record(live, metrics, rows)
    return live


def record(folder: Path, metrics: int, rows: int) -> None:
    """Record a run of so many metrics."""
    values = {f"layer{number // 10}/norm{number % 10}": 0.5 for number in range(metrics)}
    options = {"folder": folder, "pipeline": "p", "console": False, "sidecar": False}
    with wk.start_run(config={"lr": "@lr@"}, **options) as run:
        for step in range(1, rows + 1):
            run.log(step, {**values, "loss": 3.0 / step, "val_loss": 3.1 / step})


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program(), args=options)
        yield chromium
        chromium.close()


def program() -> str:
    """The path of Debian's Chromium, or of the one that CHROMIUM names."""
    return os.environ.get("CHROMIUM", "/usr/bin/chromium")


def measure(chromium: Browser, folder: Path, cache: Path, live: Path) -> None:
    """Print what each page takes."""
    server = Server(folder, cache)
    baseline = look(chromium, server, "/static/format.js", None)
    show("baseline, a page of text", baseline, None)
    show("overview, no cache", look(chromium, server, "/", ROW), baseline)
    began = time.perf_counter()
    server.overview()
    print(f"  whole after {time.perf_counter() - began:.1f} s, {server.cpu_s():.1f} s of CPU")
    print(f"  {server.memory_mib()['VmHWM']:.0f} MiB at its peak")
    server.end()
    server = Server(folder, cache)
    show("overview, warm", look(chromium, server, "/", ROW), baseline)
    server.overview()
    show("a run's page, no cache", look(chromium, server, page_of(live), CURVE), baseline)
    show("a run's page, warm", look(chromium, server, page_of(live), CURVE), baseline)
    print(f"refresh: {refresh(chromium, server, live) / 1000:.1f} KB at most")
    print(f"server: {server.memory_mib()['VmHWM']:.0f} MiB at its peak")
    server.end()


def page_of(run: Path) -> str:
    """The address of a run's page."""
    return f"/r/{run.parent.name}/{run.name}"


def look(chromium: Browser, server: Server, path: str, awaited: str | None) -> dict[str, Any]:
    """Open a page: when it first painted, and when what is awaited stood there, in seconds."""
    with opened(chromium, server) as page:
        began = time.perf_counter()
        page.goto(f"http://{server.place}{path}", timeout=PATIENCE_MS)
        if awaited is not None:
            page.locator(awaited).first.wait_for(timeout=PATIENCE_MS)
        awaited_s = time.perf_counter() - began
        page.wait_for_function(f"{PAINT} !== null", timeout=PATIENCE_MS)
        return {"paint_s": page.evaluate(PAINT) / 1000, "awaited_s": awaited_s}


@contextmanager
def opened(chromium: Browser, server: Server) -> Iterator[Page]:
    """A page of a browser that may see the server's."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    name, _, value = server.headers["cookie"].partition("=")
    host = server.place.partition(":")[0]
    context.add_cookies([{"name": name, "value": value, "domain": host, "path": "/"}])
    try:
        yield context.new_page()
    finally:
        context.close()


def show(what: str, seen: dict[str, Any], baseline: dict[str, Any] | None) -> None:
    """Print the figures of a page."""
    over = ""
    if baseline is not None:
        over = f" ({seen['paint_s'] / baseline['paint_s']:.1f} x the baseline)"
    print(f"{what}: paint {seen['paint_s']:.2f} s{over}, rows {seen['awaited_s']:.2f} s")


def refresh(chromium: Browser, server: Server, live: Path) -> int:
    """The size of the largest event that the page of a run gets while rows are added."""
    sizes: list[int] = []
    with opened(chromium, server) as page:
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on(
            "Network.eventSourceMessageReceived",
            lambda event: sizes.append(len(event["data"].encode())),
        )
        page.goto(f"http://{server.place}{page_of(live)}", timeout=PATIENCE_MS)
        page.locator(CURVE).first.wait_for(timeout=PATIENCE_MS)
        (path,) = (live / layout.METRICS).iterdir()
        line = path.read_bytes().splitlines(keepends=True)[-1]
        deadline = time.monotonic() + 120
        while len(sizes) < REFRESHES and time.monotonic() < deadline:
            with path.open("ab") as file:
                file.write(line)
            page.wait_for_timeout(1000)
    return max(sizes, default=0)


if __name__ == "__main__":
    main()
