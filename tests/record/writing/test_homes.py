"""Ours and theirs: a file that Watchkeeper did not write is never overwritten, and ours lies beside
it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys

import pytest

import watchkeeper as wk
from watchkeeper.core.events import Renamed, RunEnded
from watchkeeper.record.writing.manifest import rebuild
from watchkeeper.runfolder.places import run_manifest_of

MINE = b'{"schema_version": "mine"}'


def start(folder, **options):
    return wk.start_run(folder=folder, pipeline="training", console=False, sidecar=False, **options)


def renamed(found):
    return {event.name: event.path for event in found if isinstance(event, Renamed)}


def obstacle(path, kind):
    """An object of the program's under this name, and a check that it is untouched."""
    path.parent.mkdir(parents=True, exist_ok=True)
    outside = path.parent.parent / f"outside-{path.name}"
    if kind == "file":
        path.write_bytes(MINE)
        return lambda: path.read_bytes() == MINE and not path.is_symlink()
    if kind == "folder":
        path.mkdir()
        return lambda: path.is_dir() and not any(path.iterdir())
    if kind == "link":
        outside.write_bytes(MINE)
        path.symlink_to(outside)
        return lambda: path.is_symlink() and outside.read_bytes() == MINE
    target = "/dev/null" if kind == "null" else path.parent / "nowhere"
    path.symlink_to(target)
    return lambda: path.is_symlink() and (kind == "null" or not path.exists())


FILES = {
    "logs/run.log": "logs/run.watchkeeper.log",
    "run_manifest.json": "run_manifest.watchkeeper.json",
    "00_ingest/step_manifest.json": "00_ingest/step_manifest.watchkeeper.json",
    "status/training_status.json": "status/training_status.watchkeeper.json",
    "t.csv": "t.watchkeeper.csv",
}


def record_everything(folder):
    """A run that leaves each file that a run can leave."""
    with start(folder) as run:
        run.cadence(log_every=1, total=1)
        run.log(1, loss=0.5)
        with run.step("00_ingest") as step:
            step.rows(read=2, kept=1)
        with run.table("t", key="n") as table:
            table.append({"n": 1})
    return run


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling", "null"])
@pytest.mark.parametrize("name", FILES)
def test_what_the_program_has_under_a_name_of_ours_stays(tmp_path, events, name, kind, caplog):
    """A file, a folder or a link of the program's is never replaced or written through; ours has
    the name beside it, the journal says which, one warning tells, and a second run in the folder
    goes there again.
    """
    folder = tmp_path / "run"
    untouched = obstacle(folder / name, kind)
    for turn in (1, 2):
        record_everything(folder)
        assert untouched()
        assert renamed(events(folder)) == {name: FILES[name]}
        assert (
            sum(
                f"{name} is kept in {FILES[name]}" in record.getMessage()
                for record in caplog.records
            )
            == 1
        ), turn
    assert (folder / FILES[name]).is_file()
    assert not list(folder.rglob("*.watchkeeper-2*"))
    if name == "t.csv":
        assert wk.read_table(folder / FILES[name])[0] == [{"n": 1}, {"n": 1}]
    if name == "logs/run.log":
        assert (folder / FILES[name]).read_text().count("Run finished") == 2


@pytest.mark.parametrize("name", FILES)
def test_our_own_files_are_replaced_as_before(tmp_path, events, name):
    """A second run in the same folder replaces what the first left there, under the same names."""
    for _ in (1, 2):
        record_everything(tmp_path)
    assert renamed(events(tmp_path)) == {}
    assert (tmp_path / name).is_file()
    assert not list(tmp_path.rglob("*.watchkeeper*.*"))


def test_a_manifest_that_the_program_writes_between_two_runs_stays(tmp_path, events):
    """What lies there is compared with what the journal says we wrote: the program's own, written
    after ours, stays.
    """
    record_everything(tmp_path)
    for name in (
        "run_manifest.json",
        "00_ingest/step_manifest.json",
        "status/training_status.json",
    ):
        (tmp_path / name).write_bytes(MINE)
    record_everything(tmp_path)
    for name in (
        "run_manifest.json",
        "00_ingest/step_manifest.json",
        "status/training_status.json",
    ):
        assert (tmp_path / name).read_bytes() == MINE
        assert json.loads((tmp_path / FILES[name]).read_text())["run_id"]
    assert renamed(events(tmp_path)).keys() == {
        "run_manifest.json", "00_ingest/step_manifest.json", "status/training_status.json",
    }  # fmt: skip


def test_a_manifest_that_somebody_edited_stays(tmp_path):
    """A manifest of ours with a changed figure is no longer what we wrote."""
    record_everything(tmp_path)
    path = tmp_path / "run_manifest.json"
    edited = path.read_bytes().replace(b'"metric_rows": 1', b'"metric_rows": 7')
    path.write_bytes(edited)
    record_everything(tmp_path)
    assert path.read_bytes() == edited
    assert json.loads((tmp_path / "run_manifest.watchkeeper.json").read_text())["metric_rows"] == 1


def test_a_manifest_of_an_older_version_is_ours(tmp_path, events):
    """What a version wrote that knew fewer fields is ours all the same: it says nothing that the
    journal does not say.
    """
    record_everything(tmp_path)
    path = tmp_path / "run_manifest.json"
    older = json.loads(path.read_text())
    del older["limited_calls"], older["timeouts"]
    path.write_text(json.dumps(older))
    record_everything(tmp_path)
    assert renamed(events(tmp_path)) == {}
    assert json.loads(path.read_text())["limited_calls"] == 0


def test_the_run_manifest_and_rebuild_follow_the_other_names(tmp_path):
    """The run's manifest names the step's manifest where it lies; deleted, both are made again
    there, and theirs stay.
    """
    (tmp_path / "00_ingest").mkdir()
    for name in ("run_manifest.json", "00_ingest/step_manifest.json"):
        (tmp_path / name).write_bytes(MINE)
    record_everything(tmp_path)
    ours = [
        tmp_path / FILES[name] for name in ("00_ingest/step_manifest.json", "run_manifest.json")
    ]
    told = json.loads(ours[1].read_text())
    assert [step["manifest"] for step in told["steps"]] == [FILES["00_ingest/step_manifest.json"]]
    assert run_manifest_of(tmp_path) == ours[1]
    before = [path.read_bytes() for path in ours]
    for path in ours:
        path.unlink()
    assert run_manifest_of(tmp_path) is None
    assert rebuild(tmp_path) == ours
    assert [path.read_bytes() for path in ours] == before
    assert (tmp_path / "run_manifest.json").read_bytes() == MINE


def test_rebuild_leaves_what_the_program_wrote_after_the_end(tmp_path):
    """A manifest that the program put in the place of ours when the run was over stays; ours is
    made beside it.
    """
    record_everything(tmp_path)
    (tmp_path / "run_manifest.json").write_bytes(MINE)
    assert tmp_path / "run_manifest.watchkeeper.json" in rebuild(tmp_path)
    assert (tmp_path / "run_manifest.json").read_bytes() == MINE


@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_log_that_the_program_begins_to_write_is_left_to_it(tmp_path, mode):
    """When the program opens `logs/run.log` in the middle of a run, its bytes stay, and ours goes
    on beside.
    """
    with start(tmp_path) as run:
        logging.getLogger("p").warning("before")
        own = logging.FileHandler(run.folder / "logs/run.log", mode=mode)
        own.emit(logging.makeLogRecord({"msg": "a line of the program's", "levelno": 20}))
        own.flush()
        logging.getLogger("p").warning("after")
        own.emit(logging.makeLogRecord({"msg": "and one more", "levelno": 20}))
        own.close()
    text = (tmp_path / "logs/run.log").read_text()
    assert (
        "a line of the program's\nand one more\n" in text
        and "after" not in text
        and "\0" not in text
    )
    ours = (tmp_path / "logs/run.watchkeeper.log").read_text()
    assert "after" in ours and ours.rstrip().endswith("Run finished")


def test_a_file_named_as_a_folder_of_ours_stays(tmp_path, events):
    """Where `logs` or `status` is a file of the program's, ours is a folder beside it."""
    for name in ("logs", "status"):
        (tmp_path / name).write_bytes(MINE)
    record_everything(tmp_path)
    assert [(tmp_path / name).read_bytes() for name in ("logs", "status")] == [MINE, MINE]
    assert "Run finished" in (tmp_path / "logs.watchkeeper/run.log").read_text()
    assert renamed(events(tmp_path)) == {
        "logs/run.log": "logs.watchkeeper/run.log",
        "status/training_status.json": "status.watchkeeper/training_status.json",
    }


def test_a_status_that_the_program_writes_meanwhile_stays(tmp_path):
    """A status file that the program replaces during the run is the program's from then on."""
    with start(tmp_path) as run:
        run.cadence(log_every=1)
        run.log(1, loss=0.5)
        (tmp_path / "status/training_status.json").write_bytes(MINE)
    assert (tmp_path / "status/training_status.json").read_bytes() == MINE
    assert (
        json.loads((tmp_path / "status/training_status.watchkeeper.json").read_text())["state"]
        == "finished"
    )


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_table_that_the_program_writes_meanwhile_stays(tmp_path, events, form):
    """The program writes `t.csv` while our table is open: at the end ours is `t.watchkeeper.csv`,
    with every row.
    """
    with start(tmp_path) as run, run.table("t", format=form) as table:
        table.append({"n": 1})
        (tmp_path / f"t.{form}").write_bytes(MINE)
        table.append({"n": 2})
    assert (tmp_path / f"t.{form}").read_bytes() == MINE
    assert wk.read_table(tmp_path / f"t.watchkeeper.{form}")[0] == [{"n": 1}, {"n": 2}]
    assert renamed(events(tmp_path)) == {f"t.{form}": f"t.watchkeeper.{form}"}
    assert not list(tmp_path.glob("*_partial*"))


def test_a_partial_table_of_the_programs_stays(tmp_path):
    """The partial table's name is no less the program's."""
    theirs = tmp_path / "t_partial.csv"
    theirs.write_bytes(b"n\n7\n")
    with start(tmp_path) as run, run.table("t", key="n") as table:
        assert 7 not in table
        table.append({"n": 1})
        assert (tmp_path / "t_partial.watchkeeper.csv").is_file()
    assert theirs.read_bytes() == b"n\n7\n"
    assert wk.read_table(tmp_path / "t.watchkeeper.csv")[0] == [{"n": 1}]


def test_a_sealed_table_that_somebody_edited_stays_and_its_rows_count(tmp_path):
    """A table that was edited after its seal is left as it is; with a key its rows are taken over
    into ours.
    """
    with start(tmp_path) as run, run.table("t", key="n") as table:
        table.append({"n": 1, "x": 2})
    edited = b"n,x\n1,3\n"
    (tmp_path / "t.csv").write_bytes(edited)
    with start(tmp_path) as run, run.table("t", key="n") as table:
        assert 1 in table
        table.append({"n": 2, "x": 4})
    assert (tmp_path / "t.csv").read_bytes() == edited
    assert wk.read_table(tmp_path / "t.watchkeeper.csv")[0] == [{"n": 1, "x": 3}, {"n": 2, "x": 4}]


def test_a_copied_partial_table_is_ours(tmp_path):
    """A copy of a killed run's folder, whose hard links are files of their own, continues the
    table.
    """
    child = os.fork()
    if not child:
        table = start(tmp_path / "run").table("t", key="n")
        table.append({"n": 1})
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    subprocess.run(
        ["cp", "-r", "--no-preserve=links", tmp_path / "run", tmp_path / "copy"], check=True
    )
    with start(tmp_path / "copy") as run, run.table("t", key="n") as table:
        assert 1 in table
    assert wk.read_table(tmp_path / "copy/t.csv")[0] == [{"n": 1}]


def test_a_command_leaves_the_output_files_of_others(tmp_path):
    """`exec` in a folder with a `logs/stdout.log` of somebody's writes beside it, and there again
    the next time.
    """
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/stdout.log").write_bytes(MINE)
    for _ in (1, 2):
        wk_exec = [
            sys.executable,
            "-m",
            "watchkeeper",
            "exec",
            "--folder",
            tmp_path,
            "--",
            "echo",
            "hello",
        ]
        subprocess.run(wk_exec, check=True, capture_output=True)
    assert (tmp_path / "logs/stdout.log").read_bytes() == MINE
    assert (tmp_path / "logs/stdout.watchkeeper.log").read_bytes() == b"hello\nhello\n"


def test_the_end_of_an_older_version_makes_its_manifest_ours(tmp_path, events):
    """A journal without a word on names, as older versions left it, still says that its run's
    manifest was ours.
    """
    run = record_everything(tmp_path)
    assert [event.status for event in events(tmp_path) if isinstance(event, RunEnded)] == [
        "finished"
    ]
    assert run_manifest_of(tmp_path) == run.folder / "run_manifest.json"
