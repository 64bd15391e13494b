"""Which function makes the data of which page. These read files and take their time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from watchkeeper.core.errors import UsageError
from watchkeeper.query.views import pages
from watchkeeper.show.web.answers import Body, body_of
from watchkeeper.show.web.parameters import Scope
from watchkeeper.show.web.served import Served

OnRead = Callable[[int, int], None]
"""Is called with how many journals have been read, and of how many."""


class Product(NamedTuple):
    """What was built. `is_live`: something in it runs, and may end without a word in a file."""

    body: Body
    is_live: bool


class _Made(NamedTuple):
    data: Any
    summary: str
    is_live: bool


def build(served: Served, scope: Scope, on_read: OnRead) -> Product:
    """Make an answer.

    Raises:
        UsageError: there is no such place or run.
        WatchkeeperError, OSError: its files cannot be read.
    """
    builder = _BUILDERS.get(scope.page)
    if builder is None:
        raise UsageError(f"there is no page {scope.page!r}", code="not-found")
    made = builder(served, scope, on_read)
    return Product(body_of(made.data, made.summary), made.is_live)


def watched_id(scope: Scope) -> str:
    """The id below which a change of a file changes the answer; "" where it may be any."""
    if scope.page in ("overview", "compare"):
        return ""
    return scope.id


def reading_overview(served: Served, done: int, total: int) -> Body:
    """The overview while its journals are read for the first time: no places yet."""
    reading = pages.Reading(done=done, total=max(total, done + 1))
    names = [root.name for root in served.roots]
    data = pages.Overview(
        name=", ".join(names),
        counts={},
        needs=[],
        running=[],
        waiting=[],
        places=[],
        reading=reading,
    )
    return body_of(data, f"{reading.done} of {reading.total} journals read")


_BUILDERS: Mapping[str, Callable[[Served, Scope, OnRead], _Made]] = {}
