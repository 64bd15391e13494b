"""How a run stands by its log: state, since when, and by which evidence. One answer for lint,
compare and prior work.

The last job block's `state`, `exit code` and `end` are read, and the words of Status in the order
of their times, wherever they stand. A line that speaks of something else changes nothing; a job
that was started again has not ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec

from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import Stamp, day_in, has_day, moment, opening, stamp
from watchkeeper.report.runlog.document import Field, Item, Section, StatusLine, Verbatim, deep
from watchkeeper.report.runlog.read import END, START, Log, answers, day_of, filled
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
    is_note,
    state_of,
    state_of_field,
)

_SLACK = timedelta(minutes=15)
"""A line of Status this much older than its job's submission may still belong to it: people write
times by hand.
"""

_REMARKS = ("next", "note", "notes", "fix", "fix_applied", "plan", "reason")
"""Fields of Status whose words say nothing of the job's state."""


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
    """One line of Status. `own` is False for an undated one with the time of the line above."""

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
        if block.state == COMPLETED and _is_failure(written):
            return written
        return block
    if written.over or (written.state and not block.state):
        return written
    if block.state:
        return block
    return _elsewhere(log)


def _is_failure(stands: Standing) -> bool:
    """Whether a run has ended otherwise than well, and was not given up or stopped."""
    return stands.over and stands.state not in (COMPLETED, ABANDONED, STOPPED)


def by_submission(log: Log) -> list[Section]:
    """The job blocks in the order of their submissions; in that of the page where one does not say
    when that was.
    """
    starts = []
    for job in log.jobs:
        at = submitted(log, job)
        if not has_day(at):
            return log.jobs
        starts.append((at, job))
    starts.sort(key=lambda pair: _key(pair[0], late=False))
    return [job for _, job in starts]


def last_job(log: Log) -> Section | None:
    """The block of the last submission."""
    return next(reversed(by_submission(log)), None)


def submitted(log: Log, job: Section) -> Stamp | None:
    """When a block says that its job was submitted or started: the earlier of the two."""
    day = day_of(log)
    times = []
    for field in log.facts(job):
        if field.name in START and filled(field):
            times.append(moment(field.value, day))
    dated = list(filter(has_day, times))
    if not dated:
        at = moment(job.heading.text)
        if has_day(at):
            return at
    return min(dated, key=lambda at: _key(at, late=False), default=None)


def in_order(log: Log) -> list[Entry]:
    """The lines of Status in the order of their times; those of one time in the order of the page,
    from its older end.
    """
    entries = entries_of(log)
    dated = [_key(entry.at, late=False) for entry in entries if entry.own and has_day(entry.at)]
    if not dated:
        return entries
    oldest = min(dated)
    newest_first = len(dated) > 1 and dated[0] > dated[-1]

    def key(numbered: tuple[int, Entry]) -> tuple[datetime, int]:
        number, entry = numbered
        when = oldest
        if has_day(entry.at):
            ends = entry.claim is not None and entry.claim.end
            when = _key(entry.at, late=ends)
        if newest_first and entry.own:
            return when, -number
        return when, number

    return [entry for _, entry in sorted(enumerate(entries), key=key)]


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
        latest: Stamp | None = None
        for entry in _of_section(log, section):
            latest = _later_of(latest, entry.at)
            yield entry
        behind = section.heading.text.partition(":")[2].strip()
        claim = state_of_field("state", behind) if behind else None
        if claim is not None:
            # `## Status: completed` is brought up with the last line
            yield Entry(behind, latest, False, section.heading.span.line, claim, bullet=False)


def _of_section(log: Log, section: Section) -> Iterator[Entry]:
    """The lines of a section and its subheadings; a heading with a day dates what follows it."""
    day = day_of(log)
    for part in facts.parts(section):
        on = moment(part.heading.text)
        if has_day(on):
            day = on.day
        yield from _of_nodes(log, part, day)


def _later_of(latest: Stamp | None, at: Stamp | None) -> Stamp | None:
    if at is None or latest is None:
        return latest or at
    if _key(at, late=True) > _key(latest, late=True):
        return at
    return latest


def _of_nodes(log: Log, part: Section, day: date | None) -> Iterator[Entry]:
    above: Stamp | None = None
    for node in deep(part.nodes):
        if not isinstance(node, Verbatim):
            entry = _of_bullet(log, node, day, above)
        elif node.kind == "text":
            entry = _of_text(log, node, day, above)
        else:
            continue
        above = entry.at
        yield entry
    for table in facts.tables(log.document.text, part.nodes):
        for row in table.rows:
            yield from _of_row(log, row, day)


def _of_text(log: Log, node: Verbatim, day: date | None, above: Stamp | None) -> Entry:
    text = log.document.text[node.span.start : node.span.end].strip()[:MOST_LETTERS]
    at, words, own = above, text, False
    opened = opening(text, day)
    if opened is not None:
        at, words, own = opened[0], opened[1], True
    claim = state_of(words, trains=log.trains)
    return Entry(words, at, own, node.span.line, claim, bullet=False)


def _of_bullet(
    log: Log, node: StatusLine | Field | Item, day: date | None, above: Stamp | None
) -> Entry:
    """The entry that a bullet is; without a time it has that of the line above it."""
    line = node.span.line
    if isinstance(node, StatusLine):
        return _of_status_line(log, node, above)
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
    at = moment(node.value, day) or above
    return Entry(text, at, False, line, _claim_of(log, node))


def _of_status_line(log: Log, node: StatusLine, above: Stamp | None) -> Entry:
    text = node.text[:MOST_LETTERS]
    claim = None
    if not is_note(text):
        claim = state_of(text, trains=log.trains)
    at = stamp(node.time)
    if has_day(at):
        return Entry(text, at, True, node.span.line, claim)
    # a time that does not exist says no more than none
    return Entry(text, above, False, node.span.line, claim)


def _claim_of(log: Log, field: Field) -> Claim | None:
    """What a field of Status says of the job's state, by its name or in its words."""
    claim = state_of_field(field.name, field.value)
    if claim is not None or field.name in _REMARKS:
        return claim
    return state_of(f"{field.key}: {field.value}"[:MOST_LETTERS], trains=log.trains)


def _of_row(log: Log, row: list[facts.Cell], day: date | None) -> Iterator[Entry]:
    times: list[Stamp] = []
    texts: list[str] = []
    claims: list[Claim] = []
    for cell in row:
        text = cell.text[:MOST_LETTERS]
        opened = opening(text, day)
        if opened is not None:
            times.append(opened[0])
        elif text:
            texts.append(text)
        claim = state_of_field("state", text)
        if claim is not None:
            claims.append(claim)
    words = ", ".join(texts)[:MOST_LETTERS]
    if words:
        at = next(iter(times), None)
        said = next(iter(claims), None) or state_of(words, trains=log.trains)
        yield Entry(words, at, True, row[0].span.line, said)


# ── what each place says


def _by_block(log: Log, job: Section | None) -> Standing:
    """What the fields of a job block say: an end before anything else, then a plain time of its
    end, then that it runs.
    """
    if job is None:
        return Standing()
    fields = log.facts(job)
    end = facts.first(filter(answers, fields), *END)
    at = _end_of(log, job, end)
    running: Standing | None = None
    for field in fields:
        claim = _claim_of_block(log, field, end)
        if claim is None:
            continue
        stands = Standing(claim.state, at, f"`{field.key}` of the job", field.span.line)
        if claim.end:
            return stands
        running = running or stands
    if end is not None and at is not None:
        return Standing(ENDED, at, f"`{end.key}` of the job", end.span.line)
    return running or Standing()


def _end_of(log: Log, job: Section, end: Field | None) -> Stamp | None:
    """The time in a block's field of its end; None where it names no day."""
    if end is None:
        return None
    at = moment(end.value, day_in(submitted(log, job)))
    if has_day(at):
        return at
    return None


def _claim_of_block(log: Log, field: Field, end: Field | None) -> Claim | None:
    """What a field of a block says of the state; the field of the end may say it in words."""
    raw = _raw(log, field)
    claim = state_of_field(field.name, raw)
    if claim is None and field is end:
        return state_of(raw)
    return claim


def _raw(log: Log, field: Field) -> str:
    """A field's value with the note behind it: `2026-05-04 15:00 (OOM)`."""
    return log.document.text[field.raw_span.start : field.raw_span.end][:MOST_LETTERS]


def _by_status(log: Log, job: Section | None) -> Standing:
    """What the lines of Status say of the last job: those from its submission on, where there was
    one before it.
    """
    begun = None
    if job is not None and len(log.jobs) > 1:
        begun = submitted(log, job)
    state = Standing()
    for entry in in_order(log):
        if begun is None or not _before(entry.at, begun):
            state = _after(state, entry)
    if not state.state and begun is not None and job is not None:
        return Standing(WAITING, begun, "its submission", job.heading.span.line)
    return state


def _after(state: Standing, entry: Entry) -> Standing:
    """How the job stands after one more line."""
    claim = entry.claim
    if claim is None or not _replaces(state, claim, entry.text):
        return state
    return Standing(claim.state, entry.at, "Status", entry.line)


def _replaces(state: Standing, claim: Claim, text: str) -> bool:
    """Whether a line says something new of a job that stands so."""
    if not state.over or claim.again:
        return True
    if claim.end:
        # a completed run that another one replaced later has completed all the same
        return state.state != COMPLETED or claim.state != ABANDONED
    if claim.state == WAITING:
        return _submits(text)
    if claim.state == RUNNING:
        return state.state not in (COMPLETED, ABANDONED) and _advances(text)
    return False


def _submits(text: str) -> bool:
    words = text.casefold().split()
    if not words or not words[0].startswith(("submitted", "queued")):
        return False
    return "job" in words or any(word.isdigit() for word in words)


def _advances(text: str) -> bool:
    words = text.casefold()
    if not words.startswith(("running", "training", "still running")):
        return False
    return any(name in words for name in ("step", "epoch", "loss"))


def _outdated(log: Log, job: Section | None, block: Standing, written: Standing) -> bool:
    """Whether Status has a later start than the block that has ended."""
    has_begun_again = written.state and not written.over
    if job is None or not block.over or not has_begun_again or written.when is None:
        return False
    if block.when is not None:
        return _key(written.when, late=False) > _key(block.when, late=True)
    claims = (entry.claim for entry in entries_of(log) if entry.line == written.line)
    return any(claim is not None and claim.again for claim in claims)


def _elsewhere(log: Log) -> Standing:
    """What the head of the page, Mode or Results say of the state."""
    for field in (*facts.header(log.document), *log.fields_of("mode", "results")):
        claim = state_of_field(field.name, _raw(log, field))
        if claim is not None:
            return Standing(claim.state, None, f"`{field.key}`", field.span.line)
    return Standing()


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
