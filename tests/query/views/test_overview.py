"""The overview of what lies below folders."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest

import watchkeeper as wk
from tests.experiments import wk as command
from tests.experiments import write_experiment
from tests.query.views.nights import record
from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.state import Attempt, Seen
from watchkeeper.query.views import overview as overviews
from watchkeeper.query.views.experiment import experiment
from watchkeeper.query.views.overview import overview
from watchkeeper.query.views.parts.running import health_of, with_limit
from watchkeeper.query.views.shared import Progress
from watchkeeper.watch.health.progress import Figures


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
    assert list(seen.counts) == ["failed", "blocked", "done", "finished"]


def test_reading_is_said_as_it_goes_on(night):
    """After each journal there is an overview of what has been read, and of how much that is."""
    parts = []
    seen = overview([night], parts.append, pause_s=0)
    assert [(part.reading.done, part.reading.total) for part in parts] == [
        (number, 5) for number in range(1, 5)
    ]
    assert (seen.reading.done, seen.reading.total) == (5, 5)
    assert {place.name for place in parts[-1].places} == {place.name for place in seen.places}
    counts = [sum(place.total for place in part.places) for part in (*parts, seen)]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_an_experiment_is_examined_once_while_all_is_read(night, monkeypatch):
    """The overviews of what has been read cost no second look at it."""
    looks = []
    real = overviews.site_of

    def look(planned, *rest):
        looks.append(planned.folder.name)
        return real(planned, *rest)

    monkeypatch.setattr(overviews, "site_of", look)
    overview([night], lambda part: None, pause_s=0)
    assert sorted(looks) == ["cap", "good"]


def test_parts_come_at_most_once_in_a_pause(night):
    """What is read within one pause is not shown meanwhile."""
    parts = []
    overview([night], parts.append, pause_s=3600)
    assert parts == []


def test_a_folder_with_nothing_says_how_many_folders_were_looked_through(tmp_path):
    """Nothing is an answer."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    seen = overview([tmp_path / "a"])
    assert seen.places == seen.needs == [] and seen.looked_into == 2


def test_what_is_no_folder_is_refused(tmp_path):
    """The error says which path."""
    with pytest.raises(UsageError, match="nothing-here is no folder"):
        overview([tmp_path / "nothing-here"])


def test_a_recorded_run_that_runs_has_figures_and_evidence(tmp_path):
    """Step, loss and sparkline are of the newest execution, and the evidence names its folder."""
    options = {"pipeline": "training", "console": False, "sidecar": False}
    with wk.start_run(folder=tmp_path / "sft", **options) as run:
        for step in range(1, 101):
            run.log(step, loss=1 / step)
        (row,) = overview([tmp_path]).running
    assert (row.key, row.health, row.attempt) == ("sft", "advancing", 1)
    assert (row.progress.step, row.progress.loss, row.progress.loss_name) == (100, 0.01, "loss")
    assert row.progress.rate_per_s > 0 and row.progress.eta_s is None
    assert len(row.spark) == 48 and row.spark[0] > row.spark[-1]
    assert (row.evidence.what, row.evidence.source) == ("step", str(tmp_path / "sft"))


def test_how_far_a_run_is_is_read_in_each_look(tmp_path):
    """Patience is for the figures over all rows, never for the step or the end."""
    options = {"pipeline": "training", "console": False, "sidecar": False}
    with wk.start_run(folder=tmp_path / "runs" / "sft", **options) as run:
        run.log(1, val_loss=1.0)
        first = overview([tmp_path / "runs"], patience=1e9)
        run.log(2, val_loss=0.5)
        later = overview([tmp_path / "runs"], patience=1e9)
        now = overview([tmp_path / "runs"], patience=0.0)
    ended = overview([tmp_path / "runs"], patience=1e9)
    assert [seen.places[0].step for seen in (first, later, now)] == [1, 2, 2]
    assert [seen.places[0].best.value for seen in (first, later, now)] == [1.0, 1.0, 0.5]
    assert ended.places[0].counts == {"finished": 1} and ended.places[0].best.value == 0.5


def test_jobs_without_a_watcher_are_a_need_and_what_waits_has_its_reason(tmp_path):
    """What runs, what waits for it, and since when nobody watches."""
    folder = write_experiment(tmp_path / "exp", body="sleep 300")
    state = tmp_path / "state"
    assert command("submit", folder, state=state).returncode == EXIT_OK
    try:
        seen = overview([tmp_path])
        page = experiment(folder)
    finally:
        command("cancel", folder, state=state)
    (need,) = seen.needs
    assert (need.kind, need.line) == ("unwatched", "nobody watches")
    assert need.why.startswith("1 job under way; 1 waiting will not be submitted; last watched")
    assert need.first is not None and need.command == f"watchkeeper run {folder}"
    waiting = seen.waiting[-1]
    assert (waiting.line, waiting.after) == ("1 evaluation", ("one",))
    assert waiting.reason == "gate all: 1 fine-tuning jobs have not ended"
    assert page.watcher.alive is False and page.watcher.since == need.first
    assert page.slots <= 1 and page.ended is None


def test_damaged_runs_are_one_need_and_the_rest_is_shown(tmp_path):
    """40 of many journals with a hole in the middle are one line, and hide nothing."""
    for number in range(6):
        record(tmp_path / "sweep" / f"s{number}", val_loss=number / 10)
    for journal in list((tmp_path / "sweep").rglob("journal/*.jsonl"))[:2]:
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(lines[0] + b"\0\0 no event\n" + b"".join(lines[1:]))
    seen = overview([tmp_path])
    (need,) = [need for need in seen.needs if need.kind == "damaged"]
    assert (need.count, need.line) == (2, "2 problems in files")
    assert seen.places[0].total == 6 and len(seen.problems) == 2


def test_a_run_that_is_deleted_while_it_is_read_is_left_out(tmp_path):
    """What is gone between the walk and the reading is no error."""
    for number in range(3):
        record(tmp_path / "sweep" / f"s{number}", val_loss=0.5)

    def delete(part):
        shutil.rmtree(tmp_path / "sweep" / "s2", ignore_errors=True)

    assert overview([tmp_path], delete, pause_s=0).places[0].total == 2


def test_a_cache_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, monkeypatch):
    """A file lies where the cache folder would be."""
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    record(tmp_path / "sweep" / "s0", val_loss=0.5)
    assert overview([tmp_path]).places[0].total == overview([tmp_path]).places[0].total == 1


def test_a_clock_that_is_ahead_is_no_silence(tmp_path):
    """Rows of a host whose clock is ahead are not older than now."""
    options = {"pipeline": "training", "console": False, "sidecar": False}
    with wk.start_run(folder=tmp_path / "sft", **options) as run:
        run.log(1, loss=0.5)
        for rows in (tmp_path / "sft").rglob("metrics/*.jsonl"):
            ahead = time.time() + 3600
            os.utime(rows, (ahead, ahead))
        (row,) = overview([tmp_path]).running
    assert (row.health, row.why) == ("advancing", "step 1, 0 s ago")


def test_a_command_that_prints_is_evidence_without_a_step(tmp_path):
    """Lines count as signs of life where no metric is logged."""
    options = {"pipeline": "exec", "console": False, "sidecar": False}
    with wk.start_run(folder=tmp_path / "job", **options):
        (tmp_path / "job" / "logs" / "stdout.log").write_text("still there\n")
        ahead = time.time() + 60
        os.utime(tmp_path / "job" / "logs" / "stdout.log", (ahead, ahead))
        (row,) = overview([tmp_path]).running
    assert (row.health, row.evidence.what) == ("unknown", "output")
    assert row.evidence.at.timestamp() == pytest.approx(ahead)


@pytest.mark.parametrize(
    ("fields", "health"),
    [
        ({"step": 5}, "unknown"),
        ({"step": 5, "modified": -500.0}, "advancing"),
        ({"step": 5, "modified": -700.0}, "silent"),
        ({"step": 5, "modified": -700.0, "rate_per_s": 0.01}, "advancing"),
        ({"step": 5, "modified": -1100.0, "rate_per_s": 0.01}, "silent"),
        ({"modified": -1.0}, "unknown"),
        ({"step": 5, "modified": -1.0, "stall": "it sleeps"}, "stalled"),
    ],
)
def test_a_silence_is_longer_than_ten_steps_and_ten_minutes(fields, health):
    """A slow run is not silent between its steps; a stall is its sidecar's word."""
    now = datetime(2026, 11, 28, 7, 42, tzinfo=UTC)
    if "modified" in fields:
        fields = fields | {"modified": now.timestamp() + fields["modified"]}
    assert health_of(Figures(**fields), now)[0] == health


@pytest.mark.parametrize(
    ("eta_s", "to_limit_s", "fits"),
    [(60.0, 100.0, True), (160.0, 100.0, False), (160.0, -5.0, None), (None, 100.0, None)],
)
def test_whether_a_job_fits_is_said_until_its_limit_is_over(eta_s, to_limit_s, fits):
    """Nothing is foretold of a job whose time is over, or whose end is not known."""
    now = datetime(2026, 11, 28, 7, 42, tzinfo=UTC)
    facts = SchedulerFacts(state="RUNNING", ends_by=now + timedelta(seconds=to_limit_s))
    seen = Seen("w", 1, "7", "RUNNING", facts, None)
    attempt = Attempt("r8", 1, "preparation", seen=seen)
    progress = with_limit(Progress(eta_s=eta_s), attempt, now)
    assert (progress.fits, progress.limit_s) == (fits, max(0.0, to_limit_s))


def test_a_job_that_ended_while_nobody_watched_is_not_called_silent(tmp_path):
    """Its exit record outranks the word of a watcher that is gone: it ended, and is not judged."""
    folder = write_experiment(tmp_path / "exp", body="exit 3")
    assert command("submit", folder, state=tmp_path / "state").returncode == EXIT_OK
    record_path = folder / ".watchkeeper/runs/one/1/exit.1"
    deadline = time.monotonic() + 120
    while not record_path.exists():
        assert time.monotonic() < deadline, "the job wrote no exit record"
        time.sleep(0.02)
    (row,) = overview([tmp_path]).running
    assert (row.health, row.why) == ("unknown", "ended with exit code 3, not judged yet")
    assert (row.evidence.what, row.evidence.source) == ("exit", str(record_path))
    assert row.progress.eta_s is None and row.progress.limit_s is None
