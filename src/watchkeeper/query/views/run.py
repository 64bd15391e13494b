"""The page of one run: a recorded run, or a job of an experiment with what its recorder left.

Only files are read; nothing is asked of a scheduler, and nothing is written but the cache.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.errors import Problem
from watchkeeper.core.events import Intended, RunStarted
from watchkeeper.core.events.choose import with_code
from watchkeeper.core.settings import load
from watchkeeper.launch.plan import Selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query.catalogue.experiment_runs import settings_of
from watchkeeper.query.ranking import Rankings
from watchkeeper.query.rows import rows as standing_rows
from watchkeeper.query.series.executions import RunRows, read_run_rows
from watchkeeper.query.series.shelf import Shelf
from watchkeeper.query.status import decide
from watchkeeper.query.views.charts import Chart, series_of
from watchkeeper.query.views.opening import folders_of, read_source, with_files
from watchkeeper.query.views.pages import Examples, Failure, Run, Series, Strip, Text
from watchkeeper.query.views.run_page.attempts import attempts_of, state_of
from watchkeeper.query.views.run_page.examples import count_examples, read_examples
from watchkeeper.query.views.run_page.failure import Next, failure_of
from watchkeeper.query.views.run_page.files import checkpoints_of, stages_of
from watchkeeper.query.views.run_page.machine import strip_after, strips_of
from watchkeeper.query.views.run_page.marks import evidence_of, marks_of
from watchkeeper.query.views.run_page.metrics import best_of, metrics_of, reading_of
from watchkeeper.query.views.run_page.numbers import plain
from watchkeeper.query.views.run_page.progress import health_of, progress_of
from watchkeeper.query.views.run_page.subject import Job, Subject, subject_of
from watchkeeper.query.views.run_page.texts import read_text, texts_of
from watchkeeper.query.views.shared import Real, Standing
from watchkeeper.reading import settings as flatten
from watchkeeper.runfolder.metric_rows import value_of

_STATES: dict[str, Standing] = {
    "finished": "done",
    "failed": "failed",
    "interrupted": "failed",
    "died": "failed",
    "running": "running",
    "not ended": "unknown",
}
_CHANGES = {None: "", True: "uncommitted", False: "none"}


class _State(NamedTuple):
    """Where a run stands, and what comes after it failed."""

    state: str
    standing: Standing
    after: Next = Next()


def run(
    folder: Path,
    key: str = "",
    id: str = "",
    *,
    shelf: Shelf | None = None,
    waits: bool = True,
    within: Sequence[str] = (),
) -> Run:
    """A recorded run's page (`key` ""), or that of a run or an evaluation of the experiment in
    `folder`.

    `shelf` keeps what was read of its rows; unless the caller `waits`, only the end of a long file
    that is new is read, and figures are those of these rows. What a job recorded elsewhere than
    `within` these folders, given without links, is not read; (): it may lie anywhere. The other
    functions here take the same.

    Raises:
        UsageError: no run was recorded there, or the experiment has no such run.
        NewerJournalError: a later version wrote the journal.
        OSError: a file of rows can no longer be read.
    """
    subject = subject_of(folder, key, within)
    rows = read_run_rows(subject.recorded, shelf or Shelf(), waits=waits)
    state = _state_of(subject, rows, folder)
    attempts = attempts_of(subject, rows)
    is_running = state.standing == "running"
    health = health_why = ""
    if is_running:
        health, health_why = health_of(subject, rows)
    rankings = Rankings()
    metrics = metrics_of(rows, rankings.of(subject.folder))
    marks = marks_of(subject, attempts)
    examples = count_examples(subject)
    name = key or subject.folder.resolve().name
    experiment = subject.job.experiment.name if subject.job is not None else ""
    return Run(
        id=id,
        name=name,
        folder=str(folder),
        experiment=experiment,
        experiment_id=id.removesuffix(f"/{key}") if key else "",
        kind="job" if subject.job is not None else "recorded",
        state=state.state,
        standing=state.standing,
        attempt=attempts[-1].n if attempts else 0,
        health=health,
        health_why=health_why,
        progress=progress_of(subject, rows, is_running=is_running),
        started=attempts[0].started if attempts else None,
        ended=attempts[-1].ended if attempts and not is_running else None,
        best=best_of(metrics, name, id),
        reading=reading_of(rows, is_running=is_running),
        failure=_failure(subject, state),
        attempts=attempts,
        marks=marks,
        metrics=metrics,
        rows=rows.rows,
        checkpoints=checkpoints_of(subject),
        stages=stages_of(subject.newest, is_running=is_running),
        settings=_settings(subject),
        code=_code(subject),
        evidence=with_files(evidence_of(subject, marks, attempts, health_why), folders_of(subject)),
        examples=examples.total,
        examples_matching=examples.matching,
        texts=texts_of(subject),
        neighbours=_neighbours(subject, id),
        results=_results(subject),
        training_id=_training_id(subject, id),
        trace=_trace_command(subject, folder),
        zone=subject.zone,
        problems=[*subject.problems, *rankings.problems, *_unreadable(rows)],
    )


def series(
    folder: Path,
    key: str,
    chart: Chart,
    *,
    shelf: Shelf | None = None,
    waits: bool = True,
    within: Sequence[str] = (),
) -> Series:
    """The curves of a run.

    Raises:
        UsageError: there is no such run, or the chart cannot be made.
        OSError: a file of rows can no longer be read.
    """
    subject = subject_of(folder, key, within)
    rows = read_run_rows(subject.recorded, shelf or Shelf(), waits=waits)
    return series_of(rows, chart)


def telemetry(
    folder: Path,
    key: str = "",
    *,
    after: float | None = None,
    shelf: Shelf | None = None,
    within: Sequence[str] = (),
) -> list[Strip]:
    """What was measured of the machine while the run was under way. `after`: only what was measured
    after that second since 1970, None for all.

    Raises:
        UsageError: there is no such run.
    """
    subject = subject_of(folder, key, within)
    strips = strips_of(subject, read_run_rows(subject.recorded, shelf or Shelf(), waits=False))
    if after is None:
        return strips
    return [strip_after(strip, after) for strip in strips]


def examples(
    folder: Path,
    key: str = "",
    *,
    before: int | None = None,
    limit: int = 20,
    match: bool | None = None,
    within: Sequence[str] = (),
) -> Examples:
    """The examples that a run wrote, newest first.

    Raises:
        UsageError: there is no such run, or `limit` is out of range.
    """
    return read_examples(subject_of(folder, key, within), before=before, limit=limit, match=match)


def text(
    folder: Path,
    key: str,
    name: str,
    *,
    after: int | None = None,
    tail: int | None = None,
    within: Sequence[str] = (),
) -> Text:
    """Lines of one of a run's texts: behind byte `after`, else the last `tail`.

    Raises:
        UsageError: there is no such run, text or part of it.
        OSError: it cannot be read.
    """
    return read_text(subject_of(folder, key, within), name, after=after, tail=tail)


def file(folder: Path, key: str, source: str, *, within: Sequence[str] = ()) -> bytes:
    """A file that the run's page names as evidence; of a long one its end.

    Raises:
        UsageError: there is no such run, or its page names no such file.
        OSError: it cannot be read.
    """
    subject = subject_of(folder, key, within)
    page = run(folder, key, waits=False, within=within)
    return read_source(page.evidence, source, folders_of(subject))


def build(folder: Path, key: str, shelf: Shelf, within: Sequence[str] = ()) -> None:
    """Read all rows of a run onto the shelf and into the cache, however long that takes.

    Raises:
        UsageError: there is no such run.
    """
    read_run_rows(subject_of(folder, key, within).recorded, shelf, waits=True)


# ── parts


def _state_of(subject: Subject, rows: RunRows, folder: Path) -> _State:
    """Where a recorded run stands by its own word, and a job as `status` has it."""
    if subject.job is not None:
        return _job_state(subject.job, folder)
    started = None
    if rows.executions:
        started = rows.executions[-1].started
    state = state_of(subject.folders[0], started)
    return _State(state, _STATES[state])


def _job_state(job: Job, folder: Path) -> _State:
    """As `status` has it, with what was decided about what failed."""
    experiment, key = job.experiment, job.item.key
    settings = load(experiment.folder, acts=False)
    selection = Selection(gate=settings.gate, rules=Rules.of(settings))
    state = job.state
    plan, book = decide(experiment, state, selection)
    everything = standing_rows(experiment, state, plan, book.findings)
    row = next(one for one in everything if one.key == key)
    if row.standing != "failed":
        return _State(row.state, row.standing)
    decision = next(one for one in plan.decisions if one.key == key)
    waiting = [one for one in everything if one.standing == "blocked" and one.run == row.run]
    if row.phase == "evaluation":
        waiting = []
    command = f"watchkeeper run {shlex.quote(str(folder))} --retry-failed"
    return _State(row.state, row.standing, Next(decision.advice, len(waiting), command))


def _failure(subject: Subject, state: _State) -> Failure | None:
    """Why the run failed; None: it did not."""
    if state.standing != "failed":
        return None
    return failure_of(subject, state.state, state.after)


def _settings(subject: Subject) -> dict[str, str]:
    """What a job was submitted with; else what the program said that it was started with."""
    settings: dict[str, str] = {}
    if subject.job is not None:
        experiment, name = subject.job.experiment, subject.job.item.run
        settings, _ = settings_of(experiment, name, _intended(subject), "", flatten.Reader())
    started = _started(subject)
    if settings or started is None:
        return settings
    return flatten.of_value(started.config)


def _started(subject: Subject) -> RunStarted | None:
    """The last start of the newest attempt."""
    for event in reversed(subject.newest_events):
        if isinstance(event, RunStarted):
            return with_code(event, subject.newest_events)
    return None


def _intended(subject: Subject) -> Intended | None:
    """What the newest attempt of a job was about to be submitted with."""
    if subject.latest is None:
        return None
    return subject.latest.intended


def _code(subject: Subject) -> dict[str, str]:
    """The commit and what differed from it, in words; {} where nothing was recorded."""
    source = _intended(subject) or _started(subject)
    if source is None:
        return {}
    changes = _CHANGES[source.git_dirty]
    code = {
        "commit": source.git_sha,
        "branch": source.git_branch,
        "changes": changes if source.git_sha else "",
        "uncommitted": ", ".join(source.uncommitted),
        "git": source.git_fault,
        "script": getattr(source, "script", ""),
    }
    return {name: words for name, words in code.items() if words}


def _results(subject: Subject) -> dict[str, Real]:
    """The figures of an evaluation's result; {} of anything else."""
    judged = subject.judged
    if judged is None:
        return {}
    figures: dict[str, Real] = {}
    for name, value in judged.metrics.items():
        figure = plain(value_of(value))
        if figure is not None:
            figures[name] = figure
    return figures


def _training_id(subject: Subject, id: str) -> str:
    """The id of the training behind an evaluation; "" where there is none."""
    job = subject.job
    if job is None or job.item.phase != "evaluation":
        return ""
    trainings = {item.key for item in job.experiment.items if item.phase != "evaluation"}
    if job.item.run not in trainings:
        return ""
    return id.removesuffix(subject.key) + job.item.run


def _trace_command(subject: Subject, folder: Path) -> str:
    """What to type to follow a job's figures back; "" of a recorded run, and before its first
    submission.
    """
    if subject.job is None or subject.latest is None:
        return ""
    return shlex.join(["watchkeeper", "trace", str(folder), subject.key])


def _neighbours(subject: Subject, id: str) -> tuple[str, str]:
    """The ids of the pieces of work before and after it in its experiment; "" for none."""
    if subject.job is None or not id.endswith(f"/{subject.key}"):
        return "", ""
    above = id.removesuffix(subject.key)
    keys = [item.key for item in subject.job.experiment.items]
    place = keys.index(subject.key)
    around = ["", *(above + one for one in keys), ""]
    return around[place], around[place + 2]


def _unreadable(rows: RunRows) -> list[Problem]:
    """A problem for each file of rows that cannot be read, or has a damaged line."""
    problems: list[Problem] = []
    for path, why in rows.unreadable.items():
        message = f"cannot be read: {why}"
        problems.append(Problem(where=str(path), message=message, code="unreadable"))
    for execution in rows.executions:
        for file in execution.files:
            if file.is_damaged:
                problems.append(_damaged(file.path))
    return problems


def _damaged(path: Path) -> Problem:
    """That a file of rows has a damaged line."""
    return Problem(
        where=str(path),
        message="holds a damaged line; the other rows are shown",
        hint="`watchkeeper check` names each such line",
        severity="warning",
        code="unreadable",
    )
