"""Run logs on the disk: finding them, reading them, and writing what lint can fix."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import StorageError, UsageError
from watchkeeper.core.text import lazy
from watchkeeper.report.lint.lint import lint
from watchkeeper.report.lint.rules import Finding
from watchkeeper.report.runlog.document import apply, decode, encode
from watchkeeper.report.runlog.file import Fault, File

FOLDER = "run_logs"
MOST_BYTES = 2 * 1024 * 1024
"""A longer file is not read: the longest run log known has 100 kB."""
DEPTH = 4
"""How far below a folder `run_logs/` is looked for."""
HINT = (
    "run logs are run_logs/[group/]<date>_<task>.md; give the folder that holds run_logs/, or "
    "one log"
)

_NEVER_ENTERED = ("node_modules", "__pycache__")
_LIKE_A_LOG = lazy.pattern(
    r"\d{4}-\d{2}-\d{2}_.+\.md|.+_\d{4}-\d{2}-\d{2}\.md|timeline\.md", re.DOTALL
)


def roots(path: Path) -> list[Path]:
    """The folders of run logs that `path` means, as shown to people.

    A log or a folder in `run_logs/`: that `run_logs/`; a log or a folder of logs elsewhere: its
    folder. Any other folder: the nearest `run_logs/` below it (all that are equally near, at most
    four folders down), else the nearest above, no further up than the top of a Git repository.

    Raises:
        UsageError: there are none.
    """
    is_folder = _is_folder(path)
    folder = path
    if not is_folder:
        folder = path.parent
    for part in _upwards(folder):
        if part.name == FOLDER:
            return [_shown(part, folder)]
    if not is_folder and path.suffix == ".md":
        return [folder]
    if not is_folder:
        raise UsageError(f"{path} is no run log", hint=HINT)
    near = _below(folder) or _of_loose_logs(folder) or _above(folder)
    if not near:
        raise UsageError(f"{path}: no run logs", hint=HINT)
    return near


def _is_folder(path: Path) -> bool:
    """Whether the path is a folder; UsageError: it cannot be looked at."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint=HINT) from error


def _upwards(folder: Path) -> list[Path]:
    """The folder and those above it, the nearest first."""
    whole = _absolute(folder)
    return [whole, *whole.parents]


def _of_loose_logs(folder: Path) -> list[Path]:
    """The folder itself, if it holds a file named like a log or a timeline; [] if not."""
    if any(map(_LIKE_A_LOG.fullmatch, os.listdir(folder))):
        return [folder]
    return []


def _above(folder: Path) -> list[Path]:
    """The nearest `run_logs/` above, no further up than the top of a Git repository: [] where there
    is none.
    """
    for part in _upwards(folder):
        if (part / FOLDER).is_dir():
            return [_shown(part / FOLDER, folder)]
        if (part / ".git").exists():
            break
    return []


def _shown(root: Path, given: Path) -> Path:
    """A path as people see it: from where they stand, unless they gave an absolute one."""
    if given.is_absolute():
        return root
    return Path(os.path.relpath(root))


def _absolute(path: Path) -> Path:
    """The path from the root, without `..`."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - symbolic links stay: a log is shown where it was found


def _below(folder: Path) -> list[Path]:
    """The nearest `run_logs/` below, at most four folders down; all that are equally near. []: none
    is there.
    """
    level = [folder]
    for _ in range(DEPTH):
        near = [part / FOLDER for part in level if (part / FOLDER).is_dir()]
        if near:
            return near
        level = list(chain.from_iterable(map(_folders, level)))
    return []


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; [] for one that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if _is_entered(entry))
    except OSError:
        return []


def _is_entered(entry: os.DirEntry[str]) -> bool:
    """Whether `run_logs/` is looked for in here: not in hidden folders, nor where packages lie."""
    if entry.name.startswith(".") or entry.name in _NEVER_ENTERED:
        return False
    return entry.is_dir(follow_symlinks=False)


class Loaded(msgspec.Struct, frozen=True):
    """The run logs below one root, with the bytes that were read."""

    root: Path
    files: list[File]
    data: dict[str, bytes]
    """By the path that is shown."""


def load(root: Path) -> Loaded:
    """Read every Markdown file below the root. What cannot be read is a fault of its file, which
    then has no document.
    """
    logs: list[File] = []
    data: dict[str, bytes] = {}
    for path, parts in _markdown(root, ()):
        shown = str(_shown(path, root))
        text, fault = read_log(path)
        faults = tuple(Fault(code, line, message) for code, line, message in fault)
        document = None
        if text is not None:
            data[shown] = text
            document = decode(text)
        logs.append(File(shown, parts, document, faults))
    return Loaded(root, logs, data)


def _markdown(folder: Path, parts: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every Markdown file below a folder, with the parts of its path below the root. A folder that
    cannot be read stands for itself, and is a fault when it is.
    """
    # Folders behind symbolic links are not entered, so that no loop can hold us.
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield folder, parts or (folder.name,)
        return
    for entry in inside:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if entry.name.endswith(".md"):
            yield path, (*parts, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _markdown(path, (*parts, entry.name))


def read_log(path: Path) -> tuple[bytes | None, list[tuple[str, int, str]]]:
    """The bytes of a log (None: they are none of a log, or cannot be read), and its faults: code,
    line, message. No more than MOST_BYTES are kept in memory.

        (None, [("WK105", 1, "broken symbolic link: No such file or directory")])
    """
    try:
        with files.open_regular(path) as file:  # a pipe with a log's name must not hold us
            size = os.fstat(file.fileno()).st_size
        data = files.read_regular(path, MOST_BYTES + 1)
    except IsADirectoryError:
        return None, [("WK104", 1, "it is a folder, not a file")]
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None, [("WK104", 1, "it is not a regular file")]
        if path.is_symlink() and not path.exists():
            return None, [("WK105", 1, f"broken symbolic link: {error.strerror}")]
        return None, [("WK101", 1, f"cannot read it: {error.strerror or error}")]
    if len(data) > MOST_BYTES:
        most = f"{MOST_BYTES // 1024**2} MiB"
        message = f"it is larger than {most} ({size:,} bytes), so it was not read"
        return None, [("WK103", 1, message)]
    zero = data.find(b"\0")
    if zero >= 0:
        line = data.count(b"\n", 0, zero) + 1
        return None, [("WK102", line, "it contains a zero byte, so it is not text")]
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02x} is not valid UTF-8"
        return data, [("WK102", line, message)]
    return data, []


def check(path: Path, loaded: Loaded) -> list[Finding]:
    """What is wrong at or below `path`, judged with all that lies beside it: a link between two
    logs needs both. With a `path` outside the root, everything.
    """
    findings = lint(str(loaded.root), loaded.files)
    wanted, root = _absolute(path), _absolute(loaded.root)
    if not wanted.is_relative_to(root):
        return findings
    return [one for one in findings if _absolute(Path(one.path)).is_relative_to(wanted)]


class Fixed(msgspec.Struct, frozen=True):
    """What a fix did: the findings that are gone, and the files that were left, with the reason."""

    done: list[Finding]
    left: dict[str, str]


def fix(loaded: Loaded, findings: list[Finding]) -> Fixed:
    """Write what is safe to fix, file by file; a file that has changed since it was read is left as
    it is. `loaded` is what the findings were made of.

    Findings without edits need a person, and are passed over.
    """
    done: list[Finding] = []
    left: dict[str, str] = {}
    fixable: dict[str, list[Finding]] = {}
    for one in findings:
        if one.edits:
            fixable.setdefault(one.path, []).append(one)
    for path, safe in fixable.items():
        old = loaded.data[path]
        edits = chain.from_iterable(one.edits for one in safe)
        new = encode(apply(decode(old), edits))
        try:
            if files.replace_unchanged(Path(path).resolve(), old, new):
                done += safe
            else:
                left[path] = "it has changed since it was read"
        except (StorageError, OSError) as error:
            left[path] = str(error)
    return Fixed(done, left)
