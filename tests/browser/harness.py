"""What the tests of the pages need: a real browser, the real server, and a page that is watched.

`Watched` notes what no page may do: an error or a warning in the console, a request to another
host, a violation of the content security policy, a script that dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

ROOT = Path(__file__).parents[2]
CANNOT = 77
"""What scripts/browser.sh ends with where there is no Chromium and none can be installed."""
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+/\S*")
SIZES = {"wide": (1440, 900), "narrow": (1024, 768), "phone": (390, 844)}
"""The sizes of the pages, in CSS pixels."""
THEMES = ("light", "dark")
SERIOUS = ("serious", "critical")
COLOUR_RULES = ("color-contrast", "link-in-text-block")
"""The rules of axe whose outcome a theme can change."""
LOCAL_SCHEMES = ("data", "blob", "about")


class CannotError(Exception):
    """No browser can be had here; the message says what is missing."""


def find_browser() -> str:
    """The path of a Chromium, installed first where that is possible."""
    done = subprocess.run(
        [ROOT / "scripts" / "browser.sh"], capture_output=True, text=True, check=False
    )
    if done.returncode == CANNOT:
        raise CannotError(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Look:
    """How a page is looked at: the theme of the system, and the size of the window."""

    theme: str = "light"
    size: str = "wide"

    def __str__(self) -> str:
        return f"{self.size}-{self.theme}"

    def options(self) -> dict:
        """The options of a browser context. A phone has a finger, and two pixels for one."""
        width, height = SIZES[self.size]
        options = {
            "color_scheme": self.theme,
            "viewport": {"width": width, "height": height},
            "reduced_motion": "reduce",
            "locale": "en-GB",
        }
        if self.size == "phone":
            options |= {"has_touch": True, "device_scale_factor": 2}
        return options


LOOKS = [Look(theme, size) for size in SIZES for theme in THEMES]
"""Each theme in each size."""


@dataclass
class Watched:
    """What the pages of one context did that no page may do. `allowed` are regular expressions of
    complaints that a test expects.
    """

    complaints: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Note what the pages of this context do from now on."""
        context.on("request", self._note_request)
        context.on("console", self._note_message)
        context.on("weberror", lambda error: self.complaints.append(f"dies: {error.error}"))

    def _note_request(self, request) -> None:
        address = urlsplit(request.url)
        is_here = address.hostname in ("127.0.0.1", "localhost") or address.scheme == "file"
        if not is_here and address.scheme not in LOCAL_SCHEMES:
            self.complaints.append(f"request: {request.url}")

    def _note_message(self, message) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def unexpected(self) -> list[str]:
        """The complaints that no test allowed."""
        patterns = [re.compile(pattern) for pattern in self.allowed]
        return [text for text in self.complaints if not any(p.search(text) for p in patterns)]


def looks_of(page: Page) -> Iterator[Look]:
    """The page in each size and theme, one after another; it is loaded once."""
    for look in LOOKS:
        width, height = SIZES[look.size]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=look.theme)
        page.evaluate(DRAWN)
        yield look


DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Wait until what a change of size calls for has been drawn."""


def faults_of(page: Page, look: Look) -> list[str]:
    """What is wrong with the page as it stands in this look: axe's serious findings, and scrolling
    sideways. The dark theme changes colours alone, so only rules on colours are tried in it.
    """
    faults = serious_findings(page, COLOUR_RULES if look.theme == "dark" else ())
    if sideways := sideways_scroll(page):
        faults.append(f"it is {sideways} pixels wider than the window")
    return [f"{look}: {fault}" for fault in faults]


def serious_findings(page: Page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds serious or critical on the page as it stands, one line for each rule. `rules`
    are those that are tried, () all.
    """
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(Axe().axe_script)
    options = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    response = page.evaluate("(options) => axe.run(options)", options)
    lines = []
    for violation in response["violations"]:
        if violation["impact"] not in SERIOUS:
            continue
        places = ", ".join(str(node["target"][0]) for node in violation["nodes"][:5])
        lines.append(f"{violation['id']}: {violation['help']} ({places})")
    return lines


def sideways_scroll(page: Page) -> int:
    """By how many CSS pixels the page is wider than its window; 0 is as it has to be."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


class Server:
    """A server in a process that prints its address. `address` is the first one, with the token
    where there is one; `origin` has no path.
    """

    def __init__(self, command: list, *, cwd: Path, environment: dict | None = None):
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.printed = ""
        self.address = self._wait_for_address()
        parts = urlsplit(self.address)
        self.origin = f"{parts.scheme}://{parts.netloc}"

    def _wait_for_address(self, seconds: float = 120) -> str:
        """The first address that the process prints. Its end, and silence, are errors."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self.process.stdout], [], [], 1)
            if not ready:
                continue
            line = self.process.stdout.readline()
            self.printed += line
            if address := ADDRESS.search(line):
                return address[0]
            if not line:
                break
        self.end()
        raise AssertionError(f"the server printed no address:\n{self.printed}")

    def end(self) -> None:
        """End the process, and wait until it has ended."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdout.close()


def serve(
    *folders: Path, cwd: Path, options: tuple[str, ...] = (), cache: Path | None = None
) -> Server:
    """`wk serve` over these folders, on a free port. `cache` is in the place of the user's cache
    folder, of which nothing is touched.
    """
    command = [sys.executable, "-m", "watchkeeper", "serve", *map(str, folders), *options]
    environment = {"XDG_CACHE_HOME": str(cache or cwd / ".cache")}
    return Server(command, cwd=cwd, environment=environment)
