"""Answers, built in two threads: one build for all clients that want the same, kept while the files
that it was made from are the same.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.show.web.answers import Body
from watchkeeper.show.web.builders import Builders, Product, reading_overview, watched_id
from watchkeeper.show.web.parameters import Scope
from watchkeeper.show.web.served import Served

T = TypeVar("T")
THREADS = 2
MOST_KEPT_BYTES = 32 * 2**20
"""Of all answers that are kept."""
LEAST_REFRESH_S = 2.0
_LIVE_S = 10.0
"""What runs is looked at again so often though no file has changed: its process may have died."""
_SHARE = 4
"""Of what changes all the time a build begins after this many times what the last one took."""
_LIVE_SHARE = 20


class Built(NamedTuple):
    """An answer, when it was made, from which state of the files, and how much of a processor's
    time that took.
    """

    body: Body
    version: str
    is_live: bool
    made: float
    cost_s: float


class Builds:
    """The answers of one server. `clock` gives seconds."""

    def __init__(self, served: Served, clock: Callable[[], float] = time.monotonic) -> None:
        self.served = served
        self._builders = Builders(served)
        self._clock = clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="build")
        self._kept: OrderedDict[Scope, Built] = OrderedDict()
        self._running: dict[Scope, asyncio.Task[Built]] = {}
        self._parts: dict[Scope, Body] = {}
        self._resting: dict[str, asyncio.Task[None]] = {}

    async def get(self, scope: Scope) -> Built:
        """The answer as the files are now.

        Raises:
            WatchkeeperError, OSError: it cannot be made.
        """
        await self.in_pool(self.served.look)
        kept = self._kept.get(scope)
        if kept is not None and self._is_current(scope, kept):
            self._kept.move_to_end(scope)
            return kept
        return await asyncio.shield(self._task(scope))

    async def get_soon(self, scope: Scope, wait_s: float) -> Built | None:
        """The same; where it takes longer than this, the answer before it, and None for the very
        first. The build continues.
        """
        task = asyncio.ensure_future(self.get(scope))
        done, _ = await asyncio.wait([task], timeout=wait_s)
        if done:
            return task.result()
        task.add_done_callback(_forget_failure)
        return self._kept.get(scope)

    def part(self, scope: Scope) -> Body | None:
        """What the build under way has read so far; None where it does not say."""
        if scope.page != "overview":
            return None
        return self._parts.get(scope) or reading_overview(self.served)

    def in_pool(self, work: Callable[[], T]) -> Awaitable[T]:
        """Do some work that reads files in one of the threads."""
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Start no more builds."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_current(self, scope: Scope, kept: Built) -> bool:
        """Whether the files are those that the answer was made from, or it is too young."""
        age_s = self._clock() - kept.made
        if kept.version != self.served.version(watched_id(scope)):
            return age_s < min(_SHARE * kept.cost_s, _LIVE_S) and kept.cost_s > LEAST_REFRESH_S
        return not kept.is_live or age_s < max(_LIVE_S, _LIVE_SHARE * kept.cost_s)

    def _task(self, scope: Scope) -> asyncio.Task[Built]:
        task = self._running.get(scope)
        if task is None:
            task = asyncio.ensure_future(self._build(scope))
            self._running[scope] = task
            task.add_done_callback(lambda ended: self._running.pop(scope, None))
            task.add_done_callback(_forget_failure)
        return task

    async def _build(self, scope: Scope) -> Built:
        # Of before the build: what changes meanwhile is built again.
        version = self.served.version(watched_id(scope))

        def note(part: Body) -> None:
            self._parts[scope] = part

        def make() -> tuple[Product, float]:
            # The processor's time: on a busy machine the clock does not measure the work.
            began = time.thread_time()
            product = self._builders.build(scope, note)
            return product, time.thread_time() - began

        try:
            product, cost_s = await self.in_pool(make)
        finally:
            self._parts.pop(scope, None)
        built = Built(product.body, version, product.is_live, self._clock(), cost_s)
        self._keep(scope, built)
        if product.rest is not None and scope.id not in self._resting:
            self._resting[scope.id] = asyncio.ensure_future(self._read_rest(scope, product.rest))
        return built

    async def _read_rest(self, scope: Scope, read: Callable[[], None]) -> None:
        """Read what an answer lacks; whoever asks then gets the whole."""
        try:
            await self.in_pool(read)
        except (WatchkeeperError, OSError):
            return  # the next answer says so
        finally:
            del self._resting[scope.id]
        for other in [one for one in self._kept if one.id == scope.id]:
            del self._kept[other]

    def _keep(self, scope: Scope, built: Built) -> None:
        self._kept[scope] = built
        self._kept.move_to_end(scope)
        size = sum(len(one.body.whole) + len(one.body.data) for one in self._kept.values())
        while size > MOST_KEPT_BYTES and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            size -= len(oldest.body.whole) + len(oldest.body.data)


def _forget_failure(task: asyncio.Task[Built]) -> None:
    """Take a failure that nobody waits for any more, so that it is not reported as lost."""
    if not task.cancelled():
        task.exception()
