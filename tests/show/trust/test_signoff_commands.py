"""`checkpoint sign` and `checkpoint validate` as a person and a program meet them."""

import json

import pytest
from click.testing import CliRunner

from tests.publish.signing.keyring import make_key
from tests.publish.vouched import change, checkpoint, safetensors
from watchkeeper.show.cli import main


def wk(*words):
    """Run a command in this process."""
    return CliRunner().invoke(main, ["checkpoint", *map(str, words)])


def data_of(result):
    """The envelope of an answer."""
    return json.loads(result.stdout)


def test_a_checkpoint_is_signed_and_holds(tmp_path):
    """Signing says that it is no proof; what was signed is valid, and says who signed."""
    root = checkpoint(tmp_path / "ck")
    signed = wk("sign", root)
    assert (signed.exit_code, signed.stderr) == (0, "")
    assert signed.stdout.splitlines() == [
        f"{root}/SIGNOFF.json: pass, 2 files",
        "It is attribution, not proof: whoever can write this folder can write it too.",
    ]
    held = wk("validate", root, "--require-signoff")
    assert held.exit_code == 0
    assert held.stdout.splitlines()[-2].startswith("pass: ")
    assert "by watchkeeper checkpoint sign" in held.stdout and "not proof" in held.stdout


def test_a_soft_signal_asks_for_a_reason(tmp_path):
    """Without a reason the exit code is 2, the signals are named, and nothing is written."""
    root = checkpoint(tmp_path / "ck", soft=True)
    refused = wk("sign", root)
    assert refused.exit_code == 2 and "--reason TEXT" in refused.stderr
    assert "soft_signal: provenance.run_log_path: no run log is named" in refused.stdout
    assert not (root / "SIGNOFF.json").exists()
    answered = data_of(wk("sign", root, "--json"))
    assert answered["exit_code"] == 2 and answered["problems"][0]["code"] == "no-reason"
    assert [check["name"] for check in answered["data"]["checks"]] == ["no-run-log"]
    assert wk("sign", root, "--reason", "private").exit_code == 0
    assert data_of(wk("validate", root, "--json"))["data"]["signoff"]["reason"] == "private"


def test_a_failing_checkpoint_ends_with_1(tmp_path):
    """What fails is printed, and neither command ends with 0."""
    root = checkpoint(tmp_path / "ck")
    (root / "model.safetensors").write_bytes(safetensors(5.0))
    refused = wk("sign", root, "--reason", "never mind")
    assert refused.exit_code == 1 and "fail: model.safetensors: " in refused.stdout
    answered = data_of(wk("validate", root, "--json"))
    assert (answered["exit_code"], answered["data"]["verdict"]) == (1, "fail")
    assert answered["counts"]["fail"] == 1 and answered["data"]["signoff"] is None


def test_an_edited_verdict_ends_with_1(tmp_path):
    """A hand-written verdict fails with right hashes, and nobody is named as its signer."""
    root = checkpoint(tmp_path / "ck")
    wk("sign", root)
    change(root / "SIGNOFF.json", verdict="fail")
    failed = wk("validate", root)
    assert failed.exit_code == 1 and "only pass or soft_signal can be signed" in failed.stdout
    assert "Signed " not in failed.stdout


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--require-signoff",), 1)])
def test_a_missing_sign_off_fails_where_it_is_required(tmp_path, words, code):
    """Nobody's word is a soft signal, and the command that signs is named."""
    root = checkpoint(tmp_path / "ck")
    result = wk("validate", root, *words, "-q")
    assert result.exit_code == code and "(watchkeeper checkpoint sign)" in result.stdout


@pytest.mark.parametrize("command", ["sign", "validate"])
def test_no_folder_is_bad_input(tmp_path, command):
    """A path that is no folder ends with 2, and with what to name instead."""
    result = wk(command, tmp_path / "none")
    assert result.exit_code == 2 and "a checkpoint is a folder" in result.stderr


def test_a_key_signs_and_its_owner_is_named(tmp_path):
    """With a trusted key the text speaks of no attribution; a stranger's key ends with 1."""
    root = checkpoint(tmp_path / "ck")
    ada = make_key(tmp_path, "ada")
    signed = wk("sign", root, "--key", ada.path)
    assert signed.exit_code == 0 and f"Signed with the key {ada.fingerprint}." in signed.stdout
    trusted = tmp_path / "signers.txt"
    trusted.write_text(f"# Ada\n{ada.path.with_name('ada.pem.pub').read_text()}")
    held = wk("validate", root, "--signers", trusted)
    assert held.exit_code == 0 and "signed by Ada" in held.stdout
    assert "attribution" not in held.stdout
    stranger = make_key(tmp_path, "stranger")
    trusted.write_text(f"# Bob\n{stranger.path.with_name('stranger.pem.pub').read_text()}")
    failed = wk("validate", root, "--signers", trusted)
    assert failed.exit_code == 1 and f"signed by unknown key {ada.fingerprint}" in failed.stdout
