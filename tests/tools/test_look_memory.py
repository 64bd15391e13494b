"""What is remembered of looks at files: it costs time, never an answer."""

from __future__ import annotations

import os
import random
import time

import msgspec
import pytest

from tests.tools.test_look import safetensors
from watchkeeper.core.disk import user_cache
from watchkeeper.tools import look_memory, script
from watchkeeper.tools.look import look
from watchkeeper.tools.look_memory import LookMemory
from watchkeeper.tools.promise import Expected, Promise

RESULT = Promise(subject="r/clean/epoch0", kind="result", patterns=("r/result.json",))
CHECKPOINT = Promise(subject="r/epoch_0", kind="checkpoint", patterns=("r/epoch_0",))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/watchkeeper/looks"


@pytest.fixture
def at_once(monkeypatch):
    """Files count as settled at once, so that no test has to wait."""
    monkeypatch.setattr(look_memory, "SETTLED_AFTER_S", -3600.0)


@pytest.fixture
def reads(monkeypatch):
    """The files that were opened to be judged."""
    opened = []
    read = script.fingerprint

    def record(files):
        opened.extend(str(path) for _, path in files)
        return read(files)

    monkeypatch.setattr(script, "fingerprint", record)
    return opened


def looked(folder, *promises):
    """One look with what is remembered, which is kept."""
    memory = LookMemory(folder)
    findings = [look(folder, promise, (), memory) for promise in promises]
    memory.save()
    return findings


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_same_file_is_not_read_again(tmp_path, at_once, reads):
    """What was read of a file counts while it is the very file that was read."""
    write(tmp_path / "r/result.json", '{"accuracy": 0.5}')
    write(tmp_path / "r/epoch_0/model.bin", "weights")
    first = looked(tmp_path, RESULT, CHECKPOINT)
    before = list(reads)
    assert looked(tmp_path, RESULT, CHECKPOINT) == first
    assert reads == before
    assert len(before) == 2
    assert first == [look(tmp_path, RESULT), look(tmp_path, CHECKPOINT)]


def test_a_file_written_a_moment_ago_is_read_again(tmp_path, reads, cache):
    """A file that may be written again within one tick of its clock is not remembered."""
    path = tmp_path / "r/result.json"
    write(path, '{"accuracy": 0.5}')
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    looked(tmp_path, RESULT)
    looked(tmp_path, RESULT)
    assert len(reads) == 2
    assert not cache.exists()


def test_a_change_behind_the_back_of_the_times_is_seen(tmp_path, at_once):
    """A file of the same size and time of writing, and other content, is read again."""
    path = tmp_path / "r/result.json"
    write(path, '{"accuracy": 0.5}')
    looked(tmp_path, RESULT)
    status = path.stat()
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # until the filesystem's clock ticks
        path.write_text('{"accuracy": 0.7}')
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert looked(tmp_path, RESULT)[0].metrics == {"accuracy": 0.7}


def test_other_formats_of_weights_are_another_question(tmp_path, at_once):
    """A folder without weights has some where its suffix is added to the formats."""
    write(tmp_path / "r/epoch_0/model.ubj", "weights")
    assert looked(tmp_path, CHECKPOINT)[0].state == "empty"
    added = msgspec.structs.replace(CHECKPOINT, formats=(".ubj",))
    assert looked(tmp_path, added)[0].state == "good"
    assert looked(tmp_path, CHECKPOINT)[0].state == "empty"


def test_a_link_that_leads_nowhere_may_lead_somewhere_later(tmp_path, at_once):
    """A target that appears elsewhere is seen, although nothing in the folder has changed."""
    write(tmp_path / "r/epoch_0/model.bin", "weights")
    (tmp_path / "r/epoch_0/more.bin").symlink_to(tmp_path / "later")
    assert looked(tmp_path, CHECKPOINT)[0].why.startswith("1 weights file,")
    (tmp_path / "later").write_text("weights")
    assert looked(tmp_path, CHECKPOINT)[0].why.startswith("2 weights files,")


def test_a_shard_that_only_an_index_names_is_looked_at_each_time(tmp_path, at_once):
    """A hidden shard that is damaged damages its checkpoint, although it is no file of it."""
    place = tmp_path / "r/epoch_0"
    hidden = safetensors(name="a")
    write(place / "model.safetensors.index.json", '{"weight_map": {"a0": ".a.safetensors"}}')
    (place / ".a.safetensors").write_bytes(hidden)
    (place / "model.safetensors").write_bytes(safetensors(name="b"))
    assert looked(tmp_path, CHECKPOINT)[0].state == "good"
    (place / ".a.safetensors").write_bytes(hidden[:-1])
    assert looked(tmp_path, CHECKPOINT) == [look(tmp_path, CHECKPOINT)]


def test_a_log_of_inspect_ai_is_read_each_time(tmp_path, at_once, cache):
    """What was read of a log for one evaluation does not answer for another."""
    write(tmp_path / "r/result.json", '{"accuracy": 0.5}')
    looked(tmp_path, msgspec.structs.replace(RESULT, expected=Expected()))
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["cut", "foreign", "newer", "another folder"])
def test_what_is_remembered_counts_only_while_it_is_sound(
    tmp_path, at_once, reads, cache, monkeypatch, damage
):
    """A memory that is damaged, foreign, another version's or another folder's is not used."""
    folder = tmp_path / "one"
    write(folder / "r/result.json", '{"accuracy": 0.5}')
    first = looked(folder, RESULT)
    (file,) = cache.iterdir()
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "foreign":
        user_cache.keep(file, bytearray(user_cache.DIGEST_BYTES) + msgspec.msgpack.encode([1, 2]))
    elif damage == "newer":
        monkeypatch.setattr(user_cache, "SOFTWARE", "watchkeeper 99.0")
    else:
        moved = folder.rename(tmp_path / "two")
        folder = moved
        file.rename(cache / f"{user_cache.name_of(folder)}.looks")
    assert looked(folder, RESULT) == first
    assert len(reads) == 2


def test_only_good_findings_are_remembered(tmp_path, at_once, cache):
    """What is torn or empty is looked at each time: the disk may have failed."""
    write(tmp_path / "r/result.json", '{"accuracy": ')
    write(tmp_path / "r/epoch_0/model.bin", "")
    assert [one.state for one in looked(tmp_path, RESULT, CHECKPOINT)] == ["damaged", "empty"]
    assert not cache.exists()


def test_nothing_is_written_where_nothing_has_changed(tmp_path, at_once, cache):
    """A look that finds everything as before leaves the memory alone."""
    write(tmp_path / "r/result.json", '{"accuracy": 0.5}')
    looked(tmp_path, RESULT)
    (file,) = cache.iterdir()
    before = file.stat().st_ino
    looked(tmp_path, RESULT)
    assert file.stat().st_ino == before


def test_what_is_gone_is_forgotten(tmp_path, at_once, cache):
    """The memory holds what the last look saw, and does not grow for ever."""
    write(tmp_path / "r/result.json", '{"accuracy": 0.5}')
    looked(tmp_path, RESULT)
    (tmp_path / "r/result.json").unlink()
    assert looked(tmp_path, RESULT)[0].state == "missing"
    memory = LookMemory(tmp_path)
    assert memory._before == {}


ACTIONS = ("write", "empty", "cut", "replace", "remove", "link", "folder", "swap")


def act(action, place, random_, size_bytes):
    """Do one thing that people and jobs do to a folder of weights. No two files have one size: the
    test is quicker than the tick of a filesystem's clock.
    """
    names = ["model.bin", "model.safetensors", "other.txt", "sub/model.bin"]
    path = place / random_.choice(names)
    if not path.parent.is_dir():
        path.parent.unlink(missing_ok=True)
        path.parent.mkdir(parents=True)
    if path.is_dir():
        path.rmdir()
    if action == "write":
        path.write_bytes(random_.randbytes(size_bytes))
    elif action == "empty":
        path.write_bytes(b"")
    elif action == "cut" and path.is_file():
        os.truncate(path, path.stat().st_size // 2)
    elif action == "replace":
        other = place.parent / "other"
        other.write_bytes(random_.randbytes(size_bytes))
        other.replace(path)
    elif action == "remove":
        path.unlink(missing_ok=True)
    elif action == "link":
        path.unlink(missing_ok=True)
        target = place.parent / random_.choice(["one", "two", "three"])
        target.write_bytes(random_.randbytes(size_bytes))
        path.symlink_to(target)
    elif action == "folder":
        path.unlink(missing_ok=True)
        path.mkdir()
    elif action == "swap" and (place / "model.bin").is_file():
        (place / "model.bin").replace(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_look_with_a_memory_finds_what_a_look_without_one_finds(tmp_path, at_once, seed):
    """Whatever happens to the files between two looks, what is remembered changes no answer."""
    random_ = random.Random(seed)
    place = tmp_path / "r/epoch_0"
    place.mkdir(parents=True)
    for step in range(30):
        act(random_.choice(ACTIONS), place, random_, 101 + 2 * step)
        assert looked(tmp_path, CHECKPOINT) == [look(tmp_path, CHECKPOINT)]
