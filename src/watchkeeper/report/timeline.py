"""`timeline.md`, read without loss, and with an entry more.

# ARX5 Multitask Timeline
1. `2026-02-20_train.md` — Friday, Feb 20th
"""

from __future__ import annotations

import re
from datetime import date

import msgspec

from watchkeeper.report.dates import human
from watchkeeper.report.runlog import Span, lines

_NUMBERED = re.compile(r"[ \t]*(\d{1,9})[.)][ \t]+")
_BULLET = re.compile(r"[ \t]*[-*+][ \t]+")
_NAME = re.compile(r"`([^`\n]{1,300})`|\[[^\]\n]{1,300}\]\(([^)\n]{1,300})\)|([^\s`\[]{1,300}\.md)(?!\S)")
_HEADING = re.compile(r"\ufeff? {0,3}#{1,6}[ \t]+")


class Entry(msgspec.Struct, frozen=True):
    """One numbered line: the number, the file it names, and the words behind it."""

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
    odd: list[Span] = []
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
            number = _NUMBERED.match(content)
            position += number is not None
            name = _NAME.match(content, number.end()) if number else None
            if number and name and name[name.lastindex or 0].endswith(".md"):
                which = name.lastindex or 0
                words = content[name.end() :].strip().lstrip("—–-: \t")
                at = line.start + (content.rindex(words) if words else len(content.rstrip()))
                places = [line.span(line.start + a, line.start + b) for a, b in (number.span(1), name.span(which))]
                entry = Entry(
                    span=line.span(),
                    number=int(number[1]),
                    number_span=places[0],
                    name=name[which],
                    name_span=places[1],
                    words=words,
                    words_span=line.span(at, at + len(words)),
                    group=group,
                    position=position,
                )
                entries.append(entry)
            elif (number or _BULLET.match(content)) and ".md" in content[:1000]:
                odd.append(line.span())
    return Timeline(title, title_line, entries, odd)


def with_entry(text: str, name: str, day: date, group: str) -> str | None:
    """The timeline with a log named behind its last entry; None where it names it already. An empty text is begun, with a
    title from the folder's name (`group`, "" for the logs that lie in no group).
    """
    found = parse_timeline(text)
    if any(entry.name.rpartition("/")[2] == name for entry in found.entries):
        return None
    number = found.entries[-1].number + 1 if found.entries else 1
    words = human(day).rpartition(",")[0]
    if not text.strip():
        title = " ".join(word[0].upper() + word[1:] for word in re.split(r"[_\s]+", group) if word)
        return f"# {title + ' ' if title else ''}Timeline\n\n{number}. `{name}` — {words}\n"
    newline = "\r\n" if "\r\n" in text else "\n"
    at = found.entries[-1].span.end if found.entries else len(text)
    before, after = text[:at], text[at:]
    if not before.endswith("\n"):
        return f"{before}{newline}{number}. `{name}` — {words}{after}"
    gap = newline if not found.entries and not before.endswith(newline * 2) else ""
    return f"{before}{gap}{number}. `{name}` — {words}{newline}{after}"
