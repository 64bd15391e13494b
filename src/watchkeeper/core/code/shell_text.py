"""Reading a shell script without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_ASSIGNED = re.compile(r"(?:^|[\s;&|(])(?:export\s+|local\s+|readonly\s+)?(\w+)\+?=")
_SET_OTHERWISE = re.compile(r"\b(?:for|read|select|getopts|mapfile|readarray)\b([^;|&\n]*)")


def commands(text: str) -> Iterator[tuple[int, str]]:
    """(line number, command) of a script: without comments, blank lines and here-documents,
    continuations joined.
    """
    rest = enumerate(text.splitlines(), 1)
    for number, line in rest:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        while text.endswith("\\"):
            text = text[:-1] + next(rest, (0, ""))[1].strip()
        ends = [found.group(2) for found in _HEREDOC.finditer(text)]
        for end in ends:
            while (inside := next(rest, None)) is not None and inside[1].strip() != end:
                pass
        yield number, re.sub(r"\s#.*$", "", text) if "'" not in text and '"' not in text else text


def words_of(command: str) -> list[str]:
    """The words of a command as a shell splits them, operators and redirections apart; [] where
    that cannot be told.
    """
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        return list(lexer)
    except ValueError:
        return []


def variables(text: str) -> dict[str, str]:
    """The variables that a script sets once, to a plain value, on a line of its own: name → value."""
    lines = [command for _, command in commands(text)]
    names = [name for line in lines for name in _ASSIGNED.findall(line)]
    otherwise = {
        word
        for line in lines
        for found in _SET_OTHERWISE.findall(line)
        for word in re.findall(r"\w+", found)
    }
    values: dict[str, str] = {}
    for line in lines:
        words = words_of(line)
        if words[:1] in (["export"], ["readonly"]):
            words = words[1:]
        for word in words if all(re.match(r"\w+=", word) for word in words) else ():
            name, _, value = word.partition("=")
            if names.count(name) == 1 and name not in otherwise and not re.search(r"[$`]", value):
                values[name] = value
    return values
