"""The jobs of an experiment on a time axis: one bar for each execution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt
from watchkeeper.launch.plan import WELL
from watchkeeper.query.rows import Row
from watchkeeper.query.views.pages import JobBar
from watchkeeper.query.views.parts.site import Site, ended_at, standing_of
from watchkeeper.query.views.shared import Standing
from watchkeeper.schedulers.wrapper.claims import executions, read_exit_records


def job_bars(site: Site) -> list[JobBar]:
    """The bars in the experiment's order, of each piece of work the oldest first."""
    bars: list[JobBar] = []
    for row in site.rows:
        bars += _bars_of(site, row)
    return bars


def slots_of(bars: Sequence[JobBar], now: datetime) -> int:
    """How many jobs ran at once, at most; 0 where none has begun. One that runs ends at `now`."""
    changes: list[tuple[datetime, int]] = []
    for bar in bars:
        if bar.started is not None:
            changes.append((bar.started, 1))
            changes.append((max(bar.started, bar.ended or now), -1))
    most = running = 0
    # At one moment the ends come first: a job that follows another does not run beside it.
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def _bars_of(site: Site, row: Row) -> Iterator[JobBar]:
    """The bars of one piece of work, an attempt after the other. What was never submitted
    has none.
    """
    for attempt in site.looked.state.run(row.key).attempts.values():
        if not attempt.submissions:
            continue
        standing = _standing(attempt)
        if attempt.active:
            standing = standing_of(row)
        yield from _executions(site, _bar(row, attempt, standing), attempt)


def _executions(site: Site, whole: JobBar, attempt: Attempt) -> Iterator[JobBar]:
    """The bar of an attempt; where its job was started again, one for each execution.

    The wrapper's claims say when each began, and its exit records when it ended. All but the last
    were requeued: a scheduler starts a job again only where it took it away.
    """
    if not _may_be_several(attempt):
        yield whole
        return
    folder = attempt_folder(site.looked.experiment.folder, attempt.key, attempt.number)
    begins = [claim.time for claim in executions(folder)]
    if len(begins) < 2:
        yield whole
        return
    ends = {record.execution: record.ended for record in read_exit_records(folder)}
    for number, begin in enumerate(begins, 1):
        bar = msgspec.structs.replace(whole, execution=number, started=begin)
        if number > 1:
            bar = msgspec.structs.replace(bar, queued=None)
        if number < len(begins):
            end = ends.get(number)
            bar = msgspec.structs.replace(bar, ended=end, standing="failed", state="REQUEUED")
        yield bar


def _may_be_several(attempt: Attempt) -> bool:
    """Whether its folder is worth a look: thousands of attempts have one execution each.

    An exit record counts executions. Of one that runs, nobody has counted yet; of an array, each
    task has its own.
    """
    record = attempt.exit_record
    if record is not None:
        return record.execution > 1 and not attempt.array
    return attempt.active and not attempt.array


def _standing(attempt: Attempt) -> Standing:
    """How an attempt that is over ended. A result that is good though its job failed is done; an
    attempt without a verdict, whose end nobody saw, is unknown.
    """
    if attempt.judged is None or attempt.judged.outcome == "unknown":
        return "unknown"
    if attempt.judged.outcome in WELL:
        return "done"
    return "failed"


def _bar(row: Row, attempt: Attempt, standing: Standing) -> JobBar:
    """The bar of an attempt as a whole, from its first submission to its end."""
    queued = min(one.time for one in attempt.submissions.values())
    started = None
    if attempt.facts is not None:
        started = attempt.facts.started
    return JobBar(
        key=row.key,
        run=row.run,
        phase=row.phase,
        label=_label(row),
        attempt=attempt.number,
        execution=1,
        standing=standing,
        state=attempt.state,
        queued=queued,
        started=started,
        ended=ended_at(attempt),
    )


def _label(row: Row) -> str:
    """What stands at a bar: `train`; of an evaluation its task and epoch, as `clean 0`, or `noisy
    base` where it has no epoch.
    """
    if row.phase == "preparation":
        return "train"
    if row.epoch is None:
        return f"{row.task} base"
    return f"{row.task} {row.epoch}"
