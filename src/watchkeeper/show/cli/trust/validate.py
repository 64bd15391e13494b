"""`watchkeeper checkpoint validate`: a checkpoint as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from watchkeeper.publish.checks import Check, Status, exit_code, verdict
from watchkeeper.publish.passport.health.record import checks_of
from watchkeeper.publish.signing.signers import read_signers
from watchkeeper.publish.signoff.document import Signoff
from watchkeeper.publish.signoff.files import bytes_to_hash
from watchkeeper.publish.signoff.validate import validate_with_signoff
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.cli.trust.shown import (
    CheckEntry,
    HashingProgress,
    echo_checks,
    entries_of,
    problems_of,
    scan_numbers,
)
from watchkeeper.show.cli.trust.sign import ATTRIBUTION
from watchkeeper.show.text import printable

STATUSES: tuple[Status, ...] = ("pass", "fail", "soft_signal", "not_checked")


@click.command("validate")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--require-signoff", is_flag=True, help="A checkpoint without a SIGNOFF.json fails.")
@click.option(
    "--signers",
    "signers_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The public keys that you trust, each below its name. One of them must have signed.",
)
@click.option("--deep", is_flag=True, help="Look through all numbers for NaN and infinity.")
@page_options
@command_errors
def command(
    root: Path, require_signoff: bool, signers_file: Path | None, deep: bool, as_json: bool
) -> int:
    """Check a checkpoint as a whole: the passport in its folder ROOT against the files, and the
    sign-off against both. Every file that a document names is hashed, and so is every weight file;
    no code of the model is run, and nothing is unpickled.

    A sign-off holds only if its verdict is what the checks say now: one that was edited by hand, or
    was made for other weights or for an older passport, fails. With --deep every number of the
    weights is read too, which NumPy is needed for: NaN and infinity fail.

    Exit code: 0 if nothing failed, also with soft signals; 1 if a check failed; 2 if ROOT is no
    folder.

    Example: watchkeeper checkpoint validate artifacts/epoch_1 --require-signoff
    """
    signers = read_signers(signers_file, root) if signers_file is not None else None
    progress = HashingProgress(bytes_to_hash(root))
    try:
        checks, signoff = validate_with_signoff(
            root,
            require_signoff=require_signoff or signers is not None,
            signers=signers,
            progress=progress.add,
        )
    finally:
        progress.end()
    if deep:
        checks += checks_of(scan_numbers(root))
    result = verdict(checks)
    code = exit_code(result)
    summary = _summary(checks, result)
    if not as_json:
        echo_checks(root, checks)
        click.echo(printable(f"{summary}."))
        if signoff is not None and code == 0:
            say(printable(_words(signoff, is_proved=signers is not None)))
        return code
    return answer(
        code,
        summary=summary,
        counts={status: _count(checks, status) for status in STATUSES},
        problems=problems_of(root, checks),
        data=ValidateData(
            checks=entries_of(checks),
            verdict=result,
            root=str(root),
            signoff=signoff_entry(signoff),
        ),
    )


class SignoffEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the sign-off says of itself: by which tool, when, with which verdict and reason (null:
    none), and for how many files.
    """

    tool: str
    version: str
    signed_at: str
    verdict: str
    reason: str | None
    files: int


class ValidateData(msgspec.Struct, frozen=True, kw_only=True):
    """The checks and their verdict. `signoff` is null where there is none that can be read."""

    checks: list[CheckEntry]
    verdict: Status
    root: str
    signoff: SignoffEntry | None


ANSWERS = (ValidateData,)


def signoff_entry(signoff: Signoff | None) -> SignoffEntry | None:
    """A sign-off as an answer has it; None: there is none."""
    if signoff is None:
        return None
    return SignoffEntry(
        tool=signoff.signed_by.tool,
        version=signoff.signed_by.version,
        signed_at=signoff.signed_at.isoformat(),
        verdict=signoff.verdict,
        reason=signoff.verdict_reason,
        files=len(signoff.artifacts),
    )


def _count(checks: Sequence[Check], status: Status) -> int:
    """How many of the checks have this status."""
    return sum(check.status == status for check in checks)


def _summary(checks: Sequence[Check], result: Status) -> str:
    """`fail: 2 of 9 checks failed`."""
    made = len(checks) - _count(checks, "not_checked")
    words = f"{result}: {made - _count(checks, 'fail')} of {made} checks hold"
    signals = _count(checks, "soft_signal")
    if signals:
        words += f", {signals} with a soft signal"
    unchecked = _count(checks, "not_checked")
    if unchecked:
        words += f"; {unchecked} not checked"
    return words


def _words(signoff: Signoff, *, is_proved: bool) -> str:
    """Who signed, and what that is worth."""
    by = f"{signoff.signed_by.tool} {signoff.signed_by.version}".rstrip()
    words = f"Signed {signoff.signed_at:%Y-%m-%d %H:%M} UTC by {by}."
    return words if is_proved else f"{words} {ATTRIBUTION}"
