"""Evidence: whether what a job promised is there, readable, and holds what it should.

A look is read-only and never raises: what cannot be read is `damaged`, and `why` says so. A fingerprint is no checksum: of
a file over 4 MiB only the first and the last MiB are read, so that a look at a large checkpoint stays cheap.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from watchkeeper.core.events import Evidence, Number
from watchkeeper.tools import formats, places
from watchkeeper.tools.base import Finding, Promise, Verdict

_WHOLE_BYTES = 4 * 2**20
_SAMPLE_BYTES = 2**20
_INDEX = ".index.json"
# The better finding, where several places hold something and none of it is good.
_RANK: dict[Verdict, int] = {"good": 3, "damaged": 2, "empty": 1, "missing": 0}


def look(folder: Path, promise: Promise) -> Finding:
    """Look at a promise's places below the experiment's `folder`, in order, and stop at the first good one.

    Where one pattern has several matches (logs whose names begin with their time), the last good one counts.
    """
    where = " or ".join(places.unescaped(pattern) for pattern in promise.patterns)
    first = places.unescaped(promise.patterns[0]) if promise.patterns else ""
    best = Finding(subject=promise.subject, state="missing", path=first, why=f"nothing at {where}")
    for pattern in promise.patterns:
        try:
            found = places.matches(folder, pattern)
        except OSError as error:
            unseen = _unreadable(folder, promise, Path(error.filename or pattern), error)
            best = max(best, unseen, key=lambda finding: _RANK[finding.state])
            continue
        for path in reversed(found):
            finding = _judge(folder, promise, path)
            if finding.state == "good":
                return finding
            best = max(best, finding, key=lambda finding: _RANK[finding.state])
    return best


def _unreadable(folder: Path, promise: Promise, path: Path, error: OSError) -> Finding:
    shown = _shown(folder, path)
    why = f"{shown} cannot be read: {error.strerror or error}"
    return Finding(subject=promise.subject, state="damaged", path=shown, why=why)


def _shown(folder: Path, path: Path) -> str:
    return formats.printable((path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix())


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """One file of what was found; `name` is relative to what was found, `shown` to the experiment."""

    path: Path
    name: str
    shown: str
    size_bytes: int
    modified: datetime | None

    def evidence(self, what: str) -> Evidence:
        return Evidence(source=self.shown, what=what, size_bytes=self.size_bytes, modified=self.modified)


def _file(folder: Path, root: Path, path: Path) -> _File | None:
    """The file; None for what is neither a file nor a link to one (a socket, a dangling link)."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            return None
        raise
    if not stat.S_ISREG(status.st_mode):
        return None
    name = path.name if path == root else path.relative_to(root).as_posix()
    try:
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError):
        modified = None  # a time outside the calendar
    return _File(path=path, name=name, shown=_shown(folder, path), size_bytes=status.st_size, modified=modified)


def _judge(folder: Path, promise: Promise, path: Path) -> Finding:
    shown = _shown(folder, path)
    try:
        whole = path.is_dir()
        seen = (_file(folder, path, one) for one in (places.files_below(path) if whole else [path]))
        files = [one for one in seen if one is not None]
        judge = _checkpoint if promise.kind == "checkpoint" else _result_folder if whole else _result
        return judge(promise.subject, shown, files)
    except OSError as error:
        return _unreadable(folder, promise, Path(error.filename or path), error)


def _checkpoint(subject: str, shown: str, files: list[_File]) -> Finding:
    """A folder that holds weights, or a file that is some: all of them whole, and no shard of an index missing."""
    checked = [file for file in files if Path(file.name).suffix in formats.WEIGHTS]
    weights = [file for file in checked if formats.is_weights(file.name)]
    indices = [file for file in files if file.name.endswith(_INDEX)]
    evidence = [file.evidence("weights") for file in weights] + [file.evidence("index") for file in indices]
    if not weights and not indices:
        why = f"{shown} holds no weights" + (f" among {_counted(files, 'file')}" if files else ": it holds no file")
        return Finding(subject=subject, state="empty", path=shown, why=why)
    faults = [fault for file in (*checked, *indices) if (fault := _fault(file, _check_part)) is not None]
    if faults:
        hollow = weights and all(any(one is file and state == "empty" for one, state, _ in faults) for file in weights)
        why = faults[0][2] + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
        state: Verdict = "empty" if hollow else "damaged"
        return Finding(subject=subject, state=state, path=shown, why=why, evidence=tuple(evidence))
    why = f"{_counted(weights, 'weights file')}, {sum(file.size_bytes for file in weights):,} bytes"
    print_ = fingerprint([(file.name, file.path) for file in files])
    return Finding(subject=subject, state="good", path=shown, why=why, evidence=tuple(evidence), fingerprint=print_)


def _check_part(file: _File) -> None:
    if file.name.endswith(_INDEX):
        formats.check_index(file.path)
    else:
        formats.check_weights(file.path, file.size_bytes)


def _fault(file: _File, check: Callable[[_File], None]) -> tuple[_File, Verdict, str] | None:
    """What the check finds wrong with the file; None if nothing."""
    try:
        check(file)
    except formats.FaultError as fault:
        state: Verdict = "empty" if isinstance(fault, formats.EmptyError) else "damaged"
        return file, state, formats.printable(f"{file.shown} {fault}")
    return None


def _result(subject: str, shown: str, files: list[_File]) -> Finding:
    """One file: it holds something, and what its format says it should."""
    if not files:
        return Finding(subject=subject, state="damaged", path=shown, why=f"{shown} is no file")
    evidence = (files[0].evidence("result"),)
    metrics: dict[str, Number] = {}
    fault = _fault(files[0], lambda file: metrics.update(formats.read_result(file.path, file.size_bytes)))
    if fault is not None:
        return Finding(subject=subject, state=fault[1], path=shown, why=fault[2], evidence=evidence)
    why = f"{files[0].size_bytes:,} bytes"
    print_ = fingerprint([(files[0].name, files[0].path)])
    return Finding(
        subject=subject, state="good", path=shown, why=why, evidence=evidence, fingerprint=print_, metrics=metrics
    )


def _result_folder(subject: str, shown: str, files: list[_File]) -> Finding:
    """A folder: at least one of its files holds something."""
    full = [file for file in files if file.size_bytes > 0]
    if not full:
        why = f"{shown} holds " + ("only empty files" if files else "no file")
        return Finding(subject=subject, state="empty", path=shown, why=why)
    why = f"{_counted(full, 'file')}, {sum(file.size_bytes for file in full):,} bytes"
    evidence = tuple(file.evidence("result") for file in full)
    print_ = fingerprint([(file.name, file.path) for file in files])
    return Finding(subject=subject, state="good", path=shown, why=why, evidence=evidence, fingerprint=print_)


def _counted(files: list[_File], what: str) -> str:
    return f"{len(files)} {what}" + ("" if len(files) == 1 else "s")


def fingerprint(files: list[tuple[str, Path]]) -> str:
    """The sha256 over the files' names, sizes and samples: a file's whole content up to 4 MiB, else its first and last
    MiB. It changes with what it reads, never with the files' times or their order.

    Raises:
        OSError: a file cannot be read.
    """
    total = hashlib.sha256()
    for name, path in sorted(files):
        encoded = os.fsencode(name)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            total.update(b"%d %d %s\n" % (len(encoded), size, encoded))
            if size <= _WHOLE_BYTES:
                sample = file.read(_WHOLE_BYTES)
            else:
                sample = file.read(_SAMPLE_BYTES)
                file.seek(-_SAMPLE_BYTES, os.SEEK_END)
                sample += file.read(_SAMPLE_BYTES)
        total.update(hashlib.sha256(sample).digest())
    return total.hexdigest()
