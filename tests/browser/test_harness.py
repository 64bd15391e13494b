"""The harness itself, on a small app that misbehaves when it is wanted to."""

from __future__ import annotations

import os
import re
import sys

import pytest

from tests.browser import harness
from tests.browser.harness import CannotError, Look, Server, serious_findings, sideways_scroll

APP = """
import socket
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

PAGE = "<!doctype html><html lang=en><title>t</title><link rel=icon href='data:,'><main>%s</main>"
POLICY = {"content-security-policy": "default-src 'self'; img-src * data:; script-src 'self'"}
BODIES = {
    "good": "<h1>Good</h1>",
    "script": "<h1>Bad</h1><script>document.title = 'ran'</script>",
    "away": "<h1>Bad</h1><img alt='' src='http://192.0.2.1/a.png'>",
    "image": "<h1>Bad</h1><img src='data:,'>",
    "wide": "<h1>Bad</h1><svg width=3000 height=9></svg>",
}

async def show(request):
    return HTMLResponse(PAGE % BODIES[request.path_params["name"]], headers=POLICY)

app = Starlette(routes=[Route("/{name}", show)])
listening = socket.create_server(("127.0.0.1", 0))
print(f"open http://127.0.0.1:{listening.getsockname()[1]}/good", flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listening])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The small app, in a process as the real one is."""
    server = Server([sys.executable, "-c", APP], cwd=tmp_path_factory.mktemp("app"))
    yield server
    server.end()


def test_a_good_page_is_quiet_in_each_theme_and_size(server, open_page, look):
    """A page that behaves has no finding, has the theme and the size that were asked for, and does
    not scroll sideways.
    """
    page = open_page(server.address, look)
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (
        look.theme == "dark"
    )
    assert page.viewport_size["width"] == harness.SIZES[look.size][0]
    assert serious_findings(page) == []
    assert sideways_scroll(page) == 0


@pytest.mark.parametrize(
    ("name", "complaint", "consequence"),
    [
        ("script", r"^error: .*[Cc]ontent [Ss]ecurity [Pp]olicy", "none"),
        ("away", r"^request: http://192\.0\.2\.1/a\.png$", "net::ERR_"),
        ("failing", r"^error: .*status of 500", "none"),
    ],
)
def test_what_no_page_may_do_is_a_complaint(server, open_page, name, complaint, consequence):
    """A script that the policy refuses, a request to another host and an answer that fails are each
    a complaint, unless the test allows it.
    """
    open_page.watched.allowed = [consequence]
    open_page(f"{server.origin}/{name}")
    (line,) = open_page.watched.unexpected()
    assert re.search(complaint, line)
    open_page.watched.allowed.append(complaint)
    assert open_page.watched.unexpected() == []


def test_an_image_without_words_and_a_page_too_wide_are_found(server, open_page):
    """axe's serious findings are named with their rule and place, and sideways scrolling has a
    figure.
    """
    page = open_page(f"{server.origin}/image")
    (finding,) = serious_findings(page)
    assert finding.startswith("image-alt:") and finding.endswith("(img)")
    assert sideways_scroll(open_page(f"{server.origin}/wide", Look(size="phone"))) > 2000


def test_a_server_that_prints_no_address_is_an_error_with_its_words(tmp_path):
    """What a server says before it ends is in the error, and its process has ended."""
    with pytest.raises(AssertionError, match="port 80 is in use"):
        Server([sys.executable, "-c", "print('port 80 is in use')"], cwd=tmp_path)


def test_a_server_ends_by_its_own_number(tmp_path):
    """`end` ends the process, and no process of it stays."""
    server = Server([sys.executable, "-c", APP], cwd=tmp_path)
    server.end()
    with pytest.raises(ProcessLookupError):
        os.kill(server.process.pid, 0)


def test_a_machine_without_a_browser_says_what_to_install(tmp_path, monkeypatch):
    """An ordinary user without Chromium reads which command installs it."""
    script = tmp_path / "scripts" / "browser.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 'browser: sudo apt-get install chromium' >&2\nexit 77\n")
    script.chmod(0o755)
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    with pytest.raises(CannotError, match="sudo apt-get install chromium"):
        harness.find_browser()
