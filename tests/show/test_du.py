"""`du`: what people and programs read of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from watchkeeper.query.disk.rows import Disk, DiskRow
from watchkeeper.query.usage.hours import GpuHours
from watchkeeper.show.cli import main
from watchkeeper.show.envelope import MOST_BYTES
from watchkeeper.show.listing.disk import disk_words
from watchkeeper.show.text import width


def disk(count: int = 3, **words: object) -> Disk:
    """A few rows with long paths and words."""
    row = DiskRow(
        kind="checkpoint",
        path="/work/a very long name of a folder that does not fit/checkpoints/step_000100",
        bytes=2**30,
        files=12,
        needed=False,
        why="nothing that was read resumes from it, evaluates it or signs for it",
    )
    fields = {
        "bytes": 2**31,
        "files": 24,
        "unneeded_bytes": 2**30,
        "rows": [row] * count,
        "gpu_hours": [GpuHours(user="ann", done=12.25, failed=0.01)],
        "problems": [],
    }
    return Disk(**fields | words)  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [40, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    """Reasons are cut before paths, and of a path its beginning."""
    text = disk_words(disk(), columns, "/home")
    assert max(map(width, text.split("\n"))) <= columns
    assert "000100" in text


def test_figures_are_shown_in_their_units() -> None:
    """Sizes, what nothing needs of the total, hours by their cause, and how much is left out."""
    text = disk_words(disk(42), 200, "/work")
    assert text.startswith("2.00 GiB in 24 files; nothing needs 1.00 GiB of it")
    assert "not needed: nothing that was read" in text
    assert "and 2 more: --json --limit 0" in text
    assert "12.2" in text
    assert "<0.1" in text
    assert "under way" not in text  # a column without a figure
    known = disk(0, unneeded_bytes=0, files=1, gpu_hours=[])
    assert disk_words(known, 80, "/") == "2.00 GiB in 1 file"


def test_a_reason_says_whether_it_is_known() -> None:
    """Needed, not needed and not known are three answers."""
    row = disk().rows[0]
    for needed, word in ((True, "needed: x"), (False, "not needed: x"), (None, "not known: x")):
        one = DiskRow(kind=row.kind, path="/a", bytes=1, files=1, needed=needed, why="x")
        assert f"  {word}" in disk_words(_with(one), 80, "/")


def _with(row: DiskRow) -> Disk:
    return disk(rows=[row])  # type: ignore[arg-type]


def test_hostile_names_reach_no_terminal() -> None:
    """A folder's name is a job's own text."""
    row = DiskRow(kind="run", path="/a/\x1b[31mred\n", bytes=1, files=1)
    assert "\x1b" not in disk_words(_with(row), 80, "/")


def test_programs_get_pages_of_at_most_8_kb(tmp_path: Path) -> None:
    """Forty runs: the answer is a page, and the cursor has the rest, each row once."""
    for number in range(40):
        folder = tmp_path / f"run{number:02}"
        with wk.start_run(folder=folder, pipeline="t", sidecar=False, console=False):
            pass
    runner = CliRunner()
    words = ["du", str(tmp_path), "--json"]
    paths: list[str] = []
    while words:
        result = runner.invoke(main, words)
        assert result.exit_code == 0, result.output
        assert len(result.stdout.encode()) <= MOST_BYTES + 1
        answer = json.loads(result.stdout)
        paths += [row["path"] for row in answer["data"]["rows"]]
        words = list((answer["more"].get("rows") or {"next": []})["next"] or [])[1:]
    assert len(paths) == len(set(paths)) == 40
    quiet = runner.invoke(main, ["du", str(tmp_path), "-q"])
    assert len(quiet.stdout.splitlines()) == 1


def test_it_removes_nothing(tmp_path: Path) -> None:
    """What lies there before lies there afterwards, to the byte and the time."""
    with wk.start_run(folder=tmp_path / "run", pipeline="t", sidecar=False, console=False):
        pass
    before = {path: path.lstat() for path in sorted(tmp_path.rglob("*"))}
    assert CliRunner().invoke(main, ["du", str(tmp_path)]).exit_code == 0
    after = {path: path.lstat() for path in sorted(tmp_path.rglob("*"))}
    assert [(s.st_size, s.st_mtime_ns, s.st_ino) for s in before.values()] == [
        (s.st_size, s.st_mtime_ns, s.st_ino) for s in after.values()
    ]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Bad input: what was typed, and what to do."""
    result = CliRunner().invoke(main, ["du", str(tmp_path / "gone")])
    assert result.exit_code == 2
    assert "there is no" in result.stderr
