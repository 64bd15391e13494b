"""Letting one file operation of a program fail once, by a small library that its processes load
before any other.

A first run of the program lists its operations below a folder; each later one names one of them,
and how it fails. An operation is known by the program that makes it, its kind, the path's pattern,
and which of these it is: ids, times and random names differ from run to run.
"""

from __future__ import annotations

import atexit
import errno
import fnmatch
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "ESTALE", "EINTR")
SOURCE = Path(__file__).with_name("fault.c")
COUNTER_BYTES = 8
# What differs from run to run in the name of a file.
_PASSING = re.compile(
    r"\d{8}-\d{6}-[0-9a-z]{10}"  # a writer, a run
    r"|(?<=\.tmp-wrapper-)[0-9a-f]{32}"
    r"|(?<=-)[0-9a-f]{12}$"  # a temporary
    r"|[0-9a-f]{64}"  # an object
    r"|(?<=wk-)[A-Za-z0-9_-]+(?=\.sh)"  # a wrapper
    r"|\d{4}-\d\d-\d\d(?=_)"  # a run log
    r"|(?<=/tmp)[0-9a-z_]{8}(?=$|/)"
)

# Failures that cost nothing and are not reported: role, operation, path. docs/testing.md gives the
# reason for each. Nor is EINTR reported: a signal in the middle of a call is no fault of a disk.
QUIET = (
    # Tried twice, then again at the next beat; a reader sees one that stands still until then. The
    # loop that beats has no standard error, so that it cannot hold the job's output open.
    ("bash", "open to write", "*/heartbeat.*"),
    ("bash", "write", "*/heartbeat.*"),
    # sync(1) opens the file for writing instead, and syncs it
    ("sync", "open to read", "*/.tmp-wrapper-*"),
    # mkdir -p tries to make the experiment's folder, which is there, and enters it
    ("mkdir", "mkdir", ""),
)


class NoCompilerError(Exception):
    """The library cannot be built here."""


class Operation(NamedTuple):
    """One operation of a program's run: `role` is the program, `path` relative to the folder and a
    pattern for fnmatch, `number` which of these it is, from 1.
    """

    role: str
    kind: str
    path: str
    number: int

    def __str__(self) -> str:
        return f"{self.role}: {self.kind} {self.path} #{self.number}"


class Fault(NamedTuple):
    """One operation, and the name of the error by which it fails."""

    operation: Operation
    error: str

    @property
    def number(self) -> int:
        """The error's number."""
        return int(getattr(errno, self.error))

    @property
    def may_be_quiet(self) -> bool:
        """Whether nobody need hear of it."""
        role, kind, path, _ = self.operation
        return self.error == "EINTR" or any(
            (role, kind) == quiet[:2] and fnmatch.fnmatch(path, quiet[2]) for quiet in QUIET
        )

    @property
    def words(self) -> str:
        """What the system calls the error."""
        return os.strerror(self.number)


@functools.cache
def library() -> Path:
    """The library, built once a process.

    Raises:
        NoCompilerError: there is no C compiler, or it fails.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError(
            "failing disks need a C compiler (cc): on Debian and Ubuntu, apt-get install "
            "gcc libc6-dev"
        )
    folder = tempfile.mkdtemp(prefix="watchkeeper-iofaults-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    built = Path(folder) / "fault.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCompilerError(f"{' '.join(words)}\n{done.stderr}")
    return built


class Injection:
    """The environment in which programs make their operations, and what they made. `notes` is a
    folder for our own files; `under` the folder whose files count.
    """

    def __init__(self, notes: Path, under: Path, fault: Fault | None = None) -> None:
        notes.mkdir(parents=True, exist_ok=True)
        self._under = under
        self._log, state = notes / "operations", notes / "matched"
        state.write_bytes(bytes(COUNTER_BYTES))
        self.environment = {
            "LD_PRELOAD": str(library()),
            "WK_FAULT_UNDER": f"{under}",
            "WK_FAULT_LOG": str(self._log),
            "WK_FAULT_STATE": str(state),
        }
        if fault is not None:
            self.environment |= {
                "WK_FAULT_ROLE": fault.operation.role,
                "WK_FAULT_OPERATION": fault.operation.kind,
                "WK_FAULT_PATH": f"{_escaped(str(under))}{fault.operation.path}",
                "WK_FAULT_NTH": str(fault.operation.number),
                "WK_FAULT_ERRNO": str(fault.number),
            }

    @property
    def has_failed(self) -> bool:
        """Whether the fault came."""
        return "WK_FAULT_ERRNO" in self.environment and self._log.exists()

    def operations(self) -> list[Operation]:
        """What the programs did, in their order; with a fault, what failed."""
        counts: dict[tuple[str, str, str], int] = {}
        made = []
        for line in (
            self._log.read_text("utf-8", "surrogateescape").splitlines()
            if self._log.exists()
            else ()
        ):
            _, role, kind, path = line.split("\t")
            name = (
                role,
                kind,
                pattern_of(path.removeprefix(str(self._under)).removesuffix(" (deleted)")),
            )
            counts[name] = counts.get(name, 0) + 1
            made.append(Operation(*name, counts[name]))
        return made


def pattern_of(path: str) -> str:
    """A pattern for fnmatch that fits the path in every run."""
    pieces = []
    at = 0
    for passing in _PASSING.finditer(path):
        pieces += [_escaped(path[at : passing.start()]), "*"]
        at = passing.end()
    return "".join([*pieces, _escaped(path[at:])])


def _escaped(text: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)
