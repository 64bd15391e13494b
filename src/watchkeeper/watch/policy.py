"""How often a watch asks the scheduler, and how much it submits."""

from __future__ import annotations

import msgspec

from watchkeeper.core.settings import Settings
from watchkeeper.schedulers.base import Scheduler
from watchkeeper.schedulers.site import Site
from watchkeeper.watch.health.judge import Limits

_LONGEST_S = 300.0


class _Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds where nothing is set, by kind of scheduler."""

    soonest_s: float
    poll_s: float
    stagger_s: float
    cap: int


_LOCAL = _Defaults(soonest_s=0.05, poll_s=1.0, stagger_s=0.0, cap=0)
# A cluster is shared: it is never asked more often than every 5 s.
_CLUSTER = _Defaults(soonest_s=5.0, poll_s=60.0, stagger_s=5.0, cap=25)


class WatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, in seconds, and how much at a time.

    The scheduler is asked every `poll_s`; every `soonest_s` while jobs start or end; and only every
    `longest_s` while nothing moves. `cap` limits the jobs under way, where an array counts as one
    job; `most_tasks` is the site's limit for this user, where each task of an array counts. 0: no
    limit. `limits` say when a running job is ill. `keeps_going`: a phase is not halted because its
    first jobs fail. `site_options` are those that the site puts before every script.
    """

    soonest_s: float
    poll_s: float
    longest_s: float
    stagger_s: float
    cap: int
    unknown_deadline_s: float
    most_tasks: int = 0
    limits: Limits = Limits()
    keeps_going: bool = False
    site_options: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, scheduler: Scheduler, site: Site) -> WatchPolicy:
        """Combine the settings with the scheduler's defaults and the site's limits."""
        is_local = scheduler.visibility_lag_s == 0
        defaults = _LOCAL if is_local else _CLUSTER
        soonest = defaults.soonest_s
        poll = max(_first(settings.poll_s, defaults.poll_s), soonest)
        longest = poll
        if not is_local:
            longest = max(poll, min(5 * poll, _LONGEST_S))
        if not site.accounting and site.forgets_s:
            # Without accounting an end must be seen before the scheduler forgets the job: it is
            # asked at least twice in that time.
            longest = max(soonest, min(longest, site.forgets_s / 2))
            poll = min(poll, longest)
        return cls(
            soonest_s=soonest,
            poll_s=poll,
            longest_s=longest,
            stagger_s=_first(settings.stagger_s, defaults.stagger_s),
            cap=int(_first(settings.cap, defaults.cap)),
            unknown_deadline_s=settings.unknown_deadline_s,
            most_tasks=site.max_submit or 0,
            limits=Limits(silent_s=settings.silent_s, stall_s=settings.stall_s),
            site_options=tuple(site.options),
        )


def _first(setting: float | None, default: float) -> float:
    """The setting; where it was not set (None), the default."""
    if setting is None:
        return default
    return setting
