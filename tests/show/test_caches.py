"""What commands keep in the user's cache folder costs time, and never an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.experiments import write_experiment
from tests.watch.logs.test_run_logs import keep
from watchkeeper.core.chain import follow
from watchkeeper.core.disk import user_cache
from watchkeeper.experiment import kept_drafts
from watchkeeper.schedulers.fake.scheduler import FakeScheduler
from watchkeeper.show.cli import main
from watchkeeper.tools import look_memory
from watchkeeper.watch.verdict import evidence

COMMANDS = (
    "plan",
    "plan --json",
    "status",
    "compare",
    "compare --json",
    "trace one",
    "trace one/clean/epoch0 --json",
    "check",
    "check --json",
)
KINDS = {"chains", "drafts", "looks"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of what is kept, of an experiment of any size."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WATCHKEEPER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(follow, "LEAST_BYTES", 0)
    monkeypatch.setattr(kept_drafts, "LEAST_BYTES", 0)
    monkeypatch.setattr(evidence, "LEAST_PROMISES", 0)
    monkeypatch.setattr(look_memory, "SETTLED_AFTER_S", -3600.0)
    return tmp_path / "cache/watchkeeper"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _swap(path: Path) -> None:
    """Another kind's file, which is whole, in its place."""
    others = [other for other in path.parent.parent.rglob("*.*") if other.parent != path.parent]
    path.write_bytes(others[0].read_bytes())


def _answers(experiment: Path) -> dict[str, tuple[int, str]]:
    answers: dict[str, tuple[int, str]] = {}
    for words in COMMANDS:
        name, *more = words.split()
        outcome = CliRunner().invoke(main, [name, str(experiment), *more])
        answers[words] = (outcome.exit_code, outcome.output)
    return answers


@pytest.mark.parametrize("damage", [_cut, _swap, lambda path: path.write_bytes(b"garbage")])
def test_answers_are_the_same_with_a_cache_without_and_with_a_damaged_one(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    """Each command answers with the same bytes, whatever the cache folder holds."""
    experiment = write_experiment(tmp_path / "exp", runs=("one", "two"))
    assert keep(experiment, FakeScheduler())
    first = _answers(experiment)
    assert {path.name for path in cache.iterdir()} >= KINDS
    assert _answers(experiment) == first  # with what was kept
    for path in cache.rglob("*.*"):
        damage(path)
    assert _answers(experiment) == first
    monkeypatch.setattr(user_cache, "keep", lambda path, data: None)
    monkeypatch.setattr(user_cache, "recall", lambda path: None)
    assert _answers(experiment) == first
