"""The link from an attempt to its recorded run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from watchkeeper.record.attempt import Attempt, leave_word
from watchkeeper.runfolder.link import RECORDER, read_link


def test_readers_find_the_run_folder_that_the_recorder_named(tmp_path: Path) -> None:
    """What the recorder writes into an attempt leads every reader to its run folder."""
    attempt = Attempt(folder=tmp_path, job_id="7")
    leave_word(attempt, folder=tmp_path / "run", run_id="r8", writer="w1")
    assert read_link(tmp_path) == tmp_path / "run"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": 7}', '{"run_id": "r8"}', "[" * 9999])
def test_an_unreadable_link_leads_nowhere(tmp_path: Path, text: str) -> None:
    """A torn or foreign record reads as no recorder, as a missing one does."""
    assert read_link(tmp_path) is None
    (tmp_path / RECORDER).write_text(text)
    assert read_link(tmp_path) is None


def test_fields_of_later_versions_are_ignored(tmp_path: Path) -> None:
    """A field that this version does not know leaves the link readable."""
    (tmp_path / RECORDER).write_text(json.dumps({"folder": "/runs/1", "later": [1]}))
    assert read_link(tmp_path) == Path("/runs/1")
