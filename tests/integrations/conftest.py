"""What the integrations' tests share. Nothing is fetched: models are made of random weights."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

import watchkeeper as wk
from watchkeeper.core.events import Checkpoint, RunEnded, RunStarted
from watchkeeper.core.journal import read

ROOT = Path(__file__).parents[2]
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.update(OFFLINE)


NEEDS = {
    "test_accelerate.py": "accelerate",
    "test_inspect_ai.py": "inspect_ai",
    "test_lightning.py": "lightning",
    "test_torch.py": "torch",
    "test_torchtune.py": "torchtune",
    "test_torchtune_retries.py": "torchtune",
    "test_transformers.py": "transformers",
}
MISSING = sorted(
    {library for library in NEEDS.values() if importlib.util.find_spec(library) is None}
)
collect_ignore = [name for name, library in NEEDS.items() if library in MISSING]
if MISSING:
    collect_ignore += ["test_page.py", "test_ranks.py"]


def pytest_report_header():
    """Say what is not tested."""
    return (
        [f"integrations: not tested without {', '.join(MISSING)} (pip install '.[ml]')"]
        if MISSING
        else []
    )


class Recorded:
    """What a run left in its folder, in the order of time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        journal = read(folder / ".watchkeeper/journal")
        assert journal.problems == []
        self.events = sorted(
            (event for own in journal.events.values() for event in own),
            key=lambda event: event.time,
        )
        rows, problems = wk.read_rows(folder)
        assert problems == []
        self.rows = sorted(
            rows, key=lambda row: row.time
        )  # of writers that began in the same second

    def kinds(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def config(self):
        return self.kinds(RunStarted)[0].config

    @property
    def ends(self):
        return [event.status for event in self.kinds(RunEnded)]

    @property
    def checkpoints(self):
        return [(Path(event.path).name, event.training_step) for event in self.kinds(Checkpoint)]

    @property
    def status(self):
        return json.loads((self.folder / "status/training_status.json").read_text())

    @property
    def log(self):
        return (self.folder / "logs/run.log").read_text()

    def steps(self, metric):
        return [row.step for row in self.rows if metric in row.metrics]


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """No attempt in the environment, and no run left open by a test."""
    for name in (
        "WATCHKEEPER_ATTEMPT",
        "WATCHKEEPER_JOB_ID",
        "SLURM_JOB_ID",
        "WATCHKEEPER_INSPECT",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    assert wk.current_run() is None


@pytest.fixture
def environment():
    """For a process of its own: this package, and nothing from outside."""
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        **OFFLINE,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "ignore",
    }


@pytest.fixture
def python():
    return sys.executable


def recorded(folder) -> Recorded:
    return Recorded(Path(folder))
