"""The page of an experiment."""

from __future__ import annotations

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import Problem
from watchkeeper.experiment import experiment as experiments
from watchkeeper.launch.plan import Selection
from watchkeeper.query import foreign_jobs
from watchkeeper.query.status import look
from watchkeeper.query.views.experiment import experiment, page_of, site_seen


def test_the_matrix_has_every_piece_of_work(night):
    """Rows, tasks with epochs, runs, and metrics with their range."""
    page = experiment(night / "cap", "night/cap")
    assert page.counts == {"failed": 1, "blocked": 2, "done": 3}
    assert [(task.name, task.epochs) for task in page.tasks] == [("clean", (0, 1))]
    assert [run.name for run in page.runs] == ["r4", "r16"]
    (metric,) = page.metrics
    assert (metric.name, metric.least, metric.greatest) == ("accuracy", 0.5, 0.5)
    rows = {row.key: row for row in page.rows}
    assert rows["r16"].standing == "failed" and rows["r16"].cause == "MemoryError: step 40 of 120"
    assert rows["r16/clean/epoch0"].standing == "blocked"
    assert rows["r4/clean/epoch1"].metrics == {"accuracy": 0.5}
    assert rows["r4/clean/epoch1"].id == "night/cap/r4/clean/epoch1"


def test_every_job_has_a_bar_with_its_times(night):
    """Queued before started before ended, in the clock of its scheduler."""
    page = experiment(night / "cap")
    assert [(bar.key, bar.label, bar.standing) for bar in page.jobs] == [
        ("r4", "train", "done"),
        ("r16", "train", "failed"),
        ("r4/clean/epoch0", "clean 0", "done"),
        ("r4/clean/epoch1", "clean 1", "done"),
    ]
    assert all(bar.queued and bar.ended for bar in page.jobs) and page.slots >= 1


def test_what_is_valid_and_what_was_decided(night):
    """The promised files are counted by kind; decisions on what exists already are left out."""
    page = experiment(night / "cap")
    assert (page.valid.good, page.valid.total) == (4, 8)
    assert page.valid.words == "4 checkpoints, 4 results"
    reasons = {(row.action, row.reason): row.count for row in page.decisions}
    assert sum(reasons.values()) == 3


def test_the_log_ends_with_the_newest_action(night):
    """The blocks of all action logs stand in one order, with the zone of the journal."""
    page = experiment(night / "good")
    times = [line.at for line in page.log]
    assert times == sorted(times) and page.actions == len(page.log)
    assert page.log[-1].action == "ALL_COMPLETE"


def test_without_an_id_there_are_no_links(night):
    """What is asked for outside a page has no ids."""
    page = experiment(night / "cap")
    assert page.id == "" and {row.id for row in page.rows} == {""}
    assert page.needs[0].ids == []


def test_a_page_of_a_look_reads_no_log_for_its_notes(night, monkeypatch):
    """The notes of the look are those of the page: the logs of other tools are read once."""
    folder = night / "good"
    note = Problem(where="run.log:3", message="a job of another tool", hint="", code="foreign")
    calls = []
    monkeypatch.setattr(foreign_jobs, "notes", lambda *_: calls.append(1) or [note])
    seen = look(experiments.read(folder), Selection())
    read = journal.read(folder / layout.JOURNAL)
    assert note in page_of(site_seen(seen.examined, read, "", "good", seen.page_notes)).problems
    assert calls == [1]
    assert note in page_of(site_seen(seen.examined, read, "", "good")).problems
    assert calls == [1, 1]
