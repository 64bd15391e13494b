"""That a scheduler does not answer, by what its watcher wrote down. Pure."""

from __future__ import annotations

from watchkeeper.core.events import Observed, Polled
from watchkeeper.core.events.choose import Events, of_kind


def outage_of(events: Events) -> Polled | None:
    """The poll with which the silence of the scheduler began; None where it answers.

    A poll without an error, or the observation that it answers again, ends a silence.

        poll ok, poll failed (12:00), poll failed (12:05) → the poll of 12:00
    """
    signs: list[Polled | Observed] = [*of_kind(events, Polled)]
    for one in of_kind(events, Observed):
        if one.what == "scheduler answers":
            signs.append(one)
    began = None
    for sign in sorted(signs, key=lambda one: one.time):
        if not isinstance(sign, Polled) or not sign.error:
            began = None
        elif began is None:
            began = sign
    return began


def silence_words(jobs: int, heard: int) -> str:
    """What is known of `jobs` that are under way, of which `heard` logged since: `3 of 8 jobs
    logged since; none is called failed or finished until it answers`.
    """
    if jobs == 1 and heard:
        known = "its job logged since"
    elif jobs == 1:
        known = "its job did not log since"
    elif heard == jobs:
        known = f"all {jobs:,} jobs logged since"
    elif heard:
        known = f"{heard:,} of {jobs:,} jobs logged since"
    else:
        known = f"none of {jobs:,} jobs logged since"
    return f"{known}; none is called failed or finished until it answers"
