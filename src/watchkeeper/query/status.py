"""One look at an experiment, from its journal and its files. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.errors import NewerJournalError, Problem
from watchkeeper.core.events import Phase
from watchkeeper.core.layout import attempt_folder
from watchkeeper.core.state import Attempt, State, fold
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.launch import plan as planning
from watchkeeper.launch.plan import Facts, Plan, Selection
from watchkeeper.query import copies, foreign_jobs
from watchkeeper.query.rows import Row, rows, with_tasks
from watchkeeper.report.compose import repeated
from watchkeeper.runfolder.link import read_link
from watchkeeper.schedulers import remote_files
from watchkeeper.schedulers.wrapper.claims import executions
from watchkeeper.tools.promise import Finding
from watchkeeper.watch.health.progress import progress_in_output, progress_of
from watchkeeper.watch.outcome import array_tasks
from watchkeeper.watch.verdict.evidence import EvidenceBook


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as one look finds it. `rows` has the tasks of arrays below their arrays;
    `findings`: what lies on disk of everything that is promised.
    """

    experiment: Experiment
    state: State
    plan: Plan
    findings: Mapping[str, Finding]
    rows: list[Row]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an experiment stands. `active`: jobs under way;
    `cluster`: the profile that they run on, as the newest submission has it ("": not known);
    `notes`: of which experiment the folder is a copy, which jobs the logs of other tools name,
    which resumed runs did not repeat their steps faithfully, and whose recorder is of a later
    version than this one; `page_notes` are those that the page has as well. `examined` and `read`
    are what the look found and the journal that it read.
    """

    examined: Examined
    read: journal.Journal
    rows: list[Row]
    active: int
    notes: list[Problem]
    page_notes: list[Problem]
    cluster: str = ""


def decide(
    experiment: Experiment, state: State, selection: Selection, *, to_show: bool = False
) -> tuple[Plan, EvidenceBook]:
    """What a command started now would find and decide. `state` is its journal's. `to_show`:
    nothing is done by it, so that files that were read before need not be read again.
    """
    return _decided(experiment, state, selection, halted={}, to_show=to_show)


def _decided(
    experiment: Experiment,
    state: State,
    selection: Selection,
    halted: Mapping[Phase, str],
    *,
    to_show: bool,
) -> tuple[Plan, EvidenceBook]:
    """What would be decided now, and what was found on the disk. `halted`: phase → why nothing of
    it is submitted any more. Work whose checkpoint nobody has signed is decided on a second time,
    since only what would be submitted is asked for a signature.
    """
    book = EvidenceBook(experiment)
    book.look_at_all(state, to_show=to_show)
    means = book.means(state, selection.rules)
    facts = Facts(
        findings=book.findings,
        failed=planning.failed_attempts(state),
        means=means,
        halted=halted,
    )
    plan = planning.make(experiment, state, facts, selection)
    unsigned: dict[str, str] = {}
    if not selection.allows_unsigned:
        unsigned = _unsigned(experiment, state, plan)
    if unsigned:
        facts = msgspec.structs.replace(facts, unsigned=unsigned)
        plan = planning.make(experiment, state, facts, selection)
    return plan, book


def _unsigned(experiment: Experiment, state: State, plan: Plan) -> dict[str, str]:
    """Of the work that is to be submitted: key → why the gate refuses it."""
    coming = {one.key for one in plan.decisions if one.action in planning.TO_SUBMIT}
    items = [item for item in experiment.items if item.key in coming]
    if not items:
        return {}
    from watchkeeper.publish import gate  # a fifth of the start, where nothing is coming

    refused = gate.unsigned(experiment, items, gate.made_by(experiment, state))
    return {key: standing.refusal for key, standing in refused.items()}


def examine(
    experiment: Experiment, selection: Selection, state: State, *, with_words: bool = False
) -> Examined:
    """One look. What waits while jobs are under way is explained by the gate that their watch runs
    with. `state` is its journal's; `with_words`: the rows say in words how far each job is.
    """
    going = state.active
    if going:
        watch = state.planned
    else:
        watch = None
    if watch is not None and watch.gate:
        selection = msgspec.structs.replace(
            selection,
            gate=watch.gate,
            queue_ahead=watch.queue_ahead,
            allows_unsigned=watch.allows_unsigned,
        )
    halted = {phase: one.why for phase, one in state.halted.items()}
    plan, book = _decided(experiment, state, selection, halted, to_show=True)
    words: dict[str, str] = {}
    if with_words:
        words = {attempt.key: _progress_words(experiment, attempt) for attempt in going}
    table = rows(experiment, state, plan, book.findings, words)
    table = [_as_claimed(experiment, state, row) for row in table]
    return Examined(
        experiment=experiment,
        state=state,
        plan=plan,
        findings=book.findings,
        rows=with_array_tasks(experiment, state, table),
    )


def _as_claimed(experiment: Experiment, state: State, row: Row) -> Row:
    """The row of a job that nobody has asked its scheduler about, as its own claim has it: it
    runs.
    """
    latest = state.run(row.key).latest
    if latest is None or latest.seen is not None or row.state != "PENDING":
        return row
    if not executions(attempt_folder(experiment.folder, latest.key, latest.number)):
        return row
    return msgspec.structs.replace(row, state="RUNNING")


def _progress_words(experiment: Experiment, attempt: Attempt) -> str:
    """How far a job is, as its recorder says, else as it prints; "" where neither says."""
    folder = attempt_folder(experiment.folder, attempt.key, attempt.number)
    return progress_of(folder) or _printed(attempt)


def look(experiment: Experiment, selection: Selection) -> Standing:
    """One look, with how far each job is, in words."""
    read = journal.read(experiment.folder / layout.JOURNAL)
    state = fold(read.events)
    going = state.active
    examined = examine(experiment, selection, state, with_words=True)
    page_notes = page_notes_of(examined)
    return Standing(
        examined=examined,
        read=read,
        rows=examined.rows,
        active=len(going),
        cluster=_last_cluster(state),
        notes=[*page_notes, *_not_faithful(state), *_newer_recorders(experiment, going)],
        page_notes=page_notes,
    )


def page_notes_of(looked: Examined) -> list[Problem]:
    """Of which experiment the folder is a copy, and which jobs the logs of other tools name."""
    folder, state = looked.experiment.folder, looked.state
    return [*copies.notes(folder, state), *foreign_jobs.notes(folder, state)]


def _last_cluster(state: State) -> str:
    """The profile of the newest submission; "" where none names one."""
    attempts = [attempt for run in state.runs.values() for attempt in run.attempts.values()]
    submissions = [one for attempt in attempts for one in attempt.submissions.values()]
    last = max(submissions, key=lambda one: one.time, default=None)
    if last is None:
        return ""
    return last.cluster


def with_array_tasks(experiment: Experiment, state: State, found: Iterable[Row]) -> list[Row]:
    """The rows, with a row for each task below an array's."""
    grown: list[Row] = []
    for row in found:
        run = state.run(row.key)
        if any(attempt.array for attempt in run.attempts.values()):
            grown += with_tasks(row, array_tasks.read(experiment.folder, run))
        else:
            grown.append(row)
    return grown


def _not_faithful(state: State) -> Iterator[Problem]:
    """The runs that were resumed, and whose repeated steps came out otherwise."""
    for key, run in sorted(state.runs.items()):
        if run.latest is not None:
            judged = run.latest.judged
        else:
            judged = None
        if judged is not None and (words := repeated.describe_unfaithful(judged.learned)):
            hint = "compare the order of its data, its batch size, and what its checkpoint restores"
            yield Problem(
                where=key, message=words, hint=hint, severity="warning", code="not-faithful"
            )


def _newer_recorders(experiment: Experiment, active: Iterable[Attempt]) -> Iterator[Problem]:
    """The jobs whose recorder is of a later version, with a journal that is not read here."""
    for attempt in active:
        recorder = read_link(attempt_folder(experiment.folder, attempt.key, attempt.number))
        if recorder is None:
            continue
        try:
            journal.refuse_newer(recorder / layout.JOURNAL)
        except NewerJournalError as error:
            yield Problem(
                where=attempt.key,
                message=str(error),
                hint=error.hint,
                severity="warning",
                code=error.code,
            )


def _printed(attempt: Attempt) -> str:
    """What the job prints of how far it is; "" where no poll has said yet where its output is."""
    if attempt.seen is not None:
        facts = attempt.seen.facts
    else:
        facts = None
    if facts is None:
        return ""
    streams = dict.fromkeys((facts.output, facts.error_output))
    if all(map(remote_files.is_far, filter(None, streams))):
        return _last_seen(attempt)
    return progress_in_output(streams, time.time())


def _last_seen(attempt: Attempt) -> str:
    """What the watcher last saw of a job whose output is not here; "" where it saw no step."""
    seen = attempt.assessed
    if seen is None or seen.step is None:
        return ""
    if seen.total is not None:
        total = f"/{seen.total:,}"
    else:
        total = ""
    if seen.loss is not None:
        loss = f", loss {seen.loss}"
    else:
        loss = ""
    return f"step {seen.step:,}{total}{loss} (at {seen.time:%H:%M:%S} UTC)"
