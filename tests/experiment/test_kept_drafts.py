"""Drafts of long summaries in the user's cache folder: they cost time, never an answer."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from watchkeeper.core.disk import user_cache
from watchkeeper.experiment import summary_yaml
from watchkeeper.experiment.kept_drafts import LEAST_BYTES, draft_of

SUMMARY = """\
experiment: {name: long, question: Which rate?, misspelt: 1}
tools: {preparation: script, evaluation: script}
controls: {epochs: 2, seed: 1}
data: {training: {path: words.json, splits: {train: 8, test: 2}}}
output: {result: "{folder}/eval/{cell}/result.json", checkpoint_formats: [.ubj]}
runs:
  - {name: a, type: fine-tuned, parameters: {lr: 1e-5}, compute: {time: 1 h}}
  - {name: b, script: b.sh, args: [--x, 1], needs: [a], outputs: [out/*.csv], workdir: w}
  - {name: c, type: nonsense}
evaluation:
  tasks: [{name: clean}]
  matrix:
    - {run: a, tasks: [clean], epochs: [0, 1, 7]}
"""
LONG = (SUMMARY + "# " + "x" * LEAST_BYTES + "\n").encode()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/watchkeeper/drafts"


class Reader:
    """The reader of summaries, and how often it was used."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path, data: bytes):
        """Read as summaries are read."""
        self.calls += 1
        return summary_yaml._read(path, data)


def test_a_kept_draft_is_the_very_one_that_was_read(tmp_path):
    """What was read of a long summary is not read again, and is the same to the last problem."""
    path, read = tmp_path / "experiment_summary.yaml", Reader()
    first = draft_of(path, LONG, read)
    again = draft_of(path, LONG, read)
    assert read.calls == 1
    assert again == first == summary_yaml._read(path, LONG)
    assert {run.name for run in again.runs} == {"a", "b"}
    assert len(again.problems) > 2


@pytest.mark.parametrize("change", [b" ", b"# more\n"])
def test_another_byte_is_another_summary(tmp_path, change):
    """A kept draft counts for the same bytes alone."""
    path, read = tmp_path / "experiment_summary.yaml", Reader()
    draft_of(path, LONG, read)
    changed = LONG.replace(b"name: a,", b"name: z,").replace(b"run: a,", b"run: z,") + change
    assert draft_of(path, changed, read) == summary_yaml._read(path, changed)
    assert read.calls == 2


def test_another_path_has_its_own_places(tmp_path):
    """Problems name the file that was read, also where a copy of it was read before."""
    read = Reader()
    draft_of(tmp_path / "one.yaml", LONG, read)
    other = draft_of(tmp_path / "two.yaml", LONG, read)
    assert all("two.yaml" in problem.where for problem in other.problems)


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "newer", "another path"])
def test_what_is_kept_counts_only_while_it_is_sound(tmp_path, cache, monkeypatch, damage):
    """A kept draft that is damaged, foreign or another version's is read anew."""
    path, read = tmp_path / "experiment_summary.yaml", Reader()
    whole = draft_of(path, LONG, read)
    (file,) = cache.iterdir()
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        file.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif damage == "foreign":
        user_cache.keep(
            file, bytearray(user_cache.DIGEST_BYTES) + msgspec.msgpack.encode({"some": "thing"})
        )
    elif damage == "newer":
        monkeypatch.setattr(user_cache, "SOFTWARE", "watchkeeper 99.0")
    else:
        path = tmp_path / "other.yaml"
        file.rename(cache / f"{user_cache.name_of(path)}.draft")
        whole = summary_yaml._read(path, LONG)
    assert draft_of(path, LONG, read) == whole
    assert read.calls == 2


def test_a_short_summary_is_not_kept(tmp_path, cache):
    """What is read in milliseconds leaves nothing behind."""
    read = Reader()
    draft_of(tmp_path / "experiment_summary.yaml", SUMMARY.encode(), read)
    assert read.calls == 1
    assert not cache.exists()


def test_a_draft_that_no_encoding_has_is_read_each_time(tmp_path, cache):
    """A path that is no UTF-8 costs time, and nothing else."""
    path, read = Path(f"{tmp_path}/\udcff.yaml"), Reader()
    assert draft_of(path, LONG, read) == draft_of(path, LONG, read)
    assert read.calls == 2
    assert not cache.exists()


def test_where_nothing_can_be_kept_the_summary_is_read(tmp_path, monkeypatch):
    """A cache folder that cannot be written changes nothing."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path, read = tmp_path / "experiment_summary.yaml", Reader()
    assert draft_of(path, LONG, read) == summary_yaml._read(path, LONG)
