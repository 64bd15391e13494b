"""A scheduler that does not answer: since when, and what is known meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest

from watchkeeper.core import journal, layout
from watchkeeper.core.events import Observed, Polled
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query.status import look
from watchkeeper.query.views.experiment import site_seen
from watchkeeper.query.views.pages import RunningRow
from watchkeeper.query.views.parts.needs import _silent_scheduler
from watchkeeper.query.views.parts.outage import outage_of, silence_words
from watchkeeper.query.views.shared import Evidence, Progress

BEGIN = datetime(2026, 11, 28, 7, 5, tzinfo=UTC)


def poll(minute: int, error: str = "") -> Polled:
    """A poll, so many minutes after the first."""
    time = BEGIN + timedelta(minutes=minute)
    return Polled(
        time=time,
        writer="w",
        seq=minute,
        phase="preparation",
        query="q",
        interval_s=60.0,
        error=error,
    )


def answer(minute: int) -> Observed:
    """That it answers again."""
    time = BEGIN + timedelta(minutes=minute)
    return Observed(time=time, writer="v", seq=minute, what="scheduler answers")


@pytest.mark.parametrize(
    ("events", "minute"),
    [
        ([], None),
        ([poll(0)], None),
        ([poll(0), poll(1, "no controller")], 1),
        ([poll(1, "no controller"), poll(9, "no controller")], 1),
        ([poll(1, "no controller"), poll(2)], None),
        ([poll(1, "no controller"), answer(2)], None),
        ([poll(1, "no controller"), answer(2), poll(5, "again")], 5),
    ],
)
def test_a_silence_lasts_until_the_scheduler_answers(events, minute):
    """It began with the first poll that failed since the last good one, whoever watched."""
    seen = outage_of({"w": events[:1], "v": events[1:]})
    assert (seen and seen.seq) == minute


@pytest.mark.parametrize(
    ("jobs", "heard", "words"),
    [
        (14, 9, "9 of 14 jobs logged since"),
        (14, 0, "none of 14 jobs logged since"),
        (14, 14, "all 14 jobs logged since"),
        (1, 1, "its job logged since"),
        (1, 0, "its job did not log since"),
    ],
)
def test_what_is_known_of_the_jobs_is_said(jobs, heard, words):
    """A silent scheduler ends nothing: what the jobs themselves log still counts."""
    said = silence_words(jobs, heard)
    assert said == f"{words}; none is called failed or finished until it answers"


def test_a_silent_scheduler_is_a_need_while_jobs_are_under_way(night):
    """It has the scheduler's own words, since when, and how many jobs logged since."""
    folder = night / "good"
    silence = poll(60 * 24 * 999, "Unable to contact\nslurm controller")
    since = silence.time
    events = journal.read(folder / layout.JOURNAL).events | {"late": [silence]}
    read = SimpleNamespace(events=events)
    looked = look(experiments.read(folder), Selection()).examined
    rows = [
        RunningRow(
            id="",
            key=key,
            experiment="good",
            attempt=1,
            health="advancing",
            why="",
            progress=Progress(),
            evidence=Evidence(what="step", text="step 7", at=since + timedelta(seconds=after)),
        )
        for key, after in (("r4", 10), ("r8", -10))
    ]

    def needs(*keys):
        state = SimpleNamespace(active=[SimpleNamespace(key=key) for key in keys])
        changed = msgspec.structs.replace(looked, state=state)
        return list(_silent_scheduler(site_seen(changed, read, "", "good"), rows))

    (need,) = needs("r4", "r8")
    assert (need.kind, need.line, need.count) == ("unknown", "the scheduler does not answer", 2)
    assert need.cause == "Unable to contact slurm controller" and need.first == since
    assert need.why.startswith("1 of 2 jobs logged since;") and need.keys == ["r4", "r8"]
    assert needs() == []
