"""The configuration files that a job's script names: an attempt keeps them, so that the exact ones
can be found again.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core.code import named_files

SUFFIXES = (".yaml", ".yml", ".json", ".toml", ".cfg", ".ini")
MOST_BYTES = 2**20
"""Of one file: a larger one is data, not configuration, and is not kept."""
MOST_FILES = 20
BESIDE = {"finetune.slurm": ("finetune.yaml", "setup_finetune.yaml"), "cell.slurm": ("eval.yaml",)}
"""What newer folders keep beside a script, whether it names them or not."""


def files_of(script: Path, workdir: Path | None = None) -> list[Path]:
    """The files, each once, in the order named (`core/code/named_files.py` says where they are
    looked for); then those that newer folders keep beside the script. The name of a file that is
    not there says nothing. `workdir` is the folder in which the script begins, None: its own.
    """
    beside = [script.parent / name for name in BESIDE.get(script.name, ())]
    named = dict.fromkeys(
        [
            *named_files.files_of(script, SUFFIXES, workdir),
            *map(Path, map(os.path.normpath, beside)),
        ]
    )
    return [path for path in named if _is_small(path)][:MOST_FILES]


def name_of(path: Path, experiment: Path) -> str:
    """A file's name in the journal: relative to the experiment, where it lies in it, else
    absolute.
    """
    if path.is_relative_to(experiment):
        return str(path.relative_to(experiment))
    return str(path)


def _is_small(path: Path) -> bool:
    """Whether it is a file of at most `MOST_BYTES`. False too: it is not there, or cannot be
    looked at.
    """
    try:
        return path.is_file() and path.stat().st_size <= MOST_BYTES
    except OSError:
        return False
