"""What the journal tells of a run, as lines of its log."""

from datetime import UTC, datetime

import pytest

from watchkeeper.core.events import Assessed, Submitted
from watchkeeper.report.story import About, Told, page

COMMON = {"writer": "w", "key": "one", "phase": "preparation", "attempt": 1}


def status(**fields):
    """The status lines of a run that was submitted, and looked at once."""
    told = Told()
    at = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
    told.feed(Submitted(time=at, seq=0, job_id="7", scheduler="slurm", command="sbatch", **COMMON))
    told.feed(Assessed(time=at.replace(minute=20), seq=1, **COMMON, **fields))
    return page(told, About(task="one"), "UTC").status[1:]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"health": "advancing"}, []),
        ({"health": "advancing", "loss": 0.5}, ["running, train_loss 0.5"]),
        (
            {"health": "advancing", "step": 2400, "total": 100000, "loss": 0.085, "rate_per_s": 3.25, "eta_s": 7800.0},
            ["running, step 2400/100000, train_loss 0.085, 3.25 it/s, 2:10:00 left"],
        ),
        ({"health": "stalled", "step": 3, "why": "no step for 10:00"}, ["running, stalled, step 3: no step for 10:00"]),
        ({"health": "silent", "why": "nothing"}, ["running, silent: nothing"]),
        ({"health": "advancing", "errors": ("disk full: a\nb",)}, ["running; disk full: a b"]),
    ],
)
def test_a_look_is_a_line_where_it_says_something(fields, says):
    """A line of Status has a step, a loss or what is wrong; that something runs is none."""
    assert status(**fields) == [f"2026-03-11 15:20 UTC — {words}" for words in says]
