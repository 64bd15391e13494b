"""Looking through every number of the weights, on all cores, a few mebibytes at a time."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from watchkeeper.core.disk.files import open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.manifest.hashing import ChangingFileError, Progress, cores
from watchkeeper.publish.manifest.safe import inside
from watchkeeper.publish.passport.health import numbers
from watchkeeper.publish.passport.health.numbers import Amiss
from watchkeeper.publish.passport.health.places import places_of
from watchkeeper.publish.passport.tensors.inventory import Inventory
from watchkeeper.publish.passport.tensors.tensor import Span

PIECE_BYTES = 8 * 2**20
"""Read at a time, by each thread; a multiple of the bytes of every type's number."""
_JOB_BYTES = 64 * 2**20
"""What a thread takes at a time: a file is opened once for as much."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of the weights' numbers. `scanned_tensors` were looked through whole; `amiss`
    are those that hold NaN or infinity, by name. `unscanned` maps why tensors were not looked at to
    their files or, where it is the tensor's own reason, their names.
    """

    scanned_tensors: int
    amiss: dict[str, Amiss]
    unscanned: dict[str, list[str]]

    @property
    def total(self) -> Amiss:
        """What is amiss in all tensors."""
        total = Amiss()
        for one in self.amiss.values():
            total = total.plus(one)
        return total


class _Job(NamedTuple):
    """Pieces of one file, of `_JOB_BYTES` at the most."""

    place: Path
    spans: tuple[Span, ...]


def need_numpy() -> None:
    """See that there is NumPy.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("numpy") is None:
        raise UsageError(
            "looking for NaN needs NumPy", hint="type: pip install numpy", code="not-installed"
        )


def scan(root: Path, inventory: Inventory, progress: Progress | None = None) -> Health:
    """Look through the numbers of every weight file. Bytes are read, and nothing is run.

    Raises:
        UsageError: NumPy is not installed.
        ChangingFileError: a file became shorter meanwhile.
        OSError: a file cannot be read.
    """
    need_numpy()
    unscanned: dict[str, list[str]] = {}
    spans: list[tuple[Path, Span]] = []
    for file in inventory.files:
        place = inside(root, file.path)
        places = places_of(place, file)
        if places.why:
            unscanned.setdefault(f"it {places.why}", []).append(file.path)
        for name in places.unplaced:
            unscanned.setdefault("its numbers do not lie side by side", []).append(name)
        for span in places.spans:
            why = _why_not(span.dtype)
            if why:
                unscanned.setdefault(why, []).append(span.name)
            else:
                spans.append((_place_of(root, file.path, span), span))
    amiss = _Scanner(progress).scan_all(_jobs(spans))
    tensors = {(place, span.name) for place, span in spans}
    return Health(scanned_tensors=len(tensors), amiss=amiss, unscanned=unscanned)


def _place_of(root: Path, path: str, span: Span) -> Path:
    """The file in which a tensor's numbers lie: the weight file, or one beside it."""
    if not span.file:
        return inside(root, path)
    return inside(root, str(PurePosixPath(path).parent / span.file))


def _why_not(dtype: str) -> str:
    """Why numbers of a type are not looked at; "": they are."""
    if numbers.size_of(dtype) or numbers.is_whole(dtype):
        return ""
    return f"numbers of the type {dtype} are not looked at here"


def _jobs(spans: Iterable[tuple[Path, Span]]) -> Iterator[_Job]:
    """The spans in pieces, as jobs for threads. A tensor larger than a job is spread over many.

    A job is of one file, which its thread opens once. Whole numbers hold no NaN, and are passed
    over.
    """
    waiting: list[Span] = []
    waiting_bytes = 0
    before: Path | None = None
    for place, span in spans:
        if numbers.is_whole(span.dtype):
            continue
        for piece in _pieces(span):
            if before is not None and (place != before or waiting_bytes >= _JOB_BYTES):
                yield _Job(before, tuple(waiting))
                waiting, waiting_bytes = [], 0
            before = place
            waiting.append(piece)
            waiting_bytes += piece.size_bytes
    if before is not None:
        yield _Job(before, tuple(waiting))


def _pieces(span: Span) -> Iterator[Span]:
    """The places of a tensor's numbers in pieces, so that the memory that a scan takes is
    bounded.
    """
    for at in range(0, span.size_bytes, PIECE_BYTES):
        length = min(PIECE_BYTES, span.size_bytes - at)
        yield Span(span.name, span.dtype, span.begin + at, length)


class _Scanner:
    """Looks through jobs in threads: NumPy and read give up the interpreter's lock."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._own = threading.local()

    def scan_all(self, jobs: Iterable[_Job]) -> dict[str, Amiss]:
        """What is amiss, by tensor, in the order of the jobs; tensors that are sound are left
        out.
        """
        amiss: dict[str, Amiss] = {}
        pool = ThreadPoolExecutor(cores())
        try:
            for outcome in pool.map(self._scan, jobs):
                for name, one in outcome.items():
                    amiss[name] = amiss.get(name, Amiss()).plus(one)
        finally:
            pool.shutdown(cancel_futures=True)
        return amiss

    def _scan(self, job: _Job) -> dict[str, Amiss]:
        """What is amiss in the tensors of one job, by name; those that are sound are left out."""
        amiss: dict[str, Amiss] = {}
        with open_regular(job.place) as file:
            for piece in job.spans:
                one = numbers.count(piece.dtype, self._read(file, job.place, piece))
                if any(one):
                    amiss[piece.name] = amiss.get(piece.name, Amiss()).plus(one)
        return amiss

    def _read(self, file: BufferedReader, place: Path, piece: Span) -> memoryview:
        """The bytes of a piece, in this thread's own buffer."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = memoryview(bytearray(PIECE_BYTES))
        data: memoryview = self._own.buffer[: piece.size_bytes]
        count = 0
        while count < piece.size_bytes:
            more = os.preadv(file.fileno(), [data[count:]], piece.begin + count)
            if more == 0:
                raise ChangingFileError(
                    f"{place.name} became shorter while it was read",
                    hint="wait until the checkpoint is complete, then type the same command again",
                )
            count += more
        self._report(count)
        return data

    def _report(self, count: int) -> None:
        if self._progress is not None:
            with self._lock:
                self._progress(count)
