"""The rules that run logs can break together: timelines, the summary of experiments, groups."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise
from pathlib import PurePosixPath

from watchkeeper.report.lint.job_rules import human_findings
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog.dates import human, human_date, moment, stamp
from watchkeeper.report.runlog.document import Edit, Field, Item, deep
from watchkeeper.report.runlog.experiments_table import Row, parse_experiments
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import Log, filled, is_row_of
from watchkeeper.report.runlog.timeline import Entry, Timeline, names, parse_timeline

MOST_IN_ONE_FOLDER = 10
_AGAIN = re.compile(r"\b(?:resum|re-?run|continu|re-?queue|attempt|second|again)", re.IGNORECASE)


def check(root: str, files: list[File], logs: list[Log]) -> Iterator[Finding]:
    """What is wrong between the logs below a root."""
    groups: dict[tuple[str, ...], list[Log]] = defaultdict(list)
    for log in logs:
        groups[_group(log)].append(log)
    timelines = {file.parts[:-1]: file for file in files if file.name.casefold() == "timeline.md"}
    if len(groups.get((), ())) > MOST_IN_ONE_FOLDER:
        proposed = _groups([log.task for log in groups[()]])
        yield finding("WK114", root, 1, f"{len(groups[()])} logs lie side by side{proposed}")
    for group, members in groups.items():
        yield from _doubles(members)
        if group and group not in timelines:
            yield finding(
                "WK901",
                "/".join((root.rstrip("/"), *group)),
                1,
                f"no timeline.md for {len(members)} logs",
            )
    every = {file.parts for file in files}
    for group, file in timelines.items():
        if file.text is not None:
            yield from _timeline(file, group, groups.get(group, []), every)
    yield from _experiments(files, logs)


def _group(log: Log) -> tuple[str, ...]:
    """The folder that a log belongs to; a log alone in a folder of its own name belongs to the one
    above.
    """
    folder = log.file.parts[:-1]
    if folder and folder[-1] == log.file.name[:-3]:
        return folder[:-1]
    return folder


def _groups(tasks: list[str]) -> str:
    """The folders that the tasks' first words propose, in words; "" where they would not part them."""
    count = Counter(re.split(r"[_\-.\s]", task.casefold(), maxsplit=1)[0] for task in tasks)
    named = [(name, number) for name, number in count.most_common() if name and number > 1]
    if not named or len(count) == 1:
        return ""
    rest = len(tasks) - sum(number for _, number in named)
    words = [f"{name}_*: {number}" for name, number in named[:5]]
    return f"; by their names {', '.join(words)}" + (f", {rest} of other names" if rest else "")


def _doubles(members: list[Log]) -> Iterator[Finding]:
    seen: dict[object, Log] = {}
    for log in sorted(members, key=lambda log: log.day):
        config = tuple(
            (f.name, f.value, _below(f))
            for s in log.sections("config")
            for f in s.fields()
            if filled(f)
        )
        if not log.trains or len(config) < 2:
            continue
        key = (log.task, log.kind, config)
        if key in seen and seen[key].day != log.day:
            line = log.sections("config")[0].heading.span.line
            yield finding(
                "WK116",
                log.file.path,
                line,
                f"the same task and config as {quoted(seen[key].file.name)}",
            )
        seen.setdefault(key, log)


def _below(field: Field) -> tuple[str, ...]:
    """What stands below a field, so that nested settings count."""
    return tuple(
        f"{node.key}: {node.value}" if isinstance(node, Field) else node.text
        for node in deep(field.children)
        if isinstance(node, Field | Item)
    )


# ── timelines
# ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _timeline(
    file: File, group: tuple[str, ...], members: list[Log], every: set[tuple[str, ...]]
) -> Iterator[Finding]:
    text = file.text or ""
    found = parse_timeline(text)
    path = file.path
    yield from _title(path, group, found)
    for span in found.odd:
        yield finding(
            "WK907", path, span.line, f"this is no entry: {quoted(text[span.start : span.end])}"
        )
    yield from _names(path, group, found, every)
    yield from _sequence(path, found)
    yield from _numbers(path, found)
    for entry in found.entries:
        day = stamp(PurePosixPath(entry.name).name[:10])
        if day and (day.day is None or entry.words):
            known: set[date | None]
            if day.day:
                known = {day.day}
            else:
                known = set()
            if day.day:
                year = day.day.year
            else:
                year = None
            again = _AGAIN.search(entry.words) is not None  # such a date is that of the resumption
            at, partner = entry.words_span.start, day if day.day and not again else None
            yield from human_findings(
                path, entry.span, entry.words, at, year=year, known=known, partner=partner
            )
    yield from _undated(path, found)
    for log in members:
        if not names(text, log.file.name):
            yield finding(
                "WK902", path, found.title_line, f"it does not name {quoted(log.file.name)}"
            )


def _title(path: str, group: tuple[str, ...], found: Timeline) -> Iterator[Finding]:
    if not group:
        return
    wanted, title = (re.sub(r"[\W_]+", "", words.casefold()) for words in (group[-1], found.title))
    if not title or wanted.replace("timeline", "") not in title:
        if found.title:
            shown = quoted(found.title)
        else:
            shown = "missing"
        yield finding(
            "WK908", path, found.title_line, f"the title is {shown}, the folder {quoted(group[-1])}"
        )


def _names(
    path: str, group: tuple[str, ...], found: Timeline, every: set[tuple[str, ...]]
) -> Iterator[Finding]:
    """Entries that name what is not there, and those that name again what an entry of their list
    names.
    """
    below = {parts[len(group) :] for parts in every if parts[: len(group)] == group}
    files = {parts[-1] for parts in below}
    named: dict[tuple[int, str], Entry] = {}
    for entry in found.entries:
        parts = tuple(
            part for part in PurePosixPath(entry.file.replace("%20", " ")).parts if part != "."
        )
        outside = "://" in entry.name or parts[:1] in (("..",), ("/",))
        if not outside and not _is_there(parts, below, files, group):
            yield finding("WK903", path, entry.span.line, f"there is no {quoted(entry.name)}")
        key = (entry.group, entry.file)
        if key in named and not _AGAIN.search(entry.words):
            first = named[key].span.line
            yield finding(
                "WK906", path, entry.span.line, f"{quoted(entry.name)} is in line {first} already"
            )
        named.setdefault(key, entry)


def _is_there(
    parts: tuple[str, ...], below: set[tuple[str, ...]], files: set[str], group: tuple[str, ...]
) -> bool:
    """Whether a name is that of a file: from the timeline's folder, from a folder above it, or by
    itself.
    """
    if parts in below or (len(parts) == 1 and parts[0] in files):
        return True
    shorter = (parts[number:] for number in range(1, len(parts)))
    return bool(group) and any(
        rest in below and parts[: -len(rest)][-1] == group[-1] for rest in shorter
    )


def _sequence(path: str, found: Timeline) -> Iterator[Finding]:
    """Entries out of order: one finding where all of them stand newest first."""
    dated = [
        (entry, day.day)
        for entry in found.entries
        if (day := stamp(PurePosixPath(entry.name).name[:10])) and day.day
    ]
    pairs = [pair for pair in pairwise(dated) if pair[0][0].group == pair[1][0].group]
    older = [entry for (_, before), (entry, day) in pairs if day < before]
    rising = any(before < day for (_, before), (_, day) in pairs)
    turned = len(older) > 1 and not rising
    for entry in older[:1] if turned else older:
        if turned:
            what = "the entries stand newest first"
        else:
            what = f"{quoted(entry.name)} is older than the entry above"
        yield finding("WK904", path, entry.span.line, what)


def _numbers(path: str, found: Timeline) -> Iterator[Finding]:
    """Wrong numbers, one finding for a list. A list of ones is counted by whoever shows it; one may
    be counted down.
    """
    for group in dict.fromkeys(entry.group for entry in found.entries):
        own = [
            entry for entry in found.entries if entry.group == group and entry.form == "numbered"
        ]
        numbers = [entry.number for entry in own]
        down = len(numbers) > 1 and numbers == list(range(len(numbers), 0, -1))
        wrong = [entry for entry in own if entry.number != entry.position]
        if not wrong or down or set(numbers) == {1}:
            continue
        edits = [
            Edit(entry.number_span.start, entry.number_span.end, str(entry.position))
            for entry in wrong
        ]
        what = f"entry {wrong[0].position} has the number {wrong[0].number}"
        if len(wrong) > 1:
            more = f", and {len(wrong) - 1} below it are wrong too"
        else:
            more = ""
        yield finding("WK905", path, wrong[0].span.line, what + more, edits)


def _undated(path: str, found: Timeline) -> Iterator[Finding]:
    """Entries without a date for people: one finding for all."""
    dated = [
        (entry, day.day)
        for entry in found.entries
        if (day := stamp(PurePosixPath(entry.name).name[:10])) and day.day
    ]
    missing = [
        (entry, day) for entry, day in dated if not entry.words or human_date(entry.words) is None
    ]
    missing = [(entry, day) for entry, day in missing if not _says_date(entry)]
    if not missing:
        return
    edits = [
        Edit(entry.words_span.start, entry.words_span.start, f" — {human(day).rpartition(',')[0]}")
        for entry, day in missing
        if entry.form != "table" and not entry.words
    ]
    if len(missing) == 1:
        names = f"{quoted(missing[0][0].name)} has"
    else:
        names = f"{len(missing)} entries have"
    yield finding("WK401", path, missing[0][0].span.line, f"{names} no date for people", edits)


def _says_date(entry: Entry) -> bool:
    """Whether the words hold a date as people write it, if without a weekday: `May 4`, `4 May
    2026`.
    """
    on = stamp(PurePosixPath(entry.name).name[:10])
    return (
        on is not None
        and re.search(r"[A-Za-z]", entry.words) is not None
        and moment(entry.words, on.day) is not None
    )


# ── experiments.md
# ─────────────────────────────────────────────────────────────────────────────────────────────────

_PLANNED = re.compile(
    r"plan\w*|todo|tbd|pending|queued|idea|next|not (?:yet "
    r")?(?:run|started)|reference|baseline|paper"
    r"|external",
    re.IGNORECASE,
)


def _experiments(files: Iterable[File], logs: list[Log]) -> Iterator[Finding]:
    summaries = {
        file.parts[:-1]: file for file in files if file.name.casefold() == "experiments.md"
    }
    rows = {folder: parse_experiments(file.text or "") for folder, file in summaries.items()}
    for folder, file in summaries.items():
        below = [log for log in logs if log.file.parts[: len(folder)] == folder]
        for row in rows[folder]:
            if _claims_a_log(row) and not any(is_row_of(row, log) for log in below):
                yield finding("WK912", file.path, row.line, f"there is no log of {quoted(row.run)}")
    without = []
    for log in logs:
        if log.kind != "experiment" or not log.run_type:
            continue
        above = [rows[folder] for folder in rows if log.file.parts[: len(folder)] == folder]
        if not above:
            without.append(log)
        elif not any(is_row_of(row, log) for part in above for row in part):
            yield finding(
                "WK911",
                log.file.path,
                log.run_type.span.line,
                "experiments.md does not name this run",
            )
    if without and (field := without[0].run_type):
        if len(without) > 1:
            more = f" (nor of {len(without) - 1} other experiments)"
        else:
            more = ""
        yield finding(
            "WK911",
            without[0].file.path,
            field.span.line,
            f"there is no experiments.md with a row of this run{more}",
        )


def _claims_a_log(row: Row) -> bool:
    """Whether a row should have a log: what is planned, taken from a paper, or named in free words
    need not.
    """
    status = " ".join(row.cells.get(name, "") for name in ("status", "state", "verdict"))
    if _PLANNED.search(f"{status} {row.run}"):
        return False
    return bool(row.names) or re.fullmatch(r"[\w./+=-]+", row.run) is not None
