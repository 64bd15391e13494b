"""What a failed job allows: how its batch can be changed, and from which checkpoint it can resume.
And making it so, in the attempt's own copy of the script and its environment: the user's files are
never edited.

A script follows when it names the variables that Watchkeeper sets; torchtune also without them, by
overrides behind its `tune run`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.code.shell_text import commands
from watchkeeper.core.disk.files import read_start_if_any, read_whole
from watchkeeper.core.disk.second_try import is_passing
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import Checkpoint, Intended, RunItem, RunStarted
from watchkeeper.core.layout import workdir_of
from watchkeeper.core.state import Attempt
from watchkeeper.core.text import lazy
from watchkeeper.launch.retries import Means, Rules, chain
from watchkeeper.reading import shell, tool_calls
from watchkeeper.reading.tool_calls import Batch
from watchkeeper.runfolder.link import read_link
from watchkeeper.schedulers.wrapper.render import (
    ACCUMULATION_VARIABLE,
    BATCH_VARIABLE,
    RESUME_VARIABLE,
)
from watchkeeper.tools.promise import Finding

_CALLED = lazy.pattern(r"[\w./-]+\.(?:py|sh)\b")
_CALLED_BYTES = 2**20
_DEFAULT = r"\$\{%s:?-([0-9]{1,9})\}"


class _Complete(msgspec.Struct, frozen=True):
    """A complete checkpoint: its path as shown, when its newest file was written (the file server's
    clock, in seconds), and whether the last attempt made it.
    """

    path: str
    written: float
    gained: bool


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt runs: its copy of the script, and the variables that its wrapper sets."""

    source: bytes
    variables: dict[str, str] = {}


class CannotChangeError(Exception):
    """The script cannot be given what its attempt was to have; the message says why."""


def means_of(
    experiment: Path,
    item: RunItem,
    attempts: Sequence[tuple[Attempt, Path]],
    findings: Sequence[Finding],
    rules: Rules,
) -> Means:
    """What the job of `item` allows after these attempts, each with its folder. `findings` are of
    all that it promises.
    """
    try:
        return _means_of(experiment, item, attempts, findings, rules)
    except StorageError as error:
        return Means(unreadable=f"{error} ({error.hint})")


def _means_of(
    experiment: Path,
    item: RunItem,
    attempts: Sequence[tuple[Attempt, Path]],
    findings: Sequence[Finding],
    rules: Rules,
) -> Means:
    script = experiment / item.script
    try:
        text = read_whole(script).decode("utf-8", "replace")
    except OSError as error:
        why = f"{item.script} cannot be read: {error.strerror}"
        if is_passing(error):
            return Means(unreadable=why)
        return Means(no_batch=why)
    names = _named(text, workdir_of(experiment, item.script, item.workdir))
    batch, no_batch = _batch(experiment, item, text, names)
    if item.phase == "evaluation":
        return Means(batch=batch, no_batch=no_batch)
    checkpoint = _complete(experiment, attempts, findings)
    if checkpoint is None:
        return Means(
            batch=batch, no_batch=no_batch, how="no complete checkpoint: from the beginning"
        )
    reads_path = not names.isdisjoint(rules.resume_variables)
    resumes = reads_path or bool(tune_resumption(experiment / checkpoint.path, text))
    return Means(
        batch=batch,
        no_batch=no_batch,
        checkpoint=checkpoint.path,
        gained=checkpoint.gained,
        resumes=resumes,
        how=_start_of(checkpoint.path, text, resumes=resumes),
    )


def _start_of(checkpoint: str, text: str, *, resumes: bool) -> str:
    """Where the next attempt starts, in words."""
    if resumes:
        return f"goes on from {checkpoint}"
    if len(tool_calls.tune_calls(text)) == 1:
        return (
            f"from the beginning: {checkpoint} is complete, and torchtune's own state beside "
            "it is not, or not of it"
        )
    return (
        f"{checkpoint} is offered in {RESUME_VARIABLE}, which its script does not name: "
        "unless its program reads that, from the beginning"
    )


def prepare(
    source: bytes,
    script: Path,
    experiment: Path,
    *,
    workdir: Path | None = None,
    change: Mapping[str, str],
    resume_from: str,
    rules: Rules,
) -> Prepared:
    """The attempt's copy of a script, and its variables. `workdir` is the folder in which it
    begins, None: its own. `resume_from` is a path as `Means.checkpoint` has it, or "".

    Raises:
        CannotChangeError: the script does not follow the change (any longer), or the disk refused
            a file that says whether it does.
    """
    text = source.decode("utf-8", "surrogateescape")
    try:
        names = _named(text, workdir or script.parent)
    except StorageError as error:
        raise CannotChangeError(f"{error} ({error.hint})") from error
    variables: dict[str, str] = {}
    overrides: list[str] = []
    batch = Batch.of(change)
    if batch is not None:
        variables |= {
            BATCH_VARIABLE: str(batch.size),
            ACCUMULATION_VARIABLE: str(batch.accumulation),
        }
        if not names >= {BATCH_VARIABLE, ACCUMULATION_VARIABLE}:
            overrides += [f"{key}={value}" for key, value in batch.change().items()]
    if resume_from:
        path = experiment / resume_from
        variables |= dict.fromkeys(rules.resume_variables, str(path))
        if not names & set(rules.resume_variables):
            overrides += tune_resumption(path, text)
    if overrides:
        changed = shell.with_overrides(text, overrides)
        before = tool_calls.tune_calls(text)
        if changed is None or tool_calls.tune_calls(changed) != [
            [*words, *overrides] for words in before
        ]:
            raise CannotChangeError(
                f"{script.name} has no `tune run` that could be given {' '.join(overrides)}"
            )
        source = changed.encode("utf-8", "surrogateescape")
    return Prepared(source=source, variables=variables)


def tune_resumption(checkpoint: Path, text: str) -> tuple[str, ...]:
    """The overrides by which torchtune 0.6's LoRA recipes continue from this epoch; () where that
    would not be right.

    torchtune keeps the optimizer's state of the last saved epoch only, beside the epochs, and
    writes it last. So it is this epoch's if it is whole, not older than the epoch, and older than
    whatever was begun of a later one. Without an adapter torchtune would take the weights of the
    highest epoch, whole or not: such a training begins anew.
    """
    is_epoch = re.fullmatch(r"epoch_\d+", checkpoint.name) is not None
    if not is_epoch or not _is_plain(checkpoint) or len(tool_calls.tune_calls(text)) != 1:
        return ()
    state = checkpoint.parent / "recipe_state" / "recipe_state.pt"
    adapter = checkpoint / "adapter_model.pt"
    try:
        are_whole = zipfile.is_zipfile(state) and zipfile.is_zipfile(adapter)
        if not are_whole or not _is_state_of(checkpoint, state):
            return ()
    except OSError:
        return ()
    return (
        "resume_from_checkpoint=True",
        f"checkpointer.adapter_checkpoint={adapter}",
        f"checkpointer.recipe_checkpoint={state}",
    )


def _is_state_of(checkpoint: Path, state: Path) -> bool:
    """Whether the optimizer's state is this epoch's: not older than it, and older than all that was
    begun of later ones.

    Raises:
        OSError: a file cannot be looked at.
    """
    written = state.stat().st_mtime
    if _newest(checkpoint) > written:
        return False
    for path in checkpoint.parent.glob("epoch_*"):
        if _number(path) <= _number(checkpoint):
            continue
        if any(file.stat().st_mtime <= written for file in path.iterdir()):
            return False
    return True


def _number(epoch: Path) -> int:
    """The number of `epoch_<N>`; -1: its name has none."""
    digits = epoch.name.removeprefix("epoch_")
    if digits.isdecimal():
        return int(digits)
    return -1


def _is_plain(path: Path) -> bool:
    """Whether a path can stand in a shell's word, and in an override, as it is."""
    return re.fullmatch(r"[\w./@%+-]+", str(path), re.ASCII) is not None


def _named(text: str, folder: Path) -> frozenset[str]:
    """The variables' names that a script, or a file that it calls from its own folder, has in it;
    comments do not count.

    Raises:
        StorageError: the disk refused such a file twice.
    """
    lines = [line for _, line in commands(text)]
    texts = list(lines)
    for name in {name for line in lines for name in _CALLED.findall(line)}:
        data = read_start_if_any(folder / name, _CALLED_BYTES)
        if data is not None:
            texts.append(data.decode("utf-8", "replace"))
    return frozenset(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", "\n".join(texts)))


def _batch(
    experiment: Path, item: RunItem, text: str, names: frozenset[str]
) -> tuple[Batch | None, str]:
    """The batch as the script and its configuration say it, and why it cannot be changed ("": it
    can).
    """
    batch = tool_calls.read_batch(experiment, item.script)
    if names >= {BATCH_VARIABLE, ACCUMULATION_VARIABLE}:
        size, accumulation = _default(text, BATCH_VARIABLE), _default(text, ACCUMULATION_VARIABLE)
        if size:
            batch = Batch(size=size, accumulation=accumulation or 1)
        unknown = f"nothing says its batch: write ${{{BATCH_VARIABLE}:-16}} into {item.script}"
        return batch, "" if batch else unknown
    if BATCH_VARIABLE in names:
        return batch, (
            f"its script reads {BATCH_VARIABLE} and not {ACCUMULATION_VARIABLE}: the effective "
            "batch would change"
        )
    if item.phase == "preparation" and shell.with_overrides(text, ()) is not None:
        return batch, "" if batch else "its configuration does not say batch_size in plain numbers"
    return batch, f"its script does not read {BATCH_VARIABLE} and {ACCUMULATION_VARIABLE}"


def _default(text: str, variable: str) -> int | None:
    """`${VARIABLE:-16}`: 16."""
    match = re.search(_DEFAULT % variable, text)
    if match is None:
        return None
    return int(match[1]) or None


# ── complete checkpoints


def _complete(
    experiment: Path, attempts: Sequence[tuple[Attempt, Path]], findings: Sequence[Finding]
) -> _Complete | None:
    """The newest complete checkpoint that these attempts made, since a person asked for one."""
    folders = {attempt.number: folder for attempt, folder in attempts}
    own = chain([attempt for attempt, _ in attempts])
    if not own or own[0].intended is None or own[-1].intended is None:
        return None
    first, last = own[0].intended, own[-1].intended
    checkpoints: list[_Complete] = []
    for finding in findings:
        if finding.state == "good" and not _is_of_another(finding, first):
            gained = last.found.get(finding.subject) != finding.fingerprint
            written = _newest(experiment / finding.path)
            checkpoints.append(_Complete(finding.path, written, gained))
    for attempt in own:
        gained = attempt is own[-1]
        checkpoints += _recorded(experiment, folders[attempt.number], gained=gained)
    return max(checkpoints, key=lambda checkpoint: checkpoint.written, default=None)


def _is_of_another(finding: Finding, first: Intended) -> bool:
    """Whether a checkpoint is another training's: it lay there before the first of these attempts,
    which did not continue from it.
    """
    was_there = first.found.get(finding.subject) == finding.fingerprint
    return was_there and finding.path != first.resume_from


def _recorded(experiment: Path, folder: Path, *, gained: bool) -> list[_Complete]:
    """The checkpoints that the attempt's recorder said to be complete, and that still are what it
    said.
    """
    run_folder = read_link(folder)
    if run_folder is None:
        return []
    checkpoints: list[_Complete] = []
    recorded = journal.read(run_folder / layout.JOURNAL, is_evidence=True)
    for events in recorded.events.values():
        # A run folder may hold the runs of several attempts: each writer's file says whose it is.
        is_own = any(
            isinstance(event, RunStarted) and event.attempt == str(folder) for event in events
        )
        if not is_own:
            continue
        for event in events:
            if isinstance(event, Checkpoint) and _is_whole(event):
                path = Path(event.path)
                checkpoints.append(_Complete(_shown(path, experiment), _newest(path), gained))
    return checkpoints


def _shown(path: Path, experiment: Path) -> str:
    """A path for people: relative to the experiment where it lies in it."""
    if path.is_relative_to(experiment):
        return str(path.relative_to(experiment))
    return str(path)


def _is_whole(event: Checkpoint) -> bool:
    root = Path(event.path)
    try:
        return all((root / one.path).stat().st_size == one.size_bytes for one in event.files)
    except NotADirectoryError:
        return len(event.files) == 1 and root.stat().st_size == event.files[0].size_bytes
    except OSError:
        return False


def _newest(path: Path) -> float:
    """When the newest file of a checkpoint was written; 0 where there is none."""
    try:
        if path.is_file():
            files = [path]
        else:
            files = [one for one in path.rglob("*") if one.is_file()]
        return max((file.stat().st_mtime for file in files), default=0.0)
    except OSError:
        return 0.0
