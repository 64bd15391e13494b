"""What jobs asked for against what they used, and nodes that fail, as text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchkeeper.query.usage.nodes import BadNode, exclude_line
from watchkeeper.query.usage.sizing import LOCAL, MEMORY_MARGIN, TIME_MARGIN, Sizing
from watchkeeper.show.text import duration, printable, size, table

_MOST_ROWS = 20
_MOST_KEYS = 3
_PHASES = {"preparation": "training", "evaluation": "evaluation"}
_UNKNOWN = "unknown"
# Below it, a chance is written as this: more digits would claim to know more than the test does.
_LEAST_CHANCE = 1e-6


def sizing_table(sizings: Iterable[Sizing], *, whole: bool) -> str:
    """What each group of equal requests asked for and used, and the line that would have been
    enough; "" where there is nothing to show. `whole`: also those without a line, each with why,
    and those of jobs on this machine, where asking for less gains nothing.
    """
    wanted = [one for one in sizings if whole or (one.line and one.scheduler != LOCAL)]
    if not wanted:
        return ""
    header = ["sizing", "runs", "asked for", "used at most", "by", "source", "enough"]
    text = table(header, [_cells(one) for one in wanted[:_MOST_ROWS]], right=(1,))
    if len(wanted) > _MOST_ROWS:
        text += f"\nand {len(wanted) - _MOST_ROWS} more: watchkeeper status --json --limit 0"
    if any(one.line for one in wanted):
        text += (
            f"\nenough: {_percent(TIME_MARGIN)} more time, {_percent(MEMORY_MARGIN)} more memory"
        )
        text += " than a successful attempt used at most"
    return text


def bad_node_words(nodes: Sequence[BadNode]) -> str:
    """A line for each node that fails, and the option that keeps jobs away; "" for none."""
    if not nodes:
        return ""
    lines = [printable(_node_line(node)) for node in nodes]
    return "\n".join([*lines, printable(f"to keep jobs away: {exclude_line(nodes)}")])


def _cells(one: Sizing) -> list[str]:
    phase = _PHASES.get(one.phase, one.phase)
    asked = one.asked_as or f"{_figure(one, one.asked)} (the cluster's default)"
    used = _UNKNOWN if one.used is None else _figure(one, one.used)
    cells = [f"{phase} {one.resource}", str(one.runs), asked, used]
    cells += [one.most_by, one.used_from, one.line or f"as it is: {one.why}"]
    return [printable(cell) for cell in cells]


def _figure(one: Sizing, value: float) -> str:
    if one.resource == "time":
        return duration(value)
    if one.resource == "memory":
        return size(int(value))
    return str(int(value))


def _percent(margin: float) -> str:
    return f"{margin - 1:.0%}"


def _node_line(node: BadNode) -> str:
    keys = ", ".join(node.finished_elsewhere[:_MOST_KEYS])
    more = len(node.finished_elsewhere) - _MOST_KEYS
    if more > 0:
        keys += f" and {more} more"
    if node.chance < _LEAST_CHANCE:
        chance = f"below {_LEAST_CHANCE:g}"
    else:
        chance = f"{node.chance:.2g}"
    return (
        f"node {node.node}: {node.failed} of {node.attempts} attempts failed, on the others "
        f"{node.failed_elsewhere} of {node.attempts_elsewhere}; {keys} ran elsewhere; "
        f"probability by chance {chance} (Fisher's exact test, {node.nodes} nodes looked at)"
    )
