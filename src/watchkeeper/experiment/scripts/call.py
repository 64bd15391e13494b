"""A script as a person named it: what makes it the same work, and what its run is called."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from watchkeeper.core.text import lazy, redaction

PYTHON = ".py"
_MOST_SLUG = 60
_SEPARATORS = lazy.pattern(r"[\s_]+")
_NOT_IN_SLUG = lazy.pattern(r"[^A-Za-z0-9.=+_]+")


class ScriptCall(msgspec.Struct, frozen=True, kw_only=True):
    """A script to be submitted. `path` and `workdir` are absolute; `args` are as typed. `name` is
    "" where the run is named by the script and its arguments. `batch` is the batch script that runs
    a Python file, "": `path` is one. `needs` are the runs that must be done before it starts, and
    `outputs` patterns of what it must leave.
    """

    path: Path
    workdir: Path
    args: tuple[str, ...] = ()
    name: str = ""
    batch: str = ""
    needs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The same for each call of the same work: script, arguments and folder. A secret among the
        arguments does not count: another token does no other work.
        """
        return _digest([str(self.path), str(self.workdir), *self.redacted_args], 16)

    @property
    def key(self) -> str:
        """The name of its first run: the given one, else `train`, else
        `train_lr_1e-3_5f2a1c09`, of which the last part tells equal beginnings apart.
        """
        if self.name:
            return self.name
        if not self.args:
            return self.path.stem
        parts = [self.path.stem, slug(self.args), _digest(self.redacted_args, 8)]
        return "_".join(filter(None, parts))

    @property
    def redacted_args(self) -> tuple[str, ...]:
        """The arguments without the secrets in them."""
        return tuple(redaction.redact_words(self.args))


def slug(args: Sequence[str]) -> str:
    """Arguments as part of a name: `lr_1e-3_rank_8`, at most 60 characters, secrets left out."""
    words = [word.lstrip("-") for word in redaction.redact_words(args)]
    words = [word.replace(redaction.REDACTED, "") for word in words]
    text = _SEPARATORS.sub("_", "_".join(filter(None, words)))
    return _NOT_IN_SLUG.sub("-", text)[:_MOST_SLUG].strip("-_.")


def _digest(words: Sequence[str], length: int) -> str:
    """The first letters of a SHA-256 over words: it tells one list of arguments from another."""
    data = b"\0".join(os.fsencode(word) for word in words)
    return hashlib.sha256(data).hexdigest()[:length]


def batch_of(path: Path, python: str, options: Sequence[str]) -> str:
    """The batch script that runs a Python file; `options` become its `#SBATCH` lines."""
    lines = ["#!/bin/bash", f"#SBATCH --job-name={shlex.quote(path.stem)}"]
    lines += [f"#SBATCH {option}" for option in options]
    lines.append(f'exec {shlex.quote(python)} {shlex.quote(str(path))} "$@"')
    return "\n".join(lines) + "\n"
