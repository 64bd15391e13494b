"""An open page hears what has changed, and no more than that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import watchkeeper as wk
from watchkeeper.show.web import feeds, served
from watchkeeper.show.web.app import Api, wish_of
from watchkeeper.show.web.feeds import MOST_QUEUED, Feeds, Tab, TooManyTabsError
from watchkeeper.show.web.patches import apply_patch
from watchkeeper.show.web.served import Served

OVERVIEW = wish_of([("scope", "overview")])


def parsed(event: str) -> tuple[str, dict[str, Any]]:
    kind, data = event.strip().split("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def next_of(stream: AsyncIterator[str], kind: str) -> dict[str, Any]:
    """The next event of a kind."""
    async for event in stream:
        name, data = parsed(event)
        if name == kind:
            return data
    raise AssertionError(f"the stream ended before {kind}")


@pytest.fixture
def with_api(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path, Callable[[Api], Coroutine[Any, Any, None]]], None]:
    """`with_api(folder, test)` runs `test(api)` over a folder that is looked at all the time."""
    monkeypatch.setattr(served, "LEAST_LOOK_S", 0.0)
    monkeypatch.setattr(served, "LEAST_WALK_S", 0.0)

    def run(folder: Path, test: Callable[[Api], Coroutine[Any, Any, None]]) -> None:
        async def body() -> None:
            api = Api(Served([folder]))
            api.feeds = Feeds(api.builds, refresh_s=0.02)
            try:
                await asyncio.wait_for(test(api), 60)
            finally:
                api.close()

        asyncio.run(body())

    return run


def test_a_row_reaches_an_open_page(
    tmp_path: Path, log: Callable[..., wk.Run], with_api: Any
) -> None:
    """A page that applies the patches has what a page that is opened now has."""
    run = log(tmp_path / "one")

    async def test(api: Api) -> None:
        data = json.loads((await api.builds.get(OVERVIEW.page)).body.data)
        stream = api.feeds.stream(OVERVIEW)
        beat = await next_of(stream, "beat")
        rev = beat["rev"]
        run.log(2, loss=0.25)
        while data["running"][0]["progress"]["step"] != 2:
            patch = await next_of(stream, "patch")
            assert patch["from"] == rev
            rev, data = patch["rev"], apply_patch(data, patch)
        await stream.aclose()

    with_api(tmp_path, test)


def test_columns_and_lines_follow_a_run(
    tmp_path: Path, log: Callable[..., wk.Run], with_api: Any
) -> None:
    """A run's page gets the new columns of its curve, and the new lines of its log."""
    run = log(tmp_path / "one")
    name = tmp_path.name
    wish = wish_of([("scope", f"run/{name}/one?m=loss&text=run.log&after=0")])

    async def test(api: Api) -> None:
        stream = api.feeds.stream(wish)
        first = await next_of(stream, "lines")
        run.log(2, loss=0.25)
        columns = await next_of(stream, "columns")
        assert columns["lines"][0]["start"] == 1
        assert columns["lines"][0]["x"] == [2]
        assert first["offset"] == 0 and first["next"] > 0
        await stream.aclose()

    with_api(tmp_path, test)


def test_a_tab_that_leaves_is_forgotten(
    tmp_path: Path, log: Callable[..., wk.Run], with_api: Any
) -> None:
    """Without tabs nothing is kept, and nothing is looked at."""
    log(tmp_path / "one")

    async def test(api: Api) -> None:
        streams = [api.feeds.stream(OVERVIEW) for _ in range(3)]
        for stream in streams:
            await next_of(stream, "beat")
        assert api.feeds.tabs == 3
        loop = api.feeds._loop
        for stream in streams:
            await stream.aclose()
        assert api.feeds.tabs == 0 and not api.feeds._feeds
        await asyncio.wait([loop])
        assert loop.cancelled()

    with_api(tmp_path, test)


def test_very_many_lines_are_cut_and_counted() -> None:
    """A log that pours has its last lines sent, and a line that says how many were not."""
    lines = [{"text": f"line {n}"} for n in range(1000)]
    kept = feeds.last_lines(lines, 1000)
    assert len(json.dumps(kept)) < 1300
    assert kept[-1] == lines[-1] and len(kept) > 10
    assert kept[0]["text"].startswith(f"… {1001 - len(kept)} lines are left out")
    assert feeds.last_lines(lines, 10**6) == lines


def test_a_beat_comes_where_nothing_changes(tmp_path: Path, with_api: Any) -> None:
    """A page that hears nothing else knows that the server is there, and which state is newest."""

    async def test(api: Api) -> None:
        stream = api.feeds.stream(OVERVIEW, beat_s=0.01)
        beats = [await next_of(stream, "beat") for _ in range(3)]
        assert len({beat["rev"] for beat in beats}) == 1
        await stream.aclose()

    with_api(tmp_path, test)


def test_a_tab_that_takes_nothing_costs_nothing() -> None:
    """What waits for one tab is bounded, and the newest is kept."""
    tab = Tab()
    for number in range(1000):
        tab.put(str(number))
    waiting = [tab.queue.get_nowait() for _ in range(tab.queue.qsize())]
    assert len(waiting) <= MOST_QUEUED and waiting[-1] == "999"


def test_the_end_of_the_server_ends_the_streams(tmp_path: Path, with_api: Any) -> None:
    """No open page keeps the server from ending."""

    async def test(api: Api) -> None:
        stream = api.feeds.stream(OVERVIEW)
        await next_of(stream, "beat")
        api.feeds.close()
        assert [event async for event in stream] == []

    with_api(tmp_path, test)


def test_there_are_so_many_tabs_and_no_more(
    tmp_path: Path, with_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tab too many is refused with words, and room comes back."""
    monkeypatch.setattr(feeds, "MOST_TABS", 1)

    async def test(api: Api) -> None:
        stream = api.feeds.stream(OVERVIEW)
        await next_of(stream, "beat")
        with pytest.raises(TooManyTabsError):
            api.feeds.check_room()
        await stream.aclose()
        api.feeds.check_room()

    with_api(tmp_path, test)
