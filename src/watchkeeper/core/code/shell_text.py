"""Reading a shell script without running it."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from watchkeeper.core.text import lazy

_HEREDOC = lazy.pattern(r"<<-?\s*(['\"]?)(\w+)\1")
_ASSIGNED = lazy.pattern(r"(?:^|[\s;&|(])(?:export\s+|local\s+|readonly\s+)?(\w+)\+?=")
_SET_OTHERWISE = lazy.pattern(r"\b(?:for|read|select|getopts|mapfile|readarray)\b([^;|&\n]*)")


@lru_cache(maxsize=8)  # one script is read for several questions in a row
def commands(text: str) -> tuple[tuple[int, str], ...]:
    """(line number, command) of a script: without comments, blank lines and here-documents,
    continuations joined.

    A line `srun a` with a backslash at its end, and `--lr 1  # b` below it, are the one command
    `srun a --lr 1`, at the first of the two lines.
    """
    return tuple(_commands(text))


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """The commands as `commands` describes them. A `#` in a line with quotes may be part of a word,
    so such a line keeps its comment.
    """
    rest = enumerate(text.splitlines(), 1)
    for number, line in rest:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        while text.endswith("\\"):
            text = text[:-1] + next(rest, (0, ""))[1].strip()
        for match in _HEREDOC.finditer(text):
            _skip_document(rest, match[2])
        is_quoted = "'" in text or '"' in text
        if is_quoted:
            yield number, text
        else:
            yield number, re.sub(r"\s#.*$", "", text)


def _skip_document(lines: Iterator[tuple[int, str]], end: str) -> None:
    """Read past a here-document: up to the line that is `end` alone, or to the end of the script
    where none is.
    """
    for _, line in lines:
        if line.strip() == end:
            return


def words_of(command: str) -> list[str]:
    """The words of a command as a shell splits them, operators and redirections apart; [] where it
    cannot be split, as with a quote that is not closed. Nothing is expanded: `$HOME` stays.

    `a "b c">out;d` has the words `a`, `b c`, `>`, `out`, `;` and `d`.
    """
    return list(_words_of(command))


@lru_cache(maxsize=4096)  # the scripts of a sweep share most of their lines
def _words_of(command: str) -> tuple[str, ...]:
    """What `words_of` gives, in a form that can be kept."""
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        return tuple(lexer)
    except ValueError:
        return ()


def assigned(text: str) -> frozenset[str]:
    """The names of the variables that a script sets, in whatever way. It may name more than are
    set, and leaves out none that is.

    Of `A=1`, `export B=2` and `read c` these are `A`, `B` and `c`.
    """
    names: set[str] = set()
    for _, command in commands(text):
        names.update(_ASSIGNED.findall(command))
        names.update(_names_set_otherwise(command))
    return frozenset(names)


def variables(text: str) -> dict[str, str]:
    """The variables that a script sets once, to a plain value, alone on a line: name → value.

    `OUT=out/r8` counts; `OUT=$1`, `OUT=a cmd`, and a variable that is set twice, in a loop's head
    or by `read` do not.
    """
    lines = [command for _, command in commands(text)]
    times_set: Counter[str] = Counter()
    set_otherwise: set[str] = set()
    for line in lines:
        times_set.update(_ASSIGNED.findall(line))
        set_otherwise.update(_names_set_otherwise(line))
    values: dict[str, str] = {}
    for line in lines:
        for name, value in _assignments(line):
            is_plain = re.search(r"[$`]", value) is None
            is_set_once = times_set[name] == 1 and name not in set_otherwise
            if is_plain and is_set_once:
                values[name] = value
    return values


def _names_set_otherwise(line: str) -> Iterator[str]:
    """The words behind `for`, `read` and their like: each may be a variable that it sets.

    Of `for epoch in 0 1` these are `epoch`, `in`, `0` and `1`.
    """
    for words in _SET_OTHERWISE.findall(line):
        yield from re.findall(r"\w+", words)


def _assignments(line: str) -> Iterator[tuple[str, str]]:
    """The names and values of a line that does nothing but assign: `A=1 B="x y"` has (A, 1) and (B,
    x y), `A=1 train` has none.
    """
    words = words_of(line)
    if words[:1] in (["export"], ["readonly"]):
        words = words[1:]
    if not all(re.match(r"\w+=", word) for word in words):
        return
    for word in words:
        name, _, value = word.partition("=")
        yield name, value
