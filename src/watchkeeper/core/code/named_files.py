"""The files that a shell script names, found without running it: by the words of its commands,
where those stand.

A relative name is looked for in the folder in which the script begins (its own) and in those that a
plain `cd` leads to, the last one first. Variables that the script sets once to a plain value are
put in; any other word that the shell would expand says nothing. After a `cd` that cannot be
followed the top of the repository counts as well.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from watchkeeper.core.code.git import holder_of
from watchkeeper.core.code.shell_text import commands, variables
from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.text import lazy

SCRIPT_BYTES = 2**20
_UNKNOWN = lazy.pattern(r"[$`*?\[]")
_VARIABLE = lazy.pattern(r"\$(?:(\w+)|\{(\w+)\})")
_BESIDE = lazy.pattern(r"\$\{?SLURM_SUBMIT_DIR\}?|\$\(dirname [^)]*\)")
"""A batch script begins in the folder that it is submitted from: its own."""
_MOST_FOLDERS = 8


@lru_cache(maxsize=4)
def words(text: str) -> tuple[str, ...]:
    """The words of a script's commands, the variables put in that it sets once. A script is read
    for its configurations, its code and its modules: the last ones are remembered.
    """
    return tuple(_words(text))


def _words(text: str) -> Iterator[str]:
    """What `words` gives, one by one, with a newline behind each command. A command that a shell
    could not part, as with a quote that is not closed, is parted at its spaces.
    """
    values = variables(text)
    for _, line in commands(text):
        known = _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), line)
        try:
            yield from shlex.split(known, comments=True)
        except ValueError:
            yield from known.split()
        yield "\n"


def files_of(script: Path, suffixes: tuple[str, ...], workdir: Path | None = None) -> list[Path]:
    """The files with these suffixes, each once, in the order named: whole paths, links left as they
    are. The name of a file that is not there says nothing. `workdir` is the folder in which the
    script begins, None: its own.
    """
    text = text_of(script)
    places = _Places(workdir or script.parent)
    files: dict[Path, None] = {}
    before = ""
    for word in words(text):
        if before == "cd":
            places.enter(word)
        before = word.lstrip("({")
        for value in _values(word):
            if not value.endswith(suffixes) or _UNKNOWN.search(value):
                continue
            path = places.find(value)
            if path is not None:
                files[path] = None
    return list(files)


def modules_of(script: Path, workdir: Path | None = None) -> list[Path]:
    """The Python modules that a script runs with `-m`, where their files lie in the folder in which
    it begins (`workdir`, None: its own) or where a plain `cd` leads.
    """
    places = _Places(workdir or script.parent)
    modules: dict[Path, None] = {}
    before = ""
    for word in words(text_of(script)):
        if before == "cd":
            places.enter(word)
        elif before == "-m" and re.fullmatch(r"[A-Za-z_][\w.]*", word):
            inside = word.replace(".", "/")
            path = places.find(f"{inside}.py") or places.find(f"{inside}/__main__.py")
            if path is not None:
                modules[path] = None
        before = word.lstrip("({")
    return list(modules)


def text_of(path: Path) -> str:
    """The first MiB of a file as text; "" where it cannot be read."""
    try:
        with open_regular(path) as file:
            return read_most(file, SCRIPT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _values(word: str) -> Iterator[str]:
    """What a word may name: itself, or what stands behind its `=`. Of `config=a.yaml;` these are
    `config=a.yaml` and `a.yaml;`.
    """
    yield word.strip(";&|()<>")
    if "=" in word:
        yield word.rpartition("=")[2]


class _Places:
    """The folders in which a relative name may lie."""

    def __init__(self, own: Path) -> None:
        self._own = own
        self._folders = [own]

    def enter(self, word: str) -> None:
        """Follow a `cd`. Where it cannot be followed (`cd $DIR`, `cd ~/x`, `cd -`), the top of the
        repository counts instead. No more than _MOST_FOLDERS are kept: later ones are passed over.
        """
        if len(self._folders) >= _MOST_FOLDERS:
            return
        name, base = word.rstrip(";&"), self._folders[0]
        beside = _BESIDE.match(name)
        if beside is not None:
            name, base = f".{name[beside.end() :]}", self._own
        known = not (_UNKNOWN.search(name) or name.startswith(("~", "-")))
        if known:
            folder = base / name
        else:
            folder = holder_of(self._own) or self._own
        self._folders.insert(0, Path(os.path.normpath(folder)))

    def find(self, name: str) -> Path | None:
        """The file of that name, in the last folder that has it; None: none has."""
        for folder in self._folders:
            path = folder / name
            try:
                if path.is_file():
                    return Path(os.path.normpath(path))
            except (OSError, ValueError):
                continue
        return None
