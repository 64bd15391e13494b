"""Attacks on a sign-off: each must fail."""

import hashlib
import json
from datetime import timedelta

import pytest

from tests.publish.vouched import (
    GENERATED,
    LATER,
    SIGNED,
    at,
    change,
    fails,
    safetensors,
    signed,
    write_passport,
)
from watchkeeper.publish.signoff.sign import sign
from watchkeeper.publish.signoff.validate import validate


def check(root):
    """The names of what fails, with a sign-off required."""
    return fails(validate(root, require_signoff=True, clock=at(LATER)))


def sha256(path):
    """The sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def swap(root):
    """Put other weights of the same size in the place of the signed ones."""
    (root / "model.safetensors").write_bytes(safetensors(66.0))


@pytest.mark.parametrize("name", ["MODEL_PASSPORT.json", "model.safetensors"])
def test_one_flipped_bit_fails(tmp_path, name):
    """Each byte of the passport and of the weights counts."""
    root = signed(tmp_path / "ck")
    data = bytearray((root / name).read_bytes())
    data[-2] ^= 1
    (root / name).write_bytes(data)
    assert "signoff-hash" in check(root)


def test_a_weight_swapped_with_its_manifest_hash_fails(tmp_path):
    """The manifest is signed too: whoever makes it agree with other weights breaks the sign-off."""
    root = signed(tmp_path / "ck")
    manifest = {
        "schema_version": "1",
        "generated_by": "watchkeeper 0",
        "generated_at": "2026-03-11T15:00:00Z",
        "algorithm": "sha256",
        "artifacts": [],
        "skipped_symlinks": [],
    }

    def write_manifest():
        path = root / "model.safetensors"
        entry = {"path": path.name, "size_bytes": path.stat().st_size, "sha256": sha256(path)}
        (root / "CHECKPOINT_MANIFEST.json").write_text(
            json.dumps(manifest | {"artifacts": [entry]})
        )

    write_manifest()
    sign(root, clock=at(SIGNED))
    swap(root)
    write_manifest()
    wrong = {
        one.where
        for one in validate(root, require_signoff=True, clock=at(LATER))
        if one.name == "signoff-hash" and one.status == "fail"
    }
    assert wrong == {"CHECKPOINT_MANIFEST.json", "model.safetensors"}


def test_a_weight_swapped_with_its_passport_fails(tmp_path):
    """A passport that was made to agree with other weights is no longer the signed one."""
    root = signed(tmp_path / "ck")
    swap(root)
    write_passport(root)
    assert "signoff-hash" in check(root)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [("fail", None), ("fail", "fine"), ("soft_signal", "it is fine"), ("approved", None), ("", "")],
)
def test_a_verdict_edited_by_hand_fails(tmp_path, verdict, reason):
    """With right hashes the verdict must still be what the checks say now."""
    root = signed(tmp_path / "ck")
    change(root / "SIGNOFF.json", verdict=verdict, verdict_reason=reason)
    assert check(root) == {"signoff-verdict"}


@pytest.mark.parametrize(
    ("verdict", "reason"), [("pass", "all good"), ("soft_signal", None), ("soft_signal", "  ")]
)
def test_a_soft_signal_cannot_be_edited_away(tmp_path, verdict, reason):
    """Neither as a pass, nor without the reason."""
    root = signed(tmp_path / "ck", soft=True, reason="private log")
    change(root / "SIGNOFF.json", verdict=verdict, verdict_reason=reason)
    assert check(root) == {"signoff-verdict"}


def test_a_sign_off_replayed_onto_other_weights_fails(tmp_path):
    """The sign-off of one checkpoint vouches for no other one."""
    good, other = signed(tmp_path / "good"), signed(tmp_path / "other")
    swap(other)
    write_passport(other)
    (other / "SIGNOFF.json").write_bytes((good / "SIGNOFF.json").read_bytes())
    assert "signoff-hash" in check(other)


def test_a_sign_off_replayed_beside_a_newer_passport_fails(tmp_path):
    """A passport that was written after the sign-off is not vouched for."""
    root = signed(tmp_path / "ck")
    write_passport(root, generated_at="2026-03-11T18:00:00Z")
    assert {"signoff-hash", "signoff-time"} <= check(root)


def test_a_clock_set_back_fails(tmp_path):
    """A sign-off that is older than the passport that it names was not made in this order."""
    root = signed(tmp_path / "ck")
    early = (GENERATED - timedelta(days=1)).isoformat()
    change(root / "SIGNOFF.json", signed_at=early)
    assert check(root) == {"signoff-time"}


@pytest.mark.parametrize("path", ["../secret.bin", "/etc/passwd", "a/../../b", "C:\\w.bin", ""])
def test_a_path_out_of_the_root_fails(tmp_path, path):
    """A sign-off that names a file outside is refused, though its hash is right."""
    root = signed(tmp_path / "ck")
    (tmp_path / "secret.bin").write_bytes(b"secret")
    document = json.loads((root / "SIGNOFF.json").read_text())
    document["artifacts"].append({"path": path, "sha256": sha256(tmp_path / "secret.bin")})
    change(root / "SIGNOFF.json", artifacts=document["artifacts"])
    assert "signoff-path" in check(root)


def test_a_link_out_of_the_root_fails(tmp_path):
    """A weight that was replaced by a link to the same bytes elsewhere is not the signed one."""
    root = signed(tmp_path / "ck")
    (tmp_path / "elsewhere.bin").write_bytes((root / "model.safetensors").read_bytes())
    (root / "model.safetensors").unlink()
    (root / "model.safetensors").symlink_to(tmp_path / "elsewhere.bin")
    assert {"signoff-path", "link-leads-out"} <= check(root)


@pytest.mark.parametrize("hashed", ["", "0" * 64, "x" * 64])
def test_a_hash_that_is_none_fails(tmp_path, hashed):
    """A hash that is empty or another's is never equal to that of a file."""
    root = signed(tmp_path / "ck")
    document = json.loads((root / "SIGNOFF.json").read_text())
    document["artifacts"][1]["sha256"] = hashed
    change(root / "SIGNOFF.json", artifacts=document["artifacts"])
    assert check(root) == {"signoff-hash"}


def test_a_sign_off_of_ten_gigabytes_is_not_read(tmp_path):
    """The size is looked at first: a hole of 10 GB takes neither time nor memory."""
    root = signed(tmp_path / "ck")
    with (root / "SIGNOFF.json").open("wb") as file:
        file.truncate(10 * 10**9)
    assert "signoff-present" in check(root)
