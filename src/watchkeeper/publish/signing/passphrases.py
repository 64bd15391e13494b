"""Where the passphrase of a key comes from: a file, or a question. Never a command line, which
other users can see.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from watchkeeper.core.disk import files
from watchkeeper.publish.signing.keys import KeyFileError, PassphraseSource

VARIABLE = "WATCHKEEPER_KEY_PASSPHRASE_FILE"
MOST_BYTES = 4096

Ask = Callable[[str], str]
"""Asks a person, who answers without being seen; the text says for which key."""


def passphrase_source(
    file: Path | None, ask: Ask | None, environment: Mapping[str, str] = os.environ
) -> PassphraseSource:
    """The source of passphrases: `file`, else the file that the environment names, else a person.
    `ask` is None where there is no terminal.
    """

    def passphrase_of(key: Path) -> bytes:
        named = file_of(file, environment)
        if named is not None:
            return read_passphrase(named)
        if ask is None:
            raise KeyFileError(
                f"the key {key} has a passphrase, and there is no terminal to ask for it",
                hint=f"put it into a file of mode 600, and name that with --passphrase-file "
                f"or in {VARIABLE}",
            )
        return ask(f"Passphrase of {key}").encode()

    return passphrase_of


def file_of(file: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file with the passphrase: the one that was named, else the environment's; None: none."""
    if file is not None:
        return file
    named = environment.get(VARIABLE, "")
    return Path(named) if named else None


def read_passphrase(path: Path) -> bytes:
    """The passphrase in a file, without the end of its line.

    Raises:
        KeyFileError: others can read the file, or it is empty or too long.
        OSError: it cannot be read.
    """
    with files.open_regular(path) as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        data = file.read(MOST_BYTES + 1)
    if mode & 0o077:
        raise KeyFileError(
            f"the passphrase in {path} is open to others: its mode is {mode:04o}",
            hint=f"type: chmod 600 {path}",
        )
    passphrase = data.removesuffix(b"\n").removesuffix(b"\r")
    if not passphrase or len(data) > MOST_BYTES:
        raise KeyFileError(f"{path} holds no passphrase: one line of at most {MOST_BYTES:,} bytes")
    return passphrase
