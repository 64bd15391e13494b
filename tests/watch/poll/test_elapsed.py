"""How long a job took, by its scheduler."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.watch.poll.poller import elapsed_s

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("started", "ended", "seconds"),
    [
        (NOW, NOW + HOUR, 3600.0),
        (NOW, NOW, 0.0),
        (None, NOW, None),
        (NOW, None, None),
        (NOW, NOW - HOUR, None),
    ],
)
def test_a_time_is_known_or_unknown_and_never_negative(
    started: datetime | None, ended: datetime | None, seconds: float | None
) -> None:
    """A clock that was set back while the job ran makes its time unknown."""
    facts = SchedulerFacts(state="COMPLETED", started=started, ended=ended)
    assert elapsed_s(facts) == seconds
    assert elapsed_s(None) is None
