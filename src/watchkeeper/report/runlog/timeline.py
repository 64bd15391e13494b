"""`timeline.md`, read without loss, and with an entry more.

# ARX5 Multitask Timeline
1. `2026-02-20_train.md` — Friday, Feb 20th

People write it as a numbered list, as bullets, or as a table; a new entry takes the form of those
that are there.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import pairwise

import msgspec

from watchkeeper.core.text import lazy
from watchkeeper.report.runlog.dates import day_in, human, human_date, stamp
from watchkeeper.report.runlog.document import Edit, Line, Span, apply, lines
from watchkeeper.report.runlog.facts import Cell, cells_of

_NUMBERED = lazy.pattern(r"[ \t]*(\d{1,9})[.)][ \t]+")
_BULLET = lazy.pattern(r"[ \t]*[-*+][ \t]+")
_NAME = lazy.pattern(
    r"\[[^\]\[\n]{1,300}\]\((?P<link>[^)\n]{1,300})\)|`(?P<code>[^`\n]{1,300})`|(?P<file>[^\s`\[(|*]{1,300}\.md)(?![\w/])"
    r"|(?P<stem>(?<![\w/-])(?:[\w.-]{1,80}/){0,4}\d{4}-\d{2}-\d{2}_[\w.+=-]{1,200})"
)
_STEM = lazy.pattern(r"(?:.*/)?\d{4}-\d{2}-\d{2}_[^/]+", re.DOTALL)
_DAY = lazy.pattern(r"[`*]{0,2}(\d{4}-\d{2}-\d{2})[`*]{0,2}")
_HEADING = lazy.pattern(r"\ufeff? {0,3}#{1,6}[ \t]+")
_MOST_LETTERS = 2000  # of a line that are looked through for a name
_RULE = lazy.pattern(r"[\s|:+-]+")
_TASK = lazy.pattern(r"`?[\w.+-]*[A-Za-z_][\w.+-]*`?")
_NOTES = lazy.pattern(r"(?:[ \t]+\S[^\n]*(?:\n|\Z))*")


class Entry(msgspec.Struct, frozen=True):
    """One line that names a log: its number (0 for none), the file, and the words with the date."""

    span: Span
    number: int
    number_span: Span
    name: str
    name_span: Span
    words: str
    words_span: Span
    group: int
    """Which list of the page it is in: a heading begins a new one."""
    position: int
    """Which numbered line of that list it is, from 1; lines that are no entries count too."""
    form: str = "numbered"
    """`numbered`, `bullet` or `table`."""

    @property
    def file(self) -> str:
        """The name with its ending, which people leave out: `2026-02-20_train.md`."""
        if self.name.endswith(".md"):
            return self.name
        return f"{self.name}.md"


class Timeline(msgspec.Struct, frozen=True):
    """The first heading, the entries, and the lines that name a log but are no entries."""

    title: str
    title_line: int
    entries: list[Entry]
    odd: list[Span]


def parse_timeline(text: str) -> Timeline:
    """Read a timeline. Any text is one; lines that are no entries are their owner's.

        # Arm Timeline
        1. `2026-02-20_train.md` — Friday, Feb 20th

    has the title `Arm Timeline` and one entry: number 1, name `2026-02-20_train.md`, words `Friday,
    Feb 20th`.
    """
    reader = _Reader(text)
    for line in lines(text):
        reader.feed(line)
    return reader.timeline()


class _Reader:
    """What the lines fed so far hold."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.title = ""
        self.title_line = 1
        self.entries: list[Entry] = []
        self.odd: list[Span] = []
        self.group = 0
        self.position = 0
        self.is_fenced = False

    def feed(self, line: Line) -> None:
        """Read one more line."""
        content = self.text[line.start : line.stop]
        if content.lstrip().startswith(("```", "~~~")):
            self.is_fenced = not self.is_fenced
            return
        if self.is_fenced:
            return
        heading = _HEADING.match(content)
        if heading is None:
            self._feed_entry(line, content)
            return
        self.group += 1
        self.position = 0
        if not self.title:
            self.title = content[heading.end() :].strip()
            self.title_line = line.number

    def _feed_entry(self, line: Line, content: str) -> None:
        """Read a line that is no heading: an entry, or a list's line with a `.md` that is none.

        1. `2026-02-20_train.md` — Friday, Feb 20th     an entry
        2. see plan.md for the others                   odd: lint asks what it is
        Notes of February.                              neither
        """
        is_numbered = _NUMBERED.match(content) is not None
        if is_numbered:
            self.position += 1
        entry = _entry(self.text, line, self.group, self.position)
        is_listed = is_numbered or _BULLET.match(content) is not None
        if entry is not None:
            self.entries.append(entry)
        elif is_listed and ".md" in content[:1000]:
            self.odd.append(line.span())

    def timeline(self) -> Timeline:
        """What was read. A bullet in a numbered list is no entry; one that is indented is a note on
        the entry above it.
        """
        numbered = {entry.group for entry in self.entries if entry.form == "numbered"}
        kept = []
        odd = list(self.odd)
        for entry in self.entries:
            if entry.form == "numbered" or entry.group not in numbered:
                kept.append(entry)
                continue
            is_indented = self.text[entry.span.start] in " \t"
            if entry.form == "bullet" and not is_indented:
                odd.append(entry.span)
        odd.sort(key=lambda span: span.start)
        return Timeline(self.title, self.title_line, kept, odd)


def _entry(text: str, line: Line, group: int, position: int) -> Entry | None:
    """The entry that a line is; None: it is no row, number or bullet that names a log.

    `group` is the list that the line is in, and `position` its place among the numbered lines
    there.
    """
    content = text[line.start : line.stop]
    if content.lstrip().startswith("|"):
        return _row(text, line, group, position)
    number = _NUMBERED.match(content)
    mark = number or _BULLET.match(content)
    if mark is None:
        return None
    name = _named(content, mark.end())
    if name is None:
        return None
    which, first, last = name
    words, at = _words_beside(content, mark.end(), first, last)
    words_span = line.span(line.start + at, line.start + at + len(words))
    form, counted, number_span = "bullet", 0, line.span(words_span.start, words_span.start)
    if number is not None:
        form, counted = "numbered", int(number[1])
        number_span = line.span(line.start + number.start(1), line.start + number.end(1))
    return Entry(
        span=line.span(),
        number=counted,
        number_span=number_span,
        name=which,
        name_span=line.span(line.start + first, line.start + last),
        words=words,
        words_span=words_span,
        group=group,
        position=position,
        form=form,
    )


def _words_beside(content: str, start: int, first: int, last: int) -> tuple[str, int]:
    """The words beside a name, and where they begin: those behind it, unless the date alone stands
    before it.

    ``1. `2026-02-20_train.md` — Friday, Feb 20th`` and ``- Friday, Feb 20th: `2026-02-20_train.md`
    good`` both have `Friday, Feb 20th`. `start` is where the bullet ends, `first` to `last` is the
    name. "": there are none, and a date goes at the end of the line.
    """
    behind = content[last:].strip().lstrip("—–-:) \t`*")
    before = content[start:first].strip().rstrip("—–-:( \t`*[")
    words = behind
    if human_date(before) is not None and human_date(behind) is None:
        words = before
    if not words:
        return "", len(content.rstrip())
    if words == before:
        return words, content.index(words, start)
    return words, content.index(words, last)


def _named(content: str, at: int) -> tuple[str, int, int] | None:
    """The first log that a line names, and where the name begins and ends. None: it names none.

    A link's target counts, `[train](2026-02-20_train.md)`, code, and a bare name. Without `.md`, as
    code or bare, only a name with a date is one: other words in code may be anything.
    """
    for match in _NAME.finditer(content, at, at + _MOST_LETTERS):
        which = match.lastgroup or ""
        name = match[which]
        is_dated = which != "link" and _STEM.fullmatch(name) is not None
        if is_dated or name.endswith(".md"):
            return name, match.start(which), match.end(which)
    return None


def _row(text: str, line: Line, group: int, position: int) -> Entry | None:
    """The entry that a table's row is; None: it names no log.

    `| 2026-02-20 | train | Friday, Feb 20th |` names it by day and task, and its words are the cell
    with a date for people. Such an entry has no number.
    """
    if _RULE.fullmatch(text[line.start : line.stop]):
        return None
    cells = cells_of(text, line.span(end=line.stop))
    name = _named_in_cells(line, cells) or _dated_task(cells)
    if name is None:
        return None
    dated = next((cell for cell in cells if human_date(cell.text) is not None), None)
    nowhere = line.span(line.stop, line.stop)
    words, words_span = "", nowhere
    if dated is not None:
        words, words_span = dated.text, dated.span
    return Entry(
        span=line.span(),
        number=0,
        number_span=nowhere,
        name=name[0],
        name_span=name[1],
        words=words,
        words_span=words_span,
        group=group,
        position=position,
        form="table",
    )


def _named_in_cells(line: Line, cells: Iterable[Cell]) -> tuple[str, Span] | None:
    """The first log that a cell names, and where. None: no cell does."""
    for cell in cells:
        name = _named(cell.text, 0)
        if name is not None:
            which, first, last = name
            return which, line.span(cell.span.start + first, cell.span.start + last)
    return None


def _dated_task(cells: Iterable[Cell]) -> tuple[str, Span] | None:
    """The log that a row names by its day in one cell and its task in another, and the place of the
    task: `| 2026-02-20 | train |` is `2026-02-20_train`. None: it has not both.
    """
    days = []
    tasks = []
    for cell in cells:
        if _DAY.fullmatch(cell.text):
            days.append(cell)
        elif _TASK.fullmatch(cell.text):
            tasks.append(cell)
    if not days or not tasks:
        return None
    day, task = days[0].text.strip("`*"), tasks[0].text.strip("`")
    return f"{day}_{task}", tasks[0].span


def with_entry(text: str, name: str, day: date, group: str) -> str | None:
    """The timeline with a log named beside its last entry, in that entry's form; None where it
    names it already.

    Below ``2. `2026-02-20_train.md` — Friday, Feb 20th`` goes ``3. `2026-02-21_long.md` — Saturday,
    Feb 21st``; in a timeline with the newest on top, above it. An empty text is begun, with a title
    from the folder's name (`group`, "" for the logs that are in no group). `name` is the log's
    file, and `day` the day of its first submission.
    """
    entries = parse_timeline(text).entries
    if any(entry.file.rpartition("/")[2] == name for entry in entries):
        return None
    if not entries:
        return _with_first_entry(text, f"1. `{name}` — {_short(day)}", group)
    is_above = _Order(entries).is_newest_first
    beside = entries[0] if is_above else entries[-1]
    new = _like(text, beside, name, day, group, above=is_above)
    return _with_line(text, beside, new, above=is_above)


def with_entries(text: str, logs: Sequence[tuple[str, date]], group: str) -> str:
    """The timeline with each of these logs (name, day) named once: what `with_entry` makes of one
    after the other. As long as they belong to the same end of the page, it is read only once.
    """
    left = deque(logs)
    while left:
        entries = parse_timeline(text).entries
        if entries:
            text = _with_lines(text, entries, left, group)
        if left:
            name, day = left.popleft()
            text = with_entry(text, name, day, group) or text
    return text


class _Order:
    """In which order the entries of a page stand, as more are added at its ends.

    What decides is kept as entries are added, so that the page is not read again for each: whether
    the numbers rise, whether the dates fall, which days there are, and those at the two ends.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._has_lists = len({entry.group for entry in entries}) > 1
        self._is_counted_up = any(map(_counts_up, entries, entries[1:]))
        days = [day for day in map(_day_of, entries) if day is not None]
        self._falls = all(day >= below for day, below in pairwise(days))
        self._days = set(days)
        self._ends = days[:1], days[-1:]

    @property
    def is_newest_first(self) -> bool:
        """Whether the newest entry stands on top, and a new one belongs there.

        So it is in a single list whose dates fall, at least once, and whose numbers do not rise.
        Entries without a date in their log's name do not count.
        """
        if self._has_lists or self._is_counted_up:
            return False
        return self._falls and len(self._days) > 1

    def add(self, new: Entry, beside: Entry, *, above: bool) -> None:
        """One more entry, above the first one or below the last one, `beside`.

        An entry without a day in its log's name changes the numbers, and not the days.
        """
        first, second = (new, beside) if above else (beside, new)
        self._is_counted_up = self._is_counted_up or _counts_up(first, second)
        day = _day_of(new)
        if day is None:
            return
        top, bottom = self._ends
        if above:
            self._falls = self._falls and all(day >= below for below in top)
            self._ends = [day], bottom or [day]
        else:
            self._falls = self._falls and all(last >= day for last in bottom)
            self._ends = top or [day], [day]
        self._days.add(day)


def _with_lines(text: str, entries: list[Entry], logs: deque[tuple[str, date]], group: str) -> str:
    """The timeline with lines at one of its ends, for the logs that it does not name. Takes the
    logs that it has seen to; a line that would not be read as an entry is left for `with_entry`,
    and so are the logs that belong to the other end.
    """
    named = {entry.file.rpartition("/")[2] for entry in entries}
    order = _Order(entries)
    above = order.is_newest_first
    beside = entries[0] if above else entries[-1]
    line = text[beside.span.start : beside.span.end]
    shown = _read_alone(line, beside, beside.position)
    added: list[str] = []
    while logs and shown is not None and order.is_newest_first == above:
        name, day = logs[0]
        if name not in named:
            line = _like(line, shown, name, day, group, above=above)
            position = shown.position + (shown.form == "numbered" and not above)
            new = _read_alone(line, beside, position)
            if new is None or new.file.rpartition("/")[2] != name:
                break
            order.add(new, shown, above=above)
            shown = new
            added.append(line)
            named.add(name)
        logs.popleft()
    if not added:
        return text
    if above:
        added.reverse()
    return _with_line(text, beside, _newline_of(text).join(added), above=above)


def _read_alone(line: str, beside: Entry, position: int) -> Entry | None:
    """A line as the entry that it is in the list of another, at this position; None where it is no
    such entry, or one of another form.
    """
    entries = parse_timeline(line).entries
    if len(entries) != 1 or entries[0].form != beside.form:
        return None
    return msgspec.structs.replace(entries[0], group=beside.group, position=position)


def _with_first_entry(text: str, entry: str, group: str) -> str:
    """The timeline with an entry where it has none: below a title of its own, or at the end of what
    people have written.
    """
    if not text.strip():
        words = filter(None, re.split(r"[_\s]+", group))
        title = " ".join([*(word[0].upper() + word[1:] for word in words), "Timeline"])
        return f"# {title}\n\n{entry}\n"
    newline = _newline_of(text)
    if not text.endswith("\n"):
        return f"{text}{newline}{entry}"
    gap = newline
    if text.endswith(newline * 2):
        gap = ""
    return f"{text}{gap}{entry}{newline}"


def _newline_of(text: str) -> str:
    """The line end that a page uses: CRLF where it has one anywhere."""
    if "\r\n" in text:
        return "\r\n"
    return "\n"


def _short(day: date) -> str:
    """A day as timelines write it: `Friday, Feb 20th`."""
    return human(day).rpartition(",")[0]


def _day_of(entry: Entry) -> date | None:
    """The day in the name of an entry's log."""
    return day_in(stamp(entry.file.rpartition("/")[2]))


def _counts_up(entry: Entry, below: Entry) -> bool:
    """Whether a number is higher than the one above it, as in `1. 2. 3.`.

    A list of ones, and one of bullets, whose number is 0, is not counted up.
    """
    return bool(entry.number) and entry.number < below.number


def _with_line(text: str, beside: Entry, new: str, *, above: bool) -> str:
    """The text with a line above or below an entry, and what a person wrote below it."""
    newline = _newline_of(text)
    at = beside.span.start
    if not above:
        at = beside.span.end
        # what is indented below an entry belongs to it
        notes = _NOTES.match(text, at)
        if notes is not None:
            at = notes.end()
    before, after = text[:at], text[at:]
    if above or before.endswith("\n"):
        return f"{before}{new}{newline}{after}"
    return f"{before}{newline}{new}{after}"


def _like(text: str, entry: Entry, name: str, day: date, group: str, *, above: bool) -> str:
    """A line for another log in the form of this one, without a line end.

    Where the entry names its log from the folder above, `arm/2026-02-20_train.md` in the timeline
    of `arm`, so does the new one. `above`: the line goes above the entry.
    """
    line = text[entry.span.start : entry.span.end].rstrip("\r\n")
    folder = entry.name.rpartition("/")[0]
    if group and folder.rpartition("/")[2] == group:
        name = f"{folder}/{name}"
    if entry.form == "table":
        return apply(line, _as_table(entry, line, name, day))
    return apply(line, _as_list(entry, line, name, day, above=above)).rstrip()


def _as_list(entry: Entry, line: str, name: str, day: date, *, above: bool) -> Iterator[Edit]:
    """A list's entry for another log, as edits of the line: its number, name and date.

    A date like `2026-02-20` behind the name stays of that form; anything else becomes `Friday, Feb
    20th`.
    """
    start = entry.span.start
    if entry.form == "numbered":
        number = str(_next_number(entry, above=above))
        yield Edit(entry.number_span.start - start, entry.number_span.end - start, number)
    yield from _renamed(entry, line, name)
    first, last = entry.words_span.start - start, entry.words_span.end - start
    if not entry.words:
        yield Edit(len(line.rstrip()), len(line), f" — {_short(day)}")
        return
    is_before_name = first < entry.name_span.start - start
    is_iso = human_date(entry.words) is None and _DAY.search(entry.words) is not None
    if is_iso and not is_before_name:
        yield Edit(first, last, day.isoformat())
    else:
        # a person's words on another run are not this one's
        yield Edit(first, last, _short(day))


def _next_number(entry: Entry, *, above: bool) -> int:
    """The number beside this one. A list whose every number is 1 is counted by whoever shows it.

    A list that is counted down, `3. 2. 1.`, gets the next higher one above. 0 and 1 on top stay, as
    nothing says which number would be above them.
    """
    if entry.number == 1 and entry.position > 1:
        return 1
    if above and entry.number <= 1:
        return entry.number
    return entry.number + 1


def _renamed(entry: Entry, line: str, name: str) -> Iterator[Edit]:
    """The name in place of the other's; of a link, in both its text and its target:
    `[2026-02-20_train](2026-02-20_train.md)`. The ending and the marks of code stay as they were.
    """
    start = entry.span.start
    first, last = entry.name_span.start - start, entry.name_span.end - start
    shown = name
    if not entry.name.endswith(".md"):
        shown = name.removesuffix(".md")
    yield Edit(first, last, shown)
    link = re.search(r"\[([^\]\n]{1,300})\]\($", line[:first])
    if link is None:
        return
    words = name.rpartition("/")[2]
    if not link[1].strip("`").endswith(".md"):
        words = words.removesuffix(".md")
    if link[1].startswith("`"):
        words = f"`{words}`"
    yield Edit(link.start(1), link.end(1), words)


def _as_table(entry: Entry, line: str, name: str, day: date) -> Iterator[Edit]:
    """A row's cells for another log: its name, date and number; what a person wrote of the other
    one is left out.

    `| 3 | 2026-02-20_train.md | 2026-02-20 | great |` becomes `| 4 | 2026-02-21_b.md | 2026-02-21 |
    |`.
    """
    named_at = entry.name_span.start - entry.span.start
    is_named = False
    for cell in cells_of(line, Span(0, len(line), 1, 1)):
        first, last = cell.span.start, cell.span.end
        holds_name = first <= named_at < max(last, first + 1)
        if holds_name and not is_named:
            is_named = True
            yield from _renamed_cell(entry, cell, line, name)
            continue
        text = _cell_of_another_log(cell.text, day)
        if text != cell.text:
            yield Edit(first, last, text)


def _renamed_cell(entry: Entry, cell: Cell, line: str, name: str) -> Iterator[Edit]:
    """The cell with the name: the file's, or the task alone in a table that has the day in a cell
    of its own.
    """
    if entry.name in cell.text:
        yield from _renamed(entry, line, name)
        return
    task = name.rpartition("/")[2].removesuffix(".md").partition("_")[2]
    yield Edit(cell.span.start, cell.span.end, task)


def _cell_of_another_log(text: str, day: date) -> str:
    """What stands in the cell of the next log: its date in the same form, or the next number. "":
    a cell with a person's words.
    """
    shown = human_date(text)
    if shown is not None:
        if shown.year:
            return human(day)
        return _short(day)
    if _DAY.fullmatch(text):
        return text.replace(text.strip("`*"), day.isoformat())
    if text.isdigit():
        return str(int(text) + 1)
    return ""
