"""The rules of job blocks, and of the times and dates in a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog import facts
from watchkeeper.report.runlog.dates import (
    Stamp,
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
    day_of,
    filled,
    place,
    says_none,
)
from watchkeeper.report.runlog.standing import (
    Standing,
    by_submission,
    entries_of,
    last_job,
    submitted,
)
from watchkeeper.report.runlog.states import state_of

_REQUEUED = re.compile(
    r"re-?queue|re-?start|preempt|same (?:job|allocation|instance|vm)", re.IGNORECASE
)
_SOURCE = re.compile(
    r"(?:resum\w*|load|init|continue\w*|warm)(?:_.*)?|(?:re)?start_(?:from|at|ckpt|checkpoint|step).*"
    r"|(?:from_)?(?:checkpoint|ckpt).*"
    r"|from(?:_.*)?|parent.*"
)
_FROM = re.compile(
    r"\b(?:resum\w*|continu\w*|restart\w*|load\w*|start\w*|init\w*|picks? up|went "
    r"on)\b[^\n]{0,40}?\b(?:from|at"
    r"|with)\b\s*\S"
    r"|\bfrom (?:step|epoch|checkpoint|ckpt|scratch|base|iteration|`|/)|\bfresh start\b|\blatest "
    r"checkpoint\b"
    r"|\bauto-?resume",
    re.IGNORECASE,
)
_SAYS_WHAT = re.compile(
    r"attempt.*|reason.*|notes?|note_.*|purpose|why|what|change[sd]?.*|re_?run.*|retry.*|fix.*|label|restart.*|description"
)
_SUBMISSION = re.compile(
    r"\b(?:re-?)?(?:submitted|launched|started|queued|queueing|submission)\b(?P<between>[^.;\n\d]{0,30}?)"
    r"\b(?:as|job|jobid|id|slurm)\b[\s:#=`(]*(?P<id>\d{3,})|\b(?:re-?submitted|re-?submission"
    r"|re-?launched)\b[\s:#=`(]{1,3}(?P<bare>\d{4,})"
    r"|\b(?:resumed|continued|restarted)\b[^.;\n\d]{0,20}?\b(?:as|job|jobid)\b[\s:#=`(]*(?P<again>\d{3,})",
    re.IGNORECASE,
)
_SENT = re.compile(r"\b(?:submitted|launched|started|queued)\b", re.IGNORECASE)
_OTHER_JOB = re.compile(
    r"\b(?:eval\w*|test|data|sync\w*|upload|preprocess\w*|sweep|array|depend\w*|bench\w*"
    r"|embed\w*)\b",
    re.IGNORECASE,
)


def jobs(log: Log, stands: Standing) -> Iterator[Finding]:
    """What is wrong with the job blocks."""
    jobs = log.jobs
    if jobs and "resum" in jobs[0].qualifier.casefold() and last_job(log) is jobs[-1]:
        yield finding("WK115", log.file.path, place(jobs[0]), "the first job block is a resumption")
    yield from _ids(log)
    yield from _order(log)
    first = _first(log)
    for index, job in enumerate(jobs):
        if (
            job is not first
            and job.heading.text.strip().casefold() == "job"
            and not _says_what(log, job)
        ):
            yield finding(
                "WK309", log.file.path, place(job), f"job block {index + 1} does not say what it is"
            )
        if "resum" in job.qualifier.casefold() and not _says_source(log, job):
            yield finding(
                "WK305",
                log.file.path,
                place(job),
                "it does not say which checkpoint it resumed from",
            )
        start = _start(log, job)
        if not filled(start) and not _says_when(log, job, stands):
            yield finding(
                "WK304",
                log.file.path,
                place(job, start),
                "it is not recorded when the job was submitted",
            )
        yield from _job_times(log, job, first=job is first)
    yield from _unrecorded(log)


def _first(log: Log) -> Section | None:
    """The block of the first submission: the top one, unless that is a further one and a plain one
    below it is older.
    """
    oldest = next(iter(by_submission(log)), None)
    if oldest is None or (log.jobs[0].qualifier and not oldest.qualifier):
        return oldest
    return log.jobs[0]


def _start(log: Log, job: Section) -> Field | None:
    return log.fact(job, *START)


def _is_planned(log: Log, job: Section) -> bool:
    """Whether a block says that its job is still to be submitted."""
    id_ = log.fact(job, *ID)
    waits = id_ is not None and re.match(
        r"(?:pending|tbd|not (?:yet )?submitted|planned|todo)\b", id_.value, re.IGNORECASE
    )
    return (
        bool(waits)
        and submitted(log, job) is None
        and not any(entry.claim for entry in entries_of(log))
    )


def _ids(log: Log) -> Iterator[Finding]:
    """Blocks without an id, and two with one. A requeue keeps its job's id, and a machine in the
    cloud its name.
    """
    path = log.file.path
    ids: dict[str, int] = {}
    for job in log.jobs:
        id_ = log.fact(job, *ID)
        if not filled(id_) or id_ is None:
            if not _id_elsewhere(log, job) and not _is_planned(log, job):
                yield finding("WK301", path, place(job, id_), "no execution_id in this job block")
            continue
        word = (id_.value.split() or [""])[0].strip("`,;")
        if restart := re.search(r"\(restart \d+\)", id_.value):
            word += f" {restart[0]}"  # a requeue: the same job, another execution
        again = _REQUEUED.search(job.heading.text) or (
            not word[:1].isdigit() and not says_none(id_)
        )
        if word in ids and not says_none(id_) and not again:
            yield finding(
                "WK302",
                path,
                id_.span.line,
                f"job {quoted(word)} has a block in line {ids[word]} already",
            )
        ids.setdefault(word, id_.span.line)


def _id_elsewhere(log: Log, job: Section) -> bool:
    """Whether a block names its job in its heading or in words: `## Job 70412`, `- Slurm job 70412
    on gpu-07`.
    """
    text = facts.prose(log.document, job)
    heading = re.sub(r"\d{4}-\d{2}-\d{2}\S*", "", job.heading.text)
    named = re.search(r"\d{4,}", heading) or re.search(
        r"\bjob[\s:#`]{1,3}\d{3,}|^[-*+] `?\d{4,}\b", text, re.IGNORECASE | re.MULTILINE
    )
    return (
        named is not None
        or re.search(
            r"\b(?:no scheduler|locally|local run|interactive|workstation)\b", text, re.IGNORECASE
        )
        is not None
    )


def _order(log: Log) -> Iterator[Finding]:
    """Blocks that are out of order: one finding where all of them stand newest first."""
    known = [
        (at, place(job))
        for job in log.jobs
        if (at := submitted(log, job)) is not None and at.day is not None
    ]
    pairs = [
        (one, other)
        for one, other in pairwise(known)
        if (gap := one[0].seconds_until(other[0])) is not None and gap < 0
    ]
    turned = len(pairs) > 1 and len(pairs) == len(known) - 1
    for one, other in pairs[:1] if turned else pairs:
        if turned:
            what = "the job blocks stand newest first"
        else:
            what = f"this job was submitted before the one in line {one[1]}"
        yield finding("WK303", log.file.path, other[1], what)


def _says_what(log: Log, job: Section) -> bool:
    return any(_SAYS_WHAT.fullmatch(field.name) and filled(field) for field in log.facts(job))


def _says_source(log: Log, job: Section) -> bool:
    known = (field for field in log.facts(job) if _SOURCE.fullmatch(field.name) and filled(field))
    if any(opening(field.value) is None for field in known):
        return True
    words = [job.heading.text, *(node.text for node in job.bullets() if isinstance(node, Item))]
    return any(_FROM.search(text) for text in words)


def _says_when(log: Log, job: Section, stands: Standing) -> bool:
    """Whether the time of the submission stands in the heading, or in Status where there is one
    job.
    """
    if submitted(log, job) is not None or _is_planned(log, job):
        return True
    lines = facts.prose(log.document, job).splitlines()
    if any(_SENT.search(line) and moment(line) is not None for line in lines):
        return True
    id_ = log.fact(job, *ID)
    if id_ is not None and id_.value.split():
        word = id_.value.split()[0].strip("`,;")
    else:
        word = ""
    for entry in entries_of(log):
        if entry.at is None or not re.match(
            r"\W*(?:re-?)?(?:submitted|launched|started|queued)\b", entry.text, re.IGNORECASE
        ):
            continue
        if len(log.jobs) == 1 or (word and word in entry.text):
            return True
    return False


def _unrecorded(log: Log) -> Iterator[Finding]:
    """Submissions that Status tells of and no block records."""
    known = " ".join(log.document.slice(job) for job in log.jobs)
    missing: dict[str, int] = {}
    for entry in entries_of(log) if log.jobs else ():
        for match in _SUBMISSION.finditer(entry.text):
            number = match["id"] or match["bare"] or match["again"]
            if not _OTHER_JOB.search(match[0]) and not re.search(rf"(?<!\d){number}(?!\d)", known):
                missing.setdefault(number, entry.line)
    if missing:
        names = ", ".join(missing)
        if len(missing) == 1:
            what = f"job {names} was submitted, and has"
        else:
            what = f"jobs {names} were submitted, and have"
        yield finding("WK310", log.file.path, next(iter(missing.values())), f"{what} no job block")


def _job_times(log: Log, job: Section, *, first: bool) -> Iterator[Finding]:
    start, end = _start(log, job), log.fact(job, *END)
    day = _day_of_job(log, job)
    for field in (start, end):
        if field is not None and _is_unreadable(field, day):
            yield finding(
                "WK407", log.file.path, field.span.line, f"{field.key} is {quoted(field.value)}"
            )
    yield from _lengths(log, job, start, end, day)
    for field, name in ((start, "start_human"), (end, "end_human")):
        if field:
            at = stamp(field.value)
        else:
            at = None
        # a resumption's template has no date for people
        asked = first or (field is not None and field.name not in ("submitted", "submitted_at"))
        if (
            asked
            and field
            and at
            and at.day
            and not human_date(field.value)
            and not _shown_in_head(log, at.day)
        ):
            beside = log.fact(job, name)
            if not filled(beside):
                edits = _human_edit(log.document.text, field, beside, name, at.day)
                yield finding(
                    "WK401",
                    log.file.path,
                    place(job, beside or field),
                    f"{field.key} has no {name} beside it",
                    edits,
                )


def _day_of_job(log: Log, job: Section) -> date | None:
    at = submitted(log, job)
    if at is not None:
        return at.day
    return day_of(log)


def _is_unreadable(field: Field, day: date | None) -> bool:
    if not filled(field) or says_none(field) or not field.value:
        return False
    return (
        moment(field.value, day) is None
        and not human_date(field.value)
        and state_of(field.value) is None
    )


def _shown_in_head(log: Log, day: date) -> bool:
    """Whether the head of the page has this day as people write it."""
    found = (human_date(field.value) for field in facts.header(log.document))
    return any(one is not None and one.on(day.year) == day for one in found)


def _lengths(
    log: Log, job: Section, start: Field | None, end: Field | None, day: date | None
) -> Iterator[Finding]:
    path, length = log.file.path, log.fact(job, *RUNTIME)
    begun, last = (moment(field.value, day) if field else None for field in (start, end))
    if begun and last:
        span = begun.seconds_until(last)
    else:
        span = None
    if begun and last and (begun.time is None or last.time is None):
        whole_days = 86400
    else:
        whole_days = 0
    whole = (
        end is not None and moment(end.value) is not None
    )  # a time of day alone may be of the next day
    if end and span is not None and span < 0 and whole:
        yield finding("WK307", path, end.span.line, "it ends before it starts")
    elif (
        length and span is not None and whole and _seconds(length) > max(span, 0) + 60 + whole_days
    ):
        yield finding(
            "WK306",
            path,
            length.span.line,
            f"the runtime {quoted(length.value)} is longer than from start to end",
        )
    if end and last and last.day and not filled(length) and not _runs_elsewhere(log, job):
        yield finding(
            "WK308", path, place(job, length), "the job has ended, and there is no runtime"
        )


def _seconds(length: Field) -> float:
    return runtime(length.value) or 0.0


def _runs_elsewhere(log: Log, job: Section) -> bool:
    """Whether the runtime stands under another word, or, of a log's only job, in Results or in
    Status.
    """
    if filled(log.fact(job, *WALLTIME)):
        return True
    if len(log.jobs) > 1:
        return False
    results = (log.fact(section, *RUNTIME, *WALLTIME) for section in log.sections("results"))
    if any(filled(field) for field in results):
        return True
    return any(
        re.search(r"\b(?:runtime|elapsed|took|in|after)\b[ :]{1,2}~?\d", entry.text)
        for entry in entries_of(log)
    )


def _human_edit(text: str, field: Field, beside: Field | None, name: str, day: date) -> list[Edit]:
    if beside:
        return [value_edit(text, beside, human(day))]
    line = text[field.span.start : field.span.end]
    bullet = re.match(r"[ \t]*[-*+][ \t]+", line)
    if not bullet or any(
        not isinstance(child, Verbatim) or child.kind != "blank" for child in field.children
    ):
        return []
    new = f"{bullet[0]}{name}: {human(day)}"
    ending = re.search(r"\r?\n$", line)
    if ending:
        return [Edit(field.span.end, field.span.end, new + ending[0])]
    return [Edit(field.span.end, field.span.end, ("\r\n" if "\r\n" in text else "\n") + new)]


def dates(log: Log) -> Iterator[Finding]:
    """What is wrong with times and dates, wherever they stand."""
    path, day = log.file.path, day_of(log)
    partners: dict[int, Stamp] = {}
    for job in log.jobs:
        for names, name in ((START, "start_human"), (END, "end_human")):
            field, beside = log.fact(job, *names), log.fact(job, name)
            if field and beside and (at := stamp(field.value)):
                partners[beside.span.start] = at
    for node in log.document.all_nodes():
        if isinstance(node, Verbatim):
            continue
        text, span = (
            (node.value, node.value_span)
            if isinstance(node, Field)
            else (node.text, node.text_span)
        )
        if isinstance(node, StatusLine):
            time = node.time
        else:
            time = text
        if (found := stamp(time)) and found.day is None:
            yield finding("WK403", path, node.span.line, f"there is no such time: {quoted(time)}")
        if isinstance(node, Field):
            if text:
                begins = log.document.text.find(text, span.start)
            else:
                begins = span.start
            partner = partners.get(node.span.start)
            year = partner.day.year if partner and partner.day else _nearest_year(text, day)
            known = {partner.day if partner else None, day}
            yield from human_findings(
                path, node.span, text, begins, year=year, known=known, partner=partner
            )


def _nearest_year(text: str, day: date | None) -> int | None:
    """The year that a date without one means: it is near the day in the log's name."""
    found = human_date(text)
    if day is None or found is None:
        if day:
            return day.year
        return None
    near = [
        on
        for year in (day.year - 1, day.year, day.year + 1)
        if 1 <= year <= 9999 and (on := found.on(year)) is not None
    ]
    return min(near, key=lambda on: abs((on - day).days)).year if near else day.year


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
    """What is wrong with a date for people in `text`, which begins at the offset `at`.

    `year` is its year where it names none. A wrong weekday is fixed only where the day is one of
    `known`; `partner` is the timestamp that means the same time.
    """
    found = human_date(text)
    if not found:
        return
    day = found.on(year)
    if day is None:
        yield finding("WK403", path, span.line, f"there is no such day: {quoted(text)}")
        return
    if partner and partner.day and abs((day - partner.day).days) > (1 if partner.zone else 0):
        yield finding(
            "WK404", path, span.line, f"the date for people is {day}, the timestamp {partner.day}"
        )
    if found.suffix and found.suffix != ordinal(day.day):
        edit = Edit(at + found.suffix_at[0], at + found.suffix_at[1], ordinal(day.day))
        yield finding(
            "WK405",
            path,
            span.line,
            f"it is {day.day}{edit.text}, not {day.day}{found.suffix}",
            [edit],
        )
    if (found.year or year) and found.weekday != day.weekday():
        first, last = found.weekday_at
        name = weekday_like(day, text[first:last])
        if day in known:
            edits = [Edit(at + first, at + last, name)]
        else:
            edits = []
        yield finding(
            "WK402",
            path,
            span.line,
            f"{day} is a {weekday_like(day, '')}, not a {text[first:last]}",
            edits,
        )
