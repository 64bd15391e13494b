"""Remembered hashes: disposable, and only of files that look the same."""

from __future__ import annotations

import os
import time

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint
from watchkeeper.publish.manifest import cache
from watchkeeper.publish.manifest.files import list_files
from watchkeeper.publish.manifest.hashing import hash_files

LONG_AGO_NS = 10**9
LATER_NS = 10 * 10**9


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkpoint whose hashes are remembered, in a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make_checkpoint(tmp_path / "model")
    cache.remember(root, _records(root), time.time_ns() + LATER_NS)
    return root


def _records(root):
    return hash_files(root, list_files(root)[0].files)


def test_a_file_that_looks_the_same_is_known(root):
    """Each remembered file has the record that hashing would give; others are unknown."""
    known = cache.known_records(root, [*list_files(root)[0].files, "other"])
    assert list(known.values()) == _records(root)


@pytest.mark.parametrize("change", ["size", "mtime", "inode", "gone"])
def test_a_file_that_looks_different_is_hashed_again(root, change):
    """Another size, time or inode makes a file unknown, also where its time was put back."""
    path = root / SHARD
    times = path.stat().st_mtime_ns
    if change == "mtime":
        os.utime(path, ns=(times, times + 1))
    elif change == "size":
        path.write_bytes(path.read_bytes() + b"x")
        os.utime(path, ns=(times, times))
    elif change == "inode":
        path.with_name("copy").write_bytes(path.read_bytes())
        path.with_name("copy").replace(path)
        os.utime(path, ns=(times, times))
    else:
        path.unlink()
    assert SHARD not in cache.known_records(root, [SHARD, "config.json"])
    assert "config.json" in cache.known_records(root, [SHARD, "config.json"])


def test_a_file_that_was_just_written_is_not_remembered(root):
    """A file written to within two seconds before its hashing may change and keep its times."""
    for began_ns in (LONG_AGO_NS, time.time_ns()):
        cache.remember(root, _records(root), began_ns)
        assert cache.known_records(root, [SHARD]) == {}


@pytest.mark.parametrize("damage", ["garbage", "mode", "format"])
def test_a_damaged_cache_is_ignored(root, damage):
    """A cache that is damaged, open to others or of another format costs time, and nothing else."""
    (path,) = (root.parent / "cache/watchkeeper/hashes").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    if damage == "garbage":
        path.write_bytes(b"\xff" + path.read_bytes())
    elif damage == "mode":
        path.chmod(0o622)
    else:
        data = bytearray(path.read_bytes())
        data[1] += 1
        path.write_bytes(data)
    assert cache.known_records(root, [SHARD]) == {}


def test_a_cache_that_cannot_be_written_changes_nothing(root, tmp_path, monkeypatch):
    """Where the cache folder is a file, hashing is remembered nowhere, and nothing fails."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache.remember(root, _records(root), time.time_ns() + LATER_NS)
    assert cache.known_records(root, [SHARD]) == {}
