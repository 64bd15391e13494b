"""How a run stands by its log: state, since when, and by which evidence. One answer for lint,
compare and prior work.

The last job block's `state`, `exit code` and `end` are read, and the words of Status in the order
of their times, wherever they stand. A line that speaks of something else changes nothing; a job
that was started again has not ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec

from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import Stamp, moment, opening, stamp
from watchkeeper.report.runlog.document import Field, Item, Section, StatusLine, Verbatim, deep
from watchkeeper.report.runlog.read import END, START, Log, day_of, filled, says_none
from watchkeeper.report.runlog.states import (
    ABANDONED,
    COMPLETED,
    ENDED,
    ENDS,
    MOST_LETTERS,
    RUNNING,
    STOPPED,
    WAITING,
    Claim,
    state_of,
    state_of_field,
)

_SLACK = timedelta(minutes=15)
"""A line of Status this much older than its job's submission may still belong to it: people write
times by hand.
"""


class Standing(msgspec.Struct, frozen=True):
    """`state` is one of states.py, "" where the log does not say. `when` is the time as it was
    read; `evidence` says where it stands, and `line` in which line.
    """

    state: str = ""
    when: Stamp | None = None
    evidence: str = ""
    line: int = 1

    @property
    def over(self) -> bool:
        """Whether the last job works no more."""
        return self.state in ENDS

    @property
    def well(self) -> bool:
        """Whether it ended as it should, as far as the log says."""
        return self.state in (COMPLETED, ENDED)


class Entry(msgspec.Struct, frozen=True):
    """One line of Status. `own` is False for an undated one that has its time from the line above."""

    text: str
    at: Stamp | None
    own: bool
    line: int
    claim: Claim | None
    bullet: bool = True


def standing(log: Log) -> Standing:
    """How the run's last job stands."""
    job = last_job(log)
    block = _by_block(log, job)
    written = _by_status(log, job)
    if _outdated(log, job, block, written):
        block = Standing()
    if block.over and block.state != ENDED:
        worse = (
            written.over
            and block.state == COMPLETED
            and written.state not in (COMPLETED, ABANDONED, STOPPED)
        )
        if worse:
            return written
        return block
    if written.over or (written.state and not block.state):
        return written
    if block.state:
        return block
    return _elsewhere(log)


def by_submission(log: Log) -> list[Section]:
    """The job blocks in the order of their submissions; in that of the page where one does not say
    when that was.
    """
    starts = [
        (at, job)
        for job in log.jobs
        if (at := submitted(log, job)) is not None and at.day is not None
    ]
    if len(starts) < len(log.jobs):
        return log.jobs
    return [job for _, job in sorted(starts, key=lambda pair: _key(pair[0], late=False))]


def last_job(log: Log) -> Section | None:
    """The block of the last submission."""
    return next(reversed(by_submission(log)), None)


def submitted(log: Log, job: Section) -> Stamp | None:
    """When a block says that its job was submitted or started: the earlier of the two."""
    day = day_of(log)
    fields = [field for field in log.facts(job) if field.name in START and filled(field)]
    found = [at for field in fields if (at := moment(field.value, day)) and at.day]
    if not found and (at := moment(job.heading.text)) and at.day:
        found = [at]
    return min(found, key=lambda at: _key(at, late=False)) if found else None


def in_order(log: Log) -> list[Entry]:
    """The lines of Status in the order of their times; those of one time in the order of the page,
    from its older end.
    """
    found = entries_of(log)
    dated = [
        _key(entry.at, late=False)
        for entry in found
        if entry.own and entry.at is not None and entry.at.day is not None
    ]
    backwards = len(dated) > 1 and dated[0] > dated[-1]
    if not dated:
        return found

    def key(numbered: tuple[int, Entry]) -> tuple[datetime, int]:
        number, entry = numbered
        late = entry.claim is not None and entry.claim.end
        if entry.at is not None and entry.at.day is not None:
            when = _key(entry.at, late=late)
        else:
            when = min(dated)
        return when, -number if backwards and entry.own else number

    return [entry for _, entry in sorted(enumerate(found), key=key)]


def entries_of(log: Log) -> list[Entry]:
    """Return the lines of Status as they stand; they are read once for each log."""
    cache = log.__dict__
    if "status_entries" not in cache:
        cache["status_entries"] = list(read_entries(log))
    entries: list[Entry] = cache["status_entries"]
    return entries


def read_entries(log: Log) -> Iterator[Entry]:
    """The lines of Status as they stand: bullets, what stands below them, lines of text, rows of a
    table.
    """
    for section in log.sections("status"):
        day = day_of(log)
        latest: Stamp | None = None
        for part in facts.parts(section):
            on = moment(part.heading.text)
            if on is not None and on.day is not None:
                day = on.day
            for entry in _of_nodes(log, part, day):
                if entry.at is not None and (
                    latest is None or _key(entry.at, late=True) > _key(latest, late=True)
                ):
                    latest = entry.at
                yield entry
        behind = section.heading.text.partition(":")[2].strip()
        if claim := state_of_field("state", behind) if behind else None:
            # `## Status: completed` is brought up with the last line
            yield Entry(behind, latest, False, section.heading.span.line, claim, bullet=False)


def _of_nodes(log: Log, part: Section, day: date | None) -> Iterator[Entry]:
    above: Stamp | None = None
    for node in deep(part.nodes):
        if isinstance(node, Verbatim):
            if node.kind != "text":
                continue
            text = log.document.text[node.span.start : node.span.end].strip()[:MOST_LETTERS]
            opened = opening(text, day)
            at, words, own = (opened[0], opened[1], True) if opened else (above, text, False)
            yield Entry(
                words, at, own, node.span.line, state_of(words, trains=log.trains), bullet=False
            )
            above = at
            continue
        entry = _of_bullet(log, node, day, above)
        above = entry.at
        yield entry
    for table in facts.tables(log.document.text, part.nodes):
        for row in table.rows:
            yield from _of_row(log, row, day)


def _of_bullet(
    log: Log, node: StatusLine | Field | Item, day: date | None, above: Stamp | None
) -> Entry:
    line = node.span.line
    if isinstance(node, StatusLine):
        at = stamp(node.time)
        real = (
            at is not None and at.day is not None
        )  # a time that does not exist says no more than none
        text = node.text[:MOST_LETTERS]
        return Entry(text, at if real else above, real, line, state_of(text, trains=log.trains))
    if isinstance(node, Item):
        text = node.text
    else:
        text = log.document.text[node.span.start : node.span.end].strip()
    text = text[:MOST_LETTERS].lstrip("-*+ ")
    opened = opening(text, day)
    if opened is not None:
        return Entry(opened[1], opened[0], True, line, state_of(opened[1], trains=log.trains))
    if isinstance(node, Item):
        return Entry(text, above, False, line, state_of(text, trains=log.trains))
    claim = state_of_field(node.name, node.value)
    at = moment(node.value, day) or above
    if claim is None and node.name not in (
        "next",
        "note",
        "notes",
        "fix",
        "fix_applied",
        "plan",
        "reason",
    ):
        claim = state_of(f"{node.key}: {node.value}"[:MOST_LETTERS], trains=log.trains)
    return Entry(text, at, False, line, claim)


def _of_row(log: Log, row: list[facts.Cell], day: date | None) -> Iterator[Entry]:
    texts = [cell.text[:MOST_LETTERS] for cell in row]
    opened = next((found for text in texts if (found := opening(text, day)) is not None), None)
    words = ", ".join(text for text in texts if text and opening(text, day) is None)[:MOST_LETTERS]
    if words:
        claims = (state_of_field("state", text) for text in texts)
        claim = next((one for one in claims if one is not None), None) or state_of(
            words, trains=log.trains
        )
        yield Entry(words, opened[0] if opened else None, True, row[0].span.line, claim)


# ── what each place says


def _by_block(log: Log, job: Section | None) -> Standing:
    if job is None:
        return Standing()
    fields = log.facts(job)
    end = facts.first((field for field in fields if filled(field) and not says_none(field)), *END)
    if end:
        at = moment(end.value, _day(submitted(log, job)))
    else:
        at = None
    if not (at is not None and at.day is not None):
        at = None
    running: Standing | None = None
    for field in fields:
        claim = state_of_field(field.name, _raw(log, field)) or (
            state_of(_raw(log, field)) if field is end else None
        )
        if claim is None:
            continue
        found = Standing(claim.state, at, f"`{field.key}` of the job", field.span.line)
        if claim.end:
            return found
        running = running or found
    if end is not None and at is not None:
        return Standing(ENDED, at, f"`{end.key}` of the job", end.span.line)
    return running or Standing()


def _raw(log: Log, field: Field) -> str:
    """A field's value with the note behind it: `2026-05-04 15:00 (OOM)`."""
    return log.document.text[field.raw_span.start : field.raw_span.end][:MOST_LETTERS]


def _by_status(log: Log, job: Section | None) -> Standing:
    """What the lines of Status say of the last job: those from its submission on, where there was
    one before it.
    """
    if job is not None and len(log.jobs) > 1:
        begun = submitted(log, job)
    else:
        begun = None
    lines = [entry for entry in in_order(log) if begun is None or not _before(entry.at, begun)]
    state = Standing()
    for entry in lines:
        state = _after(state, entry)
    if not state.state and begun is not None and job is not None:
        return Standing(WAITING, begun, "its submission", job.heading.span.line)
    return state


def _after(state: Standing, entry: Entry) -> Standing:
    """How the job stands after one more line."""
    claim = entry.claim
    if claim is None:
        return state
    written = Standing(claim.state, entry.at, "Status", entry.line)
    if not state.over or claim.again:
        return written
    if claim.end:
        # a completed run that another one replaced later has completed all the same
        if state.state == COMPLETED and claim.state == ABANDONED:
            return state
        return written
    if claim.state == WAITING and _submits(entry.text):
        return written
    if (
        claim.state == RUNNING
        and state.state not in (COMPLETED, ABANDONED)
        and _advances(entry.text)
    ):
        return written
    return state


def _submits(text: str) -> bool:
    words = text.casefold().split()
    return (
        bool(words)
        and words[0].startswith(("submitted", "queued"))
        and ("job" in words or any(w.isdigit() for w in words))
    )


def _advances(text: str) -> bool:
    words = text.casefold()
    return words.startswith(("running", "training", "still running")) and any(
        name in words for name in ("step", "epoch", "loss")
    )


def _outdated(log: Log, job: Section | None, block: Standing, written: Standing) -> bool:
    """Whether Status tells of a later start than the block that has ended."""
    if job is None or not block.over or written.over or not written.state or written.when is None:
        return False
    if block.when is not None:
        return _key(written.when, late=False) > _key(block.when, late=True)
    return any(
        entry.claim is not None and entry.claim.again
        for entry in entries_of(log)
        if entry.line == written.line
    )


def _elsewhere(log: Log) -> Standing:
    """What the head of the page, Mode or Results say of the state."""
    sections = (*log.sections("mode"), *log.sections("results"))
    fields = [*facts.header(log.document), *_facts_of(log, sections)]
    for field in fields:
        claim = state_of_field(field.name, _raw(log, field))
        if claim is not None:
            return Standing(claim.state, None, f"`{field.key}`", field.span.line)
    return Standing()


def _facts_of(log: Log, sections: Iterable[Section]) -> Iterator[Field]:
    return (field for section in sections for field in log.facts(section))


# ── times


def _key(at: Stamp, *, late: bool) -> datetime:
    """A time to sort by: without a zone as if in UTC, a day alone as its begin, or its end."""
    if at.time is not None:
        if at.time.tzinfo is not None:
            return at.time
        return at.time.replace(tzinfo=UTC)
    day = at.day or date(1, 1, 1)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if late:
        return begin.replace(hour=23, minute=59, second=59)
    return begin


def _before(at: Stamp | None, begun: Stamp) -> bool:
    if at is None or at.day is None or begun.day is None:
        return False
    if at.time is None or begun.time is None:
        return at.day < begun.day
    return (gap := begun.seconds_until(at)) is not None and gap < -_SLACK.total_seconds()


def _day(at: Stamp | None) -> date | None:
    if at is not None:
        return at.day
    return None
