"""`watchkeeper checkpoint passport`: write down what a checkpoint is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import utc_now
from watchkeeper.publish import names
from watchkeeper.publish.checks import Status, exit_code, verdict
from watchkeeper.publish.manifest.files import FileRecord, list_files
from watchkeeper.publish.names import is_weights
from watchkeeper.publish.passport.checks import check_passport
from watchkeeper.publish.passport.declared import read_declared
from watchkeeper.publish.passport.document import SOURCES, Facts
from watchkeeper.publish.passport.generate import Generated, generate, write_passport
from watchkeeper.publish.passport.health import record
from watchkeeper.publish.passport.reference import program, vector
from watchkeeper.publish.passport.repository import facts_of_creation
from watchkeeper.publish.passport.run import facts_of_run
from watchkeeper.show.cli.answering import answer, echo_problems, is_quiet
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
from watchkeeper.show.text import printable

_MARKS = ("observed", "inferred", "declared", "absent")


@click.command("passport")
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--run",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The recorded run that made it, or an experiment with --key.",
)
@click.option("--key", metavar="RUN", default="", help="The run of the experiment, as in `status`.")
@click.option(
    "--declare",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fields that you vouch for, in JSON or TOML; null takes one back.",
)
@click.option(
    "--reference",
    metavar="SCRIPT",
    help="Run this program to record a test vector; `hf`: a language model of transformers.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=program.LIMIT_S,
    show_default=True,
    metavar="SECONDS",
    help="End the program of --reference after this many seconds.",
)
@click.option("--deep", is_flag=True, help="Look through all numbers for NaN and infinity.")
@page_options
@command_errors
def command(
    root: Path,
    run: Path | None,
    key: str,
    declare: Path | None,
    *,
    reference: str | None,
    timeout_s: float,
    deep: bool,
    as_json: bool,
) -> int:
    """Write MODEL_PASSPORT.json into a checkpoint's folder ROOT: what the model is, how it is fed,
    its weights with their hashes, and the run that made it. Then check it.

    Headers, configurations and the run's journal are read. No code of the model is run, unless
    --reference asks for a forward pass, and no pickle is loaded. --deep reads every number of the
    weights, which NumPy is needed for, and NaN and infinity fail. Each field is marked observed,
    inferred, declared or absent. Made again, the passport keeps what was declared, and every field
    that is not known here.

    Exit code: 0 if nothing fails, also with soft signals; 1 if something does; 2 if ROOT is no
    folder, or holds a passport that another program wrote.

    Example: watchkeeper checkpoint passport artifacts/epoch_1 --run experiments/sweep --key r8
    """
    words = _declared(declare)
    said = (_facts(root, run, key), _vector(root, reference, timeout_s))
    health = scan_numbers(root) if deep else None
    seen = record.facts_of(health) if health is not None else None
    generated, records = _generate(root, *said, seen, words)
    echo_problems(generated.problems)
    path = root / names.PASSPORT
    if generated.changed:
        write_passport(root, generated.document)
    checks = check_passport(root, records=records)
    if health is not None:
        checks += record.checks_of(health)
    marks = Counter(generated.document[SOURCES].values())
    counts = {mark: marks[mark] for mark in _MARKS}
    fields = ", ".join(f"{count} {mark}" for mark, count in counts.items())
    written = "written" if generated.changed else "unchanged"
    summary = f"{path}: {written}, {verdict(checks)}; fields: {fields}"
    result = verdict(checks)
    code = exit_code(result)
    if not as_json:
        click.echo(printable(str(path) if is_quiet() else summary))
        echo_checks(root, checks)
        return code
    return answer(
        code,
        summary=summary,
        counts=counts,
        problems=problems_of(root, checks),
        data=PassportData(
            checks=entries_of(checks),
            verdict=result,
            root=str(root),
            file=str(path),
            is_changed=generated.changed,
        ),
    )


class PassportData(msgspec.Struct, frozen=True, kw_only=True):
    """The checks and their verdict, the passport's file, and whether it was written: one that would
    be the same again is left as it is.
    """

    checks: list[CheckEntry]
    verdict: Status
    root: str
    file: str
    is_changed: bool


ANSWERS = (PassportData,)


def _facts(root: Path, run: Path | None, key: str) -> Facts | None:
    """What the run says; None: none is named."""
    if run is not None:
        return facts_of_run(root, run, key)
    if key:
        raise UsageError("--key names a run of an experiment", hint="add --run EXPERIMENT")
    return None


def _vector(root: Path, name: str | None, timeout_s: float) -> Facts | None:
    """The test vector of a forward pass that is made now; None: none is asked for."""
    if name is None:
        return None
    list_files(root)
    path = program.path_of(name)
    return vector.record(program.run(path, root, None, timeout_s), path, name, utc_now())


def _declared(file: Path | None) -> dict[str, Any] | None:
    """What a person declares in a file; None: no file was named."""
    return read_declared(file) if file is not None else None


def _generate(
    root: Path,
    facts: Facts | None,
    reference: Facts | None,
    health: Facts | None,
    declared: dict[str, Any] | None,
) -> tuple[Generated, dict[str, FileRecord]]:
    """The passport, and its weight files as they were hashed for it."""
    sizes = list_files(root)[0].sizes
    total_bytes = sum(size for path, size in sizes.items() if is_weights(path))
    progress = HashingProgress(total_bytes)
    try:
        generated = generate(
            root,
            now=utc_now(),
            run=facts,
            reference=reference,
            health=health,
            creation=facts_of_creation(Path.cwd()),
            declared=declared,
            progress=progress.add,
        )
    finally:
        progress.end()
    files = generated.document["weight_integrity"]["weight_files"]
    records = [FileRecord(one["path"], one["size_bytes"], one["sha256"]) for one in files]
    return generated, {record.path: record for record in records}
