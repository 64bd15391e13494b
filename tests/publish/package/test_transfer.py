"""Large files are shared or copied, whole or not at all, and the room for them is looked at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watchkeeper.publish.package import transfer
from watchkeeper.publish.package.transfer import bring, bytes_to_copy, hashing_s, refuse_full


def test_a_file_is_brought_with_its_bytes_and_its_time(tmp_path: Path) -> None:
    """Whichever way the filesystem offers, the file is the same; brought again, it is kept."""
    (tmp_path / "a").write_bytes(b"weights")
    os.utime(tmp_path / "a", ns=(1, 2_000_000_000))
    target = tmp_path / "below/b"
    assert bring(tmp_path / "a", target) in ("shared blocks", "hard link", "copy")
    assert target.read_bytes() == b"weights" and target.stat().st_mtime_ns == 2_000_000_000
    assert bring(tmp_path / "a", target) == "kept"


@pytest.mark.parametrize("old", [b"short", b"another"])
def test_what_is_not_the_same_is_brought_again(tmp_path: Path, old: bytes) -> None:
    """A file of another size or another time is replaced, with what was left half brought."""
    (tmp_path / "a").write_bytes(b"weights")
    (tmp_path / "b").write_bytes(old)
    os.utime(tmp_path / "b", ns=(1, 1))
    (tmp_path / "b.part").write_bytes(b"half")
    bring(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"weights"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_filesystem_that_shares_nothing_gets_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy has its own bytes, says how far it is, and keeps the time of the original."""
    monkeypatch.setattr(transfer, "_share", lambda source, part: "copy")
    (tmp_path / "a").write_bytes(b"weights")
    counts: list[int] = []
    assert bring(tmp_path / "a", tmp_path / "b", counts.append) == "copy"
    assert (tmp_path / "b").read_bytes() == b"weights" and sum(counts) == 7
    assert (tmp_path / "a").stat().st_ino != (tmp_path / "b").stat().st_ino
    assert bring(tmp_path / "a", tmp_path / "b") == "kept"


def test_a_link_is_brought_as_the_file_that_it_leads_to(tmp_path: Path) -> None:
    """A snapshot of links becomes a package of files."""
    (tmp_path / "blob").write_bytes(b"weights")
    (tmp_path / "a").symlink_to("blob")
    bring(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").is_symlink() and (tmp_path / "b").read_bytes() == b"weights"


def test_only_files_of_another_filesystem_certainly_have_to_be_copied(tmp_path: Path) -> None:
    """On the same filesystem nothing has to be."""
    (tmp_path / "a").write_bytes(b"weights")
    assert bytes_to_copy([tmp_path / "a"], tmp_path) == 0
    assert bytes_to_copy([tmp_path / "a"], Path("/proc")) == 7


def test_room_is_refused_below_what_is_needed_and_some_to_spare(tmp_path: Path) -> None:
    """64 MiB are left for the texts and for whoever else writes there."""
    refuse_full(1000, tmp_path, lambda folder: 1000 + 64 * 2**20)
    with pytest.raises(transfer.NoRoomError, match="needs 1000 bytes"):
        refuse_full(1000, tmp_path, lambda folder: 999 + 64 * 2**20)


def test_the_time_of_hashing_grows_with_the_bytes_and_is_bound_by_the_largest_file() -> None:
    """One file is hashed by one core, many by all of them; nothing takes no time."""
    assert hashing_s([]) == 0.0
    assert hashing_s([30 * 10**9], rate=10**9) == pytest.approx(30.0)
    many = hashing_s([10**9] * 64, rate=10**9)
    assert many == pytest.approx(64 / min(transfer.cores(), 64))
