"""The rules of job blocks, and of the times and dates in a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from watchkeeper.core.text import lazy
from watchkeeper.report.lint.order import is_reversed, misplaced
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import (
    Stamp,
    day_in,
    has_day,
    human,
    human_date,
    moment,
    opening,
    ordinal,
    runtime,
    stamp,
    weekday_like,
)
from watchkeeper.report.runlog.document import (
    Edit,
    Field,
    Item,
    Node,
    Section,
    Span,
    StatusLine,
    Verbatim,
    value_edit,
)
from watchkeeper.report.runlog.read import (
    END,
    ID,
    RUNTIME,
    START,
    WALLTIME,
    Log,
    answers,
    day_of,
    filled,
    place,
    says_none,
)
from watchkeeper.report.runlog.standing import (
    by_submission,
    entries_of,
    last_job,
    submitted,
)
from watchkeeper.report.runlog.states import is_note, state_of

_REQUEUED = lazy.pattern(
    r"re-?queue|re-?start|preempt|same (?:job|allocation|instance|vm)", re.IGNORECASE
)
_SOURCE = lazy.pattern(
    r"(?:resum\w*|load|init|continue\w*|warm)(?:_.*)?|(?:re)?start_(?:from|at|ckpt|checkpoint|step).*"
    r"|(?:from_)?(?:checkpoint|ckpt).*"
    r"|from(?:_.*)?|parent.*"
)
_FROM = lazy.pattern(
    r"\b(?:resum\w*|continu\w*|restart\w*|load\w*|start\w*|init\w*|picks? up|went "
    r"on)\b[^\n]{0,40}?\b(?:from|at"
    r"|with)\b\s*\S"
    r"|\bfrom (?:step|epoch|checkpoint|ckpt|scratch|base|iteration|`|/)|\bfresh start\b|\blatest "
    r"checkpoint\b"
    r"|\bauto-?resume",
    re.IGNORECASE,
)
_SAYS_WHAT = lazy.pattern(
    r"attempt.*|reason.*|notes?|note_.*|purpose|why|what|change[sd]?.*|re_?run.*|retry.*|fix.*|label|restart.*|description"
)
_SUBMISSION = lazy.pattern(
    r"\b(?:re-?)?(?:submitted|launched|started|queued|queueing|submission)\b(?P<between>[^.;\n\d]{0,30}?)"
    r"\b(?:as|job|jobid|id|slurm)\b[\s:#=`(]*(?P<id>\d{3,})|\b(?:re-?submitted|re-?submission"
    r"|re-?launched)\b[\s:#=`(]{1,3}(?P<bare>\d{4,})"
    r"|\b(?:resumed|continued|restarted)\b[^.;\n\d]{0,20}?\b(?:as|job|jobid)\b[\s:#=`(]*(?P<again>\d{3,})",
    re.IGNORECASE,
)
_SENT = lazy.pattern(r"\b(?:submitted|launched|started|queued)\b", re.IGNORECASE)
_OTHER_JOB = lazy.pattern(
    r"\b(?:eval\w*|test|data|sync\w*|upload|preprocess\w*|sweep|array|depend\w*|bench\w*"
    r"|embed\w*)\b",
    re.IGNORECASE,
)
_BEGINS_SENT = lazy.pattern(r"\W*(?:re-?)?(?:submitted|launched|started|queued)\b", re.IGNORECASE)
_TO_BE_SUBMITTED = lazy.pattern(
    r"(?:pending|tbd|not (?:yet )?submitted|planned|todo)\b", re.IGNORECASE
)
_RESTART = lazy.pattern(r"\(restart \d+\)")
_ID_IN_TEXT = lazy.pattern(
    r"\bjob[\s:#`]{1,3}\d{3,}|^[-*+] `?\d{4,}\b", re.IGNORECASE | re.MULTILINE
)
_NO_SCHEDULER = lazy.pattern(
    r"\b(?:no scheduler|locally|local run|interactive|workstation)\b", re.IGNORECASE
)
_RUNTIME_IN_TEXT = lazy.pattern(r"\b(?:runtime|elapsed|took|in|after)\b[ :]{1,2}~?\d")
_OF_A_RESUMPTION = ("submitted", "submitted_at")


def jobs(log: Log) -> Iterator[Finding]:
    """Check the job blocks: WK115, WK301 to WK310, and their times (WK401, WK407).

    A log without a job block breaks none of these rules; WK202 reports the missing section. The
    findings come rule by rule, not in the order of lines: `lint` sorts them.
    """
    yield from _begins_resumed(log)
    yield from _ids(log)
    yield from _order(log)
    first = _first(log)
    for index, job in enumerate(log.jobs):
        is_first = job is first
        if not is_first and _is_unexplained(log, job):
            what = f"job block {index + 1} has no label"
            yield finding("WK309", log.file.path, place(job), what)
        if _is_resumed(job) and not _says_source(log, job):
            what = "the checkpoint it resumed from is not recorded"
            yield finding("WK305", log.file.path, place(job), what)
        start = _start(log, job)
        if not filled(start) and not _says_when(log, job):
            what = "the submission time is not recorded"
            yield finding("WK304", log.file.path, place(job, start), what)
        yield from _job_times(log, job, first=is_first)
    yield from _unrecorded(log)


def _begins_resumed(log: Log) -> Iterator[Finding]:
    """Find a log whose first block is a resumption, though the newest job is its last block.

    Where the newest job comes first, the first block may well be the resumption of one below it.
    """
    if not log.jobs:
        return
    top, bottom = log.jobs[0], log.jobs[-1]
    is_newest_last = last_job(log) is bottom
    if _is_resumed(top) and is_newest_last:
        yield finding("WK115", log.file.path, place(top), "the first job block is a resumption")


def _is_resumed(job: Section) -> bool:
    """Whether the heading says so: `## Job (resumed)`, `## Job — resumption after preemption`."""
    return "resum" in job.qualifier.casefold()


def _is_unexplained(log: Log, job: Section) -> bool:
    """Whether a further block has a bare heading, `## Job`, and no field that says what it is:
    `reason: out of memory`, `attempt: 2`.
    """
    is_bare = job.heading.text.strip().casefold() == "job"
    return is_bare and not _says_what(log, job)


def _first(log: Log) -> Section | None:
    """Return the block of the first submission: the top one, unless that is a further one and a
    plain block below it is older.

    None: the log has no job block.
    """
    oldest = next(iter(by_submission(log)), None)
    if oldest is None:
        return None
    top = log.jobs[0]
    # `## Job (resumed)` above `## Job`: the newest stands first.
    if top.qualifier and not oldest.qualifier:
        return oldest
    return top


def _start(log: Log, job: Section) -> Field | None:
    """Return the field with the submission or start: `submitted/start: …`, `launched: …`, `date:
    …`.
    """
    return log.fact(job, *START)


def _is_planned(log: Log, job: Section) -> bool:
    """Whether a block says that its job is still to be submitted: `- execution_id: pending`, no
    time of submission, and no entry of Status on the state of a job.
    """
    field = log.fact(job, *ID)
    if field is None:
        return False
    if not _TO_BE_SUBMITTED.match(field.value):
        return False
    if submitted(log, job) is not None:
        return False
    # An entry with a claim, such as `running, step 400`, shows that a job was submitted after all.
    has_claim = any(entry.claim for entry in entries_of(log))
    return not has_claim


def _ids(log: Log) -> Iterator[Finding]:
    """Find blocks without an id (WK301), and two with the same (WK302).

    A requeue keeps its job's id, and a machine in the cloud its name: neither is a copy.
    """
    path = log.file.path
    lines: dict[str, int] = {}  # id → line of its first block
    for job in log.jobs:
        field = log.fact(job, *ID)
        if field is None or not filled(field):
            if _needs_id(log, job):
                yield finding("WK301", path, place(job, field), "no execution_id in this job block")
            continue
        job_id = _id_in(field)
        line = field.span.line
        if job_id in lines and not _may_repeat_id(job, field, job_id):
            what = f"job {quoted(job_id)} already has a block on line {lines[job_id]}"
            yield finding("WK302", path, line, what)
        lines.setdefault(job_id, line)


def _needs_id(log: Log, job: Section) -> bool:
    """Whether a block without a filled field for the id lacks it."""
    if _id_elsewhere(log, job):
        return False
    return not _is_planned(log, job)


def _id_in(field: Field) -> str:
    """Return the id without what follows it; a requeue's with its number: the same job, another
    execution.

    `70412 on gpu-07` gives `70412`, and `70412 (restart 1)` gives `70412 (restart 1)`.
    """
    job_id = _first_word(field)
    restart = _RESTART.search(field.value)
    if restart:
        return f"{job_id} {restart[0]}"
    return job_id


def _first_word(field: Field) -> str:
    """Return the first word of a value, without the code's quotes and a comma behind it. "": the
    value is empty.
    """
    words = field.value.split()
    if not words:
        return ""
    return words[0].strip("`,;")


def _may_repeat_id(job: Section, field: Field, job_id: str) -> bool:
    """Whether a second block may have this id.

    It may where it says that there is none (`n/a`), where it is the name of a machine rather than
    the number of a job, or where the heading speaks of a requeue: `## Job (requeued)`.
    """
    if says_none(field):
        return True
    is_number = job_id[:1].isdigit()
    if not is_number:
        return True
    return _REQUEUED.search(job.heading.text) is not None


def _id_elsewhere(log: Log, job: Section) -> bool:
    """Whether a block names its job in its heading or in its text: `## Job 70412`, `- Slurm job
    70412 on gpu-07`, or says that no scheduler gave it an id: `- local run on my workstation`.
    """
    # The year of a date in the heading is no id.
    heading = re.sub(r"\d{4}-\d{2}-\d{2}\S*", "", job.heading.text)
    if re.search(r"\d{4,}", heading):
        return True
    text = facts.prose(log.document, job)
    if _ID_IN_TEXT.search(text):
        return True
    return _NO_SCHEDULER.search(text) is not None


def _order(log: Log) -> Iterator[Finding]:
    """Find blocks that are out of order by their submission: one finding where all of them stand
    newest first.

    Blocks without a day of submission are passed over: the rule compares those around them.
    """
    dated = []
    for job in log.jobs:
        at = submitted(log, job)
        if has_day(at):
            dated.append((at, place(job)))
    lines = misplaced(dated)
    if is_reversed(dated, lines):
        what = "the job blocks are in reverse order, newest first"
        yield finding("WK303", log.file.path, lines[0][1], what)
        return
    for line_before, line in lines:
        what = f"this job was submitted before the one on line {line_before}"
        yield finding("WK303", log.file.path, line, what)


def _says_what(log: Log, job: Section) -> bool:
    """Whether a field of the block explains it: `reason: out of memory`, `attempt: 2`, `note: …`.

    A field without an answer (`reason:`, `reason: pending`) explains nothing.
    """
    return any(_SAYS_WHAT.fullmatch(field.name) and filled(field) for field in log.facts(job))


def _says_source(log: Log, job: Section) -> bool:
    """Whether a resumption names what it resumed from, in a field (`resumed_from:
    /ckpt/step_400`) or in its text (`- continued from the latest checkpoint`).

    A field whose value begins with a time does not: `resumed: 2026-03-12 15:00` is a date.
    """
    for field in log.facts(job):
        if not _SOURCE.fullmatch(field.name) or not filled(field):
            continue
        is_time = opening(field.value) is not None
        if not is_time:
            return True
    texts = [job.heading.text]
    for node in job.bullets():
        if isinstance(node, Item):
            texts.append(node.text)
    return any(map(_FROM.search, texts))


def _says_when(log: Log, job: Section) -> bool:
    """Whether a block without such a field says when its job was submitted, or Status does.

    A line of its text may: `- launched on 2026-03-11 15:00 from the login node`. A block whose job
    is still to be submitted need not.
    """
    if submitted(log, job) is not None:
        return True
    if _is_planned(log, job):
        return True
    for line in facts.prose(log.document, job).splitlines():
        if _SENT.search(line) and moment(line) is not None:
            return True
    return _status_says_when(log, job)


def _status_says_when(log: Log, job: Section) -> bool:
    """Whether an entry of Status dates the submission: it names the job, or the log's only one.

        - execution_id: 70412                       in the block
        - 2026-03-11 15:00 — submitted as 70412     in Status

    Without an id, and among several jobs, no entry can be matched to the block.
    """
    field = log.fact(job, *ID)
    job_id = _first_word(field) if field else ""
    is_only_job = len(log.jobs) == 1
    for entry in entries_of(log):
        if entry.at is None:
            continue
        if not _BEGINS_SENT.match(entry.text):
            continue
        if is_only_job:
            return True
        if job_id and job_id in entry.text:
            return True
    return False


def _unrecorded(log: Log) -> Iterator[Finding]:
    """Find submissions in Status that no block records: one finding for all, on the first line.

    A log without any job block is left to WK202, which reports the missing section.
    """
    if not log.jobs:
        return
    lines = _unrecorded_lines(log)
    if not lines:
        return
    names = ", ".join(lines)
    what = f"jobs {names} were submitted but have no job block"
    if len(lines) == 1:
        what = f"job {names} was submitted but has no job block"
    first_line = next(iter(lines.values()))
    yield finding("WK310", log.file.path, first_line, what)


def _unrecorded_lines(log: Log) -> dict[str, int]:
    """Map the id of each job that Status says was submitted, and no block names, to the first line
    that says so. In the order of Status.

    `- 2026-03-12 — resubmitted as 70455` gives `{"70455": 31}`. A job of another kind, such as
    `submitted eval job 70460`, needs no block.
    """
    recorded = " ".join(log.document.slice(job) for job in log.jobs)
    lines: dict[str, int] = {}
    for entry in entries_of(log):
        if is_note(entry.text):
            continue
        for match in _SUBMISSION.finditer(entry.text):
            number = match["id"] or match["bare"] or match["again"]
            # 7041 is not recorded by a block that names 70412.
            if re.search(rf"(?<!\d){number}(?!\d)", recorded):
                continue
            if not _OTHER_JOB.search(match[0]):
                lines.setdefault(number, entry.line)
    return lines


def _job_times(log: Log, job: Section, *, first: bool) -> Iterator[Finding]:
    """Check a block's start and end, its runtime, and their dates for people.

        - submitted/start: `2026-03-11T15:00:00Z`
        - start_human: Wednesday, Mar 11th, 2026
        - end: `2026-03-12T03:00:10Z`
        - end_human: Thursday, Mar 12th, 2026
        - runtime: `12:00:10`

    `first` says that the block is of the first submission, whose template has a date for people
    beside each timestamp.
    """
    start, end = _start(log, job), log.fact(job, *END)
    day = _day_of_job(log, job)
    for field in (start, end):
        if field is not None and _is_unreadable(field, day):
            what = f"cannot read the time in {field.key}: {quoted(field.value)}"
            yield finding("WK407", log.file.path, field.span.line, what)
    yield from _lengths(log, job, start, end, day)
    for field, name in ((start, "start_human"), (end, "end_human")):
        if field is None:
            continue
        # a resumption's template has no date for people
        is_required = first or field.name not in _OF_A_RESUMPTION
        if is_required:
            yield from _missing_human_date(log, job, field, name)


def _missing_human_date(log: Log, job: Section, field: Field, name: str) -> Iterator[Finding]:
    """Find a timestamp without a date for people, in the field, beside it or in the page's head.

    `name` is that of the field beside it: `start_human` or `end_human`. The finding carries the
    edit that adds it, where there is a safe place.
    """
    at = stamp(field.value)
    if at is None or at.day is None:
        return
    if human_date(field.value):
        return
    beside = log.fact(job, name)
    if filled(beside):
        return
    if _shown_in_head(log, at.day):
        return
    edits = _human_edit(log.document.text, field, beside, name, at.day)
    what = f"{field.key} has no {name}"
    yield finding("WK401", log.file.path, place(job, beside or field), what, edits)


def _day_of_job(log: Log, job: Section) -> date | None:
    """Return the day on which a time without a date is read: that of the block's submission, else
    that in the log's name. None: neither is known, or the submission has no day.
    """
    at = submitted(log, job)
    if at is None:
        return day_of(log)
    return at.day


def _is_unreadable(field: Field, day: date | None) -> bool:
    """Whether a field of a time holds neither a time nor a state, nor says that there is none.

    `end: yesterday evening` is unreadable; `end: cancelled`, `end: pending`, `end: n/a` and `end:
    15:00` on a known `day` are not.
    """
    if not answers(field) or not field.value:
        return False
    if moment(field.value, day) is not None:
        return False
    if human_date(field.value):
        return False
    return state_of(field.value) is None


def _shown_in_head(log: Log, day: date) -> bool:
    """Whether the head of the page has this day as people write it: `**Date**: Wednesday, Mar
    11th`.

    A date without a year there is of the same year.
    """
    for field in facts.header(log.document):
        shown = human_date(field.value)
        if shown is not None and shown.on(day.year) == day:
            return True
    return False


def _lengths(
    log: Log, job: Section, start: Field | None, end: Field | None, day: date | None
) -> Iterator[Finding]:
    """Check a block's runtime against its start and end, and that an ended job has one (WK308).

    `start`, `end` and `day` are the block's fields and the day on which a time without a date is
    read. A block without an end has nothing to check.
    """
    if end is None:
        return
    length = log.fact(job, *RUNTIME)
    last = moment(end.value, day)
    begun = moment(start.value, day) if start else None
    if begun is not None and last is not None:
        yield from _disagreement(log, begun, last, end, length)
    if not has_day(last):
        return
    if filled(length) or _runs_elsewhere(log, job):
        return
    what = "the job has ended, but its runtime is not recorded"
    yield finding("WK308", log.file.path, place(job, length), what)


def _disagreement(
    log: Log, begun: Stamp, last: Stamp, end: Field, length: Field | None
) -> Iterator[Finding]:
    """Find an end before the start (WK307), or a runtime longer than from start to end (WK306).

    The runtime may exceed the span by a minute, as people round; by a day more where the start or
    the end is a day without a time.
    """
    span = begun.seconds_until(last)
    is_time_of_day_alone = moment(end.value) is None
    if span is None or is_time_of_day_alone:
        return  # such an end may be of the next day
    if span < 0:
        yield finding("WK307", log.file.path, end.span.line, "it ends before it starts")
        return
    if length is None:
        return
    tolerance = 60
    if begun.time is None or last.time is None:
        tolerance += 86400  # a day alone may mean any time of it
    if _seconds(length) > span + tolerance:
        what = f"the runtime {quoted(length.value)} is longer than the time from start to end"
        yield finding("WK306", log.file.path, length.span.line, what)


def _seconds(length: Field) -> float:
    """Return the runtime that a field gives, in seconds. 0.0: it gives none that can be read."""
    return runtime(length.value) or 0.0


def _runs_elsewhere(log: Log, job: Section) -> bool:
    """Whether the runtime has another name or, in a log with one job, is in Results or Status.

        - wall time: 12:00:10                 in the block
        - runtime: 12 h                       in Results
        - 2026-03-12 — completed in 12 h      in Status

    With several jobs a runtime outside of the blocks may be that of any of them.
    """
    if filled(log.fact(job, *WALLTIME)):
        return True
    if len(log.jobs) > 1:
        return False
    for section in log.sections("results"):
        if filled(log.fact(section, *RUNTIME, *WALLTIME)):
            return True
    return any(_RUNTIME_IN_TEXT.search(entry.text) for entry in entries_of(log))


def _human_edit(text: str, field: Field, beside: Field | None, name: str, day: date) -> list[Edit]:
    """Return the edit that adds the date for people. Empty: something stands below the field.

    `beside` is the empty field of the name, if the block has it: it is filled. Else a line goes in
    below `- submitted/start: …`, with the same bullet, indent and line end:
    `- start_human: Wednesday, Mar 11th, 2026`.
    """
    if beside:
        return [value_edit(text, beside, human(day))]
    line = text[field.span.start : field.span.end]
    bullet = re.match(r"[ \t]*[-*+][ \t]+", line)
    if bullet is None:
        return []
    # A new line would come between the field and what belongs to it.
    if not all(map(_is_blank, field.children)):
        return []
    new = f"{bullet[0]}{name}: {human(day)}"
    ending = re.search(r"\r?\n$", line)
    if ending:
        new += ending[0]
    else:  # the field is the last line of a page without a final line end
        new = f"{_line_end(text)}{new}"
    return [Edit(field.span.end, field.span.end, new)]


def _line_end(text: str) -> str:
    """Return the line end that a page uses: CRLF where it has one anywhere."""
    return "\r\n" if "\r\n" in text else "\n"


def _is_blank(node: Node) -> bool:
    """Whether a node below a field is no more than empty lines: nothing that a new line could part
    from the field.
    """
    return isinstance(node, Verbatim) and node.kind == "blank"


def dates(log: Log) -> Iterator[Finding]:
    """Check times and dates, wherever they stand: WK402 to WK405.

    Looks at each field, bullet and entry of Status, of any section; code and tables are passed
    over.
    """
    path, day = log.file.path, day_of(log)
    partners = _partners(log)
    for node in log.document.all_nodes():
        if isinstance(node, Verbatim):
            continue
        time = _time_in(node)
        at = stamp(time)
        # A timestamp whose day cannot be: `2026-02-30 15:00`.
        if at is not None and at.day is None:
            yield finding("WK403", path, node.span.line, f"no such date or time: {quoted(time)}")
        if isinstance(node, Field):
            partner = partners.get(node.span.start)
            yield from _human_date_in(log, node, partner, day)


def _partners(log: Log) -> dict[int, Stamp]:
    """Map the offset of each `start_human` and `end_human` to the timestamp beside it.

    A block with `- start: 2026-03-11T15:00:00Z` and, at the offset 210, `- start_human: Wednesday,
    Mar 11th` gives `{210: Stamp(2026-03-11 …)}`: both should mean the same day.
    """
    partners: dict[int, Stamp] = {}
    for job in log.jobs:
        for names, name in ((START, "start_human"), (END, "end_human")):
            field = log.fact(job, *names)
            beside = log.fact(job, name)
            if field is None or beside is None:
                continue
            at = stamp(field.value)
            if at is not None:
                partners[beside.span.start] = at
    return partners


def _time_in(node: Field | Item | StatusLine) -> str:
    """Return the part of a node that may begin with a timestamp: the time of an entry of Status,
    the value of a field, the text of a bullet.
    """
    if isinstance(node, StatusLine):
        return node.time
    if isinstance(node, Field):
        return node.value
    return node.text


def _human_date_in(
    log: Log, field: Field, partner: Stamp | None, day: date | None
) -> Iterator[Finding]:
    """Check the date for people that a field holds, if it holds one.

    `partner` is the timestamp beside it (None: there is none), `day` the day in the log's name
    (None: it has none).
    """
    at = field.value_span.start
    if field.value:
        # behind the quotes or the stars around the value
        at = log.document.text.find(field.value, at)
    partner_day = day_in(partner)
    if partner_day is not None:
        year: int | None = partner_day.year
    else:
        year = _nearest_year(field.value, day)
    known = {partner_day, day}
    yield from human_findings(
        log.file.path, field.span, field.value, at, year=year, known=known, partner=partner
    )


def _nearest_year(text: str, day: date | None) -> int | None:
    """Return the year that a date without one means: the date is near the day in the log's name.

    `Friday, Jan 2nd` in a log of 2025-12-30 is of 2026. None: the log's name has no day.
    """
    if day is None:
        return None
    shown = human_date(text)
    if shown is None:
        return day.year
    near = []
    for year in (day.year - 1, day.year, day.year + 1):
        if not 1 <= year <= 9999:
            continue  # Python has no such year
        on = shown.on(year)
        if on is not None:  # Feb 29th exists in few years
            near.append(on)
    if not near:
        return day.year
    return min(near, key=lambda on: abs((on - day).days)).year


def human_findings(
    path: str,
    span: Span,
    text: str,
    at: int,
    *,
    year: int | None,
    known: set[date | None],
    partner: Stamp | None = None,
) -> Iterator[Finding]:
    """Check a date for people in `text`, which begins at the offset `at` of its page.

    `Wednesday, Mar 12nd, 2026` has a wrong ordinal (WK405) and a wrong weekday (WK402). A text
    without such a date has no findings. The edits replace the ordinal or the weekday alone.

    `span` is the node that holds the text: its line is named. `year` is the date's year where it
    names none (None: unknown, and the weekday is not checked). A wrong weekday is fixed only where
    the day is one of `known`: else the day may be what is wrong. `partner` is the timestamp that
    means the same time.
    """
    shown = human_date(text)
    if shown is None:
        return
    day = shown.on(year)
    if day is None:
        yield finding("WK403", path, span.line, f"no such day: {quoted(text)}")
        return
    if partner is not None and _disagree(day, partner):
        what = f"the human-readable date is {day}, but the timestamp says {partner.day}"
        yield finding("WK404", path, span.line, what)
    if shown.suffix and shown.suffix != ordinal(day.day):
        first, last = shown.suffix_at
        edit = Edit(at + first, at + last, ordinal(day.day))
        what = f"write {day.day}{edit.text}, not {day.day}{shown.suffix}"
        yield finding("WK405", path, span.line, what, [edit])
    has_year = shown.year or year
    if has_year and shown.weekday != day.weekday():
        first, last = shown.weekday_at
        edits = []
        if day in known:
            edits.append(Edit(at + first, at + last, weekday_like(day, text[first:last])))
        what = f"{day} is a {weekday_like(day, '')}, not a {text[first:last]}"
        yield finding("WK402", path, span.line, what, edits)


def _disagree(day: date, partner: Stamp) -> bool:
    """Whether a day and a timestamp cannot mean the same time: zones may differ by a day.

    A timestamp without a zone is taken to be of the same place as the day.
    """
    if partner.day is None:
        return False
    most = 1 if partner.zone else 0
    return abs((day - partner.day).days) > most
