"""The tracks of a file of rows, read as far as it has grown, in memory and in the user's cache
folder.

What is kept counts only while it is certain that the file has merely grown: it is the same file
(device, inode, first line), and ends a line with the same bytes where reading ended. In doubt it is
read again from the beginning. The cache is disposable: a file of it that is missing, damaged, of
another user or of another version costs time, and one that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from array import array
from pathlib import Path
from typing import BinaryIO

import msgspec

from watchkeeper.core.disk.files import open_regular, replace
from watchkeeper.core.disk.user_cache import folder as cache_folder
from watchkeeper.core.disk.user_cache import read_own
from watchkeeper.core.errors import StorageError
from watchkeeper.core.version import SOFTWARE
from watchkeeper.query.series.reader import Piece, Values, pieces
from watchkeeper.query.series.smoothing import default_smoothing
from watchkeeper.query.series.track import At, Track, cuts_of

RAW_BYTES = 4 * 2**20
"""Of a file up to this size the values are not kept on disk: they are read as fast."""
MOST_BYTES = 256 * 2**20
"""Of a file in the cache: a larger one is not read."""
KEPT_BYTES = 256 * 1024
"""A smaller file is not kept on disk."""
_GROWN = 0.05  # by so much a file has grown before it is kept again
_FORMAT = 1  # to rise with each change of what a track means
_HASH_BYTES = 32
_EDGE_BYTES = 256  # of the first line and of the last one that was read


class Identity(msgspec.Struct, frozen=True, array_like=True):
    """Which file it is, and by which bytes that is seen: `head` are the first of its first line,
    `tail` the last before `offset`, which is how far it was read.
    """

    device: int
    inode: int
    head: bytes
    tail: bytes
    offset: int


class _KeptTrack(msgspec.Struct, array_like=True):
    cells: bytes
    rows: int
    raw: tuple[bytes, bytes, bytes] | None
    averages: dict[str, bytes]


class _Kept(msgspec.Struct, array_like=True):
    format: int
    software: str
    path: str
    identity: Identity
    rows: int
    tracks: dict[str, _KeptTrack]


_decoder = msgspec.msgpack.Decoder(_Kept)
_encoder = msgspec.msgpack.Encoder()


class FileTracks:
    """The tracks of one file of rows, by metric. `rows` were read of its first `offset` bytes;
    `last_time` is when the last of them was written, None for none. `is_damaged`: a line was no
    row, or not yet; such a file is read anew each time it has changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tracks: dict[str, Track] = {}
        self.rows = 0
        self.offset = 0
        self.kept_offset = 0
        self.is_damaged = False
        self.seen: tuple[int, ...] = ()
        self.identity: Identity | None = None

    @property
    def figures(self) -> int:
        """About how many numbers it holds in memory."""
        return sum(track.figures for track in self.tracks.values())

    @property
    def last_time(self) -> float | None:
        """When the last row was written, in seconds since 1970; None without values."""
        if not self.tracks:
            return None
        return self.newest_time

    @property
    def newest_time(self) -> float:
        """The same of a file that has values.

        Raises:
            ValueError: it has none.
        """
        return max(track.block(-1)[At.TIME] for track in self.tracks.values())

    def copy(self) -> FileTracks:
        """The same tracks, to grow while others read these."""
        file = FileTracks(self.path)
        file.rows, file.offset, file.kept_offset = self.rows, self.offset, self.kept_offset
        file.tracks = {metric: track.copy() for metric, track in self.tracks.items()}
        return file

    @property
    def is_worth_keeping(self) -> bool:
        """Whether the cache should have it: it is long, sound, and has grown by much."""
        if self.is_damaged or self.offset < KEPT_BYTES:
            return False
        return self.offset - self.kept_offset > _GROWN * self.offset

    def is_still(self, path: Path) -> bool:
        """Whether the file has merely grown since it was read.

        Raises:
            OSError: the file cannot be read.
        """
        if self.is_damaged or self.identity is None:
            return False
        return identify(path, self.offset) == self.identity

    def grow(self) -> None:
        """Read what was added to the file.

        Raises:
            OSError: the file cannot be read.
        """
        for piece in pieces(self.path, self.offset):
            self._take(piece)

    def _take(self, piece: Piece) -> None:
        """Take a piece of rows into the tracks of its metrics. Metrics of the same rows share where
        they are cut.
        """
        shared: dict[int, list[int]] = {}
        expected = self._expected_smoothing(piece)
        for metric, values in piece.metrics.items():
            cuts = shared.get(id(values.steps))
            if cuts is None:
                cuts = shared[id(values.steps)] = cuts_of(values.steps, values.times)
            track = self.tracks.get(metric)
            if track is None:
                track = self.tracks[metric] = Track()
                if expected:
                    track.averages[expected] = array("d")
            track.add(values, piece.begin, cuts)
        self.rows += piece.rows
        self.offset = piece.end
        self.is_damaged = self.is_damaged or piece.is_damaged

    def _expected_smoothing(self, piece: Piece) -> float:
        """What a chart of the whole file will ask for first, by the length of the file."""
        if not piece.rows:
            return 0.0
        whole = self.path.stat().st_size / (piece.end - piece.begin) * piece.rows
        return default_smoothing(int(whole))


def seen_of(status: os.stat_result) -> tuple[int, ...]:
    """What changes with each write to a file."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_tracks(path: Path, before: FileTracks | None = None, *, keeps: bool = True) -> FileTracks:
    """The tracks of a file as it is now. `before`: those that were read or loaded last. Where it
    `keeps` them, they go into the cache.

    Raises:
        OSError: the file cannot be read.
    """
    seen = seen_of(path.stat())
    if before is not None and before.seen == seen:
        return before
    if before is not None and before.is_still(path):
        file = before.copy()
    else:
        file = FileTracks(path)
    file.grow()
    file.seen = seen
    file.identity = identify(path, file.offset)
    if keeps and file.is_worth_keeping:
        save(file)
    return file


def unread_bytes(path: Path, before: FileTracks | None) -> int:
    """How many bytes of a file were added since these tracks were read; all of them, where it is
    not the same file any more.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    if before is None or not before.is_still(path):
        return status.st_size
    return status.st_size - before.offset


def load(path: Path) -> FileTracks | None:
    """What the cache has of a file; None where that is nothing, or not certain to be of it."""
    try:
        data = read_own(place_of(path), MOST_BYTES)
        if data[:_HASH_BYTES] != _digest(data[_HASH_BYTES:]):
            return None
        kept = _decoder.decode(data[_HASH_BYTES:])
        if (kept.format, kept.software, kept.path) != (_FORMAT, SOFTWARE, os.path.realpath(path)):
            return None
        if identify(path, kept.identity.offset) != kept.identity:
            return None
        return _unpacked(path, kept)
    except (OSError, StorageError, msgspec.DecodeError, ValueError, RecursionError):
        return None


def _unpacked(path: Path, kept: _Kept) -> FileTracks | None:
    """The tracks of a file as they were kept; None where they lack what is needed now."""
    file = FileTracks(path)
    file.rows = kept.rows
    file.offset = file.kept_offset = kept.identity.offset
    file.identity = kept.identity
    file.tracks = {metric: _track(track) for metric, track in kept.tracks.items()}
    is_long = path.stat().st_size > RAW_BYTES
    if is_long and file.offset <= RAW_BYTES:
        return None  # kept without the values that a long file needs
    return file


def _track(kept: _KeptTrack) -> Track:
    """A track from its bytes."""
    track = Track()
    track.cells.frombytes(kept.cells)
    track.raw = None
    if kept.raw is not None:
        steps, times, figures = (list(_array(data)) for data in kept.raw)
        track.raw = [Values(steps, times, figures)]
    track.rows = kept.rows
    track.averages = {float(name): _array(data) for name, data in kept.averages.items()}
    return track


def _array(data: bytes) -> array[float]:
    """Floats from their bytes, in this machine's order: what is kept never leaves it."""
    values = array("d")
    values.frombytes(data)
    return values


def save(file: FileTracks) -> None:
    """Keep what was read; where that cannot be written, nothing happens."""
    is_long = file.offset > RAW_BYTES
    if file.identity is None:
        return
    try:
        tracks = {metric: _packed(track, is_long) for metric, track in file.tracks.items()}
        place = os.path.realpath(file.path)
        data = _encoder.encode(_Kept(_FORMAT, SOFTWARE, place, file.identity, file.rows, tracks))
    except UnicodeEncodeError:
        return
    file.kept_offset = file.offset
    with contextlib.suppress(StorageError, OSError):
        cache = place_of(file.path)
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(cache, _digest(data) + data, durable=False, mode=0o600)


def _packed(track: Track, is_long: bool) -> _KeptTrack:
    """A track as it is kept. Of a short file the values are left out: it is read again as
    quickly.
    """
    raw = None
    values = None
    if is_long:
        values = track.values()
    if values is not None:
        raw = (_bytes(values.steps), _bytes(values.times), _bytes(values.figures))
    averages = {repr(name): sums.tobytes() for name, sums in track.averages.items()}
    return _KeptTrack(track.cells.tobytes(), track.rows, raw, averages)


def _bytes(figures: list[float]) -> bytes:
    """Floats as bytes."""
    return array("d", figures).tobytes()


def identify(path: Path, offset: int) -> Identity:
    """Which file lies there, as far as it was read."""
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        head = file.readline(_EDGE_BYTES)
        tail = _before(file, offset)
    return Identity(status.st_dev, status.st_ino, head, tail, offset)


def _before(file: BinaryIO, offset: int) -> bytes:
    """The last bytes before an offset of a file: if they are still the same, the file only grew."""
    begin = max(0, offset - _EDGE_BYTES)
    file.seek(begin)
    return file.read(offset - begin)


def place_of(path: Path) -> Path:
    """Where the cache keeps the tracks of a file."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:32]
    return cache_folder() / "rows" / name[:2] / f"{name}.tracks"


def _digest(data: bytes) -> bytes:
    """A short hash of bytes."""
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).digest()
