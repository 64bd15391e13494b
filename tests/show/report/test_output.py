"""A report's file: only an earlier report of ours is replaced."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.show.report.output import is_ours, sealed, write


def test_a_report_replaces_a_report(tmp_path):
    """The file appears, and a second report takes its place."""
    path = tmp_path / "r.html"
    write(path, sealed("<p>one</p>\n"))
    write(path, sealed("<p>two</p>\n"))
    assert path.read_bytes() == sealed("<p>two</p>\n")
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"<p>my own page</p>\n",
        sealed("<p>one</p>\n").replace(b"one", b"edited"),
        sealed("<p>one</p>\n") + b"my note\n",
    ],
)
def test_what_is_no_report_of_ours_is_kept(tmp_path, before):
    """Another file, and a report that a person changed, keep every byte."""
    path = tmp_path / "r.html"
    path.write_bytes(before)
    with pytest.raises(UsageError, match="is kept"):
        write(path, sealed("<p>two</p>\n"))
    assert path.read_bytes() == before


def test_a_missing_folder_and_a_folder_are_refused_with_what_to_type(tmp_path):
    """The error names the command that helps."""
    with pytest.raises(UsageError) as error:
        write(tmp_path / "a" / "r.html", b"")
    assert error.value.hint == f"mkdir -p {tmp_path / 'a'}"
    with pytest.raises(UsageError, match="is a folder"):
        write(tmp_path, b"")


def test_a_link_that_leads_to_another_file_is_kept(tmp_path):
    """A link's own target is not written through."""
    target = tmp_path / "notes.html"
    target.write_text("mine")
    (tmp_path / "r.html").symlink_to(target)
    with pytest.raises(UsageError, match="is kept"):
        write(tmp_path / "r.html", sealed("x\n"))
    assert target.read_text() == "mine"


def test_only_unchanged_bytes_are_ours():
    """The last line is the hash of all before it."""
    assert is_ours(sealed("a\udce9\n"))
    assert not is_ours(sealed("a\n")[1:])
