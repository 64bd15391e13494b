"""What the report of one run says: curves, attempts, evidence, checkpoints, examples, its logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from watchkeeper.query.views.origin import Origin
from watchkeeper.query.views.pages import (
    AttemptRow,
    CheckpointRow,
    Examples,
    Mark,
    MetricRow,
    Run,
    Series,
    Text,
)
from watchkeeper.show.report.drawing.curves import chart, strip
from watchkeeper.show.report.drawing.loss_chart import curves_of
from watchkeeper.show.report.markup import Child, Markup, recorded, tag
from watchkeeper.show.report.parts.origin import origin_section
from watchkeeper.show.report.parts.pieces import Section, Table, best_line, table_section
from watchkeeper.show.report.parts.run_log import run_log_section
from watchkeeper.show.report.wording import Clock, count, duration, figure, size

MOST_STRIPS = 8
MOST_CHECKPOINTS = 20
_LOSSES = {"train loss": 0, "val loss": 1}
_MATCHES = {True: "✓ match", False: "✗ no match", None: ""}
_SHORT = {"train loss": "train", "val loss": "val"}


def sentence_of(run: Run) -> tuple[str, str]:
    """The first sentence, in bold, and what stands behind it.

    `Finished, step 24,000 of 24,000.` and `Best val_loss 0.4373, step 14,500. The loss fell until
    …. 27 November 2026, 18:34:55 to 18:35:08 UTC, 13 s.`
    """
    progress = run.progress
    first = run.state
    if progress.step is not None:
        first = f"{first}, step {count(progress.step)}"
        if progress.total:
            first = f"{first} of {count(progress.total)}"
    clock = Clock(run.zone)
    parts = []
    if run.best is not None:
        parts.append(f"Best {best_line(run.best, with_run=False)}.")
    if run.reading:
        parts.append(f"{_capital(run.reading).rstrip('.')}.")
    span = clock.span(run.started, run.ended)
    if run.started is not None and run.ended is not None:
        span = f"{span}, {duration((run.ended - run.started).total_seconds())}"
    if span:
        parts.append(f"{_capital(span)}.")
    return f"{_capital(first)}.", " ".join(parts)


def _capital(text: str) -> str:
    """The text as a sentence begins. `str.capitalize` would make the rest of it small."""
    return f"{text[0].upper()}{text[1:]}"


def sections_of(
    run: Run, series: Series, examples: Examples, texts: Mapping[str, Text], origin: Origin
) -> Iterator[Section]:
    """The sections in their order. `texts` are the ends of its texts, by name.

    `series` are the metrics that are drawn. What the run has nothing of has no section.
    """
    yield from _failure_section(run)
    yield from _curve_sections(run, series)
    yield from _figures_section(run.metrics)
    yield from _attempts_section(run)
    yield from _checkpoints_section(run.checkpoints, Clock(run.zone))
    yield from _settings_section(run)
    yield from _stages_section(run)
    yield from _examples_section(examples)
    yield origin_section(run.evidence, origin)
    for name, text in texts.items():
        yield from _text_section(name, text, Clock(run.zone))


def _failure_section(run: Run) -> Iterator[Section]:
    """Why the run failed: the cause, the end of the traceback, whether it is tried again, and the
    command that helps.
    """
    failure = run.failure
    if failure is None:
        return
    body: list[Child] = [tag("p", tag("span", "✗ ", recorded(failure.why), class_="state failed"))]
    if failure.traceback:
        body.append(recorded("\n".join(failure.traceback), "pre"))
    if failure.retry:
        body.append(tag("p", recorded(failure.retry)))
    if failure.command:
        body.append(tag("p", recorded(failure.command, "code")))
    yield Section("Why it failed", body, lines=[failure.why, failure.cause])


def _curve_sections(run: Run, series: Series) -> Iterator[Section]:
    """The losses as one chart, and a strip for each other metric; none where nothing is drawn."""
    drawn: list[Markup] = []
    for one in (_loss_chart(run, series), *_strips(run.metrics, series)):
        if one is not None:
            drawn.append(one)
    if drawn:
        yield Section("Curves", drawn, _curves_aside(series))


def _loss_chart(run: Run, series: Series) -> Markup | None:
    """Both losses over training steps, with a line where an attempt began or the run stalled."""
    styles, labels = {}, {}
    for metric in run.metrics:
        if metric.role in _LOSSES:
            styles[metric.name] = _LOSSES[metric.role]
            labels[metric.name] = f"{_SHORT[metric.role]} {figure(metric.last)}"
    return chart(
        curves_of(series, styles, labels),
        title=run.reading or f"Losses of {run.name} by training step",
        height=240,
        marks=[(float(mark.step or 0), mark.text) for mark in filter(_is_drawn, run.marks)],
    )


def _strips(metrics: Sequence[MetricRow], series: Series) -> Iterator[Markup | None]:
    """A low chart for each of the first eight metrics that are no loss; None for one without
    values.
    """
    others = [metric.name for metric in metrics if metric.role not in _LOSSES]
    for name in others[:MOST_STRIPS]:
        yield strip(curves_of(series, {name: 0}, {}), name=name)


def _is_drawn(mark: Mark) -> bool:
    """Whether a mark is drawn as a line: it changes how the rows behind it are to be read."""
    return mark.kind in ("attempt", "stall", "requeue") and mark.step is not None


def _curves_aside(series: Series) -> str:
    """What was done to the rows before they were drawn."""
    aside = f"{series.rows:,} rows by training step"
    if series.smoothing:
        aside = f"{aside}; smoothed {series.smoothing:g}, pale: least to greatest"
    if any(line.superseded for line in series.lines):
        aside = f"{aside}; grey: superseded by a later attempt"
    return aside


def _figures_section(metrics: Sequence[MetricRow]) -> Iterator[Section]:
    """The last and the best figure of each metric, with their training steps."""
    columns = ("Metric", "Last", "at step", "Best", "at step")
    rows = []
    for one in metrics:
        last, best = figure(one.last), figure(one.best)
        rows.append((one.name, last, count(one.last_step), best, count(one.best_step)))
    yield from table_section("Figures", Table(columns, rows, right=frozenset({1, 2, 3, 4})))


def _attempts_section(run: Run) -> Iterator[Section]:
    """When each attempt began and ended, which steps it made, and how it ended."""
    clock = Clock(run.zone)
    rows = [_attempt_row(one, clock) for one in run.attempts]
    table = Table(("Attempt", "Began", "Ended", "Steps", "End"), rows)
    yield from table_section("Attempts", table, is_kept_whole=True)


def _attempt_row(one: AttemptRow, clock: Clock) -> Sequence[str]:
    """`2`, `27 Nov 18:34`, `27 Nov 19:02`, `8,000 to 24,000`, `finished`."""
    steps = ""
    if one.last_step:
        steps = f"{count(one.from_step)} to {count(one.last_step)}"
    end = one.end or "running"
    if one.superseded:
        end = f"{end}; {one.superseded:,} steps superseded"
    return str(one.n), clock.minute(one.started), clock.minute(one.ended), steps, end


def _checkpoints_section(checkpoints: Sequence[CheckpointRow], clock: Clock) -> Iterator[Section]:
    """The newest 20 checkpoints: where they lie, how large they are, and whether they are whole."""
    rows = []
    for one in checkpoints[:MOST_CHECKPOINTS]:
        saved = clock.minute(one.saved)
        rows.append((count(one.step), one.path, size(one.size), _wholeness(one), saved))
    aside = f"{len(checkpoints)}"
    if len(checkpoints) > len(rows):
        aside = f"the newest {len(rows)} of {len(checkpoints)}"
    table = Table(("Step", "Path", "Size", "Files", "Saved"), rows, right=frozenset({0, 2}))
    yield from table_section("Checkpoints", table, aside)


def _wholeness(checkpoint: CheckpointRow) -> str:
    """Whether all files of a checkpoint are there, or what is missing; `?` where nobody looked."""
    if checkpoint.is_whole is None:
        return "? not known"
    if checkpoint.is_whole:
        return "✓ whole"
    return f"✗ {checkpoint.missing}"


def _settings_section(run: Run) -> Iterator[Section]:
    """The settings of the run, and the code that it ran."""
    rows = [*run.settings.items(), *run.code.items()]
    yield from table_section("Settings", Table(("Setting", "Value"), rows))


def _stages_section(run: Run) -> Iterator[Section]:
    """The stages of a pipeline, with the rows that went in and came out."""
    rows = []
    for stage in run.stages:
        took = duration(stage.elapsed_s)
        rows.append((stage.name, stage.state, count(stage.rows_in), count(stage.rows_out), took))
    columns = ("Step", "State", "Rows in", "Rows out", "Time")
    yield from table_section("Steps", Table(columns, rows, right=frozenset({2, 3, 4})))


def _examples_section(examples: Examples) -> Iterator[Section]:
    """The newest examples: what the model was asked, what was wanted, and what it gave."""
    rows = []
    for one in examples.rows:
        rows.append((count(one.step), one.prompt, one.golden, one.output, _MATCHES[one.match]))
    aside = f"the newest {len(rows)} of {examples.total:,}"
    table = Table(("Step", "Prompt", "Golden", "Output", "Match"), rows, right=frozenset({0}))
    yield from table_section("Examples", table, aside)


def _text_section(name: str, text: Text, clock: Clock) -> Iterator[Section]:
    """The end of one of the run's texts, as it was written; a run log by its headings and fields.

    `text.dropped` are the bytes before what is shown.
    """
    if not text.lines:
        return
    if name == "run-log":
        yield run_log_section("this run", text, 0)
        return
    aside = ""
    if text.dropped:
        aside = f"its end; {text.dropped:,} bytes before it"
    lines = [_log_line(line.text, clock.time(line.at), line.step) for line in text.lines]
    body: list[Markup] = [tag("pre", [[line, "\n"] for line in lines])]
    yield Section(name, body, aside, is_kept_whole=False)


def _log_line(text: str, at: str, step: str) -> Child:
    """A line of a text, behind its time and its stage in grey; both "" where it names none."""
    before = "  ".join(one for one in (at, step) if one)
    if not before:
        return [recorded(text)]
    return [tag("span", f"{before}  ", class_="quiet"), recorded(text)]
