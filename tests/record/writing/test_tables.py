"""Result tables: every acknowledged row is kept, whatever ends the work."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

import watchkeeper as wk
from watchkeeper.core.disk.files import TEMPORARY_PREFIX
from watchkeeper.core.events import TableSealed

CONFIGS = [
    {"model": model, "seq_length": length} for model in ("ar", "llada") for length in (8, 16)
]


def sealed(found):
    return sorted(
        (event for event in found if isinstance(event, TableSealed)), key=lambda event: event.time
    )


def names(folder):
    ours = {".watchkeeper", "logs", "run_manifest.json"}
    return sorted(path.name for path in folder.iterdir() if path.name not in ours)


def exit_code(pid):
    """The child's exit code; one that hangs is killed, and is -9."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        threading.Event().wait(0.01)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_finished_table_has_its_final_name_and_is_sealed(tmp_path, events):
    """While it runs a table is `<name>_partial.csv`; at the end it is `<name>.csv`, whose hash the
    journal knows.
    """
    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("raw_metrics") as table,
    ):
        for config in CONFIGS:
            assert table.append({**config, "latency_s": 0.5, "note": None})
            assert len(wk.read_table(tmp_path / "raw_metrics_partial.csv")[0]) == len(table)
    assert names(tmp_path) == ["raw_metrics.csv"]
    data = (tmp_path / "raw_metrics.csv").read_bytes()
    assert data.startswith(b"model,seq_length,latency_s,note\nar,8,0.5,\n")
    (event,) = sealed(events(tmp_path))
    assert (event.rows, event.bytes, event.complete, event.lost_rows, event.rows_before) == (
        4,
        len(data),
        True,
        0,
        0,
    )
    assert event.sha256 == hashlib.sha256(data).hexdigest()
    assert event.columns == ("model", "seq_length", "latency_s", "note")
    assert list((tmp_path / ".watchkeeper/tables").iterdir()) == []


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_new_columns_midway_are_kept(tmp_path, form):
    """A column that comes late is in the one header, and rows before it have None there."""
    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t", format=form) as table,
    ):
        table.append({"a": 1})
        table.append({"b": "x\ny", "a": None})
        table.append({"c": float("inf")})
    rows, problems = wk.read_table(tmp_path / f"t.{form}")
    assert problems == []
    every = [{name: row.get(name) for name in "abc"} for row in rows]
    assert every == [
        {"a": 1, "b": None, "c": None},
        {"a": None, "b": "x\ny", "c": None},
        {"a": None, "b": None, "c": float("inf")},
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_interrupted_table_is_incomplete_and_goes_on(tmp_path, events, form):
    """Work cut short leaves `<name>` marked incomplete; the next run takes its rows over and
    measures the rest once.
    """
    with (
        contextlib.suppress(KeyboardInterrupt),
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t", key=["model", "seq_length"], format=form) as table,
    ):
        for config in CONFIGS[:2]:
            table.append({**config, "run": 1})
        raise KeyboardInterrupt
    assert names(tmp_path) == [f"t.{form}"]
    measured = []
    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t", key=["model", "seq_length"], format=form) as table,
    ):
        for config in CONFIGS:
            if config not in table:
                measured.append(config)
                table.append({**config, "run": 2, "new": True})
    assert measured == CONFIGS[2:]
    rows, _ = wk.read_table(tmp_path / f"t.{form}")
    assert [row["run"] for row in rows] == [1, 1, 2, 2]
    assert [(e.rows, e.complete, e.rows_before) for e in sealed(events(tmp_path))] == [
        (2, False, 0),
        (4, True, 2),
    ]


def test_a_complete_table_stays_as_it_is(tmp_path):
    """When everything was measured the same command measures nothing, and the file's bytes stay."""
    seen = []
    for _ in range(2):
        with (
            wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
            run.table("t", key="n") as table,
        ):
            for n in range(3):
                if n not in table:
                    table.append({"n": n, "x": n / 3})
        seen.append((tmp_path / "t.csv").read_bytes())
    assert seen[0] == seen[1]
    assert names(tmp_path) == ["t.csv"]


def test_without_a_key_an_earlier_table_is_kept_beside(tmp_path, caplog):
    """Without a key nobody can tell what was measured: a new table begins, and no byte of the old
    one is lost.
    """
    before = None
    for turn in (1, 2):
        with wk.start_run(folder=tmp_path, pipeline="benchmark") as run, run.table("t") as table:
            table.append({"turn": turn})
        before = before or (tmp_path / "t.csv").read_bytes()
    assert wk.read_table(tmp_path / "t.csv")[0] == [{"turn": 2}]
    (kept,) = (tmp_path / ".watchkeeper/tables").iterdir()
    assert before == kept.read_bytes()
    assert "key=" in caplog.text


def test_a_table_left_open_is_sealed_as_incomplete_by_the_runs_end(tmp_path, events):
    """Whoever forgets the `with` loses nothing."""
    with wk.start_run(folder=tmp_path, pipeline="benchmark") as run:
        run.table("t").append({"a": 1})
    (event,) = sealed(events(tmp_path))
    assert (event.rows, event.complete) == (1, False)
    assert names(tmp_path) == ["t.csv"]


def test_two_runs_in_one_folder_lose_no_row(tmp_path):
    """A second run takes over while the first still writes: every row of both is in some file, none
    is torn.
    """
    with wk.start_run(folder=tmp_path, pipeline="one") as first, first.table("t", key="n") as one:
        one.append({"n": 1})
        with (
            wk.start_run(folder=tmp_path, pipeline="two") as second,
            second.table("t", key="n") as two,
        ):
            assert 1 in two
            two.append({"n": 2})
            one.append({"n": 3})
        two_sealed = (tmp_path / "t.csv").read_bytes()
        one.append({"n": 4, "late": True})
    files = [tmp_path / "t.csv", *(tmp_path / ".watchkeeper/tables").iterdir()]
    rows = []
    for path in files:
        found, problems = wk.read_table(path)
        assert problems == []
        rows += [row["n"] for row in found]
    assert {1, 2, 3, 4} == set(rows)
    assert two_sealed in [path.read_bytes() for path in files]


def killed_with_rows(folder, rows, name="t"):
    """A process that appended these rows and died."""
    child = os.fork()
    if not child:
        run = wk.start_run(folder=folder, pipeline="benchmark", console=False, sidecar=False)
        table = run.table(name, key="n")
        for row in rows:
            table.append(row)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_damage_in_an_earlier_table_costs_only_its_rows(tmp_path, caplog):
    """A damaged record is named, its file is kept, and the other rows are taken over."""
    killed_with_rows(tmp_path, [{"n": 1, "x": 2}])
    with (tmp_path / "t_partial.csv").open("ab") as file:
        file.write(b"broken\n3,4\n5,")
    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t", key="n") as table,
    ):
        assert [n for n in range(6) if n in table] == [1, 3]
    assert (tmp_path / "t.csv").read_bytes() == b"n,x\n1,2\n3,4\n"
    assert b"n,x\n1,2\nbroken\n3,4\n5," in [
        path.read_bytes() for path in (tmp_path / ".watchkeeper/tables").iterdir()
    ]
    assert "record 3: 1 cells where the header names 2" in caplog.text


@pytest.mark.parametrize("name", ["../../x", "", "a/b", "..", "n\nl", "x" * 300])
def test_no_name_leaves_the_folder(tmp_path, name, caplog):
    """A name that cannot be a file's is replaced by one that can, and said."""
    folder = tmp_path / "run"
    with wk.start_run(folder=folder, pipeline="benchmark") as run, run.table(name) as table:
        assert table.append({"a": 1})
    assert names(tmp_path) == ["run"]
    assert len(names(folder)) == 1
    assert "cannot name a file" in caplog.text


@pytest.mark.parametrize("row", [None, 3, "text", [1, 2], {}, object(), {1: 1, "1": 2}])
def test_no_row_raises(tmp_path, row):
    """Whatever is handed in, the loop goes on; two names spelled alike stay two columns."""
    with (
        wk.start_run(folder=tmp_path, pipeline="benchmark") as run,
        run.table("t", format="xml") as table,
    ):
        table.append(row)
        assert table.append({"a": 1})
        assert row not in table
    rows, problems = wk.read_table(tmp_path / "t.csv")
    assert problems == []
    assert rows[-1]["a"] == 1
    if isinstance(row, dict) and row:
        assert (rows[0]["1"], rows[0]["1_"]) == (1, 2)


def test_a_sealed_table_takes_no_row(tmp_path, caplog):
    """A row after the end is not taken, which is said and told by the return value."""
    with wk.start_run(folder=tmp_path, pipeline="benchmark") as run:
        with run.table("t") as table:
            table.append({"a": 1})
        assert table.append({"a": 2}) is False
    assert wk.read_table(tmp_path / "t.csv")[0] == [{"a": 1}]
    assert "the table is sealed" in caplog.text


def test_threads_and_an_interrupting_handler_share_a_table(tmp_path):
    """Rows of four threads, and of a signal handler that comes in the middle of an append, are all
    there, once.
    """
    with wk.start_run(folder=tmp_path, pipeline="benchmark") as run, run.table("t") as table:
        count = 0

        def handler(number, frame):
            nonlocal count
            count += 1
            table.append(
                {"who": "handler", "n": count, f"new{count}": 1}
                if count < 4
                else {"who": "handler", "n": count}
            )

        before = signal.signal(signal.SIGPROF, handler)
        try:
            signal.setitimer(signal.ITIMER_PROF, 0.002, 0.002)
            threads = [
                threading.Thread(
                    target=lambda who=who: [table.append({"who": who, "n": n}) for n in range(200)]
                )
                for who in ("a", "b", "c")
            ]
            for thread in threads:
                thread.start()
            for n in range(200):
                table.append({"who": "main", "n": n})
            for thread in threads:
                thread.join()
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
    rows, problems = wk.read_table(tmp_path / "t.csv")
    assert problems == []
    there = sorted((row["who"], row["n"]) for row in rows)
    expected = [(who, n) for who in ("a", "b", "c", "main") for n in range(200)]
    assert sorted([*expected, *(("handler", n) for n in range(1, count + 1))]) == there


def test_a_forked_child_does_not_touch_the_table(tmp_path, events):
    """A row of a forked child is refused there, and the child's end does not seal the parent's
    table.
    """
    with wk.start_run(folder=tmp_path, pipeline="benchmark") as run, run.table("t") as table:
        table.append({"a": 1})
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(BaseException):
                code = 3 if table.append({"a": 2}) else 0
                table.close()
            os._exit(code)
        assert exit_code(pid) == 0
        assert names(tmp_path) == ["t_partial.csv"]
        table.append({"a": 3})
    assert [row["a"] for row in wk.read_table(tmp_path / "t.csv")[0]] == [1, 3]
    assert len(sealed(events(tmp_path))) == 1


def test_a_full_disk_costs_no_row_that_fits_later(tmp_path, events, caplog):
    """Rows that the disk does not take wait, are said once, and are written in their order when
    there is room again.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with wk.start_run(folder=tmp_path, pipeline="benchmark") as run, run.table("t") as table:
            assert table.append({"n": 0, "text": "x" * 3000})
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
            assert not table.append({"n": 1, "text": "y" * 3000})
            assert not table.append({"n": 2, "text": "z", "new": "w" * 5000})
            assert [row["n"] for row in wk.read_table(tmp_path / "t_partial.csv")[0]] == [0]
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert table.append({"n": 3})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    rows, problems = wk.read_table(tmp_path / "t.csv")
    assert ([row["n"] for row in rows], problems) == ([0, 1, 2, 3], [])
    (event,) = sealed(events(tmp_path))
    assert event.lost_rows == 0
    assert sum("wait in memory" in record.message for record in caplog.records) == 1


def test_what_never_gets_to_disk_is_counted(tmp_path, events):
    """When no room comes, the end says how many rows are lost, and those before them are sealed."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with wk.start_run(folder=tmp_path, pipeline="benchmark") as run, run.table("t") as table:
            table.append({"n": 0})
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
            table.append({"n": 1, "text": "y" * 9000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    (event,) = sealed(events(tmp_path))
    assert (event.rows, event.lost_rows) == (1, 1)
    assert wk.read_table(tmp_path / "t.csv")[0] == [{"n": 0, "text": None}]


def test_a_folder_deleted_under_it_does_not_stop_the_work(tmp_path):
    """Who deletes the run's folder loses the table, not the training."""
    import shutil

    folder = tmp_path / "run"
    with wk.start_run(folder=folder, pipeline="benchmark") as run, run.table("t") as table:
        table.append({"n": 0})
        shutil.rmtree(folder)
        table.append({"n": 1})
        table.append({"n": 2, "new": 1})


# Each row is said once append() has returned, in one write of one line; every 7th brings a new
# column.
PROGRAM = """
import os, sys
import watchkeeper as wk

with (
    wk.start_run(folder=sys.argv[1], pipeline="crash") as run,
    run.table("t", key="n", format=sys.argv[2]) as table,
):
    for n in range(1_000_000):
        if n in table:
            continue
        row = {"n": n, "text": 'line\\n"' * (n % 23)}
        if n % 7 == 0:
            row[f"column{n % 70}"] = n
        if table.append(row):
            os.write(1, b"%d\\n" % n)
"""


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("number", range(17))
def test_every_acknowledged_row_outlives_sigkill(tmp_path, form, number):
    """SIGKILL at a random moment, three times on one folder: each acknowledged row is there, once,
    and the next goes on.
    """
    chance = random.Random(number)
    acknowledged = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, tmp_path, form], stdout=subprocess.PIPE, bufsize=0
        )
        try:
            assert process.stdout is not None
            heard = b""
            for _ in range(chance.randrange(1, 40)):
                heard += os.read(process.stdout.fileno(), chance.randrange(1, 64))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            rest, _ = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL
        acknowledged += [int(line) for line in (heard + rest).split(b"\n")[:-1]]
        rows, problems = wk.read_table(tmp_path / f"t_partial.{form}")
        # A death in the middle of a write, just behind a line's end inside quotes, cannot be told
        # from damage.
        assert not [
            problem for problem in problems if "a quote is never closed" not in problem.message
        ]
        there = [row["n"] for row in rows]
        assert set() == set(acknowledged) - set(there)
        assert list(range(len(there))) == there
        assert all(row["text"] == 'line\n"' * (row["n"] % 23) for row in rows)
    assert len(acknowledged) == len(set(acknowledged)) > 0
    assert not [
        name for name in names(tmp_path) if not name.startswith((TEMPORARY_PREFIX, "t_partial"))
    ]
