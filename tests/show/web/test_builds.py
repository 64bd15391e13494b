"""Builds: an answer that takes long never replaces one that is there."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.show.web.builders import Builders
from watchkeeper.show.web.builds import Builds
from watchkeeper.show.web.parameters import Scope
from watchkeeper.show.web.served import Served


def test_while_a_new_answer_is_built_the_last_one_is_given(
    tmp_path: Path, log: Callable[[Path], wk.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that changes faster than it can be built shows its last state, not that it is read."""
    run = log(tmp_path / "night" / "r8")
    times = itertools.count(0, 100)
    builds = Builds(Served([tmp_path / "night"], clock=lambda: float(next(times))))
    scope = Scope("overview")
    hold = threading.Event()
    real = Builders.build

    def build_slowly(self: Builders, *given: object) -> object:
        assert hold.wait(60)
        return real(self, *given)  # type: ignore[arg-type]

    async def ask() -> None:
        first = await builds.get(scope)
        monkeypatch.setattr(Builders, "build", build_slowly)
        run.log(2, loss=0.25)
        soon = await builds.get_soon(scope, 0.01)
        hold.set()
        later = await builds.get(scope)
        assert soon is first
        assert later is not first

    try:
        asyncio.run(ask())
    finally:
        hold.set()
        builds.close()


def test_before_the_first_answer_there_is_none(
    tmp_path: Path, log: Callable[[Path], wk.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was never built is not made up."""
    log(tmp_path / "night" / "r8")
    builds = Builds(Served([tmp_path / "night"]))
    hold = threading.Event()
    real = Builders.build

    def build_slowly(self: Builders, *given: object) -> object:
        assert hold.wait(60)
        return real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Builders, "build", build_slowly)

    async def ask() -> None:
        assert await builds.get_soon(Scope("overview"), 0.01) is None
        hold.set()

    try:
        asyncio.run(ask())
    finally:
        hold.set()
        builds.close()
