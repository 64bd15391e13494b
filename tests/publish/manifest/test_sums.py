"""The list that `sha256sum -c` checks."""

from __future__ import annotations

import subprocess

import pytest

from tests.publish.checkpoints import make_checkpoint
from watchkeeper.publish.documents import ForeignDocumentError
from watchkeeper.publish.manifest.files import FileRecord, list_files
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.manifest.sums import refuse_other_sums, sums_text, write_sums


def test_sha256sum_checks_the_list(tmp_path):
    """The tool itself accepts every file, names with a line end or a backslash included, and
    refuses one that changed.
    """
    root = make_checkpoint(tmp_path / "model")
    for name in ("two\nlines", "back\\slash", "carriage\rreturn", " begins with a space"):
        (root / name).write_text(name)
    write_sums(root / "SHA256SUMS", hash_files(root, list_files(root)[0].files))
    check = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    done = subprocess.run(check, cwd=root, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (root / "config.json").write_text("{}")
    assert subprocess.run(check, cwd=root, capture_output=True, check=False).returncode == 1


def test_only_lines_that_need_it_are_escaped():
    """A plain line has no mark; an escaped one begins with a backslash."""
    records = [FileRecord("a b", 1, "0" * 64), FileRecord("a\\\n", 1, "1" * 64)]
    assert sums_text(records) == f"{'0' * 64}  a b\n\\{'1' * 64}  a\\\\\\n\n"


def test_a_list_of_somebody_else_is_kept(tmp_path):
    """A file that holds something else is not replaced; one that holds just this list is fine."""
    records = [FileRecord("a", 1, "0" * 64)]
    path = tmp_path / "sums"
    write_sums(path, records)
    write_sums(path, records)
    for text in ("other", path.read_text() + "x"):
        path.write_text(text)
        with pytest.raises(ForeignDocumentError, match="exists, and is kept"):
            write_sums(path, records)
        assert path.read_text() == text


def test_the_list_is_no_file_of_the_checkpoint(tmp_path):
    """Inside the root the list has one name, which no manifest lists."""
    root = make_checkpoint(tmp_path / "model")
    refuse_other_sums(root, root / "SHA256SUMS")
    refuse_other_sums(root, tmp_path / "sums")
    for path in (root / "sums", root / "original/SHA256SUMS"):
        with pytest.raises(ForeignDocumentError, match="would be a file of the checkpoint"):
            refuse_other_sums(root, path)
