"""What a kind of job promises to leave, and what was found there.

A promise names a subject (`r8_lr1e-5/epoch_0`, `r8_lr1e-5/capitalization/epoch0`) and the places to
look at, in order. A place is a pattern: relative to the experiment's folder or absolute, `/`
between its parts, and `*`, `?`, `[…]` in a part match as in a shell. Names of runs and tasks stand
in it escaped, so that no name ever matches another's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from glob import escape
from typing import Literal

import msgspec

from watchkeeper.core.events import Evidence, FilePath, FreeText, Number
from watchkeeper.core.text import lazy

Kind = Literal["checkpoint", "result", "output"]
Verdict = Literal["good", "missing", "empty", "damaged"]

PREPARATION_TOOLS = ("torchtune", "script")
EVALUATION_TOOLS = ("inspect-ai", "script")

# Where checkpoints lie unless the summary says otherwise: newer folders, then flat ones.
CHECKPOINT_PATTERNS = ("{folder}/artifacts/epoch_{epoch}", "{folder}/epoch_{epoch}")
# Older folders keep them outside the experiment, below a folder of their own (`output.dir`).
OLDER_CHECKPOINT_PATTERN = "ck-out-{run}/epoch_{epoch}"
CHECKPOINT_PLACEHOLDERS = ("folder", "run", "epoch")
RESULT_PLACEHOLDERS = ("folder", "run", "task", "epoch", "cell")

# Formats that a summary may add to the usual ones of weights.
MOST_FORMATS = 20
_SUFFIX = lazy.pattern(r"\.[A-Za-z0-9_-]{1,20}")

_MAGIC = lazy.pattern(r"[*?[]")
_PLACEHOLDER = lazy.pattern(r"\{(\w*)\}")


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What a torchtune configuration says of its training: epochs, the most steps in each, and
    every how many steps it logs. None: it does not say.
    """

    epochs: int | None = None
    steps: int | None = None
    log_every: int = 1


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What an inspect-ai log must say of itself; what is empty or None was not asked for.

    `tasks` are names that it may give its task, `files` are task files that were named without a
    task: their tasks count too, unless they are another's of the experiment (`others`). A model's
    path may not name the folder of another run (`runs` without its `own`), nor another epoch.
    `named`: it must name the epoch, or for none must not name any, since logs of several epochs lie
    side by side.
    """

    tasks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    others: frozenset[str] = frozenset()
    model: str = ""
    epoch: int | None = None
    own: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    named: bool = False


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a job must leave: `patterns` are tried in order, the first that holds something good
    keeps the promise.

    `epoch` is a checkpoint's, and so are `formats`, the suffixes that count as weights beside the
    usual ones. `training` is there where torchtune makes it, `expected` where
    inspect-ai makes the result.
    """

    subject: str
    kind: Kind
    patterns: tuple[str, ...]
    epoch: int | None = None
    formats: tuple[str, ...] = ()
    training: Training | None = None
    expected: Expected | None = None

    @property
    def reached(self) -> bool:
        """Whether the training that should make it comes to its epoch, as far as its configuration
        says. True where it does not say.
        """
        if self.training is None or self.training.epochs is None or self.epoch is None:
            return True
        return self.epoch < self.training.epochs


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a promise found.

    `missing`: nothing lies at any of its places; `empty`: something does and holds nothing;
    `damaged`: it is torn, cannot be read, says itself that it failed, or is something else than
    what was promised. `path` is relative to the experiment where it lies inside it; `why` is one
    line for a person. `fingerprint` ("" unless good) changes when the files' names, sizes or
    sampled contents do, and not with their times. `metrics` are a result's own figures. `caution`:
    what is odd about something good, and what to do about it. `advice`: what else there is to know
    of something bad, to be said once: where the attempt that left it is judged.
    """

    subject: str
    state: Verdict
    path: FilePath
    why: FreeText
    evidence: tuple[Evidence, ...] = ()
    fingerprint: str = ""
    metrics: dict[str, Number] = {}
    caution: FreeText = ""
    advice: FreeText = ""


def cell_name(task: str, epoch: int | None) -> str:
    """An evaluation's name within its run: `capitalization_epoch0`, `capitalization_base` (epoch
    None).
    """
    if epoch is None:
        return f"{task}_base"
    return f"{task}_epoch{epoch}"


def placeholders(pattern: str) -> tuple[str, ...]:
    """The names in braces, in order: `{folder}/epoch_{epoch}` has `folder` and `epoch`."""
    return tuple(_PLACEHOLDER.findall(pattern))


def fill(pattern: str, values: Mapping[str, str]) -> str:
    """The pattern with each placeholder replaced by its value, escaped: a value matches itself and
    nothing else.

    `{folder}/epoch_{epoch}` with a run `r[8]` becomes `r[[]8]/epoch_0`. Every placeholder has to
    have a value (`pattern_fault`).
    """
    # split by its one group: text and names of placeholders alternate
    parts = _PLACEHOLDER.split(pattern)
    parts[1::2] = [_escaped(values[name]) for name in parts[1::2]]
    return "".join(parts)


def _escaped(value: str) -> str:
    """The value as a pattern that matches it alone."""
    if _MAGIC.search(value):
        return escape(value)
    return value


def checkpoint_values(folder: str, run: str, epoch: int) -> dict[str, str]:
    """What a checkpoint pattern's placeholders stand for; `folder` is the run's, relative to the
    experiment.
    """
    return {"folder": folder, "run": run, "epoch": str(epoch)}


def result_values(folder: str, run: str, task: str, epoch: int | None) -> dict[str, str]:
    """What a result pattern's placeholders stand for; `{epoch}` of an untrained run is `base`."""
    if epoch is None:
        shown = "base"
    else:
        shown = str(epoch)
    cell = cell_name(task, epoch)
    return {
        "folder": folder,
        "run": run,
        "task": task,
        "epoch": shown,
        "cell": cell,
        "log_task": task.replace("_", "-"),
    }


def inspect_ai_patterns(epoch: int | None, *, shared: bool) -> tuple[str, ...]:
    """Where inspect-ai leaves an evaluation's log.

    Newer folders keep a folder per evaluation (untrained runs: named by the task only). Older ones
    share `eval/logs/`, where a log's name says its task and not its epoch: it counts only where it
    can be told whose it is (`shared`). The file's name has `-` for the task's `_` (`{log_task}`).
    """
    patterns = ["{folder}/eval/{cell}/logs/*.eval"]
    if epoch is None:
        patterns.append("{folder}/eval/{task}/logs/*.eval")
    if shared:
        patterns += ["{folder}/eval/logs/*{task}*.eval", "{folder}/eval/logs/*{log_task}*.eval"]
    return tuple(patterns)


def pattern_fault(pattern: str, known: tuple[str, ...], *, absolute: bool) -> str:
    """Why `pattern` cannot be a place of a promise ("" if it can). `absolute`: it may begin with
    `/`. `known` are the placeholders that have a value.
    """
    if not pattern.strip() or "\0" in pattern or "\n" in pattern:
        return "it is empty or holds a control character"
    for name in placeholders(pattern):
        if name not in known:
            usable = ", ".join(f"{{{one}}}" for one in known)
            return f"it has no value for {{{name}}}: use {usable}"
    if pattern.startswith(("~", "$")):
        return "'~' and '$VARIABLE' are not expanded: write the path in full"
    if pattern.startswith("/") and not absolute:
        return "it leaves the experiment's folder: write a path relative to it"
    return _parts_fault(pattern)


def path_fault(path: str) -> str:
    """Why `path` cannot be a path or a pattern of files that a person names ("" if it can)."""
    if not path.strip() or not path.isprintable():
        return "it is empty or holds a control character"
    if path.startswith(("~", "$")):
        return "'~' and '$VARIABLE' are not expanded: write the path in full"
    if any("**" in part for part in path.split("/")):
        return "'**' is not known here: write each level as '*'"
    return ""


def format_fault(suffix: str) -> str:
    """Why `suffix` cannot name a format of weights ("" if it can)."""
    if not suffix.startswith("."):
        return "it has no leading dot"
    if not _SUFFIX.fullmatch(suffix):
        return "a suffix is a dot, then 1 to 20 letters, digits, '_' or '-'"
    return ""


def _parts_fault(pattern: str) -> str:
    """Why one of the pattern's parts cannot be used ("" if all can)."""
    parts = pattern.split("/")
    if ".." in parts:
        if not pattern.startswith("/"):
            return "it leaves the experiment's folder by '..'"
        return "it holds '..'"
    if any("**" in part for part in parts):
        return "'**' is not known here: write each level as '*'"
    return ""
