"""`wk.load`: recorded runs, read back."""

from __future__ import annotations

import math
import os
from datetime import UTC

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from watchkeeper.core import layout
from watchkeeper.core.errors import NewerJournalError
from watchkeeper.show.cli import main


def record(folder, rows, *, config=None, end=None, totals=None, pipeline="training"):
    """A recorded run with these rows (step, metrics)."""
    with wk.start_run(
        folder=folder, pipeline=pipeline, config=config or {}, console=False, sidecar=False
    ) as run:
        for step, metrics in rows:
            run.log(step, **metrics)
        if totals:
            run.totals(**totals)
        if end is not None:
            raise end


@pytest.fixture
def sweep(tmp_path):
    """Three recorded runs in one folder."""
    for number, lr in enumerate([0.1, 0.01, 0.001]):
        rows = [(step, {"loss": lr / step, "accuracy": 1 - lr}) for step in (1, 2, 3)]
        record(tmp_path / f"run{number}", rows, config={"lr": lr}, totals={"seen": 3})
    return tmp_path


def test_a_run_is_read_back_as_it_was_recorded(sweep):
    """Rows, configuration, totals, state, id and events of one run are those of its folder."""
    run = wk.load(sweep / "run1")
    assert [(row.step, row.metrics) for row in run.rows] == [
        (step, {"loss": 0.01 / step, "accuracy": 0.99}) for step in (1, 2, 3)
    ]
    assert run.config == {"lr": 0.01} and run.totals == {"seen": 3}
    assert (run.name, run.folder, run.state) == ("run1", sweep / "run1", "finished")
    assert run.run_id and any(getattr(event, "run_id", "") == run.run_id for event in run.events)
    assert run.problems == []


def test_a_folder_of_runs_is_read_as_a_sequence_of_them(sweep):
    """Runs below a folder are found at any depth, sorted by their paths; each is a recording."""
    record(sweep / "more" / "deep", [(1, {"loss": 1.0})])
    loaded = wk.load(sweep)
    assert loaded.names == ["more/deep", "run0", "run1", "run2"] and len(loaded) == 4
    assert [run.name for run in loaded] == loaded.names
    assert loaded[0].name == "more/deep" and loaded["deep"].rows == loaded[0].rows
    assert len(loaded.rows) == 10
    assert repr(loaded) == "<Recording: 4 runs (more/deep, run0, run1, run2), 10 rows>"


def test_what_belongs_to_one_run_is_no_guess_among_several(sweep):
    """`config` of several runs is an error that lists them and says how to choose."""
    with pytest.raises(wk.UsageError, match=r"3 runs were loaded: run0, run1, run2") as error:
        _ = wk.load(sweep).config
    assert "recording['run0']" in error.value.hint
    with pytest.raises(KeyError, match="0 runs are called 'nine'"):
        wk.load(sweep)["nine"]


def test_several_paths_have_their_folders_names_before_the_runs(sweep, tmp_path_factory):
    """Runs of two folders keep their folders' names, and one that is named twice is read once."""
    other = tmp_path_factory.mktemp("other")
    record(other / "run0", [(1, {"loss": 1.0})])
    names = wk.load(sweep, other, sweep / "run1").names
    assert names == [f"{sweep.name}/run{n}" for n in range(3)] + [f"{other.name}/run0"]


@pytest.mark.parametrize("what", ["nothing", "missing", "a file", "empty"])
def test_where_there_is_no_run_the_error_says_so(tmp_path, what):
    """No path, a missing path, a file and a folder without runs are errors with a hint."""
    places = {
        "nothing": [],
        "missing": [tmp_path / "no"],
        "a file": [tmp_path / "file"],
        "empty": [tmp_path],
    }[what]
    (tmp_path / "file").write_text("")
    with pytest.raises(wk.UsageError) as error:
        wk.load(*places)
    assert error.value.hint


def test_steps_that_were_done_again_count_once(tmp_path):
    """Of a run that was continued the later rows count; `all_rows` has both, told apart."""
    record(tmp_path, [(step, {"loss": 1.0, "note": "a"}) for step in (1, 2, 3)])
    record(tmp_path, [(step, {"loss": 2.0}) for step in (2, 3, 4)])
    counted = wk.load(tmp_path)
    assert [(row.step, row.metrics["loss"]) for row in counted.rows] == [
        (1, 1.0),
        (2, 2.0),
        (3, 2.0),
        (4, 2.0),
    ]
    assert [row.metrics.get("note") for row in counted.rows] == ["a", None, None, None]
    everything = wk.load(tmp_path, all_rows=True)
    assert len(everything.rows) == 6
    execution = next(column for column in everything.columns if column.name == "execution")
    assert execution.values == [1, 1, 1, 2, 2, 2]


def test_a_training_that_began_again_supersedes_all_of_the_first(tmp_path):
    """Texts and rows without figures of a superseded execution do not come back."""
    record(tmp_path, [(1, {"loss": 1.0, "note": "a"}), (None, {"note": "b"})])
    record(tmp_path, [(1, {"loss": 2.0})])
    assert [row.metrics for row in wk.load(tmp_path).rows] == [{"loss": 2.0}]


def test_the_last_executions_end_is_the_state(tmp_path):
    """A failed run stays failed until it is run again; without an end it is running as long as its
    process.
    """
    with pytest.raises(ValueError, match="x"):
        record(tmp_path, [(1, {"loss": 1.0})], end=ValueError("x"))
    assert wk.load(tmp_path).state == "failed"
    record(tmp_path, [(2, {"loss": 1.0})])
    assert wk.load(tmp_path).state == "finished"
    for path in (tmp_path / layout.JOURNAL).iterdir():
        lines = [line for line in path.read_bytes().splitlines(True) if b"run_ended" not in line]
        path.write_bytes(b"".join(lines[:2]))
    assert wk.load(tmp_path).state == "running"


def test_an_evaluation_in_the_same_folder_does_not_take_its_place(tmp_path):
    """Configuration and state are the training's; the evaluation's rows have its pipeline."""
    record(tmp_path, [(1, {"loss": 1.0})], config={"lr": 1})
    record(tmp_path, [(1, {"accuracy": 0.5})], config={"task": "x"}, pipeline="evaluation")
    run = wk.load(tmp_path)
    assert run.config == {"lr": 1} and len(run.rows) == 2
    pipelines = next(column for column in run.columns if column.name == "pipeline")
    assert pipelines.values == ["training", "evaluation"]


def test_one_damaged_line_costs_that_line(sweep):
    """The other rows are read, and the problem names file and line."""
    (rows,) = (sweep / "run1" / layout.METRICS).iterdir()
    lines = rows.read_bytes().splitlines(True)
    rows.write_bytes(lines[0] + b'{"torn\n' + b"".join(lines[1:]))
    loaded = wk.load(sweep)
    assert len(loaded.rows) == 9
    assert [problem.where for problem in loaded.problems] == [f"{rows}:2"]


def test_a_run_of_a_newer_version_costs_that_run(sweep):
    """Among others it is a problem; alone it is the error itself."""
    for path in (sweep / "run1" / layout.JOURNAL).iterdir():
        path.write_bytes(path.read_bytes().replace(b'"schema":1', b'"schema":99'))
    loaded = wk.load(sweep)
    assert loaded.names == ["run0", "run2"] and loaded.problems[0].where == str(sweep / "run1")
    with pytest.raises(NewerJournalError):
        wk.load(sweep / "run1")


def test_a_folder_without_permission_is_named(sweep, monkeypatch):
    """What may not be read is a problem, and the rest is read."""
    (sweep / "shut").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    loaded = wk.load(sweep)
    assert len(loaded) == 3 and loaded.problems[0].where == str(sweep / "shut")


def test_an_experiments_own_folder_is_no_run(tmp_path, sweep):
    """A journal of jobs beside recorded runs is not taken for one of them."""
    (sweep / layout.RUNS).mkdir(parents=True)
    (sweep / layout.JOURNAL).mkdir(parents=True)
    (sweep / layout.JOURNAL / "x.jsonl").write_text("")
    assert wk.load(sweep).names == ["run0", "run1", "run2"]


def test_pandas_has_the_rows_with_their_types(tmp_path):
    """Whole numbers, gaps, NaN, texts and bools arrive as pandas has them; times have a zone."""
    pandas = pytest.importorskip("pandas")
    record(
        tmp_path,
        [
            (1, {"loss": 0.5, "epoch": 1, "note": "a", "ok": True, "mixed": 1}),
            (2, {"loss": math.nan, "seen": 7, "note": "=1+1", "mixed": "n/a", "run": 3}),
        ],
    )
    frame = wk.load(tmp_path).to_pandas()
    assert list(frame.columns[:5]) == ["run", "pipeline", "execution", "time", "step"]
    assert frame["step"].dtype == "int64" and frame["loss"].dtype == "float64"
    assert frame["loss"].isna().tolist() == [False, True]
    assert frame["epoch"].dtype == "Int64" and frame["epoch"][1] is pandas.NA
    assert frame["ok"].tolist() == [True, pandas.NA] and frame["note"].tolist() == ["a", "=1+1"]
    assert frame["mixed"].tolist() == ["1", "n/a"] and frame["run_"][1] == 3
    assert frame["time"].dt.tz is UTC or str(frame["time"].dt.tz) == "UTC"


def test_polars_has_the_same_rows(sweep):
    """Both DataFrames have the same columns and values."""
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    loaded = wk.load(sweep)
    ours, theirs = loaded.to_polars(), loaded.to_pandas()
    assert list(ours.columns) == list(theirs.columns)
    assert ours["loss"].to_list() == theirs["loss"].tolist()
    assert ours["time"].to_list() == [stamp.to_pydatetime() for stamp in theirs["time"]]


def test_a_library_that_is_not_there_is_named(sweep, monkeypatch):
    """Without pandas or polars the error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    for convert in (wk.load(sweep).to_pandas, wk.load(sweep).to_polars):
        with pytest.raises(wk.UsageError, match="is not installed") as error:
            convert()
        assert "pip install" in error.value.hint


def test_a_notebook_shows_each_run_without_markup_of_its_own(tmp_path):
    """Names from runs are text, curves are SVG, and the whole is small."""
    record(tmp_path / "<b>x", [(step, {"loss": 1 / step, "<i>": 1}) for step in range(1, 500)])
    record(tmp_path / "y", [(1, {"loss": math.inf})])
    shown = wk.load(tmp_path)._repr_html_()
    assert "<b>x" not in shown and "&lt;b&gt;x" in shown and "<i>" not in shown
    assert shown.count("<svg") == 2 and "finished" in shown and len(shown) < 200_000


def test_tags_and_notes_are_those_of_the_program_and_of_people(tmp_path):
    """Both are read from the journal, as they are now."""
    with wk.start_run(folder=tmp_path / "r", pipeline="p", console=False, tags=["base"]):
        pass
    for words in (["tag", "best"], ["note", "looks good"]):
        result = CliRunner().invoke(main, [words[0], str(tmp_path / "r"), words[1]])
        assert result.exit_code == 0
    run = wk.load(tmp_path / "r")
    assert (run.tags, run.notes) == (["base", "best"], ["looks good"])
