"""A second try where a disk refuses once."""

from __future__ import annotations

import errno
import os

import pytest

from watchkeeper.core.disk import files, second_try
from watchkeeper.core.errors import StorageError
from watchkeeper.watch.logs.run_log_folder import read_log


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch):
    """Each test begins as a process does: nothing has been said yet."""
    monkeypatch.setattr(second_try, "_said", set())


class Refusal:
    """Work that meets these errors, one at each call, and then succeeds."""

    def __init__(self, *errors):
        self.errors = [OSError(error, os.strerror(error)) for error in errors]
        self.calls = 0

    def __call__(self):
        """Meet the next error, or succeed."""
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        return "done"


def test_what_is_refused_once_is_done_and_said_once(capsys):
    """A second try succeeds, and standard error names the error and the file once a process."""
    for _ in range(3):
        assert second_try.twice("write", "/there/a.json", Refusal(errno.EIO)) == "done"
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "watchkeeper: Input/output error at the first try to write /there/a.json; "
        "the second try worked: check that disk"
    ]


@pytest.mark.parametrize("errors", [(errno.EIO, errno.EIO), (errno.EACCES,), (errno.ENOENT,)])
def test_what_stays_refused_is_raised_and_is_the_callers_to_say(capsys, errors):
    """Two refusals, or one that a second try cannot change, are raised, and nothing is printed."""
    work = Refusal(*errors)
    with pytest.raises(OSError, match=os.strerror(errors[-1])):
        second_try.twice("write", "a.json", work)
    assert work.calls == len(errors)
    assert capsys.readouterr().err == ""


def test_a_signal_in_the_middle_of_a_call_is_no_news(capsys):
    """EINTR is tried again without a word."""
    assert second_try.twice("name", "a.json", Refusal(errno.EINTR)) == "done"
    assert capsys.readouterr().err == ""


def test_bytes_whose_sync_failed_are_written_again_before_the_next_one(tmp_path, monkeypatch):
    """After an fsync that failed the kernel takes the pages for clean: all bytes since the last
    good one are written again, and only then synced.
    """
    file = files.AppendFile(tmp_path / "rows")
    file.append(b"one\n", durable=True)
    file.append(b"two\n")
    calls = []
    sync, write = os.fsync, os.pwrite

    def failing_sync(fd):
        calls.append("sync")
        if calls.count("sync") == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    def noted_write(fd, data, offset):
        calls.append((bytes(data), offset))
        return write(fd, data, offset)

    monkeypatch.setattr(os, "fsync", failing_sync)
    monkeypatch.setattr(os, "pwrite", noted_write)
    file.append(b"three\n", durable=True)
    assert calls == [(b"three\n", 8), "sync", (b"two\nthree\n", 4), "sync"]
    assert (tmp_path / "rows").read_bytes() == b"one\ntwo\nthree\n"


def test_a_stale_handle_is_replaced(tmp_path, monkeypatch):
    """Where a file server no longer knows the open file, it is opened again and written to."""
    file = files.AppendFile(tmp_path / "rows")
    file.append(b"one\n")
    stale = file._fd
    write = os.pwrite

    def stale_write(fd, data, offset):
        if fd == stale:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return write(fd, data, offset)

    placeholder = os.open(os.devnull, os.O_RDONLY)  # so that no new file gets the old number
    monkeypatch.setattr(os, "pwrite", stale_write)
    monkeypatch.setattr(os, "close", lambda fd: None)
    file.append(b"two\n")
    monkeypatch.undo()
    os.close(placeholder)
    os.close(stale)
    file.close()
    assert (tmp_path / "rows").read_bytes() == b"one\ntwo\n"


def test_a_git_ignore_that_could_not_be_written_is_not_left_empty(tmp_path, monkeypatch):
    """`.gitignore` appears with its text or not at all: empty, it would let Git commit it all."""

    def refuse(fd, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    files.keep_out_of_git(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_refused_twice_keeps_its_old_bytes(tmp_path, monkeypatch):
    """A whole file that cannot be replaced stays as it was, without a temporary beside it."""
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="Input/output error"):
        files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def disk_refuses_reads(monkeypatch):
    """Call it with how often `open` meets EIO; it returns the list of the paths that were asked
    for.
    """
    opened = os.open

    def begin(times):
        asked = []

        def refuse(path, *how, **more):
            asked.append(path)
            if len(asked) <= times:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            return opened(path, *how, **more)

        monkeypatch.setattr(os, "open", refuse)
        return asked

    return begin


READERS = {
    "read_whole": files.read_whole,
    "read_if_any": files.read_if_any,
    "read_start_if_any": lambda path: files.read_start_if_any(path, 100),
    "a run log": lambda path: read_log(path)[0],
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_file_that_is_refused_once_is_read_and_said_once(
    tmp_path, capsys, disk_refuses_reads, reader
):
    """A second try reads the file, and standard error names it once."""
    path = tmp_path / "a.md"
    path.write_bytes(b"# words\n")
    disk_refuses_reads(1)
    assert reader(path) == b"# words\n"
    assert capsys.readouterr().err.count(str(path)) == 1


@pytest.mark.parametrize("name", ["read_if_any", "read_start_if_any"])
def test_an_optional_file_that_is_refused_twice_is_an_error_that_names_it(
    tmp_path, disk_refuses_reads, name
):
    """Only a file that is not there reads as none: two refusals, no more, are an error that says
    what to do.
    """
    read = READERS[name]
    assert read(tmp_path / "none.yaml") is None
    path = tmp_path / "a.yaml"
    path.write_bytes(b"batch: 1\n")
    asked = disk_refuses_reads(9)
    with pytest.raises(StorageError, match=f"could not read {path}: Input/output error") as caught:
        read(path)
    assert asked == [path, path]
    assert "check the disk or the file server" in caught.value.hint
