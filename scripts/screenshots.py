"""Take pictures of all pages, in three sizes and both themes, into a folder.

    python scripts/screenshots.py FOLDER

A night's work is made first (scripts/night.py), unless `--night` names one. With `--docs`, the few
pictures that the documentation shows are renewed in docs/images too.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, sync_playwright  # noqa: E402

from tests.browser.harness import LOOKS, Look, find_browser, serve  # noqa: E402

PAGES = {
    "overview": "/",
    "experiment": "/e/night/digits",
    "experiment-in-trouble": "/e/night/cap_rank",
    "run": "/r/night/sft_r16",
    "run-by-time": "/r/night/sft_r16?x=time&y=log",
    "run-of-experiment": "/r/night/cap_rank/r32_lr2e-4",
    "compare": "/c?r=night/digits/h16_lr1e-2&r=night/digits/h64_lr1e-1",
    "sweep": "",
    "not-there": "/r/night/nothing",
}
"""Name → address; that of the sweep is made of its runs."""
SHOWN = ("overview-wide-light", "experiment-wide-light", "run-wide-light", "overview-phone-dark")
"""The pictures in docs/images."""
_NIGHT = "night"
_READY = "ready"
_IS_READ = """() => {
    const heading = document.querySelector('h1');
    return heading !== null && !/^Reading|journals read$/.test(heading.textContent);
}"""
"""Whether the page shows what was asked for, and not that it is being read."""
_SETTLED_MS = 4_000
"""How long a page is left to draw its curves then."""


@contextlib.contextmanager
def made_night() -> Iterator[Path]:
    """A night's work in a temporary folder; what still trains in it ends with this block."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / _NIGHT
        command = [sys.executable, ROOT / "scripts" / "night.py", folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, text=True, **pipes) as process:
            for line in process.stdout or ():
                if line.strip() == _READY:
                    break
            yield folder
            process.terminate()


def sweep_address(night: Path) -> str:
    """The address at which all runs of the sweep are compared."""
    names = sorted(path.name for path in (night / "sweep").iterdir() if path.is_dir())
    return "/c?" + "&".join(f"r={night.name}/sweep/{name}" for name in names)


def take(browser: Browser, look: Look, addresses: dict[str, str], first: str, to: Path) -> None:
    """Take pages in one look. `first` is the address with the token."""
    if not addresses:
        return
    context = browser.new_context(**look.options())
    page = context.new_page()
    page.goto(first)
    for name, address in addresses.items():
        page.goto(address)
        page.wait_for_function(_IS_READ, timeout=120_000)
        page.wait_for_timeout(_SETTLED_MS)
        path = to / f"{name}-{look}.png"
        page.screenshot(path=path, full_page=f"{name}-{look}" not in SHOWN)
        print(path, flush=True)
    context.close()


def take_all(night: Path, to: Path, only: str) -> None:
    """Take every page of a night in every look, as far as the pictures' names match `only`."""
    to.mkdir(parents=True, exist_ok=True)
    cache = Path(tempfile.mkdtemp(prefix="watchkeeper-screenshots-"))
    # From its own folder, so that commands on the pages are as short as a person would type them.
    server = serve(Path(night.name), cwd=night.absolute().parent, cache=cache)
    try:
        paths = PAGES | {"sweep": sweep_address(night)}
        addresses = {}
        for name, path in paths.items():
            addresses[name] = server.origin + path.replace(_NIGHT, night.name)
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_browser(), args=options)
            for look in LOOKS:
                wanted = {}
                for name, address in addresses.items():
                    if fnmatch.fnmatch(f"{name}-{look}", only):
                        wanted[name] = address
                take(browser, look, wanted, server.address, to)
            browser.close()
    finally:
        server.end()
        shutil.rmtree(cache, ignore_errors=True)


def main() -> None:
    """Take the pictures, and renew those of the documentation where that is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--night", type=Path, help="a night that is there already")
    parser.add_argument("--only", default="*", metavar="GLOB", help="such as 'run-*-light'")
    parser.add_argument("--docs", action="store_true", help="renew docs/images too")
    options = parser.parse_args()
    if options.night is not None:
        take_all(options.night, options.folder, options.only)
    else:
        with made_night() as night:
            take_all(night, options.folder, options.only)
    if options.docs:
        for name in SHOWN:
            shutil.copy(options.folder / f"{name}.png", ROOT / "docs" / "images" / f"{name}.png")


if __name__ == "__main__":
    main()
