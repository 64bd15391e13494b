"""What an attempt used, in words for its run log: memory, GPUs, rate, each with its source."""

from __future__ import annotations

from watchkeeper.core.events import SchedulerFacts
from watchkeeper.core.text.figures import size
from watchkeeper.watch.outcome.compute import Used


def words(used: Used, facts: SchedulerFacts | None) -> tuple[str, ...]:
    """One piece each; nothing where nobody says.

        memory 11.55 GiB at most (scheduler)
        GPU 93% busy on average, 18.63 GiB of its memory at most (telemetry)
        3.2 step/s

    The scheduler's figure of the memory covers all processes of the job, and comes first. `facts`
    None: there is no scheduler's word.
    """
    parts = []
    if facts is not None and facts.max_rss_bytes is not None:
        parts.append(f"memory {size(facts.max_rss_bytes)} at most (scheduler)")
    elif used.rss_peak_bytes is not None:
        parts.append(f"memory {size(used.rss_peak_bytes)} at most (telemetry)")
    of_gpu = []
    if used.gpu_busy is not None:
        of_gpu.append(f"{used.gpu_busy:.0%} busy on average")
    if used.gpu_peak_bytes is not None:
        of_gpu.append(f"{size(used.gpu_peak_bytes)} of its memory at most")
    if of_gpu:
        parts.append(f"GPU {', '.join(of_gpu)} ({used.gpu_source})")
    if used.rate_per_s is not None:
        parts.append(f"{used.rate_per_s:.3g} {used.unit}/s")
    return tuple(parts)
