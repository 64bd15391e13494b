"""Signing: what is refused, what is written, and that nobody else's file is replaced."""

import json
import os
from collections import UserDict
from datetime import timedelta

import pytest

from tests.publish.vouched import (
    GENERATED,
    LATER,
    SIGNED,
    at,
    change,
    checkpoint,
    safetensors,
    write_passport,
)
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.manifest.hashing import hash_files
from watchkeeper.publish.signoff import document
from watchkeeper.publish.signoff.document import read_signoff
from watchkeeper.publish.signoff.sign import NoReasonError, NotSignedError, sign


def test_the_document_is_as_the_format_says(tmp_path):
    """The passport comes first, then each weight file, then the documents beside them."""
    root = checkpoint(tmp_path / "ck")
    (root / "extra.bin").write_bytes(b"weights")
    write_passport(root)
    (root / "TRAINING_LOG.md").write_text("# Log\n")
    (root / "README.md").write_text("# Card\n")
    sign(root, clock=at(SIGNED))
    written = json.loads((root / "SIGNOFF.json").read_text())
    paths = [file["path"] for file in written["artifacts"]]
    weights = ["extra.bin", "model.safetensors"]
    assert paths == ["MODEL_PASSPORT.json", *weights, "README.md", "TRAINING_LOG.md"]
    assert list(written) == [
        *("schema_version", "signed_at", "signed_by", "artifacts", "verdict", "verdict_reason"),
    ]
    assert written["signed_at"] == "2026-03-11T16:00:00Z" and written["verdict"] == "pass"
    hashes = {record.path: record.sha256 for record in hash_files(root, paths)}
    assert {file["path"]: file["sha256"] for file in written["artifacts"]} == hashes


def test_a_sign_off_is_read_as_it_was_written(tmp_path):
    """Reading what was written gives what `sign` returned."""
    root = checkpoint(tmp_path / "ck", soft=True)
    made = sign(root, reason="  known  ", clock=at(SIGNED))
    assert read_signoff(root) == made and made.verdict_reason == "known"
    assert made.is_ours and not made.is_automatic


def test_a_soft_signal_needs_a_reason(tmp_path):
    """Without a reason a checkpoint with soft signals is not signed, and nothing is written."""
    root = checkpoint(tmp_path / "ck", soft=True)
    with pytest.raises(NoReasonError, match="soft signal"):
        sign(root, clock=at(SIGNED))
    assert not (root / "SIGNOFF.json").exists()
    signoff = sign(root, reason="the run log is private", clock=at(SIGNED))
    assert signoff.verdict == "soft_signal"


def test_a_failing_checkpoint_is_never_signed(tmp_path):
    """A weight that the passport has with another hash refuses, whatever reason is given."""
    root = checkpoint(tmp_path / "ck")
    (root / "model.safetensors").write_bytes(safetensors(2.0))
    with pytest.raises(NotSignedError, match=r"weights-changed|not those that the passport"):
        sign(root, reason="never mind", clock=at(SIGNED))
    assert not (root / "SIGNOFF.json").exists()


@pytest.mark.parametrize("name", ["extra.safetensors", "sub/old.pt"])
def test_a_weight_beside_the_passport_refuses(tmp_path, name):
    """Two epochs in one folder: a weight file that does not list this weight is not signed."""
    root = checkpoint(tmp_path / "ck")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(safetensors(3.0))
    with pytest.raises(NotSignedError, match="does not list this weight"):
        sign(root, clock=at(SIGNED))


def test_without_a_passport_nothing_is_signed(tmp_path):
    """A folder of weights alone is refused."""
    root = checkpoint(tmp_path / "ck")
    (root / "MODEL_PASSPORT.json").unlink()
    with pytest.raises(NotSignedError):
        sign(root, clock=at(SIGNED))


@pytest.mark.parametrize("reason", ["two\nlines", " \t", "x" * 2001, "bell\x07"])
def test_a_reason_is_one_line(tmp_path, reason):
    """A reason that is no line of text is refused before anything is read."""
    with pytest.raises(UsageError, match="--reason"):
        sign(tmp_path, reason=reason)


def test_a_foreign_sign_off_is_kept(tmp_path):
    """A SIGNOFF.json that another program wrote is never replaced."""
    root = checkpoint(tmp_path / "ck")
    theirs = '{"signed_by": {"tool": "theirs"}}'
    (root / "SIGNOFF.json").write_text(theirs)
    with pytest.raises(UsageError, match="not written by Watchkeeper"):
        sign(root, clock=at(SIGNED))
    assert (root / "SIGNOFF.json").read_text() == theirs


def test_ours_is_replaced(tmp_path):
    """What this program signed before is signed again, also where it was the main job."""
    root = checkpoint(tmp_path / "ck")
    automatic = sign(root, tool=document.AUTOMATIC, clock=at(SIGNED))
    assert automatic.is_automatic
    assert not sign(root, clock=at(LATER)).is_automatic


def test_a_file_that_is_written_meanwhile_is_not_signed(tmp_path):
    """A weight that is written to after it was hashed takes the sign-off back."""
    root = checkpoint(tmp_path / "ck")
    paths = ["MODEL_PASSPORT.json", "model.safetensors"]
    known = {record.path: record for record in hash_files(root, paths)}

    class Written(UserDict):
        def keys(self):
            os.utime(root / "model.safetensors", ns=(1, 1))
            return super().keys()

    with pytest.raises(NotSignedError, match="changed while it was hashed"):
        sign(root, known=Written(known), clock=at(SIGNED))
    assert not (root / "SIGNOFF.json").exists()


def test_known_hashes_are_taken_as_they_are(tmp_path):
    """A file with a record is not read again: its record decides."""
    root = checkpoint(tmp_path / "ck")
    (record,) = hash_files(root, ["model.safetensors"])
    signoff = sign(root, known={"model.safetensors": record}, clock=at(SIGNED))
    assert signoff.artifacts[1].sha256 == record.sha256


def test_a_clock_behind_the_passport_refuses(tmp_path):
    """A clock that was set back cannot sign; five minutes apart is two machines."""
    root = checkpoint(tmp_path / "ck")
    with pytest.raises(NotSignedError, match="before the passport was generated"):
        sign(root, clock=at(GENERATED - timedelta(minutes=6)))
    assert sign(root, clock=at(GENERATED - timedelta(minutes=4))).verdict == "pass"


def test_a_passport_of_another_day_is_read(tmp_path):
    """A passport that does not say when it was generated can be signed."""
    root = checkpoint(tmp_path / "ck")
    change(root / "MODEL_PASSPORT.json", generated_at="soon")
    assert sign(root, reason="written by hand", clock=at(SIGNED)).signed_at == SIGNED
