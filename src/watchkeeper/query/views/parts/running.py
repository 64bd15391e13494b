"""What runs now: health, progress as figures, and the newest evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from watchkeeper.core.events import Assessed
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt
from watchkeeper.query.catalogue.listing import Run
from watchkeeper.query.rows import Row
from watchkeeper.query.views.pages import RunningRow
from watchkeeper.query.views.parts.site import Site, standing_of
from watchkeeper.query.views.shared import Evidence, Progress
from watchkeeper.query.views.spark import spark_of
from watchkeeper.runfolder.link import read_link
from watchkeeper.watch.health.judge import STALL_FLOOR_S
from watchkeeper.watch.health.progress import Figures, figures_in_run, figures_of

MOST = 30
"""Running rows of one page."""


def running_rows(site: Site) -> list[RunningRow]:
    """A row for each job that runs, in the experiment's order; the first 30."""
    rows = [row for row in site.rows if standing_of(row) == "running"]
    return list(_rows_of(site, rows[:MOST]))


def _rows_of(site: Site, rows: list[Row]) -> Iterator[RunningRow]:
    for row in rows:
        attempt = site.latest(row.key)
        if attempt is not None:
            yield _row_of_job(site, row, attempt)


def _row_of_job(site: Site, row: Row, attempt: Attempt) -> RunningRow:
    figures = job_figures(site, attempt)
    folder = attempt_folder(site.looked.experiment.folder, attempt.key, attempt.number)
    recorder = read_link(folder)
    spark: tuple[float, ...] = ()
    if recorder is not None:
        spark = spark_of(recorder)
    return RunningRow(
        id=site.id_of(row.key),
        key=row.key,
        experiment=site.name,
        attempt=row.attempt,
        health=row.health or "unknown",
        why=row.health_why,
        progress=progress_of_job(figures, attempt, site.now),
        spark=spark,
        evidence=_newest(figures, attempt),
    )


def job_figures(site: Site, attempt: Attempt) -> Figures:
    """How far a job is, by its files; where none of them says it, by its watcher's last look."""
    folder = attempt_folder(site.looked.experiment.folder, attempt.key, attempt.number)
    streams: tuple[str, ...] = ()
    if attempt.facts is not None:
        streams = (attempt.facts.output, attempt.facts.error_output)
    figures = figures_of(folder, streams)
    assessed = attempt.assessed
    if figures.step is not None or assessed is None:
        return figures
    return Figures(
        step=assessed.step,
        total=assessed.total,
        loss=_number(assessed.loss),
        modified=assessed.time.timestamp(),
        source="the watcher",
        stall=figures.stall,
    )


def progress_of_job(figures: Figures, attempt: Attempt, now: datetime) -> Progress:
    """The same with the time limit, which is the scheduler's."""
    assessed = attempt.assessed
    rate, fits = figures.rate_per_s, None
    if assessed is not None:
        rate = assessed.rate_per_s or rate
        fits = assessed.fits
    eta = _eta(figures, rate)
    if eta is None and assessed is not None:
        eta = _left(assessed, now)
    limit = None
    if attempt.facts is not None and attempt.facts.ends_by is not None:
        limit = max(0.0, (attempt.facts.ends_by - now).total_seconds())
    if fits is None and limit is not None and eta is not None:
        fits = eta <= limit
    return _progress(figures, rate, eta, limit, fits)


def _left(assessed: Assessed, now: datetime) -> float | None:
    """What is left by the watcher's last look, which is a while ago."""
    if assessed.eta_s is None:
        return None
    return max(0.0, assessed.eta_s - (now - assessed.time).total_seconds())


def _progress(
    figures: Figures,
    rate: float | None,
    eta: float | None,
    limit: float | None = None,
    fits: bool | None = None,
) -> Progress:
    name = ""
    if figures.loss is not None:
        name = "loss"
    return Progress(
        step=figures.step,
        total=figures.total,
        rate_per_s=rate,
        eta_s=eta,
        limit_s=limit,
        fits=fits,
        loss=figures.loss,
        loss_name=name,
    )


def _eta(figures: Figures, rate: float | None) -> float | None:
    """Seconds to the last step, at the rate that is known; else as the job itself says."""
    if rate and figures.step is not None and figures.total is not None:
        return max(0.0, (figures.total - figures.step) / rate)
    return figures.eta_s


def _number(value: object) -> float | None:
    if isinstance(value, int | float):
        return float(value)
    return None


def _newest(figures: Figures, attempt: Attempt) -> Evidence | None:
    """The newest observation: of its files, else of its watcher."""
    if figures.modified is not None:
        return _evidence(figures)
    seen = attempt.sighted
    if seen is None or attempt.seen is None:
        return None
    return Evidence(what="scheduler", text=f"{attempt.seen.state}, by its scheduler")


def _evidence(figures: Figures) -> Evidence:
    assert figures.modified is not None
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
    health, why = _health_of(figures, now)
    evidence = None
    if figures.modified is not None:
        evidence = _evidence(figures)
    return RunningRow(
        id=run.id,
        key=run.label,
        experiment="",
        attempt=run.executions,
        health=health,
        why=why,
        progress=_progress(figures, figures.rate_per_s, _eta(figures, figures.rate_per_s)),
        spark=spark_of(folder),
        evidence=evidence,
    )


def _health_of(figures: Figures, now: datetime) -> tuple[str, str]:
    if figures.stall:
        return "stalled", figures.stall
    if figures.modified is None:
        return "unknown", "it has recorded nothing yet"
    quiet_s = now.timestamp() - figures.modified
    if quiet_s > STALL_FLOOR_S:
        return "silent", f"nothing recorded for {quiet_s / 60:.0f} min"
    if figures.step is None:
        return "unknown", "no step yet"
    return "advancing", f"step {figures.step:,}, {max(0.0, quiet_s):.0f} s ago"
