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
from watchkeeper.core.disk.files import read_if_any, read_start_if_any
from watchkeeper.core.errors import ExperimentError, Problem
from watchkeeper.core.text import lazy
from watchkeeper.reading.yaml import Located, load
from watchkeeper.tools.promise import Training

CONFIG = "finetune.yaml"
EVAL_YAML = "eval.yaml"
_SCRIPT_BYTES = 2**20
_CHECKPOINT = lazy.pattern(r"/epoch_(\d{1,6})(?=/*(?:[\s\"';&|)]|$))")
_UNKNOWN = lazy.pattern(r"[$`]")
_OPERATOR_SIGNS = frozenset(";&|()<>")
# One model by provider and name, as a log repeats it: not `none`, a list, or a path.
_MODEL = lazy.pattern(r"[\w.-]+(?:/[\w.:@-]+)+")
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

        A batch of 8 becomes 4, accumulated twice; one of 6, accumulated 5 times, becomes 3 and 10
        times. The training then sees the same rows in each step of the optimizer, in less memory.
        """
        whole = self.effective
        for size in range(self.size // 2, 0, -1):
            if whole % size == 0:
                return Batch(size=size, accumulation=whole // size)
        return None

    def change(self) -> dict[str, str]:
        """As `intended` keeps it: `{"batch_size": "4", "gradient_accumulation_steps": "2"}`."""
        return {BATCH: str(self.size), ACCUMULATION: str(self.accumulation)}

    @classmethod
    def of(cls, change: Mapping[str, str]) -> Batch | None:
        """The batch that a change holds; None where it holds none."""
        if BATCH not in change:
            return None
        return cls(size=int(change[BATCH]), accumulation=int(change.get(ACCUMULATION, "1")))


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a fine-tune's configuration says; `where` is the place that says its epochs, "" where
    none does.
    """

    training: Training = Training()
    where: str = ""
    problems: tuple[Problem, ...] = ()


class InspectCall(msgspec.Struct, frozen=True, kw_only=True):
    """What `inspect eval` is given: its task (`task` of `file@task`, "" where the file alone is
    named) and its model.
    """

    task: str = ""
    file: str = ""
    model: str = ""


class _TuneRun(msgspec.Struct, frozen=True, kw_only=True):
    """A fine-tune's one `tune run`: its configuration's values, the overrides on its command line,
    and what is wrong with the configuration.
    """

    values: dict[str, Located]
    overrides: dict[str, str]
    problems: tuple[Problem, ...]

    def names(self, key: str) -> bool:
        """Whether the call or its configuration sets this key."""
        return key in self.overrides or key in self.values

    def number(self, key: str) -> int | None:
        """The whole number above 0 that the key is set to; None where it is not, or not to one in
        plain digits (`epochs=$EPOCHS`). The command line counts before the configuration.
        """
        number = None
        if key in self.overrides:
            number = _whole(self.overrides[key])
        elif key in self.values:
            number = self.values[key].integer()
        if number is None or number <= 0:
            return None
        return number


def read_training(folder: Path, script: str) -> TrainingConfig:
    """What the torchtune configuration of a fine-tune says: the one that its script names, else the
    `finetune.yaml` beside it; of several calls, nothing.

    Of `tune run lora_finetune_single_device --config finetune.yaml epochs=2` the epochs are 2,
    whatever the file says. `script` is relative to the experiment's `folder`.

    Raises:
        StorageError: the disk refused the script or the configuration twice.
    """
    call = _tune_run(folder / script)
    if call is None:
        return TrainingConfig()
    epochs = call.number(_EPOCHS)
    place = ""
    if _EPOCHS in call.overrides:
        place = str(folder / script)
    elif _EPOCHS in call.values:
        place = call.values[_EPOCHS].where
    training = Training(
        epochs=epochs, steps=call.number(_STEPS), log_every=call.number(_LOG_EVERY) or 1
    )
    where = place if epochs else ""
    return TrainingConfig(training=training, where=where, problems=call.problems)


def read_batch(folder: Path, script: str) -> Batch | None:
    """The batch that a torchtune configuration says, found as `read_training` does; None where it
    does not say one in plain numbers. Where no accumulation is set, it is 1.

    Raises:
        StorageError: the disk refused the script or the configuration twice.
    """
    call = _tune_run(folder / script)
    if call is None:
        return None
    size = call.number(BATCH)
    accumulation: int | None = 1
    if call.names(ACCUMULATION):
        accumulation = call.number(ACCUMULATION)
    if size is None or accumulation is None:
        return None
    return Batch(size=size, accumulation=accumulation)


def _tune_run(script: Path) -> _TuneRun | None:
    """The `tune run` of a fine-tune; without one, what `finetune.yaml` says alone. None where the
    script has several.

    Raises:
        StorageError: the disk refused the script or the configuration twice.
    """
    calls = list(_calls(script, "tune", "run"))
    if len(calls) > 1:
        return None
    words = calls[0] if calls else []
    values, problems = _config_values(script.parent / _config_name(words))
    return _TuneRun(values=values, overrides=_overrides_in(words), problems=problems)


def _config_name(words: list[str]) -> str:
    """The configuration that a call names in plain words, else `finetune.yaml`.

    `--config $CONFIG` names none: what the variable holds is known only where the script runs.
    """
    name = _option(words, "--config")
    if not name:
        return CONFIG
    if _UNKNOWN.search(name):
        return CONFIG
    return name


def _overrides_in(words: list[str]) -> dict[str, str]:
    """The `key=value` words of a call; of two for one key the last counts. An option such as
    `--config=a.yaml` is none.
    """
    overrides: dict[str, str] = {}
    for word in words:
        if word.startswith("-"):
            continue
        key, equals, value = word.partition("=")
        if equals:
            overrides[key] = value
    return overrides


def _config_values(path: Path) -> tuple[dict[str, Located], tuple[Problem, ...]]:
    """A configuration's values at its top, and what is wrong with it.

    A file that cannot be read as YAML is a warning: torchtune will say more when it runs.

    Raises:
        StorageError: the disk refused it twice.
    """
    data = read_if_any(path)
    if data is None:
        # a configuration of torchtune's own, or one that the script writes: nothing is known of it
        return {}, ()
    try:
        entries = load(path, data).mapping() or {}
    except ExperimentError as error:
        warnings = []
        for problem in error.problems:
            warnings.append(msgspec.structs.replace(problem, severity="warning"))
        return {}, tuple(warnings)
    return {key: value for key, (_, value) in entries.items()}, ()


def tune_calls(text: str) -> list[list[str]]:
    """The words behind each `tune run` of a shell script: `[["lora_finetune_single_device",
    "--config", "finetune.yaml"]]`. Empty: it has none.
    """
    return list(_calls_in(text, "tune", "run"))


def read_inspect_call(path: Path) -> InspectCall:
    """What the one `inspect eval` of a script asks for, and where that is silent an `eval.yaml`
    beside it; of a script with several, nothing.

    Of `inspect eval tasks/clean.py@clean --model hf/local` these are the task `clean`, the file
    `clean.py` and the model `hf/local`.

    Raises:
        StorageError: the disk refused one of them twice.
    """
    calls = list(_calls(path, "inspect", "eval"))
    if len(calls) != 1:
        return InspectCall()
    words = calls[0]
    beside = _read_eval_yaml(path.parent / EVAL_YAML)
    file, _, task = _plain(_task_word(words)).partition("@")
    model = _option(words, "--model")
    # `$MODEL`, or a list of models, names none
    if not _MODEL.fullmatch(model):
        model = ""
    return InspectCall(
        task=task or beside.task,
        file=Path(file).name or beside.file,
        model=model,
    )


def _read_eval_yaml(path: Path) -> InspectCall:
    """What the `eval.yaml` in an evaluation's own folder asks for: `task_name` and `task_script`.

        task_name: clean
        task_script: tasks/clean.py@clean

    In a folder that evaluations share it belongs to none of them. A file that cannot be read as
    YAML asks for nothing.
    """
    if path.parent.parent.name != "eval":
        return InspectCall()
    data = read_if_any(path)
    if data is None:
        return InspectCall()
    try:
        values = load(path, data).mapping() or {}
    except ExperimentError:
        return InspectCall()
    texts = {key: _plain(value.text() or "") for key, (_, value) in values.items()}
    file, _, task = texts.get("task_script", "").partition("@")
    return InspectCall(task=task or texts.get("task_name", ""), file=Path(file).name)


def _plain(text: str) -> str:
    """The text; "" where a shell would put something else in its place."""
    if _UNKNOWN.search(text):
        return ""
    return text


def names_epoch(path: Path, epoch: int | None) -> bool:
    """Whether a script names the checkpoint of this epoch, and of no other, in plain words:
    `…/epoch_0`. None: it names none at all.

    A script that takes its checkpoint from a variable names none, and False is returned for any
    epoch.

    Raises:
        StorageError: the disk refused the script twice.
    """
    text = _script_text(path)
    if text is None:
        return False
    epochs = {int(number) for _, line in commands(text) for number in _CHECKPOINT.findall(line)}
    return epochs == (set() if epoch is None else {epoch})


def _task_word(words: list[str]) -> str:
    """The first word of `inspect eval` that is neither an option nor the value of one; "": there is
    none.
    """
    before = ""
    for word in words:
        if _is_task(word, before):
            return word
        before = word
    return ""


def _is_task(word: str, before: str) -> bool:
    """Whether a word is the task, by the one before it ("": it is the first).

    In `--model hf/local clean.py` the second word is an option's value; behind `--trace`, and
    behind `--limit=5`, which has its value, comes the task.
    """
    if word.startswith("-"):
        return False
    is_behind_option = before.startswith("-")
    if not is_behind_option:
        return True
    return "=" in before or before in _FLAGS


def _option(words: list[str], name: str) -> str:
    """The last value of an option, `--model hf/local` or `--model=hf/local`; "" if it is not
    given.
    """
    value = ""
    for index, word in enumerate(words):
        if word == name and index + 1 < len(words):
            value = words[index + 1]
        elif word.startswith(f"{name}="):
            value = word.partition("=")[2]
    return value


def _calls(path: Path, *command: str) -> Iterator[list[str]]:
    """The words behind each call of a command in a shell script; [] where they cannot be told
    apart.

    Raises:
        StorageError: the disk refused the script twice.
    """
    text = _script_text(path)
    if text is not None:
        yield from _calls_in(text, *command)


def _script_text(path: Path) -> str | None:
    """The beginning of a script, in which its commands are looked for; None: there is no script.
    Raises StorageError.
    """
    data = read_start_if_any(path, _SCRIPT_BYTES)
    if data is None:
        return None
    return data.decode("utf-8", "replace")


def _calls_in(text: str, *command: str) -> Iterator[list[str]]:
    """The words behind each call, up to the first operator: of `cd a && /opt/bin/tune run x > log`
    the words of `tune run` are `x`. `command` is a program and its subcommand.
    """
    program, subcommand = command
    for _, line in commands(text):
        words = words_of(line)
        for index in range(len(words) - 1):
            name = words[index].rpartition("/")[2]
            if name == program and words[index + 1] == subcommand:
                yield _own_words(words[index + 2 :])


def _own_words(words: list[str]) -> list[str]:
    """The words up to the first operator or redirection, without the number that belongs to a
    redirection: of `eval clean.py 2>&1 | tee log` these are `eval` and `clean.py`.

    `words` are a shell's, with operators as words of their own.
    """
    for index, word in enumerate(words):
        if not word or not set(word) <= _OPERATOR_SIGNS:
            continue
        is_numbered = index > 0 and words[index - 1].isdigit()
        if word[0] in "<>" and is_numbered:
            return words[: index - 1]
        return words[:index]
    return words


def _whole(text: str) -> int | None:
    """A whole number of at most nine digits. None: the text is none."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    return None
