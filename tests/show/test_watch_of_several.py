"""`watchkeeper watch` of several experiments, as a person or a program types it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from tests.experiments import blocks_of, command, env, state_of, write_experiment
from watchkeeper.core import layout, processes
from watchkeeper.show.cli import main
from watchkeeper.show.schemas import schemas
from watchkeeper.watch.keeper import Keeper
from watchkeeper.watch.logs.lease import Lease

FAST = ("--poll", "0.05")
WAITS = "while [ ! -e ../../go ]; do sleep 0.02; done"


def ran(*words: object) -> Result:
    """A command in this process."""
    return CliRunner().invoke(main, list(map(str, words)))


def answer_of(*words: object) -> dict:
    """Its answer, as the schema has it."""
    told = json.loads(ran(*words, "--json").stdout)
    jsonschema.validate(told, schemas()[told["command"]])
    return told


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three experiments whose jobs were submitted on this machine; a run of the second fails."""
    monkeypatch.setenv("WATCHKEEPER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    made = []
    for name, body in (("a", ""), ("b", "exit 3"), ("c", "")):
        write_experiment(tmp_path / name, body=body)
        assert answer_of("submit", name)["exit_code"] == 0
        made.append(Path(name))
    return made


def test_each_has_an_entry_and_the_exit_code_is_the_worst(folders: list[Path]) -> None:
    """One answer with what each watch would end with alone; a problem names its experiment; each
    has logs of its own. For a person the same is one line for each.
    """
    told = answer_of("watch", *folders, "a/", *FAST)
    entries = told["data"]["experiments"]
    assert [entry["experiment"] for entry in entries] == ["a", "b", "c"]
    assert [entry["exit_code"] for entry in entries] == [0, 1, 0]
    assert all(entry["ended"] and not entry["why"] and not entry["error"] for entry in entries)
    assert told["exit_code"] == 1 and told["counts"]["failed"] == 1
    assert told["summary"].startswith("3 of 3 experiments have ended: 2 done")
    failed = next(one for one in told["problems"] if one["code"] == "run-failed")
    assert failed["where"] == "b: one" and failed["next"][2].endswith("/b")
    for folder in folders:
        blocks = blocks_of(folder.absolute(), "run-training.log")
        assert [block.action for block in blocks][-1] == "ALL_COMPLETE"
    shown = ran("watch", *folders)
    assert shown.exit_code == 1
    assert ["b", "ended", "1", "failed,", "1", "blocked"] in map(
        str.split, shown.stdout.split("\n")
    )
    assert "error: b: one: FAILED" in shown.stdout
    assert ran("watch", *folders, "-q").stdout == "2 done, 2 to do, 1 failed, 1 blocked\n"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("a", "nowhere"), "nowhere: there is no folder"),
        (("a", "empty"), "empty: no experiment there"),
        (("other", "a", "--runs", "one"), "other: --runs 'one' matches none of: two"),
        (("a", "c", "--cluster", "mars"), "a: no cluster is called 'mars'"),
        (("a", "bad"), "bad/watchkeeper.toml"),
        (("a", "c", "--expect", "high"), "a: "),
    ],
)
def test_what_cannot_be_watched_is_named_before_anything_begins(
    folders: list[Path], words: tuple[str, ...], named: str
) -> None:
    """A path that is no experiment, and whatever else is wrong with one of them, is an error: none
    is watched, and no journal has grown.
    """
    Path("empty").mkdir()
    write_experiment(Path("other").absolute(), runs=("two",))
    write_experiment(Path("bad").absolute())
    Path("bad/.git").mkdir()
    Path("bad/watchkeeper.toml").write_text("poll_s = 'often'\n")
    before = sorted(Path("a/.watchkeeper").rglob("*"))
    told = answer_of("watch", *words)
    assert told["exit_code"] == 2 and told["data"] is None
    assert named in told["problems"][0]["message"]
    assert sorted(Path("a/.watchkeeper").rglob("*")) == before


def test_ctrl_c_detaches_from_all(tmp_path: Path) -> None:
    """SIGINT leaves the jobs of every experiment running: exit code 3, each entry says why, and the
    command that continues is named.
    """
    state = tmp_path / "state"
    folders = [write_experiment(tmp_path / name, body=WAITS) for name in ("a", "b")]
    for folder in folders:
        subprocess.run(command("submit", folder, "-q"), env=env(state), check=True)
    process = subprocess.Popen(
        command("watch", "a", "b", *FAST),
        cwd=tmp_path,
        env=env(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        running = 0
        for line in process.stderr:
            running += "→ RUNNING" in line
            if running == 2:
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
    finally:
        process.kill()
        (tmp_path / "go").touch()
    assert process.returncode == 3
    assert "Detached (SIGINT)" in out and "`watchkeeper watch a b` continues the watch" in out
    assert [len(state_of(folder).active) for folder in folders] == [1, 1]
    done = subprocess.run(
        command("watch", *folders, *FAST, "-q"), env=env(state), capture_output=True, check=False
    )
    assert done.returncode == 0


def test_one_that_is_watched_already_is_named(folders: list[Path]) -> None:
    """What another process leads is named in a note and in its entry, and its lease stays."""
    answer_of("watch", *folders, *FAST)
    lease = Lease(Path("a").absolute() / layout.LEASE, "w", time.monotonic)
    assert lease.take()
    told = answer_of("watch", *folders, *FAST)
    leaders = [entry["led_by"] for entry in told["data"]["experiments"]]
    assert leaders == [f"process {os.getpid()} on {processes.host()}", "", ""]
    (note,) = [one for one in told["problems"] if one["code"] == "watched-elsewhere"]
    assert note["where"] == "a" and note["message"].startswith(leaders[0])
    assert lease.held


def test_one_that_fails_by_an_error_is_an_entry(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An experiment that can be watched no more says why; the others end as they would, and an
    error of the program is shown with its trace.
    """
    turn = Keeper.turn

    def turns(keeper: Keeper) -> str:
        name = keeper.experiment.name
        if name == "a":
            raise PermissionError(13, "Permission denied", "a/.watchkeeper")
        if name == "b":
            raise KeyError("a bug")
        return turn(keeper)

    monkeypatch.setattr(Keeper, "turn", turns)
    done = ran("watch", *folders, *FAST, "--json")
    told = json.loads(done.stdout)
    entries = told["data"]["experiments"]
    assert [entry["exit_code"] for entry in entries] == [1, 1, 0]
    assert [entry["ended"] for entry in entries] == [False, False, True]
    assert "Permission denied" in entries[0]["error"] and "a bug" in entries[1]["error"]
    assert {"permission-denied", "bug"} <= {one["code"] for one in told["problems"]}
    assert "KeyError: 'a bug'" in done.stderr
    shown = ran("watch", *folders, *FAST)
    assert ["a", "failed"] in [line.split()[:2] for line in shown.stdout.splitlines()]
    assert shown.exit_code == 1


def test_a_terminal_gets_a_line_for_each_experiment(folders: list[Path]) -> None:
    """On a terminal the lines are renewed in place and gone at the end."""
    ours, theirs = pty.openpty()
    more = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        command("watch", *folders, *FAST),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=env(Path("state").absolute()) | more,
    )
    os.close(theirs)
    text = b""
    try:
        while True:
            text += os.read(ours, 65536)
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait() == 1
    shown = text.decode("utf-8", "replace")
    assert "experiment  now" in shown and "STATE_CHANGE" not in shown
    assert shown.endswith("\x1b[J")
