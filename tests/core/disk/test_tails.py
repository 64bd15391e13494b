"""The ends of files, and what they have grown by."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.disk.tails import Follower, end_of_file, last_lines


def test_only_what_has_grown_is_read_and_lines_are_whole(tmp_path):
    """A look gives the lines that were finished since the look before; an unfinished one waits, and
    shows as such.
    """
    path = tmp_path / "out"
    follower = Follower(path, 1000)
    assert follower.look().modified is None
    path.write_text("one\ntw")
    assert follower.look().text == "one\n" and follower.unfinished() == "tw"
    with path.open("a") as file:
        file.write("o\r50%|")
    grown = follower.look()
    assert (grown.text, grown.added, follower.unfinished()) == ("two\r", 6, "50%|")
    assert follower.look().added == 0


def test_of_a_great_growth_the_end_is_read(tmp_path):
    """A file may grow by any size between two looks: what is read stays bounded."""
    path = tmp_path / "out"
    path.write_bytes(b"x" * 10_000_000 + b"\nlast\n")
    follower = Follower(path, 100)
    grown = follower.look()
    assert grown.added == 10_000_006 and len(grown.text) <= 100 and grown.text.endswith("\nlast\n")
    assert follower.look().added == 0


def test_a_file_that_begins_again_is_read_anew(tmp_path):
    """A log that was truncated or replaced is not taken for one that has not grown."""
    path = tmp_path / "out"
    path.write_text("step 1\nstep 2\n")
    follower = Follower(path, 1000)
    follower.look()
    path.write_text("step 1\n")
    assert follower.look().text == "step 1\n"
    other = tmp_path / "other"
    other.write_text("step 7\nstep 8\nstep 9\n")
    other.rename(path)
    assert follower.look().text == "step 7\nstep 8\nstep 9\n"


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_nothing_is_lost_or_doubled_however_it_was_written(tmp_path_factory, chunks):
    """Whatever the bytes and wherever a look cuts them, all looks together give the file's text."""
    path = tmp_path_factory.mktemp("f") / "out"
    path.write_bytes(b"")
    follower, found = Follower(path, 1000), ""
    for chunk in chunks:
        with path.open("ab") as file:
            file.write(chunk)
        found += follower.look().text
    # Parted at line ends only, so that no character is torn.
    assert found + follower.unfinished() == path.read_bytes().decode("utf-8", "replace")


def test_a_line_that_never_ends_is_not_kept_for_ever(tmp_path):
    """What is remembered of an unfinished line is bounded."""
    path = tmp_path / "out"
    follower = Follower(path, 50)
    for _ in range(20):
        with path.open("a") as file:
            file.write("y" * 40)
        follower.look()
        assert len(follower.unfinished()) <= 50


def test_the_end_of_a_file_that_cannot_be_read_is_empty(tmp_path):
    """No file, a folder: b"" and no error; and lines end at carriage returns too."""
    assert end_of_file(tmp_path / "none", 10) == b"" == end_of_file(tmp_path, 10)
    (tmp_path / "log").write_text("a\r\nb\rc\n\n")
    assert last_lines(tmp_path / "log", 2, 100) == ["b", "c"]
