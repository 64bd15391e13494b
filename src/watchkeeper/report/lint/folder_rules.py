"""The rules that run logs can break together: timelines, the summary of experiments, groups."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import date
from itertools import pairwise
from pathlib import PurePosixPath

from watchkeeper.core.text import lazy
from watchkeeper.report.lint.job_rules import human_findings
from watchkeeper.report.lint.rules import Finding, finding, quoted
from watchkeeper.report.runlog.dates import Stamp, day_in, human, human_date, moment, stamp
from watchkeeper.report.runlog.document import Edit, Field, Item, deep
from watchkeeper.report.runlog.experiments_table import Row, parse_experiments
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import Log, RowIndex, filled
from watchkeeper.report.runlog.timeline import Entry, Timeline, parse_timeline
from watchkeeper.report.runlog.timeline_names import TimelineNames

MOST_IN_ONE_FOLDER = 10
_AGAIN = lazy.pattern(r"\b(?:resum|re-?run|continu|re-?queue|attempt|second|again)", re.IGNORECASE)


def check(root: str, files: list[File], logs: list[Log]) -> Iterator[Finding]:
    """Check the logs below a root against one another: WK114, WK116 and WK9xx.

    `root` is the folder as shown, `files` are all below it, and `logs` those of them that are run
    logs. Logs directly in the root need no timeline: a single group has none.
    """
    groups: dict[tuple[str, ...], list[Log]] = defaultdict(list)
    for log in logs:
        groups[_group(log)].append(log)
    timelines = _files_by_folder(files, "timeline.md")
    side_by_side = groups.get((), [])
    if len(side_by_side) > MOST_IN_ONE_FOLDER:
        proposed = _groups([log.task for log in side_by_side])
        what = f"{len(side_by_side)} logs are not grouped in folders{proposed}"
        yield finding("WK114", root, 1, what)
    for group, members in groups.items():
        yield from _doubles(members)
        if group and group not in timelines:
            folder = "/".join((root.rstrip("/"), *group))
            yield finding("WK901", folder, 1, f"no timeline.md for {len(members)} logs")
    every = {file.parts for file in files}
    for group, file in timelines.items():
        # A timeline that cannot be read is reported as a file (WK101 to WK105).
        if file.text is not None:
            yield from _timeline(file, group, groups.get(group, []), every)
    yield from _experiments(files, logs)


def _files_by_folder(files: Iterable[File], name: str) -> dict[tuple[str, ...], File]:
    """Map folders, as parts below the root, to their files of one name, in any case of letters.

    `arm/Timeline.md` is the `timeline.md` of `("arm",)`. `name` is in lower case.
    """
    by_folder = {}
    for file in files:
        if file.name.casefold() == name:
            by_folder[file.parts[:-1]] = file
    return by_folder


def _group(log: Log) -> tuple[str, ...]:
    """Return the folder that a log belongs to: the one above, for a log in a folder of its name.

    `arm/2026-03-11_train.md` and `arm/2026-03-11_train/2026-03-11_train.md`, which has its figures
    beside it, both belong to `("arm",)`. Empty: the root.
    """
    folder = log.file.parts[:-1]
    if folder and folder[-1] == log.file.name[:-3]:
        return folder[:-1]
    return folder


def _groups(tasks: list[str]) -> str:
    """Propose folders by the tasks' first words. "": they would not separate them.

    Of `arm_train`, `arm_eval` and `prep`: `; possible groups by name: arm_*: 2, 1 of other names`.
    A word of one task makes no group, and neither does a word that all tasks share. At most five
    groups are named, those with most tasks first.
    """
    first_words = (re.split(r"[_\-.\s]", task.casefold(), maxsplit=1)[0] for task in tasks)
    count = Counter(first_words)
    named = [(name, number) for name, number in count.most_common() if name and number > 1]
    if not named or len(count) == 1:
        return ""
    folders = [f"{name}_*: {number}" for name, number in named[:5]]
    proposal = f"; possible groups by name: {', '.join(folders)}"
    rest = len(tasks) - sum(number for _, number in named)
    if rest:
        proposal += f", {rest} of other names"
    return proposal


def _doubles(members: list[Log]) -> Iterator[Finding]:
    """Find logs with the task and the configuration of an older one (WK116), within one group.

    Two equal trainings of different days are most likely one that was resumed. A Config of a
    single setting says too little to compare, and an evaluation is often repeated.
    """
    oldest: dict[object, Log] = {}
    for log in sorted(members, key=lambda log: log.day):
        config = _config_of(log)
        if not log.trains or len(config) < 2:
            continue
        older = oldest.setdefault((log.task, log.kind, config), log)
        if older.day != log.day:
            line = log.sections("config")[0].heading.span.line
            what = f"same task and config as {quoted(older.file.name)}"
            yield finding("WK116", log.file.path, line, what)


def _config_of(log: Log) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return what a log's Config holds, to compare it: (name, value, what stands below it).

    Empty and `pending` fields are left out. Empty: the log has no Config, or nothing in it.
    """
    settings = []
    for section in log.sections("config"):
        for field in filter(filled, section.fields()):
            settings.append((field.name, field.value, _below(field)))
    return tuple(settings)


def _below(field: Field) -> tuple[str, ...]:
    """Return what stands below a field, at every depth, so that nested settings count.

        - overrides:
          - lr: 1e-3
          - no warm-up

    gives `("lr: 1e-3", "no warm-up")`.
    """
    texts = []
    for node in deep(field.children):
        if isinstance(node, Field):
            texts.append(f"{node.key}: {node.value}")
        elif isinstance(node, Item):
            texts.append(node.text)
    return tuple(texts)


# ── timelines


def _timeline(
    file: File, group: tuple[str, ...], members: list[Log], every: set[tuple[str, ...]]
) -> Iterator[Finding]:
    """Check one timeline: its title, its entries, and that it names all of its logs.

    Without a finding, in `arm/`:

        # Arm Timeline

        1. `2026-02-20_train.md` — Friday, Feb 20th
        2. `2026-02-21_train_long.md` — Saturday, Feb 21st

    `group` is its folder as parts below the root, `members` are the logs of that folder, and
    `every` the parts of each file below the root.
    """
    text = file.text or ""
    timeline = parse_timeline(text)
    path = file.path
    yield from _title(path, group, timeline)
    for span in timeline.odd:
        what = f"not a timeline entry: {quoted(text[span.start : span.end])}"
        yield finding("WK907", path, span.line, what)
    yield from _names(path, group, timeline, every)
    yield from _sequence(path, timeline)
    yield from _numbers(path, timeline)
    for entry in timeline.entries:
        yield from _entry_date(path, entry)
    yield from _undated(path, timeline)
    named = TimelineNames(text)
    for log in members:
        if not named.has(log.file.name):
            what = f"{quoted(log.file.name)} is missing"
            yield finding("WK902", path, timeline.title_line, what)


def _entry_date(path: str, entry: Entry) -> Iterator[Finding]:
    """Check the date for people of an entry against the date in its log's name.

    ``1. `2026-02-20_train.md` — Friday, Feb 21st`` contradicts itself. An entry without words, or
    whose log has no date in its name, has nothing to check.
    """
    at = _stamp_of(entry)
    if at is None:
        return
    if at.day is not None and not entry.words:
        return
    known: set[date | None] = set()
    year = None
    partner = None
    if at.day is not None:
        known.add(at.day)
        year = at.day.year
        # The date of a resumption's entry is that of the resumption.
        if not _AGAIN.search(entry.words):
            partner = at
    offset = entry.words_span.start
    yield from human_findings(
        path, entry.span, entry.words, offset, year=year, known=known, partner=partner
    )


def _stamp_of(entry: Entry) -> Stamp | None:
    """Read the date in the name of an entry's log. None: it has none.

    `arm/2026-02-20_train.md` is of 2026-02-20. A name with a day that does not exist gives a stamp
    without a day.
    """
    return stamp(PurePosixPath(entry.name).name[:10])


def _dated(timeline: Timeline) -> list[tuple[Entry, date]]:
    """List the entries whose logs have a date in their names, with the date."""
    dated = []
    for entry in timeline.entries:
        day = day_in(_stamp_of(entry))
        if day is not None:
            dated.append((entry, day))
    return dated


def _title(path: str, group: tuple[str, ...], timeline: Timeline) -> Iterator[Finding]:
    """Check that a timeline's title matches its folder (WK908).

    `# ARX5 Multitask Timeline` matches `arx5_multitask/`: letters and digits are compared, in any
    case. A timeline in the root has no folder to match.
    """
    if not group:
        return
    folder = _letters_of(group[-1]).replace("timeline", "")
    title = _letters_of(timeline.title)
    if title and folder in title:
        return
    shown = quoted(timeline.title) if timeline.title else "missing"
    what = f"the title is {shown}, but the folder is {quoted(group[-1])}"
    yield finding("WK908", path, timeline.title_line, what)


def _letters_of(text: str) -> str:
    """Return the letters and digits of a text, in lower case: `ARX5 Multitask` gives
    `arx5multitask`.
    """
    return re.sub(r"[\W_]+", "", text.casefold())


def _names(
    path: str, group: tuple[str, ...], timeline: Timeline, every: set[tuple[str, ...]]
) -> Iterator[Finding]:
    """Find entries that name what is not there (WK903), and those that name again what an entry of
    their list names (WK906).

    `every` are the parts of each file below the root. An entry for a resumption may name a log for
    the second time: ``3. `2026-02-20_train.md` — resumed, Sunday, Feb 22nd``. An address, and a
    path that leads out of the folder, are not looked for.
    """
    below = {parts[len(group) :] for parts in every if parts[: len(group)] == group}
    file_names = {parts[-1] for parts in below}
    first_lines: dict[tuple[int, str], int] = {}
    for entry in timeline.entries:
        parts = _parts_of(entry)
        if not _is_outside(entry, parts) and not _is_there(parts, below, file_names, group):
            yield finding("WK903", path, entry.span.line, f"{quoted(entry.name)} does not exist")
        key = (entry.group, entry.file)
        if key in first_lines and not _AGAIN.search(entry.words):
            what = f"{quoted(entry.name)} is already listed on line {first_lines[key]}"
            yield finding("WK906", path, entry.span.line, what)
        first_lines.setdefault(key, entry.span.line)


def _parts_of(entry: Entry) -> tuple[str, ...]:
    """Return the path of an entry's log as parts: `./arm/2026-02-20%20b.md` gives
    `("arm", "2026-02-20 b.md")`.

    A link writes a space as `%20`.
    """
    parts = PurePosixPath(entry.file.replace("%20", " ")).parts
    return tuple(part for part in parts if part != ".")


def _is_outside(entry: Entry, parts: tuple[str, ...]) -> bool:
    """Whether an entry names something that is not below the timeline's folder: an address, `../`
    or an absolute path. Whether such a thing exists cannot be said from here.
    """
    return "://" in entry.name or parts[:1] in (("..",), ("/",))


def _is_there(
    parts: tuple[str, ...],
    below: set[tuple[str, ...]],
    file_names: set[str],
    group: tuple[str, ...],
) -> bool:
    """Whether a name is that of a file: from the timeline's folder, from a folder above it, or by
    itself.

    In `runs/arm/timeline.md` these are:

        a.md                  `runs/arm/a.md`
        arm/a.md              the same, as seen from `runs/`
        runs/arm/a.md         the same, as seen from the root
        b.md                  `runs/arm/long/b.md`: a file's name alone may lie deeper

    `below` are the files of the timeline's folder as parts below it, `file_names` their names, and
    `group` is the folder itself.
    """
    if parts in below or (len(parts) == 1 and parts[0] in file_names):
        return True
    if not group:
        return False
    for number in range(1, len(parts)):
        folder, rest = parts[number - 1], parts[number:]
        if folder == group[-1] and rest in below:
            return True
    return False


def _sequence(path: str, timeline: Timeline) -> Iterator[Finding]:
    """Find entries out of order (WK904): one finding where all of them stand newest first.

        1. `2026-02-21_long.md` — Saturday, Feb 21st
        2. `2026-02-20_train.md` — Friday, Feb 20th       older than the entry above

    Each list of the page is compared by itself; logs of one day may stand in any order.
    """
    older = []
    any_newer = False
    for (entry_before, day_before), (entry, day) in pairwise(_dated(timeline)):
        if entry_before.group != entry.group:
            continue
        if day < day_before:
            older.append(entry)
        elif day > day_before:
            any_newer = True
    if len(older) > 1 and not any_newer:
        what = "the entries are in reverse order, newest first"
        yield finding("WK904", path, older[0].span.line, what)
        return
    for entry in older:
        what = f"{quoted(entry.name)} is older than the entry above"
        yield finding("WK904", path, entry.span.line, what)


def _numbers(path: str, timeline: Timeline) -> Iterator[Finding]:
    """Find wrong numbers (WK905), one finding for a list. A list of ones is counted by whoever
    shows it, and a list may be counted down.

        1. …    2. …    2. …    4. …     the third is wrong
        1. …    1. …    1. …             right: Markdown counts them when it is shown
        3. …    2. …    1. …             right

    Bullets and tables have no numbers.
    """
    groups: dict[int, list[Entry]] = defaultdict(list)
    for entry in timeline.entries:
        if entry.form == "numbered":
            groups[entry.group].append(entry)
    for entries in groups.values():
        wrong = [entry for entry in entries if entry.number != entry.position]
        if wrong and not _is_counted_otherwise([entry.number for entry in entries]):
            yield _wrong_numbers(path, wrong)


def _wrong_numbers(path: str, wrong: list[Entry]) -> Finding:
    """Report the entries of one list whose numbers are wrong, with the edits that correct them.

    `wrong` has at least one entry, in the order of the page; the first is named.
    """
    edits = []
    for entry in wrong:
        span = entry.number_span
        edits.append(Edit(span.start, span.end, str(entry.position)))
    first = wrong[0]
    what = f"entry {first.position} is numbered {first.number}"
    if len(wrong) > 1:
        what += f"; {len(wrong) - 1} more below it are also wrong"
    return finding("WK905", path, first.span.line, what, edits)


def _is_counted_otherwise(numbers: list[int]) -> bool:
    """Whether a list is numbered down to 1, or with ones alone."""
    if set(numbers) == {1}:
        return True
    if len(numbers) < 2:
        return False
    counted_down = list(range(len(numbers), 0, -1))
    return numbers == counted_down


def _undated(path: str, timeline: Timeline) -> Iterator[Finding]:
    """Find entries without a date for people: one finding for all (WK401).

        1. `2026-02-20_train.md`
        1. `2026-02-20_train.md` — Friday, Feb 20th

    The first line becomes the second. An entry with words of its own, and a row of a table, are
    left to the person who wrote them.
    """
    missing = [(entry, day) for entry, day in _dated(timeline) if not _says_date(entry)]
    if not missing:
        return
    edits = []
    for entry, day in missing:
        if entry.form == "table" or entry.words:
            continue  # a person chooses where the date goes among other words
        at = entry.words_span.start
        without_year = human(day).rpartition(",")[0]
        edits.append(Edit(at, at, f" — {without_year}"))
    first = missing[0][0]
    what = f"{quoted(first.name)} has no human-readable date"
    if len(missing) > 1:
        what = f"{len(missing)} entries have no human-readable date"
    yield finding("WK401", path, first.span.line, what, edits)


def _says_date(entry: Entry) -> bool:
    """Whether an entry holds a date as people write it, if without a weekday: `May 4`, `4 May
    2026`.

    `2026-05-04` alone does not: it is no more than the name of the log says.
    """
    if not entry.words:
        return False
    if human_date(entry.words) is not None:
        return True
    at = _stamp_of(entry)
    if at is None:
        return False
    has_letters = re.search(r"[A-Za-z]", entry.words) is not None
    return has_letters and moment(entry.words, at.day) is not None


# ── experiments.md

_PLANNED = lazy.pattern(
    r"plan\w*|todo|tbd|pending|queued|idea|next|not (?:yet "
    r")?(?:run|started)|reference|baseline|paper"
    r"|external",
    re.IGNORECASE,
)


def _experiments(files: Iterable[File], logs: list[Log]) -> Iterator[Finding]:
    """Check each experiments.md against the logs below it: WK911 and WK912.

        | run | description | val_loss | status | notes |
        | --- | --- | --- | --- | --- |
        | front_cam_2026-03-11 | front camera | 0.31 | keep | |
        | wrist_cam_2026-03-12 | | | planned | |

    The first row is that of `2026-03-11_front_cam.md`; the second needs no log yet. An
    experiments.md lists all logs below its folder, at any depth.
    """
    summaries = _files_by_folder(files, "experiments.md")
    rows = {folder: parse_experiments(file.text or "") for folder, file in summaries.items()}
    indexes = {folder: RowIndex(own) for folder, own in rows.items()}
    logged: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for log in logs:
        for folder in _folders_above(log, indexes):
            logged[folder] |= {row.line for row in indexes[folder].of(log)}
    for folder, file in summaries.items():
        yield from _rows_without_log(file, rows[folder], logged[folder])
    yield from _logs_without_row(indexes, logs)


def _folders_above(log: Log, folders: Container[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Those of the folders that a log lies in, at any depth, by their parts below the root."""
    parts = log.file.parts
    above = (parts[:count] for count in range(len(parts) + 1))
    return [folder for folder in above if folder in folders]


def _rows_without_log(file: File, rows: Iterable[Row], logged: set[int]) -> Iterator[Finding]:
    """Find the rows that name a run of which there is no log (WK912).

    `rows` are those of the file; `logged` the lines of those that have a log below its folder.
    """
    for row in rows:
        if row.line not in logged and _claims_a_log(row):
            yield finding("WK912", file.path, row.line, f"no log for {quoted(row.run)}")


def _logs_without_row(
    indexes: Mapping[tuple[str, ...], RowIndex], logs: list[Log]
) -> Iterator[Finding]:
    """Find experiments that no row names (WK911): one finding for all those without an
    experiments.md.

    `indexes` hold the rows of each experiments.md, by its folder. Replications and pipelines need
    no row. A log with an experiments.md in its folder, or in one above it, must have a row in one
    of these.
    """
    without: list[tuple[Log, Field]] = []
    for log in logs:
        if log.kind != "experiment" or not log.run_type:
            continue
        above = _folders_above(log, indexes)
        if not above:
            without.append((log, log.run_type))
        elif not any(indexes[folder].of(log) for folder in above):
            what = "this run is not in experiments.md"
            yield finding("WK911", log.file.path, log.run_type.span.line, what)
    if not without:
        return
    first, field = without[0]
    what = "no experiments.md lists this run"
    if len(without) > 1:
        what += f" (nor {_count_others(len(without) - 1)})"
    yield finding("WK911", first.file.path, field.span.line, what)


def _count_others(number: int) -> str:
    """Count the experiments beside the one that is named. `number`: from 1."""
    if number == 1:
        return "1 other experiment"
    return f"{number} other experiments"


def _claims_a_log(row: Row) -> bool:
    """Whether a row should have a log. What is planned, taken from a paper, or named in free text
    need not.

    The cell of the run is a name where it is one word, `front_cam_2026-03-11`, or names a file;
    `Smith et al., table 3` is free text.
    """
    status = " ".join(row.cells.get(name, "") for name in ("status", "state", "verdict"))
    if _PLANNED.search(f"{status} {row.run}"):
        return False
    if row.names:
        return True
    return re.fullmatch(r"[\w./+=-]+", row.run) is not None
