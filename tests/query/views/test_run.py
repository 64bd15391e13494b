"""The page of one run, from what was really recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

import watchkeeper as wk
from tests.experiments import write_experiment
from tests.query.test_recording import record
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core import layout
from watchkeeper.core.errors import UsageError
from watchkeeper.query.views import run as pages
from watchkeeper.query.views.charts import Chart
from watchkeeper.schedulers.fake.scheduler import FakeScheduler


def falling(first: int, last: int) -> list[tuple[int, dict[str, object]]]:
    """Rows with a loss that falls from step to step."""
    return [(step, {"loss": 1 / step}) for step in range(first, last + 1)]


def test_a_recorded_run_has_what_was_recorded(tmp_path):
    """State, settings, figures and rows are those of its own folder."""
    rows = [*falling(1, 20), (20, {"val_loss": 0.2}), (20, {"accuracy": 0.5})]
    record(tmp_path, rows, config={"lr": 0.1, "total_steps": 40})
    page = pages.run(tmp_path, id="night/r")
    assert (page.kind, page.state, page.standing, page.rows) == ("recorded", "finished", "done", 22)
    assert page.settings == {"lr": "0.1", "total_steps": "40"}
    assert (page.progress.step, page.progress.loss) == (20, 0.05)
    assert (page.progress.total, page.progress.eta_s) == (None, None)
    assert [(row.name, row.role) for row in page.metrics[:2]] == [
        ("loss", "train loss"),
        ("val_loss", "val loss"),
    ]
    accuracy = next(row for row in page.metrics if row.name == "accuracy")
    assert (accuracy.better, accuracy.best, accuracy.best_step) == ("more", 0.5, 20)
    assert page.best is not None
    assert (page.best.metric, page.best.value) == ("val_loss", 0.2)
    assert page.reading.startswith("The training loss")
    assert [text.name for text in page.texts] == ["run.log"]


def test_the_total_is_what_the_program_said_of_its_loop(tmp_path):
    """A loop over training steps gives the total and so the end; a setting of some name does not,
    since nothing says that the program goes by it.
    """
    config = {"max_steps": 7}
    with wk.start_run(
        folder=tmp_path, pipeline="t", config=config, console=False, sidecar=False
    ) as run:
        assert pages.run(tmp_path).progress.total is None
        for step in run.track(range(1, 41), "train"):
            run.log(step, loss=1 / step)
    page = pages.run(tmp_path)
    assert (page.progress.step, page.progress.total) == (40, 40)


def test_paths_are_shown_from_the_runs_folder(tmp_path, monkeypatch):
    """A checkpoint that the program named in full is shown from the folder that was typed."""
    with wk.start_run(folder=tmp_path / "r", pipeline="t", console=False, sidecar=False) as run:
        (tmp_path / "r" / "last.bin").write_bytes(b"x")
        run.checkpoint(tmp_path / "r" / "last.bin", training_step=1)
    monkeypatch.chdir(tmp_path)
    assert pages.run(Path("r")).checkpoints[0].path == "last.bin"


def test_rows_that_were_done_again_count_once_and_stay_visible(tmp_path):
    """A later execution takes the steps that it did again out of last and best; they have a line of
    their own.
    """
    record(tmp_path, [*falling(1, 10), (11, {"loss": -5.0})])
    record(tmp_path, [(step, {"loss": 2.0}) for step in range(8, 13)])
    page = pages.run(tmp_path)
    assert [(row.n, row.from_step, row.last_step, row.superseded) for row in page.attempts] == [
        (1, 1, 11, 4),
        (2, 8, 12, 0),
    ]
    loss = page.metrics[0]
    assert (loss.rows, loss.last, loss.best, loss.best_step) == (12, 2.0, 0.142857142857142855, 7)
    lines = pages.series(tmp_path, "", Chart(metrics=["loss"])).lines
    assert [(line.attempt, line.superseded, line.x[0], line.x[-1]) for line in lines] == [
        (1, False, 1, 7),
        (1, True, 8, 11),
        (2, False, 8, 12),
    ]
    mark = next(mark for mark in page.marks if mark.kind == "attempt")
    assert mark.text == "attempt 2 from 8; 4 steps of attempt 1 superseded"


def test_a_training_begun_again_takes_nothing_of_the_first(tmp_path):
    """Of a first execution whose work was begun again, no row counts."""
    record(tmp_path, [(1, {"loss": 0.1}), (2, {"loss": 0.1})])
    record(tmp_path, [(1, {"loss": 2.0})])
    page = pages.run(tmp_path)
    assert (page.metrics[0].rows, page.metrics[0].best) == (1, 2.0)
    assert page.progress.step == 1


def test_a_failed_run_says_why(tmp_path):
    """The error's last line is the cause, and how the run ended its state."""
    with pytest.raises(ValueError, match="bad shard"):
        record(tmp_path, falling(1, 3), end=ValueError("bad shard"))
    page = pages.run(tmp_path)
    assert (page.state, page.standing) == ("failed", "failed")
    assert page.failure is not None
    assert "bad shard" in page.failure.cause
    assert page.reading and not page.reading.startswith("So far")


def test_a_run_under_way_has_a_rate_and_a_sentence_so_far(tmp_path):
    """While its process lives a run is running: what its curve says is said of so far, and its end
    is not known without a total.
    """
    with wk.start_run(folder=tmp_path, pipeline="t", console=False, sidecar=False) as run:
        for step in range(1, 6):
            run.log(step, loss=1 / step)
        page = pages.run(tmp_path)
    assert (page.state, page.standing, page.health) == ("running", "running", "advancing")
    assert page.reading.startswith("So far: ")
    assert page.ended is None
    assert (page.progress.total, page.progress.eta_s) == (None, None)
    assert page.progress.rate_per_s is not None and page.progress.rate_per_s > 0


def test_a_checkpoint_is_whole_by_its_files_on_the_disk(tmp_path):
    """A checkpoint of which a file is gone or cut short is not whole, and it says which."""
    with wk.start_run(folder=tmp_path, pipeline="t", console=False, sidecar=False) as run:
        for step in (1, 2, 3):
            place = tmp_path / "checkpoints" / f"step_{step}"
            place.mkdir(parents=True)
            (place / "model.bin").write_bytes(b"x" * 100)
            (place / "optimizer.bin").write_bytes(b"x" * 10)
            run.checkpoint(place, training_step=step)
        alone = tmp_path / "last.bin"
        alone.write_bytes(b"x" * 7)
        run.checkpoint(alone, training_step=4)
    (tmp_path / "checkpoints/step_2/optimizer.bin").unlink()
    (tmp_path / "checkpoints/step_3/model.bin").write_bytes(b"x" * 5)
    shown = pages.run(tmp_path).checkpoints
    assert [(row.step, row.is_whole, row.missing) for row in shown] == [
        (4, True, ""),
        (3, False, "model.bin has 5 of 100 bytes"),
        (2, False, "optimizer.bin is gone"),
        (1, True, ""),
    ]
    assert [row.size for row in shown] == [7, 110, 110, 110]


def test_stages_are_as_they_ended(tmp_path):
    """A stage that ended has its counts and its time; one that raised has failed."""
    with (
        pytest.raises(RuntimeError),
        wk.start_run(folder=tmp_path, pipeline="t", console=False, sidecar=False) as run,
    ):
        with run.step("00_ingest") as stage:
            stage.rows(read=10, kept=8)
        with run.step("01_train"):
            raise RuntimeError("no")
    stages = pages.run(tmp_path).stages
    assert [(row.name, row.standing, row.rows_in, row.rows_out) for row in stages] == [
        ("00_ingest", "done", 10, 8),
        ("01_train", "failed", None, None),
    ]


def test_lines_of_the_text_log_have_their_parts(tmp_path):
    """run.log is read by its end or from a byte on, with time, stage and level apart and without
    the run's id.
    """
    record(tmp_path, falling(1, 2))
    page = pages.text(tmp_path, "", "run.log", tail=2)
    assert len(page.lines) == 2
    assert page.next == (tmp_path / "logs/run.log").stat().st_size
    assert page.lines[-1].text == "Run finished"
    assert (page.lines[-1].level, page.lines[-1].step) == ("INFO", "-")
    assert page.lines[-1].at is not None
    again = pages.text(tmp_path, "", "run.log", after=page.offset)
    assert again.lines == page.lines and again.next == page.next
    with (tmp_path / "logs/run.log").open("a") as file:
        file.write("a new line\nhalf of the ne")
    more = pages.text(tmp_path, "", "run.log", after=page.next)
    assert [line.text for line in more.lines] == ["a new line"]
    assert pages.text(tmp_path, "", "run.log", after=more.next).lines == []


def test_no_other_file_is_read_as_a_text(tmp_path):
    """Only the texts of the run are read, by their names, and no link leads out of its folder."""
    record(tmp_path / "r", falling(1, 2))
    secret = tmp_path / "secret"
    secret.write_text("password\n")
    for name in ("../secret", str(secret), "run.log/../../secret", ""):
        with pytest.raises(UsageError):
            pages.text(tmp_path / "r", "", name)
    log = tmp_path / "r" / "logs" / "run.log"
    log.unlink()
    log.symlink_to(secret)
    with pytest.raises(UsageError, match="no text"):
        pages.text(tmp_path / "r", "", "run.log")


def test_long_lines_are_cut(tmp_path):
    """A line of a text has at most 4,000 characters, and the lines after it are read."""
    record(tmp_path, falling(1, 2))
    with (tmp_path / "logs/run.log").open("a") as file:
        file.write("x" * 10_000 + "\nnext\n")
    lines = pages.text(tmp_path, "", "run.log", tail=2).lines
    assert [len(line.text) for line in lines] == [4_000, 4]


def test_a_folder_without_a_run_is_refused(tmp_path):
    """Where nothing was recorded there is no page, and the error says what to type."""
    with pytest.raises(UsageError) as error:
        pages.run(tmp_path)
    assert error.value.hint


def test_an_unknown_key_is_refused_with_those_there_are(tmp_path):
    """A run that the experiment does not have is no empty page."""
    folder = write_experiment(tmp_path / "exp")
    with pytest.raises(UsageError) as error:
        pages.run(folder, "two")
    assert "one" in error.value.hint


def test_a_job_is_shown_as_its_journal_has_it(tmp_path):
    """A training of an experiment has its attempt, its output and the work beside it; what an
    evaluation measured are its results.
    """
    folder = write_experiment(tmp_path / "exp")
    keep(folder, FakeScheduler())
    page = pages.run(folder, "one", "exp/one")
    assert (page.kind, page.experiment, page.experiment_id) == ("job", "exp", "exp")
    assert page.standing == "done"
    assert [row.n for row in page.attempts] == [1]
    assert page.neighbours == ("", "exp/one/clean/epoch0")
    evaluation = pages.run(folder, "one/clean/epoch0", "exp/one/clean/epoch0")
    assert evaluation.results
    assert evaluation.neighbours == ("exp/one", "")


def test_an_evaluation_names_its_training_and_how_to_trace_its_figures(tmp_path):
    """A figure leads to the run whose model it is of; a recorded run has neither."""
    folder = write_experiment(tmp_path / "my exp")
    keep(folder, FakeScheduler())
    evaluation = pages.run(folder, "one/clean/epoch0", "exp/one/clean/epoch0")
    assert evaluation.training_id == "exp/one"
    assert evaluation.trace == f"watchkeeper trace '{folder}' one/clean/epoch0"
    training = pages.run(folder, "one", "exp/one")
    assert (training.training_id, bool(training.trace)) == ("", True)
    record(tmp_path / "run", [(1, {"loss": 1.0})])
    recorded = pages.run(tmp_path / "run")
    assert (recorded.training_id, recorded.trace) == ("", "")


def test_a_damaged_line_is_a_problem_and_costs_that_line(tmp_path):
    """The other rows are shown, and the page says which file holds the damage."""
    record(tmp_path, falling(1, 5))
    path = next((tmp_path / layout.METRICS).iterdir())
    with path.open("ab") as file:
        file.write(b"{broken\n")
    page = pages.run(tmp_path)
    assert page.metrics[0].rows == 5
    assert [problem.where for problem in page.problems] == [str(path)]


def test_a_file_that_the_disk_refuses_is_named(tmp_path: Path, refused_files):
    """Rows that cannot be read are a problem, and the rest of the page is shown."""
    record(tmp_path, falling(1, 5))
    refused_files.add(next((tmp_path / layout.METRICS).iterdir()))
    page = pages.run(tmp_path)
    assert (page.state, page.rows) == ("finished", 0)
    assert "cannot be read" in page.problems[0].message
