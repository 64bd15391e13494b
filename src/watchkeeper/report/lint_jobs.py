"""The rules of job blocks, and of the times and dates in a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from watchkeeper.report.dates import Stamp, human, human_date, ordinal, runtime, stamp, weekday_like
from watchkeeper.report.lint import Finding, finding, quoted
from watchkeeper.report.lint_read import END, ID, RUNTIME, START, Log, day_of, filled, place, says_none
from watchkeeper.report.runlog import Edit, Field, Section, Span, StatusLine, Verbatim, value_edit


def jobs(log: Log) -> Iterator[Finding]:
    """What is wrong with the job blocks."""
    path, jobs = log.file.path, log.document.of("job")
    ids: dict[str, int] = {}
    before: tuple[Stamp, int] | None = None
    if jobs and "resum" in jobs[0].qualifier.casefold():
        yield finding("WK115", path, place(jobs[0]), "the first job block is a resumption")
    for index, job in enumerate(jobs):
        id_, start, end = job.field(*ID), job.field(*START), job.field(*END)
        if not filled(id_):
            yield finding("WK301", path, place(job, id_), "no execution_id in this job block")
        elif id_ and (word := (id_.value.split() or [""])[0].strip("`,;")):
            if restart := re.search(r"\(restart \d+\)", id_.value):
                word += f" {restart[0]}"  # a requeue: the same job, another execution
            if word in ids and not says_none(id_):
                yield finding("WK302", path, id_.span.line, f"job {quoted(word)} has a block in line {ids[word]} already")
            ids.setdefault(word, id_.span.line)
        if index and job.heading.text.casefold() == "job":
            yield finding("WK309", path, place(job), f"job block {index + 1} does not say what it is")
        if "resum" in job.qualifier.casefold():
            source = next(
                (f for f in job.fields() if f.name.startswith(("resume", "load_ckpt", "checkpoint")) and filled(f)), None
            )
            if source is None:
                yield finding("WK305", path, place(job), "it does not say which checkpoint it resumed from")
        at = stamp(start.value) if start else None
        if not filled(start):
            yield finding("WK304", path, place(job, start), "it is not recorded when the job was submitted")
        if start and at and at.day:
            if before and (gap := before[0].seconds_until(at)) is not None and gap < 0:
                yield finding("WK303", path, place(job), f"this job was submitted before the one in line {before[1]}")
            before = (at, place(job))
        yield from _job_times(log, job, start, end, first=index == 0)


def _job_times(log: Log, job: Section, start: Field | None, end: Field | None, *, first: bool) -> Iterator[Finding]:
    path = log.file.path
    for field in (start, end):
        if (
            field
            and filled(field)
            and not says_none(field)
            and field.value
            and not stamp(field.value)
            and not human_date(field.value)
        ):
            yield finding("WK407", path, field.span.line, f"{field.key} is {quoted(field.value)}")
    begun, last = (stamp(field.value) if field else None for field in (start, end))
    length = job.field(*RUNTIME)
    span = begun.seconds_until(last) if begun and last else None
    if end and span is not None and span < 0:
        yield finding("WK307", path, end.span.line, "it ends before it starts")
    elif length and span is not None and (seconds := runtime(length.value)) is not None and seconds > span + 60:
        yield finding(
            "WK306", path, length.span.line, f"the runtime {quoted(length.value)} is longer than from start to end"
        )
    if end and last and last.day and not filled(length):
        yield finding("WK308", path, place(job, length), "the job has ended, and there is no runtime")
    for field, at, name in ((start, begun, "start_human"), (end, last, "end_human")):
        asked = first or (
            field and field.name not in ("submitted", "submitted_at")
        )  # a resumption's template has no date for people
        if asked and field and at and at.day and not human_date(field.value):
            beside = job.field(name)
            if not filled(beside):
                edits = _human_edit(log.document.text, field, beside, name, at.day)
                yield finding("WK401", path, place(job, beside or field), f"{field.key} has no {name} beside it", edits)


def _human_edit(text: str, field: Field, beside: Field | None, name: str, day: date) -> list[Edit]:
    if beside:
        return [value_edit(text, beside, human(day))]
    line = text[field.span.start : field.span.end]
    bullet = re.match(r"[ \t]*[-*+][ \t]+", line)
    if not bullet or any(not isinstance(child, Verbatim) or child.kind != "blank" for child in field.children):
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
    for job in log.document.of("job"):
        for names, name in ((START, "start_human"), (END, "end_human")):
            field, beside = job.field(*names), job.field(name)
            if field and beside and (at := stamp(field.value)):
                partners[beside.span.start] = at
    for node in log.document.all_nodes():
        if isinstance(node, Verbatim):
            continue
        text, span = (node.value, node.value_span) if isinstance(node, Field) else (node.text, node.text_span)
        time = node.time if isinstance(node, StatusLine) else text
        if (found := stamp(time)) and found.day is None:
            yield finding("WK403", path, node.span.line, f"there is no such time: {quoted(time)}")
        if isinstance(node, Field):
            begins = log.document.text.find(text, span.start) if text else span.start
            partner = partners.get(node.span.start)
            year = partner.day.year if partner and partner.day else day.year if day else None
            known = {partner.day if partner else None, day}
            yield from human_findings(path, node.span, text, begins, year=year, known=known, partner=partner)


def human_findings(
    path: str, span: Span, text: str, at: int, *, year: int | None, known: set[date | None], partner: Stamp | None = None
) -> Iterator[Finding]:
    """What is wrong with a date for people in `text`, which begins at the offset `at`.

    `year` is its year where it names none. A wrong weekday is fixed only where the day is one of `known`; `partner` is
    the timestamp that means the same time.
    """
    found = human_date(text)
    if not found:
        return
    day = found.on(year)
    if day is None:
        yield finding("WK403", path, span.line, f"there is no such day: {quoted(text)}")
        return
    if partner and partner.day and abs((day - partner.day).days) > (1 if partner.zone else 0):
        yield finding("WK404", path, span.line, f"the date for people is {day}, the timestamp {partner.day}")
    if found.suffix and found.suffix != ordinal(day.day):
        edit = Edit(at + found.suffix_at[0], at + found.suffix_at[1], ordinal(day.day))
        yield finding("WK405", path, span.line, f"it is {day.day}{edit.text}, not {day.day}{found.suffix}", [edit])
    if (found.year or year) and found.weekday != day.weekday():
        first, last = found.weekday_at
        name = weekday_like(day, text[first:last])
        edits = [Edit(at + first, at + last, name)] if day in known else []
        yield finding("WK402", path, span.line, f"{day} is a {weekday_like(day, '')}, not a {text[first:last]}", edits)
