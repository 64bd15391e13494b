"""`watchkeeper exec`: any command as a recorded run, which changes nothing of what the command
does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.events import RunEnded, RunStarted
from watchkeeper.core.journal import read
from watchkeeper.core.processes import start_ticks

WK = Path(sys.executable).with_name("watchkeeper")


def execute(folder, *words, **more):
    return subprocess.run(
        [WK, "exec", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **more,
    )


def events(folder, kind):
    journal = read(folder / ".watchkeeper/journal")
    assert journal.problems == []
    return [event for own in journal.events.values() for event in own if isinstance(event, kind)]


@contextlib.contextmanager
def started(folder, *words, **more):
    """The command under way; ended by its own id, and what it started too."""
    with subprocess.Popen(
        [WK, "exec", "--folder", "run", "--", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
            with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
                os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)


def wait_for(what):
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_is_shown_and_kept_and_the_code_passed_on(tmp_path):
    """Both streams come out where they would, byte for byte in the run's folder too, and the exit
    code is the command's.
    """
    done = execute(
        tmp_path,
        "--folder",
        "run",
        "--",
        "sh",
        "-c",
        "printf 'one\\n\\0two'; echo three >&2; exit 7",
    )
    assert (done.returncode, done.stdout) == (7, "one\n\0two")
    assert "three\n" in done.stderr and "ended with code 7" in done.stderr
    assert (tmp_path / "run/logs/stdout.log").read_bytes() == b"one\n\0two"
    assert (tmp_path / "run/logs/stderr.log").read_bytes() == b"three\n"
    (start,) = events(tmp_path / "run", RunStarted)
    (end,) = events(tmp_path / "run", RunEnded)
    assert start.config["command"][:2] == ["sh", "-c"] and start.config["cwd"] == str(tmp_path)
    assert (end.status, end.totals["exit_code"]) == ("failed", 7)
    assert {output.path for output in end.outputs} == {"logs/stdout.log", "logs/stderr.log"}
    assert "Traceback" not in (tmp_path / "run/logs/run.log").read_text()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "kill -9 $$"], 137),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
        ([], 2),
    ],
    ids=["finished", "killed", "not found", "not executable", "no command"],
)
def test_the_exit_code_is_as_a_shell_gives_it(tmp_path, words, code):
    """0, 128 + n on signal n, 127 and 126 where the command cannot be started, 2 where there is
    none.
    """
    done = execute(tmp_path, "--", *words)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_options_of_the_command_are_its_own(tmp_path):
    """What follows the command's name is the command's, with two dashes before it or without; a
    typing error is named.
    """
    assert execute(tmp_path, "echo", "--name", "x", "--json").stdout == "--name x --json\n"
    assert execute(tmp_path, "--", "echo", "--", "-n").stdout == "-- -n\n"
    wrong = execute(tmp_path, "--nmae", "x", "--", "true")
    assert wrong.returncode == 2 and "--name" in wrong.stderr
    refused = execute(tmp_path, "--end-stalled", "--", "true")
    assert refused.returncode == 2 and "nobody said after how long" in refused.stderr


def test_json_is_one_document(tmp_path):
    """With --json standard output is one document, and the command's own output is in the named
    folder.
    """
    done = execute(tmp_path, "--json", "--name", "hello", "--", "echo", "hi")
    told = json.loads(done.stdout)
    assert (told["exit_code"], told["data"]["ended"], done.stderr) == (0, "ended with code 0", "")
    folder = Path(told["data"]["folder"])
    assert folder.parent == tmp_path / "artifacts/hello" and folder.name == told["data"]["run_id"]
    assert (folder / "logs/stdout.log").read_text() == "hi\n"


def test_standard_input_and_the_environment_reach_the_command(tmp_path):
    """The command reads what it would read, and sees the variables that it would see."""
    done = execute(
        tmp_path,
        "--",
        "sh",
        "-c",
        "cat; echo $MINE",
        input="typed\n",
        env={**os.environ, "MINE": "kept"},
    )
    assert done.stdout == "typed\nkept\n"


def test_a_large_output_is_shown_whole(tmp_path):
    """Megabytes written at once come out in order and whole."""
    done = execute(tmp_path, "--", "seq", "1", "300000")
    assert done.stdout == "".join(f"{number}\n" for number in range(1, 300001))


def test_signals_reach_the_commands_whole_group(tmp_path):
    """SIGTERM goes on to the command and its children, and the run ends as interrupted, with the
    command's own code.
    """
    words = "echo $$ > pid; trap 'exit 5' TERM; sleep 60 & echo $! > child; echo ready; wait"
    with started(tmp_path, "bash", "-c", words) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 5
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: start_ticks(child) is None)
    (end,) = events(tmp_path / "run", RunEnded)
    assert (end.status, end.totals["exit_code"]) == ("interrupted", 5)


def test_usr1_is_handed_on_and_ends_nothing(tmp_path):
    """A scheduler's warning reaches the command, which may go on and finish."""
    words = (
        "echo $$ > pid; trap 'echo warned; exit 0' USR1; echo ready; while :; do sleep 0.05; done"
    )
    with started(tmp_path, "bash", "-c", words) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"warned\n"
        assert process.wait(20) == 0
    (end,) = events(tmp_path / "run", RunEnded)
    assert end.status == "finished"


def test_the_death_of_what_shows_the_output_does_not_touch_the_command(tmp_path):
    """SIGKILL of `watchkeeper exec`: the command writes on into the run's folder, to its end."""
    words = (
        "echo $$ > pid; echo ready; until [ -e go ]; do sleep 0.02; done; echo on; echo done > "
        "finished"
    )
    with started(tmp_path, "sh", "-c", words) as process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        process.wait(20)
        (tmp_path / "go").touch()
        wait_for((tmp_path / "finished").exists)
    assert (tmp_path / "run/logs/stdout.log").read_text() == "ready\non\n"


def test_a_reader_that_leaves_does_not_end_the_command(tmp_path):
    """`watchkeeper exec -- … | head`: the command goes on, and its output is kept whole."""
    words = "seq 1 50000; echo end >&2"
    done = subprocess.run(
        ["bash", "-c", (f'"$0" exec --folder run -- bash -c "{words}" '
            '| head -n 1; echo ${PIPESTATUS[0]}'), WK],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["1", "0"]
    assert (tmp_path / "run/logs/stdout.log").read_text().endswith("50000\n")


def test_steps_and_losses_in_the_output_become_rows_and_a_status(tmp_path):
    """What a training prints of itself is kept as metric rows, and the status file says where it
    stands.
    """
    code = (
        "import time\nfor i in (1, 2, 3):\n print(f'step {i}/3 loss: {1/i:.2f}')\n time.sleep(1.2)"
    )
    done = execute(tmp_path, "--folder", "run", "--", sys.executable, "-c", code)
    assert done.returncode == 0
    rows, problems = wk.read_rows(tmp_path / "run")
    assert problems == [] and [(row.step, row.metrics["loss"]) for row in rows] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.33),
    ]
    status = json.loads((tmp_path / "run/status/training_status.json").read_text())
    assert (status["step"], status["total"], status["loss"], status["state"]) == (
        3,
        3,
        0.33,
        "finished",
    )


def test_every_printed_step_is_a_row_with_all_its_metrics(tmp_path):
    """Ten steps within a moment are ten rows; of many thousands, what becomes no row is counted in
    the end and the log.
    """
    code = "for i in range(1, {n} + 1): print(f'step {{i}}/{n} loss: {{1/i:.4f}} lr: {{i}}e-4')"
    execute(tmp_path, "--folder", "few", "--", sys.executable, "-c", code.format(n=10))
    rows, problems = wk.read_rows(tmp_path / "few")
    assert problems == []
    assert [(row.step, row.metrics) for row in rows] == [
        (step, {"loss": float(f"{1 / step:.4f}"), "lr": float(f"{step}e-4")})
        for step in range(1, 11)
    ]
    execute(tmp_path, "--folder", "many", "--", sys.executable, "-c", code.format(n=200_000))
    rows, problems = wk.read_rows(tmp_path / "many")
    (end,) = events(tmp_path / "many", RunEnded)
    assert problems == [] and len(rows) >= 1_000 and rows[-1].step == 200_000
    assert end.metric_rows + end.left_out["metric rows"] == 200_000
    assert "Left out: metric rows" in (tmp_path / "many/logs/run.log").read_text()


def test_a_second_run_in_a_folder_shows_only_its_own_output(tmp_path):
    """The output of an earlier run in the folder is kept, and not shown again."""
    execute(tmp_path, "--folder", "run", "--", "echo", "first")
    assert execute(tmp_path, "--folder", "run", "--", "echo", "second").stdout == "second\n"
    assert (tmp_path / "run/logs/stdout.log").read_text() == "first\nsecond\n"
