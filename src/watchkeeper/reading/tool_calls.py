"""What a job's script and configuration ask of its tool, as far as they say it in plain words.

Scripts are never run for this, and nothing in them is expanded: a word with a `$` or a backtick
says nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from watchkeeper.core.code.shell_text import commands, words_of
from watchkeeper.core.disk.files import open_regular, read_whole
from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.reading.yaml import Item, load
from watchkeeper.tools.promise import Training

CONFIG = "finetune.yaml"
EVAL_YAML = "eval.yaml"
_SCRIPT_BYTES = 2**20
_CHECKPOINT = re.compile(r"/epoch_(\d{1,6})(?=/*(?:[\s\"';&|)]|$))")
_UNKNOWN = re.compile(r"[$`]")
# One model by provider and name, as a log repeats it: not `none`, a list, or a path.
_MODEL = re.compile(r"[\w.-]+(?:/[\w.:@-]+)+")
_EPOCHS, _STEPS, _LOG_EVERY = "epochs", "max_steps_per_epoch", "log_every_n_steps"
# Options of `inspect eval` that take no value; every other one does.
_FLAGS = frozenset(
    {"--no-log-samples", "--no-sandbox-cleanup", "--trace", "--no-fail-on-error", "--no-score"}
)


BATCH, ACCUMULATION = "batch_size", "gradient_accumulation_steps"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in one step of a device, and how many such steps make one of the optimizer's."""

    size: int
    accumulation: int = 1

    @property
    def effective(self) -> int:
        """Rows of one optimizer's step, on one device."""
        return self.size * self.accumulation

    def halved(self) -> Batch | None:
        """The largest batch of at most half the rows that keeps the effective batch; None where one
        row is left.
        """
        whole = self.effective
        size = next((size for size in range(self.size // 2, 0, -1) if whole % size == 0), None)
        if size:
            return Batch(size=size, accumulation=whole // size)
        return None

    def change(self) -> dict[str, str]:
        """As `intended` keeps it."""
        return {BATCH: str(self.size), ACCUMULATION: str(self.accumulation)}

    @classmethod
    def of(cls, change: Mapping[str, str]) -> Batch | None:
        """The batch that a change holds; None where it holds none."""
        if BATCH not in change:
            return None
        return cls(size=int(change[BATCH]), accumulation=int(change.get(ACCUMULATION, "1")))


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """What a fine-tune's configuration says; `where` is the place that says its epochs, "" where
    none does.
    """

    training: Training = Training()
    where: str = ""
    problems: tuple[Problem, ...] = ()


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What `inspect eval` is given: its task (`task` of `file@task`, "" where the file alone is
    named) and its model.
    """

    task: str = ""
    file: str = ""
    model: str = ""


def trained(folder: Path, script: str) -> Trained:
    """What the torchtune configuration of a fine-tune says: of the one that its script names, else
    of the `finetune.yaml` beside it; of several calls, nothing. `script` is relative to the
    experiment's `folder`; overrides on the command line count.
    """
    config = _configured(folder, script)
    if config is None:
        return Trained()
    values, overrides, problems = config
    numbers = {key: values[key].integer() for key in (_EPOCHS, _STEPS, _LOG_EVERY) if key in values}
    numbers |= {
        key: _whole(overrides[key]) for key in (_EPOCHS, _STEPS, _LOG_EVERY) if key in overrides
    }
    epochs, steps, log_every = (
        _positive(numbers.get(key)) for key in (_EPOCHS, _STEPS, _LOG_EVERY)
    )
    if _EPOCHS in overrides:
        place = str(folder / script)
    elif _EPOCHS in values:
        place = values[_EPOCHS].where
    else:
        place = ""
    return Trained(
        training=Training(epochs=epochs, steps=steps, log_every=log_every or 1),
        where=place if epochs else "",
        problems=problems,
    )


def batch(folder: Path, script: str) -> Batch | None:
    """The batch that a torchtune configuration says, as in `trained`; None where it does not, or
    not in plain numbers. What names no accumulation accumulates nothing.
    """
    config = _configured(folder, script)
    if config is None:
        return None
    values, overrides, _ = config

    def number(key: str) -> int | None:
        if key in overrides:
            return _whole(overrides[key])
        if key in values:
            return values[key].integer()
        return None

    size = _positive(number(BATCH))
    named = ACCUMULATION in overrides or ACCUMULATION in values
    if named:
        accumulation = _positive(number(ACCUMULATION))
    else:
        accumulation = 1
    if size and accumulation:
        return Batch(size=size, accumulation=accumulation)
    return None


def _configured(
    folder: Path, script: str
) -> tuple[dict[str, Item], dict[str, str], tuple[Problem, ...]] | None:
    """The configuration of a fine-tune's one `tune run`, the overrides beside it, and what is wrong
    with it; None where the script has several calls.
    """
    calls = list(_calls(folder / script, "tune", "run"))
    if len(calls) > 1:
        return None
    if calls:
        words = calls[0]
    else:
        words = []
    overrides = dict(
        word.split("=", 1) for word in words if "=" in word and not word.startswith("-")
    )
    named = _option(words, "--config")
    path = (folder / script).parent / (CONFIG if not named or _UNKNOWN.search(named) else named)
    problems: tuple[Problem, ...] = ()
    values: dict[str, Item] = {}
    try:
        values = {
            key: value for key, (_, value) in (load(path, read_whole(path)).mapping() or {}).items()
        }
    except OSError:
        # a configuration of torchtune's own, or one that the script writes: nothing is known of it
        pass
    except ExperimentError as error:
        problems = tuple(msgspec.structs.replace(one, severity="warning") for one in error.problems)
    return values, overrides, problems


def tune_calls(text: str) -> list[list[str]]:
    """The words behind each `tune run` of a shell script."""
    return list(_calls_in(text, "tune", "run"))


def evaluated(path: Path) -> Evaluated:
    """What the first `inspect eval` of a script asks for, and where that is silent an `eval.yaml`
    beside it; of a script with several, nothing.
    """
    calls = list(_calls(path, "inspect", "eval"))
    if len(calls) != 1:
        return Evaluated()
    words = calls[0]
    beside = _beside(path.parent / EVAL_YAML)
    named = next(
        (word for word, before in zip(words, ["", *words], strict=False) if _is_task(word, before)),
        "",
    )
    file, _, task = named.partition("@") if not _UNKNOWN.search(named) else ("", "", "")
    model = _option(words, "--model")
    return Evaluated(
        task=task or beside.task,
        file=Path(file).name or beside.file,
        model=model if _MODEL.fullmatch(model) else "",
    )


def _beside(path: Path) -> Evaluated:
    """What the `eval.yaml` in an evaluation's own folder asks: `task_name` and `task_script`. In a
    folder that evaluations share it is of none, and a value with a `$` says nothing.
    """
    if path.parent.parent.name != "eval":
        return Evaluated()
    try:
        values = load(path, read_whole(path)).mapping() or {}
    except (OSError, ExperimentError):
        return Evaluated()
    said = {
        key: values[key][1].text() or "" for key in ("task_name", "task_script") if key in values
    }
    said = {key: "" if _UNKNOWN.search(value) else value for key, value in said.items()}
    file, _, task = said.get("task_script", "").partition("@")
    return Evaluated(task=task or said.get("task_name", ""), file=Path(file).name)


def names_epoch(path: Path, epoch: int | None) -> bool:
    """Whether a script names the checkpoint of this epoch, and of no other, in plain words:
    `…/epoch_0`. None: it names none at all.
    """
    try:
        with open_regular(path) as file:
            text = file.read(_SCRIPT_BYTES).decode("utf-8", "replace")
    except OSError:
        return False
    epochs = {int(number) for _, line in commands(text) for number in _CHECKPOINT.findall(line)}
    return epochs == (set() if epoch is None else {epoch})


def _is_task(word: str, before: str) -> bool:
    if word.startswith("-"):
        return False
    return not before.startswith("-") or "=" in before or before in _FLAGS


def _option(words: list[str], name: str) -> str:
    """The last value of an option, "" if it is not given."""
    found = ""
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            found = words[index + 1]
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found


def _calls(path: Path, *command: str) -> Iterator[list[str]]:
    """The words behind each call of a command in a shell script; [] where they cannot be told
    apart.
    """
    try:
        with open_regular(path) as file:
            text = file.read(_SCRIPT_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    yield from _calls_in(text, *command)


def _calls_in(text: str, *command: str) -> Iterator[list[str]]:
    for _, line in commands(text):
        words = words_of(line)
        for index in range(len(words) - 1):
            if words[index].rpartition("/")[2] == command[0] and words[index + 1] == command[1]:
                rest = words[index + 2 :]
                ends = (at for at, word in enumerate(rest) if word and set(word) <= set(";&|()<>"))
                end = next(ends, len(rest))
                if end < len(rest) and rest[end][0] in "<>" and end and rest[end - 1].isdigit():
                    end -= 1  # `2>&1`: the redirection's own number
                yield rest[:end]


def _whole(text: str) -> int | None:
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    return None


def _positive(number: int | None) -> int | None:
    if number and number > 0:
        return number
    return None
