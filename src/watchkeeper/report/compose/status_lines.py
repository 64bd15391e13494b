"""The lines of a run log's Status: what happened, in order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from watchkeeper.core.events import Assessed, Change, Intended, Judged
from watchkeeper.core.text.figures import clock
from watchkeeper.report.compose import repeated
from watchkeeper.report.compose.history import LogView, list_differences, shorten
from watchkeeper.report.compose.page import format_number

Line = tuple[datetime, str]

_OUTCOMES = {
    "done": "completed",
    "invalid": "completed, but invalid",
    "failed but good": "failed, but good",
}
_PLAIN_STATES = ("FAILED", "NOT_RUN")  # they say no more than the outcome does
_MOST_METRICS = 4


def compose_status(view: LogView) -> list[str]:
    """Compose the lines, each with its time."""
    lines = [
        *_submissions(view),
        *_refusals(view),
        *_changes(view),
        *_assessments(view),
        *_ends(view),
        *_notes(view),
        *_continuation(view),
    ]
    lines.sort(key=lambda line: line[0])
    return [f"{view.stamp(time)} — {shorten(text)}" for time, text in lines]


def _submissions(view: LogView) -> Iterator[Line]:
    for (number, job_id), submitted in view.history.submitted.items():
        if number not in view.attempts:
            continue
        text = f"submitted as job {job_id}"
        if number > 1:
            text += f", attempt {number}"
        yield submitted.time, text


def _refusals(view: LogView) -> Iterator[Line]:
    for rejected in view.history.rejected:
        if rejected.attempt in view.attempts:
            yield rejected.time, f"submission refused: {rejected.message}"


def _changes(view: LogView) -> Iterator[Line]:
    for sight in view.history.sights:
        change = sight.change
        if change.attempt not in view.attempts:
            continue
        time = sight.time
        if _starts(change) and change.facts.started is not None:
            time = change.facts.started
        text = _describe_change(change)
        if text:
            yield time, text


def _starts(change: Change) -> bool:
    return change.after == "RUNNING" and change.before != "RUNNING"


def _describe_change(change: Change) -> str:
    """Describe what a poll saw. "": nothing worth a line."""
    if _starts(change):
        if change.facts.node:
            return f"started on {change.facts.node}"
        return "started"
    if change.after == "PENDING" and change.before not in ("", "PENDING"):
        if change.facts.reason:
            return f"queued again: {change.facts.reason}"
        return "queued again"
    if change.after == "UNKNOWN":
        return f"unknown: {change.facts.reason}"
    return ""


def _assessments(view: LogView) -> Iterator[Line]:
    for assessed in view.history.assessed:
        if assessed.attempt in view.attempts and _is_news(assessed):
            yield assessed.time, _describe_health(assessed)


def _is_news(assessed: Assessed) -> bool:
    """Whether an assessment is worth a line: a step, a loss, or that something is wrong."""
    if assessed.step is not None or assessed.loss is not None:
        return True
    return assessed.health != "advancing" or bool(assessed.errors or assessed.note)


def _describe_health(assessed: Assessed) -> str:
    """Write `running, step 2400/100000, train_loss 0.085, 3.2 it/s, 2:10:00 left`. Anything but
    advancing stands at the front.
    """
    text = ", ".join(_figures_of(assessed))
    if assessed.why and assessed.health != "advancing":
        text += f": {assessed.why}"
    if assessed.report:
        text += f"; see {assessed.report}"
    if assessed.used:
        text += f"; {', '.join(assessed.used)}"
    if assessed.note:
        text += f"; {assessed.note}"
    for error in assessed.errors:
        text += f"; {error}"
    return text


def _figures_of(assessed: Assessed) -> Iterator[str]:
    yield "running"
    if assessed.health != "advancing":
        yield assessed.health
    if assessed.step is not None and assessed.total is not None:
        yield f"step {assessed.step}/{assessed.total}"
    elif assessed.step is not None:
        yield f"step {assessed.step}"
    if assessed.loss is not None:
        yield f"train_loss {format_number(assessed.loss)}"
    if assessed.rate_per_s is not None:
        yield f"{assessed.rate_per_s:.3g} it/s"
    if assessed.eta_s is not None:
        yield f"{clock(assessed.eta_s)} left"


def _ends(view: LogView) -> Iterator[Line]:
    for number, judged in view.history.judged.items():
        if number in view.attempts:
            yield judged.time, _describe_end(view, judged)


def _describe_end(view: LogView, judged: Judged) -> str:
    parts = [_OUTCOMES.get(judged.outcome, judged.outcome)]
    if judged.outcome not in ("done", "invalid") and judged.state not in _PLAIN_STATES:
        parts.append(judged.state)
    code = view.history.exit_code_of(judged.attempt)
    if code is not None and f"exit code {code}" not in judged.why:
        parts.append(f"exit code {code}")
    learned = judged.learned
    if learned is not None and learned.final_step is not None:
        parts.append(f"step {learned.final_step}")
    if learned is not None and learned.last_train_loss is not None:
        parts.append(f"train_loss {format_number(learned.last_train_loss)}")
    if view.is_evaluation:
        for name, value in list(judged.metrics.items())[:_MOST_METRICS]:
            parts.append(f"{name} {format_number(value)}")
    remarks = filter(None, [judged.why, repeated.describe(learned)])
    return "; ".join([", ".join(parts), *remarks])


def _notes(view: LogView) -> Iterator[Line]:
    """Quote what people noted, each in the log of the attempt that was the newest at the time."""
    history = view.history
    for time, text in history.notes:
        if history.attempt_at(time) in view.attempts:
            yield time, f"note: {text}"


def _continuation(view: LogView) -> Iterator[Line]:
    """Name the run log that continues this one."""
    if view.successor is None:
        return
    intended = view.history.intended.get(view.successor.first)
    if intended is not None:
        name = view.successor.path.rpartition("/")[2]
        yield intended.time, f"continued in {name}: {_describe_difference(view, intended)}"


def _describe_difference(view: LogView, intended: Intended) -> str:
    """Say in what an attempt differs from the one before it."""
    before = view.history.intended.get(intended.attempt - 1)
    if before is None:
        return "a new run"
    differences = list_differences(before, intended)
    return f"{', '.join(differences) or 'its purpose'} differs"
