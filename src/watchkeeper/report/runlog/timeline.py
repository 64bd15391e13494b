"""`timeline.md`, read without loss, and with an entry more.

# ARX5 Multitask Timeline
1. `2026-02-20_train.md` — Friday, Feb 20th

People write it as a numbered list, as bullets, or as a table; a new entry takes the form of those
that are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from itertools import pairwise

import msgspec

from watchkeeper.report.runlog.dates import human, human_date, stamp
from watchkeeper.report.runlog.document import Edit, Line, Span, apply, lines
from watchkeeper.report.runlog.facts import cells_of

_NUMBERED = re.compile(r"[ \t]*(\d{1,9})[.)][ \t]+")
_BULLET = re.compile(r"[ \t]*[-*+][ \t]+")
_NAME = re.compile(
    r"\[[^\]\[\n]{1,300}\]\((?P<link>[^)\n]{1,300})\)|`(?P<code>[^`\n]{1,300})`|(?P<file>[^\s`\[(|*]{1,300}\.md)(?![\w/])"
    r"|(?P<stem>(?<![\w/-])(?:[\w.-]{1,80}/){0,4}\d{4}-\d{2}-\d{2}_[\w.+=-]{1,200})"
)
_STEM = re.compile(r"(?:.*/)?\d{4}-\d{2}-\d{2}_[^/]+", re.DOTALL)
_DAY = re.compile(r"[`*]{0,2}(\d{4}-\d{2}-\d{2})[`*]{0,2}")
_HEADING = re.compile(r"\ufeff? {0,3}#{1,6}[ \t]+")
_MOST_LETTERS = 2000  # of a line that are looked through for a name
_RULE = re.compile(r"[\s|:+-]+")


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
        """The name with its ending, which people leave out."""
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
    """Read a timeline. Any text is one; lines that are no entries are their owner's."""
    title, title_line, group, position = "", 1, 0, 0
    entries: list[Entry] = []
    odd: list[tuple[int, Span]] = []
    fenced = False
    for line in lines(text):
        content = text[line.start : line.stop]
        if content.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif fenced:
            pass
        elif heading := _HEADING.match(content):
            group, position = group + 1, 0
            if not title:
                title, title_line = content[heading.end() :].strip(), line.number
        else:
            position += _NUMBERED.match(content) is not None
            entry = _entry(text, line, group, position)
            if entry is not None:
                entries.append(entry)
            elif _BULLET.match(content) or _NUMBERED.match(content):
                odd += [(group, line.span())] if ".md" in content[:1000] else []
    numbered = {entry.group for entry in entries if entry.form == "numbered"}
    kept = [entry for entry in entries if entry.form == "numbered" or entry.group not in numbered]
    # a bullet in a numbered list is no entry; one that is indented is a note on the entry above
    strays = [entry.span for entry in entries if entry.form == "bullet" and entry.group in numbered]
    spans = [
        *(span for _, span in odd),
        *(span for span in strays if text[span.start] not in " \t"),
    ]
    return Timeline(title, title_line, kept, sorted(spans, key=lambda span: span.start))


def _entry(text: str, line: Line, group: int, position: int) -> Entry | None:
    content = text[line.start : line.stop]
    if content.lstrip().startswith("|"):
        return _row(text, line, group, position)
    number = _NUMBERED.match(content)
    mark = number or _BULLET.match(content)
    if mark:
        name = _named(content, mark.end())
    else:
        name = None
    if mark is None or name is None:
        return None
    which, first, last = name
    behind = content[last:].strip().lstrip("—–-:) \t`*")
    before = content[mark.end() : first].strip().rstrip("—–-:( \t`*[")
    if human_date(before) is not None and human_date(behind) is None:
        words = before
    else:
        words = behind
    at = line.start + (
        content.index(words, mark.end() if words == before else last)
        if words
        else len(content.rstrip())
    )
    return Entry(
        span=line.span(),
        number=int(number[1]) if number else 0,
        number_span=line.span(line.start + number.start(1), line.start + number.end(1))
        if number
        else line.span(at, at),
        name=which,
        name_span=line.span(line.start + first, line.start + last),
        words=words,
        words_span=line.span(at, at + len(words)),
        group=group,
        position=position,
        form="numbered" if number else "bullet",
    )


def _named(content: str, at: int) -> tuple[str, int, int] | None:
    """The first log that a line names, and where the name begins and ends."""
    for match in _NAME.finditer(content, at, at + _MOST_LETTERS):
        which = match.lastgroup or ""
        name = match[which]
        if name.endswith(".md") or (which != "link" and _STEM.fullmatch(name)):
            return name, match.start(which), match.end(which)
    return None


def _row(text: str, line: Line, group: int, position: int) -> Entry | None:
    if _RULE.fullmatch(text[line.start : line.stop]):
        return None
    cells = cells_of(text, line.span(end=line.stop))
    named = next(
        ((cell, name) for cell in cells if (name := _named(cell.text, 0)) is not None), None
    )
    dated = next((cell for cell in cells if human_date(cell.text) is not None), None)
    if named is not None:
        cell, (which, first, last) = named
        span = line.span(cell.span.start + first, cell.span.start + last)
    else:
        days = [cell for cell in cells if _DAY.fullmatch(cell.text)]
        tasks = [
            cell
            for cell in cells
            if re.fullmatch(r"`?[\w.+-]*[A-Za-z_][\w.+-]*`?", cell.text) and cell not in days
        ]
        if not days or not tasks:
            return None
        which, span = f"{days[0].text.strip('`*')}_{tasks[0].text.strip('`')}", tasks[0].span
    if dated is not None:
        words = dated.span
    else:
        words = line.span(line.stop, line.stop)
    return Entry(
        span=line.span(),
        number=0,
        number_span=line.span(line.stop, line.stop),
        name=which,
        name_span=span,
        words=dated.text if dated is not None else "",
        words_span=words,
        group=group,
        position=position,
        form="table",
    )


def names(text: str, name: str) -> bool:
    """Whether a timeline names a log, in whatever form: its file, its name without the ending, or
    its date and task in one line.
    """
    stem = name.removesuffix(".md")
    if re.search(rf"(?<![\w-]){re.escape(stem)}(?![\w-])", text):
        return True
    day, _, task = stem.partition("_")
    spelled = re.compile(
        rf"(?<![\w-]){re.escape(task)}(?![\w-])".replace("_", "[ _-]"), re.IGNORECASE
    )
    return any(
        day in line and spelled.search(line.replace(day, "")) for line in text.splitlines() if task
    )


def with_entry(text: str, name: str, day: date, group: str) -> str | None:
    """The timeline with a log named beside its last entry, in that entry's form; None where it
    names it already. An empty text is begun, with a title from the folder's name (`group`, "" for
    the logs that lie in no group).
    """
    found = parse_timeline(text)
    if any(entry.file.rpartition("/")[2] == name for entry in found.entries):
        return None
    newest = _newest_first(found.entries)
    if newest:
        beside = found.entries[0]
    elif found.entries:
        beside = found.entries[-1]
    else:
        beside = None
    if beside is not None:
        return _with_line(
            text, beside, _like(text, beside, name, day, group, above=newest), above=newest
        )
    entry = f"1. `{name}` — {_short(day)}"
    if not text.strip():
        title = " ".join(word[0].upper() + word[1:] for word in re.split(r"[_\s]+", group) if word)
        return f"# {title + ' ' if title else ''}Timeline\n\n{entry}\n"
    if "\r\n" in text:
        newline = "\r\n"
    else:
        newline = "\n"
    if not text.endswith("\n"):
        return f"{text}{newline}{entry}"
    if text.endswith(newline * 2):
        gap = ""
    else:
        gap = newline
    return f"{text}{gap}{entry}{newline}"


def _short(day: date) -> str:
    return human(day).rpartition(",")[0]


def _newest_first(entries: list[Entry]) -> bool:
    """Whether the newest entry stands on top, and a new one belongs there."""
    days = [
        found.day
        for entry in entries
        if (found := stamp(entry.file.rpartition("/")[2])) and found.day
    ]
    counted_up = any(one.number and one.number < other.number for one, other in pairwise(entries))
    falls = all(one >= other for one, other in pairwise(days)) and len(set(days)) > 1
    return falls and not counted_up and len({entry.group for entry in entries}) == 1


def _with_line(text: str, beside: Entry, new: str, *, above: bool) -> str:
    if "\r\n" in text:
        newline = "\r\n"
    else:
        newline = "\n"
    if above:
        at = beside.span.start
    else:
        at = beside.span.end
    if not above:
        notes = re.compile(r"(?:[ \t]+\S[^\n]*(?:\n|\Z))*").match(text, at)
    else:
        notes = None
    # what is indented below an entry belongs to it
    if notes is not None:
        at = notes.end()
    before, after = text[:at], text[at:]
    if above or before.endswith("\n"):
        return f"{before}{new}{newline}{after}"
    return f"{before}{newline}{new}{after}"


def _like(text: str, entry: Entry, name: str, day: date, group: str, *, above: bool) -> str:
    """A line for another log in the form of this one."""
    line = text[entry.span.start : entry.span.end].rstrip("\r\n")
    folder = entry.name.rpartition("/")[0]
    if group and folder.rpartition("/")[2] == group:
        name = f"{folder}/{name}"
    if entry.form == "table":
        return apply(line, _as_table(entry, line, name, day))
    return apply(line, _as_list(entry, line, name, day, above=above)).rstrip()


def _as_list(entry: Entry, line: str, name: str, day: date, *, above: bool) -> Iterator[Edit]:
    start = entry.span.start
    if entry.form == "numbered":
        if not above or entry.number > 1:
            step = 1
        else:
            step = 0
        # a list whose every number is 1 is counted by whoever shows it
        if entry.number == 1 and entry.position > 1:
            number = entry.number
        else:
            number = entry.number + step
        yield Edit(entry.number_span.start - start, entry.number_span.end - start, str(number))
    yield from _renamed(entry, line, name)
    first, last = entry.words_span.start - start, entry.words_span.end - start
    if first < entry.name_span.start - start:
        yield Edit(first, last, _short(day))
    elif human_date(entry.words) is None and entry.words and not _DAY.search(entry.words):
        yield Edit(first, last, _short(day))  # a person's words on another run are not this one's
    elif entry.words:
        yield Edit(first, last, day.isoformat() if human_date(entry.words) is None else _short(day))
    else:
        yield Edit(len(line.rstrip()), len(line), f" — {_short(day)}")


def _renamed(entry: Entry, line: str, name: str) -> Iterator[Edit]:
    """The name in place of the other's, where the other's is a link both its text and its target."""
    start = entry.span.start
    first, last = entry.name_span.start - start, entry.name_span.end - start
    link = re.search(r"\[([^\]\n]{1,300})\]\($", line[:first])
    yield Edit(first, last, name if entry.name.endswith(".md") else name.removesuffix(".md"))
    if link is not None:
        file = name.rpartition("/")[2]
        if link[1].strip("`").endswith(".md"):
            words = file
        else:
            words = file.removesuffix(".md")
        if link[1].startswith("`"):
            words = f"`{words}`"
        yield Edit(link.start(1), link.end(1), words)


def _as_table(entry: Entry, line: str, name: str, day: date) -> Iterator[Edit]:
    """A row's cells for another log: its name, date and number; what a person wrote of the other
    one is left out.
    """
    whole = Span(0, len(line), 1, 1)
    start, named = entry.span.start, False
    for cell in cells_of(line, whole):
        first, last = cell.span.start, cell.span.end
        holds = first <= entry.name_span.start - start < max(last, first + 1)
        if holds and not named:
            named = True
            if entry.name in cell.text:
                yield from _renamed(entry, line, name)
            else:
                yield Edit(
                    first, last, name.rpartition("/")[2].removesuffix(".md").partition("_")[2]
                )
        elif human_date(cell.text) is not None:
            yield Edit(first, last, human(day) if human_date(cell.text).year else _short(day))  # type: ignore[union-attr]
        elif _DAY.fullmatch(cell.text):
            yield Edit(first, last, cell.text.replace(cell.text.strip("`*"), day.isoformat()))
        elif cell.text.isdigit():
            yield Edit(first, last, str(int(cell.text) + 1))
        elif cell.text:
            yield Edit(first, last, "")
