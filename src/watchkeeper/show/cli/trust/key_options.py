"""The options of the commands that use a private key, and how they ask for its passphrase."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from watchkeeper.publish.signing.keys import Key, load_private
from watchkeeper.publish.signing.passphrases import VARIABLE, Ask, passphrase_source
from watchkeeper.show.cli.answering import shows_progress

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=(
        "The key's passphrase, in a file that others cannot read. "
        f"Default: the file that {VARIABLE} names, else a question on the terminal."
    ),
)


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--key` and `--passphrase-file`, for a command that can sign."""
    key = click.option(
        "--key",
        "key_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Sign with this private key, as `checkpoint keygen` makes them.",
    )
    return key(passphrase_option(command))


def load_key(key_file: Path | None, passphrase_file: Path | None) -> Key | None:
    """The key that was named; None: none was.

    Raises:
        KeyFileError: it cannot be used, or its passphrase is not to be had.
        OSError: a file cannot be read.
    """
    if key_file is None:
        return None
    return load_private(key_file, passphrase_source(passphrase_file, asker()))


def asker(*, twice: bool = False) -> Ask | None:
    """Asks on the terminal, `twice` for a new passphrase; None where there is no terminal, or the
    command answers with JSON.
    """
    if not (sys.stdin.isatty() and shows_progress()):
        return None

    def ask(text: str) -> str:
        answer: str = click.prompt(text, hide_input=True, err=True, confirmation_prompt=twice)
        return answer

    return ask
