"""Opening single fields of a package's events: its publisher writes them, anybody compares them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import lines_of, open_regular
from watchkeeper.core.errors import UsageError
from watchkeeper.core.journal import SUFFIX
from watchkeeper.publish.chain.opening import Opening, open_field, verify_opening
from watchkeeper.publish.checks import Check
from watchkeeper.publish.documents import GENERATED_BY, read_document, write_document
from watchkeeper.publish.package.layout import EVENTS
from watchkeeper.publish.package.record import read_record

SCHEMA_VERSION = "1"
_EVENT = re.compile(r"([\w-]+):(\d{1,15})", re.ASCII)


def parse_event(text: str) -> tuple[str, int]:
    """`WRITER:SEQ` as a writer and the number of its event.

    Raises:
        UsageError: it is neither.
    """
    match = _EVENT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--event {text!r} names no event",
            hint="give it as WRITER:NUMBER, the `writer` and `seq` of watchkeeper log --json",
        )
    return match[1], int(match[2])


def journals_of(place: Path) -> list[Path]:
    """The journals that may hold an event: those of the run that a package was staged from here,
    or that of an experiment or a recorded run.

    Raises:
        UsageError: the place is neither.
    """
    if (place / layout.JOURNAL).is_dir():
        return [place / layout.JOURNAL]
    staging = read_record(place)
    if staging is None:
        raise UsageError(
            f"{place} is no run, and no package that was staged here",
            hint="name the experiment or the recorded run: its journal holds the values",
        )
    folders = [staging.folder, *staging.recorded]
    return [Path(folder, layout.JOURNAL) for folder in folders]


def open_in(journals: Sequence[Path], event: str, field: str) -> Opening:
    """Open one field of one event in these journals; `field` is `changes.0.job_id`.

    Raises:
        UsageError: no journal has the event, or the event the field.
    """
    writer, seq = parse_event(event)
    for folder in journals:
        if (folder / f"{writer}{SUFFIX}").is_file():
            return open_field(folder, writer, seq, field.split("."))
    raise UsageError(
        f"no journal here was written by {writer}",
        hint="`writer` of watchkeeper log --json names it for each event",
    )


def write_openings(path: Path, openings: Sequence[Opening]) -> None:
    """Write openings into a file, in the place of one that Watchkeeper wrote.

    Raises:
        ForeignDocumentError: another file has this name; it is kept.
        StorageError: it could not be written.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "generated_by": GENERATED_BY,
        "openings": msgspec.to_builtins(list(openings)),
    }
    write_document(path, document)


def read_openings(path: Path) -> list[Opening]:
    """The openings in a file.

    Raises:
        UsageError: there is none that can be read.
    """
    try:
        document: dict[str, Any] = read_document(path)
        return msgspec.convert(document.get("openings"), list[Opening])
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} holds no openings: {error}", code="bad-file") from error


def check_openings(package: Path, openings: Sequence[Opening]) -> list[Check]:
    """Whether what was opened is what the package's events stand for.

    Raises:
        OSError: the package has no events that can be read.
    """
    checks = []
    for opening in openings:
        with open_regular(package / EVENTS) as file:
            checks.append(verify_opening(lines_of(file), opening))
    return checks
