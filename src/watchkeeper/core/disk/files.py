"""All writing of files.

Four ways, and no other (`spill` is the third on a filesystem that hangs):
- `replace`: a whole file, by a temporary in the same folder, fsync, rename, fsync of the folder;
  `replace_unchanged` does
  so only while nobody else has changed it;
- `create`: a whole file that must not exist yet, by a hard link of a complete file, judged by
  reading it back, since the
  exit status of a link on NFS can lie both ways;
- `AppendFile`: a file that one process owns and appends to at its own offset;
- `FixedFile`: a heartbeat, overwritten in place.

What a disk refuses once is tried a second time (`core.disk.second_try`).

Accepted trade-offs: a crash can leave a temporary (`.tmp-…`), which readers ignore and the next
`replace` of that file does not need; a short append leaves a tail without a newline, which the next
append overwrites.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from watchkeeper.core.disk.second_try import is_passing, say, twice
from watchkeeper.core.errors import NotAWriterError, StorageError

TEMPORARY_PREFIX = ".tmp-"
STDERR = 2
MOST_FIXED_BYTES = 4096
MOST_LINE_BYTES = 64 * 2**20
"""Of a line that a program wrote: of a longer one the rest is not kept."""
MOST_TEXT_BYTES = 16 * 2**20
"""Of a script, a summary, a configuration, or another text that a person wrote: more is data."""
_NO_LINKS = (
    errno.EPERM,
    errno.ENOTSUP,
    errno.EMLINK,
    errno.ENOSYS,
)  # said by filesystems without hard links

_REFUSED_TWICE = (
    "two tries failed: check the disk or the file server, then type the same command again"
)

_pid = os.getpid()  # asking the kernel at every append would be a tenth of its cost


def _in_child() -> None:
    """Note the new process after a fork: a file of the parent's is not the child's to write."""
    global _pid  # noqa: PLW0603 - the one thing that a fork changes
    _pid = os.getpid()


os.register_at_fork(after_in_child=_in_child)


def _failed(action: str, path: Path, error: OSError) -> StorageError:
    """The error of an operation on a file, with what to do about it where that is known. `action`
    is a verb: "read", "write".
    """
    hints = {
        errno.ENOSPC: "the disk is full: make room, then type the same command again",
        errno.EDQUOT: "your quota is used up: make room, then type the same command again",
        errno.EACCES: "no permission: check the folder's owner and mode",
        errno.EROFS: "the filesystem is read-only",
        errno.EIO: _REFUSED_TWICE,
        errno.ESTALE: _REFUSED_TWICE,
    }
    hint = hints.get(error.errno or 0, "")
    return StorageError(f"could not {action} {path}: {error.strerror or error}", hint=hint)


def above_stdio(fd: int) -> int:
    """The same open file under a descriptor above 2. Where stdin, stdout or stderr is closed, the
    next file opened takes its number, and whatever is printed would land in it.

    Raises:
        OSError: there is no descriptor left; `fd` is closed.
    """
    if fd > STDERR:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, STDERR + 1)
    finally:
        os.close(fd)


def open_to_write(path: str | os.PathLike[str], flags: int, mode: int = 0o666) -> int:
    """`os.open` to write, never as stdin, stdout or stderr, and not inherited; raises OSError."""
    return above_stdio(os.open(path, flags | os.O_CLOEXEC, mode))


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to read its bytes, if it is one: a pipe would be waited for, and a device has no
    end.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    return twice("read", path, lambda: _open_regular(path))


def _open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to read. A pipe or a device is refused without waiting for it.

    Raises:
        OSError: it cannot be opened, or is not a regular file (EINVAL; EISDIR: a folder).
    """
    fd = above_stdio(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        return open(fd, "rb")
    except BaseException:
        os.close(fd)
        raise


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """The first `most` bytes of a regular file.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    return twice("read", path, lambda: _read_regular(path, most))


def _read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """The first `most` bytes of a file, at most.

    Raises:
        OSError: as in `_open_regular`, or it cannot be read.
    """
    with _open_regular(path) as file:
        return read_most(file, most)


def read_most(file: BinaryIO, most: int) -> bytes:
    """The next bytes of a file, at most `most` of them. A plain `read(most)` takes memory for all
    of them first, which costs more than to read a small file.

    Raises:
        OSError: it cannot be read.
    """
    expected = min(most, os.fstat(file.fileno()).st_size + 1)
    data = file.read(expected)
    if len(data) < expected or expected == most:
        return data
    return data + file.read(most - expected)  # it has grown meanwhile


def read_whole(path: str | os.PathLike[str], most: int = MOST_TEXT_BYTES) -> bytes:
    """All of a regular file of at most `most` bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer.
    """
    data = read_regular(path, most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most:,} bytes", os.fspath(path))
    return data


def read_if_any(path: Path, most: int = MOST_TEXT_BYTES) -> bytes | None:
    """All of a regular file of at most `most` bytes; None where there is none, or no permission, or
    it is longer, or no regular file.

    Raises:
        StorageError: the disk refused it twice, so that nobody knows what it holds.
    """
    return _if_any(path, lambda: read_whole(path, most))


def read_start_if_any(path: Path, most: int) -> bytes | None:
    """The first `most` bytes of a regular file; None where there is none, or no permission, or it
    is no regular file.

    Raises:
        StorageError: the disk refused it twice, so that nobody knows what it holds.
    """
    return _if_any(path, lambda: read_regular(path, most))


def _if_any(path: Path, read: Callable[[], bytes]) -> bytes | None:
    """What `read` reads; None: there is nothing that may be read.

    Raises:
        StorageError: the disk refused it, which may pass.
    """
    try:
        return read()
    except OSError as error:
        if is_passing(error):
            raise _failed("read", path, error) from error
        return None


def lines_of(file: BinaryIO, most: int = MOST_LINE_BYTES) -> Iterator[bytes]:
    """The lines of a file, each with its end. Of a line longer than `most` bytes only the first are
    kept, and its end where it has one.
    """
    while line := file.readline(most):
        if len(line) == most and not line.endswith(b"\n"):
            line += _skip_to_end(file, most)
        yield line


def _skip_to_end(file: BinaryIO, most: int) -> bytes:
    """The end of a line, read and not kept before it; b"" where the file has none."""
    while piece := file.readline(most):
        if piece.endswith(b"\n"):
            return b"\n"
    return b""


def fsync_folder(folder: Path) -> None:
    """Make the folder's entries durable. Filesystems that cannot sync a folder are ignored."""
    twice("sync", folder, lambda: _fsync_folder(folder))


def _fsync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Filesystems that cannot fsync a folder are
    ignored.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def make_folder(folder: Path) -> Path:
    """Create the folder and its parents where missing; they survive the death of the node.

    Raises:
        StorageError: it cannot be created.
    """
    try:
        changed: list[Path] = []
        _make_folders(folder, changed)
        _sync_folders(changed)
    except OSError as error:
        raise _failed("create the folder", folder, error) from error
    return folder


def _make_folders(folder: Path, changed: list[Path]) -> None:
    """Create the folder and its parents where missing. Adds to `changed` the folders that got a new
    entry by it: until they are synced the new ones may be gone after the death of the node, with
    all synced files in them. Raises OSError.
    """
    try:
        twice("create the folder", folder, folder.mkdir)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        _make_folders(folder.parent, changed)
        _make_folders(folder, changed)
    except OSError:
        if not folder.is_dir():
            raise
    else:
        changed.append(folder.parent)


def _sync_folders(folders: list[Path]) -> None:
    """Bring the names in these folders to the disk, the last one first."""
    for folder in reversed(folders):
        with contextlib.suppress(PermissionError):  # one that may be entered, and not listed
            fsync_folder(folder)


def keep_out_of_git(folder: Path) -> None:
    """Tell Git to take nothing of this folder, unless it has a `.gitignore` already. Where it
    cannot be written nothing happens.
    """
    path = folder / ".gitignore"
    with contextlib.suppress(StorageError):
        if not os.path.lexists(path):
            put_new(path, b"*\n")


def _temporary_of(path: Path) -> Path:
    """A new name in the same folder, which readers ignore."""
    return path.parent / f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(6)}"


def _drop(temporary: Path) -> None:
    """Remove a temporary, if it is there; one that stays is ignored by readers."""
    with contextlib.suppress(OSError):
        twice("remove", temporary, lambda: temporary.unlink(missing_ok=True))


def _write_at(fd: int, data: bytes, offset: int) -> None:
    """Write all of the data at a place in a file, in as many calls as that takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _write_whole(path: Path, data: bytes | bytearray, mode: int, durable: bool) -> None:
    """Make a file with this content, which must not be there yet. `durable`: it is on the disk when
    this returns.
    """
    fd = open_to_write(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)


def replace(
    path: Path, data: bytes | bytearray, *, durable: bool = True, mode: int = 0o666
) -> None:
    """Make `path` hold exactly `data`, whole or not at all; a reader sees the old bytes or the new
    ones.

    `durable=False` leaves out both fsyncs, for views that can be rebuilt.

    Raises:
        StorageError: it could not be written; the old file is untouched.
    """
    try:
        twice("write", path, lambda: _replace(path, data, mode, durable))
    except OSError as error:
        raise _failed("write", path, error) from error


def _replace(path: Path, data: bytes | bytearray, mode: int, durable: bool) -> None:
    """Put a file with this content in place of another, or where none is: whoever reads the name
    has the old file or the new one, and never a part.
    """
    temporary = _temporary_of(path)
    try:
        _write_whole(temporary, data, mode, durable)
        os.replace(temporary, path)
    except OSError:
        _drop(temporary)
        raise
    if durable:
        fsync_folder(path.parent)


def replace_unchanged(path: Path, old: bytes, new: bytes) -> bool:
    """Replace a file that others edit too, if it still holds `old`; False, and it is untouched, if
    it does not.

    The file keeps its mode, and its owner where that is permitted. It is compared after the new
    bytes are on disk, right before they take its name.

    Raises:
        StorageError: it could not be written, or is read-only; the old file is untouched.
    """
    try:
        replaced = twice("write", path, lambda: _replace_unchanged(path, old, new))
        if replaced:
            fsync_folder(path.parent)
    except OSError as error:
        raise _failed("write", path, error) from error
    return replaced


def _replace_unchanged(path: Path, old: bytes, new: bytes) -> bool:
    """Replace a file that still holds `old`, and keep its owner and mode; False: it holds something
    else now, and is left.

    Raises:
        OSError: it is read-only, or cannot be written.
    """
    temporary = _temporary_of(path)
    try:
        kept = path.stat()
        if not kept.st_mode & 0o222:
            raise PermissionError(errno.EACCES, "it is read-only")
        _write_whole(temporary, new, 0o600, durable=True)
        with contextlib.suppress(PermissionError):
            os.chown(temporary, kept.st_uid, kept.st_gid)
        temporary.chmod(stat.S_IMODE(kept.st_mode))
        if read_regular(path, len(old) + 1) != old:
            _drop(temporary)
            return False
        os.replace(temporary, path)
    except OSError:
        _drop(temporary)
        raise
    return True


def create(path: Path, data: bytes, *, mode: int = 0o666) -> bool:
    """Create `path` with exactly `data`, unless it exists; durable on return.

    `data` must be unique to the caller (hold a nonce): whether the file is ours is judged by
    reading it back. Returns True if `path` now holds `data`, False if somebody else's bytes are
    there.

    Raises:
        StorageError: neither could be established (no hard links here, no space, no permission).
    """
    try:
        return twice("create", path, lambda: _create(path, data, mode))
    except OSError as error:
        raise _failed("create", path, error) from error


def _create(path: Path, data: bytes, mode: int) -> bool:
    """Make a file that must not be there; whether the one that is there now holds this data. A hard
    link of a complete file decides, and reading it back says whose it is: NFS may report a link
    that it has just made as one that was there.
    """
    temporary = _temporary_of(path)
    try:
        _write_whole(temporary, data, mode, durable=True)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        ours = read_regular(path, len(data) + 1) == data
        fsync_folder(path.parent)
    finally:
        _drop(temporary)
    return ours


def put_new(path: Path, data: bytes) -> bool:
    """Make `path` hold `data`, unless there is something of that name, a link that leads nowhere
    included; whether it was made. Not durable: for views.

    Raises:
        StorageError: it could not be written.
    """
    try:
        return twice("create", path, lambda: _put_new(path, data))
    except OSError as error:
        raise _failed("create", path, error) from error


def _put_new(path: Path, data: bytes) -> bool:
    """Put a new file there, unless something has the name; whether it was made."""
    temporary = _temporary_of(path)
    try:
        _write_whole(temporary, data, 0o666, durable=False)
        return _take_free_name(temporary, path)
    finally:
        _drop(temporary)


def _take_free_name(file: Path, path: Path) -> bool:
    """Give a file a name that nothing has; False where something has it. The file's first name
    stays, where there are hard links.
    """
    try:
        os.link(file, path)
    except FileExistsError:
        # Where a link failed and was tried again, the first one may have been made.
        return path.exists() and path.samefile(file)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            return False
        file.rename(path)
    return True


def keep_aside(path: Path) -> Path:
    """Move a file beside itself, to the first free `<name>.kept-N`, and return its new path. No
    byte of it is lost.

    Raises:
        StorageError: it could not be moved.
    """
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.kept-{number}")):
        number += 1
    try:
        twice("set aside", path, lambda: path.rename(kept))
    except OSError as error:
        raise _failed("set aside", path, error) from error
    return kept


def name_also(path: Path, file: Path, *, durable: bool = True) -> None:
    """Make `path` a second name of `file`, in place of whatever had that name. Where the filesystem
    has no hard links, `file` gives up its own name.

    Raises:
        StorageError: it could not be done; both names are as before.
    """
    try:
        twice("name", path, lambda: _name_also(path, file))
        if durable:
            fsync_folder(path.parent)
    except OSError as error:
        raise _failed("name", path, error) from error


def _name_also(path: Path, file: Path) -> None:
    """Give a file a second name, in place of whatever has it. Where the filesystem knows no hard
    links, the file is renamed.
    """
    temporary = _temporary_of(path)
    try:
        os.link(file, temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(file, path)
        return
    try:
        os.replace(temporary, path)
    finally:
        # Renaming one name of a file to another of its names does nothing, says POSIX.
        _drop(temporary)


def name_free(path: Path, file: Path, *, durable: bool = True) -> bool:
    """Make `path` a second name of `file`, as `name_also`, unless something has that name; whether
    it was done.

    Raises:
        StorageError: it could not be done; both names are as before.
    """
    try:
        if not twice("name", path, lambda: _take_free_name(file, path)):
            return False
        if durable:
            fsync_folder(path.parent)
    except OSError as error:
        raise _failed("name", path, error) from error
    return True


def point_to(path: Path, target: Path) -> bool:
    """Make `path` a symbolic link to `target`; False where it is something else, or none can be
    made.
    """
    try:
        with contextlib.suppress(FileExistsError):
            twice("link", path, lambda: path.symlink_to(target))
        return path.readlink() == target
    except OSError:
        return False


def give_name(temporary: Path, path: Path) -> None:
    """Let a complete file take its name, in place of whatever had it.

    Raises:
        StorageError: it could not; the temporary is still there.
    """
    try:
        twice("name", path, lambda: os.replace(temporary, path))
    except OSError as error:
        raise _failed("name", path, error) from error


def remove(path: Path) -> None:
    """Take this name off its file, if it is there.

    Raises:
        StorageError: it could not be done.
    """
    try:
        twice("remove", path, lambda: path.unlink(missing_ok=True))
    except OSError as error:
        raise _failed("remove", path, error) from error


class AppendFile:
    """A file that this process alone appends to, at its own offset.

    Safe from threads. After a fork the child does not own it: `append` raises there. The file is
    opened by the first append, created exclusively unless it is resumed.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        """A new file; or, with `resume_at`, an existing view, from that byte on: whoever renders a
        view may continue where the one before it stopped. A journal's file is never resumed.
        """
        self.path = path
        self.size_bytes = resume_at or 0
        self._exclusive = os.O_EXCL if resume_at is None else 0
        self._fd = -1
        self._synced_bytes = self.size_bytes
        self._unsynced: list[Path] = []  # folders with new entries
        self._owner = _pid
        self.lock = threading.RLock()
        """Held by whoever calls `put`."""
        self.put: Callable[[bytes], None] = self._put
        """`append` for who holds the lock and needs no durability: the recorder's hot path. Raises
        as `append`.
        """

    def append(self, data: bytes, *, durable: bool = False) -> None:
        """Write `data` whole after what is there. On return the death of this process loses nothing
        of it; with `durable`, neither does the death of the node.

        Raises:
            NotAWriterError: called after a fork, or after `close`.
            StorageError: it could not be written; the next append overwrites what a short write
                left.
        """
        with self.lock:
            self.put(data)
            if durable:
                try:
                    self._sync()
                except OSError as error:
                    self.size_bytes -= len(data)
                    raise _failed("append to", self.path, error) from error

    def _is_mine(self) -> bool:
        """Whether this process opened the file: a child after a fork did not."""
        return self._owner == _pid

    def _check_owner(self) -> None:
        """Refuse to write for a process that did not open the file.

        Raises:
            NotAWriterError: another process did, or it is closed.
        """
        if not self._is_mine():
            raise NotAWriterError(f"{self.path} belongs to another process, or is closed")

    def _put(self, data: bytes) -> None:
        """Write at the end of what this process has written. The file is opened with the first
        data. What fails in a way that may pass is tried once more.

        Raises:
            NotAWriterError: the file is another process's.
            StorageError: the disk refused it.
        """
        if self._owner != _pid:
            self._check_owner()
        at = self.size_bytes
        length = len(data)
        try:
            if self._fd < 0:
                self._open()
            written = os.pwrite(self._fd, data, at)
            while written < length:
                written += os.pwrite(self._fd, data[written:], at + written)
        except OSError as error:
            self._put_again(data, error)
        self.size_bytes = at + length

    def _put_again(self, data: bytes, first: OSError) -> None:
        """The second try of an append, at the same offset; raises as `append`."""
        try:
            if not is_passing(first):
                raise first
            if self._fd < 0:
                self._open()
            elif first.errno == errno.ESTALE:
                self._reopen()
            _write_at(self._fd, data, self.size_bytes)
        except OSError as error:
            raise _failed("append to", self.path, error) from error
        say("append to", self.path, first)

    def _open(self) -> None:
        """Open the file; a new one is made with its folders. Their names are brought to the disk
        with the next sync.
        """
        if self._exclusive:
            _make_folders(self.path.parent, self._unsynced)
        self._fd = open_to_write(self.path, os.O_WRONLY | os.O_CREAT | self._exclusive)
        self._unsynced.append(self.path.parent)

    def _reopen(self) -> None:
        """Have the file anew where a file server no longer knows its handle, if all that it held is
        there. What fails is for the write to meet.
        """
        with contextlib.suppress(OSError):
            fd = open_to_write(self.path, os.O_WRONLY)
            if os.fstat(fd).st_size < self.size_bytes:
                os.close(fd)
            else:
                os.close(self._fd)
                self._fd = fd

    def _sync(self) -> None:
        """Bring what was written to the disk, and the names on the way to it."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._sync_again(error)
        self._synced_bytes = self.size_bytes
        # After the file: filesystems with a journal have committed the names with it, and have
        # nothing left to do.
        _sync_folders(self._unsynced)
        self._unsynced.clear()

    def _sync_again(self, first: OSError) -> None:
        """The second try of an fsync. After a failure Linux takes the pages for clean, and the next
        fsync alone would succeed without a byte being written (LWN 752063): so the bytes are
        written again before it. Raises OSError.
        """
        if not is_passing(first):
            raise first
        if first.errno == errno.ESTALE:
            self._reopen()
        size = self.size_bytes - self._synced_bytes
        with open_regular(self.path) as file:
            file.seek(self._synced_bytes)
            held = file.read(size)
        if len(held) < size:
            raise first
        _write_at(self._fd, held, self._synced_bytes)
        os.fsync(self._fd)
        say("sync", self.path, first)

    def revive(self) -> bool:
        """Make the file again, with all that it held, if it was deleted while it was open. True: it
        was made again. Failures are ignored.
        """
        with self.lock, contextlib.suppress(OSError):
            if self._fd >= 0 and self._is_mine() and not os.fstat(self._fd).st_nlink:
                held = Path(f"/proc/self/fd/{self._fd}").read_bytes()
                _make_folders(self.path.parent, self._unsynced)
                self._unsynced.append(self.path.parent)
                with contextlib.suppress(StorageError):
                    replace(self.path, held, durable=False)
                    fd = open_to_write(self.path, os.O_WRONLY)
                    os.close(self._fd)
                    self._fd = fd
                    return True
        return False

    def is_ours_alone(self) -> bool:
        """Whether the file is as long as what was appended: False once somebody else has written to
        it, or cut it.
        """
        with self.lock:
            if self._fd < 0 or not self._is_mine():
                return True
            try:
                return os.fstat(self._fd).st_size == self.size_bytes
            except OSError:
                return True

    def trim(self) -> None:
        """Cut off what a short write left behind the last acknowledged byte; needs no space.
        Failures are ignored.
        """
        with self.lock, contextlib.suppress(OSError):
            if self._fd >= 0 and self._is_mine():
                twice("cut", self.path, lambda: os.ftruncate(self._fd, self.size_bytes))

    def sync(self) -> None:
        """Make what was appended survive the death of the node, if anything was, and the file's own
        name.
        """
        with self.lock:
            if self._fd >= 0 and self._is_mine():
                try:
                    self._sync()
                except OSError as error:
                    raise _failed("sync", self.path, error) from error

    def close(self) -> None:
        """Close the file; nothing can be appended after it."""
        with self.lock:
            self._owner = -1
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


class FixedFile:
    """A small file of fixed size, overwritten in place: a heartbeat. It is not durable, and a
    reader may see the old text or the new one. A link or a pipe of its name is an error: nobody but
    us makes the file.
    """

    def __init__(self, path: Path, *, size_bytes: int) -> None:
        self.path = path
        self._size_bytes = size_bytes
        try:
            how = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = twice("create", path, lambda: open_to_write(path, how))
        except OSError as error:
            raise _failed("create", path, error) from error

    def write(self, text: str) -> None:
        """Overwrite the file; a text longer than the file is an error of ours. A full disk is let
        be: the reader sees a heartbeat that stands still.
        """
        data = text.encode().ljust(self._size_bytes - 1) + b"\n"
        if len(data) != self._size_bytes:
            raise ValueError(f"{text!r} is longer than {self._size_bytes - 1} bytes")
        with contextlib.suppress(OSError):
            twice("write", self.path, lambda: os.pwrite(self._fd, data, 0))

    def close(self) -> None:
        """Close the file; its text stays."""
        os.close(self._fd)


def read_fixed(path: Path) -> str:
    """The text of a `FixedFile`; "" where there is none yet."""
    try:
        return read_regular(path, MOST_FIXED_BYTES).decode(errors="replace").strip()
    except OSError:
        return ""
