"""`watchkeeper watch` of a part of an experiment."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from tests.experiments import state_of, write_experiment
from watchkeeper.show.cli import main


def answer_of(*words: object) -> dict:
    """The answer of a command in this process."""
    done = CliRunner().invoke(main, [*map(str, words), "--json"])
    return json.loads(done.stdout)


def test_a_watch_of_some_ends_with_them(tmp_path: Path, monkeypatch) -> None:
    """With --runs the watch ends while other jobs run; its rows and its exit code are of those that
    were chosen, and a glob that chooses nothing is refused.
    """
    monkeypatch.setenv("WATCHKEEPER_STATE_DIR", str(tmp_path / "state"))
    wait = f"case $PWD in */slow*) until [ -e {tmp_path}/go ]; do sleep 0.05; done;; esac"
    folder = write_experiment(tmp_path / "exp", runs=("quick", "slow"), body=wait)
    assert answer_of("submit", folder)["exit_code"] == 0
    try:
        some = answer_of("watch", folder, "--runs", "quick", "--poll", "0.05")
        assert state_of(folder).runs["slow"].latest.active
        assert {row["run"] for row in some["data"]["rows"]} == {"quick"}
        assert state_of(folder).runs["quick"].latest.judged.outcome == "done"
        refused = answer_of("watch", folder, "--runs", "x*")
        assert refused["exit_code"] == 2 and "matches none of" in str(refused["problems"])
    finally:
        (tmp_path / "go").touch()
    answer_of("watch", folder, "--poll", "0.05")
    assert state_of(folder).runs["slow"].latest.judged.outcome == "done"
