"""Where acknowledged bytes wait while the filesystem that they are for hangs.

A write that hangs cannot be interrupted: whoever makes it waits as long as the filesystem does. So
that it happens once and not again and again, a `SpillingFile` whose write has taken longer than
`SLOW_S` keeps what comes next in a file on this node's own disk, preallocated, at the same offsets,
and a thread brings it over. There it survives the death of the process as it would in its place;
what a dead process left is brought over by `recover`, or by the wrapper around its job.

    $TMPDIR/watchkeeper-spill-UID/NAME.bytes     the bytes, from BASE on
    $TMPDIR/watchkeeper-spill-UID/NAME.word      lines: format, target, base, attempt ("" for none),
    and whose it is

Accepted trade-offs: until it is brought over a spill is lost with the node, or with a job's private
/tmp; with no local disk to spill to, every write waits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
import time
import weakref
from pathlib import Path
from typing import NamedTuple

import msgspec

from watchkeeper.core import processes
from watchkeeper.core.disk import node
from watchkeeper.core.disk.files import AppendFile, open_regular, open_to_write, read_whole
from watchkeeper.core.disk.records import decode_record
from watchkeeper.core.errors import StorageError

SLOW_S = 0.1  # a write that takes longer has met a filesystem that hangs
CALM_S = 600.0  # without a slow write, before a file is written to directly again
ROOM_BYTES = 16 * 2**20  # of one file, that may wait
LOOK_S = 0.1  # between two looks for what has come
AGAIN_S = 1.0  # after an error of the target
# errors in a row, when the file is to be closed, before its bytes are left where they are
PATIENCE = 5
FORMAT = "watchkeeper spill 1"
BYTES, WORD = ".bytes", ".word"

_CHUNK = 2**20
_NAME = "watchkeeper-spill"


class Word(NamedTuple):
    """What lies beside a spill's bytes."""

    target: Path
    base: int
    attempt: str
    owner: processes.ProcessName

    def text(self) -> str:
        """The file's text: bash reads it too."""
        owner = msgspec.json.encode(self.owner).decode()
        return "\n".join((FORMAT, str(self.target), str(self.base), self.attempt, owner, ""))


class SpillingFile(AppendFile):
    """An `AppendFile` that meets a hanging filesystem once in ten minutes at most. What must be
    durable, `sync` and `close` wait for it.
    """

    def __init__(self, path: Path, *, resume_at: int | None = None) -> None:
        super().__init__(path, resume_at=resume_at)
        self._spill: _Spill | None = None
        self._device = -1
        _files.add(self)

    @property
    def spilling(self) -> bool:
        """Whether what is appended goes to the node's own disk first."""
        return self._spill is not None

    def append(self, data: bytes, *, durable: bool = False) -> None:
        """As `AppendFile.append`."""
        if durable:
            self._settle()
        began = time.perf_counter()
        super().append(data, durable=durable)
        if time.perf_counter() - began > SLOW_S:
            self.was_slow()

    def was_slow(self) -> None:
        """A write has just taken longer than `SLOW_S`: later ones are not to, nor those to its
        neighbours there.
        """
        try:
            neighbours = list(_files)
        except (
            RuntimeError
        ):  # another thread opens one just now; the others get to know by a slow write of their own
            neighbours = [self]
        for file in neighbours:
            if file._device == self._device and file.put == file._put:
                # Its lock may be held by a thread that hangs, so nothing is done but this: one
                # assignment.
                file.put = file._put_from_now_on

    def came_over(self) -> None:
        """Everything is in its place, and the lock is held: write there again."""
        self._spill = None
        self.put = self._put

    def sync(self) -> None:
        """Wait until all is in its place, and fsync it.

        Raises:
            StorageError: the target takes no more; what could not be brought over is kept on the
                node.
        """
        self._settle()
        super().sync()

    def revive(self) -> bool:
        """As `AppendFile.revive`; not where a write was slow, since to look may hang."""
        return self.put == self._put and super().revive()

    def is_ours_alone(self) -> bool:
        """As `AppendFile.is_ours_alone`; not looked at where a write was slow, since to look may
        hang.
        """
        return self.put != self._put or super().is_ours_alone()

    def trim(self) -> None:
        """As `AppendFile.trim`; behind a spill nothing is torn for long."""
        if not self.spilling:
            super().trim()

    def close(self) -> None:
        """Wait until all is in its place, and close the file; what could not be brought over is
        kept on the node.
        """
        try:
            with contextlib.suppress(StorageError):
                self._settle()
        finally:
            super().close()

    def _open(self) -> None:
        """As any file that is appended to; which disk it lies on is remembered."""
        super()._open()
        self._device = os.fstat(self._fd).st_dev

    def _put_from_now_on(self, data: bytes) -> None:
        """Write on the node's own disk from now on, since the file's filesystem hangs."""
        # Without room on the node, or without threads at the interpreter's end: it stays as it is.
        self.put = self._put
        if self._is_mine() and self._fd >= 0:
            with contextlib.suppress(OSError, RuntimeError):
                self._spill = _Spill(self, self._fd)
                self.put = self._put_aside
        self.put(data)

    def _put_aside(self, data: bytes) -> None:
        """Write on the node's own disk, at the offsets that the data will have in the file."""
        self._check_owner()
        assert self._spill is not None
        self._spill.put(data, self.size_bytes)
        self.size_bytes += len(data)

    def _settle(self) -> None:
        """Bring over what is still on the node's own disk, and end that."""
        spill = self._spill
        if spill is not None and self._is_mine():
            spill.finish()


_files: weakref.WeakSet[SpillingFile] = weakref.WeakSet()


class _Kept:
    """A file on the node's own disk for the bytes of `target` from `base` on."""

    def __init__(self, target: Path, base: int) -> None:
        """Raises OSError where nothing can be kept."""
        attempt = os.environ.get("WATCHKEEPER_ATTEMPT", "")
        if "\n" in f"{target}{attempt}":
            raise OSError(errno.EINVAL, "a name with a newline")
        self.base, self.end = base, base + ROOM_BYTES
        self.path = node.folder(_NAME) / f"{secrets.token_hex(8)}{BYTES}"
        self._fd = open_to_write(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(self._fd, base, ROOM_BYTES)
            word = Word(target.absolute(), base, attempt, processes.this_process())
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text(word.text(), "utf-8", "surrogateescape")
            temporary.replace(self.path.with_suffix(WORD))
        except OSError:
            self.remove()
            raise

    def put(self, data: bytes, at: int) -> None:
        """Keep these bytes for the target's offset `at`; raises OSError."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._fd, view, at)
            view, at = view[written:], at + written

    def piece(self, at: int, size: int) -> bytes:
        """So many bytes from the target's offset `at` on; raises OSError."""
        return os.pread(self._fd, size, at)

    def remove(self) -> None:
        """All of it is in its place."""
        with contextlib.suppress(OSError):
            self.path.with_suffix(WORD).unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        os.close(self._fd)


class _Spill:
    """The bytes of one file that wait, and the thread that brings them over."""

    def __init__(self, file: SpillingFile, target_fd: int) -> None:
        """Raises OSError or RuntimeError where nothing can be kept."""
        self._file = file
        self._target_fd = target_fd
        self._done = file.size_bytes  # everything before it is in its place
        self._calm_since = time.monotonic()
        self._closing = threading.Event()
        self._error = ""
        self._kept = _Kept(file.path, self._done)
        self._thread = threading.Thread(
            target=self._run, name=f"watchkeeper spill of {file.path.name}", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:
            self._kept.remove()
            raise

    def put(self, data: bytes, at: int) -> None:
        """Keep these bytes for the target's offset `at`; the file's lock is held.

        Raises:
            StorageError: too many wait, or the node's disk takes none.
        """
        if at + len(data) > self._kept.end:
            message = (
                f"{self._file.path} takes nothing, and {ROOM_BYTES >> 20} MB wait for it on "
                "this node"
            )
            raise StorageError(message, hint="its filesystem hangs or is full: look at the folder")
        try:
            self._kept.put(data, at)
        except OSError as error:
            message = (
                f"could not keep bytes of {self._file.path} in {self._kept.path}: {error.strerror}"
            )
            raise StorageError(message) from error

    def finish(self) -> None:
        """Wait until everything is in its place and the file is written to directly.

        Raises:
            StorageError: the target refuses; the bytes are kept.
        """
        self._closing.set()
        self._thread.join()
        if self._file.spilling:
            raise StorageError(
                (
                    f"the end of {self._file.path} could not be written ({self._error}); it is "
                    f"kept in {self._kept.path}"
                ),
                hint="the next recorded run on this node brings it over",
            )

    def _run(self) -> None:
        """Bring over what was written aside, again and again, until the filesystem is calm or the
        file is closed. What fails is tried again; after the close a few times only.
        """
        faults = 0
        while not self._closing.is_set() or faults < PATIENCE:
            try:
                moved = self._bring_over()
                faults = 0
            except OSError as error:
                faults, self._error, self._calm_since = (
                    faults + 1,
                    error.strerror or str(error),
                    time.monotonic(),
                )
                time.sleep(AGAIN_S)
                continue
            if not moved:
                if self._settled():
                    return
                self._closing.wait(LOOK_S)

    def _bring_over(self) -> bool:
        """One piece of what waits; False where nothing does."""
        waits = self._file.size_bytes - self._done
        if waits <= 0:
            return False
        piece = self._kept.piece(self._done, min(waits, _CHUNK))
        began = time.monotonic()
        self._done += os.pwrite(self._target_fd, piece, self._done)
        if time.monotonic() - began > SLOW_S:
            self._calm_since = time.monotonic()
        return True

    def _settled(self) -> bool:
        """Go back to the target if nothing waits and it has been quick for long. Else make room."""
        with self._file.lock:
            waits = self._file.size_bytes - self._done
            if not waits and (
                self._closing.is_set() or time.monotonic() - self._calm_since > CALM_S
            ):
                self._file.came_over()
                self._kept.remove()
                return True
            if self._done - self._kept.base > ROOM_BYTES // 2:
                with contextlib.suppress(OSError):
                    afresh = _Kept(self._file.path, self._done)
                    afresh.put(self._kept.piece(self._done, waits), self._done)
                    self._kept.remove()
                    self._kept = afresh
            return False


def recover() -> list[Path]:
    """Bring over what dead processes of this user left on this node, and return the files that got
    it. What cannot be brought over stays. Raises nothing.
    """
    recovered = []
    for folder in node.folders(_NAME):
        for path in (
            sorted(folder.glob(f"*{WORD}")) if folder.is_dir() and node.is_ours(folder) else ()
        ):
            with contextlib.suppress(OSError, ValueError):
                target = _recover(path)
                if target is not None:
                    recovered.append(target)
    return recovered


def read_word(path: Path) -> Word:
    """The word beside a spill's bytes.

    Raises:
        OSError, ValueError: it is none.
    """
    form, target, base, attempt, owner, _ = (
        read_whole(path).decode("utf-8", "surrogateescape").split("\n")
    )
    if form != FORMAT:
        raise ValueError(form)
    return Word(
        Path(target), int(base), attempt, decode_record(owner.encode(), processes.ProcessName)
    )


def _recover(path: Path) -> Path | None:
    """Bring over what a dead process left aside, as its word at `path` says; where it is now, or
    None: the process lives, or is another node's. Bringing over twice is bringing over once. Where
    the file has other bytes there by now, a file beside it takes them.
    """
    word = read_word(path)
    # Another boot of this host ended every process of the one before.
    if word.owner.host != processes.host() or processes.is_alive(word.owner):
        return None
    kept = path.with_suffix(BYTES)
    with open_regular(kept) as file:
        file.seek(word.base)
        data = file.read()
    data = data[: data.rfind(b"\n") + 1]  # a torn line was never acknowledged
    with word.target.open("r+b") as target:
        target.seek(word.base)
        there = target.read()
        if data.startswith(there):
            target.seek(word.base)
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
            place = word.target
        else:  # somebody has gone on with the file
            place = word.target.with_name(f"{word.target.stem}.{path.stem}{word.target.suffix}")
            place.write_bytes(data)
    kept.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    return place
