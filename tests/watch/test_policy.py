"""How often a watch asks, and how much it submits."""

from __future__ import annotations

import pytest

from watchkeeper.core.settings import Settings
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.schedulers.site import Site
from watchkeeper.watch.policy import WatchPolicy


@pytest.mark.parametrize(
    ("lag_s", "settings", "site", "paces", "stagger_s", "cap"),
    [
        (0, Settings(), Site(), (0.05, 1.0, 1.0), 0.0, 0),
        (0, Settings(poll_s=20), Site(), (0.05, 20, 20), 0.0, 0),
        (120, Settings(), Site(), (5.0, 60.0, 300.0), 5.0, 25),
        (120, Settings(poll_s=1, stagger_s=0, cap=3), Site(), (5.0, 5.0, 25.0), 0, 3),
        (120, Settings(poll_s=900, cap=0), Site(), (5.0, 900, 900), 5.0, 0),
        (120, Settings(), Site(accounting=False, forgets_s=300), (5.0, 60.0, 150.0), 5.0, 25),
        (120, Settings(), Site(accounting=False, forgets_s=80), (5.0, 40.0, 40.0), 5.0, 25),
        (120, Settings(), Site(accounting=False, forgets_s=4), (5.0, 5.0, 5.0), 5.0, 25),
    ],
)
def test_settings_win_over_defaults_and_the_site_bounds_both(
    lag_s: float,
    settings: Settings,
    site: Site,
    paces: tuple[float, float, float],
    stagger_s: float,
    cap: int,
) -> None:
    """A cluster is asked at most every 5 s and, without accounting, at least twice before it
    forgets a job.
    """
    policy = WatchPolicy.of(settings, FakeScheduler(visibility_lag_s=lag_s), site)
    assert (policy.soonest_s, policy.poll_s, policy.longest_s) == paces
    assert (policy.stagger_s, policy.cap) == (stagger_s, cap)
