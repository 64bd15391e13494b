"""The one answer that every command gives a program with `--json`: an envelope on one line. Pure.

Whatever is a list is cut to a page, so that an answer about 5,000 runs is as short as one about
five; `more` says how many entries are left out, and which command has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from watchkeeper.core.errors import Problem, Severity, UsageError
from watchkeeper.core.text import odd_bytes
from watchkeeper.runfolder.values import spell
from watchkeeper.show.text import harmless_json

SCHEMA = 1
PROGRAM = "watchkeeper"
MOST_BYTES = 8_000
"""Of an answer, unless one entry alone is longer, or `--limit` says otherwise."""
PROBLEMS = "problems"
_MOST_BYTES_ASIDE = 2_000
"""Of each list that the answer is not about."""
_MARKS = 8
"""Bytes around one entry of `more`, and the growth of its numbers."""
_GRAVITY: tuple[Severity, ...] = ("error", "warning", "note")


class ProblemEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. `where` is a path, a run's key or a command; `hint` is what to do, "" for
    nothing. `code` is a short name that stays the same, "" where there is none yet. `next` is the
    command that helps, as its words; null: none.
    """

    severity: Severity
    where: str
    message: str
    hint: str = ""
    code: str = ""
    next: tuple[str, ...] | None = None


class More(msgspec.Struct, frozen=True, kw_only=True):
    """What a list leaves out: how many entries, and the command that has the next of them, as its
    words; null where the answer cannot be asked for again.
    """

    count: int
    next: tuple[str, ...] | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `summary` is one line for people, `counts` are numbers by name, `problems` come
    worst first. `more`: the name of a list that is cut → what it leaves out. `data` is the
    command's own object; null where the command failed before it had one.
    """

    schema: Literal[1]
    command: str
    exit_code: int
    summary: str
    counts: dict[str, int]
    problems: tuple[ProblemEntry, ...]
    more: dict[str, More]
    data: Any


@dataclass(frozen=True)
class Page:
    """Which part of the lists is wanted. `limit`: entries of each list; None: as many as fit into
    `MOST_BYTES`, 0: all. `cursor`: a list and where to begin in it, as an earlier answer gave it;
    "": every list from its beginning.
    """

    limit: int | None = None
    cursor: str = ""


WHOLE = Page(limit=0)
FIRST = Page()


@dataclass(frozen=True)
class Answer:
    """What a command has to say, before its lists are cut. `data` is a struct, a mapping or None;
    its lists, also those of the mappings and structs in it, are cut, and the first of them is the
    one that the answer is about. `words` are those of the command that can be asked for more, by
    cursor or, where it `has_cursor` not, for all of it; None: there is none. `beside` are keys of
    their own beside `data`, each a list in it by that name. `left_out`: what else `data` lacks, by
    name → how many; the whole answer has it.
    """

    command: str
    exit_code: int
    summary: str
    counts: Mapping[str, int]
    problems: Sequence[Problem]
    data: Any
    words: tuple[str, ...] | None = None
    has_cursor: bool = True
    beside: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def entry_of(problem: Problem) -> ProblemEntry:
    """The problem as an answer has it, with every field."""
    return ProblemEntry(
        severity=problem.severity,
        where=problem.where,
        message=problem.message,
        hint=problem.hint,
        code=problem.code,
        next=problem.next,
    )


def plain(value: object) -> Any:
    """The value as JSON holds it: times in UTC, non-finite numbers by their names, paths as text,
    and a sign for each byte that is no UTF-8.
    """
    return _spelled(
        msgspec.to_builtins(value, builtin_types=(datetime,), str_keys=True, enc_hook=str)
    )


def _spelled(value: Any) -> Any:
    if isinstance(value, float):
        return spell(value)
    if isinstance(value, str):
        return odd_bytes.as_text(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {odd_bytes.as_text(key): _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(inner) for inner in value]
    return value


def line_of(answer: Answer, page: Page = FIRST) -> str:
    """The answer as one line of JSON, without its newline; a terminal obeys nothing in it.

    Raises:
        UsageError: the cursor names no list of this answer.
    """
    return _encoded(document_of(answer, page))


def document_of(answer: Answer, page: Page = FIRST) -> dict[str, Any]:
    """The answer as JSON's own values, its lists cut to the page.

    Raises:
        UsageError: the cursor names no list of this answer.
    """
    problems = _List(_worst_first(answer.problems))
    lists = {PROBLEMS: problems}
    more: dict[str, Any] = {name: _whole(answer, n) for name, n in answer.left_out.items()}
    document = {
        "schema": SCHEMA,
        "command": answer.command,
        "exit_code": answer.exit_code,
        "summary": " ".join(plain(answer.summary).split()),
        "counts": dict(answer.counts),
        PROBLEMS: problems.shown,
        "more": more,
        "data": _without_lists(answer.data, "", lists),
    }
    for name in answer.beside:
        document[name] = lists[name].shown
    main = _main_list(lists, page.cursor)
    room = MOST_BYTES - _size(document)
    aside = room // 2  # for all lists but the main one together
    for name in sorted(lists, key=lambda one: one == main):
        one = lists[name]
        mention = _size(_more(answer, name, one)) + len(name) + _MARKS
        room -= mention
        share = room if name == main else min(aside // 2, _MOST_BYTES_ASIDE)
        copies = 2 if name in answer.beside else 1
        least = 1 if name == main else 0
        used = copies * one.fill(page.limit, share // copies, least)
        room -= used
        aside -= used
        if one.left:
            more[name] = _more(answer, name, one)
        else:
            room += mention
    return document


@dataclass
class _List:
    """A list of the answer, and the part of it that is shown, from `start` on."""

    entries: Sequence[Any]
    shown: list[Any] = field(default_factory=list)
    start: int = 0

    @property
    def end(self) -> int:
        """Where the next page begins."""
        return self.start + len(self.shown)

    @property
    def left(self) -> int:
        """How many entries come after those shown."""
        return max(0, len(self.entries) - self.end)

    def fill(self, limit: int | None, room: int, least: int) -> int:
        """Show `limit` entries, all for 0, or for None as many as there is room for, but `least` in
        any case. Returns the bytes that they take.
        """
        used = 0
        last = self.start + limit if limit else None
        for entry in self.entries[self.start : last]:
            value = plain(entry)
            size = _size(value) + 1
            if limit is None and used + size > room and len(self.shown) >= least:
                break
            self.shown.append(value)
            used += size
        return used


def _worst_first(problems: Sequence[Problem]) -> list[ProblemEntry]:
    ordered = sorted(problems, key=lambda problem: _GRAVITY.index(problem.severity))
    return [entry_of(problem) for problem in ordered]


def _without_lists(value: Any, name: str, lists: dict[str, _List]) -> Any:
    """The value with each list in it empty;
    the lists are put into `lists` by their dotted names.
    """
    if isinstance(value, list | tuple):
        lists[name] = _List(value)
        return lists[name].shown
    if isinstance(value, msgspec.Struct):
        value = {one: getattr(value, one) for one in value.__struct_fields__}
    if not isinstance(value, Mapping):
        return plain(value)
    prefix = f"{name}." if name else ""
    return {key: _without_lists(inner, f"{prefix}{key}", lists) for key, inner in value.items()}


def _main_list(lists: dict[str, _List], cursor: str) -> str:
    """The list that the cursor names, which then begins there; else the one that the answer is
    about.
    """
    if not cursor:
        return [*lists, PROBLEMS][1]
    name, _, number = cursor.rpartition(":")
    if name not in lists or not (number.isascii() and number.isdigit()):
        raise UsageError(
            f"--cursor {cursor!r} belongs to no list of this answer",
            hint="take it from `more` of the answer before, or leave it out",
            code="bad-cursor",
        )
    lists[name].start = int(number)
    return name


def _more(answer: Answer, name: str, cut: _List) -> dict[str, Any]:
    if answer.words is None:
        return {"count": cut.left, "next": None}
    asked = ("--cursor", f"{name}:{cut.end}") if answer.has_cursor else ("--limit", "0")
    return {"count": cut.left, "next": _with_options(answer.words, asked)}


def _whole(answer: Answer, count: int) -> dict[str, Any]:
    """What is left out otherwise than by a list's end, and the command that leaves nothing out."""
    if answer.words is None:
        return {"count": count, "next": None}
    return {"count": count, "next": _with_options(answer.words, ("--limit", "0"))}


def _with_options(words: tuple[str, ...], options: tuple[str, ...]) -> list[str]:
    """The command line with more options, before the two dashes that end them."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], *options, *words[end:]]


def _encoded(value: Any) -> str:
    return harmless_json(msgspec.json.encode(value).decode())


def _size(value: Any) -> int:
    return len(_encoded(value).encode())
