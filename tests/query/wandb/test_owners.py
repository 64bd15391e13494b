"""Whose the runs of W&B on this disk are."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import watchkeeper as wk
from tests.publish.wandb.files import begin, end, row, write_run
from watchkeeper.core import layout
from watchkeeper.core.events import Judged, Learned
from watchkeeper.core.journal import Writer
from watchkeeper.query.wandb.owners import Owner, files_of, owners_of


def judge(folder: Path, attempt: int, learned: Learned | None) -> None:
    """Write the verdict on an attempt at `r1` into an experiment's journal."""
    writer = Writer(folder / layout.JOURNAL, "test", clock=lambda: datetime.now(UTC))
    fields = {"key": "r1", "phase": "preparation", "attempt": attempt, "state": "COMPLETED"}
    writer.write(Judged, **fields, outcome="done", learned=learned)
    writer.close()


def test_each_segment_is_its_attempts_and_the_newest_verdict_counts(tmp_path):
    """A run that a later verdict names no more is not the attempt's; one outside the experiment
    is, where the experiment is given.
    """
    outside = tmp_path / "scratch" / "wandb" / "offline-run-1"
    outside.mkdir(parents=True)
    exp = tmp_path / "exp"
    judge(exp, 1, Learned(wandb="r1/wandb/a", wandb_earlier=("r1/wandb/0",)))
    judge(exp, 2, Learned(wandb="r1/wandb/wrong"))
    judge(exp, 2, Learned(wandb=str(outside)))
    judge(exp, 3, None)
    folders = [exp / "r1" / "wandb" / name for name in ("0", "a", "wrong")]
    first = Owner(exp, "r1", 1)
    assert owners_of(folders, []) == {folders[0]: first, folders[1]: first}
    assert owners_of([outside], []) == {}
    assert owners_of([outside], [exp]) == {outside: Owner(exp, "r1", 2)}


def test_an_experiment_means_its_runs_wherever_they_lie(tmp_path):
    """Those that verdicts name, and those below its folder, each once."""
    exp = tmp_path / "exp"
    inside = write_run(exp / "r1", begin(), end(), name="in")
    outside = write_run(tmp_path / "scratch", begin("b"), end(), name="out", run_id="b")
    judge(exp, 1, Learned(wandb=str(outside.parent)))
    judge(exp, 2, Learned(wandb="r1/wandb/offline-run-in"))
    assert sorted(files_of(exp)) == sorted([inside, outside])
    assert files_of(inside.parent) == [inside]


def test_a_recorded_run_means_the_runs_of_wandb_beside_it(tmp_path):
    """The runs that ran while it ran are its own; two at once are named, and none is chosen."""
    run = wk.start_run(tmp_path / "artifacts", pipeline="training")
    started_s, a_row = int(time.time()) - 5, row(0, {"a": 1}, time.time())
    first = write_run(tmp_path, begin("one", started_s), a_row, end(), run_id="one")
    run.close()
    assert files_of(run.folder) == [first]
    assert owners_of([first.parent], [run.folder]) == {first.parent: Owner(run.folder)}
    assert owners_of([first.parent], [tmp_path]) == {}
    write_run(tmp_path, begin("two", started_s), a_row, end(), run_id="two", name="2")
    with pytest.raises(wk.UsageError, match="several runs of W&B at once: one, two"):
        files_of(run.folder)


def test_a_recorded_run_without_one_says_what_to_give(tmp_path):
    """Nothing is guessed."""
    run = wk.start_run(tmp_path / "artifacts", pipeline="training")
    run.close()
    with pytest.raises(wk.UsageError, match="no run of W&B belongs to"):
        files_of(run.folder)
