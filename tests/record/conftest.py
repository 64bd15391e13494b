"""What the recorder's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.core.journal import read


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """No attempt in the environment, whoever runs the tests."""
    for name in ("WATCHKEEPER_ATTEMPT", "WATCHKEEPER_JOB_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def events():
    """The events of a run's folder, all writers' in the order of their start; the journal must be
    whole.
    """

    def events_of(folder: Path):
        journal = read(folder / ".watchkeeper/journal")
        assert journal.problems == []
        return [event for own in journal.events.values() for event in own]

    return events_of
