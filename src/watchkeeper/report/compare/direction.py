"""Which figures of a metric are the better ones, by its name. Pure."""

from __future__ import annotations

import re

_LESS = re.compile(
    r"loss|error|err|perplexity|ppl|[wc]er|mse|rmse|mae|bpb|latency|time|seconds|nll|divergence|fid",
    re.IGNORECASE,
)


def is_less_better(metric: str) -> bool:
    """Whether a smaller figure is the better one, by the metric's name: a loss, an error rate, a
    duration.
    """
    return _LESS.search(metric) is not None
