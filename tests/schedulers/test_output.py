"""Where a local job's output goes: into a file, and never where another user's link leads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watchkeeper.core.disk.files import FixedFile, read_fixed
from watchkeeper.core.disk.ownership import foreign_link
from watchkeeper.core.errors import StorageError
from watchkeeper.schedulers.local.supervisor import _open_output

HOW = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_TRUNC
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="making a link of another user's takes root"
)


def link_of(owner: int, path: Path, target: Path) -> Path:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def test_a_pipe_that_nobody_reads_is_an_error_at_once(tmp_path: Path) -> None:
    """A job whose output is such a pipe does not begin, and says why, where it would wait for a
    reader for ever.
    """
    os.mkfifo(tmp_path / "out")
    with pytest.raises(StorageError, match="a pipe that nobody reads"):
        _open_output(tmp_path / "out", HOW, 0o644)


def test_a_pipe_that_is_read_is_written_to(tmp_path: Path) -> None:
    """A pipe with a reader works as it does without us: what is written blocks where the reader is
    slow.
    """
    os.mkfifo(tmp_path / "out")
    reader = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    fd = _open_output(tmp_path / "out", HOW, 0o644)
    assert os.get_blocking(fd)
    os.write(fd, b"x")
    assert os.read(reader, 10) == b"x"
    os.close(fd)
    os.close(reader)


@needs_root
def test_a_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
    """Output behind a link that another user made is refused, and the file behind it keeps its
    bytes.
    """
    mine = tmp_path / "mine"
    mine.write_text("precious")
    link = link_of(12345, tmp_path / "out", mine)
    with pytest.raises(StorageError, match="a link that another user made"):
        _open_output(link, HOW, 0o644)
    assert mine.read_text() == "precious"


@needs_root
def test_a_folder_behind_such_a_link_is_refused_too(tmp_path: Path) -> None:
    """Every part of the path counts, not only the last."""
    (tmp_path / "elsewhere").mkdir()
    link = link_of(12345, tmp_path / "logs", tmp_path / "elsewhere")
    assert foreign_link(link / "a" / "out") == link
    with pytest.raises(StorageError):
        _open_output(link / "out", HOW, 0o644)


def test_links_of_ones_own_are_followed(tmp_path: Path) -> None:
    """Logs on a scratch disk behind a link of one's own stay possible; a path with nothing at its
    end has no such link.
    """
    (tmp_path / "scratch").mkdir()
    (tmp_path / "logs").symlink_to(tmp_path / "scratch")
    assert foreign_link(tmp_path / "logs" / "out") is None
    assert foreign_link(tmp_path / "none" / "out") is None
    os.close(_open_output(tmp_path / "logs" / "out", HOW, 0o644))
    assert (tmp_path / "scratch" / "out").exists()


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_heartbeat_is_never_written_into_another_file(tmp_path: Path, kind: str) -> None:
    """A link or a pipe in the place of a heartbeat is an error, and is neither written to nor
    waited for.
    """
    other = tmp_path / "other"
    other.write_text("precious")
    beat = tmp_path / "1.beat"
    if kind == "link":
        beat.symlink_to(other)
    else:
        os.mkfifo(beat)
        assert read_fixed(beat) == ""
    with pytest.raises(StorageError):
        FixedFile(beat, size_bytes=20)
    assert other.read_text() == "precious"
