"""`watchkeeper checkpoint keygen`: make a key to sign with."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, UsageError
from watchkeeper.publish.signing import keys
from watchkeeper.publish.signing.passphrases import file_of, passphrase_source
from watchkeeper.show.cli.answering import answer, is_quiet
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.trust.key_options import asker, passphrase_option
from watchkeeper.show.text import printable


@click.command("keygen")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@passphrase_option
@click.option("--no-passphrase", is_flag=True, help="Whoever can read the file can sign with it.")
@answer_options
@command_errors
def command(
    file: Path | None, passphrase_file: Path | None, no_passphrase: bool, as_json: bool
) -> int:
    """Make a key to sign checkpoints with: the private half in FILE, which you alone can read, and
    the public half in FILE.pub, for those who verify. FILE is ~/.config/watchkeeper/signing.pem
    unless you name another; it cannot lie in a Git repository, and no file is replaced.

    Exit code: 2 if FILE is there already, or no passphrase can be had.

    Example: watchkeeper checkpoint keygen ~/keys/ada.pem
    """
    path = file or keys.default_path()
    keys.refuse_place(path)
    passphrase = _passphrase(path, passphrase_file, is_refused=no_passphrase)
    key = keys.generate(path, passphrase)
    public = keys.public_path_of(path)
    if as_json:
        return answer(
            EXIT_OK,
            summary=f"{path}: {key.fingerprint}",
            data=KeygenData(
                file=str(path),
                public_file=str(public),
                fingerprint=key.fingerprint,
                has_passphrase=passphrase is not None,
            ),
        )
    if is_quiet():
        click.echo(key.fingerprint)
        return EXIT_OK
    click.echo(printable(f"private key  {path}, for you alone"))
    click.echo(printable(f"public key   {public}, for those who verify"))
    click.echo(f"fingerprint  {key.fingerprint}")
    return EXIT_OK


class KeygenData(msgspec.Struct, frozen=True, kw_only=True):
    """The two halves of the key, and what it is called."""

    file: str
    public_file: str
    fingerprint: str
    has_passphrase: bool


ANSWERS = (KeygenData,)


def _passphrase(path: Path, file: Path | None, *, is_refused: bool) -> bytes | None:
    """The passphrase of the new key; None: it is to have none."""
    if is_refused:
        if file is not None:
            raise UsageError("--no-passphrase and --passphrase-file exclude each other")
        return None
    ask = asker(twice=True)
    if file_of(file) is None and ask is None:
        raise UsageError(
            "there is no terminal to ask for a passphrase",
            hint="name its file with --passphrase-file, or type --no-passphrase for a key without",
        )
    return passphrase_source(file, ask)(path)
