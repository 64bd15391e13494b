"""The files that a user names: weights, and results in the formats that say what they hold.

A fingerprint is no checksum: of a file over 4 MiB only the first and the last MiB are read, so that
a look at a large checkpoint stays cheap.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.events import Evidence, Number
from watchkeeper.tools import file_formats, globs
from watchkeeper.tools.promise import Finding, Verdict

LOOKED_AT = "files, formats and sizes"
_WHOLE_BYTES = 4 * 2**20
_SAMPLE_BYTES = 2**20
_MOST_NAMES = 3  # of files, in a message
_INDEX = ".index.json"
PAPERS = frozenset(
    {
        "MODEL_PASSPORT.json",
        "SIGNOFF.json",
        "CHECKPOINT_MANIFEST.json",
        "model.sig",
        "SIGNOFF.sig.json",
        "SHA256SUMS",
    }
)
"""What is written into a checkpoint about it: it is the same checkpoint with and without them."""


def shown(folder: Path, path: Path) -> str:
    """The path as it is shown: relative to the experiment where it lies inside it."""
    beginning = f"{folder}/"  # of ten thousand paths, each: pathlib takes ten times as long
    return file_formats.printable(str(path).removeprefix(beginning))


class Stamp(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which file or folder lies at a path, and whether it is still as it was: the time of its last
    write, and that of its last change of any kind, are in nanoseconds since 1970.
    """

    path: str
    device: int
    inode: int
    size_bytes: int
    written_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Stamp:
        """That of a path with this status."""
        return cls(
            path,
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a result; `name` is relative to the result, `shown` to the experiment."""

    path: Path
    name: str
    shown: str
    size_bytes: int
    modified: datetime | None
    stamp: Stamp

    def evidence(self, what: str) -> Evidence:
        """What a look at it saw."""
        return Evidence(
            source=self.shown, what=what, size_bytes=self.size_bytes, modified=self.modified
        )


def _file(folder: Path, root: Path, path: Path) -> File | None:
    """The file; None for what is neither a file nor a link to one (a socket, a dangling link)."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            return None
        raise
    if not stat.S_ISREG(status.st_mode):
        return None
    if path == root:
        name = path.name
    else:
        name = str(path).removeprefix(f"{root}/")
    try:
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError):
        modified = None  # a time outside the calendar
    return File(
        path=path,
        name=name,
        shown=shown(folder, path),
        size_bytes=status.st_size,
        modified=modified,
        stamp=Stamp.of(str(path), status),
    )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What lies at a path: the files, all below it where it is a `whole` folder, else itself.
    `stamps` are those of the files and of the folders they lie in; () where what counts may change
    without them: something else lies there too (a dangling link, a socket) and may become a file,
    or an index names hidden shards.
    """

    whole: bool
    files: list[File]
    stamps: tuple[Stamp, ...]


def place(folder: Path, path: Path) -> Place:
    """Look at what lies at `path`. `folder` is the experiment's.

    Raises:
        OSError: a folder or a file's status cannot be read.
    """
    whole = path.is_dir()
    paths = [path]
    folders: list[tuple[str, os.stat_result]] = []
    if whole:
        paths, folders = globs.files_below(path)
    files: list[File] = []
    for one in paths:
        file = _file(folder, path, one)
        if file is not None:
            files.append(file)
    stamps: list[Stamp] = []
    has_index = any(file.name.endswith(_INDEX) for file in files)
    if len(files) == len(paths) and not has_index:
        stamps = [Stamp.of(name, status) for name, status in folders]
        stamps += [file.stamp for file in files]
    return Place(whole=whole, files=files, stamps=tuple(stamps))


def checkpoint(
    subject: str, shown: str, files: Sequence[File], formats: Sequence[str] = ()
) -> Finding:
    """A folder that holds weights, or a file of weights: all of them whole, and no shard of an
    index missing. `formats` are the suffixes that the experiment adds to the usual ones.
    """
    indices, checked, weights = _parted(files, formats)
    if not weights and not indices:
        return _without_weights(subject, shown, files, formats)
    evidence = [file.evidence("weights") for file in weights]
    evidence += [file.evidence("index") for file in indices]
    faults = _faults([*checked, *indices])
    if faults:
        return Finding(
            subject=subject,
            state=_verdict(weights, faults),
            path=shown,
            why=_why(faults),
            evidence=tuple(evidence),
        )
    size_bytes = sum(file.size_bytes for file in weights)
    made = [(file.name, file.path) for file in files if file.name not in PAPERS]
    return Finding(
        subject=subject,
        state="good",
        path=shown,
        why=f"{_counted(weights, 'weights file')}, {size_bytes:,} bytes",
        evidence=tuple(evidence),
        fingerprint=fingerprint(made),
    )


def _parted(
    files: Sequence[File], formats: Sequence[str]
) -> tuple[list[File], list[File], list[File]]:
    """The indices; the files in a format of weights; and those of these that are weights, what is
    evaluated first.
    """
    indices: list[File] = []
    checked: list[File] = []
    for file in files:
        if file.name.endswith(_INDEX):
            indices.append(file)
        elif file_formats.is_weights_format(file.name, formats):
            checked.append(file)
    weights = [file for file in checked if file_formats.is_weights(file.name, formats)]
    weights.sort(key=_is_adapter)
    return indices, checked, weights


def _without_weights(
    subject: str, shown: str, files: Sequence[File], formats: Sequence[str]
) -> Finding:
    """A checkpoint without weights: what it holds instead, which suffixes count, and how to add
    others.
    """
    if not files:
        why = f"{shown} holds no weights: it holds no file"
        return Finding(subject=subject, state="empty", path=shown, why=why)
    names = ", ".join(file_formats.short(file.name) for file in files[:_MOST_NAMES])
    if len(files) > _MOST_NAMES:
        names += f" and {len(files) - _MOST_NAMES} more"
    usual = sorted(file_formats.WEIGHTS)
    suffixes = ", ".join(dict.fromkeys([*usual, *formats]))
    return Finding(
        subject=subject,
        state="empty",
        path=shown,
        why=f"{shown} holds no weights: {names}",
        advice=(
            f"files of weights end in {suffixes}; add the suffix of another format to "
            "output.checkpoint_formats"
        ),
    )


def _faults(parts: Sequence[File]) -> list[tuple[File, Verdict, str]]:
    """The faults of a checkpoint's weights and indices, in the order of the files."""
    faults = (_fault(file, _check_part) for file in parts)
    return [fault for fault in faults if fault is not None]


def _is_adapter(file: File) -> bool:
    return Path(file.name).name.startswith("adapter")


def _verdict(weights: Sequence[File], faults: Sequence[tuple[File, Verdict, str]]) -> Verdict:
    """The verdict on faulty files: "empty" where each file of weights is, else "damaged"."""
    empty = [file for file, state, _ in faults if state == "empty"]
    if not weights:
        return "damaged"
    if any(file not in empty for file in weights):
        return "damaged"
    return "empty"


def _why(faults: Sequence[tuple[File, Verdict, str]]) -> str:
    """The first fault, and how many more there are."""
    why = faults[0][2]
    if len(faults) > 1:
        why += f" (and {len(faults) - 1} more)"
    return why


def _check_part(file: File) -> None:
    """See that a file of a checkpoint is whole: weights by their format, an index by the shards
    that it names.

    Raises:
        EmptyError, FaultError, OSError: as `check_weights` and `check_index`.
    """
    if file.name.endswith(_INDEX):
        file_formats.check_index(file.path)
    else:
        file_formats.check_weights(file.path, file.size_bytes)


def _fault(file: File, check: Callable[[File], None]) -> tuple[File, Verdict, str] | None:
    """What the check finds wrong with the file; None if nothing."""
    try:
        check(file)
    except file_formats.FaultError as fault:
        state: Verdict = "empty" if isinstance(fault, file_formats.EmptyError) else "damaged"
        return file, state, file_formats.printable(f"{file.shown} {fault}")
    return None


def read(file: File) -> tuple[dict[str, Number], str, str]:
    """A result's metrics; what it says of itself, and what is odd about it, are for formats that
    have words for it.

    Raises:
        FaultError: it holds nothing, or is torn.
        OSError: it cannot be read.
    """
    return file_formats.read_result(file.path, file.size_bytes), "", ""


def result(
    subject: str,
    shown: str,
    files: Sequence[File],
    reader: Callable[[File], tuple[dict[str, Number], str, str]],
) -> Finding:
    """One file: it holds something, and what its format says it should. `reader` gives a good one's
    metrics, what it says of itself, and what is odd about it.
    """
    if not files:
        return Finding(subject=subject, state="damaged", path=shown, why=f"{shown} is no file")
    evidence = (files[0].evidence("result"),)
    read: list[tuple[dict[str, Number], str, str]] = []
    fault = _fault(files[0], lambda file: read.append(_full(reader, file)))
    if fault is not None:
        return Finding(subject=subject, state=fault[1], path=shown, why=fault[2], evidence=evidence)
    ((metrics, words, caution),) = read
    return Finding(
        subject=subject,
        state="good",
        path=shown,
        why="; ".join(filter(None, [f"{files[0].size_bytes:,} bytes", words])),
        evidence=evidence,
        fingerprint=fingerprint([(files[0].name, files[0].path)]),
        metrics=metrics,
        caution=caution,
    )


def _full(
    reader: Callable[[File], tuple[dict[str, Number], str, str]], file: File
) -> tuple[dict[str, Number], str, str]:
    """What a reader says of a file; EmptyError: the file holds nothing."""
    if file.size_bytes == 0:
        raise file_formats.EmptyError("holds 0 bytes")
    return reader(file)


def output(subject: str, shown: str, files: Sequence[File]) -> Finding:
    """A file that holds something, or a folder with such a file in it; and it can be read. The
    figures of a single file in a result's format are its metrics.

    Raises:
        OSError: a file cannot be read.
    """
    full = [file for file in files if file.size_bytes > 0]
    if full:
        finding = result_folder(subject, shown, files)
        return msgspec.structs.replace(finding, metrics=_figures_of(files))
    why = f"{shown} is empty" if files else f"{shown} holds no file"
    return Finding(subject=subject, state="empty", path=shown, why=why)


def _figures_of(files: Sequence[File]) -> dict[str, Number]:
    """The figures in a single file of a result's format; {} for anything else. That a file holds
    figures was not promised: one that does not is good all the same.
    """
    if len(files) != 1:
        return {}
    try:
        return file_formats.read_result(files[0].path, files[0].size_bytes)
    except file_formats.FaultError:
        return {}


def fingerprint_of(fingerprints: Sequence[str]) -> str:
    """One fingerprint of several; that of a single one is its own."""
    if len(fingerprints) == 1:
        return fingerprints[0]
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


def result_folder(subject: str, shown: str, files: Sequence[File]) -> Finding:
    """A folder: at least one of its files holds something.

    `shown` is its path as messages have it. All files count for the fingerprint, empty ones too.
    """
    full = [file for file in files if file.size_bytes > 0]
    if not full:
        what = "only empty files" if files else "no file"
        return Finding(subject=subject, state="empty", path=shown, why=f"{shown} holds {what}")
    size_bytes = sum(file.size_bytes for file in full)
    return Finding(
        subject=subject,
        state="good",
        path=shown,
        why=f"{_counted(full, 'file')}, {size_bytes:,} bytes",
        evidence=tuple(file.evidence("result") for file in full),
        fingerprint=fingerprint([(file.name, file.path) for file in files]),
    )


def _counted(files: Sequence[File], what: str) -> str:
    """`1 file`, `3 weights files`."""
    if len(files) == 1:
        return f"1 {what}"
    return f"{len(files)} {what}s"


def fingerprint(files: list[tuple[str, Path]]) -> str:
    """The sha256 over the files' names, sizes and samples: a file's whole content up to 4 MiB, else
    its first and last MiB. It changes with what it reads, never with the files' times or their
    order.

    Raises:
        OSError: a file cannot be read.
    """
    total = hashlib.sha256()
    for name, path in sorted(files):
        encoded = os.fsencode(name)
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            total.update(b"%d %d %s\n" % (len(encoded), size, encoded))
            if size <= _WHOLE_BYTES:
                sample = read_most(file, _WHOLE_BYTES)
            else:
                sample = file.read(_SAMPLE_BYTES)
                file.seek(-_SAMPLE_BYTES, os.SEEK_END)
                sample += file.read(_SAMPLE_BYTES)
        total.update(hashlib.sha256(sample).digest())
    return total.hexdigest()
