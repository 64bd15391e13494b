"""`check` of a recorded run: removed, cut and edited rows, missing and shortened journals, runs
that died.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import threading

import msgspec
import pytest

import watchkeeper as wk
from watchkeeper.core.events import RowsSealed, RunEnded, SealedRows, decode, encode
from watchkeeper.core.journal import read
from watchkeeper.record.audit import audit, traces
from watchkeeper.record.writing import seals

JOURNAL = ".watchkeeper/journal"
METRICS = ".watchkeeper/metrics"


def recorded(folder, rows=20, *, table=False):
    """A finished run of so many rows."""
    with wk.start_run(folder=folder, pipeline="p", console=False, sidecar=False) as run:
        for step in range(1, rows + 1):
            run.log(step, loss=1 / step)
        if table:
            with run.table("t") as results:
                for number in range(3):
                    results.append({"n": number, "x": number / 2})
    return run


def killed(folder, rows=5):
    """A run whose process was killed after so many rows."""
    child = os.fork()
    if not child:
        run = wk.start_run(
            folder=folder, pipeline="p", console=False, sidecar=False, code_folder=folder
        )
        for step in range(1, rows + 1):
            run.log(step, loss=1 / step)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def found(folder):
    return audit(folder, read(folder / JOURNAL))


def errors(folder):
    """What is said of the run's files, where the journal itself lacks nothing."""
    report = found(folder)
    assert report.incomplete == []
    return [problem.message for problem in report.problems if problem.severity == "error"]


def only(folder, pattern="*"):
    (path,) = folder.glob(pattern)
    return path


def test_the_end_holds_count_and_hash_of_each_file_of_rows(tmp_path, events):
    """The end event names each file of rows with its rows, bytes and sha256."""
    run = recorded(tmp_path)
    path = only(tmp_path / METRICS)
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    data = path.read_bytes()
    name = f"{METRICS}/{path.name}"
    assert ended.files == (
        SealedRows(path=name, rows=20, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()),
    )
    assert run.writer == path.stem
    report = found(tmp_path)
    assert (errors(tmp_path), report.unverified) == ([], [])
    assert report.verified == ["1 files of rows by their hash", "1 manifests"]


def _remove(path):
    path.unlink()


def _cut(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[9:]))


def _edit(path):
    path.write_bytes(path.read_bytes().replace(b'"loss":0.5', b'"loss":0.1'))


def _tear(path):
    path.write_bytes(path.read_bytes()[:-5])


def _extend(path):
    path.write_bytes(path.read_bytes() + b'{"time":"2026-01-01T00:00:00Z","step":99,"loss":0}\n')


def _swap(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))


def _folder(path):
    path.unlink()
    path.mkdir()


def _dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


ROWS = {
    _remove: "it is gone; 20 rows were written to it",
    _cut: "it holds 13 of 20 rows",
    _edit: "its 20 rows are not those that were written: they were changed afterwards",
    _tear: "it holds 19 of 20 rows",
    _extend: "1 rows were added after the run's end",
    _swap: "its 20 rows are not those that were written: they were changed afterwards",
    _folder: "a folder has its place; 20 rows were written to it",
    _dangling: "a link that leads nowhere has its place; 20 rows were written to it",
    _pipe: "it cannot be read (not a regular file); 20 rows were written to it",
}


@pytest.mark.parametrize("damage", ROWS, ids=lambda damage: damage.__name__)
def test_rows_that_are_gone_or_changed_are_told(tmp_path, damage):
    """Whatever happens to the file of a finished run's rows, `check` says what, and how many rows
    are left.
    """
    recorded(tmp_path)
    damage(only(tmp_path / METRICS))
    assert errors(tmp_path) == [ROWS[damage]]


TABLES = {
    _remove: "it is gone; 3 rows were sealed in it",
    _tear: "it holds 2 rows, and 3 were sealed in it",
    _folder: "a folder has its place; 3 rows were sealed in it",
}


@pytest.mark.parametrize("damage", TABLES, ids=lambda damage: damage.__name__)
def test_tables_that_are_gone_or_changed_are_told(tmp_path, damage):
    """A sealed table is held against its seal, also where the run's folder was moved since."""
    recorded(tmp_path / "run", table=True)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    assert errors(moved) == []
    damage(moved / "t.csv")
    assert errors(moved) == [TABLES[damage]]


def test_an_edited_value_of_a_table_is_told(tmp_path):
    """A changed figure leaves the count as it was, and the hash not."""
    recorded(tmp_path, table=True)
    path = tmp_path / "t.csv"
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.7"))
    assert errors(tmp_path) == ["its 3 rows are not as they were sealed: it was changed afterwards"]


def test_a_link_to_the_same_bytes_is_a_warning(tmp_path):
    """Rows that were moved away behind a link are there; that the file itself is not is said."""
    recorded(tmp_path)
    path = only(tmp_path / METRICS)
    path.rename(tmp_path / "kept.jsonl")
    path.symlink_to(tmp_path / "kept.jsonl")
    assert errors(tmp_path) == []
    assert [p.message for p in found(tmp_path).problems if p.severity == "warning"] == [
        f"a symbolic link to {tmp_path / 'kept.jsonl'} has its place"
    ]


def test_an_unreadable_file_of_rows_is_told(tmp_path, monkeypatch):
    """Rows that may not be read are not taken for verified."""
    recorded(tmp_path)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("watchkeeper.record.audit.open_regular", refuse)
    assert errors(tmp_path) == ["it cannot be read (Permission denied); 20 rows were written to it"]


def test_a_fork_seals_its_own_rows(tmp_path, events):
    """A child that ends its run counts and hashes its own rows; rows that were cut are reported."""
    with wk.start_run(folder=tmp_path, pipeline="p", console=False, sidecar=False) as run:
        run.log(1, loss=1.0)
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                run.log(2, loss=2.0)
                run.log(3, loss=3.0)
                run.close()
            os._exit(0)
        os.waitpid(child, 0)
    (sealed,) = [event for event in events(tmp_path) if isinstance(event, RowsSealed)]
    assert [file.rows for file in sealed.files] == [2]
    assert errors(tmp_path) == []
    path = tmp_path / sealed.files[0].path
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert set(errors(tmp_path)) == {"it holds 1 of 2 rows"}


def test_rows_of_a_fork_that_never_ended_are_counted_by_the_run(tmp_path, events):
    """A worker that is ended by `os._exit` writes no end: the run's own end counts and hashes what
    it had written.
    """
    with wk.start_run(folder=tmp_path, pipeline="p", console=False, sidecar=False) as run:
        run.log(1, loss=1.0)
        child = os.fork()
        if not child:
            run.log(2, loss=2.0)
            os._exit(0)
        os.waitpid(child, 0)
    (ended,) = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert (ended.metric_rows, sorted(file.rows for file in ended.files)) == (1, [1, 1])
    report = found(tmp_path)
    assert (errors(tmp_path), report.unverified) == ([], [])
    other = next(path for path in (tmp_path / METRICS).iterdir() if path.stem != run.writer)
    other.unlink()
    assert errors(tmp_path) == ["it is gone; 1 rows were written to it"]


def test_rows_of_earlier_runs_are_not_hashed_again(tmp_path, events):
    """A second run in the folder counts its own files only."""
    recorded(tmp_path, rows=2)
    recorded(tmp_path, rows=3)
    ended = [event for event in events(tmp_path) if isinstance(event, RunEnded)]
    assert sorted([file.rows for file in event.files] for event in ended) == [[2], [3]]
    assert errors(tmp_path) == []


def test_a_run_that_died_is_unverified(tmp_path):
    """A killed run wrote no counts and no hashes: it is neither sound nor wrong, and what is there
    is said.
    """
    killed(tmp_path, rows=5)
    report = found(tmp_path)
    assert (errors(tmp_path), report.incomplete) == ([], [])
    (doubt,) = report.unverified
    assert "has no end: its process died. 2 events and 5 metric rows are there" in doubt.message


def test_a_run_that_goes_on_is_no_finding(tmp_path):
    """Of a run that is being recorded it is said that it goes on, and how far it is."""
    run = wk.start_run(folder=tmp_path, pipeline="p", console=False, sidecar=False)
    run.log(1, loss=1.0)
    report = found(tmp_path)
    assert (errors(tmp_path), report.unverified) == ([], [])
    assert [p.message.partition(":")[0] for p in report.problems] == [f"run {run.run_id} goes on"]
    run.close()


def test_a_run_of_an_older_version_is_checked_by_count(tmp_path):
    """A journal without hashes is held against the count of its end, and it is said that only the
    count was compared.
    """
    recorded(tmp_path)
    path = only(tmp_path / JOURNAL)
    lines = []
    for line in path.read_bytes().splitlines(keepends=True):
        event = decode(line)
        lines.append(
            encode(
                msgspec.structs.replace(event, files=()) if isinstance(event, RunEnded) else event
            )
        )
    path.write_bytes(b"".join(lines))
    assert errors(tmp_path) == []
    assert (
        "counted only: the version that wrote them kept no hashes"
        in found(tmp_path).problems[0].message
    )
    _cut(only(tmp_path / METRICS))
    assert errors(tmp_path) == ["it holds 13 rows, and the run's end says 20"]


def test_a_shortened_journal_is_told_by_what_the_run_left(tmp_path):
    """Cut before its end, a journal looks as that of a run that died; manifest and log say that
    this one ended.
    """
    run = recorded(tmp_path)
    path = only(tmp_path / JOURNAL)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    report = found(tmp_path)
    says = f"run_manifest.json says that run {run.run_id} ended, and the journal holds no end of it"
    assert [problem.message for problem in report.incomplete] == [says]
    (tmp_path / "run_manifest.json").unlink()
    says = f"run.log says that run {run.run_id} ended, and the journal holds no end of it"
    assert [problem.message for problem in found(tmp_path).incomplete] == [says]


def test_a_journal_cut_before_its_seal_is_unverified(tmp_path):
    """An ended run always leaves a seal; an end without one leaves open what else was cut."""
    recorded(tmp_path)
    path = only(tmp_path / JOURNAL)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (doubt,) = found(tmp_path).unverified
    assert "has its end, but no seal" in doubt.message


def test_one_missing_journal_of_two_runs_is_told(tmp_path):
    """Of two runs in one folder one's journal is gone: its rows and its manifest say so."""
    recorded(tmp_path, rows=2)
    second = recorded(tmp_path, rows=3)
    (tmp_path / JOURNAL / f"{second.writer}.jsonl").unlink()
    messages = sorted(problem.message for problem in found(tmp_path).incomplete)
    assert messages == [
        "no journal speaks of its 3 rows: it is missing",
        (
            f"run_manifest.json says that run {second.run_id} ended, and the journal holds "
            "nothing of it"
        ),
    ]


def test_rows_without_a_journal_beside_a_run_that_died_are_unverified(tmp_path):
    """A killed run may have had forks, which have no journal before they end: nothing is claimed of
    their rows.
    """
    killed(tmp_path)
    (tmp_path / METRICS / "20260101-000000-0000000000.jsonl").write_bytes(
        b'{"time":"2026-01-01T00:00:00Z","step":1}\n'
    )
    report = found(tmp_path)
    assert report.incomplete == []
    assert sorted("no journal speaks" in doubt.message for doubt in report.unverified) == [
        False,
        True,
    ]


def test_an_edited_manifest_is_told_and_one_of_the_programs_is_not(tmp_path):
    """A manifest of ours is a view, and has to be what the journal holds; the program's own is none
    of ours.
    """
    recorded(tmp_path / "a")
    path = tmp_path / "a/run_manifest.json"
    path.write_bytes(path.read_bytes().replace(b'"metric_rows": 20', b'"metric_rows": 21'))
    assert errors(tmp_path / "a") == ["what lies there is not what the journal holds"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b/run_manifest.json").write_text("{}")
    recorded(tmp_path / "b")
    assert errors(tmp_path / "b") == []


def test_what_only_a_recorded_run_leaves_is_named(tmp_path):
    """An empty folder has no traces of a run; rows, tables and a manifest of ours are some."""
    (tmp_path / "run_manifest.json").write_text('{"run_id": "mine"}')
    assert traces(tmp_path) == []
    recorded(tmp_path / "run")
    assert traces(tmp_path / "run") == [METRICS, "run_manifest.json"]


def test_a_file_that_hangs_costs_the_hash_and_not_the_end(tmp_path, monkeypatch):
    """A filesystem that does not answer is given up: the end has the count, and no hash."""
    hangs = threading.Event()

    def hang(path):
        hangs.wait(60)
        raise OSError

    monkeypatch.setattr(seals, "open_regular", hang)
    monkeypatch.setattr(seals, "STILL_S", 0.05)
    sealed = seals.seal(tmp_path, [(tmp_path / "a.jsonl", 3, 30)], [])
    hangs.set()
    assert sealed == (SealedRows(path="a.jsonl", rows=3, bytes=30),)


def test_rows_without_a_hash_are_checked_by_count(tmp_path, monkeypatch):
    """Where no hash could be taken, the count is compared, and it is said that no more was."""
    monkeypatch.setattr(seals._Work, "run_for", lambda self, most_s: None)
    recorded(tmp_path)
    assert errors(tmp_path) == []
    assert "were counted only: no hash could be taken" in found(tmp_path).problems[0].message
    _cut(only(tmp_path / METRICS))
    assert errors(tmp_path) == ["it holds 13 of 20 rows"]


def test_a_large_file_is_hashed_in_pieces(tmp_path, monkeypatch):
    """Pieces that end within a line change neither count nor hash, in our files and in others'."""
    monkeypatch.setattr(seals, "CHUNK", 7)
    data = b"".join(b'{"step":%d}\n' % number for number in range(50))
    (tmp_path / "own.jsonl").write_bytes(data)
    (tmp_path / "other.jsonl").write_bytes(data + b'{"step":')
    own = [(tmp_path / "own.jsonl", 50, len(data))]
    sha256 = hashlib.sha256(data).hexdigest()
    assert seals.seal(tmp_path, own, [tmp_path / "other.jsonl"]) == tuple(
        SealedRows(path=name, rows=50, bytes=len(data), sha256=sha256)
        for name in ("own.jsonl", "other.jsonl")
    )


def test_without_a_thread_the_hash_is_taken_all_the_same(tmp_path, monkeypatch):
    """An interpreter that ends starts no threads any more."""

    class None_:
        def __init__(self, **_):
            pass

        def start(self):
            raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(seals.threading, "Thread", None_)
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    (sealed,) = seals.seal(tmp_path, [(tmp_path / "a.jsonl", 1, 3)], [])
    assert sealed.sha256 == hashlib.sha256(b"{}\n").hexdigest()
