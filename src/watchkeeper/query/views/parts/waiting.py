"""What waits, grouped by the reason."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.core.text.masks import masked
from watchkeeper.launch.plan import UNDER_WAY
from watchkeeper.query.rows import IN_DOUBT, NOT_TAKEN, Row
from watchkeeper.query.views.pages import WaitingRow
from watchkeeper.query.views.parts.site import PENDING, Site, counted, standing_of

_WAITS_FOR = "waits for "
_MOST_AFTER = 8


def waiting_rows(site: Site) -> list[WaitingRow]:
    """A row for each reason, in the experiment's order.

    Reasons are the same if they differ only in numbers and names; what waits for other runs is one
    row, whichever they are.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in site.rows:
        if standing_of(row) == "to do":
            groups.setdefault(_reason_of(site, row), []).append(row)
    return [_row(site, reason, rows) for (_, reason), rows in groups.items()]


def _reason_of(site: Site, row: Row) -> tuple[str, str]:
    """What kind of work waits, and for what: "" where that is other runs.

    `("evaluation", "")`, `("run", "Priority")`: a scheduler's reason, the plan's, or that it was
    not submitted yet.
    """
    noun = site.noun(row.key)
    if row.state == PENDING:
        return noun, masked(row.why) or PENDING
    if row.why.startswith((NOT_TAKEN, IN_DOUBT)):
        return noun, masked(row.why)
    decision = site.decisions[row.key]
    if decision.action != "wait":
        return noun, "not submitted yet"
    if decision.detail.startswith(_WAITS_FOR):
        return noun, ""
    return noun, decision.detail


def _row(site: Site, reason: str, rows: list[Row]) -> WaitingRow:
    """The row of what waits for one reason; "" is that of other runs, which are named."""
    after = tuple(dict.fromkeys(_after(site, rows)))
    last = rows[-1]
    if not reason:
        reason = _behind(last, after)
    elif last.state == PENDING:
        reason = f"in the scheduler's queue: {last.why or 'it has not said why'}"
    elif last.why.startswith((NOT_TAKEN, IN_DOUBT)):
        reason = last.why
    return WaitingRow(
        count=len(rows),
        line=counted(len(rows), site.noun(last.key)),
        reason=reason,
        experiment=site.name,
        id=site.id,
        after=after,
    )


def _behind(row: Row, after: tuple[str, ...]) -> str:
    """For which runs a row waits: `for the checkpoints of r4 and r8`."""
    names = _named(after)
    if row.phase == "evaluation":
        return f"for the checkpoints of {names}"
    return f"for {names}"


def _named(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b and 9 more`."""
    if len(names) == 1:
        return names[0]
    if len(names) > _MOST_AFTER:
        return f"{', '.join(names[:_MOST_AFTER])} and {len(names) - _MOST_AFTER} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _after(site: Site, rows: list[Row]) -> Iterator[str]:
    """The runs that the rows wait for; one may be named more than once.

    The plan names them in the decision's `after`, or in its words: `waits for r4, r8`. Words that
    name none are those of the gate before all evaluations.
    """
    for decision in (site.decisions[row.key] for row in rows):
        yield from decision.after
        if decision.action != "wait":
            continue
        if decision.detail.startswith(_WAITS_FOR):
            yield from decision.detail.removeprefix(_WAITS_FOR).split(", ")
        else:
            yield from _trainings_under_way(site)


def _trainings_under_way(site: Site) -> Iterator[str]:
    """What the gate waits for, where evaluations wait for all trainings: those that are
    not over.
    """
    for decision in site.looked.plan.of_phase("preparation"):
        if decision.action in UNDER_WAY:
            yield decision.key
