"""What opens the hashes of a journal stands in the journal, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import watchkeeper as wk
from watchkeeper.core import journal, layout
from watchkeeper.core.events import Opened
from watchkeeper.core.events.choose import of_kind
from watchkeeper.show.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run with rows, a stage and a checkpoint."""
    folder = tmp_path_factory.mktemp("secret") / "run"
    with wk.start_run(folder=folder, pipeline="p", console=False, sidecar=False) as run:
        with run.step("00_ingest"):
            run.log(1, loss=0.5)
        (folder / "model.pt").write_bytes(b"weights")
        run.checkpoint(folder / "model.pt", training_step=1)
    return folder


def secrets_of(run: Path) -> list[str]:
    """The secrets of its journal."""
    secrets = [one.secret for one in of_kind(journal.read(run / layout.JOURNAL).events, Opened)]
    assert secrets and all(len(secret) == 64 for secret in secrets)
    return secrets


COMMANDS = [
    ["log", "RUN"],
    ["log", "RUN", "--json"],
    ["status", "RUN"],
    ["status", "RUN", "--json"],
    ["ls", "RUN", "--json"],
    ["check", "RUN", "--json"],
    ["rebuild", "RUN", "--json"],
    ["compare", "RUN", "RUN", "--json"],
    ["export", "RUN", "-o", "OUT/rows.jsonl", "--json"],
    ["report", "RUN", "-o", "OUT/page.html"],
    ["report", "RUN", "-o", "OUT/private.html", "--private"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_says_it(run: Path, tmp_path: Path, words: list[str]) -> None:
    """Neither what a command prints nor the file that it writes holds the secret."""
    words = [word.replace("RUN", str(run)).replace("OUT", str(tmp_path)) for word in words]
    result = CliRunner().invoke(main, words)
    assert result.output and result.exit_code in (0, 1, 2), result.exception
    texts = [result.output, *(path.read_text() for path in tmp_path.iterdir())]
    assert [text for text in texts for secret in secrets_of(run) if secret in text] == []


def test_no_file_beside_the_journal_holds_it(run: Path) -> None:
    """Manifests, status, logs and tables are made without it."""
    files = [path for path in run.rglob("*") if path.is_file()]
    holding = {
        path.parent.name
        for path in files
        for secret in secrets_of(run)
        if secret.encode() in path.read_bytes()
    }
    assert holding == {"journal"}
