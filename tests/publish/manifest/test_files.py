"""What is a file of a checkpoint, and what is wrong with the rest; no file is read for it."""

from __future__ import annotations

import os
import socket

import pytest

from tests.publish.checkpoints import SHARD, make_checkpoint
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.manifest.files import list_files


def names(checks):
    """Each check's name and place."""
    return [(check.name, check.where) for check in checks]


def test_every_file_is_listed_with_its_size(tmp_path):
    """Files of all folders are listed in the order of their paths, documents included."""
    root = make_checkpoint(tmp_path / "model")
    listed, checks = list_files(root)
    assert checks == [] and listed.links == ()
    assert listed.files == (
        "README.md",
        "config.json",
        SHARD,
        "model.safetensors.index.json",
        "original/tokenizer.model",
    )
    assert listed.sizes["original/tokenizer.model"] == 6
    assert listed.size_bytes == sum((root / path).stat().st_size for path in listed.files)


def test_links_inside_are_files_and_links_to_folders_are_skipped(tmp_path):
    """A link to a file has that file's size; a link to a folder is named, and not followed."""
    root = make_checkpoint(tmp_path / "model")
    (root / "tokenizer.model").symlink_to("original/tokenizer.model")
    (root / "latest").symlink_to("original")
    listed, checks = list_files(root)
    assert checks == [] and listed.links == ("latest",)
    assert listed.sizes["tokenizer.model"] == 6 and "latest/tokenizer.model" not in listed.sizes


def test_links_that_lead_out_or_nowhere_fail(tmp_path):
    """A link out of the root, to nothing, or in a circle is a failed check and no file."""
    root = make_checkpoint(tmp_path / "model")
    (tmp_path / "secret").write_text("x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "gone").symlink_to("nothing")
    (root / "circle").symlink_to("circle")
    listed, checks = list_files(root)
    assert names(checks) == [
        ("unreadable", "circle"),
        ("link-leads-nowhere", "gone"),
        ("link-leads-out", "out"),
    ]
    assert {check.status for check in checks} == {"fail"}
    assert not {"out", "gone", "circle"}.intersection(listed.files)


def test_pipes_and_sockets_are_named_and_never_opened(tmp_path, monkeypatch):
    """What would hang or act when it is opened is a failed check, also behind a link."""
    root = make_checkpoint(tmp_path / "model")
    os.mkfifo(root / "pipe.bin")
    (root / "link.bin").symlink_to("pipe.bin")
    monkeypatch.chdir(root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        _, checks = list_files(root)
    assert names(checks) == [("special-file", "link.bin"), *_special("pipe.bin", "socket")]
    assert "it is a socket, and was not opened" in checks[-1].message


def _special(*places):
    return [("special-file", place) for place in places]


def test_odd_names_are_files_and_unreadable_ones_fail(tmp_path):
    """A newline in a name is a name; bytes that are not UTF-8 fail, and are shown as text; so does
    a name that another system would take for a path.
    """
    root = make_checkpoint(tmp_path / "model")
    (root / "two\nlines").write_text("x")
    (root / os.fsdecode(b"bad-\xff.bin")).write_text("x")
    (root / "a\\..\\b").write_text("x")
    listed, checks = list_files(root)
    assert "two\nlines" in listed.files
    assert names(checks) == [("unsafe-path", "a\\..\\b"), ("name-not-utf8", "bad-\\udcff.bin")]


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    """A folder that cannot be read is a failed check, and the rest is listed."""
    root = make_checkpoint(tmp_path / "model")
    scan = os.scandir

    def refuse_one(folder):
        if folder == root / "original":
            raise PermissionError(13, "Permission denied", str(folder))
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse_one)  # root, who runs these tests, may read all
    listed, checks = list_files(root)
    assert names(checks) == [("unreadable", "original")] and SHARD in listed.files
    assert "Permission denied" in checks[0].message


def test_half_a_checkpoint_is_noticed(tmp_path):
    """An index whose shard is missing is a failed check that names the shard."""
    root = make_checkpoint(tmp_path / "model")
    (root / SHARD).unlink()
    _, checks = list_files(root)
    assert names(checks) == [("shards", "model.safetensors.index.json")]
    assert f"{SHARD} is missing" in checks[0].message


def test_an_empty_folder_is_no_checkpoint(tmp_path):
    """A folder of nothing, or of documents about nothing, fails; what is no folder is an error."""
    (tmp_path / "SIGNOFF.json").write_text("{}")
    assert names(list_files(tmp_path)[1]) == [("empty", "")]
    with pytest.raises(UsageError, match="is no folder"):
        list_files(tmp_path / "nowhere")


def test_what_git_and_the_hub_keep_is_left_out(tmp_path):
    """The folders of Git, the Hub's client and Watchkeeper in the root are named, not entered."""
    root = make_checkpoint(tmp_path / "model")
    for folder in (".git", ".watchkeeper", ".cache/huggingface", "original/.git"):
        (root / folder).mkdir(parents=True)
        (root / folder / "x").write_text("x")
    listed, checks = list_files(root)
    assert checks == []
    assert listed.left_out == (".cache/huggingface", ".git", ".watchkeeper")
    assert "original/.git/x" in listed.files
