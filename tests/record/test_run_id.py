"""The program's own run id: in each line, folder and event, or refused with a word."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchkeeper as wk
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import RunStarted
from watchkeeper.record import ranks
from watchkeeper.record.options import run_id_from


@pytest.mark.parametrize("at", ["root", "folder"])
def test_the_programs_own_id_stands_in_each_line_folder_and_event(tmp_path, events, at):
    """`run_id=` names the run everywhere; below a root it names the folder as well."""
    place = {"root": tmp_path} if at == "root" else {"folder": tmp_path / "2026_abc"}
    with (
        wk.start_run(**place, pipeline="training", run_id="2026_abc") as run,
        run.step("00_ingest"),
    ):
        logging.getLogger("prepare").info("a line of the program's")
    assert (run.run_id, run.folder) == ("2026_abc", tmp_path / "2026_abc")
    lines = (run.folder / "logs/run.log").read_text().splitlines()
    assert len(lines) > 3 and all("[training 2026_abc " in line for line in lines)
    assert [event.run_id for event in events(run.folder) if isinstance(event, RunStarted)] == [
        "2026_abc"
    ]
    assert '"run_id": "2026_abc"' in (run.folder / "run_manifest.json").read_text()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a/b",
        "..",
        ".hidden",
        "-x",
        "a b",
        "a\nb",
        "a[1]",
        "a%b",
        "x" * 129,
        "é" * 65,
        1.5,
        True,
        b"a",
    ],
)
def test_an_id_that_cannot_be_used_is_refused(tmp_path, given):
    """What could leave the root, break a log line or no folder can be called is an error that says
    why; nothing is made.
    """
    with pytest.raises(UsageError, match="cannot be used: it"):
        wk.start_run(tmp_path, pipeline="training", run_id=given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [(42, "42"), ("2026-11-27T12:00:00+00:00", None), ("läuft_1", None), ("x" * 128, None)],
)
def test_ids_of_many_kinds_are_taken(tmp_path, given, shown):
    """A number is taken as text; times, letters of any script and long names are fine."""
    with wk.start_run(tmp_path, pipeline="training", run_id=given, console=False) as run:
        pass
    assert (tmp_path / (shown or given) / "run_manifest.json").is_file()
    assert run.run_id == (shown or given)


@given(st.text(max_size=200))
def test_an_accepted_id_is_one_folder_and_one_word(given):
    """Whatever is accepted names one folder below the root, and splits no log line."""
    with contextlib.suppress(UsageError):
        taken = run_id_from(given)
        assert (
            taken == given
            and taken.split() == [taken]
            and Path(taken).name == taken
            and taken not in (".", "..")
        )


def test_the_same_id_after_the_end_is_another_run_in_the_folder(tmp_path, events):
    """A program that starts again under its id adds to the same folder and replaces nothing."""
    for step in (1, 2):
        with wk.start_run(tmp_path, pipeline="training", run_id="again", console=False) as run:
            run.log(step, loss=1.0)
    assert sorted(row.step for row in wk.read_rows(tmp_path / "again")[0]) == [1, 2]
    assert (tmp_path / "again/logs/run.log").read_text().count("Run finished") == 2


def test_an_id_in_use_in_this_process_is_refused(tmp_path):
    """Two runs of one id in one process would mix their lines."""
    with wk.start_run(tmp_path, pipeline="training", run_id="a", console=False):
        for place in ({"root": tmp_path}, {"folder": tmp_path / "b"}):
            with pytest.raises(UsageError, match="is open in this process"):
                wk.start_run(**place, pipeline="training", run_id="a")
    wk.start_run(tmp_path, pipeline="training", run_id="a", console=False).close()


def test_an_id_in_use_by_another_process_is_refused(tmp_path):
    """The error names the process; with `folder=` the second program may still record there."""
    start = f"wk.start_run({str(tmp_path)!r}, pipeline='p', run_id='a', console=False)"
    code = f"import watchkeeper as wk\n{start}\nprint('up', flush=True)\ninput()"
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"up\n"
        with pytest.raises(UsageError, match=f"process {other.pid} records into"):
            wk.start_run(tmp_path, pipeline="training", run_id="a")
        wk.start_run(folder=tmp_path / "a", pipeline="training", run_id="a", console=False).close()
    finally:
        other.kill()
        other.wait()
    wk.start_run(tmp_path, pipeline="training", run_id="a", console=False).close()


def test_ranks_that_give_different_ids_record_as_one_run(tmp_path, monkeypatch, caplog):
    """Of ranks whose ids differ the first one's counts for all, and the others say so."""
    monkeypatch.setattr(ranks, "_asked", ranks.Counter())
    ids = []
    for number in (0, 1):
        ranks._asked.clear()
        monkeypatch.setattr(
            ranks, "find", lambda number=number: ranks.Rank(number, 2, 2, 1, "group")
        )
        with wk.start_run(
            tmp_path, pipeline="training", run_id=f"id-{number}", sidecar=False
        ) as run:
            ids.append(run.run_id)
    assert ids == ["id-0", "id-0"]
    assert "the run_id id-1 of this one is not used" in caplog.text


def test_reuse_takes_the_newest_run_whatever_its_name(tmp_path):
    """Ids of the program need not sort by time: of two finished steps the later one's outputs
    count.
    """
    for day, (name, words) in enumerate((("z", "old"), ("a", "new")), 1):
        began = datetime(2026, 11, day, tzinfo=UTC)
        run = wk.start_run(
            tmp_path, pipeline="p", run_id=name, console=False, clock=lambda began=began: began
        )
        with run, run.step("s", inputs=[1]) as step:
            step.save("out.txt", lambda path, words=words: path.write_text(words))
    with (
        wk.start_run(tmp_path, pipeline="p", reuse=True, console=False) as run,
        run.step("s", inputs=[1]) as step,
    ):
        assert step.outputs["out.txt"].read_text() == "new"
