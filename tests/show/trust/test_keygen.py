"""`checkpoint keygen`: a key for its owner alone, and no guess about its passphrase."""

from __future__ import annotations

import json
import sys

import click
import pytest
from click.testing import CliRunner

from tests.publish.signing.keyring import refuse
from watchkeeper.publish.signing.keys import KeyFileError, default_path, load_private
from watchkeeper.publish.signing.passphrases import VARIABLE
from watchkeeper.show.cli import main
from watchkeeper.show.cli.trust import key_options


def keygen(*words):
    """The exit code of `checkpoint keygen` with these words, and all that it printed."""
    done = CliRunner().invoke(main, ["checkpoint", "keygen", *map(str, words)])
    return done.exit_code, done.output


@pytest.fixture
def secret(tmp_path):
    """A file with a passphrase."""
    path = tmp_path / "passphrase"
    path.write_text("correct horse\n")
    path.chmod(0o600)
    return path


class Terminal:
    """A standard input at which a person sits."""

    def isatty(self):
        """Always."""
        return True


@pytest.fixture
def asked(monkeypatch):
    """What a person at a terminal was asked, and how."""
    asked = []

    def prompt(text, **options):
        asked.append((text, options))
        return "correct horse"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(click, "prompt", prompt)
    return asked


def test_a_key_is_made_and_its_halves_are_named(tmp_path):
    """The answer names both files and the fingerprint, and never what is in the private one."""
    path = tmp_path / "ada.pem"
    code, text = keygen(path, "--no-passphrase")
    fingerprint = load_private(path, refuse).fingerprint
    assert code == 0 and text == (
        f"private key  {path}, for you alone\n"
        f"public key   {path}.pub, for those who verify\n"
        f"fingerprint  {fingerprint}\n"
    )
    code, text = keygen(path, "--no-passphrase")
    assert code == 2 and "exists, and is kept" in text
    assert keygen(tmp_path / "b.pem", "--no-passphrase", "-q")[1].startswith("SHA256:")


def test_the_passphrase_comes_from_a_file_or_the_environment(tmp_path, secret, monkeypatch):
    """A named file, or the one that the variable names, encrypts the key."""
    answer = json.loads(keygen(tmp_path / "a.pem", "--passphrase-file", secret, "--json")[1])
    assert answer["data"]["has_passphrase"] is True
    monkeypatch.setenv(VARIABLE, str(secret))
    assert keygen(tmp_path / "b.pem")[0] == 0
    for name in ("a.pem", "b.pem"):
        with pytest.raises(KeyFileError, match="does not open"):
            load_private(tmp_path / name, lambda path: b"wrong")
        assert load_private(tmp_path / name, lambda path: b"correct horse").passphrase


def test_without_a_passphrase_or_a_terminal_no_key_is_made(tmp_path, secret):
    """A key without a passphrase is made only when that is said, and not beside a passphrase."""
    path = tmp_path / "ada.pem"
    code, text = keygen(path)
    assert code == 2 and "--no-passphrase" in text and not path.exists()
    code, text = keygen(path, "--no-passphrase", "--passphrase-file", secret)
    assert code == 2 and "exclude each other" in text and not path.exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_a_person_is_asked_unseen_and_twice_for_a_new_passphrase(asked, is_new):
    """What is typed is hidden and asked for on standard error; a new passphrase is asked twice."""
    with click.Context(main).scope():
        ask = key_options.asker(twice=is_new)
    assert ask("Passphrase of ada.pem") == "correct horse"
    options = {"hide_input": True, "err": True, "confirmation_prompt": is_new}
    assert asked == [("Passphrase of ada.pem", options)]


def test_nobody_is_asked_where_nobody_answers(asked, monkeypatch):
    """With `--json` or without a terminal there is no question."""
    context = click.Context(main)
    with context.scope():
        context.meta["watchkeeper.json"] = True
        assert key_options.asker() is None
        context.meta.clear()
        assert key_options.asker() is not None
        monkeypatch.setattr(Terminal, "isatty", lambda terminal: False)
        assert key_options.asker() is None


def test_the_key_lies_in_the_configuration_folder_by_default():
    """Without a name the key lies where the user's settings do."""
    assert str(default_path({"XDG_CONFIG_HOME": "/c"})) == "/c/watchkeeper/signing.pem"
    assert default_path({}).parts[-3:] == (".config", "watchkeeper", "signing.pem")


def test_a_command_loads_the_key_that_was_named(tmp_path, secret):
    """Without a key there is none; with one its passphrase is read from the named file."""
    keygen(tmp_path / "a.pem", "--passphrase-file", secret)
    with click.Context(main).scope():
        assert key_options.load_key(None, secret) is None
        key = key_options.load_key(tmp_path / "a.pem", secret)
        assert key is not None and key.passphrase == b"correct horse"
