"""The overview of what lies below folders."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.query.views.overview import overview


def test_a_failure_is_one_need_with_its_error_and_what_it_blocks(night):
    """Blocked work is counted in the line of what blocks it, and the error is the program's."""
    (need,) = overview([night]).needs
    assert (need.kind, need.count, need.line) == ("failed", 1, "1 training failed")
    assert need.cause == "MemoryError: step 40 of 120"
    assert need.why.startswith("out of memory on the host; not tried again by itself: its script")
    assert (need.blocks, need.subject, need.keys) == (2, "r16", ["r16"])
    assert (need.experiment, need.id, need.ids) == ("cap", "night/cap", ["night/cap/r16"])
    assert need.command == f"watchkeeper run {night}/cap --retry-failed"
    assert need.first is not None and need.first == need.last


def test_every_place_has_its_counts_and_its_best(night):
    """Counts are of everything that is planned, and the best names its run and epoch."""
    seen = overview([night])
    places = {place.name: place for place in seen.places}
    assert list(places) == ["cap", "sweep", "good"]
    cap = places["cap"]
    assert (cap.id, cap.what) == ("night/cap", "2 runs, 1 task")
    assert cap.counts == {"failed": 1, "blocked": 2, "done": 3} and cap.total == 6
    assert (cap.best.metric, cap.best.run, cap.best.epoch) == ("clean accuracy", "r4", 0)
    assert places["good"].what == "1 run, 1 task, 1 control"
    sweep = places["sweep"]
    assert (sweep.kind, sweep.what, sweep.counts) == ("runs", "3 recorded runs", {"finished": 3})
    assert (sweep.best.run, sweep.best.step) == ("s2", 1)
    assert sweep.ids == tuple(f"night/sweep/s{number}" for number in range(3))
    assert (seen.experiments, seen.recorded) == (2, 3)
    assert list(seen.counts) == ["failed", "blocked", "done", "finished", "not needed"]


def test_reading_is_said_as_it_goes_on(night):
    """After each journal it is said how many have been read, and of how many."""
    steps = []
    seen = overview([night], on_read=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 5) for number in range(1, 6)]
    assert (seen.reading.done, seen.reading.total) == (5, 5)


def test_a_folder_with_nothing_says_how_many_folders_were_looked_through(tmp_path):
    """Nothing is an answer."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    seen = overview([tmp_path / "a"])
    assert seen.places == seen.needs == [] and seen.looked_into == 2


def test_what_is_no_folder_is_refused(tmp_path):
    """The error says which path."""
    with pytest.raises(UsageError, match="nothing-here is no folder"):
        overview([tmp_path / "nothing-here"])
