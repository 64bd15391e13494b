"""Which files a page opens: those that it names itself, and none beside its folders."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.query.views import opening
from watchkeeper.query.views.shared import Evidence


@pytest.fixture
def run(tmp_path):
    """A run's folder with a log, a folder, and a link that leads out of it."""
    folder = tmp_path / "run"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "death.txt").write_text("killed\n")
    (folder / "logs" / "run.log").write_text("step 1\n")
    (tmp_path / "secret").write_text("secret\n")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


def evidence(*sources):
    """Evidence with these sources."""
    return [Evidence(what="death", text="died", source=source) for source in sources]


def test_sources_that_are_files_below_the_page_can_be_opened(run):
    """A folder, a command, a link that leads out and a file beside the run are no such files."""
    seen = evidence(
        "logs/death.txt", "logs", "git", "link", "../secret", "", str(run / "../secret")
    )
    assert [one.is_file for one in opening.with_files(seen, [run])] == [True, *[False] * 6]


def test_a_source_is_read_from_the_first_folder_that_has_it(run, tmp_path):
    """The sources of a job lie in its experiment or in what is kept of its attempt."""
    seen = evidence("logs/death.txt", "exit.1")
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    (attempt / "exit.1").write_text("0\n")
    assert opening.read_source(seen, "logs/death.txt", [run, attempt]) == b"killed\n"
    assert opening.read_source(seen, "exit.1", [run, attempt]) == b"0\n"


@pytest.mark.parametrize("source", ["logs/run.log", "../secret", "link", "logs", ""])
def test_what_the_page_does_not_name_is_refused(run, source):
    """A file that is there is not opened unless it is evidence; what leads out never is."""
    named = [one for one in ("link", "../secret", "logs") if one == source]
    with pytest.raises(UsageError, match="the page names no file") as refused:
        opening.read_source(evidence("logs/death.txt", *named), source, [run])
    assert refused.value.code == "not-found"


def test_of_a_long_file_the_end_is_read(run, monkeypatch):
    """The end of a log says what happened last."""
    monkeypatch.setattr(opening, "MOST_BYTES", 4)
    assert opening.read_source(evidence("logs/death.txt"), "logs/death.txt", [run]) == b"led\n"
