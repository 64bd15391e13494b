"""`python -m bench.scale`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

from bench.scale import commands, logs, recording, watching
from bench.scale.rows import Result, Row, measure

ROWS: tuple[Row, ...] = (*commands.ROWS, *watching.ROWS, *recording.ROWS, *logs.ROWS)


def main() -> int:
    """Measure the rows that were named, or all, and print each as it is done. Exit code: 1 if a
    goal was missed, 2 if there is no such row.
    """
    options = {word for word in sys.argv[1:] if word.startswith("--")}
    names = [word for word in sys.argv[1:] if word not in options]
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        print(f"no row is called {', '.join(sorted(unknown))}; there are:", file=sys.stderr)
        print(*(f"  {row.name}" for row in ROWS), sep="\n", file=sys.stderr)
        return 2
    is_met = True
    for row in _chosen(names, is_quick="--quick" in options):
        result = measure(row)
        is_met = is_met and not result.missed
        print(_json(result) if "--json" in options else _line(result), flush=True)
    return int(not is_met)


def _chosen(names: list[str], *, is_quick: bool) -> Iterator[Row]:
    for row in ROWS:
        if names and row.name not in names:
            continue
        if is_quick and row.items:
            yield replace(row, items=max(2, row.items // 10), most_ratio=None)
        else:
            yield row


def _line(result: Result) -> str:
    row = result.row
    size = f"{10 * row.items} items" if row.items else ""
    words = [f"{row.name:<20} {size:>12}  {1000 * result.large_s:8.0f} ms"]
    words.append(f"{result.ratio:6.2f} x {row.baseline}{_goal(row.most_ratio)}")
    if result.exponent is not None:
        words.append(f"N^{result.exponent:.2f}{_goal(row.most_exponent)}")
    words += [f"MISSED: {goal}" for goal in result.missed]
    return "  ".join(words)


def _goal(most: float | None) -> str:
    return "" if most is None else f" (at most {most:g})"


def _json(result: Result) -> str:
    return json.dumps(
        {
            "row": result.row.name,
            "items": 10 * result.row.items,
            "small_s": result.small_s,
            "large_s": result.large_s,
            "baseline_s": result.baseline_s,
            "ratio": result.ratio,
            "exponent": result.exponent,
            "missed": result.missed,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
