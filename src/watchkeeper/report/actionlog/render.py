"""From the watcher's events to the blocks of the action logs.

Only the events of the lease's holder are rendered, in order of lease and sequence, so that the view
of a prefix of the journal is a prefix of the view of the whole: a log can be appended live and
still be made again to the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from watchkeeper.core import criteria
from watchkeeper.core.events import (
    PHASES,
    AnyEvent,
    Assessed,
    Change,
    Concluded,
    Decided,
    Decision,
    Detached,
    Doubted,
    Event,
    Evidence,
    Expected,
    Halted,
    Judged,
    Leased,
    Observed,
    Opened,
    Phase,
    Planned,
    Polled,
    Rejected,
    RunItem,
    Submitted,
    Unknown,
    Verified,
)
from watchkeeper.core.text.zones import zone_of
from watchkeeper.report.actionlog.block_format import Block, duration_words

EXPERIMENT_LOG = "run-experiment.log"
# Of each phase: the log of the tool that has its own, and of any other tool.
OF_THE_TOOL: Mapping[Phase, str] = {
    "preparation": "run-torchtune.log",
    "evaluation": "run-inspect.log",
}
OF_OTHER_TOOLS: Mapping[Phase, str] = {
    "preparation": "run-training.log",
    "evaluation": "run-evaluation.log",
}
NAMES = (*OF_THE_TOOL.values(), *OF_OTHER_TOOLS.values(), EXPERIMENT_LOG)
STATUS_AT_LEAST_EVERY = timedelta(hours=1)

_MOST_NAMES = 10
_NO_ERRORS = ("scheduler answers", "run log not continued")
_MOST_CAUTIONS = 3
_MOST_ERRORS = 3
_MOST_LETTERS = 120  # of one reason in a list: the journal has all of it
_REPORTED = ("submission refused", "halted")  # SUBMIT_ERROR and HALT have reported it
_WORTH_A_BLOCK = ("done", "invalid", "failed but good", "unknown", "lost")
_STARTED = {"preparation": "Training started", "evaluation": "Evaluation started"}
_FINISHED = {"preparation": "Training finished", "evaluation": "Evaluation finished"}
_JOBS = {"preparation": "jobs", "evaluation": "evaluations", None: "jobs"}
_SETTLED = {"active": "already under way", "skip": "skipped", "blocked": "blocked"}
_FINETUNE = "finetune.slurm"
Named = tuple[str, Block]


class Renderer:
    """Turns events of holders, in order, into (log's name, block). It remembers only events that it
    was fed.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone_of(zone)
        self._names: dict[Phase, str] = {}
        self._items: dict[Phase, tuple[RunItem, ...]] = {}
        self._status: dict[Phase, tuple[dict[str, int], datetime]] = {}

    def feed(self, event: AnyEvent | Unknown) -> list[Named]:
        """Return the blocks that this event adds, with the name of the log each belongs to.

        Empty: an event that the logs do not show, such as `leased`, or one without news. Events
        must come as `holders` yields them: a poll, for example, is news only against the one
        before.
        """
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return []
        return list(handler(self, event))

    def _block(self, event: Event, phase: Phase | None, action: str, **fields: str) -> Named:
        """Make a block of the log of a phase (None: the experiment's), at the event's time in the
        journal's zone, to the second.
        """
        time = event.time.astimezone(self._zone).replace(tzinfo=None, microsecond=0)
        return self._name_of(phase), Block(time=time, action=action, **fields)

    @property
    def names(self) -> list[str]:
        """The logs' names, as far as the events have said: each phase that was planned, and the
        experiment's.
        """
        return [*self._names.values(), EXPERIMENT_LOG]

    def _name_of(self, phase: Phase | None) -> str:
        """The name of a phase's log; of the experiment's for None. A journal that never planned the
        phase is an old one, whose logs had the tools' names.
        """
        if phase is None:
            return EXPERIMENT_LOG
        return self._names.get(phase, OF_THE_TOOL[phase])

    def _planned(self, event: Planned) -> Iterator[Named]:
        """Begin an execution's part of a log, and remember its items for the blocks that follow.

        DISCOVER_EXPERIMENT
        Details: Found experiment at /data/digits (experiment_summary.yaml)
        Result: 4 runs and 1 control run configured
        """
        self._names = named_by(event) | self._names
        if event.phase is not None:
            self._items[event.phase] = event.items
            # the first poll of an execution is always news
            self._status.pop(event.phase, None)
        source = event.summary or _source_words(event)
        details = f"Found experiment at {event.folder} ({source})"
        result = _planned_words(event)
        if event.notes:
            result += f"; {_some(event.notes, between='; ')}"
        yield self._block(event, event.phase, "DISCOVER_EXPERIMENT", details=details, result=result)

    def _decided(self, event: Decided) -> Iterator[Named]:
        """Report what is skipped or retried; what is submitted has a block when it is.

        SKIP: r8/clean/epoch0
        Details: result is there; results/r8.json: valid, 812 bytes
        Result: Not submitted

        RETRY: r8
        Details: out of memory; batch 8 → 4
        Result: Attempt 2
        """
        if event.first:
            yield self._identify(event)
        for decision in event.decisions:
            if decision.reason in _REPORTED:
                continue
            if decision.action in ("skip", "blocked"):
                evidence = map(_evidence_words, decision.evidence)
                rest = [part for part in (decision.detail, *evidence) if part]
                details = "; ".join([decision.reason, *rest])
                action, result = "SKIP", "Not submitted"
            elif decision.action == "retry":
                details = _join(decision.reason, decision.detail)
                action, result = "RETRY", f"Attempt {decision.attempt}"
            else:
                continue
            yield self._block(
                event, event.phase, action, subject=decision.key, details=details, result=result
            )

    def _identify(self, event: Decided) -> Named:
        """Say what a phase has, and how much of it is to be submitted.

        IDENTIFY_RUNS                               IDENTIFY_EVALS
        Details: r8_lr1e-4, r8_lr1e-5               Details: 2 runs × 3 tasks × 2 epochs
        Result: All runs have finetune.slurm …      Result: 12 evaluations to submit
        """
        items = self._items.get(event.phase, ())
        if event.phase == "evaluation":
            details, result = _matrix_words(items), _decision_words(event.decisions)
            return self._block(
                event, "evaluation", "IDENTIFY_EVALS", details=details, result=result
            )
        trained = [item for item in items if not item.control]
        names = _some([item.key for item in trained]) or "no run to train"
        result = _scripts_words(trained)
        # That all are submitted goes without saying.
        if not trained or not _submits_all(event.decisions):
            result += f"; {_decision_words(event.decisions)}"
        return self._block(event, "preparation", "IDENTIFY_RUNS", details=names, result=result)

    def _submitted(self, event: Submitted) -> Iterator[Named]:
        """Report a submission, with what was unusual about it.

        SUBMIT_JOB: r8_lr1e-4
        Details: sbatch --parsable wk-4tqd1e.sh (5-second stagger, attempt 2)
        Result: Job ID 70412
        """
        details = event.command
        remarks = list(_remarks_on(event))
        if remarks:
            details += f" ({', '.join(remarks)})"
        action = "SUBMIT_JOB" if event.phase == "preparation" else "SUBMIT_EVAL"
        result = f"Job ID {event.job_id}"
        yield self._block(
            event, event.phase, action, subject=event.key, details=details, result=result
        )

    def _rejected(self, event: Rejected | Doubted) -> Iterator[Named]:
        """Report a submission that failed, or whose outcome is unknown: the command, and the
        scheduler's message to the letter.
        """
        yield self._block(
            event,
            event.phase,
            "SUBMIT_ERROR",
            subject=event.key,
            details=event.command,
            result=event.message,
        )

    def _polled(self, event: Polled) -> Iterator[Named]:
        """Report how many jobs are in which state, where that is news, and each job that changed.

            STATUS_CHECK
            Details: squeue --me (polling interval 60 s)
            Result: 2 PENDING, 2 RUNNING

        Equal counts are repeated once in `STATUS_AT_LEAST_EVERY`, to show that the watch is alive.
        A poll without an answer is a `MONITOR_ERROR`, and shows nothing else.
        """
        details = f"{event.query} (polling interval {event.interval_s:g} s)"
        if event.error:
            yield self._block(
                event, event.phase, "MONITOR_ERROR", details=details, result=event.error
            )
            return
        last, at = self._status.get(event.phase, ({}, event.time))
        is_due = event.counts != last or event.time - at >= STATUS_AT_LEAST_EVERY
        if event.counts and is_due:
            self._status[event.phase] = (event.counts, event.time)
            result = counts_words(event.counts, _JOBS[event.phase])
            yield self._block(event, event.phase, "STATUS_CHECK", details=details, result=result)
        for change in event.changes:
            is_news = change.before != change.after or change.stuck
            if is_news:
                yield self._changed(event, change)

    def _changed(self, event: Polled, change: Change) -> Named:
        """Report a job's new state, as seen, or as it follows from a later one.

        STATE_CHANGE: r8_lr1e-4
        Details: RUNNING → FAILED
        Result: exit code 1; out of memory; last line: CUDA out of memory
        """
        details = f"{change.before or 'submitted'} → {change.after}"
        result = self._inferred_words(change) if change.inferred else _change_words(change)
        return self._block(
            event, event.phase, "STATE_CHANGE", subject=change.key, details=details, result=result
        )

    def _inferred_words(self, change: Change) -> str:
        """Say what a job must have done between two polls: `Training started at 2026-11-22 23:12:40
        (inferred: between two polls)`. The time is the scheduler's, in the journal's zone.
        """
        words = "Queued again"
        if change.after == "RUNNING":
            words = _STARTED[change.phase]
            started = change.facts.started
            if started:
                words += started.astimezone(self._zone).strftime(" at %Y-%m-%d %H:%M:%S")
        return f"{words} (inferred: between two polls)"

    def _observed(self, event: Observed) -> Iterator[Named]:
        """Report something about the experiment as a whole: an outage of the scheduler as an error,
        its end and a run log that is not continued as a status.
        """
        action = "STATUS_CHECK" if event.what in _NO_ERRORS else "MONITOR_ERROR"
        yield self._block(event, None, action, details=event.what, result=event.detail)

    def _expected(self, event: Expected) -> Iterator[Named]:
        """Report a criterion that was written down before any result, and where it came from."""
        details = criteria.criterion_of(event).words
        result = f"Written down, from {event.source}, before this watch submitted anything"
        yield self._block(event, None, "EXPECT", details=details, result=result)

    def _verified(self, event: Verified) -> Iterator[Named]:
        """Report what was checked before evaluations begin, or at the end of all.

            VERIFY_CHECKPOINTS
            Details: 2 folders of 4 runs
            Result: 7 of 8 checkpoints exist; missing: r8_lr1e-4/artifacts/epoch_1

        The final count, `VALIDATE`, belongs to the experiment's log.
        """
        phase: Phase | None = "evaluation"
        if event.what == "finetuning":
            action, result = "VERIFY_FINETUNING", _finetuning_words(event)
        elif event.what == "checkpoints":
            action, result = "VERIFY_CHECKPOINTS", _checkpoints_words(event)
        else:
            phase, action = None, "VALIDATE"
            result = f"{event.found} of {event.expected} valid"
        result += _exceptions_words(event)
        yield self._block(event, phase, action, details=event.looked_at, result=result)

    def _judged(self, event: Judged) -> Iterator[Named]:
        """Report a verdict that the job's state does not give away: good but odd, invalid, unknown.

            VALIDATE: r8_lr1e-4
            Details: r8_lr1e-4/artifacts/epoch_1: empty folder
            Result: INVALID: COMPLETED, but a checkpoint is empty

        A plain `done` or `failed` has its STATE_CHANGE.
        """
        if event.outcome not in _WORTH_A_BLOCK:
            return
        if event.outcome == "done" and not event.why:
            return
        evidence = "; ".join(map(_evidence_words, event.evidence))
        details = evidence or f"attempt {event.attempt}, {event.state}"
        result = event.outcome.upper()
        if event.why:
            result += f": {event.why}"
        yield self._block(
            event, event.phase, "VALIDATE", subject=event.key, details=details, result=result
        )

    def _assessed(self, event: Assessed) -> Iterator[Named]:
        """Report only an alarm, its end, slowness, new errors, or a time limit that comes first.

            HEALTH: r8_lr1e-4
            Details: r8_lr1e-4/slurm.out: step 400, loss 0.31, 20480 bytes
            Result: STALLED: no step since step 400 for 20:00 (limit 600 s, the least)

        The end of an alarm is `ADVANCING again: …`.
        """
        is_news = event.alarm or event.note or event.errors or event.health == "slow"
        if not is_news:
            return
        evidence = "; ".join(map(_evidence_words, event.evidence))
        details = evidence or f"attempt {event.attempt}"
        again = " again" if event.alarm == "over" else ""
        health = f"{event.health.upper()}{again}: {event.why}"
        report = ""
        if event.report and event.alarm == "raised":
            report = f"report: {event.report}"
        result = _join(health, *event.errors[:_MOST_ERRORS], event.note, report)
        yield self._block(
            event, event.phase, "HEALTH", subject=event.key, details=details, result=result
        )

    def _concluded(self, event: Concluded) -> Iterator[Named]:
        """Report that all jobs of this execution have ended, in what time.

        ALL_COMPLETE
        Details: 2 of 3 jobs reached terminal states
        Result: 2 COMPLETED, 0 FAILED, 1 not submitted (c: no such queue)
        Duration: 12 seconds
        """
        total = sum(event.counts.values())
        requested = total + len(event.refused) + len(event.blocked)
        share = f"All {total}" if requested == total else f"{total} of {requested}"
        yield self._block(
            event,
            event.phase,
            "ALL_COMPLETE",
            details=f"{share} {_JOBS[event.phase]} reached terminal states",
            result=concluded_words(event),
            duration=duration_words(event.duration_s),
        )

    def _halted(self, event: Halted) -> Iterator[Named]:
        """Report that nothing more of a phase is submitted: the budget is spent (an event without
        keys), or its first jobs all failed by one cause.

            HALT
            Details: 3 jobs failed within a minute: ModuleNotFoundError … (r1, r2, r3)
            Result: 17 more not submitted; read r1/slurm.out; put it right, …
        """
        if not event.keys:
            result = f"{event.left} not submitted; a run with a larger --budget goes on"
            yield self._block(event, event.phase, "HALT", details=event.why, result=result)
            return
        jobs = _count(len(event.keys), _JOBS[event.phase].removesuffix("s"))
        details = f"{jobs} failed within a minute: {event.why} ({_some(event.keys)})"
        read = f"read {event.output}; " if event.output else ""
        result = (
            f"{event.left} more not submitted; {read}put it right, and the next run tries again "
            "(--keep-going: submit all the same)"
        )
        yield self._block(event, event.phase, "HALT", details=details, result=result)

    def _detached(self, event: Detached) -> Iterator[Named]:
        """Report that the watch ended before its jobs did: `Result: 4 jobs left to the scheduler;
        run the same command to continue`.
        """
        result = (
            f"{_count(event.active, 'job')} left to the scheduler; run the same command to continue"
        )
        yield self._block(event, None, "DETACH", details=event.why, result=result)


def _planned_words(event: Planned) -> str:
    """Write `4 runs and 1 control run configured`, and how many evaluations where it matters.

    In the log of the evaluations `4 runs configured for evaluation`, in that of the experiment `4
    runs configured, 12 evaluations`. A run with several evaluations counts once.
    """
    runs = set()
    controls = set()
    evaluations = 0
    for item in event.items:
        if item.control:
            controls.add(item.run)
        else:
            runs.add(item.run)
        if item.phase == "evaluation":
            evaluations += 1
    words = _count(len(runs), "run")
    if controls:
        words += f" and {_count(len(controls), 'control run')}"
    words += " configured"
    if event.phase == "evaluation":
        words += " for evaluation"
    elif event.phase is None:
        words += f", {_count(evaluations, 'evaluation')}"
    return words


def _source_words(event: Planned) -> str:
    """What an experiment without a summary was read from: `submitted scripts`, or its folder tree.

    Only scripts that were submitted as they lie name the folder they run in (`workdir`).
    """
    if event.items and all(item.workdir for item in event.items):
        return "submitted scripts"
    return "no summary; read from its folder tree"


def _scripts_words(items: Sequence[RunItem]) -> str:
    """Write `All runs have finetune.slurm scripts`, `All runs have scripts`, or `No script: r8,
    r16`.

    `items` are the runs that are trained; without any, all of them have scripts.
    """
    without = [item.key for item in items if not item.script]
    if without:
        return f"No script: {_some(without)}"
    are_finetunes = all(item.script.endswith(_FINETUNE) for item in items)
    if are_finetunes:
        return f"All runs have {_FINETUNE} scripts"
    return "All runs have scripts"


def _submits_all(decisions: Iterable[Decision]) -> bool:
    """Whether every run but the control runs is to be submitted, now or as soon as there is room
    (`wait`).
    """
    for decision in decisions:
        if _control(decision):
            continue
        if decision.action not in ("submit", "wait"):
            return False
    return True


def _remarks_on(event: Submitted) -> Iterator[str]:
    """Yield what is unusual about a submission: `5-second stagger`, `attempt 2`, or that its job
    was found by its token after the submitter died.

    `event.note` comes last, in its own words. Most submissions have no remark.
    """
    if event.stagger_s:
        yield f"{event.stagger_s:g}-second stagger"
    if event.adopted:
        yield "found again: its submitter had died"
    elif event.by:
        yield "by another watchkeeper"
    if event.attempt > 1:
        yield f"attempt {event.attempt}"
    if event.note:
        yield event.note


def _finetuning_words(event: Verified) -> str:
    """Write `All fine-tuning jobs COMPLETED`, else the counts: `3 COMPLETED, 1 FAILED`.

    Where some were not selected, `All selected fine-tuning jobs COMPLETED`.
    """
    if event.counts != {"COMPLETED": event.expected}:
        return counts_words(event.counts, "fine-tuning jobs")
    if event.unselected:
        return "All selected fine-tuning jobs COMPLETED"
    return "All fine-tuning jobs COMPLETED"


def _checkpoints_words(event: Verified) -> str:
    """Write `All 8 checkpoints exist`, or `7 of 8 checkpoints exist`."""
    if event.found == event.expected:
        return f"All {event.found} checkpoints exist"
    return f"{event.found} of {event.expected} checkpoints exist"


def _exceptions_words(event: Verified) -> str:
    """Name what is missing, doubtful or not selected: `; missing: r8/epoch_1; 2 not selected`. "":
    nothing. At most ten names and three cautions; the journal has all.
    """
    words = ""
    if event.missing:
        fault = "not COMPLETED" if event.what == "finetuning" else "missing"
        words += f"; {fault}: {_some(event.missing)}"
    if event.cautions:
        words += f"; caution: {_some(event.cautions, _MOST_CAUTIONS, '; ')}"
    if event.unselected:
        words += f"; {event.unselected} not selected"
    return words


_HANDLERS: dict[type, Callable[[Renderer, Any], Iterator[Named]]] = {
    Planned: Renderer._planned,
    Decided: Renderer._decided,
    Submitted: Renderer._submitted,
    Rejected: Renderer._rejected,
    Doubted: Renderer._rejected,
    Polled: Renderer._polled,
    Observed: Renderer._observed,
    Verified: Renderer._verified,
    Judged: Renderer._judged,
    Assessed: Renderer._assessed,
    Concluded: Renderer._concluded,
    Detached: Renderer._detached,
    Halted: Renderer._halted,
    Expected: Renderer._expected,
}


def named_by(event: Planned) -> dict[Phase, str]:
    """The logs that an event gives names: `{"preparation": "run-training.log"}`.

    An older event names none, and its logs are those of torchtune and inspect-ai. A name that is no
    log's (a journal is data, and might say `../x`) is replaced by the tool's.
    """
    if not event.logs:
        return dict(OF_THE_TOOL)
    names: dict[Phase, str] = {}
    for phase in PHASES:
        name = event.logs.get(phase)
        if name is None:
            continue
        names[phase] = name if name in NAMES else OF_THE_TOOL[phase]
    return names


def log_names(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> dict[Phase, str]:
    """The name of each phase's log that the journal has chosen so far: the first choice stays.

    `events` are a journal's, by writer. Empty: nothing was planned yet.
    """
    names: dict[Phase, str] = {}
    for event in holders(events):
        if isinstance(event, Planned):
            names = named_by(event) | names
    return names


def holders(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> Iterator[AnyEvent | Unknown]:
    """Yield the events that the live views show: of each lease's holder from its `leased` on, as
    far as the next holder had read them.

        writer A: opened  leased 1  polled  polled | polled      the last one was not read by B
        writer B: opened  leased 2  polled                       all of it is shown

    `events` are a journal's, by writer. What a holder wrote after it had lost the lease, unread by
    the next one, is in no view: the log of a prefix of the journal must stay a prefix (law 1).
    """
    by_writer = {writer: list(written) for writer, written in events.items()}
    leases: list[Leased] = []
    for written in by_writer.values():
        leases += [event for event in written if isinstance(event, Leased)]
    leases.sort(key=lambda leased: (leased.lease, leased.writer, leased.seq))
    for position, leased in enumerate(leases):
        written = by_writer[leased.writer]
        upto = len(written)
        if position + 1 < len(leases):
            upto = _read_by(leases[position + 1], leased.writer)
        for event in written[:upto]:
            if event.seq >= leased.seq:
                yield event


def _read_by(successor: Leased, writer: str) -> int:
    """Return how many of a writer's events the next holder had read when it took the lease. 0: it
    had read none.
    """
    if successor.writer == writer:
        return successor.seq
    return successor.saw.get(writer, 0)


def last_software(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> str:
    """Return the version that rendered the views last, as `opened` names it: the newest holder's.
    "": nobody ever held the lease.

    `check` compares it with its own before it calls a view that differs unsound.
    """
    software = ""
    for event in holders(events):
        if isinstance(event, Leased):
            software = _software_of(events[event.writer])
    return software


def _software_of(written: Iterable[AnyEvent | Unknown]) -> str:
    """Return the version in a writer's `opened`, which is its first event. "": an older writer,
    which names none.
    """
    for event in written:
        if isinstance(event, Opened):
            return event.software
    return ""


def first_zone(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> str:
    """Return the zone of the views, an IANA name: the first holder's. `UTC`: nobody held the lease.

    It never changes afterwards, whatever zone a later holder runs in: the log of a prefix of the
    journal is a prefix of the whole log.
    """
    for event in holders(events):
        for opened in events[event.writer]:
            if isinstance(opened, Opened):
                return opened.zone
    return "UTC"


def render_logs(
    events: Mapping[str, Iterable[AnyEvent | Unknown]], renderer: Renderer
) -> dict[str, list[Block]]:
    """Render every log whole: name → blocks, in the order in which they are written.

    `events` are a journal's, by writer. The renderer is a new one, and can go on from there
    afterwards. A log without a block is left out.
    """
    blocks: list[Named] = []
    for event in holders(events):
        blocks += renderer.feed(event)
    return by_log(blocks)


def by_log(blocks: Iterable[Named]) -> dict[str, list[Block]]:
    """The blocks of each log, by its name."""
    logs: dict[str, list[Block]] = {}
    for name, block in blocks:
        logs.setdefault(name, []).append(block)
    return logs


def _some(names: Sequence[str], most: int = _MOST_NAMES, between: str = ", ") -> str:
    """Join the first names, and say how many more there are: `r1, r2 and 8 more`.

    The journal has them all. "": there are none.
    """
    text = between.join(names[:most])
    more = len(names) - most
    if more <= 0:
        return text
    last = " and " if between == ", " else f"{between}and "
    return f"{text}{last}{more} more"


def _join(*parts: str) -> str:
    """Join the parts that are not empty."""
    return "; ".join(filter(None, parts))


def _count(number: int, noun: str) -> str:
    """Write `1 run`, `2 runs`, `0 runs`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}s"


def counts_words(counts: Mapping[str, int], noun: str) -> str:
    """Write `All 4 jobs PENDING`, `1 job RUNNING`, or `2 PENDING, 2 RUNNING`.

    `counts` are by state, in the order in which they are shown; `noun` is a plural. No counts give
    `no jobs`.
    """
    if not counts:
        return f"no {noun}"
    if len(counts) > 1:
        return ", ".join(f"{number} {state}" for state, number in counts.items())
    ((state, number),) = counts.items()
    if number > 1:
        return f"All {number} {noun} {state}"
    return f"1 {noun.removesuffix('s')} {state}"


def concluded_words(event: Concluded) -> str:
    """Write `4 COMPLETED, 0 FAILED`, and what else was requested: `2 COMPLETED, 0 FAILED, 1 not
    submitted (c: no such queue)`.

    COMPLETED and FAILED are always there, further states (`INVALID`, `UNKNOWN`) where they occur.
    """
    counts = {"COMPLETED": 0, "FAILED": 0} | event.counts
    parts = [f"{number} {state}" for state, number in counts.items()]
    parts += _count_reasons("not submitted", event.refused)
    parts += _count_reasons("blocked", event.blocked)
    if event.done_before:
        parts.append(f"{event.done_before} done before")
    if event.unselected:
        parts.append(f"{event.unselected} not selected")
    return ", ".join(parts)


def _count_reasons(what: str, reasons: Mapping[str, str]) -> Iterator[str]:
    """Count runs, and give the reason of each: `2 blocked (a: no checkpoint; b)`.

    `reasons` are by key, "" for none; nothing is yielded where there are no runs.
    """
    if not reasons:
        return
    named = []
    for key, reason in reasons.items():
        named.append(f"{key}: {_clipped(reason)}" if reason else key)
    yield f"{len(reasons)} {what} ({_some(named, between='; ')})"


def _clipped(text: str) -> str:
    """A text of at most `_MOST_LETTERS`; an ellipsis stands for the rest."""
    if len(text) <= _MOST_LETTERS:
        return text
    return text[: _MOST_LETTERS - 1] + "…"


def _control(decision: Decision) -> bool:
    """Whether a decision is on a control run, which is not trained, and so never submitted."""
    return decision.reason == "control run"


def _decision_words(decisions: Iterable[Decision]) -> str:
    """Write how much of a phase is to be submitted.

        18 evaluations to submit, 2 skipped      of evaluations, where it begins the line
        3 to submit, 1 skipped                   of runs, where it follows other words
        Nothing to submit, 20 skipped

    A retry, and one that waits for room, count as to be submitted.
    """
    decisions = list(decisions)
    tally: Counter[str] = Counter(decision.action for decision in decisions)
    of_evaluations = any(decision.phase == "evaluation" for decision in decisions)
    new = tally["submit"] + tally["retry"] + tally["wait"]
    if not new:
        parts = ["nothing to submit"]
    elif of_evaluations:
        parts = [f"{_count(new, 'evaluation')} to submit"]
    else:
        parts = [f"{new} to submit"]
    for action, word in _SETTLED.items():
        if action in tally:
            parts.append(f"{tally[action]} {word}")
    words = ", ".join(parts)
    if of_evaluations:
        return words[0].upper() + words[1:]  # there it begins the line, of runs it follows another
    return words


def _matrix_words(items: tuple[RunItem, ...]) -> str:
    """Write `2 runs × 3 tasks × 2 epochs + 1 control run × 3 tasks`, or only how many evaluations
    there are, where they are not every combination.

    A control run is evaluated as it is, any other at each epoch: an item that is otherwise, such as
    a run without an epoch, fits neither product.
    """
    total = _count(len(items), "evaluation")
    trained = []
    controls = []
    for item in items:
        has_epoch = item.epoch is not None
        if item.control == has_epoch:
            return total
        if item.control:
            controls.append(item)
        else:
            trained.append(item)
    products = []
    if trained:
        products.append(_product_words("run", trained))
    if controls:
        products.append(_product_words("control run", controls))
    if not products or "" in products:
        return total
    return " + ".join(products)


def _product_words(noun: str, items: Sequence[RunItem]) -> str:
    """Write `2 runs × 3 tasks × 2 epochs`; without epochs, as of control runs, `1 control run × 3
    tasks`. "": the items are not every combination of these.
    """
    runs = {item.run for item in items}
    tasks = {item.task for item in items}
    epochs = {item.epoch for item in items} - {None}
    combinations = len(runs) * len(tasks)
    if epochs:
        combinations *= len(epochs)
    if combinations != len(items):
        return ""
    factors = [_count(len(runs), noun), _count(len(tasks), "task")]
    if epochs:
        factors.append(_count(len(epochs), "epoch"))
    return " × ".join(factors)


def _change_words(change: Change) -> str:
    """Say what became of a job, and why.

    Queued                                             PENDING, and the scheduler gives no reason
    Training started                                   RUNNING
    Evaluation finished                                COMPLETED
    exit code 1; out of memory; last line: …           any other end
    by its exit record; the scheduler says COMPLETED   where the wrapper's record overrules it
    """
    facts, state = change.facts, change.after
    reason = facts.reason if facts.reason != "None" else ""
    by_record = ""
    if state != facts.state:
        by_record = f"by its exit record; the scheduler says {facts.state}"
    if state == "PENDING":
        return _join(reason, change.stuck) or "Queued"
    if state == "RUNNING":
        return _join(_STARTED[change.phase], reason)
    if state == "COMPLETED":
        if not by_record:
            return _FINISHED[change.phase]
        return _join(_FINISHED[change.phase], by_record, reason)
    last_line = f"last line: {change.last_line}" if change.last_line else ""
    return _join(by_record, reason, _exit_words(change), change.cause, last_line) or state


def _exit_words(change: Change) -> str:
    """Write `exit code 1`, or `exit code 0, signal 9`. "": the exit code is not known.

    The wrapper's record knows the script's own code; the scheduler may only know the wrapper's.
    """
    code = change.facts.exit_code
    if change.exit_record:
        code = change.exit_record.exit_code
    if code is None:
        return ""
    if change.facts.signal:
        return f"exit code {code}, signal {change.facts.signal}"
    return f"exit code {code}"


def _evidence_words(evidence: Evidence) -> str:
    """Write `results/r8.json: valid, 812 bytes`: where it was seen, and what."""
    words = f"{evidence.source}: {evidence.what}"
    if evidence.size_bytes is not None:
        words += f", {evidence.size_bytes} bytes"
    return words
