"""`watchkeeper publish download`: a package from the Hugging Face Hub, verified."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK
from watchkeeper.core.text.figures import clock, size
from watchkeeper.publish.checks import Check, Status, verdict
from watchkeeper.publish.hub.client import Ask, asking
from watchkeeper.publish.hub.download import (
    Listed,
    UnverifiedError,
    fetch,
    list_package,
    require_free,
)
from watchkeeper.publish.hub.place import place_of
from watchkeeper.publish.hub.plan import BYTES_PER_S
from watchkeeper.publish.hub.token import find_token_if_any
from watchkeeper.publish.package.check import bytes_to_hash, check_package
from watchkeeper.publish.signing.signers import Signers, read_signers
from watchkeeper.show.cli.answering import answer, say
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import answer_options
from watchkeeper.show.cli.publish.upload import is_watched, time_for, timeout_option
from watchkeeper.show.cli.trust.shown import (
    CheckEntry,
    HashingProgress,
    echo_checks,
    entries_of,
    problems_of,
)
from watchkeeper.show.cli.trust.sign import ATTRIBUTION
from watchkeeper.show.text import printable


@click.command("download")
@click.argument("repo", metavar="USER/NAME")
@click.option(
    "-o",
    "--out",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder for the package, which must not be there yet.",
)
@click.option(
    "--revision",
    default="main",
    metavar="REV",
    help="A branch, a tag or a commit. Default: main",
)
@click.option(
    "--signers",
    "signers_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The public keys that you trust, each below its name. One of them must have signed.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The token, for a private package. Default: where `hf auth login` keeps it, if it does.",
)
@timeout_option
@answer_options
@command_errors
def command(  # noqa: PLR0917 - one for each option
    repo: str,
    target: Path,
    revision: str,
    signers_file: Path | None,
    token_file: Path | None,
    timeout_s: float | None,
    as_json: bool,
) -> int:
    """Download the package in the repository USER/NAME into a new folder, and verify it there as
    `publish check` does. Only a package whose checks hold gets its name; of another nothing is
    left. Nothing in it is run or unpacked, and no file that is there is replaced.

    Without `--signers` the package is checked for being whole, and nothing says whose it is.

    After a broken connection type the same command again: what has arrived is kept beside DIR.

    Exit code: 0 if it is there and verified, also with soft signals; 1 if a check failed or the Hub
    refused; 2 for bad input; 4 if it was not there in time.

    Example: watchkeeper publish download ada/my-model -o my-model --signers trusted-keys
    """
    place = place_of(repo)
    signers = read_signers(signers_file) if signers_file is not None else None
    token = find_token_if_any(token_file)
    limit_s = timeout_s or time_for(0)
    with asking(place, token, timeout_s=limit_s) as ask:
        listed = list_package(ask, place, revision)
    require_free(target, listed)
    if not as_json:
        estimate_s = listed.size_bytes / BYTES_PER_S
        files = f"{len(listed.entries):,} files, {size(listed.size_bytes)}"
        time = f"about {clock(estimate_s)} at 10 MB/s"
        say(printable(f"From {place.page} at {listed.commit[:12]}: {files}, {time}"))
    limit_s = timeout_s or time_for(listed.size_bytes)
    with asking(place, token, timeout_s=limit_s, shows_progress=is_watched()) as ask:
        return _fetch(ask, listed, target, signers, as_json=as_json)


class DownloadData(msgspec.Struct, frozen=True, kw_only=True):
    """The checks and their verdict. `package` is the folder, "" where nothing was kept; `commit` is
    what was fetched. `signed_by` names the trusted key that signed all files, null where none was
    asked for or none did.
    """

    checks: list[CheckEntry]
    verdict: Status
    package: str
    repo: str
    commit: str
    files: int
    size_bytes: int
    signed_by: str | None


ANSWERS = (DownloadData,)


def _fetch(
    ask: Ask, listed: Listed, target: Path, signers: Signers | None, *, as_json: bool
) -> int:
    """Download and verify the files; the exit code. Nothing is kept of what does not verify."""

    def verify(part: Path) -> list[Check]:
        progress = HashingProgress(bytes_to_hash(part))
        try:
            return check_package(part, signers=signers, progress=progress.add)
        finally:
            progress.end()

    try:
        checks = fetch(ask, listed, target, verify)
    except UnverifiedError as error:
        return _answer(listed, Path(), list(error.checks), str(error), as_json=as_json)
    summary = f"{target} is verified: {len(listed.entries):,} files, {size(listed.size_bytes)}"
    return _answer(listed, target, checks, summary, as_json=as_json)


def _answer(
    listed: Listed, target: Path, checks: list[Check], summary: str, *, as_json: bool
) -> int:
    """Say what came of a download; the exit code: EXIT_OK where it was kept."""
    result = verdict(checks)
    is_kept = result in ("pass", "soft_signal")
    code = EXIT_OK if is_kept else EXIT_FAILED
    signed_by = _signed_by(checks)
    if not as_json:
        echo_checks(target, [check for check in checks if check.status in ("fail", "soft_signal")])
        click.echo(printable(f"{summary}."))
        if is_kept:
            say(printable(f"Signed by {signed_by}." if signed_by else ATTRIBUTION))
        return code
    return answer(
        code,
        summary=summary,
        problems=problems_of(target, checks),
        data=DownloadData(
            checks=entries_of(checks),
            verdict=result,
            package=str(target) if is_kept else "",
            repo=listed.place.repo,
            commit=listed.commit,
            files=len(listed.entries),
            size_bytes=listed.size_bytes,
            signed_by=signed_by,
        ),
    )


def _signed_by(checks: list[Check]) -> str | None:
    """Who signed all files, as the check of their signature has it."""
    signed = [one for one in checks if one.name == "signature" and one.status == "pass"]
    if not signed:
        return None
    return signed[0].message.removeprefix("all files signed by ")
