"""A Hub on loopback, and a client that does not wait between its tries."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publish.hub.packages import write_package
from tests.publish.hub.server import FakeHub


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A Hub that takes everything."""
    with FakeHub().serving() as fake:
        yield fake


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of four files."""
    return write_package(tmp_path / "package")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is waited for between two tries, and nothing is taken from the user's own folders."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    clock = types.SimpleNamespace(sleep=lambda _: None)
    monkeypatch.setattr(_http, "time", clock)
    monkeypatch.setattr(file_download, "time", clock)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
