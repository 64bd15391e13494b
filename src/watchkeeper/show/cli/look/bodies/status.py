"""What `watchkeeper status` does, imported when it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from watchkeeper.core import criteria
from watchkeeper.core.collector import collector_paused
from watchkeeper.core.errors import (
    EXIT_DETACHED,
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNKNOWN,
    ExperimentError,
    Problem,
    UsageError,
)
from watchkeeper.core.events import Number
from watchkeeper.core.settings import distrusted, load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.experiment.tree import is_experiment
from watchkeeper.launch.plan import Selection, check_selection
from watchkeeper.launch.retries import Rules
from watchkeeper.query.catalogue.enclosing import enclosing_place, taken_note
from watchkeeper.query.recording import Recording
from watchkeeper.query.recording import load as load_recording
from watchkeeper.query.rows import exit_code
from watchkeeper.query.status import Standing, look
from watchkeeper.query.usage.nodes import bad_nodes
from watchkeeper.query.usage.sizing import sizings
from watchkeeper.query.views.experiment import page_of_chosen, picture_of_chosen, site_seen
from watchkeeper.query.views.pages import Experiment as ExperimentPage
from watchkeeper.query.views.parts.needs import needs_of
from watchkeeper.query.views.parts.running import running_rows
from watchkeeper.query.views.parts.site import Site
from watchkeeper.query.views.parts.waiting import waiting_rows
from watchkeeper.query.views.parts.watcher import watcher_of, words_of
from watchkeeper.reading.yaml import listed
from watchkeeper.runfolder.values import Metric
from watchkeeper.show.cli.answering import answer, echo_expectations, echo_problems, is_quiet
from watchkeeper.show.cli.picture import drawn
from watchkeeper.show.recorded_table import facts_of, newest_first, recorded_table
from watchkeeper.show.sizing import bad_node_words, sizing_table
from watchkeeper.show.standing import (
    StandingData,
    counts_of,
    most_urgent_first,
    problems_of,
    totals,
)
from watchkeeper.show.text import printable
from watchkeeper.watch.outcome import compute
from watchkeeper.watch.outcome.compute import ComputeRow


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What of an experiment is to be shown: the runs and evaluations by a glob (None: all), its
    evaluations by a metric ("": the first), and its jobs on a cluster (None: by its settings).
    `sizing`: also what its jobs asked for and used.
    """

    runs: str | None
    evals: str | None
    metric: str
    cluster: str | None
    sizing: bool


@collector_paused()
def perform(experiment: Path, wanted: Chosen, *, as_json: bool) -> int:
    """Do what `status` is asked for."""
    folder = experiment
    recorded = _recorded(folder)
    taken = None
    if recorded is None:
        taken = enclosing_place(experiment)
    if taken is not None:
        echo_problems([taken_note(experiment, taken)])
        folder = taken
        recorded = _recorded(folder)
    if recorded is None:
        return _show_experiment(folder, wanted, as_json=as_json)
    if wanted.runs or wanted.evals or wanted.metric or wanted.cluster or wanted.sizing:
        raise UsageError(
            f"{folder} holds recorded runs; --runs, --evals, --metric, --cluster and --sizing are "
            "for an experiment's",
            hint="name the folder of one run, or leave them out",
        )
    return _show_recorded(recorded, as_json=as_json)


def _show_experiment(folder: Path, wanted: Chosen, *, as_json: bool) -> int:
    """Show where an experiment stands, with the work that was chosen; its exit code.

    Raises:
        UsageError: what was chosen is not there, or a setting is wrong.
        ExperimentError: the folder holds no experiment.
    """
    found = experiments.read(folder)
    settings = load(found.folder, acts=False, cluster=wanted.cluster)
    selection = Selection(gate=settings.gate, rules=Rules.of(settings))
    chosen = msgspec.structs.replace(selection, runs=wanted.runs, evals=wanted.evals)
    check_selection(found, chosen)
    standing = _chosen(look(found, selection), chosen)
    notes = (*filter(None, [distrusted(found.folder)]), *standing.notes)
    echo_problems((*found.problems, *notes))
    code = _exit_code(found, standing)
    if is_quiet() and not as_json:
        click.echo(totals(standing.rows))
        return code
    site = site_seen(standing.examined, standing.read, "", str(folder), standing.page_notes)
    if as_json:
        return _answer(site, standing, code)
    keys = frozenset(row.key for row in standing.rows)
    page = picture_of_chosen(site, keys)
    others = _other_metrics(page, wanted.metric)
    click.echo(drawn(page, wanted.metric))
    if others:
        click.echo(printable(f"\nMore metrics, each with --metric NAME: {others}"))
    if wanted.sizing:
        _echo_sizing(site, keys)
    echo_expectations(criteria.standings(standing.read.events))
    return code


def _other_metrics(page: ExperimentPage, metric: str) -> str:
    """The metrics of the evaluations that are not shown, with commas between; "" for none. `metric`
    is the one that is wanted, "": the first.

    Raises:
        UsageError: no evaluation has the metric that is wanted.
    """
    names = [column.name for column in page.metrics]
    if metric and metric not in names:
        known = "none yet"
        if names:
            known = listed(names)
        raise UsageError(f"no evaluation has the metric {metric!r}", hint=f"they have {known}")
    shown = metric or next(iter(names), "")
    others = [name for name in names if name != shown]
    if not others:
        return ""
    return listed(others)


def _chosen(standing: Standing, selection: Selection) -> Standing:
    """The standing of what was asked for. What the rest does is not lost: it is left out. `active`
    counts again what of the chosen work runs.
    """
    if selection.runs is None and selection.evals is None:
        return standing
    rows = [row for row in standing.rows if selection.has(row.phase, row.run, row.key)]
    active = sum(row.standing == "running" for row in rows)
    return msgspec.structs.replace(standing, rows=rows, active=active)


def _exit_code(experiment: Experiment, standing: Standing) -> int:
    """EXIT_DETACHED while something chosen is running; else by the rows, and by errors of the
    summary.
    """
    if standing.active:
        return EXIT_DETACHED
    errors = any(problem.severity == "error" for problem in experiment.problems)
    return exit_code(standing.rows, selected=[row.key for row in standing.rows], problems=errors)


def _answer(site: Site, standing: Standing, code: int) -> int:
    """Print the answer for programs, which holds all that the tables show; its exit code."""
    folder = str(site.looked.experiment.folder)
    chosen = site.of_rows(standing.rows)
    watcher = watcher_of(site.looked.experiment.folder, standing.read)
    running = running_rows(chosen)
    words = words_of(watcher, standing.active)
    keys = frozenset(row.key for row in standing.rows)
    took = _took(site, keys)
    return answer(
        code,
        summary=f"{totals(standing.rows)}. {words}",
        counts=counts_of(standing.rows),
        problems=problems_of(standing.rows, folder, standing.cluster),
        data=StatusData(
            experiment=site.name,
            folder=folder,
            rows=most_urgent_first(standing.rows),
            watcher=words,
            compute=took,
            needs=needs_of(chosen, watcher, running),
            running=running,
            waiting=waiting_rows(chosen),
            watched=watcher,
            expected=criteria.standings(standing.read.events),
            page=page_of_chosen(site, keys),
            sizing=sizings(site.looked.state, took),
            bad_nodes=bad_nodes(site.looked.state, [row.key for row in standing.rows]),
        ),
    )


def _took(site: Site, keys: Collection[str]) -> list[ComputeRow]:
    """What the ended attempts at this work took. `keys` name the work."""
    rows = compute.read(site.looked.experiment, site.looked.state)
    return [row for row in rows if row.key in keys]


def _echo_sizing(site: Site, keys: Collection[str]) -> None:
    """What was asked for against what was used, and the nodes that fail."""
    state = site.looked.state
    sizes = sizing_table(sizings(state, _took(site, keys)), whole=True)
    click.echo(f"\n{sizes or 'no job that has ended asked for time, memory or GPUs'}")
    words = bad_node_words(bad_nodes(state, keys))
    if words:
        click.echo(f"\n{words}")


class StatusData(StandingData, frozen=True, kw_only=True):
    """Where an experiment stands. `page` is the object of its page, as `serve` has it
    (`/api/1/experiment/ID`), without ids: of what was chosen with --runs and --evals.
    """

    page: ExperimentPage


def _recorded(folder: Path) -> Recording | None:
    """The recorded runs at or below a folder that is no experiment's; None if there are none."""
    if is_experiment(folder) or not folder.is_dir():
        return None
    try:
        experiments.read(folder)
    except ExperimentError:
        pass
    else:
        return None
    try:
        return load_recording(folder)
    except UsageError:
        return None


def _show_recorded(recording: Recording, *, as_json: bool) -> int:
    """Show the recorded runs at or below a folder; their exit code."""
    runs = [facts_of(run) for run in newest_first(recording)]
    counts = Counter(run["state"] for run in runs)
    summary = ", ".join(f"{count} {state}" for state, count in counts.items())
    code = _exit_code_of_recorded(set(counts), recording)
    echo_problems(recording.problems)
    if as_json:
        runs.sort(key=lambda run: run["state"] not in _FIRST)
        data = RecordedData(
            runs=[RecordedRun(**run | {"run_id": run["run_id"] or None}) for run in runs]
        )
        return answer(code, summary=summary, counts=counts, problems=_ends(runs), data=data)
    shown = summary
    if not is_quiet():
        shown = recorded_table(runs)
    click.echo(shown)
    return code


class RecordedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded run. `run_id` and `started` are null where its journal does not say them, `step`
    where it logged none; `last` has each metric's last value.
    """

    name: str
    run_id: str | None
    folder: str
    state: str
    started: datetime | None
    rows: int
    step: Metric
    last: dict[str, Metric]
    totals: dict[str, Number]


class RecordedData(msgspec.Struct, frozen=True, kw_only=True):
    """The recorded runs at or below a folder: those that failed or run first, then the newest."""

    runs: list[RecordedRun]


ANSWERS = (StatusData, RecordedData)
_BAD_ENDS = ("failed", "interrupted", "died")
_FIRST = (*_BAD_ENDS, "not ended", "running")


def _ends(runs: list[dict[str, Any]]) -> list[Problem]:
    """A problem for each run that ended badly."""
    problems: list[Problem] = []
    for run in runs:
        state = run["state"]
        if state in _BAD_ENDS:
            message = f"the run {state}"
            problems.append(Problem(where=run["folder"], message=message, code=f"run-{state}"))
    return problems


def _exit_code_of_recorded(states: set[str], recording: Recording) -> int:
    """EXIT_DETACHED while one is running; then EXIT_FAILED where one ended badly or could not be
    read; EXIT_UNKNOWN where one stopped and did not say how.
    """
    if "running" in states:
        return EXIT_DETACHED
    if states & set(_BAD_ENDS) or recording.problems:
        return EXIT_FAILED
    if "not ended" in states:
        return EXIT_UNKNOWN
    return EXIT_OK
