"""How a run stands by its log: state, since when, and by which evidence. One answer for lint,
compare and prior work.

The last job block's `state`, `exit code` and `end` are read, and the words of Status in the order
of their times, wherever they stand. A line that speaks of something else changes nothing; a job
that was started again has not ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """How the run's last job stands.

    Four places are read, and the first that decides wins:

    - the last job's block, where it says how the job ended (`state: FAILED`, `end: … (OOM)`). Only
      a failure that Status reports outranks a `completed` there;
    - Status, where it says that the job ended, or the block does not say the state;
    - the block again: that the job ended, no more, or that it runs;
    - the head of the page, Mode and Results.

    `Standing()`: the log does not say.
    """
    job = last_job(log)
    block = _by_block(log, job)
    written = _by_status(log, job)
    if _outdated(log, job, block, written):
        block = Standing()
    block_says_how = block.over and block.state != ENDED
    if block_says_how:
        if block.state == COMPLETED and _is_failure(written):
            return written
        return block
    if written.over:
        return written
    if written.state and not block.state:
        return written
    if block.state:
        return block
    return _elsewhere(log)


def _is_failure(stands: Standing) -> bool:
    """Whether a run has ended otherwise than well, and was not given up or stopped.

    Those two may follow a completed run without taking anything from it.
    """
    if not stands.over:
        return False
    return stands.state not in (COMPLETED, ABANDONED, STOPPED)


def by_submission(log: Log) -> Sequence[Section]:
    """The job blocks in the order of their submissions, oldest first; in that of the page where one
    does not say when that was. Empty: the log has none.
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
    """The block of the last submission. None: the log has no job block."""
    return next(reversed(by_submission(log)), None)


def submitted(log: Log, job: Section) -> Stamp | None:
    """When a block says that its job was submitted or started: the earlier of the two.

        - submitted: 2026-03-11 15:00
        - started: 2026-03-11 15:20

    Where no field has a day, a heading may: `## Job 2026-03-12 (resumed)`. A time without a day is
    read on the day in the log's name. None: the block does not say when.
    """
    day = day_of(log)
    times = []
    for field in log.facts(job):
        if field.name in START and filled(field):
            times.append(moment(field.value, day))
    dated = [at for at in times if has_day(at)]
    if not dated:
        at = moment(job.heading.text)
        if has_day(at):
            return at
    return min(dated, key=lambda at: _key(at, late=False), default=None)


def in_order(log: Log) -> list[Entry]:
    """The lines of Status in the order of their times, the oldest first; those of one time in the
    order of the page, from its older end.

        - 2026-03-12 — completed            last: an end counts as of the end of its day
        - 2026-03-12 09:00 — step 900       second
          - loss 0.3                        with the line above it
        - 2026-03-11 15:00 — started        first, as the page has the newest on top

    A line without any time counts as of the oldest one. Where no line has a day of its own, the
    order is that of the page.
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
        # Lines below an undated one belong to it, whichever way the page runs.
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
    table. What the heading says, `## Status: completed`, comes last.

        - 2026-03-11 15:20 — running, step 2400      own, claims that the job runs
          - val_loss 0.31                            at the same time, claims nothing
        | 2026-03-11 18:00 | 4800 | healthy |        own, `4800, healthy`
    """
    for section in log.sections("status"):
        latest: Stamp | None = None
        for entry in _of_section(log, section):
            latest = _later_of(latest, entry.at)
            yield entry
        behind = section.heading.text.partition(":")[2].strip()
        if not behind:
            continue
        claim = state_of_field("state", behind)
        if claim is not None:
            # `## Status: completed` is brought up with the last line
            yield Entry(behind, latest, False, section.heading.span.line, claim, bullet=False)


def _of_section(log: Log, section: Section) -> Iterator[Entry]:
    """The lines of a section and its subheadings; a heading with a day dates what follows it.

        ## Status
        ### 2026-03-11
        - 15:20 running, step 2400

    Before the first such heading, a time without a day is of the day in the log's name.
    """
    day = day_of(log)
    for part in facts.parts(section):
        on = moment(part.heading.text)
        if has_day(on):
            day = on.day
        yield from _of_nodes(log, part, day)


def _later_of(latest: Stamp | None, at: Stamp | None) -> Stamp | None:
    """The later of two times. None: neither is known.

    A day without a time counts as its end.
    """
    if at is None:
        return latest
    if latest is None:
        return at
    if _key(at, late=True) > _key(latest, late=True):
        return at
    return latest


def _of_nodes(log: Log, part: Section, day: date | None) -> Iterator[Entry]:
    """The lines of one section, in the order of the page; the rows of its tables come last.

    `day` is that of a time without a date; None: unknown.
    """
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
    """The entry that a line of text is: `2026-03-11 15:20 running`. Without a time it has that of
    the line above it; None: that has none either.
    """
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
    """The entry that a bullet is; without a time it has that of the line above it.

        - 15:20 running                     a time, and `running`
        - **15:20** running                 the same
        - state: running since 15:20        a field, with a time in it
        - loss 0.3                          at the time of the line above

    `day` is that of a time without a date (None: unknown), `above` the time of the line above.
    """
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
        at, words = opened
        return Entry(words, at, True, line, state_of(words, trains=log.trains))
    if isinstance(node, Item):
        return Entry(text, above, False, line, state_of(text, trains=log.trains))
    inside = moment(node.value, day) or above
    return Entry(text, inside, False, line, _claim_of(log, node))


def _of_status_line(log: Log, node: StatusLine, above: Stamp | None) -> Entry:
    """The entry of `- 2026-03-11 15:00 — text`. A person's note claims nothing."""
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
    """What a field of Status says of the job's state, by its name or in its words: `state: FAILED`,
    `latest: still running`. None: nothing, or it is a remark such as `fix: restarted with less
    memory`.
    """
    claim = state_of_field(field.name, field.value)
    if claim is not None or field.name in _REMARKS:
        return claim
    return state_of(f"{field.key}: {field.value}"[:MOST_LETTERS], trains=log.trains)


def _of_row(log: Log, row: list[facts.Cell], day: date | None) -> Iterator[Entry]:
    """The entry that a row of a table is, if it holds more than times.

    Of `| 2026-03-11 | 18:00 | 4800 | FAILED |` the first time counts; the words are `4800, FAILED`,
    and the first cell that is a state (`FAILED`) decides, else the words.
    """
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

        - state: running
        - exit_code: 1                    failed
        - end: 2026-03-12 03:00 UTC       ended, if nothing else says how

    `Standing()`: there is no block, or it does not say.
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
    """The time in a block's field of its end; None where it names no day.

    A time of day alone, `end: 18:00`, is of the day of the submission.
    """
    if end is None:
        return None
    at = moment(end.value, day_in(submitted(log, job)))
    if not has_day(at):
        return None
    return at


def _claim_of_block(log: Log, field: Field, end: Field | None) -> Claim | None:
    """What a field of a block says of the state; `end`, the field of the end, may say it in words:
    `end: 2026-05-04 15:00 (OOM)`. None: it does not say.
    """
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

        - 2026-03-11 15:00 — submitted as 70412
        - 2026-03-11 18:00 — failed, OOM            of the first job
        - 2026-03-12 09:00 — running, step 400      of the second, submitted at 08:30

    A second job without a line of its own waits since its submission. `Standing()`: nothing.
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
    """How the job stands after one more line: as the line says, or as it stood before.

    A line without a claim, such as `val_loss 0.31`, changes nothing.
    """
    claim = entry.claim
    if claim is None or not _replaces(state, claim, entry.text):
        return state
    return Standing(claim.state, entry.at, "Status", entry.line)


def _replaces(state: Standing, claim: Claim, text: str) -> bool:
    """Whether a line says something new of a job that stands so.

    before        line
    running       completed                   yes: any news of a running job is
    failed        resubmitted as 70455        yes: it was started again
    failed        running, step 400           yes: it shows progress
    failed        waiting for the fix         no
    completed     superseded by r9            no: it has completed all the same
    """
    if not state.over or claim.again:
        return True
    if claim.end:
        # a completed run that another one replaced later has completed all the same
        return state.state != COMPLETED or claim.state != ABANDONED
    if claim.state == WAITING:
        return _submits(text)
    if claim.state == RUNNING:
        was_settled = state.state in (COMPLETED, ABANDONED)
        return not was_settled and _advances(text)
    return False


def _submits(text: str) -> bool:
    """Whether a line reports a submission: `submitted as job 70455`, `queued: 70455`.

    `waiting for the fix` is only what somebody does after a failure, and `submitted a bug report`
    has no job.
    """
    words = text.casefold().split()
    if not words:
        return False
    if not words[0].startswith(("submitted", "queued")):
        return False
    return "job" in words or any(word.isdigit() for word in words)


def _advances(text: str) -> bool:
    """Whether a line shows a job at work: `running, step 2400`, `still running, loss 0.3`.

    It must begin so: `failed while running step 400` looks back.
    """
    words = text.casefold()
    if not words.startswith(("running", "training", "still running")):
        return False
    return any(name in words for name in ("step", "epoch", "loss"))


def _outdated(log: Log, job: Section | None, block: Standing, written: Standing) -> bool:
    """Whether Status has a later start than the block that has ended.

    The block says `end: 2026-03-12 03:00`, and Status `2026-03-12 15:00 — resumed as job 70455`:
    the new job has no block yet. `block` and `written` are what the two say.
    """
    if job is None or not block.over:
        return False
    if not written.state or written.over:
        return False
    if written.when is None:
        return False
    if block.when is not None:
        return _key(written.when, late=False) > _key(block.when, late=True)
    # Without a time of the end, only words such as `resumed` show that the start came later.
    for entry in entries_of(log):
        if entry.line != written.line or entry.claim is None:
            continue
        if entry.claim.again:
            return True
    return False


def _elsewhere(log: Log) -> Standing:
    """What the head of the page, Mode or Results say of the state: `**Status**: completed` under
    the title. `Standing()`: nothing.
    """
    for field in (*facts.header(log.document), *log.fields_of("mode", "results")):
        claim = state_of_field(field.name, _raw(log, field))
        if claim is not None:
            return Standing(claim.state, None, f"`{field.key}`", field.span.line)
    return Standing()


# ── times


def _key(at: Stamp, *, late: bool) -> datetime:
    """A time to sort by: without a zone as if in UTC, a day alone as its begin, or its end.

    `late` asks for the end. A time without a day sorts before all others.
    """
    if at.time is not None:
        if at.time.tzinfo is None:
            return at.time.replace(tzinfo=UTC)
        return at.time
    day = at.day or date(1, 1, 1)
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if late:
        return begin.replace(hour=23, minute=59, second=59)
    return begin


def _before(at: Stamp | None, begun: Stamp) -> bool:
    """Whether a line of Status was written before a submission, by more than `_SLACK`.

    Where one of the two is a day alone, days are compared: a line of the same day may be of either
    job, and counts for the later one. False: it cannot be said.
    """
    if at is None:
        return False
    if at.day is None or begun.day is None:
        return False
    if at.time is None or begun.time is None:
        return at.day < begun.day
    gap = begun.seconds_until(at)
    if gap is None:
        return False
    return gap < -_SLACK.total_seconds()
