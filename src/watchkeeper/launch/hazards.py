"""What costs a night and can be seen before it: paths that are not there, outputs that two jobs
would write, models that are not the ones meant.

Scripts are read and never run. Only plain words count: a variable counts where the script gives it
one plain value, a relative path where it is known in which folder its command runs. Hub names are
no paths. Every hazard is a warning: a compute node may see other filesystems than this one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from watchkeeper.core.code.shell_text import commands, variables, words_of
from watchkeeper.core.disk.files import read_if_any, read_start_if_any
from watchkeeper.core.errors import ExperimentError, Problem, StorageError
from watchkeeper.core.events import RunItem
from watchkeeper.core.text import lazy
from watchkeeper.experiment.experiment import Experiment
from watchkeeper.reading.tool_calls import EVAL_YAML
from watchkeeper.reading.yaml import Located, listed, load
from watchkeeper.schedulers.sbatch_head import Head, read_head
from watchkeeper.tools import globs

_SCRIPT_BYTES = 2**20
_UNKNOWN = lazy.pattern(r"[$`*?\[{]")
_OPERATOR = lazy.pattern(r"[;&|()]+")
_WRITES = frozenset({">", ">>", ">|", "&>", "&>>", ">&"})
_TABLE = "gpu_metrics.csv"
_CONFIG_SUFFIXES = (".yaml", ".yml")
_MOVES = frozenset({"cd", "pushd", "popd"})
_OPENS = frozenset({"if", "for", "while", "until", "case", "select", "{"})
_CLOSES = frozenset({"fi", "done", "esac", "}"})
_INTERPOLATED = lazy.pattern(r"\$\{(\w+)\}")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a script: its line, its words, and the folder it runs in; None where that
    is unknown.
    """

    line: int
    words: tuple[str, ...]
    folder: Path | None

    def place(self, word: str) -> Path | None:
        """The path that a word names, made absolute; None: unknown.

        In `/data/exp`, `out/model` is `/data/exp/out/model`, and `../base` is `/data/base`. Unknown
        are a word with a variable or a glob left in it (`$OUT/a`, `epoch_*`), `~`, an option, a
        file descriptor (`&1`), and a relative path where the folder is unknown.
        """
        if not word or _UNKNOWN.search(word) or word.startswith(("~", "-", "&")):
            return None
        if word.startswith("/"):
            return Path(os.path.normpath(word))
        if self.folder is None:
            return None
        return Path(os.path.normpath(f"{self.folder}/{word}"))


def find_hazards(experiment: Experiment) -> list[Problem]:
    """The hazards of an experiment's jobs, and the files that the disk refused, whose hazards are
    unknown. Any other script that cannot be read is reported when it is submitted.

    All are warnings with the code `hazard`; `where` is `SCRIPT:LINE`, or the line of the
    configuration that names what is not there. []: nothing was seen.
    """
    problems: list[Problem] = []
    # What is written → (key, where) of each job that writes it.
    tables: dict[Path, list[tuple[str, str]]] = {}
    logs: dict[Path, list[tuple[RunItem, str]]] = {}
    look = _Look(experiment)
    for item in experiment.items:
        if not item.script:
            continue
        try:
            source = read_start_if_any(experiment.folder / item.script, _SCRIPT_BYTES)
        except StorageError as error:
            problems.append(_unread(item.script, error))
            continue
        if source is None:
            continue
        calls = list(calls_of(source, experiment.workdir_of(item), read_head(source)))
        problems += look.job(item, calls)
        for path, line in _tables(calls):
            tables.setdefault(path, []).append((item.key, f"{item.script}:{line}"))
        for path, where in look.logs(item, calls):
            logs.setdefault(path, []).append((item, where))
    problems += look.adapters()
    problems += look.shared_tables(tables)
    for path, owners in logs.items():
        problems += look.shared_logs(path, owners)
    return problems


def calls_of(source: bytes, folder: Path, head: Head) -> Iterator[Call]:
    """The commands of a script that starts in `folder`, or in the folder that its head names; `cd`
    is followed as far as it is plain.

    Of `cd out && tune run lora` come two calls: `cd out` in the folder, `tune run lora` in its
    `out`. Behind a `cd` in a block, a subshell or a pipe the folder is unknown, because the command
    may not have run, or not here. Variables that the script sets once to a plain value are filled
    in.
    """
    text = source.decode("utf-8", "replace")
    values = variables(text) | {"SLURM_SUBMIT_DIR": str(folder)}
    here: Path | None = folder / head.folder if head.folder else folder
    depth = 0
    for line, command in commands(text):
        words = [_expanded(word, values) for word in words_of(command)]
        parts, operators = _split(words)
        is_grouped = any("(" in operator for operator in operators)
        for part in parts:
            call = Call(line=line, words=part, folder=here)
            depth += _depth_of(part)
            if not _MOVES.isdisjoint(part):
                is_certain = depth == 0 and not is_grouped
                here = None
                if is_certain:
                    here = _destination(call)
            yield call


def _destination(call: Call) -> Path | None:
    """The folder into which a plain `cd` leads; None: unknown."""
    if call.words[0] == "cd" and len(call.words) == 2:
        return call.place(call.words[1])
    return None


def _split(words: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """The commands between the operators of a line, and these operators.

    `cd out && ls | wc` is split into `cd out`, `ls` and `wc`, with the operators `&&` and `|`.
    """
    parts: list[list[str]] = [[]]
    operators: list[str] = []
    for word in words:
        if _OPERATOR.fullmatch(word):
            operators.append(word)
            parts.append([])
        else:
            parts[-1].append(word)
    return [tuple(part) for part in parts if part], operators


def _depth_of(words: Sequence[str]) -> int:
    """How many blocks these words open more than they close: 1 for `if true`, -1 for `done`. Above
    0 in sum, what follows may not be run.
    """
    opened = sum(word in _OPENS for word in words)
    closed = sum(word in _CLOSES for word in words)
    return opened - closed


def _expanded(word: str, values: Mapping[str, str]) -> str:
    """The word with the variables that are known filled in; the others stay as they are written."""

    def value(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2], match[0])

    if "$" in word:
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, word)
    return word


def _option(words: Sequence[str], *names: str) -> str:
    """The last value of an option, "" if it is not given. `--model hf/a` and `--model=hf/a` are the
    same; as in the programs that are called, the last one counts.
    """
    beginnings = tuple(f"{name}=" for name in names if name.startswith("--"))
    value = ""
    for index, word in enumerate(words):
        if word in names and index + 1 < len(words):
            value = words[index + 1]
        elif word.startswith(beginnings):
            value = word.partition("=")[2]
    return value


def _words_behind(call: Call, program: str, subcommand: str) -> Sequence[str] | None:
    """The words behind a command, wherever in the call it begins; None if it is another.

    Of `srun -n1 /env/bin/inspect eval task.py --model m`, with `inspect` and `eval`, these are
    `task.py --model m`.
    """
    for index in range(len(call.words) - 1):
        name = call.words[index].rpartition("/")[2]
        if name == program and call.words[index + 1] == subcommand:
            return call.words[index + 2 :]
    return None


def _made_folders(calls: Sequence[Call]) -> list[Path]:
    """The folders that a script makes, as far as their names are plain."""
    makers = [call for call in calls if "mkdir" in call.words]
    places = [call.place(word) for call in makers for word in call.words]
    return [place for place in places if place is not None]


def _makes_unknown_folder(call: Call) -> bool:
    """Whether it makes a folder whose name cannot be read here: `mkdir -p "$OUT"`. Then any folder
    of the script may be the one.
    """
    if "mkdir" not in call.words:
        return False
    return any(_UNKNOWN.search(word) for word in call.words)


def _targets(call: Call) -> list[str]:
    """The words that name the files into which a command's output is led: `out.txt` in
    `python a.py > out.txt` and in `tee -a out.txt`.
    """
    pairs = zip(call.words, call.words[1:], strict=False)
    targets = [after for word, after in pairs if word in _WRITES]
    if "tee" in call.words[:1]:
        targets += [word for word in call.words[1:] if not word.startswith("-")]
    return targets


def _tables(calls: Sequence[Call]) -> Iterator[tuple[Path, int]]:
    """The tables of GPU use that a script writes, each with the line that names it. `rm` names one
    only to remove it.
    """
    for call in calls:
        if "rm" in call.words:
            continue
        for word in call.words:
            if not word.endswith(_TABLE):
                continue
            name = word
            if word.startswith("-"):  # `--output=gpu_metrics.csv`
                name = word.rpartition("=")[2]
            path = call.place(name)
            if path is not None and name.rpartition("/")[2] == _TABLE:
                yield path, call.line


def _warning(where: str, message: str, hint: str) -> Problem:
    """A hazard: never an error, because the job may see what this machine does not."""
    return Problem(where=where, message=message, hint=hint, severity="warning", code="hazard")


def _unread(where: str, error: StorageError) -> Problem:
    """That a file could not be read, so that its hazards are unknown."""
    return _warning(where, f"{error}: what it names was not checked", error.hint)


def _load_if_any(path: Path) -> Located | None:
    """A configuration; None where there is none, or it is no YAML, which the plan reports.

    Raises:
        StorageError: the disk refused it twice.
    """
    data = read_if_any(path)
    if data is None:
        return None
    try:
        return load(path, data)
    except ExperimentError:
        return None


class _Look:
    """Looks at the paths of one experiment's jobs. What a training of the experiment promises to
    make counts as there: it will be, by the time that an evaluation needs it.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.folder = experiment.folder
        # Where a training will leave a checkpoint → run, epoch.
        self.promised: dict[Path, tuple[str, int | None]] = {}
        for subject, promise in experiment.checkpoints.items():
            for pattern in promise.patterns:
                path = Path(os.path.normpath(self.folder / globs.unescaped(pattern)))
                self.promised.setdefault(path, (subject.rpartition("/")[0], promise.epoch))

    @cached_property
    def _folders_of_trainings(self) -> frozenset[Path]:
        """Every folder that holds a promised checkpoint, or is one."""
        return frozenset(one for path in self.promised for one in (path, *path.parents))

    def shown(self, path: Path) -> str:
        """A path for a message, relative to the experiment where it lies inside."""
        if path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return str(path)

    def will_be(self, path: Path) -> tuple[str, int | None] | None:
        """The run and epoch whose checkpoint a path is, or lies in; None: no training of this
        experiment makes it. The epoch is None where the run has one checkpoint only.
        """
        for one in (path, *path.parents):
            if one in self.promised:
                return self.promised[one]
        return None

    def job(self, item: RunItem, calls: Sequence[Call]) -> Iterator[Problem]:
        """What one script would stumble over: output into a folder that is not there, and what its
        calls of torchtune and inspect-ai name and is not there.
        """
        made = _made_folders(calls)
        is_blind = any(map(_makes_unknown_folder, calls))
        for call in calls:
            where = f"{item.script}:{call.line}"
            if not is_blind:
                yield from self.redirected(call, where, made)
            words = _words_behind(call, "tune", "run")
            if words is not None:
                yield from self.training(call, words, where)
            words = _words_behind(call, "inspect", "eval")
            if words is not None:
                yield from self.evaluation(item, call, words, where)
        yield from self.eval_yaml(item)

    def redirected(self, call: Call, where: str, made: Sequence[Path]) -> Iterator[Problem]:
        """Output that is led into a folder which is not there when the command starts. `made` are
        the folders that the script makes itself.
        """
        for word in _targets(call):
            path = call.place(word)
            if path is None or "/" not in word or path.is_relative_to("/dev"):
                continue
            if _is_there(path.parent) or self.will_be_made(path.parent, made):
                continue
            message = (
                f"it writes into {self.shown(path.parent)}/, which is not there: its command "
                "would not start"
            )
            yield _warning(where, message, f"write `mkdir -p {word.rpartition('/')[0]}` above it")

    def will_be_made(self, folder: Path, made: Sequence[Path]) -> bool:
        """Whether the script makes this folder itself, or a training does."""
        if any(path.is_relative_to(folder) for path in made):
            return True
        return self.is_of_training(folder)

    def is_of_training(self, folder: Path) -> bool:
        """Whether a training makes this folder: it holds its checkpoints, or lies in one."""
        return self.will_be(folder) is not None or folder in self._folders_of_trainings

    # ── training

    def training(self, call: Call, words: Sequence[str], where: str) -> Iterator[Problem]:
        """What a torchtune configuration names and is not there: the file itself, the model's
        folder, its files, the tokenizer. `words` stand behind `tune run`; `key=value` among them
        are overrides, and count instead of what the file says.
        """
        named = _option(words, "--config")
        path = call.place(named)
        if path is None or not named.endswith(_CONFIG_SUFFIXES):
            return  # one of torchtune's own, or unknown
        if not _is_there(path):
            message = f"the configuration {self.shown(path)} is not there"
            yield _warning(where, message, "write it, or name another")
            return
        try:
            top = _load_if_any(path)
        except StorageError as error:
            yield _unread(where, error)
            return
        if top is None:
            return
        overrides: dict[str, str] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if equals and not word.startswith("-"):
                overrides[key] = value
        reading = _Config(call, top, overrides, where)
        yield from self.checkpointer(reading)
        tokenizer, place = reading.path("tokenizer", "path")
        if tokenizer is not None and not _is_there(tokenizer):
            message = f"the tokenizer {self.shown(tokenizer)} is not there (tokenizer.path)"
            yield _warning(place, message, "download it with the model, or correct the path")

    def checkpointer(self, reading: _Config) -> Iterator[Problem]:
        """The model's folder and files that are not there. A folder that a training of this
        experiment makes is not looked for.
        """
        folder, place = reading.path("checkpointer", "checkpoint_dir")
        if folder is None:
            return
        if not _is_there(folder):
            if self.will_be(folder) is None:
                message = (
                    f"the model's folder {self.shown(folder)} is not there "
                    "(checkpointer.checkpoint_dir)"
                )
                yield _warning(place, message, "download the model, or correct the path")
            return
        for name, line in reading.files():
            if not _is_there(folder / name):
                message = (
                    f"the checkpoint's file {name} is not in {self.shown(folder)} "
                    "(checkpointer.checkpoint_files)"
                )
                hint = "download it whole, or name the files that are there"
                yield _warning(line, message, hint)

    # ── evaluation

    def evaluation(
        self, item: RunItem, call: Call, words: Sequence[str], where: str
    ) -> Iterator[Problem]:
        """What `inspect eval` with these words would stumble over."""
        for word in self.models(words):
            yield from self.model(item, call.place(word), word, where)

    def models(self, words: Sequence[str]) -> Iterator[str]:
        """The words of `inspect eval` that name a model by its path: `--model hf/./out/epoch_0`,
        `-M model_path=out/epoch_0`. A name on the hub, `hf/org/model`, is no path.
        """
        for index, word in enumerate(words):
            if word in ("-M", "--model-arg") and index + 1 < len(words):
                pair = words[index + 1]
            else:
                pair = word.removeprefix("-M")
            if pair is not word and pair.startswith(("model_path=", "tokenizer_path=")):
                yield pair.partition("=")[2]
        provider, _, path = _option(words, "--model").partition("/")
        if provider in ("hf", "vllm", "sglang") and path.startswith(("/", "./", "../")):
            yield path

    def model(self, item: RunItem, path: Path | None, word: str, where: str) -> Iterator[Problem]:
        """A model's path that is not there, or is of another run or epoch."""
        if path is None:
            return
        owner = self.will_be(path)
        trained = bool(self.experiment.checkpoints_of(item.run))
        if owner is not None and trained and owner != (item.run, item.epoch):
            message = f"{item.key} evaluates the checkpoint of {owner[0]}, epoch {owner[1]}: {word}"
            yield _warning(where, message, f"name that of run {item.run}, epoch {item.epoch}")
        elif owner is None and not _is_there(path):
            message = (
                f"the model {self.shown(path)} is not there, and no training of this "
                "experiment makes it"
            )
            yield _warning(
                where, message, "correct the path; models of the hub are named without a path"
            )

    def eval_yaml(self, item: RunItem) -> Iterator[Problem]:
        """What `eval.yaml` beside an evaluation's script names and is not there."""
        path = (self.folder / item.script).parent / EVAL_YAML
        if item.phase != "evaluation" or not path.parent.is_relative_to(self.folder):
            return
        try:
            top = _load_if_any(path)
        except StorageError as error:
            yield _unread(self.shown(path), error)
            return
        if top is None:
            return
        values = top.mapping() or {}
        if "model_path" not in values:
            return
        _, model = values["model_path"]
        word = model.text() or ""
        is_path = word.startswith(("/", ".")) or self.will_be(path.parent / word) is not None
        if "/" in word and is_path:
            call = Call(line=1, words=(), folder=path.parent)
            where = f"{self.shown(path)}:{model.line}"
            yield from self.model(item, call.place(word), word, where)

    def logs(self, item: RunItem, calls: Sequence[Call]) -> Iterator[tuple[Path, str]]:
        """Where an evaluation's logs go, with the place that says so."""
        for call in calls:
            words = _words_behind(call, "inspect", "eval")
            if words is None:
                continue
            path = call.place(_option(words, "--log-dir"))
            if path is not None:
                yield path, f"{item.script}:{call.line}"

    def shared_tables(self, tables: Mapping[Path, Sequence[tuple[str, str]]]) -> Iterator[Problem]:
        """Tables that several jobs would write. `tables`: path → (key, where) of each that does."""
        for path, writers in tables.items():
            keys = list(dict.fromkeys(key for key, _ in writers))
            if len(keys) > 1:
                message = (
                    f"{len(keys)} jobs would write the same {self.shown(path)}: {listed(keys, 4)}"
                )
                yield _warning(writers[1][1], message, "give each its own folder")

    def shared_logs(self, path: Path, owners: Sequence[tuple[RunItem, str]]) -> Iterator[Problem]:
        """Several evaluations of one task that leave their logs in one folder: whose a log is, its
        name does not say.
        """
        tasks: dict[str | None, list[tuple[RunItem, str]]] = {}
        for item, where in owners:
            tasks.setdefault(item.task, []).append((item, where))
        for several in tasks.values():
            keys = list(dict.fromkeys(item.key for item, _ in several))
            # The plan reports those that share the folder of their scripts.
            is_reported = path == self.folder / Path(several[0][0].script).parent / "logs"
            if len(keys) > 1 and not is_reported:
                message = (
                    f"{len(keys)} evaluations leave their logs in one folder, "
                    f"{self.shown(path)}/: {listed(keys, 4)}"
                )
                yield _warning(
                    several[1][1],
                    f"{message}; a log's name does not say its epoch",
                    "give each its own --log-dir",
                )

    def adapters(self) -> Iterator[Problem]:
        """Adapters among the checkpoints that are there, whose base model is not."""
        for path in self.promised:
            config = path / "adapter_config.json"
            try:
                data = read_if_any(config)
                base = json.loads(data or b"{}").get("base_model_name_or_path")
            except StorageError as error:
                yield _unread(self.shown(config), error)
                continue
            except (ValueError, AttributeError, RecursionError):
                continue
            is_path = isinstance(base, str) and base.startswith(("/", "./", "../"))
            if is_path and not _is_there(path / base):
                message = f"the adapter's base model {base} is not there (base_model_name_or_path)"
                hint = "put the model back, or evaluate the merged weights without adapter_*"
                yield _warning(self.shown(config), message, hint)


class _Config:
    """The paths of one torchtune configuration, with what the command line puts in their place.

    `overrides` are the command's own `key=value`, by dotted key, as in
    `checkpointer.checkpoint_dir=/models/base`; `where` is the command's place.
    """

    def __init__(self, call: Call, top: Located, overrides: Mapping[str, str], where: str) -> None:
        self.call = call
        self.values = {key: value for key, (_, value) in (top.mapping() or {}).items()}
        self.overrides = overrides
        self.where = where

    def value_of(self, section: str, key: str) -> Located | None:
        """The value of a section's key; None: it has none."""
        if section not in self.values:
            return None
        mapping = self.values[section].mapping() or {}
        if key not in mapping:
            return None
        return mapping[key][1]

    def path(self, section: str, key: str) -> tuple[Path | None, str]:
        """The path that stands there, and the place that says so; None: unknown. `${output_dir}` in
        it is filled in as OmegaConf does, from the file's top level.
        """
        override = self.overrides.get(f"{section}.{key}")
        if override is not None:
            return self.call.place(override), self.where
        item = self.value_of(section, key)
        if item is None:
            return None, ""
        text = item.text()
        if not text:
            return None, ""
        word = _INTERPOLATED.sub(self.interpolated, text)
        return self.call.place(word), f"{item.path}:{item.line}"

    def interpolated(self, match: re.Match[str]) -> str:
        """What stands for `${name}`; itself, where that is unknown."""
        value = self.overrides.get(match[1])
        if value is None and match[1] in self.values:
            value = self.values[match[1]].text()
        if value is None:
            return match[0]
        return value

    def files(self) -> Iterator[tuple[str, str]]:
        """The files that a checkpoint is said to have, each with its place."""
        if "checkpointer.checkpoint_files" in self.overrides:
            return
        item = self.value_of("checkpointer", "checkpoint_files")
        if item is None:
            return
        for element in item.list() or []:
            name = element.text() or ""
            if name and not _UNKNOWN.search(name):
                yield name, f"{element.path}:{element.line}"


def _is_there(path: Path) -> bool:
    """Whether something is there; of what may not be looked at, it is."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return True
