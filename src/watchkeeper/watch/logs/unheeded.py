"""What a person says of a run whose log is there already, and which that log will not show: never
ignored in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from watchkeeper.core.errors import Problem
from watchkeeper.report.compose.page import PENDING, Written
from watchkeeper.report.runlog.document import Document

_OPEN = ("", PENDING, "n/a")
# An option → the field that it fills, by kind and names, and whether it belongs to the whole log
# whatever was run.
FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "--objective": ("mode", ("objective",)),
    "--mode": ("mode", ("run_type", "mode", "type")),
    "--dataset": ("config", ("dataset", "datasets", "data")),
    "--set": ("config", ("key_settings", "settings", "hyperparameters")),
}
_OF_WHAT_RAN = ("--dataset", "--set")


def of_log(
    path: Path, shown: str, document: Document, written: Written, options: Mapping[str, str]
) -> Iterator[Problem]:
    """What of these options (name → text, "" where it was not given) the log at `path` will not
    show, and why.
    """
    for option, text in options.items():
        if not text:
            continue
        if option == "--group":
            if path.parent.name != text:
                yield _problem(
                    shown, f"--group {text}", "the log is there already, and stays where it is"
                )
        elif option == "--task":
            if not re.fullmatch(
                rf"\d{{4}}-\d{{2}}-\d{{2}}_{re.escape(text)}(?:-\d+)?\.md", path.name
            ):
                yield _problem(
                    shown, f"--task {text}", "the log is there already, and keeps its name"
                )
        else:
            yield from _of_field(option, text, shown, document, written)


def _of_field(
    option: str, text: str, shown: str, document: Document, written: Written
) -> Iterator[Problem]:
    """Why an option does not change a field of the log: what ran already is history, and what a
    person wrote stays.
    """
    kind, names = FIELDS[option]
    field = next(
        (named for section in document.of(kind) if (named := section.field(*names)) is not None),
        None,
    )
    if field is not None:
        there = field.value
    else:
        there = ""
    if there in _OPEN or there == text:
        return
    if option in _OF_WHAT_RAN:
        why = (
            f"the log says {there!r} of what ran already; what runs otherwise is another "
            "experiment, with a log of its own"
        )
    elif there in written.fields.get(f"{kind}.{names[0]}", set()):
        return
    else:
        why = f"a person wrote {there!r} there, which stays"
    yield _problem(shown, f"{option} {text!r}", why)


def _problem(shown: str, option: str, why: str) -> Problem:
    """A warning that an option says what the log `shown` does not take."""
    return Problem(
        where=shown,
        message=f"{option} is not applied: {why}",
        severity="warning",
        code="not-applied",
    )
