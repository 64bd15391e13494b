"""`watchkeeper lint` as a person meets it: where it looks, what it prints, what it writes, and what
it leaves.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.runlogs import CORPUS
from watchkeeper.core.disk import files
from watchkeeper.show.cli import main
from watchkeeper.watch.logs import run_log_folder

TRAIN = "demo_arm/2026-03-11_train_front_cam.md"


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the clean run logs in a repository, which is the working directory."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CORPUS / "clean" / "run_logs", tmp_path / "run_logs")
    return tmp_path / "run_logs"


def lint(*words: object) -> Result:
    """Run the command in this process; any traceback is a failure."""
    result = CliRunner().invoke(main, ["lint", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def spoil(path: Path, old: str, new: str) -> None:
    """Change a text of a log."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_clean_logs_are_said_to_be_clean(logs: Path) -> None:
    """Without a finding the exit code is 0, and the number of files that were read is named."""
    result = lint()
    assert result.exit_code == 0 and result.output == "Nothing open in 5 files.\n"


def test_the_place_may_be_a_log_a_group_the_folder_or_one_above_or_beside(logs: Path) -> None:
    """From a log, a group, run_logs/, the repository, a folder above it or beside it, the same logs
    are found.
    """
    spoil(logs / TRAIN, "run_type: experiment", "run_type: try")
    spoil(logs / "demo_arm" / "timeline.md", "Tuesday", "Monday")
    (logs.parent / "slurm").mkdir()
    both = (".", "run_logs", "run_logs/demo_arm", logs.parent, logs.parent.parent, "slurm")
    assert {(r.exit_code, "WK204" in r.output, "WK402" in r.output) for r in map(lint, both)} == {
        (1, True, True)
    }
    one = lint(f"run_logs/{TRAIN}")
    assert (
        one.output.startswith(f"run_logs/{TRAIN}:4: WK204 unknown run_type 'try' (")
        and "WK402" not in one.output
    )
    os.chdir("slurm")
    assert "../run_logs/demo_arm/timeline.md:2: WK402" in lint().output
    os.chdir(logs / "demo_arm")
    assert lint().exit_code == 1 and lint("timeline.md").output.startswith("timeline.md:2: WK402")


def test_a_folder_of_dated_logs_needs_no_other_name(logs: Path) -> None:
    """A folder that holds dated logs is read whatever its name."""
    logs.rename(logs.parent / "logbook")
    lines = lint("logbook/demo_arm").output.splitlines()
    assert len(lines) == 2 and "WK911 no experiments.md" in lines[0]
    assert lint("logbook/demo_arm/2026-03-15_eval.md").exit_code == 0


@pytest.mark.parametrize("place", [".", "gone", "gone.md", "script.sh"])
def test_where_there_are_no_run_logs_it_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A folder without run logs, a missing path and another file are bad input: exit code 2, and
    what a run log is.
    """
    (tmp_path / ".git").mkdir()
    (tmp_path / "script.sh").touch()
    monkeypatch.chdir(tmp_path)
    result = lint(place)
    assert result.exit_code == 2 and "run_logs/[group/]<date>_<task>.md" in result.output


def test_json_has_the_same_findings(logs: Path) -> None:
    """--json is one document with each finding's code, place and whether it can be fixed, also for
    odd names.
    """
    spoil(logs / "demo_arm" / "timeline.md", "Tuesday", "Monday")
    Path(os.fsdecode(os.fsencode(logs) + b"/2026-01-01_\xff\x1b.md")).write_bytes(
        b"# \xff\n## Job (\xff)\n- id:\n"
    )
    found = json.loads(lint("--json").output)
    weekday = next(one for one in found["findings"] if one["code"] == "WK402")
    assert (
        weekday["path"] == "run_logs/demo_arm/timeline.md"
        and weekday["line"] == 2
        and weekday["fixable"]
    )
    assert found["data"]["files"] == 6 and "WK102" in {one["code"] for one in found["findings"]}
    assert "\x1b" not in lint().output


def test_a_fix_is_told_and_leaves_every_other_byte(logs: Path) -> None:
    """--fix splices what is safe, keeps the mode, CRLF and a missing last newline, says what it
    did, and does it once.
    """
    timeline = logs / "demo_arm" / "timeline.md"
    good = timeline.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n") + b"  "
    timeline.write_bytes(good.replace(b"Tuesday", b"Monday").replace(b"3. ", b"7. "))
    timeline.chmod(0o664)
    before = {p: p.read_bytes() for p in logs.rglob("*.md") if p != timeline}
    result = lint("--fix")
    assert result.exit_code == 0 and result.output.splitlines() == [
        "fixed: run_logs/demo_arm/timeline.md:2: WK402 2026-03-10 is a Tuesday, not a Monday",
        "fixed: run_logs/demo_arm/timeline.md:4: WK905 entry 3 is numbered 7",
        "Nothing open in 5 files.",
    ]
    assert timeline.read_bytes() == good and stat.S_IMODE(timeline.stat().st_mode) == 0o664
    assert {p: p.read_bytes() for p in before} == before
    assert lint("--fix").output == "Nothing open in 5 files.\n"


def test_a_fix_of_one_log_touches_no_other(logs: Path) -> None:
    """--fix with a log as its path leaves the faults beside it."""
    spoil(logs / "demo_arm" / "timeline.md", "Tuesday", "Monday")
    spoil(logs / TRAIN, "Thursday, Mar 12th", "Thursday, Mar 12nd")
    assert lint(logs / TRAIN, "--fix").exit_code == 0
    assert (
        "Monday" in (logs / "demo_arm" / "timeline.md").read_text()
        and "12th" in (logs / TRAIN).read_text()
    )


def test_a_log_that_was_edited_meanwhile_is_left_to_its_editor(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody wrote between reading and writing is never overwritten; the finding stays open,
    and that is said.
    """
    timeline = logs / "demo_arm" / "timeline.md"
    spoil(timeline, "Tuesday", "Monday")
    real = files._write_whole

    def slow(path: Path, data: bytes, mode: int, durable: bool) -> None:
        real(path, data, mode, durable)
        with timeline.open("a") as file:
            file.write("a person's words\n")

    monkeypatch.setattr(files, "_write_whole", slow)
    result = lint("--fix")
    assert (
        result.exit_code == 1
        and "it has changed since it was read" in result.output
        and "WK402" in result.output
    )
    assert timeline.read_text().endswith("a person's words\n") and "Monday" in timeline.read_text()
    assert not [p for p in logs.rglob("*") if p.name.startswith(files.TEMPORARY_PREFIX)]


def test_a_read_only_log_stays_as_it_is(logs: Path) -> None:
    """A file without write permission is not replaced, though its folder would allow it."""
    timeline = logs / "demo_arm" / "timeline.md"
    spoil(timeline, "Tuesday", "Monday")
    timeline.chmod(0o444)
    result = lint("--fix")
    assert result.exit_code == 1 and "not fixed: run_logs/demo_arm/timeline.md" in result.output
    assert "read-only" in result.output and "Monday" in timeline.read_text()


def test_a_log_behind_a_link_is_fixed_where_it_lies(logs: Path) -> None:
    """A symbolic link to a log stays a link, and the file that it names is fixed."""
    real = logs.parent / "kept_elsewhere.md"
    shutil.move(logs / TRAIN, real)
    (logs / TRAIN).symlink_to(real)
    spoil(real, "Thursday, Mar 12th", "Thursday, Mar 12nd")
    assert lint("--fix").exit_code == 0
    assert (logs / TRAIN).is_symlink() and "12th" in real.read_text()


def test_strange_things_with_a_logs_name_are_findings(logs: Path) -> None:
    """A folder, a pipe, link loops, a binary and 50 MB get a line each, at once, no traceback."""
    (logs / "2026-01-01_folder.md").mkdir()
    os.mkfifo(logs / "2026-01-02_pipe.md")
    (logs / "2026-01-03_loop.md").symlink_to("2026-01-03_loop.md")
    (logs / "around").symlink_to(".")
    (logs / "2026-01-04_binary.md").write_bytes(b"\x7fELF\n\0")
    with (logs / "2026-01-05_huge.md").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    began = time.monotonic()
    result = lint()
    codes = [line.split()[1] for line in result.output.splitlines()[:-1]]
    assert result.exit_code == 1 and codes == ["WK104", "WK104", "WK105", "WK102", "WK103"]
    assert time.monotonic() - began < 30
    pipe = lint("run_logs/2026-01-02_pipe.md")
    assert pipe.exit_code == 1 and "WK104" in pipe.output


def test_text_of_a_log_does_not_reach_the_terminal_raw(logs: Path) -> None:
    """Escape sequences in a value that is quoted are shown, not obeyed."""
    spoil(logs / TRAIN, "run_type: experiment", "run_type: \x1b[2Jtry")
    assert "\\x1b[2Jtry" in lint().output


def test_two_folders_of_run_logs_are_both_read(logs: Path) -> None:
    """Where several run_logs/ are equally near below a folder, all are read; a nearer one hides
    those further down.
    """
    for name in ("one", "two"):
        shutil.copytree(logs, logs.parent / name / "run_logs")
    shutil.rmtree(logs)
    assert lint().output == "Nothing open in 10 files.\n"
    shutil.copytree(logs.parent / "one" / "run_logs", logs)
    assert [str(root) for root in run_log_folder.roots(Path())] == ["run_logs"]
