"""`watchkeeper publish check`: is a package whole, signed, and without anything private."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.publish.checks import Check, Status, exit_code, verdict
from watchkeeper.publish.package.check import bytes_to_hash, check_package
from watchkeeper.publish.package.opening import check_openings, read_openings
from watchkeeper.publish.signing.signers import Signers, read_signers
from watchkeeper.publish.signoff.document import Signoff, read_signoff
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.cli.trust.shown import (
    CheckEntry,
    HashingProgress,
    echo_checks,
    entries_of,
    problems_of,
)
from watchkeeper.show.cli.trust.sign import ATTRIBUTION
from watchkeeper.show.cli.trust.validate import STATUSES, SignoffEntry, signoff_entry
from watchkeeper.show.text import printable


@click.command("check")
@click.argument("package", type=click.Path(path_type=Path))
@click.option(
    "--signers",
    "signers_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The public keys that you trust, each below its name. One of them must have signed.",
)
@click.option(
    "--openings",
    "openings_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fields of events that their owner has opened, as `publish open` writes them.",
)
@page_options
@command_errors
def command(
    package: Path, signers_file: Path | None, openings_file: Path | None, as_json: bool
) -> int:
    """Check a package: whether all of it is there and none of it blank, every file is as the
    manifest and the sign-off say, the events are those of the passport's journal, and nothing in it
    is secret or tells of a cluster. Only the package is needed, and the signer's public key.

    Exit code: 0 if nothing failed, also with soft signals; 1 if a check failed; 2 if PACKAGE is no
    folder.

    Example: watchkeeper publish check package --signers trusted-keys
    """
    signers = read_signers(signers_file, package) if signers_file is not None else None
    openings = read_openings(openings_file) if openings_file is not None else []
    progress = HashingProgress(bytes_to_hash(package))
    try:
        checks = check_package(package, signers=signers, progress=progress.add)
    finally:
        progress.end()
    checks += check_openings(package, openings)
    result = verdict(checks)
    code = exit_code(result)
    summary = _summary(checks, result)
    signoff = _signoff(package) if code == 0 else None
    if not as_json:
        echo_checks(package, checks)
        click.echo(printable(f"{summary}."))
        if signoff is not None:
            say(printable(_words(signoff, checks, signers)))
        return code
    return answer(
        code,
        summary=summary,
        counts={status: _count(checks, status) for status in STATUSES},
        problems=problems_of(package, checks),
        data=PackageData(
            checks=entries_of(checks),
            verdict=result,
            package=str(package),
            signoff=signoff_entry(signoff),
            signed_by=_signed_by(checks),
        ),
    )


class PackageData(msgspec.Struct, frozen=True, kw_only=True):
    """The checks and their verdict. `signoff` is null where a check failed; `signed_by` names the
    trusted key that signed all files, null where none was asked for or none did.
    """

    checks: list[CheckEntry]
    verdict: Status
    package: str
    signoff: SignoffEntry | None
    signed_by: str | None


ANSWERS = (PackageData,)


def _signoff(package: Path) -> Signoff | None:
    """The sign-off in a package; None: it has none."""
    return read_signoff(package)


def _count(checks: Sequence[Check], status: Status) -> int:
    """How many of the checks have this status."""
    return sum(check.status == status for check in checks)


def _summary(checks: Sequence[Check], result: Status) -> str:
    """In one line: `pass: 12 of 12 checks hold`. What was not checked is not counted."""
    made = len(checks) - _count(checks, "not_checked")
    words = f"{result}: {made - _count(checks, 'fail')} of {made} checks hold"
    signals = _count(checks, "soft_signal")
    return f"{words}, {signals} with a soft signal" if signals else words


def _signed_by(checks: Sequence[Check]) -> str | None:
    """Who signed all files, as the check of their signature has it."""
    signed = [one for one in checks if one.name == "signature" and one.status == "pass"]
    if not signed:
        return None
    return signed[0].message.removeprefix("all files signed by ")


def _words(signoff: Signoff, checks: Sequence[Check], signers: Signers | None) -> str:
    """Who signed, and what that is worth."""
    when = f"{signoff.signed_at:%Y-%m-%d %H:%M} UTC"
    who = _signed_by(checks)
    if signers is not None and who is not None:
        return f"Signed {when} by {who}."
    return f"Signed {when} by {signoff.signed_by.tool}. {ATTRIBUTION}"
