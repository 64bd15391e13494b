"""`watchkeeper checkpoint replay`: the reference forward pass once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

import watchkeeper as wk
from watchkeeper.core.errors import UsageError
from watchkeeper.publish.checks import Status, exit_code, verdict
from watchkeeper.publish.passport.reference import program, vector
from watchkeeper.publish.passport.rules.output_spec import VECTOR, dummy_fault
from watchkeeper.show.cli.answering import answer
from watchkeeper.show.cli.errors import command_errors
from watchkeeper.show.cli.options import page_options
from watchkeeper.show.cli.trust.shown import CheckEntry, echo_checks, entries_of, problems_of
from watchkeeper.show.text import printable


@click.command("replay")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--with",
    "name",
    metavar="SCRIPT",
    required=True,
    help="The program that makes the forward pass; `hf`: a language model of transformers.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=program.LIMIT_S,
    show_default=True,
    metavar="SECONDS",
    help="End the program after this many seconds.",
)
@page_options
@command_errors
def command(root: Path, name: str, timeout_s: float, as_json: bool) -> int:
    """Run the forward pass of a checkpoint's reference test vector again, and compare what comes
    out with what was recorded, within the tolerance that stands in the passport.

    SCRIPT is run as its own process: name one that you trust. Nothing is written.

    Exit code: 0 if every output is as recorded; 1 if one differs, or the program fails; 2 if the
    passport has no vector to replay.

    Example: watchkeeper checkpoint replay artifacts/epoch_1 --with hf
    """
    recorded = _recorded(root)
    path = program.path_of(name)
    replayed = program.run(path, root, recorded["inputs"], timeout_s)
    checks = vector.compare(recorded, replayed, vector.hash_of(path))
    result = verdict(checks)
    summary = f"{root}: the replay is {'not ' if result == 'fail' else ''}as recorded"
    code = exit_code(result)
    if not as_json:
        echo_checks(root, checks)
        click.echo(printable(f"{summary}."))
        return code
    return answer(
        code,
        summary=summary,
        problems=problems_of(root, checks),
        data=ReplayData(
            checks=entries_of(checks),
            verdict=result,
            root=str(root),
            tolerance=recorded.get("tolerance"),
        ),
    )


class ReplayData(msgspec.Struct, frozen=True, kw_only=True):
    """The checks and their verdict, and the tolerance as the passport states it; null: it states
    none, and the default was taken.
    """

    checks: list[CheckEntry]
    verdict: Status
    root: str
    tolerance: Any


ANSWERS = (ReplayData,)


def _recorded(root: Path) -> dict[str, Any]:
    """The vector in the passport.

    Raises:
        UsageError: there is no passport, or no vector that can be replayed.
    """
    recorded = wk.load_passport(root).get(VECTOR)
    hint = f"record one: watchkeeper checkpoint passport {root} --reference SCRIPT"
    if not recorded:
        raise UsageError(f"{root}: the passport has no {VECTOR}", hint=hint, code="no-reference")
    fault = dummy_fault(recorded)
    if fault:
        raise UsageError(f"{root}: the {VECTOR} {fault}", hint=hint, code="no-reference")
    if not isinstance(recorded.get("inputs"), dict):
        raise UsageError(
            f"{root}: the {VECTOR} holds no inputs: another program recorded it",
            hint=hint,
            code="no-reference",
        )
    vector_of_passport: dict[str, Any] = recorded
    return vector_of_passport
