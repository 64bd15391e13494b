"""A passphrase comes from a file that others cannot read, or from a person at a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.publish.signing.keys import KeyFileError
from watchkeeper.publish.signing.passphrases import VARIABLE, passphrase_source, read_passphrase

KEY = Path("ada.pem")


def secret(path, data=b"correct horse\n", mode=0o600):
    """A file with a passphrase."""
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_the_option_comes_before_the_environment_before_a_person(tmp_path):
    """The named file wins over the environment's; a person is asked only where there is none."""
    named = secret(tmp_path / "named", b"one")
    environment = {VARIABLE: str(secret(tmp_path / "other", b"two"))}
    seen = []
    source = passphrase_source(named, seen.append, environment)
    assert source(KEY) == b"one"
    assert passphrase_source(None, seen.append, environment)(KEY) == b"two" and not seen
    ask = passphrase_source(None, lambda text: seen.append(text) or "drei ü", {})
    assert ask(KEY) == "drei ü".encode() and seen == ["Passphrase of ada.pem"]


def test_without_a_terminal_the_way_out_is_named():
    """Where nobody can be asked, the option and the variable are named."""
    with pytest.raises(KeyFileError, match="no terminal to ask for it") as caught:
        passphrase_source(None, None, {VARIABLE: ""})(KEY)
    assert "--passphrase-file" in caught.value.hint and VARIABLE in caught.value.hint


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_the_line_is_no_part_of_it(tmp_path, end):
    """Editors end a line; spaces and further lines are the passphrase's own."""
    path = secret(tmp_path / "file", b" a\n b " + end)
    assert read_passphrase(path) == b" a\n b "


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 4097])
def test_an_empty_or_endless_file_is_refused(tmp_path, data):
    """A file without a passphrase does not count as an empty one."""
    with pytest.raises(KeyFileError, match="holds no passphrase"):
        read_passphrase(secret(tmp_path / "file", data))


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_passphrase_that_is_open_to_others_is_refused(tmp_path, mode):
    """A passphrase that others can read protects nothing."""
    with pytest.raises(KeyFileError, match="open to others"):
        read_passphrase(secret(tmp_path / "file", mode=mode))
