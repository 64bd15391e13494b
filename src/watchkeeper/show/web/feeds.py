"""What open pages are sent: server-sent events, one stream for each tab.

    beat      {rev, series, at}: each 15 s, and first of all. A page whose `rev` is another one, or
              whose series are, asks for them again.
    patch     `patches.py`: from the page's `rev` to the next one. A page that is at another `rev`
              than `from` ignores it, and learns from the next beat.
    columns   {rev, from, x, smoothing, rows, is_whole, names, lines}: of each line that has
              changed the columns from number `start` on; before that it is as it was. `names` are
              the metric and attempt of each line, in order.
    lines     {name, offset, next, dropped, lines}: what a text has grown by.

A *feed* is what several tabs show alike: a page, the series shown on it and the text followed. Its
files are looked at every two seconds, once for all its tabs, and what is new is sent as one batch
of at most 50 KB: what does not fit is counted, and is part of the next batch. Without tabs nothing
is looked at. A tab that does not take its events loses them, and asks again after the next beat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from watchkeeper.core.errors import Problem, WatchkeeperError
from watchkeeper.show.text import harmless_json
from watchkeeper.show.web.builds import LEAST_REFRESH_S, Builds
from watchkeeper.show.web.columns import added_columns
from watchkeeper.show.web.parameters import Scope
from watchkeeper.show.web.patches import (
    MOST_BYTES,
    apply_patch,
    cut_to_size,
    last_sent,
    patch_between,
)

BEAT_S = 15.0
MOST_TABS = 64
MOST_QUEUED = 8
"""Events that a tab has not taken yet."""
_READING_S = 1.0
_READING = "reading"
_MOST_LINES_BYTES = MOST_BYTES // 4
_MOST_COLUMNS_BYTES = MOST_BYTES // 2


class Wish(msgspec.Struct, frozen=True):
    """What a tab shows: a page, the series on it (None: none) and the text that it follows (None:
    none).
    """

    page: Scope
    series: Scope | None = None
    text: Scope | None = None


class TooManyTabsError(WatchkeeperError):
    """So many pages are open that no further one is kept up to date."""

    code = "too-many-tabs"


class Tab:
    """An open page, and the events that it has not taken yet."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(MOST_QUEUED)

    def put(self, event: str | None) -> None:
        """Add an event, None for the end. Where the tab takes none, all are dropped: it will hear
        of a later state than it has.
        """
        if self.queue.full():
            while not self.queue.empty():
                self.queue.get_nowait()
        self.queue.put_nowait(event)


class Feed:
    """What the tabs of one wish were sent last."""

    def __init__(self, wish: Wish, builds: Builds) -> None:
        self.tabs: set[Tab] = set()
        self.task: asyncio.Task[None] | None = None
        self._wish = wish
        self._builds = builds
        self._page = _State()
        self._series = _State()
        self._next: int | None = None
        self._sent: dict[str, str] = {}

    async def refresh(self) -> None:
        """Look, and send what is new. What cannot be read now is looked at again later."""
        try:
            await self._send_news()
        except (WatchkeeperError, OSError) as error:
            problem = Problem(where=self._wish.page.id, message=str(error), code="gone")
            self._send("gone", {"message": problem.message, "at": _now()})

    def beat(self) -> str:
        """The event that says which state is the newest."""
        return event_of("beat", {"rev": self._page.rev, "series": self._series.rev, "at": _now()})

    def progress(self) -> str:
        """The same while the page is built for the first time: what has been read stands for its
        state, so that the page asks again and shows it.
        """
        part = self._builds.part(self._wish.page)
        rev = _READING
        if part is not None:
            rev = part.rev
        return event_of("beat", {"rev": rev, "series": "", "at": _now()})

    async def _send_news(self) -> None:
        room = MOST_BYTES
        room -= await self._send_lines()
        room -= await self._send_columns()
        await self._send_patch(room)

    async def _send_lines(self) -> int:
        scope = self._wish.text
        if scope is None:
            return 0
        after = self._next
        if after is None:
            after = scope.option("after")
        built = await self._builds.get(_with_after(scope, after))
        text = msgspec.json.decode(built.body.data)
        is_first = self._next is None
        self._next = text["next"]
        if not text["lines"] or (is_first and after is None):
            return 0
        text["lines"] = last_lines(text["lines"], _MOST_LINES_BYTES)
        return self._send("lines", {"name": scope.option("name"), **text})

    async def _send_columns(self) -> int:
        scope = self._wish.series
        if scope is None:
            return 0
        built = await self._builds.get(scope)
        before, self._series = self._series, _State(built.body.rev, built.body.data)
        if not before.rev or before.rev == built.body.rev:
            return 0
        new = msgspec.json.decode(built.body.data)
        event, sent = added_columns(msgspec.json.decode(before.data), new, _MOST_COLUMNS_BYTES)
        if sent is not new:
            self._series = _State(f"{built.body.rev}+", msgspec.json.encode(sent))
        event |= {"rev": self._series.rev, "from": before.rev, "x": scope.option("x")}
        return self._send("columns", event)

    async def _send_patch(self, most: int) -> None:
        built = await self._builds.get(self._wish.page)
        before = self._page
        if before.rev == built.body.rev:
            return
        self._page = _State(built.body.rev, built.body.data)
        if not before.rev:
            return
        old = msgspec.json.decode(before.data)
        patch = patch_between(old, msgspec.json.decode(built.body.data))
        if patch is None:
            return
        cut = cut_to_size(patch, most, self._sent)
        if cut is None:
            self._put(self.beat())  # the page asks for the whole
            return
        self._sent = last_sent(cut)
        if cut["cut"]:
            # The rest is due with the next batch: until then this is no state of the files.
            partly = msgspec.json.encode(apply_patch(old, cut))
            self._page = _State(f"{built.body.rev}+", partly)
        self._send("patch", {"rev": self._page.rev, "from": before.rev, **cut})

    def _send(self, kind: str, data: dict[str, Any]) -> int:
        """Give an event to all tabs; how many bytes it has."""
        event = event_of(kind, data)
        self._put(event)
        return len(event)

    def _put(self, event: str) -> None:
        for tab in self.tabs:
            tab.put(event)


class _State(msgspec.Struct, frozen=True):
    """Data that was sent, as JSON; "" and b"" before anything was."""

    rev: str = ""
    data: bytes = b""


class Feeds:
    """The open tabs of one server, and the loop that keeps them up to date."""

    def __init__(self, builds: Builds, *, refresh_s: float = LEAST_REFRESH_S) -> None:
        self._builds = builds
        self._refresh_s = refresh_s
        self._feeds: dict[Wish, Feed] = {}
        self._loop: asyncio.Task[None] | None = None
        self._is_closed = False
        self.left = time.monotonic()
        """When the last tab left, by the monotonic clock."""

    @property
    def tabs(self) -> int:
        """How many pages are open."""
        return sum(len(feed.tabs) for feed in self._feeds.values())

    async def stream(self, wish: Wish, *, beat_s: float = BEAT_S) -> AsyncIterator[str]:
        """The events of one tab, until it leaves or the server ends."""
        feed = self._feeds.setdefault(wish, Feed(wish, self._builds))
        tab = Tab()
        feed.tabs.add(tab)
        if self._loop is None:
            self._loop = asyncio.ensure_future(self._keep())
        try:
            first = asyncio.ensure_future(feed.refresh())
            while not await _is_done(first, _READING_S):
                yield feed.progress()
            yield feed.beat()
            async for event in self._events(feed, tab, beat_s):
                yield event
        finally:
            self._leave(wish, feed, tab)

    def check_room(self) -> None:
        """Refuse a tab where there are too many.

        Raises:
            TooManyTabsError: there are.
        """
        if self.tabs >= MOST_TABS:
            raise TooManyTabsError(
                f"{MOST_TABS} pages are open, and no further one is kept up to date",
                hint="close some of them",
            )

    def close(self) -> None:
        """End all streams, and begin none."""
        self._is_closed = True
        for feed in self._feeds.values():
            for tab in feed.tabs:
                tab.put(None)
        if self._loop is not None:
            self._loop.cancel()

    async def _events(self, feed: Feed, tab: Tab, beat_s: float) -> AsyncIterator[str]:
        while not self._is_closed:
            try:
                event = await asyncio.wait_for(tab.queue.get(), beat_s)
            except TimeoutError:
                event = feed.beat()
            if event is None:
                return
            yield event

    def _leave(self, wish: Wish, feed: Feed, tab: Tab) -> None:
        feed.tabs.discard(tab)
        self.left = time.monotonic()
        if not feed.tabs and self._feeds.get(wish) is feed:
            del self._feeds[wish]
        if not self._feeds and self._loop is not None:
            self._loop.cancel()
            self._loop = None

    async def _keep(self) -> None:
        """Refresh each feed, none of them twice at a time."""
        while True:
            await asyncio.sleep(self._refresh_s)
            for feed in list(self._feeds.values()):
                if feed.task is None or feed.task.done():
                    feed.task = asyncio.ensure_future(feed.refresh())


def last_lines(lines: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The last lines of a text within about `most` bytes; where some are left out, one that says
    how many comes first.
    """
    size = 0
    for count, line in enumerate(reversed(lines)):
        size += len(msgspec.json.encode(line)) + 1
        if size > most:
            words = f"… {len(lines) - count:,} lines are left out here; the file has them"
            left_out = {"text": words, "at": None, "step": "", "level": "", "is_person": False}
            return [left_out, *lines[len(lines) - count :]]
    return lines


def event_of(kind: str, data: dict[str, Any]) -> str:
    """An event as it is sent."""
    return f"event: {kind}\ndata: {harmless_json(msgspec.json.encode(data).decode())}\n\n"


async def _is_done(task: asyncio.Task[None], wait_s: float) -> bool:
    await asyncio.wait([task], timeout=wait_s)
    return task.done()


def _with_after(scope: Scope, after: int | None) -> Scope:
    """The text from a byte on; None: its last line only, to learn where it ends."""
    options = {**dict(scope.options), "after": after}
    if after is None:
        options["tail"] = 1
    return msgspec.structs.replace(scope, options=tuple(options.items()))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
