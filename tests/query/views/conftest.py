"""What several tests of views share."""

from __future__ import annotations

import pytest

from tests.query.views.nights import make_night


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def night(tmp_path_factory):
    """A night that no test changes."""
    return make_night(tmp_path_factory.mktemp("nights") / "night")
