"""The configuration files that a job's script names: an attempt keeps them, so that the exact ones can be found again."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from watchkeeper.launch.scripts import commands

SUFFIXES = (".yaml", ".yml", ".json", ".toml", ".cfg", ".ini")
MOST_BYTES = 2**20
"""Of one file: a larger one is data, not configuration, and is not kept."""
MOST_FILES = 20
BESIDE = {"finetune.slurm": ("finetune.yaml", "setup_finetune.yaml"), "cell.slurm": ("eval.yaml",)}
"""What newer folders keep beside a script, whether it names them or not."""
_UNKNOWN = re.compile(r"[$`*?\[]")


def files_of(script: Path) -> list[Path]:
    """The files, each once, in the order named; relative names are looked for beside the script. A word that the shell
    would expand says nothing, and neither does the name of a file that is not there.
    """
    found: dict[Path, None] = {}
    for word in [*_words(script), *BESIDE.get(script.name, ())]:
        value = word.rpartition("=")[2] if word.startswith("-") else word
        if _UNKNOWN.search(value) or not value.endswith(SUFFIXES):
            continue
        path = script.parent / value
        try:
            if path.is_file() and path.stat().st_size <= MOST_BYTES:
                found[Path(os.path.normpath(path))] = None
        except (OSError, ValueError):
            continue
    return list(found)[:MOST_FILES]


def _words(script: Path) -> Iterator[str]:
    try:
        with script.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    for _, line in commands(text):
        try:
            yield from shlex.split(line, comments=True)
        except ValueError:
            yield from line.split()
