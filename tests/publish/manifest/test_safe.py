"""Which paths lead where: inside the checkpoint, or out of it."""

from __future__ import annotations

import pytest

from watchkeeper.publish.manifest.safe import UnsafePathError, inside

UNSAFE = {
    "": "is empty",
    "/etc/passwd": "is absolute",
    "../x": "leads upwards",
    "a/../../x": "leads upwards",
    "a/..": "leads upwards",
    "..\\x": "leads upwards",
    "a\\..\\x": "leads upwards",
    "C:\\x": "names a drive",
    "C:x": "names a drive",
    "\\\\server\\share\\x": "names a drive",
    "a\0b": "holds a NUL",
    ".": "not in its plain form",
    "./a": "not in its plain form",
    "a//b": "not in its plain form",
    "a/": "not in its plain form",
    "a/./b": "not in its plain form",
}


@pytest.mark.parametrize(("path", "message"), UNSAFE.items(), ids=map(repr, UNSAFE))
def test_a_path_with_another_spelling_is_refused(tmp_path, path, message):
    """A path that is absolute, leads upwards, or could be spelled in another way names no file."""
    with pytest.raises(UnsafePathError, match=message):
        inside(tmp_path, path)


@pytest.mark.parametrize("path", ["a", "a/b.bin", "..a", "a..", "a\nb", "ckpt:1", "é", "a\\b", " "])
def test_an_odd_name_is_a_name(tmp_path, path):
    """Names that only look odd are inside, whether there is a file or not."""
    assert inside(tmp_path, path) == tmp_path.resolve() / path


def test_a_link_is_followed_before_it_is_judged(tmp_path):
    """A link that stays inside leads to its file; one that leaves, also through a folder or after
    a second link, is refused.
    """
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    (tmp_path / "root-other").mkdir()
    (root / "link").symlink_to("below/file")
    (root / "up").symlink_to("../root-other")
    (root / "again").symlink_to("up")
    (root / "whole").symlink_to(".")
    assert inside(root, "link") == root.resolve() / "below/file"
    for path in ("up", "up/file", "again/file", "whole"):
        with pytest.raises(UnsafePathError, match="leads out of the checkpoint"):
            inside(root, path)


def test_a_snapshot_of_the_hugging_face_cache_reaches_its_blobs(tmp_path):
    """A link of a snapshot may lead to the blobs of its own model, and not to those of another."""
    model = tmp_path / "hub/models--org--one"
    snapshot = model / "snapshots/0123"
    snapshot.mkdir(parents=True)
    for folder in (model, tmp_path / "hub/models--org--two"):
        (folder / "blobs").mkdir(parents=True)
        (folder / "blobs/abc").write_bytes(b"weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (snapshot / "other.safetensors").symlink_to("../../../models--org--two/blobs/abc")
    assert inside(snapshot, "model.safetensors") == (model / "blobs/abc").resolve()
    with pytest.raises(UnsafePathError):
        inside(snapshot, "other.safetensors")
    (model / "copies").mkdir()
    (model / "copies/model.safetensors").symlink_to("../blobs/abc")
    with pytest.raises(UnsafePathError):
        inside(model / "copies", "model.safetensors")
