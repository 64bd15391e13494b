"""What the report of an experiment says: figures, losses, jobs, where they come from, the logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from watchkeeper.core.events import Number
from watchkeeper.query.views.origin import Origin
from watchkeeper.query.views.pages import Experiment, LogLine, Run, Series, Text
from watchkeeper.show.report.drawing.curves import chart
from watchkeeper.show.report.drawing.jobs_chart import MOST_RUNS, jobs_chart
from watchkeeper.show.report.drawing.loss_chart import losses_of, runs_drawn
from watchkeeper.show.report.markup import Child, instant, recorded, tag
from watchkeeper.show.report.parts.matrix import matrix_sections
from watchkeeper.show.report.parts.origin import origin_section
from watchkeeper.show.report.parts.pieces import (
    Section,
    Table,
    best_line,
    counts_line,
    needs_section,
    scrolling,
    table_section,
)
from watchkeeper.show.report.parts.run_log import run_log_section
from watchkeeper.show.report.wording import Clock, duration, figure

MOST_LOG_LINES = 40
MOST_ROWS = 200
MOST_VALUES = 8


def sentence_of(experiment: Experiment) -> tuple[str, str]:
    """The first sentence, in bold, and what stands behind it."""
    first = f"{counts_line(experiment.counts)}."
    clock = Clock(experiment.zone)
    parts = []
    if experiment.best:
        parts.append(f"Best {'; '.join(map(best_line, experiment.best))}.")
    if experiment.valid is not None and experiment.valid.total:
        parts.append(f"{experiment.valid.good} of {experiment.valid.total} files valid.")
    span = clock.span(experiment.started, experiment.ended)
    if experiment.started is not None and experiment.ended is not None:
        took = duration((experiment.ended - experiment.started).total_seconds())
        span = f"{span}, {took}"
    if span:
        parts.append(f"{span[0].upper()}{span[1:]}.")
    return first, " ".join(parts)


def sections_of(
    experiment: Experiment,
    series: Mapping[str, Series],
    runs: Mapping[str, Run],
    log: tuple[str, Text] | None,
    origin: Origin,
    *,
    now: datetime,
) -> Iterator[Section]:
    """The sections in their order. `series` are the losses of the runs by name, `runs` their pages,
    `log` the name of the best run and its run log; what runs is drawn until `now`.
    """
    yield from needs_section(experiment.needs)
    yield from matrix_sections(experiment)
    yield from _expected_section(experiment)
    yield from _without_figures(experiment)
    yield from _loss_section(series)
    yield from _jobs_section(experiment, now)
    yield from _decisions_section(experiment)
    yield origin_section(experiment.evidence, origin)
    yield from _readings(runs)
    if log is not None:
        others = sum(bool(run.texts) for run in runs.values()) - 1
        yield run_log_section(log[0], log[1], others)
    yield from _log_section(experiment)


def _expected_section(experiment: Experiment) -> Iterator[Section]:
    """What was expected before the first evaluation, and what came of it."""
    rows = []
    for one in experiment.expected:
        when = "before the first evaluation" if one.before else "after an evaluation"
        rows.append((one.criterion, when, one.verdict, _values(one.met), _values(one.missed)))
    table = Table(("Criterion", "Stated", "Verdict", "Met by", "Missed by"), rows)
    yield from table_section("What was expected", table)


def _values(values: Mapping[str, Number]) -> str:
    """`r8/clean/epoch0 0.91` of each, the first few by name."""
    named = [f"{key} {figure(value)}" for key, value in sorted(values.items())[:MOST_VALUES]]
    if len(values) > MOST_VALUES:
        named.append(f"and {len(values) - MOST_VALUES} more")
    return ", ".join(named)


def _without_figures(experiment: Experiment) -> Iterator[Section]:
    """The work as a list, where no evaluation has a figure."""
    if experiment.metrics:
        return
    rows = []
    for row in experiment.rows[:MOST_ROWS]:
        loss = figure(row.train_loss)
        rows.append((row.key, row.standing, row.why, loss, duration(row.elapsed_s)))
    table = Table(("Work", "State", "Why", "Loss", "Time"), rows, right=frozenset({3, 4}))
    yield from table_section("Work", table)


def _loss_section(series: Mapping[str, Series]) -> Iterator[Section]:
    """The training losses of the runs in one chart, of many the first 20."""
    drawn = runs_drawn(series, len(series))
    drawing = chart(losses_of(series), title=f"Training loss of {drawn} by training step")
    if drawing is not None:
        yield Section("Training loss", [drawing], f"{drawn}, by training step")


def _jobs_section(experiment: Experiment, now: datetime) -> Iterator[Section]:
    """When the jobs were queued and ran, in bands, one for each run."""
    started = sum(bar.started is not None for bar in experiment.jobs)
    title = f"When {started} executions were queued and ran"
    drawing = jobs_chart(experiment.jobs, now=now, zone=experiment.zone, title=title)
    if drawing is not None:
        yield Section("Jobs", [drawing], f"{started}{_jobs_aside(experiment)}")


def _jobs_aside(experiment: Experiment) -> str:
    """How to read the bars, and of how many runs there are bands."""
    aside = "; thin: queued, bar: running"
    if experiment.slots:
        aside = f" on {experiment.slots} slots{aside}"
    runs = len({bar.run for bar in experiment.jobs})
    if runs > MOST_RUNS:
        aside = f"{aside}; the bands of {MOST_RUNS} of {runs} runs"
    return aside


def _decisions_section(experiment: Experiment) -> Iterator[Section]:
    """What the plan decided on the work that is not done, and why."""
    rows = []
    for decision in experiment.decisions:
        rows.append((str(decision.count), decision.action, decision.reason))
    table = Table(("Jobs", "Decision", "Why"), rows, right=frozenset({0}))
    yield from table_section("Why", table, is_kept_whole=True)


def _readings(runs: Mapping[str, Run]) -> Iterator[Section]:
    """What the loss curves say, a sentence for each run."""
    lines = [(name, run.reading) for name, run in runs.items() if run.reading]
    yield from table_section("Curves in words", Table(("Run", "Curve"), lines))


def _log_section(experiment: Experiment) -> Iterator[Section]:
    """The last actions of the experiment's logs."""
    lines = experiment.log[-MOST_LOG_LINES:]
    if not lines:
        return
    clock = Clock(experiment.zone)
    aside = f"the last {len(lines)} of {experiment.actions} actions"
    if len(lines) == experiment.actions:
        aside = f"{experiment.actions} actions"
    rows = [_log_row(line, clock) for line in lines]
    texts = [(clock.time(one.at), one.action, one.subject, one.text) for one in lines]
    table = Table(("At", "Action", "Subject", "Result"), texts)
    body: Sequence[Child] = [scrolling(tag("table", tag("tbody", rows), class_="mono log"))]
    yield Section("Log", body, aside, tables=[table], is_kept_whole=False)


def _log_row(line: LogLine, clock: Clock) -> Child:
    """One action of the log: its time, what was done, to what, and what came of it."""
    return tag(
        "tr",
        tag("td", instant(line.at, clock.time(line.at)), class_="quiet"),
        tag("td", line.action),
        tag("td", recorded(line.subject)),
        tag("td", recorded(line.text)),
    )
