"""What an attempt was submitted with, and the same again in its own folder: commit,
uncommitted changes, script, configurations; the environment as far as it was seen.

The user's own working tree is never written to. A worktree is made by `git worktree add --detach`;
without Git a plain folder gets what was kept. Nothing is made where a part is missing: a tree that
only looks like the one that ran is worse than none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.code import git
from watchkeeper.core.code.environment import Environment
from watchkeeper.core.disk import files, objects
from watchkeeper.core.errors import StorageError, UsageError, WatchkeeperError
from watchkeeper.core.events import Intended, RunStarted
from watchkeeper.core.layout import workdir_of
from watchkeeper.core.state import Attempt
from watchkeeper.core.text import lazy

LIMIT_S = 600.0
"""Of one of git's commands that write: a large tree takes its time."""
_OUTSIDE = "outside-the-experiment"
_GITLINK = lazy.pattern(rb"^([-+])Subproject commit ([0-9a-f]{7,64})(-dirty)?$", re.MULTILINE)
_FILE_OF_DIFF = lazy.pattern(rb"^diff --git a/(.+) b/\1$", re.MULTILINE)

Today = Literal["as kept", "changed", "gone", "unknown"]


class CannotReproduceError(WatchkeeperError):
    """What ran cannot be had again; the message says why."""

    code = "cannot-reproduce"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One kept file. `name` is its place relative to the experiment, absolute outside it; `fault`
    says why it cannot be had again, "" if it can. `today`: what lies at its place now.
    """

    name: str
    sha256: str
    kept: str
    fault: str = ""
    today: Today = "unknown"


class Submodule(msgspec.Struct, frozen=True, kw_only=True):
    """A submodule of the commit. `recorded` is the commit's; `used` the one it was at (""; that
    cannot be told). `changed`: it had uncommitted changes of its own, which are not kept.
    """

    path: str
    recorded: str
    used: str = ""
    changed: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """All there is of an attempt. `commit` is "" without Git; `dirty` None: not known.
    `repository` is the top of the tree, "" where there is none today; `faults` say why it cannot be
    made again, `notes` what is not part of it. `workdir` is the folder that the script began in,
    relative to the experiment. `environment` None: nobody looked, or it cannot be
    read. `inputs`: checkpoint → the fingerprint it had.
    """

    key: str
    attempt: int
    job_id: str
    command: str
    experiment: str
    workdir: str
    repository: str
    commit: str
    branch: str
    dirty: bool | None
    diff: Part | None
    script: Part
    configs: tuple[Part, ...]
    code: tuple[Part, ...]
    submodules: tuple[Submodule, ...]
    environment: Environment | None
    environment_sha256: str
    inputs: dict[str, str]
    faults: tuple[str, ...]
    notes: tuple[str, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: its folder, the files that were put in place, and the words that run it."""

    folder: str
    placed: tuple[str, ...]
    run: str
    notes: tuple[str, ...]


def recipe(experiment: Path, attempt: Attempt) -> Recipe:
    """What the attempt was submitted with, and what of it is still whole. Nothing is written.

    Raises:
        UsageError: it was never about to be submitted, so that nothing was kept.
    """
    intended = attempt.intended
    if intended is None:
        raise UsageError(
            f"{attempt.key}: nothing was kept with attempt {attempt.number}: its journal "
            "does not say what it was"
        )
    script = _part(experiment, intended.script, intended.script_sha256)
    configs = _parts(experiment, intended.configs)
    code = _parts(experiment, intended.code)
    diff = _part(experiment, "", intended.diff_sha256) if intended.diff_sha256 else None
    folder = (experiment / intended.script).parent
    top = git.top(folder if folder.is_dir() else experiment)
    faults = [*_part_faults((script, *configs, *code, diff)), *_code_faults(intended, top)]
    notes, submodules = _notes(intended, top, _whole_file(diff))
    submission = attempt.submissions.get(attempt.job_id)
    return Recipe(
        key=attempt.key,
        attempt=attempt.number,
        job_id=attempt.job_id,
        command=submission.command if submission else "",
        experiment=str(experiment),
        workdir=os.path.relpath(
            workdir_of(experiment, intended.script, intended.workdir), experiment
        ),
        repository=str(top) if top else "",
        commit=intended.git_sha,
        branch=intended.git_branch,
        dirty=intended.git_dirty,
        diff=diff,
        script=script,
        configs=configs,
        code=code,
        submodules=submodules,
        environment=environment_of(experiment, intended),
        environment_sha256=intended.environment_sha256,
        inputs=dict(intended.inputs),
        faults=tuple(faults),
        notes=tuple(notes),
    )


def environment_of(folder: Path, looked: Intended | RunStarted) -> Environment | None:
    """The environment that was kept in a folder with an attempt, or with a run; None where none
    was, or it is not whole.
    """
    path = folder / layout.OBJECTS / looked.environment_sha256
    try:
        if looked.environment_sha256 and objects.is_whole(path):
            return msgspec.json.decode(files.read_whole(path), type=Environment)
    except (OSError, ValueError, msgspec.DecodeError, RecursionError):
        return None
    return None


def part_fault(path: Path) -> str:
    """Why a kept object cannot be used; "" if it is whole."""
    try:
        if objects.is_whole(path):
            return ""
        return f"damaged: {path} does not hold what its name says"
    except OSError as error:
        return f"missing: {path}: {error.strerror or error}"


def restore(kept: Recipe, target: Path) -> Restored:
    """Make the attempt's tree at `target`, which may not exist.

    Raises:
        UsageError: `target` exists, or lies in a place that cannot be made.
        CannotReproduceError: a part is missing, or the changes do not apply; nothing is left at
            `target` then.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - git must not be led elsewhere by a link at the end
    _check_target(kept, target)
    top = Path(kept.repository) if kept.repository and kept.commit else None
    base = Path()
    if top is not None:
        base = Path(os.path.relpath(Path(kept.experiment).resolve(), top.resolve()))
        _git(top, "worktree", "add", "--detach", str(target), kept.commit)
    else:
        files.make_folder(target)
    try:
        if kept.commit and kept.diff is not None:
            links = [f"--exclude={_escaped(submodule.path)}" for submodule in kept.submodules]
            _git(target, "apply", "--whitespace=nowarn", *links, kept.diff.kept)
        placed, notes = _place(kept, target, base)
    except (CannotReproduceError, StorageError):
        _remove(target, top)
        raise
    return Restored(
        folder=str(target),
        placed=tuple(placed),
        run=_command_in(target / base, kept),
        notes=tuple(notes),
    )


# ── looking


def _parts(experiment: Path, hashes: Mapping[str, str]) -> tuple[Part, ...]:
    return tuple(_part(experiment, name, sha256) for name, sha256 in hashes.items())


def _part(experiment: Path, name: str, sha256: str) -> Part:
    path = experiment / layout.OBJECTS / sha256
    return Part(
        name=name,
        sha256=sha256,
        kept=str(path),
        fault=part_fault(path),
        today=today(experiment / name, sha256) if name else "unknown",
    )


def _whole_file(part: Part | None) -> Path | None:
    """The kept file of a part; None where there is none, or it is not whole."""
    if part is None or part.fault:
        return None
    return Path(part.kept)


def _part_faults(parts: Sequence[Part | None]) -> Iterator[str]:
    for part in parts:
        if part is not None and part.fault:
            yield f"{part.name or 'the uncommitted changes'}: {part.fault}"


def today(path: Path, sha256: str) -> Today:
    """What lies at a kept file's own place now."""
    try:
        with files.open_regular(path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return "as kept"
            return "changed"
    except FileNotFoundError:
        return "gone"
    except OSError:
        return "unknown"


def _code_faults(intended: Intended, top: Path | None) -> Iterator[str]:
    if not intended.git_sha:
        return
    is_there = git.has_commit(top, intended.git_sha) if top else None
    if is_there is None:
        yield f"commit {intended.git_sha[:12]}: there is no Git repository here that could hold it"
    elif not is_there:
        yield (
            f"commit {intended.git_sha[:12]} is gone from {top}: fetch the branch that had it, "
            "if somebody still has it"
        )
    if intended.git_dirty and not intended.diff_sha256:
        yield (
            "the uncommitted changes were not kept: git did not tell them in time, or they "
            "were too large"
        )


def _notes(
    intended: Intended, top: Path | None, diff: Path | None
) -> tuple[list[str], tuple[Submodule, ...]]:
    notes: list[str] = []
    if not intended.git_sha:
        notes.append(
            intended.git_fault
            or (
                "no Git repository was there: the script, its configurations and the code that "
                "they name were kept, no more"
            )
        )
        return notes, ()
    if intended.git_dirty is None:
        notes.append("whether there were uncommitted changes was not known at the time")
    notes.append(
        "files that Git did not track are not part of it, but for the script and the files "
        "that it names in turn"
    )
    recorded = git.submodules(top, intended.git_sha) if top else None
    if recorded is None:
        notes.append("which submodules the commit has is not known")
        return notes, ()
    moved = _moved(diff)
    known = intended.git_dirty is False or diff is not None
    submodules = []
    for path, sha in recorded.items():
        used, changed = moved.get(path, (sha if known else "", False))
        submodules.append(Submodule(path=path, recorded=sha, used=used, changed=changed))
    return notes, tuple(submodules)


def _moved(diff: Path | None) -> dict[str, tuple[str, bool]]:
    """The submodules that a diff names: path → the commit it was at, and whether it had changes of
    its own.
    """
    if diff is None:
        return {}
    with files.open_regular(diff) as file:
        data = file.read()
    starts = [*_FILE_OF_DIFF.finditer(data)]
    ends = [*(start.start() for start in starts[1:]), len(data)]
    moved: dict[str, tuple[str, bool]] = {}
    for start, end in zip(starts, ends, strict=False):  # without a start there is an end too many
        links = {match[1]: match for match in _GITLINK.finditer(data, start.end(), end)}
        if match := links.get(b"+"):
            path = start[1].decode("utf-8", "surrogateescape")
            moved[path] = (match[2].decode(), match[3] is not None)
    return moved


# ── making


def _check_target(kept: Recipe, target: Path) -> None:
    """Refuse a target that exists or lies in the user's own tree, and what cannot be had again.

    Raises:
        UsageError, CannotReproduceError: as `restore` says.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} exists", hint="name a folder that does not exist yet")
    if kept.faults:
        raise CannotReproduceError(f"{kept.key}, attempt {kept.attempt}: " + "; ".join(kept.faults))
    own = Path(kept.repository or kept.experiment).resolve()
    if target.parent.resolve().is_relative_to(own):
        raise UsageError(
            f"{target} lies in {own}, which stays as it is",
            hint="name a folder outside it: ../again",
        )


def _remove(target: Path, top: Path | None) -> None:
    """Remove a tree that could not be completed; `top` None: it is no worktree."""
    if top is None:
        shutil.rmtree(target, ignore_errors=True)
    else:
        _git(top, "worktree", "remove", "--force", str(target))


def _command_in(base: Path, kept: Recipe) -> str:
    """The words that run the script of a tree made again, whose experiment is at `base`."""
    folder = Path(os.path.normpath(base / kept.workdir))
    command = kept.command or "bash " + shlex.quote(Path(kept.script.name).name)
    return f"cd {shlex.quote(str(folder))} && {command}"


def _place(kept: Recipe, target: Path, base: Path) -> tuple[list[str], list[str]]:
    """Put script, configurations and code where they were; what was outside the tree goes below
    `_OUTSIDE`. Returns the files that were written, and notes.
    """
    placed: list[str] = []
    notes: list[str] = []
    top = Path(kept.experiment)
    if kept.repository and kept.commit:
        top = Path(kept.repository)
    for part in (kept.script, *kept.configs, *kept.code):
        name = Path(part.name)
        place = target / base / name
        if name.is_relative_to(top):
            place = target / name.relative_to(top)
        elif name.is_absolute():
            place = target / Path(_OUTSIDE, *name.parts[1:])
            notes.append(
                f"{part.name} lay outside the tree: it is in {_OUTSIDE}/, and the script names it "
                "as it was"
            )
        if not _within(place, target):
            raise CannotReproduceError(
                f"{part.name} would be written outside {target}: a link in the tree leads there"
            )
        with files.open_regular(part.kept) as file:
            data = file.read()
        if _holds(place, data):
            continue
        is_program = part is kept.script or place.suffix == ".sh"
        files.make_folder(place.parent)
        files.replace(place, data, mode=0o755 if is_program else 0o644)
        placed.append(os.path.relpath(place, target))
    notes += [_submodule_note(submodule, target) for submodule in kept.submodules]
    return placed, notes


def _holds(place: Path, data: bytes) -> bool:
    """Whether a file of this content is there, and not a link to one."""
    if place.is_symlink() or not place.is_file():
        return False
    return files.read_regular(place, len(data) + 1) == data


def _submodule_note(submodule: Submodule, target: Path) -> str:
    """What to type for a submodule, and what is lost of it."""
    note = (
        f"submodule {submodule.path}: git -C {shlex.quote(str(target))} submodule update --init "
        f"{shlex.quote(submodule.path)}"
    )
    if not submodule.used:
        note += "; at which commit it was is unknown"
    elif submodule.used != submodule.recorded:
        folder = shlex.quote(str(target / submodule.path))
        note += f"; git -C {folder} checkout {submodule.used}"
    if submodule.changed:
        note += "; its own uncommitted changes were not kept"
    return note


def _within(place: Path, target: Path) -> bool:
    """Whether a file written there lies below the target, wherever the links of the tree lead."""
    return Path(os.path.normpath(place)).is_relative_to(
        target
    ) and place.parent.resolve().is_relative_to(target.resolve())


def _escaped(path: str) -> str:
    return re.sub(r"([*?\[\\])", r"\\\1", path)


def _git(folder: Path, *words: str) -> None:
    """A git command that writes; its hooks are the user's programs, and are not run.

    Raises:
        CannotReproduceError: it failed; git's own words follow.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *words],
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**git.environment(), "GIT_TERMINAL_PROMPT": "0"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotReproduceError(f"git {words[0]} could not be run: {error}") from error
    if done.returncode:
        errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CannotReproduceError(f"git {' '.join(words[:2])} failed: " + "; ".join(errors[-3:]))
