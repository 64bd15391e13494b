"""What an attempt used, in words for its run log: memory, GPUs, rate, each with its source."""

from __future__ import annotations

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.text.figures import size
from watchkeeper.watch.outcome.compute import Used


def words(used: Used, facts: SchedulerFacts | None) -> tuple[str, ...]:
    """One piece each; nothing where nobody says."""
    parts = []
    if facts is not None and facts.max_rss_bytes is not None:
        parts.append(f"memory {size(facts.max_rss_bytes)} at most (scheduler)")
    elif used.rss_peak_bytes is not None:
        parts.append(f"memory {size(used.rss_peak_bytes)} at most (telemetry)")
    if used.gpu_busy is not None:
        busy = f"{used.gpu_busy:.0%} busy on average"
    else:
        busy = ""
    if used.gpu_peak_bytes is not None:
        peak = f"{size(used.gpu_peak_bytes)} of its memory at most"
    else:
        peak = ""
    if busy or peak:
        parts.append(f"GPU {', '.join(filter(None, [busy, peak]))} ({used.gpu_source})")
    if used.rate_per_s is not None:
        parts.append(f"{used.rate_per_s:.3g} {used.unit}/s")
    return tuple(parts)
