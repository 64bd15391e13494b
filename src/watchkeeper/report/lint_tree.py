"""The rules that run logs can break together: timelines, the summary of experiments, groups."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from watchkeeper.report.dates import Stamp, human, stamp
from watchkeeper.report.experiments import parse_experiments
from watchkeeper.report.lint import File, Finding, finding, quoted
from watchkeeper.report.lint_jobs import human_findings
from watchkeeper.report.lint_read import Log, filled
from watchkeeper.report.runlog import Edit
from watchkeeper.report.timeline import Entry, parse_timeline

MOST_IN_ONE_FOLDER = 10


def check(root: str, files: list[File], logs: list[Log]) -> Iterator[Finding]:
    """What is wrong between the logs below a root."""
    groups: dict[tuple[str, ...], list[Log]] = defaultdict(list)
    for log in logs:
        groups[_group(log)].append(log)
    timelines = {file.parts[:-1]: file for file in files if file.name == "timeline.md"}
    if len(groups.get((), ())) > MOST_IN_ONE_FOLDER:
        proposed = _groups([log.task for log in groups[()]])
        yield finding("WK114", root, 1, f"{len(groups[()])} logs lie side by side{proposed}")
    for group, members in groups.items():
        yield from _doubles(members)
        if group and group not in timelines:
            yield finding("WK901", "/".join((root.rstrip("/"), *group)), 1, f"no timeline.md for {len(members)} logs")
    every = {file.parts for file in files}
    for group, file in timelines.items():
        if file.text is not None:
            yield from _timeline(file, group, groups.get(group, []), every)
    yield from _experiments(files, logs)


def _group(log: Log) -> tuple[str, ...]:
    """The folder that a log belongs to; a log alone in a folder of its own name belongs to the one above."""
    folder = log.file.parts[:-1]
    return folder[:-1] if folder and folder[-1] == log.file.name[:-3] else folder


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
        config = tuple((f.name, f.value) for s in log.document.of("config") for f in s.fields() if filled(f))
        if not log.trains or len(config) < 2:
            continue
        key = (log.task, log.kind, config)
        if key in seen and seen[key].day != log.day:
            line = log.document.of("config")[0].heading.span.line
            yield finding("WK116", log.file.path, line, f"the same task and config as {quoted(seen[key].file.name)}")
        seen.setdefault(key, log)


def _timeline(file: File, group: tuple[str, ...], members: list[Log], every: set[tuple[str, ...]]) -> Iterator[Finding]:
    text = file.text or ""
    found = parse_timeline(text)
    path = file.path
    if group:
        wanted = re.sub(r"[\W_]+", "", group[-1].casefold())
        if re.sub(r"[\W_]+|timeline", "", found.title.casefold()) != wanted.replace("timeline", ""):
            title = quoted(found.title) if found.title else "missing"
            yield finding("WK908", path, found.title_line, f"the title is {title}, the folder {quoted(group[-1])}")
    for span in found.odd:
        yield finding("WK907", path, span.line, f"this is no entry: {quoted(text[span.start : span.end])}")
    named: dict[str, Entry] = {}
    below = {parts[len(group) :] for parts in every if parts[: len(group)] == group}
    names = {parts[-1] for parts in below}
    before: Entry | None = None
    for entry in found.entries:
        parts = tuple(part for part in PurePosixPath(entry.name).parts if part != ".")
        name = parts[-1] if parts else entry.name
        if parts not in below and (len(parts) > 1 or name not in names):
            yield finding("WK903", path, entry.span.line, f"there is no {quoted(entry.name)}")
        if entry.name in named:
            yield finding(
                "WK906", path, entry.span.line, f"{quoted(entry.name)} is in line {named[entry.name].span.line} already"
            )
        named.setdefault(entry.name, entry)
        day = stamp(name[:10])
        last = stamp(PurePosixPath(before.name).name[:10]) if before and before.group == entry.group else None
        if day and last and day.day and last.day and day.day < last.day:
            yield finding("WK904", path, entry.span.line, f"{quoted(entry.name)} is older than the entry above")
        before = entry
        if entry.number != entry.position:
            edit = Edit(entry.number_span.start, entry.number_span.end, str(entry.position))
            yield finding("WK905", path, entry.span.line, f"entry {edit.text} has the number {entry.number}", [edit])
        if day:
            yield from _entry_date(path, entry, day)
    listed = {PurePosixPath(name).name for name in named}
    for log in members:
        if log.file.name not in listed:
            yield finding("WK902", path, found.title_line, f"it does not name {quoted(log.file.name)}")


def _entry_date(path: str, entry: Entry, day: Stamp) -> Iterator[Finding]:
    at = entry.words_span.start
    if day.day is None:
        yield from human_findings(path, entry.span, entry.words, at, year=None, known=set())
    elif entry.words:
        yield from human_findings(path, entry.span, entry.words, at, year=day.day.year, known={day.day}, partner=day)
    else:
        edit = Edit(at, at, f" — {human(day.day).rpartition(',')[0]}")
        yield finding("WK401", path, entry.span.line, f"{quoted(entry.name)} has no date for people", [edit])


def _names(log: Log) -> set[str]:
    """What `experiments.md` may call a log."""
    stem = log.file.name[:-3]
    return {stem, f"{log.task}_{log.day}", f"{log.day}_{log.task}", log.task}


def _experiments(files: Iterable[File], logs: list[Log]) -> Iterator[Finding]:
    summaries = {file.parts[:-1]: file for file in files if file.name == "experiments.md"}
    rows = {folder: parse_experiments(file.text or "") for folder, file in summaries.items()}
    for folder, file in summaries.items():
        known = {name for log in logs if log.file.parts[: len(folder)] == folder for name in _names(log)}
        for row in rows[folder]:
            if _bare(row.run) not in known:
                yield finding("WK912", file.path, row.line, f"there is no log of {quoted(row.run)}")
    for log in logs:
        if log.kind == "experiment" and log.run_type:
            above = [rows[folder] for folder in rows if log.file.parts[: len(folder)] == folder]
            if not any(_bare(row.run) in _names(log) for part in above for row in part):
                what = "experiments.md does not name this run" if above else "there is no experiments.md"
                yield finding("WK911", log.file.path, log.run_type.span.line, what)


def _bare(run: str) -> str:
    return PurePosixPath(run).name.removesuffix(".md")
