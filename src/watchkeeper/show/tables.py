"""What attempts used, as a table, and where a watch stands, on one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from watchkeeper.core.state import State
from watchkeeper.launch.plan import Plan
from watchkeeper.show.text import duration, size, table
from watchkeeper.watch.outcome.compute import ComputeRow

_MOST_COMPUTE = 12


def compute_table(rows: Sequence[ComputeRow]) -> str:
    """What the attempts used, the longest first; "" where no row says more than its time."""
    informative = [row for row in rows if row.says_something]
    if not informative:
        return ""
    informative.sort(key=lambda row: -(row.elapsed_s or 0.0))
    shown = informative[:_MOST_COMPUTE]
    header = ["compute", "attempt", "node", "elapsed", "expected", "of it"]
    header += ["memory", "GPU busy", "GPU memory", "rate"]
    text = table(header, [_compute_cells(row) for row in shown], right=(1, 3, 4, 5, 6, 7, 8, 9))
    more = len(informative) - len(shown)
    if more:
        text += f"\nand {more} more: watchkeeper status --json --limit 0"
    return text


def _compute_cells(row: ComputeRow) -> list[str]:
    """One attempt's cells, in the order of the header."""
    rate = f"{row.rate_per_s:.3g} {row.unit}/s" if row.rate_per_s is not None else ""
    return [
        row.key,
        str(row.attempt),
        row.node or "",
        duration(row.elapsed_s),
        duration(row.estimate_s),
        _percent(row.of_estimate),
        size(row.peak_bytes),
        _percent(row.gpu_busy),
        size(row.gpu_peak_bytes),
        rate,
    ]


def _percent(share: float | None) -> str:
    """`42%`; "" for None."""
    if share is None:
        return ""
    return f"{share:.0%}"


def standings_words(plan: Plan, state: State) -> str:
    """One line for a terminal: `6 done, 2 running, 14 waiting`."""
    jobs = [attempt.state for attempt in state.active]
    waiting = sum(decision.action in ("submit", "retry", "wait") for decision in plan.decisions)
    done = sum(decision.action in ("skip", "blocked") for decision in plan.decisions)
    parts = [f"{done} settled"]
    parts += [f"{count} {name}" for name, count in Counter(jobs).items()]
    if waiting:
        parts.append(f"{waiting} waiting")
    return ", ".join(parts)
