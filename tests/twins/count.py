"""Counting executions of a piece of work, and the table of the counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.slurm.trial import crowd


@dataclass(frozen=True)
class Counts:
    """What became of trials. `twice`: two executions were alive at one time, or one began after
    another had finished; `lost`: no execution finished; `reported`: of the lost, those of which the
    tool said so.
    """

    trials: int = 0
    twice: int = 0
    lost: int = 0
    reported: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            trials=self.trials + other.trials,
            twice=self.twice + other.twice,
            lost=self.lost + other.lost,
            reported=self.reported + other.reported,
        )


def read_executions(text: str) -> dict[str, tuple[float, float, float | None]]:
    """Execution → (its first sign of life, its last, when its work was done or None), from the
    lines of work.sh.
    """
    spans: dict[str, tuple[float, float, float | None]] = {}
    for line in text.splitlines():
        what, name, at = line.split()
        first, _, done = spans.get(name, (float(at), float(at), None))
        spans[name] = first, float(at), float(at) if what == "done" else done
    return spans


def judge(text: str, *, done: bool) -> Counts:
    """One trial's counts, from what its executions wrote down. `done`: the tool said in the end
    that the work is done.
    """
    spans = list(read_executions(text).values())
    at_once, after_done = crowd(spans)
    lost = all(end is None for _, _, end in spans)
    return Counts(
        trials=1,
        twice=int(at_once > 1 or after_done > 0),
        lost=int(lost),
        reported=int(lost and not done),
    )


def cell(counts: Counts | None) -> str:
    """`trials / twice / lost`; the lost that were reported follow in brackets."""
    if counts is None:
        return "–"
    reported = f" ({counts.reported} reported)" if counts.reported else ""
    return f"{counts.trials} / {counts.twice} / {counts.lost}{reported}"


def table(rows: Mapping[str, Mapping[str, Counts]], tools: Sequence[str]) -> str:
    """A Markdown table: a row for each fault, a column for each tool, and the totals."""
    totals = {
        tool: sum((row[tool] for row in rows.values() if tool in row), Counts()) for tool in tools
    }
    lines = [["fault", *tools], ["---"] * (len(tools) + 1)]
    lines += [[fault, *(cell(row.get(tool)) for tool in tools)] for fault, row in rows.items()]
    lines.append(["**all**", *(f"**{cell(totals[tool])}**" for tool in tools)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
