"""Files are hashed whole, and a file that changes meanwhile is noticed."""

from __future__ import annotations

import hashlib
import os

import pytest

from tests.publish.checkpoints import make_checkpoint
from watchkeeper.publish.manifest import hashing
from watchkeeper.publish.manifest.files import FileRecord
from watchkeeper.publish.manifest.hashing import ChangingFileError, hash_each, hash_files
from watchkeeper.publish.manifest.safe import UnsafePathError


def test_hashes_are_those_of_the_bytes(tmp_path, monkeypatch):
    """Files of no byte, of less and more than a piece, and of whole pieces have the hash that the
    standard library gives; the order of the paths is kept, and progress adds up.
    """
    monkeypatch.setattr(hashing, "PIECE_BYTES", 16)
    contents = {"b": b"", "a": b"x", "d": b"y" * 16, "c": bytes(range(100)), "e": b"z" * 32}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    steps = []
    records = hash_files(tmp_path, iter(contents), progress=steps.append)
    assert [record.path for record in records] == list(contents)
    for record in records:
        data = contents[record.path]
        assert record.sha256 == hashlib.sha256(data).hexdigest()
        assert record.size_bytes == len(data)
    assert sum(steps) == sum(map(len, contents.values())) and max(steps) <= 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_bytes(b"x" * 200), "grew from 100 to 200 bytes"),
        (lambda path: os.truncate(path, 50), "shrank from 100 to 50 bytes"),
        (lambda path: os.utime(path, ns=(1, 1)), "was written to while it was hashed"),
    ],
    ids=["grown", "cut", "written"],
)
def test_a_file_that_changes_while_it_is_hashed_is_named(tmp_path, monkeypatch, change, message):
    """A file that grows, shrinks or is written to while it is read has no hash, and is named."""
    monkeypatch.setattr(hashing, "PIECE_BYTES", 10)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"x" * 100)
    steps = []

    def alter_once(count):
        steps.append(count)
        if len(steps) == 3:
            change(path)

    with pytest.raises(ChangingFileError, match=f"^model.safetensors {message}"):
        hash_files(tmp_path, ["model.safetensors"], progress=alter_once)


def test_one_file_that_cannot_be_hashed_does_not_hide_the_rest(tmp_path):
    """Each file has its own outcome; to hash all is to fail with the first that failed."""
    root = make_checkpoint(tmp_path / "model")
    os.mkfifo(root / "pipe")
    outcomes = hash_each(root, ["config.json", "gone", "pipe", "../x"])
    assert isinstance(outcomes["config.json"], FileRecord)
    assert isinstance(outcomes["gone"], FileNotFoundError)
    assert isinstance(outcomes["pipe"], OSError)
    assert isinstance(outcomes["../x"], UnsafePathError)
    with pytest.raises(FileNotFoundError):
        hash_files(root, ["config.json", "gone"])
    assert hash_files(root, []) == []


def test_a_known_file_is_not_read(tmp_path):
    """A record that the caller knows is taken as it is, without a look at the file."""
    record = FileRecord(path="gone", size_bytes=3, sha256="0" * 64)
    assert hash_files(tmp_path, ["gone"], known={"gone": record}) == [record]


def test_an_interruption_stops_the_other_threads(tmp_path, monkeypatch):
    """What ends the command ends the hashing of every file at its next piece."""
    monkeypatch.setattr(hashing, "PIECE_BYTES", 1)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    steps = []

    def interrupt(count):
        steps.append(count)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_files(tmp_path, ["a", "b", "c"], progress=interrupt)
    assert len(steps) < 1000
