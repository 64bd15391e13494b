"""On a terminal, what nobody has said is asked once per folder, and remembered."""

from __future__ import annotations

import os
import pty
import select
import subprocess
from pathlib import Path

import pytest

from tests.experiments import command, env, wk, write_experiment

QUESTION = b"(Enter:"


def on_a_terminal(folder: Path, state: Path, answers: list[str], *options: str) -> tuple[int, str]:
    """Run the experiment on a terminal of its own and answer its questions in turn. Returns the
    code and what was shown.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("run", folder, "--poll", "0.05", *options),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env(state),
    )
    os.close(theirs)
    shown, seen = b"", 0
    try:
        while True:
            ready, _, _ = select.select([ours], [], [], 120)
            assert ready, shown.decode()
            try:
                part = os.read(ours, 4096)
            except OSError:
                break  # the terminal has no other end any more
            if not part:
                break
            shown += part
            while shown.count(QUESTION) > seen:
                seen += 1
                assert seen <= len(answers), shown.decode()
                os.write(ours, answers[seen - 1].encode() + b"\n")
        return process.wait(timeout=300), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def log_of(folder: Path, name: str) -> str:
    """The run log of one run, wherever in run_logs/ it lies."""
    (path,) = (folder / "run_logs").rglob(f"*_{name}.md")
    return path.read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two runs without a summary: nobody has said anything of them."""
    folder = write_experiment(tmp_path / "exp", runs=("a", "b"), tasks=())
    (folder / "experiment_summary.yaml").unlink()
    return folder


def test_what_nobody_said_is_asked_once_and_holds_for_later_runs(
    tree: Path, tmp_path: Path
) -> None:
    """Run type, objective, dataset and group are asked at the first start, a wrong type again;
    later nothing is.
    """
    state = tmp_path / "state"
    answers = ["trial", "replication", "does it hold?", "", "my group"]
    code, shown = on_a_terminal(tree, state, answers, "--runs", "a")
    assert code == 0 and "'trial' is none of: replication, experiment, pipeline (kind)" in shown, (
        shown
    )
    text = log_of(tree, "a")
    assert (
        "- run_type: replication\n- objective: does it hold?\n" in text
        and "- dataset: pending\n" in text
    )
    assert [path.name for path in (tree / "run_logs").iterdir() if path.is_dir()] == ["my_group"]
    code, shown = on_a_terminal(tree, state, [])
    assert code == 0 and "(Enter:" not in shown
    assert "- run_type: replication\n- objective: does it hold?\n" in log_of(tree, "b")
    assert (tree / "run_logs/my_group/timeline.md").read_text().count(".md`") == 2


def test_enter_leaves_what_is_the_default_or_pending(tree: Path, tmp_path: Path) -> None:
    """Enter four times changes nothing of what would stand there without a terminal."""
    code, shown = on_a_terminal(tree, tmp_path / "state", ["", "", "", ""])
    assert code == 0 and "(Enter: run_logs/exp)" in shown
    assert "- run_type: pending\n- objective: pending\n" in log_of(tree, "a")
    assert (tree / "run_logs/exp").is_dir()


def test_what_was_said_on_the_command_line_or_in_the_summary_is_not_asked(tmp_path: Path) -> None:
    """With everything said there is no question; of a summary only type, dataset and group may be
    open.
    """
    folder = write_experiment(tmp_path / "exp", tasks=())
    said = ("--mode", "experiment", "--group", "g", "--dataset", "d")
    code, shown = on_a_terminal(folder, tmp_path / "state", [], *said)
    assert code == 0 and "(Enter:" not in shown


def test_without_a_terminal_nothing_is_asked(tree: Path, tmp_path: Path) -> None:
    """A watch in a batch job or a pipe never waits for an answer."""
    done = wk("run", tree, "--poll", "0.05", state=tmp_path / "state")
    assert done.returncode == 0 and "(Enter:" not in done.stderr + done.stdout
