"""Runs to look at, and a client that has the cookie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import watchkeeper as wk
from watchkeeper.show.web.app import Api, app_of
from watchkeeper.show.web.security import Keys
from watchkeeper.show.web.served import Served

ORIGIN = "http://127.0.0.1:8321"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is taken from, or left in, the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))


@pytest.fixture
def log() -> Iterator[Callable[..., wk.Run]]:
    """`log(folder)` → a run that was begun in it, with one row; all of them end with the test."""
    runs = []

    def begin(folder: Path) -> wk.Run:
        run = wk.start_run(folder=folder, pipeline="p", console=False, sidecar=False)
        run.log(1, loss=0.5)
        runs.append(run)
        return run

    yield begin
    for run in runs:
        run.close()


@pytest.fixture
def client_of() -> Iterator[Callable[..., TestClient]]:
    """`client_of(folder, …)` → a client of the pages over them, which has the cookie."""
    apis = []

    def make(*folders: Path) -> TestClient:
        api = Api(Served(folders))
        apis.append(api)
        keys = Keys()
        client = TestClient(app_of(api, keys), base_url=ORIGIN, raise_server_exceptions=False)
        client.get(f"/?token={keys.token}")
        return client

    yield make
    for api in apis:
        api.builds.close()
