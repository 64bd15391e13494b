"""`checkpoint manifest` and `checkpoint verify`, as a person and a program type them."""

from __future__ import annotations

import io
import json

import pytest
from click.testing import CliRunner

from tests.publish.checkpoints import SHARD, make_checkpoint
from watchkeeper.show.cli import main
from watchkeeper.show.cli.trust import shown
from watchkeeper.show.cli.trust.shown import HashingProgress


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkpoint, and a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make_checkpoint(tmp_path / "model")


def call(*words):
    """The exit code of `checkpoint` with these words, and all that it printed."""
    done = CliRunner().invoke(main, ["checkpoint", *map(str, words)])
    return done.exit_code, done.output


def test_a_checkpoint_is_written_down_and_verified(root):
    """`manifest` names its file and what it holds, `verify` says that all of it holds."""
    code, text = call("manifest", root)
    assert (code, text) == (0, f"{root}/CHECKPOINT_MANIFEST.json: 5 files, 229 bytes\n")
    code, text = call("verify", root, "--strict")
    assert code == 0 and text.endswith("All 5 listed files hold, 229 bytes.\n")
    assert call("manifest", root, "-q") == (0, f"{root}/CHECKPOINT_MANIFEST.json\n")
    assert call("verify", root, "-q") == (0, "All 5 listed files hold, 229 bytes.\n")


def test_an_extra_file_warns_and_a_changed_one_fails(root):
    """The exit code is 0 beside an extra file, and 1 with `--strict` or a changed one, which is
    printed first.
    """
    call("manifest", root)
    (root / "notes.txt").write_text("x")
    code, text = call("verify", root)
    assert code == 0 and text.startswith("soft_signal: notes.txt: ")
    assert text.endswith("229 bytes; not listed: 1.\n")
    code, text = call("verify", root, "--strict")
    assert code == 1 and text.startswith("fail: notes.txt: ")
    (root / "README.md").write_text("# b model\n")
    code, text = call("verify", root, "--json")
    answer = json.loads(text)
    assert (code, answer["exit_code"], answer["data"]["verdict"]) == (1, 1, "fail")
    assert answer["counts"] == {"pass": 1, "fail": 1, "soft_signal": 1}
    assert [(one["code"], one["severity"]) for one in answer["problems"]] == [
        ("changed", "error"),
        ("extra-file", "warning"),
    ]


def test_what_is_no_checkpoint_gets_no_manifest(root):
    """Where a file is not as it must be, nothing is written and the file is named."""
    (root / SHARD).unlink()
    code, text = call("manifest", root)
    assert code == 1 and text.startswith("fail: model.safetensors.index.json: the index names")
    assert not (root / "CHECKPOINT_MANIFEST.json").exists()
    code, text = call("manifest", root, "--json")
    answer = json.loads(text)
    assert code == 1 and answer["data"]["file"] is None
    assert answer["problems"][0]["code"] == "shards"


def test_a_missing_or_unreadable_manifest_is_bad_input(root):
    """Without a manifest the exit code is 2, and the command that writes one is named."""
    code, text = call("verify", root)
    assert code == 2 and f"watchkeeper checkpoint manifest {root}" in text
    other = root.parent / "other.json"
    other.write_text("[]")
    code, text = call("verify", root, "--manifest", other)
    assert code == 2 and "other.json holds a JSON list, not an object" in text
    code, text = call("verify", root / "nowhere")
    assert code == 2 and "is no folder" in text


def test_a_manifest_of_another_tool_is_kept_before_anything_is_hashed(root):
    """A manifest that Watchkeeper did not write stays as it is, and the way out is named."""
    path = root / "CHECKPOINT_MANIFEST.json"
    path.write_text('{"generated_by": "autohpc"}')
    code, text = call("manifest", root, "--sha256sums", root / "SHA256SUMS")
    assert code == 2 and "mv CHECKPOINT_MANIFEST.json" in text
    assert path.read_text() == '{"generated_by": "autohpc"}'
    assert not (root / "SHA256SUMS").exists()


def test_a_manifest_from_elsewhere_counts_where_it_is_named(root):
    """`--manifest` compares with the named file, whatever the one in the root says."""
    call("manifest", root)
    elsewhere = root.parent / "theirs.json"
    (root / "CHECKPOINT_MANIFEST.json").rename(elsewhere)
    assert call("verify", root, "--manifest", elsewhere, "--strict")[0] == 0
    (root / SHARD).write_bytes(b"x" * (root / SHARD).stat().st_size)
    call("manifest", root)
    assert call("verify", root)[0] == 0
    assert call("verify", root, "--manifest", elsewhere)[0] == 1


def test_the_cache_is_used_for_writing_and_for_verifying_only_when_asked(root, monkeypatch):
    """A remembered hash stands in for hashing in `manifest`, in `verify` with `--trust-cache`, and
    nowhere else.
    """
    monkeypatch.setattr("watchkeeper.publish.manifest.cache._SETTLED_NS", -(10**12))
    call("manifest", root)
    wrong = "0" * 64
    known = "watchkeeper.publish.manifest.cache._load"
    kept = shown_cache(root, wrong)
    monkeypatch.setattr(known, lambda top: kept)
    answer = json.loads(call("verify", root, "--json", "--trust-cache")[1])
    assert answer["data"]["from_cache"] == 5 and answer["counts"]["fail"] == 5
    answer = json.loads(call("verify", root, "--json")[1])
    assert answer["data"]["from_cache"] == 0 and answer["counts"]["fail"] == 0
    call("manifest", root)
    assert wrong in (root / "CHECKPOINT_MANIFEST.json").read_text()
    call("manifest", root, "--no-cache")
    assert wrong not in (root / "CHECKPOINT_MANIFEST.json").read_text()


def shown_cache(root, sha256):
    """What would be remembered of each file, had it this hash."""
    from watchkeeper.publish.manifest import cache
    from watchkeeper.publish.manifest.files import list_files

    paths = list_files(root)[0].files
    return {path: cache._hashed((root / path).stat(), sha256) for path in paths}


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self):
        """Always."""
        return True


@pytest.mark.parametrize("is_wanted", [True, False])
def test_progress_is_one_line_that_is_taken_away(monkeypatch, is_wanted):
    """On a terminal a line says how much is hashed, ten times a second at most; with `--json` and
    `--quiet` it says nothing.
    """
    now = iter([100.0, 100.05, 100.2, 100.21])
    monkeypatch.setattr(shown.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(shown, "shows_progress", lambda: is_wanted)
    out = Terminal()
    progress = HashingProgress(4 * 2**20, out)
    for _ in range(3):
        progress.add(2**20)
    progress.end()
    line = "\r\x1b[Khashed 2.0 MiB of 4.0 MiB, 10.0 MiB/s\r\x1b[K"
    assert out.getvalue() == (line if is_wanted else "")


def test_progress_is_not_written_into_a_file(monkeypatch):
    """Where standard error is no terminal, nothing is written to it."""
    monkeypatch.setattr(shown, "shows_progress", lambda: True)
    out = io.StringIO()
    progress = HashingProgress(1, out)
    progress.add(1)
    progress.end()
    assert out.getvalue() == ""
