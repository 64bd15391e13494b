"""`watchkeeper checkpoint sign`: vouch for a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_OK, Problem
from watchkeeper.publish import names
from watchkeeper.publish.signing.keys import Key
from watchkeeper.publish.signoff import origin
from watchkeeper.publish.signoff.document import Signoff, StatedCriterion
from watchkeeper.publish.signoff.files import bytes_to_hash
from watchkeeper.publish.signoff.sign import NoReasonError, NotSignedError, sign
from watchkeeper.show.cli.answering import answer, echo_problems, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.trust.key_options import key_options, load_key
from watchkeeper.show.cli.trust.shown import (
    CheckEntry,
    HashingProgress,
    echo_checks,
    entries_of,
    problems_of,
)
from watchkeeper.show.text import printable

ATTRIBUTION = "It is attribution, not proof: whoever can write this folder can write it too."


@click.command("sign")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--reason",
    default="",
    metavar="TEXT",
    help="Why a checkpoint with soft signals is good all the same. It stands in the sign-off.",
)
@key_options
@answer_options
@command_errors
def command(
    root: Path, reason: str, key_file: Path | None, passphrase_file: Path | None, as_json: bool
) -> int:
    """Vouch for a checkpoint: write SIGNOFF.json into its folder ROOT, with the hashes of its
    passport, its weights, README.md, TRAINING_LOG.md and its manifest, as far as they are there.

    All checks of the passport are made first, and every file is hashed. A checkpoint that fails one
    is never signed; one with soft signals needs a --reason. What was written is validated once
    more. If the checkpoint was made by a run of an experiment, its journal and its run log name the
    sign-off.

    With --key the files are signed so that `model_signing verify` accepts them (model.sig), and
    SIGNOFF.sig.json holds signed statements of their origin, the checks and the verdict.

    Exit code: 0 if it was signed; 1 if a check fails, or a file changed meanwhile; 2 if ROOT is no
    folder, a reason is missing, or another tool wrote the SIGNOFF.json that is there.

    Example: watchkeeper checkpoint sign artifacts/epoch_1 --reason "the data is private"
    """
    key = load_key(key_file, passphrase_file)
    progress = HashingProgress(bytes_to_hash(root))
    try:
        expected = origin.expected_of(root)
        signoff = sign(root, reason=reason, key=key, expected=expected, progress=progress.add)
    except (NotSignedError, NoReasonError) as error:
        progress.end()
        return _refuse(root, error, as_json=as_json)
    finally:
        progress.end()
    echo_problems(origin.remember(root, signoff))
    return _show(root, signoff, key, as_json=as_json)


class SignData(msgspec.Struct, frozen=True, kw_only=True):
    """The sign-off that was written, null where none was: the verdict and its reason, and how many
    files it names. `checks` are those that stand against signing. `criteria` are what was expected
    of its evaluations, as the sign-off repeats them.
    """

    checks: list[CheckEntry]
    root: str
    file: str | None
    verdict: str | None
    reason: str | None
    signed_at: str | None
    files: int
    key: str | None
    criteria: list[StatedCriterion] = []


ANSWERS = (SignData,)


def _show(root: Path, signoff: Signoff, key: Key | None, *, as_json: bool) -> int:
    """Say what was signed, and with which key (None: with none); EXIT_OK."""
    path = root / names.SIGNOFF
    count = len(signoff.artifacts)
    summary = f"{path}: {signoff.verdict}, {count:,} files"
    if not as_json:
        click.echo(printable(summary))
        for one in _criteria_of(signoff):
            say(printable(f"Expected {one.words}"))
        say(ATTRIBUTION if key is None else f"Signed with the key {key.fingerprint}.")
        return EXIT_OK
    return answer(
        EXIT_OK,
        summary=summary,
        counts={"files": count},
        data=SignData(
            checks=[],
            root=str(root),
            file=str(path),
            verdict=signoff.verdict,
            reason=signoff.verdict_reason,
            signed_at=signoff.signed_at.isoformat(),
            files=count,
            key=key.fingerprint if key is not None else None,
            criteria=list(_criteria_of(signoff)),
        ),
    )


def _criteria_of(signoff: Signoff) -> tuple[StatedCriterion, ...]:
    """The criteria that a sign-off states; () for one that another program wrote."""
    if signoff.watchkeeper is None:
        return ()
    return signoff.watchkeeper.criteria


def _refuse(root: Path, error: NotSignedError | NoReasonError, *, as_json: bool) -> int:
    """Show what stands against signing."""
    message = str(error)
    if not as_json:
        echo_checks(root, error.checks)
        click.echo(printable(f"watchkeeper: {message}"), err=True)
        if error.hint:
            click.echo(printable(f"  {error.hint}"), err=True)
        return error.exit_code
    return answer(
        error.exit_code,
        summary=message,
        counts={"against": len(error.checks)},
        problems=[
            Problem(where=str(root), message=message, hint=error.hint, code=error.code),
            *problems_of(root, error.checks),
        ],
        data=SignData(
            checks=entries_of(error.checks),
            root=str(root),
            file=None,
            verdict=None,
            reason=None,
            signed_at=None,
            files=0,
            key=None,
        ),
    )
