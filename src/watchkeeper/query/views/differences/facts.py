"""What was recorded of one run beside its settings and figures, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.disk.objects import read_kept
from watchkeeper.query.views.differences.environments import (
    Change,
    Environments,
    change_of,
    counted,
    python_of,
)
from watchkeeper.query.views.differences.patches import extent_of, files_in
from watchkeeper.report.compare.sides import Side
from watchkeeper.runfolder.telemetry import read_last_sample

NOT_KNOWN = "not recorded"
MOST_FILES = 8
HASH = 8
"""Characters of a hash that are shown."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run. `words`: what it is → how it is, "" where nobody recorded it.
    `packages` are those of its environment (None: not recorded), `changed` the files with
    uncommitted changes.
    """

    words: Mapping[str, str]
    packages: Mapping[str, str] | None = None
    changed: list[str] = []

    def against(self, base: Facts, key: str) -> Change:
        """One fact in words, and what unfolds below it; packages are counted against the base's.

        `key` is one of the names that the page compares, such as `code` or `environment`.
        """
        if key == "environment":
            return self._environment(base)
        details = []
        if key == "uncommitted":
            details = self.changed
        return Change(self.words.get(key) or NOT_KNOWN, details)

    def _environment(self, base: Facts) -> Change:
        """How many packages the run had, and how they differ from the base's where both
        are known.
        """
        if self.packages is None:
            return Change(NOT_KNOWN, [])
        if base.packages is None:
            return Change(counted(self.packages), [])
        return change_of(base.packages, self.packages)


def facts_of(side: Side, environments: Environments) -> Facts:
    """What was recorded of a run. `environments` reads the kept lists of packages, each once for
    all the runs that are compared.
    """
    words = {
        "code": side.commit[:HASH],
        "script": side.script[:HASH],
        "data": side.data,
        "host": side.host,
        "GPU": _gpus(side.recorder),
    }
    patch = _patch_of(side)
    words["uncommitted"] = _uncommitted(side, patch)
    packages = None
    environment = environments.read(Path(side.kept), side.environment)
    if environment is not None:
        python = python_of(environment)
        packages = python.packages
        words["Python"] = python.version
        words["system"] = environment.system
    return Facts(words=words, packages=packages, changed=files_in(patch or b"")[:MOST_FILES])


def _patch_of(side: Side) -> bytes | None:
    """The uncommitted changes that were kept; None where there are none, or they are lost."""
    if not side.diff:
        return None
    return read_kept(Path(side.kept), side.diff)


def _uncommitted(side: Side, patch: bytes | None) -> str:
    """What was not committed, as much as is known of it: `2 files, 17 lines`, `none`, or that there
    were changes; "" where nobody looked.
    """
    if patch is not None:
        return extent_of(patch).words
    if side.diff:
        return "changes, lost"
    if side.dirty:
        return "changes, not kept"
    if side.commit and side.dirty is not None:
        return "none"
    return ""


def _gpus(recorder: str) -> str:
    """`2 × NVIDIA H100`: those that the job held, else all that were measured; "" for none.

    `recorder` is the folder of the recorded run, "" for none. The last sample of its telemetry
    counts.
    """
    if not recorder:
        return ""
    last = read_last_sample(Path(recorder))
    if last is None:
        return ""
    _, sample = last
    held = [gpu.name for gpu in sample.gpus if gpu.ours_bytes]
    counts = Counter(held or [gpu.name for gpu in sample.gpus])
    return ", ".join(f"{count} × {name}" for name, count in counts.items())
