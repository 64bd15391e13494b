"""Validation: a sign-off holds for exactly the files and the verdict that were signed."""

from datetime import timedelta

import pytest

from tests.publish.vouched import LATER, SIGNED, at, change, checkpoint, fails, signed, statuses
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.checks import verdict
from watchkeeper.publish.signoff import claims
from watchkeeper.publish.signoff.document import read_signoff, signoff_of, write_out
from watchkeeper.publish.signoff.sign import sign
from watchkeeper.publish.signoff.validate import validate


def check(root, **options):
    """The checks, at a fixed time."""
    return validate(root, clock=at(LATER), **options)


def test_what_was_signed_is_valid(tmp_path):
    """A checkpoint that nobody touched passes, with a sign-off required."""
    checks = check(signed(tmp_path / "ck"), require_signoff=True)
    assert verdict(checks) == "pass" and statuses(checks, "signoff-hash") == ["pass"]


def test_a_soft_signal_stays_one(tmp_path):
    """A soft signal that was signed with a reason is still a soft signal, and shows the reason."""
    root = signed(tmp_path / "ck", soft=True, reason="private log")
    checks = check(root, require_signoff=True)
    assert verdict(checks) == "soft_signal"
    (said,) = [one.message for one in checks if one.name == "signoff-verdict"]
    assert said == "soft_signal: private log"


@pytest.mark.parametrize(("required", "status"), [(True, "fail"), (False, "soft_signal")])
def test_a_missing_sign_off(tmp_path, required, status):
    """Nobody's word is a soft signal, and a failure where one is required."""
    checks = check(checkpoint(tmp_path / "ck"), require_signoff=required)
    assert statuses(checks, "signoff-present") == [status]


@pytest.mark.parametrize("text", ["{", "[]", '{"verdict": "pass"}', '{"a": 1, "a": 2}'])
def test_a_damaged_sign_off_fails(tmp_path, text):
    """A document that cannot be read is worse than none: it fails, required or not."""
    root = checkpoint(tmp_path / "ck")
    (root / "SIGNOFF.json").write_text(text)
    assert "signoff-present" in fails(check(root))


@pytest.mark.parametrize("version", ["0.1", "9", ""])
def test_another_schema_version_fails(tmp_path, version):
    """A sign-off in a schema that is not known vouches for nothing."""
    root = signed(tmp_path / "ck")
    change(root / "SIGNOFF.json", schema_version=version)
    assert fails(check(root)) == {"signoff-version"}


def test_a_time_without_a_zone_is_no_time(tmp_path):
    """`signed_at` without a zone could be any of 24 hours."""
    root = signed(tmp_path / "ck")
    change(root / "SIGNOFF.json", signed_at="2026-03-11T16:00:00")
    assert "signoff-present" in fails(check(root))


def test_every_document_that_was_signed_is_hashed(tmp_path):
    """README.md and TRAINING_LOG.md cannot be changed after the sign-off."""
    root = checkpoint(tmp_path / "ck")
    for name in ("README.md", "TRAINING_LOG.md"):
        (root / name).write_text("before\n")
    sign(root, clock=at(SIGNED))
    for name in ("README.md", "TRAINING_LOG.md"):
        (root / name).write_text("after.\n")
        assert [one.where for one in check(root) if one.status == "fail"] == [name]
        (root / name).write_text("before\n")


def test_a_document_that_came_later_is_said(tmp_path):
    """A README.md that nobody vouched for is named, and does not fail."""
    root = signed(tmp_path / "ck")
    (root / "README.md").write_text("late\n")
    checks = check(root)
    assert statuses(checks, "signoff-unlisted") == ["not_checked"] and not fails(checks)


def test_an_unlisted_weight_fails(tmp_path):
    """A weight file that came after the sign-off fails, and is named."""
    root = signed(tmp_path / "ck")
    (root / "late.bin").write_bytes(b"late")
    checks = check(root)
    assert {"signoff-unlisted", "unlisted-weights"} <= fails(checks)


def test_a_missing_file_fails(tmp_path):
    """A weight file that was signed and is gone fails."""
    root = signed(tmp_path / "ck")
    (root / "model.safetensors").unlink()
    assert {"signoff-file", "weights-missing"} <= fails(check(root))


def test_a_size_is_compared_before_the_hash(tmp_path):
    """A file of another size says so in bytes."""
    root = signed(tmp_path / "ck")
    with (root / "model.safetensors").open("ab") as file:
        file.write(b"x")
    (wrong,) = [one for one in check(root) if one.name == "weights-changed"]
    assert "bytes, the passport says" in wrong.message


def test_the_passport_must_be_first_and_listed_once(tmp_path):
    """A list without the passport in front, or with a file twice, vouches for nothing."""
    root = signed(tmp_path / "ck")
    document = write_out(read_signoff(root))
    files = document["artifacts"]
    for artifacts, name in ((files[1:], "signoff-list"), ([*files, files[1]], "signoff-list")):
        change(root / "SIGNOFF.json", artifacts=artifacts)
        assert name in fails(check(root))


def test_a_sign_off_of_the_future_is_a_soft_signal(tmp_path):
    """A time ahead of this machine's clock is said; a few minutes are two machines."""
    root = signed(tmp_path / "ck")
    for ahead, status in ((timedelta(minutes=6), "soft_signal"), (timedelta(minutes=4), "pass")):
        checks = validate(root, clock=at(SIGNED - ahead))
        assert statuses(checks, "signoff-time") == [status]


def test_no_folder_is_bad_input(tmp_path):
    """A path that is no folder is refused, with what to name instead."""
    with pytest.raises(UsageError, match="is no folder"):
        check(tmp_path / "none")


def test_a_document_lacks_nothing():
    """Each field that a sign-off must have is missed."""
    whole = {
        "schema_version": "0.2",
        "signed_at": "2026-03-11T16:00:00Z",
        "signed_by": {"tool": "theirs"},
        "artifacts": [],
        "verdict": "pass",
    }
    assert signoff_of(whole).verdict_reason is None
    for field in whole:
        with pytest.raises(UsageError, match=field):
            signoff_of({key: value for key, value in whole.items() if key != field})


def test_a_clock_is_right_without_a_time_to_compare():
    """A passport that says no time cannot be contradicted."""
    assert claims.check_clock(SIGNED, None) is None
