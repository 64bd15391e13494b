"""What runs now: health, progress as figures, and the newest evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt
from watchkeeper.query.catalogue.listing import Run
from watchkeeper.query.rows import Row
from watchkeeper.query.views.pages import RunningRow
from watchkeeper.query.views.parts.site import Site, standing_of
from watchkeeper.query.views.shared import Evidence, Progress
from watchkeeper.query.views.spark import spark_of
from watchkeeper.schedulers.wrapper.claims import last_end
from watchkeeper.watch.health.judge import PAUSES, STALL_FLOOR_S
from watchkeeper.watch.health.progress import Figures, figures_in_run, figures_of
from watchkeeper.watch.health.progress import progress_of as words_of_recorder

MOST = 30
"""Running rows of one page, and of one experiment, whose files are read."""


def running_rows(site: Site) -> list[RunningRow]:
    """A row for each job that runs, in the experiment's order. Of those after the 30th the files
    are not read.

    Those have the figures of their watcher's last look.
    """
    rows: list[RunningRow] = []
    for row in site.rows:
        attempt = site.latest(row.key)
        if attempt is not None and attempt.active and standing_of(row) == "running":
            figures = _assessed_figures(attempt)
            if len(rows) < MOST:
                figures = _job_figures(site, attempt)
            rows.append(_row_of_job(site, row, attempt, figures))
    return rows


def _row_of_job(site: Site, row: Row, attempt: Attempt, figures: Figures) -> RunningRow:
    """The row of a job that runs.

    An exit record that nobody has judged yet outweighs what its files say, and these outweigh the
    watcher's word where they have grown since.
    """
    health: str = row.health or "unknown"
    why = row.health_why
    progress = with_limit(progress_of(figures), attempt, site.now)
    evidence = _loop_of(site, attempt, figures) or _evidence(figures)
    end = _unjudged_end(site, attempt)
    if end is not None:
        health, why = "unknown", end.text
        progress = Progress(
            step=figures.step, total=figures.total, loss=progress.loss, loss_name=progress.loss_name
        )
        evidence = end
    elif _is_newer(figures, attempt):
        health, why = health_of(figures, site.now)
    spark: tuple[float, ...] = ()
    if figures.source and Path(figures.source).is_dir():
        spark = spark_of(Path(figures.source))
    return RunningRow(
        id=site.id_of(row.key),
        key=row.key,
        experiment=site.name,
        attempt=row.attempt,
        health=health,
        why=why,
        progress=progress,
        spark=spark,
        evidence=evidence,
    )


def _unjudged_end(site: Site, attempt: Attempt) -> Evidence | None:
    """The exit record of a job that its journal still holds for running: nobody has looked since.
    None while there is none. Of an array each task has its own, which say nothing about the whole.
    """
    if attempt.array:
        return None
    folder = attempt_folder(site.looked.experiment.folder, attempt.key, attempt.number)
    record = last_end(folder)
    if record is None:
        return None
    return Evidence(
        what="exit",
        text=f"ended with exit code {record.exit_code}, not judged yet",
        at=record.ended,
        source=str(folder / f"exit.{record.execution}"),
    )


def _loop_of(site: Site, attempt: Attempt, figures: Figures) -> Evidence | None:
    """The loop that its recorder last spoke of, where no training step is known; None for none."""
    if figures.step is not None:
        return None
    folder = attempt_folder(site.looked.experiment.folder, attempt.key, attempt.number)
    words = words_of_recorder(folder)
    if not words:
        return None
    known = _evidence(figures) or Evidence(what="loop", text="")
    return msgspec.structs.replace(known, what="loop", text=words)


def _job_figures(site: Site, attempt: Attempt) -> Figures:
    """How far a job is, by its files; where none of them says it, by its watcher's last look."""
    folder = attempt_folder(site.looked.experiment.folder, attempt.key, attempt.number)
    streams: tuple[str, ...] = ()
    if attempt.facts is not None:
        streams = (attempt.facts.output, attempt.facts.error_output)
    figures = figures_of(folder, streams)
    if figures.step is None:
        return _assessed_figures(attempt)
    if figures.rate_per_s is None and not _is_newer(figures, attempt):
        rate = _assessed_figures(attempt).rate_per_s
        return msgspec.structs.replace(figures, rate_per_s=rate)
    return figures


def _assessed_figures(attempt: Attempt) -> Figures:
    """The figures of the watcher's last look; none where there was no look."""
    assessed = attempt.assessed
    if assessed is None:
        return Figures()
    loss = None
    if isinstance(assessed.loss, int | float):
        loss = float(assessed.loss)
    return Figures(
        step=assessed.step,
        total=assessed.total,
        rate_per_s=assessed.rate_per_s,
        loss=loss,
        modified=assessed.time.timestamp(),
        source="the watcher",
    )


def _is_newer(figures: Figures, attempt: Attempt) -> bool:
    """Whether the files have grown well after the watcher last wrote what it thinks of the job: it
    is gone, or had nothing new to say.
    """
    if attempt.assessed is None or figures.modified is None:
        return attempt.assessed is None
    return figures.modified - attempt.assessed.time.timestamp() > STALL_FLOOR_S


def with_limit(progress: Progress, attempt: Attempt, now: datetime) -> Progress:
    """The progress with its time limit, which is the scheduler's, and whether it fits: None once
    the limit is over, when it has ended or will not be ended by that.
    """
    limit = None
    if attempt.facts is not None and attempt.facts.ends_by is not None:
        limit = max(0.0, (attempt.facts.ends_by - now).total_seconds())
    fits = None
    if attempt.assessed is not None:
        fits = attempt.assessed.fits
    if limit == 0:
        fits = None
    elif limit is not None and progress.eta_s is not None:
        fits = progress.eta_s <= limit
    return msgspec.structs.replace(progress, limit_s=limit, fits=fits)


def progress_of(figures: Figures) -> Progress:
    """The figures as a page has them."""
    name = ""
    if figures.loss is not None:
        name = "loss"
    return Progress(
        step=figures.step,
        total=figures.total,
        rate_per_s=figures.rate_per_s,
        eta_s=_eta(figures),
        loss=figures.loss,
        loss_name=name,
    )


def _eta(figures: Figures) -> float | None:
    """Seconds to the last step, at the rate that is known; else as the job itself says. None where
    neither is known.
    """
    if figures.step is None or figures.total is None or not figures.rate_per_s:
        return figures.eta_s
    return max(0.0, (figures.total - figures.step) / figures.rate_per_s)


def _evidence(figures: Figures) -> Evidence | None:
    """The newest observation; None where there is none."""
    if figures.modified is None:
        return None
    what, text = "output", "it printed"
    if figures.step is not None:
        what, text = "step", f"step {figures.step:,}"
    at = datetime.fromtimestamp(figures.modified, UTC)
    return Evidence(what=what, text=text, at=at, source=figures.source)


# ── recorded runs


def row_of_recorded(run: Run, now: datetime) -> RunningRow:
    """A recorded run that runs. No watcher judges it: it advances as long as its files grow."""
    folder = Path(run.path)
    figures = figures_in_run(folder)
    health, why = health_of(figures, now)
    return RunningRow(
        id=run.id,
        key=run.label,
        experiment="",
        attempt=run.executions,
        health=health,
        why=why,
        progress=progress_of(figures),
        spark=spark_of(folder),
        evidence=_evidence(figures),
    )


def _quiet_limit_s(figures: Figures) -> float:
    """A pause longer than this is a silence: ten steps, and ten minutes at least."""
    if not figures.rate_per_s:
        return STALL_FLOOR_S
    return max(STALL_FLOOR_S, PAUSES / figures.rate_per_s)


def health_of(figures: Figures, now: datetime) -> tuple[str, str]:
    """How what runs is, by its files alone: the word, and why."""
    if figures.stall:
        return "stalled", figures.stall
    if figures.modified is None:
        return "unknown", "it has recorded nothing yet"
    quiet_s = now.timestamp() - figures.modified
    if quiet_s > _quiet_limit_s(figures):
        return "silent", f"nothing new for {quiet_s / 60:.0f} min"
    if figures.step is None:
        return "unknown", "no step yet"
    return "advancing", f"step {figures.step:,}, {max(0.0, quiet_s):.0f} s ago"
