"""Measuring side by side: two things are timed by turns, and the median of their ratios is what is
quoted.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[[], Any]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_turns(ours: Callable[[], Any], baseline: Callable[[], Any], rounds: int) -> dict[str, float]:
    """Medians of both in seconds, and the median of the rounds' ratios: machines are shared, and
    noise comes in waves.
    """
    pairs = [(seconds(ours), seconds(baseline)) for _ in range(rounds)]
    return {
        "ours_s": statistics.median(one for one, _ in pairs),
        "baseline_s": statistics.median(other for _, other in pairs),
        "ratio": statistics.median(one / other for one, other in pairs),
    }


def show(title: str, figures: dict[str, Any]) -> None:
    """Print the figures: as JSON with `--json`, else in lines."""
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    print(title)
    for name, value in figures.items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
