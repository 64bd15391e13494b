"""What a package says of its run, read from the same views as the pages and the report."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from watchkeeper.core import journal, layout
from watchkeeper.core.disk.files import read_if_any, read_whole
from watchkeeper.core.errors import UsageError, WatchkeeperError
from watchkeeper.core.events import Documented, Synced
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.state import Attempt, fold
from watchkeeper.core.text.odd_bytes import as_path
from watchkeeper.experiment import experiment as experiments
from watchkeeper.publish.package.story import Loss, Result, Source, Story
from watchkeeper.query.views import run as runs
from watchkeeper.query.views.charts import Chart
from watchkeeper.query.views.pages import Line, MetricRow, Run, Series
from watchkeeper.show.report.drawing.curves import chart
from watchkeeper.show.report.drawing.loss_chart import curves_of
from watchkeeper.show.report.drawing.standalone import standalone
from watchkeeper.show.report.wording import figure
from watchkeeper.tools import inspect_ai
from watchkeeper.tools.file_formats import FaultError

_ROLES = {"train loss": 0, "val loss": 1}
_SHORT = {"train loss": "train", "val loss": "val"}
_COLUMNS = 400
_TABLE_ROWS = 12


def story_of(source: Source, run_log: Path | None) -> Story:
    """The story of the run that made a checkpoint. `run_log` is the Markdown page about it; None:
    the one that its journal names.

    Raises:
        UsageError: the run log cannot be read as text, or is blank.
        OSError: a file of rows can no longer be read.
    """
    page = runs.run(source.folder, source.key)
    losses = [metric for metric in page.metrics if metric.role in _ROLES]
    names = tuple(metric.name for metric in losses)
    drawn = Chart(metrics=names, width=_COLUMNS, smoothing=0.0)
    series = runs.series(source.folder, source.key, drawn)
    return Story(
        name=page.name,
        description=_question(source),
        settings=page.settings,
        losses=tuple(_losses(losses, series)),
        best=_best(losses),
        rows=page.rows,
        results=tuple(_results(source)),
        plot=_plot(page, losses, series),
        config=_config(source),
        run_log=_run_log(source, run_log),
    )


def public_pages(source: Source) -> list[str]:
    """The addresses of the public copies that `wandb sync --public-project` made of the run's
    attempt, oldest first.
    """
    events = of_kind(journal.read(source.folder / layout.JOURNAL).events, Synced)
    made = [one for one in events if one.public and one.url and one.key == source.key]
    if source.key:
        made = [one for one in made if one.attempt == source.attempt]
    return [one.url for one in sorted(made, key=lambda one: one.time)]


def _question(source: Source) -> str:
    """What the experiment asks; "": nothing says."""
    if not source.key:
        return ""
    try:
        return experiments.read(source.folder).question
    except WatchkeeperError:
        return ""


# ── losses


def _losses(metrics: Sequence[MetricRow], series: Series) -> Iterator[Loss]:
    """Some recorded values, the first, the best and the last among them: of the lines that nothing
    superseded.
    """
    values = {metric.role: _points(series, metric.name) | _marked(metric) for metric in metrics}
    train, val = values.get("train loss", {}), values.get("val loss", {})
    kept = {step for metric in metrics for step in _marked(metric)}
    if len(val) <= _TABLE_ROWS:
        kept |= val.keys()
    for step in _spread(sorted(train.keys() | val.keys()), kept):
        yield Loss(step, train.get(step), val.get(step))


def _spread(steps: Sequence[int], kept: Collection[int]) -> list[int]:
    """About a dozen of the steps, evenly, with the first one and those that are `kept`."""
    every = max(1, len(steps) // _TABLE_ROWS)
    return sorted({*steps[:1], *steps[every - 1 :: every], *kept})


def _points(rows: Series, name: str) -> dict[int, float]:
    """Step → the value there, at the end of each column, of the lines that nothing superseded."""
    points: dict[int, float] = {}
    for line in rows.lines:
        if line.metric != name or line.superseded:
            continue
        for step, value in _ends(line):
            points[int(step)] = value
    return points


def _ends(line: Line) -> Iterator[tuple[float, float]]:
    """The step and the value at the end of each column of a line that has both."""
    for step, value in zip(line.x, line.smooth, strict=True):
        if isinstance(step, int | float) and value is not None:
            yield step, value


def _marked(metric: MetricRow) -> dict[int, float]:
    """The best and the last value of a metric, by step."""
    marked: dict[int, float] = {}
    for step, value in ((metric.best_step, metric.best), (metric.last_step, metric.last)):
        if isinstance(step, int | float) and isinstance(value, int | float):
            marked[int(step)] = float(value)
    return marked


def _best(metrics: Sequence[MetricRow]) -> str:
    """`Least train loss 0.41 at step 900, last 0.43 at step 1,000; …`; "": no best is known."""
    words = []
    for metric in metrics:
        if metric.best is not None and metric.best_step is not None:
            words.append(
                f"least {metric.role} {figure(metric.best)} at step {metric.best_step:,}, "
                f"last {figure(metric.last)} at step {metric.last_step:,}"
            )
    return "; ".join(words).capitalize()


def _plot(page: Run, metrics: Sequence[MetricRow], series: Series) -> str:
    """The losses as an SVG file; "": there is nothing to draw."""
    styles = {metric.name: _ROLES[metric.role] for metric in metrics}
    labels = {metric.name: f"{_SHORT[metric.role]} {figure(metric.last)}" for metric in metrics}
    drawn = chart(
        curves_of(series, styles, labels),
        title=page.reading or "Losses by training step",
        height=240,
    )
    if drawn is None:
        return ""
    return standalone(drawn)


# ── evaluations


def _results(source: Source) -> Iterator[Result]:
    """The evaluations of the checkpoint that have a verdict, each as its last attempt has it."""
    if not source.evaluations:
        return
    state = fold(journal.read(source.folder / layout.JOURNAL).events)
    for key in source.evaluations:
        latest = state.runs[key].latest
        if latest is not None and latest.judged is not None:
            yield _result(source.folder, latest)


def _result(folder: Path, attempt: Attempt) -> Result:
    """An evaluation: its figures as they were judged, the rest as its log says."""
    assert attempt.judged is not None
    evidence = [one.source for one in attempt.judged.evidence]
    logs = [folder / as_path(one) for one in evidence if one.endswith(inspect_ai.SUFFIX)]
    described = inspect_ai.Described(task=_task(attempt.key))
    if logs:
        # The figures are the verdict's, and do not depend on the log.
        with contextlib.suppress(FaultError, OSError):
            described = inspect_ai.describe(logs[-1])
    return Result(
        task=described.task or _task(attempt.key),
        metrics=attempt.judged.metrics,
        samples=described.samples,
        made=_time(described.created),
        dataset=described.dataset,
    )


def _task(key: str) -> str:
    """`r8/capitalization/epoch1` → `capitalization`."""
    parts = key.split("/")
    if len(parts) == 1:
        return key
    return parts[1]


def _time(text: str) -> datetime | None:
    """A time in ISO 8601; None: it is none, or names no zone, so that it may be any hour's."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return moment


# ── texts


def _config(source: Source) -> str:
    """The resolved configuration that the run left; "": none that is text."""
    if not source.key:
        return ""
    state = fold(journal.read(source.folder / layout.JOURNAL).events)
    made = state.runs[source.key].attempts.get(source.attempt)
    if made is None or made.judged is None:
        return ""
    learned = made.judged.learned
    if learned is None or not learned.config:
        return ""
    try:
        data = read_if_any(source.folder / as_path(learned.config)) or b""
        return data.decode()
    except (OSError, UnicodeDecodeError):
        return ""


def _run_log(source: Source, named: Path | None) -> str:
    """The text of the run log; "": none was named, and the journal names none that is there.

    Raises:
        UsageError: the one that was named is blank, or no text.
        OSError: it cannot be read.
    """
    if named is not None:
        return _text(named, read_whole(named))
    events = journal.read(source.folder / layout.JOURNAL).events
    logs = [one for one in of_kind(events, Documented) if one.key == source.key]
    if not logs:
        return ""
    path = source.folder / as_path(max(logs, key=lambda one: one.time).path)
    data = read_if_any(path)
    if data is None:
        return ""
    return _text(path, data)


def _text(path: Path, data: bytes) -> str:
    """A run log as text.

    Raises:
        UsageError: it is blank, or not UTF-8; the message says at which byte.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8: byte {error.start:,}", hint="name another log: --run-log FILE"
        ) from error
    if not text.strip():
        raise UsageError(f"{path} is blank", hint="write into it, or name another: --run-log FILE")
    return text
