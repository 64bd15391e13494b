"""A real browser, the real server, and pages that are watched.

The browser lives as long as one file of tests: Playwright keeps an event loop running, and no other
test could start one beside it.
"""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import answers
from tests.browser.harness import LOOKS, CannotError, Look, Watched, find_browser, serve


@pytest.fixture(scope="session")
def browser_path():
    """The path of a Chromium. Where there is none, the tests are skipped, and fail in CI, where one
    must be.
    """
    try:
        return find_browser()
    except CannotError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


@pytest.fixture(scope="module")
def browser(browser_path):
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    # Root's Chromium has no sandbox; it sees nothing but our own pages.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """`open_page(address, look)` → a page that is loaded and watched. No request may leave this
    machine, and the console stays empty; `open_page.watched.allowed` names what a test expects.
    """
    watched = Watched()
    contexts = []

    def open_at(address, look=Look(), **options):  # noqa: B008
        context = browser.new_context(**{**look.options(), **options})
        contexts.append(context)
        watched.watch(context)
        page = context.new_page()
        page.goto(address)
        return page

    open_at.watched = watched
    yield open_at
    for context in contexts:
        context.close()
    assert watched.unexpected() == []


@pytest.fixture(params=LOOKS, ids=str)
def look(request):
    """Each theme in each size, one after another."""
    return request.param


@pytest.fixture
def serve_folders(tmp_path):
    """`serve_folders(folder, …)` → a `wk serve` over them; it ends with the test."""
    servers = []

    def start(*folders, options=()):
        servers.append(serve(*folders, cwd=tmp_path, options=options))
        return servers[-1]

    yield start
    for server in servers:
        server.end()


@pytest.fixture(scope="module")
def still_server(tmp_path_factory):
    """A `wk serve` over an empty folder: its pages, with the answers that a test gives."""
    folder = tmp_path_factory.mktemp("night")
    server = serve(folder, cwd=folder)
    yield server
    server.end()


@pytest.fixture
def open_still(open_page, still_server):
    """`open_still(path, replies, look)` → a page whose answers are these: path of the API → JSON.
    The stream of events is the text under "events", else a beat, and ends.
    """
    beat = "event: beat\ndata: {}\n\n"

    def open_at(path, replies, look=Look()):  # noqa: B008
        def reply(route):
            name = unquote(urlsplit(route.request.url).path).removeprefix("/api/1/")
            if name == "events":
                route.fulfill(content_type="text/event-stream", body=replies.get(name, beat))
            else:
                route.fulfill(json=replies[name])

        page = open_page("about:blank", look)
        page.context.request.get(still_server.address)
        page.route("**/api/1/**", reply)
        # The day on which the answers were made, whatever today is.
        page.clock.install(time=answers.NOW)
        page.goto(still_server.origin + path)
        page.wait_for_selector("main h1")
        return page

    return open_at
