"""Pieces of work that ended badly by one cause: a cause is said once."""

from __future__ import annotations

import re
from collections.abc import Iterable

from watchkeeper.core.errors import UnsignedError
from watchkeeper.core.text.masks import masked
from watchkeeper.launch.plan import HALTED, UNSIGNED
from watchkeeper.query.rows import Row
from watchkeeper.watch.tally import NOT_SUBMITTED
from watchkeeper.watch.verdict.judge import cause_in, error_in


def alike(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows in groups of one problem each, in the order of the first of each.

    `CUDA out of memory: tried to allocate 2.1 GiB` and `… 3.4 GiB` are one problem.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault(_likeness(row), []).append(row)
    return list(groups.values())


def error_of(row: Row) -> str:
    """What a row that did not end well met, in words: the line of its error, else the cause; its
    state and all reasons where neither is known.
    """
    line = line_of(row)
    if line:
        return line
    why = cause_in(row.why) or row.why
    return ": ".join(filter(None, [row.state, why]))


def line_of(row: Row) -> str:
    """The line of output that says why a row failed; "" where none does. Of a verdict from before
    that line was kept, it is taken from the reasons.
    """
    return row.error or error_in(row.why)


def code_of(row: Row) -> str:
    """The short name of what is wrong with a row, as `--json` has it: `run-failed`,
    `evaluation-blocked`, `run-stalled`.
    """
    if row.state == NOT_SUBMITTED:
        return "submission-refused"
    if row.state == UNSIGNED:
        return UnsignedError.code
    kind = "run"
    if row.phase == "evaluation":
        kind = "evaluation"
    if row.state == HALTED:
        return f"{kind}-halted"
    if row.standing in ("failed", "blocked", "unknown"):
        return f"{kind}-{row.standing}"
    return f"{kind}-{row.health}"


def _likeness(row: Row) -> tuple[str, str]:
    """What is the same of rows that are one problem: their code, and their words without what only
    names a run. What is missing besides, and how far a job came, differ from run to run.
    """
    code = code_of(row)
    if row.standing == "blocked":
        return code, row.state
    words = f"{row.health}: {row.health_why}"
    if row.standing in ("failed", "unknown"):
        words = f"{row.state}: {line_of(row) or cause_in(row.why) or row.why}"
    names = re.compile(rf"\b(?:{re.escape(row.key)}|{re.escape(row.run)})\b")
    return code, masked(names.sub("", words))
