"""TRAINING_LOG.md: a run log without what only the cluster's users may know."""

from __future__ import annotations

from collections.abc import Collection

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import Sanitized, sanitize


def training_log(run_log: str, known: Known, *, public_links: Collection[str] = ()) -> Sanitized:
    """The training log of a run log, whoever wrote that. `public_links` are addresses that may be
    seen by all, such as that of a public W&B run.

    Raises:
        WouldEmptyError: nothing would be left to read.
    """
    return sanitize(run_log, known, keep_links=public_links)
