"""What runs, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from watchkeeper.query.views.pages import RunningRow
from watchkeeper.show.listing.figures import figures
from watchkeeper.show.listing.grid import Column, grid, one_line
from watchkeeper.show.listing.screen import Screen
from watchkeeper.show.screens import words
from watchkeeper.watch.health.judge import ALARMS

MOST = 30
_LEAST_NAME = 12
_MOST_EVIDENCE = 12
# Which goes first where there is no room.
DROP_SPARK, DROP_BAR, DROP_EVIDENCE, DROP_EXPERIMENT, DROP_RATE = 90, 80, 70, 60, 50
DROP_LIMIT, DROP_HEALTH = 45, 40


def running_lines(rows: Sequence[RunningRow], screen: Screen, now: datetime) -> list[str]:
    """A line for each run under way; none where nothing runs."""
    if not rows:
        return []
    shown = rows[:MOST]
    lines = grid(_columns(shown, screen, now), screen).splitlines()
    for row in shown:
        if row.evidence is not None and row.evidence.what == "loop":
            text = one_line(f"{row.key}: {row.evidence.text}")
            lines += screen.wrap(text, screen.room, 2)
    return lines + words.more(len(rows) - len(shown))


def _columns(rows: Sequence[RunningRow], screen: Screen, now: datetime) -> list[Column]:
    """Name, health, progress and end; where there is room also the time limit and the evidence."""
    bar, spark, end = 8, 8, 7
    if screen.is_wide:
        bar, spark, end = 12, 16, 9
    columns = [
        Column(header="running", cells=[row.key for row in rows], least=_LEAST_NAME, wide=10),
        health_column(rows),
        *progress_columns(rows, screen, bar=bar, spark=spark),
        Column(
            header="ends in",
            cells=[ends_in(row, is_wide=screen.is_wide) for row in rows],
            right=True,
            wide=end,
        ),
    ]
    if screen.is_wide:
        columns.append(limit_column(rows))
        columns.append(
            Column(
                header="evidence",
                cells=[_evidence(row, now) for row in rows],
                right=True,
                drop=DROP_EVIDENCE,
            )
        )
    return columns


def health_column(rows: Sequence[RunningRow]) -> Column:
    """How each is, in a word, with a mark where that is an alarm."""
    return Column(
        header="health", cells=list(map(health_words, rows)), drop=DROP_HEALTH, has_glyphs=True
    )


def health_words(row: RunningRow) -> str:
    """`advancing`, `! stalled`."""
    if row.health in ALARMS:
        return f"! {row.health}"
    return row.health


def progress_columns(
    rows: Sequence[RunningRow], screen: Screen, *, bar: int, spark: int
) -> list[Column]:
    """Step, bar, loss, the course of the loss, and rate; `bar` and `spark` in columns."""
    losses = [row.progress.loss for row in rows]
    return [
        Column(
            header="step",
            cells=[words.steps(row.progress.step, row.progress.total) for row in rows],
            right=True,
        ),
        Column(header="", cells=[_bar(row, screen, bar) for row in rows], drop=DROP_BAR),
        Column(header="loss", cells=figures(losses), right=True, wide=5),
        Column(
            header="",
            cells=[screen.spark(row.spark, spark) for row in rows],
            drop=DROP_SPARK,
        ),
        Column(
            header="rate",
            cells=[words.rate(row.progress.rate_per_s) for row in rows],
            right=True,
            drop=DROP_RATE,
        ),
    ]


def _bar(row: RunningRow, screen: Screen, columns: int) -> str:
    """How far it is; "" where nobody says of how much."""
    step, total = row.progress.step, row.progress.total
    if step is None or not total:
        return ""
    return screen.bar(step / total, columns)


def ends_in(row: RunningRow, *, is_wide: bool) -> str:
    """`16:04 h`, `16 h`, with a mark in the narrow form where that is too late; of a run that is
    not well, how it is.
    """
    if row.health in ALARMS:
        return health_words(row)
    eta_s = row.progress.eta_s
    if eta_s is None:
        return ""
    if is_wide:
        return words.span(eta_s)
    return marked(words.coarse_span(eta_s), row)


def marked(text: str, row: RunningRow) -> str:
    """The text, with a mark where the run will not end before its time limit."""
    if row.progress.fits is False:
        return f"! {text}"
    return text


def limit_column(rows: Sequence[RunningRow]) -> Column:
    """How long until the time limit, with a mark where that comes first."""
    return Column(
        header="limit in",
        cells=list(map(_limit, rows)),
        right=True,
        drop=DROP_LIMIT,
        wide=9,
        has_glyphs=True,
    )


def _limit(row: RunningRow) -> str:
    """How long until the time limit; "" where none is known."""
    if row.progress.limit_s is None:
        return ""
    if row.progress.limit_s <= 0:
        return marked("passed", row)
    return marked(words.span(row.progress.limit_s), row)


def _evidence(row: RunningRow, now: datetime) -> str:
    """`step 7 s ago`."""
    if row.evidence is None:
        return ""
    text = f"{row.evidence.what} {words.age(row.evidence.at, now)}".rstrip()
    if row.evidence.at is None or not text.endswith((" s", " min")):
        return text
    if len(text) + len(" ago") <= _MOST_EVIDENCE:
        return f"{text} ago"
    return text
