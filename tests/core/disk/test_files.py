"""Writing files: whole or not at all, once, at one's own offset."""

from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from watchkeeper.core.disk import files
from watchkeeper.core.errors import StorageError


def test_replace_leaves_no_temporary(tmp_path: Path) -> None:
    """A replaced file holds the new bytes, and nothing else is left in the folder."""
    path = tmp_path / "file"
    files.replace(path, b"one")
    files.replace(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["file"]


def test_of_many_creators_exactly_one_wins(tmp_path: Path) -> None:
    """Creating one path from 16 threads at once succeeds once, and every loser is told so."""
    with ThreadPoolExecutor(16) as pool:
        won = list(
            pool.map(lambda n: files.create(tmp_path / "claim", f"writer {n}".encode()), range(16))
        )
    assert won.count(True) == 1
    assert (tmp_path / "claim").read_text() == f"writer {won.index(True)}"
    assert os.listdir(tmp_path) == ["claim"]


def test_creating_again_with_the_same_bytes_is_ours(tmp_path: Path) -> None:
    """Whether a file is ours is judged by its content: a second try after an unclear first one
    finds it ours.
    """
    assert files.create(tmp_path / "claim", b"nonce")
    assert files.create(tmp_path / "claim", b"nonce")


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """An unwritable place raises a StorageError that names the path; the old file is untouched."""
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(StorageError, match="missing/file"):
        files.replace(tmp_path / "missing" / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_short_write_is_overwritten_by_the_next(tmp_path: Path) -> None:
    """When the disk fills in the middle of an append, the next append overwrites the torn tail."""
    code = f"""
import resource, signal
from pathlib import Path
from watchkeeper.core.disk.files import AppendFile
from watchkeeper.core.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = AppendFile(Path({str(tmp_path / "file")!r}))
file.append(b"a" * 900 + b"\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
try:
    file.append(b"b" * 900 + b"\\n")
except StorageError as error:
    print("refused")
resource.setrlimit(resource.RLIMIT_FSIZE, ({resource.RLIM_INFINITY}, {resource.RLIM_INFINITY}))
file.append(b"c" * 900 + b"\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
    assert (tmp_path / "file").read_bytes() == b"a" * 900 + b"\n" + b"c" * 900 + b"\n"


def test_keep_aside_never_overwrites(tmp_path: Path) -> None:
    """Files set aside get names of their own, and keep their bytes."""
    for text in (b"first", b"second"):
        (tmp_path / "log").write_bytes(text)
        files.keep_aside(tmp_path / "log")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "log.kept-1": b"first",
        "log.kept-2": b"second",
    }


def test_a_file_of_two_owners_is_replaced_only_while_it_is_what_was_read(tmp_path: Path) -> None:
    """`replace_unchanged` writes over the bytes it was given and no others, keeps the mode, and
    leaves a read-only file.
    """
    path = tmp_path / "log.md"
    path.write_bytes(b"old")
    path.chmod(0o664)
    assert files.replace_unchanged(path, b"old", b"new") and path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o7777 == 0o664
    assert not files.replace_unchanged(path, b"old", b"newer") and path.read_bytes() == b"new"
    path.chmod(0o444)
    with pytest.raises(StorageError, match=r"read-only|Permission"):
        files.replace_unchanged(path, b"new", b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["log.md"] and path.read_bytes() == b"new"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100 * 2**30)


ODD_FILES = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "sparse file of 100 GB": _sparse,
    "loop of links": lambda path: path.symlink_to(path),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("odd", ODD_FILES)
def test_what_is_no_file_of_a_fair_size_is_an_error_and_no_wait(tmp_path: Path, odd: str) -> None:
    """A pipe is not waited for, a device or a huge file not read to its end: each is an OSError
    that says why.
    """
    path = tmp_path / "x"
    ODD_FILES[odd](path)
    with pytest.raises(OSError, match=r".") as raised:
        files.read_whole(path)
    assert raised.value.strerror


def test_a_whole_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """A file of exactly the bound is read whole, one byte more is an error that names the bound."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 10)
    assert files.read_whole(path, 10) == b"x" * 10
    with pytest.raises(OSError, match="longer than 9 bytes"):
        files.read_whole(path, 9)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"ab\ncd\n", [b"ab\n", b"cd\n"]),
        (b"abc\nab", [b"abc\n", b"ab"]),
        (b"abcd\nab\n", [b"abcd\n", b"ab\n"]),
        (b"abcdefghij\nab\n", [b"abcd\n", b"ab\n"]),
        (b"abcdefghij", [b"abcd"]),
    ],
)
def test_a_line_that_is_too_long_costs_itself(data: bytes, lines: list[bytes]) -> None:
    """Of a line beyond the bound the beginning is kept, and the lines behind it are read."""
    assert list(files.lines_of(io.BytesIO(data), 4)) == lines


SOURCE = Path(files.__file__).parents[2]
# What reads only the kernel's own files, the package's own, what this process keeps open, or
# tables, whose rows are the user's own data and are read whole; and a program that is ended after
# its time.
READS_AS_IT_IS = {
    "core/disk/files.py", "core/disk/mounts.py", "core/processes.py", "integrations/recording.py",
    "launch/reproduce.py", "record/exec.py", "record/ranks.py", "record/stopping/handlers.py",
    "record/sidecar/observer.py", "record/sidecar/telemetry.py", "record/writing/tables.py",
    "schedulers/wrapper/proof.py", "schedulers/wrapper/render.py", "show/report/document.py",
    "show/web/app.py", "show/web/script/joining.py",
    "publish/passport/reference/programs/causal_lm.py",
}  # fmt: skip


def test_no_module_reads_a_file_that_it_has_not_looked_at() -> None:
    """What other people may have put in a file's place is opened by `open_regular`, `read_regular`
    or `read_whole`, in every module.
    """
    reads = re.compile(r'\.read_bytes\(|\.read_text\(|\.open\((?:"rb?"|encoding)')
    found = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if any(reads.search(line) and "/proc/" not in line for line in path.open())
    }
    assert found <= READS_AS_IT_IS


@pytest.mark.parametrize("most", [0, 1, 5, 6, 7, 2**40])
def test_the_most_that_is_read_is_no_memory_that_is_taken(tmp_path: Path, most: int) -> None:
    """At most so many bytes are read, and a bound of a tebibyte costs no memory."""
    path = tmp_path / "x"
    path.write_bytes(b"123456")
    with files.open_regular(path) as file:
        assert files.read_most(file, most) == b"123456"[:most]


def test_a_file_that_grows_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    """What was added since its size was looked at is read too."""
    path = tmp_path / "x"
    path.write_bytes(b"1")

    class Growing:
        """A file that grows between the look at its size and the first read."""

        def __init__(self, file: Any) -> None:
            self.fileno = file.fileno
            self.file = file

        def read(self, most: int) -> bytes:
            if path.stat().st_size == 1:
                path.write_bytes(b"123456")
            return self.file.read(most)

    with files.open_regular(path) as file:
        assert files.read_most(Growing(file), 100) == b"123456"
