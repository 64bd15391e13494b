"""From the watcher's events to the blocks of the action logs.

Only the events of the lease's holder are rendered, in order of lease and sequence, so that the view
of a prefix of the journal is a prefix of the view of the whole: a log can be appended live and
still be made again to the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from watchkeeper.core.events import (
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

LOGS: Mapping[Phase | None, str] = {
    "preparation": "run-torchtune.log",
    "evaluation": "run-inspect.log",
    None: "run-experiment.log",
}
STATUS_AT_LEAST_EVERY = timedelta(hours=1)

_MOST_NAMES = 10
_NO_ERRORS = ("scheduler answers", "run log not continued")
_MOST_CAUTIONS = 3
_MOST_ERRORS = 3
_MOST_LETTERS = 120  # of one reason in a list: the journal has all of it
_TOLD = "submission refused"  # SUBMIT_ERROR has said it
_STARTED = {"preparation": "Training started", "evaluation": "Evaluation started"}
_FINISHED = {"preparation": "Training finished", "evaluation": "Evaluation finished"}
_JOBS = {"preparation": "jobs", "evaluation": "evaluations", None: "jobs"}
_SETTLED = {"active": "already under way", "skip": "skipped", "blocked": "blocked"}
Named = tuple[str, Block]


class Renderer:
    """Turns events of holders, in order, into (log's name, block). Its only memory is of events it
    was fed.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone_of(zone)
        self._items: dict[Phase, tuple[RunItem, ...]] = {}
        self._status: dict[Phase, tuple[dict[str, int], datetime]] = {}

    def feed(self, event: AnyEvent | Unknown) -> list[Named]:
        """The blocks that this event adds, with the log each belongs to."""
        handler = _HANDLERS.get(type(event))
        if handler:
            return list(handler(self, event))
        return []

    def _block(self, event: Event, phase: Phase | None, action: str, **fields: str) -> Named:
        time = event.time.astimezone(self._zone).replace(tzinfo=None, microsecond=0)
        return LOGS[phase], Block(time=time, action=action, **fields)

    def _planned(self, event: Planned) -> Iterator[Named]:
        if event.phase is not None:
            self._items[event.phase] = event.items
            self._status.pop(event.phase, None)
        source = event.summary or "no summary: read by its tree"
        runs = len({item.run for item in event.items if not item.control})
        controls = len({item.run for item in event.items if item.control})
        if controls:
            extra = f" and {_count(controls, 'control run')}"
        else:
            extra = ""
        result = f"{_count(runs, 'run')}{extra} configured"
        if event.phase == "evaluation":
            result += " for evaluation"
        if event.phase is None:
            result += (
                f", {_count(sum(item.phase == 'evaluation' for item in event.items), 'evaluation')}"
            )
        result += "; " * bool(event.notes) + _some(event.notes, between="; ")
        details = f"Found experiment at {event.folder} ({source})"
        yield self._block(event, event.phase, "DISCOVER_EXPERIMENT", details=details, result=result)

    def _decided(self, event: Decided) -> Iterator[Named]:
        if event.first:
            yield self._identify(event)
        for decision in event.decisions:
            if decision.reason == _TOLD:
                continue
            if decision.action in ("skip", "blocked"):
                details = "; ".join(
                    [
                        decision.reason,
                        *filter(None, [decision.detail]),
                        *map(_evidence_words, decision.evidence),
                    ]
                )
                result = "Not submitted"
                yield self._block(
                    event, event.phase, "SKIP", subject=decision.key, details=details, result=result
                )
            elif decision.action == "retry":
                details = "; ".join(filter(None, [decision.reason, decision.detail]))
                result = f"Attempt {decision.attempt}"
                yield self._block(
                    event,
                    event.phase,
                    "RETRY",
                    subject=decision.key,
                    details=details,
                    result=result,
                )

    def _identify(self, event: Decided) -> Named:
        items = self._items.get(event.phase, ())
        tally = _decision_words(event.decisions)
        if event.phase == "evaluation":
            return self._block(
                event, "evaluation", "IDENTIFY_EVALS", details=_matrix_words(items), result=tally
            )
        trained = [item for item in items if not item.control]
        names = _some([item.key for item in trained]) or "no run is to be trained"
        without = [item.key for item in trained if not item.script]
        if without:
            scripts = f"No script: {_some(without)}"
        else:
            scripts = "All runs have finetune.slurm scripts"
        plain = all(
            decision.action in ("submit", "wait")
            for decision in event.decisions
            if not _control(decision)
        )
        if plain and trained:
            result = scripts
        else:
            result = f"{scripts}; {tally}"
        return self._block(event, "preparation", "IDENTIFY_RUNS", details=names, result=result)

    def _submitted(self, event: Submitted) -> Iterator[Named]:
        if event.stagger_s:
            remarks = [f"{event.stagger_s:g}-second stagger"]
        else:
            remarks = []
        remarks += ["found again: its submitter was gone"] if event.adopted else []
        remarks += ["by another watchkeeper"] if event.by and not event.adopted else []
        remarks += [f"attempt {event.attempt}"] if event.attempt > 1 else []
        remarks += [event.note] if event.note else []
        details = event.command + (f" ({', '.join(remarks)})" if remarks else "")
        if event.phase == "preparation":
            action = "SUBMIT_JOB"
        else:
            action = "SUBMIT_EVAL"
        yield self._block(
            event,
            event.phase,
            action,
            subject=event.key,
            details=details,
            result=f"Job ID {event.job_id}",
        )

    def _rejected(self, event: Rejected | Doubted) -> Iterator[Named]:
        yield self._block(
            event,
            event.phase,
            "SUBMIT_ERROR",
            subject=event.key,
            details=event.command,
            result=event.message,
        )

    def _polled(self, event: Polled) -> Iterator[Named]:
        details = f"{event.query} (polling interval {event.interval_s:g} s)"
        if event.error:
            yield self._block(
                event, event.phase, "MONITOR_ERROR", details=details, result=event.error
            )
            return
        last, at = self._status.get(event.phase, ({}, event.time))
        if event.counts and (event.counts != last or event.time - at >= STATUS_AT_LEAST_EVERY):
            self._status[event.phase] = (event.counts, event.time)
            result = counts_words(event.counts, _JOBS[event.phase])
            yield self._block(event, event.phase, "STATUS_CHECK", details=details, result=result)
        for change in event.changes:
            if change.before != change.after or change.stuck:
                details = f"{change.before or 'submitted'} → {change.after}"
                if change.inferred:
                    result = self._inferred_words(change)
                else:
                    result = _change_words(change)
                yield self._block(
                    event,
                    event.phase,
                    "STATE_CHANGE",
                    subject=change.key,
                    details=details,
                    result=result,
                )

    def _inferred_words(self, change: Change) -> str:
        started = change.facts.started
        if started:
            at = started.astimezone(self._zone).strftime(" at %Y-%m-%d %H:%M:%S")
        else:
            at = ""
        if change.after == "RUNNING":
            words = _STARTED[change.phase] + at
        else:
            words = "Queued again"
        return f"{words} (inferred: between two polls)"

    def _observed(self, event: Observed) -> Iterator[Named]:
        if event.what in _NO_ERRORS:
            action = "STATUS_CHECK"
        else:
            action = "MONITOR_ERROR"
        yield self._block(event, None, action, details=event.what, result=event.detail)

    def _verified(self, event: Verified) -> Iterator[Named]:
        if event.what == "finetuning":
            word = "not COMPLETED"
        else:
            word = "missing"
        if event.missing:
            rest = f"; {word}: {_some(event.missing)}"
        else:
            rest = ""
        rest += (
            f"; caution: {_some(event.cautions, _MOST_CAUTIONS, '; ')}" if event.cautions else ""
        )
        rest += f"; {event.unselected} not selected" if event.unselected else ""
        if event.unselected:
            every = "All selected"
        else:
            every = "All"
        if event.what == "finetuning":
            done = event.counts == {"COMPLETED": event.expected}
            if done:
                result = f"{every} fine-tuning jobs COMPLETED"
            else:
                result = counts_words(event.counts, "fine-tuning jobs")
            yield self._block(
                event,
                "evaluation",
                "VERIFY_FINETUNING",
                details=event.looked_at,
                result=result + rest,
            )
        elif event.what == "checkpoints":
            whole = event.found == event.expected
            if whole:
                result = f"All {event.found} checkpoints exist"
            else:
                result = f"{event.found} of {event.expected} checkpoints exist"
            yield self._block(
                event,
                "evaluation",
                "VERIFY_CHECKPOINTS",
                details=event.looked_at,
                result=result + rest,
            )
        else:
            result = f"{event.found} of {event.expected} valid" + rest
            yield self._block(event, None, "VALIDATE", details=event.looked_at, result=result)

    def _judged(self, event: Judged) -> Iterator[Named]:
        if event.outcome in ("invalid", "failed but good", "unknown", "lost") or (
            event.outcome == "done" and event.why
        ):
            details = (
                "; ".join(map(_evidence_words, event.evidence))
                or f"attempt {event.attempt}, {event.state}"
            )
            if event.why:
                result = f"{event.outcome.upper()}: {event.why}"
            else:
                result = event.outcome.upper()
            yield self._block(
                event, event.phase, "VALIDATE", subject=event.key, details=details, result=result
            )

    def _assessed(self, event: Assessed) -> Iterator[Named]:
        """What matters only: an alarm, its end, slowness, new errors, a time limit that comes
        first.
        """
        if not (event.alarm or event.note or event.errors or event.health == "slow"):
            return
        if event.alarm == "over":
            again = " again"
        else:
            again = ""
        parts = [
            f"{event.health.upper()}{again}: {event.why}",
            *event.errors[:_MOST_ERRORS],
            event.note,
        ]
        parts += [f"report: {event.report}"] if event.report and event.alarm == "raised" else []
        details = "; ".join(map(_evidence_words, event.evidence)) or f"attempt {event.attempt}"
        result = "; ".join(filter(None, parts))
        yield self._block(
            event, event.phase, "HEALTH", subject=event.key, details=details, result=result
        )

    def _concluded(self, event: Concluded) -> Iterator[Named]:
        noun = _JOBS[event.phase]
        total = sum(event.counts.values())
        asked = total + len(event.refused) + len(event.blocked)
        yield self._block(
            event,
            event.phase,
            "ALL_COMPLETE",
            details=(
                f"{f'All {total}' if asked == total else f'{total} of {asked}'} {noun} reached "
                "terminal states"
            ),
            result=concluded_words(event),
            duration=duration_words(event.duration_s),
        )

    def _detached(self, event: Detached) -> Iterator[Named]:
        result = (
            f"{_count(event.active, 'job')} left to the scheduler; the same command goes on "
            "from here"
        )
        yield self._block(event, None, "DETACH", details=event.why, result=result)


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
}


def holders(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> Iterator[AnyEvent | Unknown]:
    """The events that the live views show: of each lease's holder from its `leased` on, as far as
    the next holder had read them.
    """
    listed = {writer: list(found) for writer, found in events.items()}
    leases = sorted(
        (event.lease, writer, event.seq)
        for writer, found in listed.items()
        for event in found
        if isinstance(event, Leased)
    )
    for position, (_, writer, seq) in enumerate(leases):
        upto = len(listed[writer])
        if position + 1 < len(leases):
            _, successor, at = leases[position + 1]
            if successor == writer:
                upto = at
            else:
                taken = next(e for e in listed[successor] if isinstance(e, Leased) and e.seq == at)
                upto = taken.saw.get(writer, 0)
        yield from (event for event in listed[writer][:upto] if event.seq >= seq)


def first_zone(events: Mapping[str, Iterable[AnyEvent | Unknown]]) -> str:
    """The zone of the views: the first holder's."""
    for event in holders(events):
        for opened in events[event.writer]:
            if isinstance(opened, Opened):
                return opened.zone
    return "UTC"


def render_logs(
    events: Mapping[str, Iterable[AnyEvent | Unknown]], zone: str
) -> dict[str, list[Block]]:
    """Every log whole: name → blocks."""
    renderer = Renderer(zone)
    logs: dict[str, list[Block]] = {}
    for event in holders(events):
        for name, block in renderer.feed(event):
            logs.setdefault(name, []).append(block)
    return logs


def _some(names: Sequence[str], most: int = _MOST_NAMES, between: str = ", ") -> str:
    """The first names, and how many more there are: the journal has them all."""
    more = len(names) - most
    if between == ", ":
        last = " and "
    else:
        last = f"{between}and "
    return between.join(names[:most]) + (f"{last}{more} more" if more > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def counts_words(counts: Mapping[str, int], noun: str) -> str:
    """`All 4 jobs PENDING`, or `2 PENDING, 2 RUNNING`."""
    if len(counts) == 1:
        ((state, number),) = counts.items()
        if number > 1:
            return f"All {number} {noun} {state}"
        return f"1 {noun.removesuffix('s')} {state}"
    return ", ".join(f"{number} {state}" for state, number in counts.items()) or f"no {noun}"


def concluded_words(event: Concluded) -> str:
    """`4 COMPLETED, 0 FAILED`, and what else was asked for: `2 COMPLETED, 0 FAILED, 1 not submitted
    (c: no such queue)`.
    """
    counts = {"COMPLETED": 0, "FAILED": 0} | event.counts
    parts = [f"{number} {state}" for state, number in counts.items()]
    for words, reasons in (("not submitted", event.refused), ("blocked", event.blocked)):
        if reasons:
            named = [
                f"{key}: {_clipped(reason)}" if reason else key for key, reason in reasons.items()
            ]
            parts.append(f"{len(reasons)} {words} ({_some(named, between='; ')})")
    parts += [f"{event.done_before} done before"] if event.done_before else []
    parts += [f"{event.unselected} not selected"] if event.unselected else []
    return ", ".join(parts)


def _clipped(text: str) -> str:
    if len(text) <= _MOST_LETTERS:
        return text
    return text[: _MOST_LETTERS - 1] + "…"


def _control(decision: Decision) -> bool:
    return decision.reason == "control run"


def _decision_words(decisions: Iterable[Decision]) -> str:
    """`18 evaluations to submit, 2 skipped`; of runs, `3 to submit, 1 skipped`."""
    tally: dict[str, int] = {}
    for decision in decisions:
        tally[decision.action] = tally.get(decision.action, 0) + 1
    new = sum(tally.get(action, 0) for action in ("submit", "retry", "wait"))
    if any(decision.phase == "evaluation" for decision in decisions):
        noun = " evaluations"
    else:
        noun = ""
    if new == 1:
        noun = noun.removesuffix("s")
    parts = [f"{new}{noun} to submit" if new else "nothing to submit"]
    parts += [f"{tally[action]} {word}" for action, word in _SETTLED.items() if action in tally]
    words = ", ".join(parts)
    if not noun:
        return words
    return words[0].upper() + words[1:]


def _matrix_words(items: tuple[RunItem, ...]) -> str:
    words = []
    for control in (False, True):
        chosen = [
            item for item in items if item.control == control and (item.epoch is None) == control
        ]
        runs, tasks = {i.run for i in chosen}, {i.task for i in chosen}
        epochs = {i.epoch for i in chosen} - {None}
        if not chosen:
            continue
        if len(runs) * len(tasks) * (len(epochs) or 1) != len(chosen):
            return _count(len(items), "evaluation")
        parts = [_count(len(runs), "control run" if control else "run"), _count(len(tasks), "task")]
        words.append(" × ".join(parts + ([_count(len(epochs), "epoch")] if epochs else [])))
    covered = [i for i in items if i.control == (i.epoch is None)]
    if len(covered) == len(items) and words:
        return " + ".join(words)
    return _count(len(items), "evaluation")


def _change_words(change: Change) -> str:
    facts, state = change.facts, change.after
    if state != facts.state:
        by_record = [f"by its exit record; the scheduler says {facts.state}"]
    else:
        by_record = []
    if facts.reason and facts.reason != "None":
        reason = [facts.reason]
    else:
        reason = []
    if state == "PENDING":
        return "; ".join([*reason, *filter(None, [change.stuck])]) or "Queued"
    if state == "RUNNING":
        return "; ".join([_STARTED[change.phase], *reason])
    if state == "COMPLETED":
        return "; ".join([_FINISHED[change.phase], *by_record, *(reason if by_record else [])])
    code = change.exit_record.exit_code if change.exit_record else facts.exit_code
    parts = by_record + reason
    if code is not None:
        parts.append(f"exit code {code}" + (f", signal {facts.signal}" if facts.signal else ""))
    if change.cause:
        parts.append(change.cause)
    if change.last_line:
        parts.append(f"last line: {change.last_line}")
    return "; ".join(parts) or state


def _evidence_words(evidence: Evidence) -> str:
    if evidence.size_bytes is not None:
        size = f", {evidence.size_bytes} bytes"
    else:
        size = ""
    return f"{evidence.source}: {evidence.what}{size}"
