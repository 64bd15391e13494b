"""How often a command reads what it is about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core import journal, layout
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment that has run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WATCHKEEPER_STATE_DIR", str(tmp_path / "state"))
    folder = write_experiment(tmp_path / "exp", runs=("one", "two"))
    assert keep(folder, FakeScheduler())
    return folder


@pytest.mark.parametrize("words", ["plan", "status", "run", "trace one", "check"])
def test_a_command_reads_an_experiments_journal_once(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """To decode a journal again and again was half of the time of a `run` with nothing to do."""
    readings: Counter[Path] = Counter()
    original = journal._Tail.__init__

    def count(tail: journal._Tail, path: Path) -> None:
        readings[path] += 1
        original(tail, path)

    monkeypatch.setattr(journal._Tail, "__init__", count)
    name, *more = words.split()
    outcome = CliRunner().invoke(main, [name, str(experiment), *more])
    assert outcome.exit_code == 0, outcome.output
    ours = [path for path in readings if path.parent == experiment / layout.JOURNAL]
    assert ours and {readings[path] for path in ours} == {1}
