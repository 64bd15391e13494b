"""One thing that was checked about a checkpoint and its documents, and what came of all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK

Status = Literal["pass", "fail", "soft_signal", "not_checked"]
Category = Literal["signoff", "input_expectation", "model_internals", "output_spec", "provenance"]
CATEGORIES: tuple[Category, ...] = (
    "signoff",
    "input_expectation",
    "model_internals",
    "output_spec",
    "provenance",
)
_GRAVITY: tuple[Status, ...] = ("fail", "soft_signal", "pass")


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check. `name` is a short word that stays the same (`weights-changed`). `where` is a path
    inside the checkpoint or a field of a document, "" for the checkpoint as a whole; `message` says
    what was seen, and `hint` what to do, "" for nothing.
    """

    category: Category
    name: str
    status: Status
    message: str
    where: str = ""
    hint: str = ""


def verdict(checks: Iterable[Check]) -> Status:
    """The gravest status among the checks: `fail`, else `soft_signal`, else `pass`. What was not
    checked does not count; nothing checked at all is `not_checked`.
    """
    statuses = {check.status for check in checks}
    for status in _GRAVITY:
        if status in statuses:
            return status
    return "not_checked"


def of_provenance(
    status: Status, name: str, message: str, where: str = "", hint: str = ""
) -> Check:
    """A check of the category that says where bytes come from, and whether they are the ones that
    were meant.
    """
    return Check(
        category="provenance", name=name, status=status, message=message, where=where, hint=hint
    )


def exit_code(status: Status) -> int:
    """0, also for a soft signal and where nothing was checked; 1 where something failed."""
    if status == "fail":
        return EXIT_FAILED
    return EXIT_OK
