"""Changes of code as unified diffs: between kept files, between commits, and kept as they were."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from watchkeeper.core.code import git
from watchkeeper.core.disk.objects import read_kept
from watchkeeper.core.text import lazy
from watchkeeper.core.text.redaction import redact
from watchkeeper.query.views.pages import Diff
from watchkeeper.report.compare.sides import Side

MOST_LINES = 400
"""Of one diff."""
MOST_DIFFS = 8
_MOST_FILE_BYTES = 256 * 1024
_MOST_NAMES = 50
_CONTEXT = 3
_CHANGED_FILE = lazy.pattern(r"^diff --git .* b/(.*)$", re.MULTILINE)
_HUNK = lazy.pattern(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@")


class Extent(NamedTuple):
    """How much a patch changes. Of a line that was changed both sides count as one."""

    files: int
    lines: int

    @property
    def words(self) -> str:
        """`1 file, 3 lines`."""
        files = f"{self.files} files"
        if self.files == 1:
            files = "1 file"
        lines = f"{self.lines} lines"
        if self.lines == 1:
            lines = "1 line"
        return f"{files}, {lines}"


def files_in(patch: bytes) -> list[str]:
    """The files that a patch, as git writes it, changes: of `diff --git a/train.py b/train.py` that
    is `train.py`. One that was moved has its new name.
    """
    return _CHANGED_FILE.findall(patch.decode("utf-8", "replace"))


def extent_of(patch: bytes) -> Extent:
    """How much a patch, as git writes it, changes. A binary file has no lines; b"" is no file."""
    files = lines = 0
    for part in re.split(rb"^diff --git ", patch, flags=re.MULTILINE)[1:]:
        files += 1
        lines += _lines_changed(part.decode("utf-8", "replace").splitlines())
    return Extent(files, lines)


def _lines_changed(part: Sequence[str]) -> int:
    """The lines that one file's part of a patch changes.

    A stretch of three lines `-` and two lines `+` changes three. The lines `---` and `+++` above
    the first hunk name the file, and are not counted.
    """
    hunks = [number for number, line in enumerate(part) if _HUNK.match(line)]
    if not hunks:
        return 0
    signs = "".join(line[:1] for line in part[hunks[0] :])
    total = 0
    for run in re.findall(r"[-+]+", signs):
        total += max(run.count("+"), run.count("-"))
    return total


def diffs_of(base: Side, sides: Sequence[Side]) -> list[Diff]:
    """How the code of these runs differs from the base's, each difference once.

    At most eight, each of at most 400 lines without secrets. Where a difference cannot be shown,
    its `note` says why. The base itself may be among `sides`.
    """
    diffs: list[Diff] = []
    seen: set[tuple[str, ...]] = set()
    for side in sides:
        for identity, diff in _against(base, side):
            if identity in seen or len(diffs) == MOST_DIFFS:
                continue
            seen.add(identity)
            diffs.append(diff)
    return diffs


def _against(base: Side, side: Side) -> Iterator[tuple[tuple[str, ...], Diff]]:
    """Each difference of the code, with what tells it from those of other runs: two runs from the
    same commit have the same difference from the base.

    They are of the files or commits, of the script where both runs had one, and of what was not
    committed.
    """
    if base.commit != side.commit or base.files != side.files:
        files = sorted(side.files.items())
        identity = ("code", side.commit, *(f"{name} {sha256}" for name, sha256 in files))
        diff = _code(base, side)
        if diff is not None:
            yield identity, diff
    if base.script and side.script and base.script != side.script:
        yield ("script", side.script), _scripts(base, side)
    if base.diff != side.diff:
        yield ("uncommitted", side.diff), _uncommitted(base, side)


def _code(base: Side, side: Side) -> Diff | None:
    """How the code differs: of the files that both runs kept, else between their commits; None
    where it is the same.

    A diff without lines has a note that says why none can be shown.
    """
    differ_by_commit = base.commit != side.commit
    what = "files of the code"
    if differ_by_commit:
        what = f"{base.commit[:8] or 'no commit'} to {side.commit[:8] or 'no commit'}"
    if base.files and base.files == side.files:
        return Diff(what=what, lines=[], note="no file that the runs name differs")
    kept = _kept_files(base, side)
    if kept is not None:
        return _cut(what, kept)
    if differ_by_commit and base.commit and side.commit:
        return _between_commits(what, base, side)
    return Diff(what=what, lines=[], note="the files themselves were not kept")


def _kept_files(base: Side, side: Side) -> list[str] | None:
    """The diff of the files of both runs' code; None where one of them was not kept, or where the
    runs name no file that differs. A file that only one of them has differs from an empty one.
    """
    names = _differing(base.files, side.files)
    lines: list[str] = []
    for name in names:
        old = _kept_text(base, base.files.get(name, ""))
        new = _kept_text(side, side.files.get(name, ""))
        if old is None or new is None:
            return None
        lines += _unified(f"{base.name}/{name}", f"{side.name}/{name}", old, new)
    if not names:
        return None
    return lines


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The names of the files (name → hash) that are not the same in both, in order.

        old {"train.py": "a1…", "data.py": "b2…"}, new {"train.py": "c3…", "data.py": "b2…"}
        → ["train.py"]

    A file that only one of them has is among them.
    """
    entries = dict(set(old.items()) ^ set(new.items()))
    return sorted(entries)


def _kept_text(side: Side, sha256: str) -> str | None:
    """A kept file's text, "" for none; None where it was not kept, or is too large. `sha256` is the
    name under which the side's experiment or run keeps it.
    """
    if not sha256:
        return ""
    if not side.kept:
        return None
    data = read_kept(Path(side.kept), sha256)
    if data is None or len(data) > _MOST_FILE_BYTES:
        return None
    return data.decode("utf-8", "replace")


def _unified(old_name: str, new_name: str, old: str, new: str) -> Iterator[str]:
    """The lines of a unified diff of two texts, under these names."""
    return difflib.unified_diff(
        old.splitlines(), new.splitlines(), old_name, new_name, lineterm="", n=_CONTEXT
    )


def _between_commits(what: str, base: Side, side: Side) -> Diff:
    """The diff of two commits by git, of the files that the runs name where they name any.

    The repository is looked for where each of the two runs lies. `what` heads the diff. One without
    lines says that git cannot show it, as where a commit was never fetched.
    """
    names = _differing(base.files, side.files)[:_MOST_NAMES]
    for place in dict.fromkeys([base.where, side.where]):
        folder = Path(place)
        if not folder.is_dir():
            # What is compared may be a file, as a run log: its folder may lie in the repository.
            folder = folder.parent
        patch = git.diff_between(folder, base.commit, side.commit, names)
        if patch is not None:
            return _cut(what, patch.decode("utf-8", "replace").splitlines())
    note = "git has not both commits here: what changed between them cannot be shown"
    return Diff(what=what, lines=[], note=note)


def _scripts(base: Side, side: Side) -> Diff:
    """How the scripts differ that both jobs ran, as they were kept at submission. Where one was not
    kept, a note says so.
    """
    old = _kept_text(base, base.script_object)
    new = _kept_text(side, side.script_object)
    if old is None or new is None:
        return Diff(what="script", lines=[], note="the scripts were not kept, or are too large")
    return _cut("script", _unified(f"{base.name} script", f"{side.name} script", old, new))


def _uncommitted(base: Side, side: Side) -> Diff:
    """The uncommitted changes of the run; of the base where the run has none: they too are what
    makes the two differ. Where they were not kept, a note says so.
    """
    owner = side
    if not side.diff:
        owner = base
    what = f"uncommitted, {owner.name}"
    patch = None
    if owner.kept:
        patch = read_kept(Path(owner.kept), owner.diff)
    if patch is None:
        return Diff(what=what, lines=[], note="the changes were not kept")
    return _cut(what, patch.decode("utf-8", "replace").splitlines())


def _cut(what: str, lines: Iterable[str]) -> Diff:
    """The first 400 lines, without secrets, and how many there are besides."""
    whole = list(lines)
    shown = [redact(line) for line in whole[:MOST_LINES]]
    return Diff(what=what, lines=shown, left_out=len(whole) - len(shown))
