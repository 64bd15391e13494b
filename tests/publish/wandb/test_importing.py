"""Offline runs of W&B as recorded runs."""

from __future__ import annotations

import json
import math
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from tests.publish.wandb.files import begin, end, framed, header, row, summary, write_run
from watchkeeper.core import layout
from watchkeeper.core.errors import StorageError, UsageError
from watchkeeper.core.events import Imported, RunEnded
from watchkeeper.publish.wandb import importing
from watchkeeper.publish.wandb.importing import ChangedSourceError, ImportedRun, import_run
from watchkeeper.publish.wandb.offline import grouped, wandb_files
from watchkeeper.show.cli import main

STARTED = 1_770_000_000


def imported(source: Path, root: Path) -> ImportedRun:
    """The one run that lies in a folder, imported."""
    runs, problems = grouped(wandb_files(source / "wandb"))
    (segments,) = runs.values()
    assert problems == []
    return import_run(segments, root)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_whole_after_its_import(tmp_path):
    """Rows with steps and times, configuration, tags, notes, figures and end are there, no secret
    is, and the source has not changed.
    """
    config = {"lr": 0.001, "api_key": "sk-12345678901234567890", "deep": {"a": [1, math.inf]}}
    words = {"project": "proj", "display_name": "first", "notes": "one\n\ntwo"}
    write_run(
        tmp_path,
        begin("abc", tags=["x", "y\n"], config=config, **words),
        row(0, {"loss": 2.0, "bad": math.nan}, STARTED + 1.5),
        row(4, {"loss": 1.0, "eval/acc": 0.5}, STARTED + 2.5),
        summary({"loss": 1.0, "best": 0.9, "word": "w", "is_good": True}),
        end(0),
    )
    before = tree(tmp_path)
    run = imported(tmp_path, tmp_path / "into")
    assert {path: data for path, data in tree(tmp_path).items() if path in before} == before
    assert (run.rows, run.is_new, run.is_unfinished) == (2, True, False)
    loaded = wk.load(run.folder)
    assert loaded.state == "finished" and loaded.totals == {"best": 0.9}
    assert loaded.started == datetime(2026, 2, 2, 2, 40, tzinfo=UTC)
    assert loaded.config["lr"] == 0.001 and loaded.config["deep"] == {"a": [1, "Infinity"]}
    assert "sk-1" not in json.dumps(loaded.config)
    assert loaded.tags == ["x"] and loaded.notes == ["one", "two"]
    assert [row.step for row in loaded.rows] == [0, 4]
    assert math.isnan(loaded.rows[0].metrics["bad"])
    assert loaded.rows[1].metrics == {"loss": 1.0, "eval/acc": 0.5}
    assert loaded.rows[1].time == datetime.fromtimestamp(STARTED + 2.5, UTC)


def test_an_import_is_sound_and_says_where_it_comes_from(tmp_path):
    """`check` has no finding, and the events name the source and how the run ended."""
    path = write_run(tmp_path, begin("abc", project="p"), row(0, {"a": 1}, STARTED), end(3))
    command = ["import", str(tmp_path / "wandb"), "--into", str(tmp_path / "into")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "into").iterdir()
    assert CliRunner().invoke(main, ["check", str(folder)]).exit_code == 0
    events = wk.load(folder).events
    (event,) = [event for event in events if isinstance(event, Imported)]
    assert (event.source, event.bytes, event.rows) == (str(path), path.stat().st_size, 1)
    (ended,) = [event for event in events if isinstance(event, RunEnded)]
    assert (ended.status, ended.error, ended.duration_s) == ("failed", "exit code 3", 5.0)


def test_an_import_again_changes_nothing(tmp_path):
    """The same source is the same run: not one byte is written."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    first = imported(tmp_path, tmp_path / "into")
    before = tree(tmp_path)
    second = imported(tmp_path, tmp_path / "into")
    assert second.folder == first.folder and not second.is_new
    assert tree(tmp_path) == before


def test_a_source_that_grew_is_named_and_nothing_is_mixed(tmp_path):
    """Rows of a later state of the source are never put beside those of an earlier one."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}))
    run = imported(tmp_path, tmp_path / "into")
    assert run.is_unfinished and wk.load(run.folder).state == "not ended"
    path.write_bytes(framed([header(), begin(), row(0, {"a": 1}), row(1, {"a": 2}), end()]))
    with pytest.raises(ChangedSourceError, match="1 rows then, 2 now") as error:
        imported(tmp_path, tmp_path / "into")
    assert "--renew" in error.value.hint
    assert len(wk.load(run.folder).rows) == 1


def renewed(source: Path, root: Path) -> ImportedRun:
    """The one run that lies in a folder, imported again."""
    (segments,) = grouped(wandb_files(source / "wandb"))[0].values()
    return import_run(segments, root, renew=True)


def test_a_source_that_grew_is_imported_anew(tmp_path):
    """The new import has all rows, the old one lies whole in the trash, and once more does nothing;
    a run that was never imported is imported.
    """
    path = write_run(tmp_path, begin(), row(0, {"a": 1}))
    first = renewed(tmp_path, tmp_path / "into")
    assert first.is_new
    before = tree(first.folder)
    path.write_bytes(framed([header(), begin(), row(0, {"a": 1}), row(1, {"a": 2}), end()]))
    second = renewed(tmp_path, tmp_path / "into")
    assert second.folder == first.folder and second.is_new and not second.is_unfinished
    assert [row.metrics["a"] for row in wk.load(second.folder).rows] == [1, 2]
    (old,) = (tmp_path / "into" / layout.TRASH).glob("20*")
    assert list(tree(old).values()) == list(before.values())
    assert not renewed(tmp_path, tmp_path / "into").is_new
    assert len(list((tmp_path / "into" / layout.TRASH).glob("20*"))) == 1


def test_a_source_that_shrank_or_words_of_people_keep_the_old_import(tmp_path):
    """Rows are never exchanged for fewer, and a note is never moved away unasked."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}), row(1, {"a": 2}))
    run = renewed(tmp_path, tmp_path / "into")
    before = tree(run.folder)
    path.write_bytes(framed([header(), begin(), row(0, {"a": 1})]))
    with pytest.raises(UsageError, match="holds 1 rows; 2 were imported"):
        renewed(tmp_path, tmp_path / "into")
    assert tree(run.folder) == before
    assert CliRunner().invoke(main, ["note", str(run.folder), "mine"]).exit_code == 0
    path.write_bytes(framed([header(), begin(), *(row(n, {"a": n}) for n in range(5))]))
    with pytest.raises(UsageError, match="notes, tags or pages"):
        renewed(tmp_path, tmp_path / "into")
    assert len(wk.load(run.folder).rows) == 2


def test_a_renewal_that_fails_keeps_the_old_import(tmp_path, monkeypatch):
    """A full disk in the middle: the earlier import is there, whole, and nothing else."""
    path = write_run(tmp_path, begin(), row(0, {"a": 1}))
    run = renewed(tmp_path, tmp_path / "into")
    before = tree(tmp_path / "into")
    path.write_bytes(framed([header(), begin(), row(0, {"a": 1}), row(1, {"a": 2}), end()]))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing.os, "fsync", refuse)
    with pytest.raises((OSError, StorageError), match="No space"):
        renewed(tmp_path, tmp_path / "into")
    monkeypatch.undo()
    assert tree(tmp_path / "into") == before and run.folder.is_dir()


def test_what_was_resumed_is_one_run(tmp_path):
    """Two segments of one id are two executions, in the order of their start, with all rows."""
    again = begin(started_s=STARTED + 100, resume=True)
    write_run(tmp_path, again, row(2, {"a": 3}), end(), name="a")
    write_run(tmp_path, begin(), row(0, {"a": 1}), row(1, {"a": 2}), end(1), name="b")
    loaded = wk.load(imported(tmp_path, tmp_path / "into").folder)
    assert [row.step for row in loaded.rows] == [0, 1, 2] and loaded.state == "finished"


def import_all(folder: Path) -> list[dict[str, object]]:
    """What `import` says of each run in a folder."""
    command = ["import", str(folder), "--into", str(folder / "into"), "--json"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    runs: list[dict[str, object]] = json.loads(result.stdout)["data"]["runs"]
    return runs


@pytest.mark.parametrize(
    ("last_s", "start_s", "resumes"),
    [(1, 100, False), (200, 100, True), (None, 0, False), (1, 0, False)],
    ids=["begun anew", "at once", "without times", "in one second"],
)
def test_two_runs_with_one_id_are_two_runs(tmp_path, last_s, start_s, resumes):
    """Rows of two runs are never mixed because their ids are the same; both are named as such, and
    importing again, also one by one, does nothing.
    """
    last = None if last_s is None else STARTED + last_s
    write_run(tmp_path, begin(), row(0, {"a": 1}, last), end(), name="1")
    other = begin(started_s=STARTED + start_s, resume=resumes)
    write_run(tmp_path, other, row(0, {"a": 2}), end(1), name="2")
    runs = import_all(tmp_path)
    assert [run["runs_with_id"] for run in runs] == [2, 2]
    loaded = [wk.load(Path(str(run["folder"]))) for run in runs]
    assert [[row.metrics["a"] for row in one.rows] for one in loaded] == [[1], [2]]
    assert [one.state for one in loaded] == ["finished", "failed"]
    before = tree(tmp_path / "into")
    assert not any(run["is_new"] for run in import_all(tmp_path))
    for name in ("2", "1"):
        source = tmp_path / "wandb" / f"offline-run-{name}"
        (segments,) = grouped(wandb_files(source))[0].values()
        assert not import_run(segments, tmp_path / "into").is_new
    assert tree(tmp_path / "into") == before
    result = CliRunner().invoke(main, ["import", str(tmp_path), "--into", str(tmp_path / "into")])
    assert result.output.count("one of 2 runs with this id") == 2


def test_media_stay_in_the_source_and_are_counted(tmp_path):
    """An image is no figure: the row keeps its figures, and the import says what it left."""
    image = {"_type": "image-file", "path": "media/a.png"}
    rows = [row(0, {"a": 1, "sample": image}), row(1, {"sample": image})]
    write_run(tmp_path, begin(), *rows, end())
    run = imported(tmp_path, tmp_path / "into")
    assert run.media == {"sample": 2}
    assert wk.load(run.folder).rows[0].metrics == {"a": 1}
    assert imported(tmp_path, tmp_path / "into").media == {"sample": 2}


def test_an_import_that_fails_leaves_nothing(tmp_path, monkeypatch):
    """A full disk in the middle leaves no folder that looks like a run."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), end())

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "read_segment", refuse)
    with pytest.raises(OSError, match="No space"):
        imported(tmp_path, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_folder_of_others_is_not_taken(tmp_path):
    """What stands in the run's place is left as it is, and named."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), end())
    place = tmp_path / "into" / "20260202-024000-abc"
    place.mkdir(parents=True)
    (place / "mine").write_text("x")
    with pytest.raises(UsageError, match="was not imported"):
        imported(tmp_path, tmp_path / "into")
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_one_bad_file_does_not_keep_the_others(tmp_path):
    """A folder with a foreign file, one without a run and a good run: the run is imported, the
    others are problems, and the command ends with 1.
    """
    write_run(tmp_path, begin(), row(0, {"a": 1}), end(), name="good")
    (tmp_path / "foreign.wandb").write_text("no W&B")
    (tmp_path / "nobody.wandb").write_bytes(framed([header()]))
    command = ["import", str(tmp_path), "--into", str(tmp_path / "into"), "--json"]
    result = CliRunner().invoke(main, command)
    answer = json.loads(result.stdout)
    assert result.exit_code == 1 and answer["counts"] == {"imported": 1, "there before": 0}
    names = {Path(one["where"]).name for one in answer["problems"]}
    assert names == {"foreign.wandb", "nobody.wandb"}


def test_links_and_hidden_folders_are_not_followed(tmp_path):
    """`latest-run` is a second name of a run, and a cache is no place of runs."""
    path = write_run(tmp_path, begin(), end())
    (tmp_path / "wandb" / "latest-run").symlink_to(path.parent)
    shutil.copytree(path.parent, tmp_path / ".cache" / "copy")
    assert wandb_files(tmp_path) == [path]
    assert wandb_files(path) == [path]


def test_a_folder_without_runs_says_what_to_give(tmp_path):
    """Nothing to import is an error that names the form of what is looked for."""
    with pytest.raises(UsageError, match="no run of W&B") as error:
        wandb_files(tmp_path)
    assert "offline-run-" in error.value.hint
    with pytest.raises(UsageError, match="does not exist"):
        wandb_files(tmp_path / "nowhere")


def test_rows_without_a_time_take_the_one_before(tmp_path):
    """A row that has no time of its own is never put before its run or into the present."""
    write_run(tmp_path, begin(), row(0, {"a": 1}), row(1, {"a": 2}, STARTED + 9), row(2, {"a": 3}))
    rows = wk.load(imported(tmp_path, tmp_path / "into").folder).rows
    assert [row.time.timestamp() - STARTED for row in rows] == [0, 9, 9]


@pytest.mark.parametrize("run_id", ["../../up", "a b", "", "x" * 300])
def test_no_id_leads_out_of_the_folder(tmp_path, run_id):
    """Whatever W&B's id is, the run's folder lies below the given one."""
    write_run(tmp_path, begin(run_id), row(0, {"a": 1}), end())
    run = imported(tmp_path, tmp_path / "into")
    assert run.folder.parent == tmp_path / "into" and run.folder.is_dir()
