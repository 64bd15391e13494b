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
    """Compose the lines, each with its time, in order of time.

        2026-03-11 15:00 UTC — submitted as job 70412
        2026-03-11 15:20 UTC — running, step 2400/100000, train_loss 0.085, 3.2 it/s, 2:10:00 left
        2026-03-12 03:00 UTC — completed, exit code 0, step 100000, train_loss 0.028

    Lines are added to a log and never changed, so the text of an event must stay the same from one
    update to the next.
    """
    lines = [
        *_submissions(view),
        *_refusals(view),
        *_changes(view),
        *_assessments(view),
        *_ends(view),
        *_notes(view),
        *_continuation(view),
    ]
    # The sort is stable: of one time, a submission comes before a change.
    lines.sort(key=lambda line: line[0])
    return [f"{view.stamp(time)} — {shorten(text)}" for time, text in lines]


def _submissions(view: LogView) -> Iterator[Line]:
    """Report each submission: `submitted as job 70412, attempt 2`. The number of a first attempt
    goes without saying.
    """
    for (number, job_id), submitted in view.history.submitted.items():
        if number not in view.attempts:
            continue
        text = f"submitted as job {job_id}"
        if number > 1:
            text += f", attempt {number}"
        yield submitted.time, text


def _refusals(view: LogView) -> Iterator[Line]:
    """Report each submission that the scheduler refused, with its message: `submission refused:
    Invalid partition`. It made no attempt, but belongs to one.
    """
    for rejected in view.history.rejected:
        if rejected.attempt in view.attempts:
            yield rejected.time, f"submission refused: {rejected.message}"


def _changes(view: LogView) -> Iterator[Line]:
    """Report what polls saw and people care about: a start, a requeue, a state that is unknown.

    A start has the scheduler's own time, which may be minutes before the poll.
    """
    for sight in view.history.sights:
        change = sight.change
        if change.attempt not in view.attempts:
            continue
        text = _describe_change(change)
        if not text:
            continue
        time = sight.time
        if _starts(change) and change.facts.started is not None:
            time = change.facts.started
        yield time, text


def _starts(change: Change) -> bool:
    """Whether a job was seen to run that did not run before."""
    return change.after == "RUNNING" and change.before != "RUNNING"


def _describe_change(change: Change) -> str:
    """Describe what a poll saw. "": nothing worth a line: ends have lines of their own, with the
    verdict.

        PENDING → RUNNING      `started on gpu-07`
        RUNNING → PENDING      `queued again: BeginTime`
        RUNNING → UNKNOWN      `unknown: the scheduler does not know the job`
    """
    facts = change.facts
    if _starts(change):
        if facts.node:
            return f"started on {facts.node}"
        return "started"
    was_past_the_queue = change.before not in ("", "PENDING")
    if change.after == "PENDING" and was_past_the_queue:
        if facts.reason:
            return f"queued again: {facts.reason}"
        return "queued again"
    if change.after == "UNKNOWN":
        return f"unknown: {facts.reason}"
    return ""


def _assessments(view: LogView) -> Iterator[Line]:
    """Report how running jobs were, where an assessment says more than that they run.

    The watcher writes one where health changes, and else once per tenth of the steps, or an hour.
    """
    for assessed in view.history.assessed:
        if assessed.attempt not in view.attempts:
            continue
        if _is_news(assessed):
            yield assessed.time, _describe_health(assessed)


def _is_news(assessed: Assessed) -> bool:
    """Whether an assessment is worth a line: a step, a loss, or that something is wrong.

    `running` alone, with neither, would be a line that lint itself complains about (WK502), and a
    timestamp alone proves nothing to whoever reads it.
    """
    if assessed.step is not None or assessed.loss is not None:
        return True
    if assessed.health != "advancing":
        return True
    return bool(assessed.errors or assessed.note)


def _describe_health(assessed: Assessed) -> str:
    """Write `running, step 2400/100000, train_loss 0.085, 3.2 it/s, 2:10:00 left`. Anything but
    advancing stands at the front.

        running, stalled, step 2400: no step since step 2,400 for 20:00 (limit 600 s, the least)
        running, step 2400, train_loss 0.085; 11.55 GiB of memory, GPU 0 98% busy, …

    Behind it: the file of the stall's report, what the job used, a note, and each new error of its
    output.
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
    """Yield the parts of a line that are known, in their order: `running`, `stalled`, `step
    2400/100000`, `train_loss 0.085`, `3.2 it/s`, `2:10:00 left`.

    Rates are training steps per second, and the time that is left is in hours, minutes and seconds.
    Any of them but the first may be missing: a program that logs no steps has no rate.
    """
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
    """Report the verdict on each attempt, at the time at which it was given, which may be minutes
    after the end itself.
    """
    for number, judged in view.history.judged.items():
        if number in view.attempts:
            yield judged.time, _describe_end(view, judged)


def _describe_end(view: LogView, judged: Judged) -> str:
    """Write `completed, exit code 0, step 80, train_loss 0.361`, or how it failed.

        failed, TIMEOUT, step 900, train_loss 0.4; the time limit was reached
        completed, exit code 0, accuracy 0.94, loss 0.2311            an evaluation

    The state is left out where it says no more than the outcome does, and the exit code where the
    reason names it.
    """
    parts = [_OUTCOMES.get(judged.outcome, judged.outcome)]
    is_by_state = judged.outcome not in ("done", "invalid")
    if is_by_state and judged.state not in _PLAIN_STATES:
        parts.append(judged.state)
    code = view.history.exit_code_of(judged.attempt)
    if code is not None and f"exit code {code}" not in judged.why:
        parts.append(f"exit code {code}")
    learned = judged.learned
    if learned is not None:
        if learned.final_step is not None:
            parts.append(f"step {learned.final_step}")
        if learned.last_train_loss is not None:
            parts.append(f"train_loss {format_number(learned.last_train_loss)}")
    if view.is_evaluation:
        for name, value in list(judged.metrics.items())[:_MOST_METRICS]:
            parts.append(f"{name} {format_number(value)}")
    remarks = filter(None, [judged.why, repeated.describe(learned)])
    return "; ".join([", ".join(parts), *remarks])


def _notes(view: LogView) -> Iterator[Line]:
    """Quote what people noted, each in the log of the attempt that was the newest at the time.

    Such a line, `note: …`, does not tell the reader of the log the job's state.
    """
    history = view.history
    for time, text in history.notes:
        if history.attempt_at(time) in view.attempts:
            yield time, f"note: {text}"


def _continuation(view: LogView) -> Iterator[Line]:
    """Name the run log that continues this one: `continued in 2026-03-12_train.md: train.sh
    differs`.
    """
    if view.successor is None:
        return
    intended = view.history.intended.get(view.successor.first)
    if intended is None:
        return
    name = view.successor.path.rpartition("/")[2]
    yield intended.time, f"continued in {name}: {_describe_difference(view, intended)}"


def _describe_difference(view: LogView, intended: Intended) -> str:
    """Say in what an attempt differs from the one before it: `train.sh, lr.yaml differs`."""
    before = view.history.intended.get(intended.attempt - 1)
    if before is None:
        return "a new run"
    differences = list_differences(before, intended)
    names = ", ".join(differences)
    return f"{names or 'its purpose'} differs"
