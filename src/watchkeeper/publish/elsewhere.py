"""Which checkpoints a piece of work uses: those that it evaluates, and those that it continues.

They are read from the words of its script, from its arguments and from the configurations that they
name. Nothing is run. A name of a hub, or of a model that only a program knows, is no path here and
names none.

An evaluation is a job of that phase; a script whose name says so; and in any other script each
command whose program's name says so. A training continues a checkpoint where an option, a variable
or a field whose name speaks of resuming names it. The base model of a training is neither.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from string import Template

import msgspec

from watchkeeper.core.code.shell_text import assigned, commands, variables, words_of
from watchkeeper.core.disk.files import read_start_if_any
from watchkeeper.publish import names
from watchkeeper.reading.configs import MOST_BYTES, SUFFIXES

# The names of options, variables, fields and programs, in whatever case.
_EVALUATES = re.compile(r"(?i)(?:^|[^a-z])eval(?:s|uate|uation|uations|uator)?(?![a-z])")
_EVALUATION_TOOL = re.compile(
    r"\binspect\s+eval\b|\btune\s+run\s.*_eval\b|\blighteval\b|\blm[-_]eval"
)
_CONTINUES = re.compile(r"(?i)resume|load_?ck|load_?checkp|(?:adapter|recipe)_checkpoint")
_HINTS = re.compile(rf"(?i)eval|{_CONTINUES.pattern.removeprefix('(?i)')}")
_CONFIG = re.compile(rf"[\w:./${{}}~+@%,-]+(?:{'|'.join(map(re.escape, SUFFIXES))})\b")
_UNPLAIN = frozenset("$`*?[]{}~")
_DEFAULT = re.compile(r"\$\{(\w+):?-([^}]*)\}")
_POSITION = re.compile(r"\$\{?([1-9])(?::?[-?][^}]*)?\}?")
_FROM_POSITION = re.compile(r"(?:export\s+)?(\w+)=[\"']?(\$\{?[1-9][^\"'\s]*)[\"']?")
_ALL = frozenset({"$@", "$*", "${@}", "${*}"})
_PROGRAMS = (".py", ".sh", ".bash")
_OPERATORS = frozenset({"&&", "||", ";", "|", "&", "(", ")"})
_TOKEN = re.compile(
    r"""
    "([^"\n]*/[^"\n]*)"                         # a quoted text with a slash
    | '([^'\n]*/[^'\n]*)'
    | ([^\s"',=:\[\]{}]*/[^\s"',\[\]{}]*)       # a bare one
    """,
    re.VERBOSE,
)
_FIELD = re.compile(r"[\"']?([\w.-]+)[\"']?\s*[:=]\s*[\"']?([^\"'\n#,\[\]{}]+)")
_PAPERS = (names.PASSPORT, names.SIGNOFF)
_ABOVE_WEIGHTS = ("config.json", "_CHECKPOINT_METADATA", *_PAPERS)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """How a job begins: the name and the text of its script, its arguments, and the folder that it
    runs in. `evaluates`: it is an evaluation, whatever its script is called.
    """

    name: str
    text: str
    workdir: Path
    args: tuple[str, ...] = ()
    evaluates: bool = False


def checkpoints_of(call: Call) -> list[Path]:
    """The folders of the checkpoints that a job evaluates or continues, each once.

    In the order in which its commands name them, as absolute paths. [] for a job that uses none, or
    names them in a way that is not followed here. Files are read, nothing is run; raises nothing.
    """
    is_evaluation = call.evaluates or says_evaluation(PurePath(call.name).stem)
    if not is_evaluation and not _may_name_any(call):
        return []
    words: list[str] = []
    for command in _commands(call):
        if is_evaluation or _is_evaluation(command):
            words += _with_configs(call.workdir, command)
        else:
            words += _continued(call.workdir, command)
    if is_evaluation:
        words += _with_configs(call.workdir, call.args)
    roots: dict[Path, None] = {}
    for word in words:
        root = _root_of(call.workdir, word)
        if root is not None:
            roots[root] = None
    return list(roots)


def says_evaluation(name: str) -> bool:
    """Whether a name says that something is an evaluation: `eval`, `evaluate_model`, `lm-eval`;
    `retrieval` does not.
    """
    return _EVALUATES.search(name) is not None


def _may_name_any(call: Call) -> bool:
    """Whether a job could evaluate or continue a checkpoint, at a glance: of the thousand trainings
    of a sweep hardly one does, and to take each script apart would take a second.
    """
    text = "\n".join([call.text, *call.args])
    if _HINTS.search(text):
        return True
    configs = _CONFIG.findall(text)
    if any("$" in name for name in configs):
        return True  # which file that is, is known only once its variables are
    return any(_CONTINUES.search(_config(call.workdir, name)) for name in configs)


# ── the words of a script


def _commands(call: Call) -> Iterator[list[str]]:
    """The words of each command, with what is known of variables and arguments put in.

    `python eval.py --model "$ROOT/$1"` gives `["python", "eval.py", "--model", "/data/r8"]` where
    the script sets ROOT, and its first argument is `r8`.
    """
    values = _values(call)
    lines = [line for _, line in commands(call.text)]
    for line in lines:
        words = list(_expanded(words_of(line), call.args, values))
        yield from _parted(words)


def _values(call: Call) -> dict[str, str]:
    """The variables whose values are known, by name.

    The script's plain ones (`ROOT=/work`), those that hold an argument (`MODEL=${1:-r8}`), and
    those that it finds set. A variable that it sets in another way (`ROOT=$(pwd)`) is none of them,
    whatever the environment holds.
    """
    own = assigned(call.text)
    values = {name: value for name, value in os.environ.items() if name not in own}
    for _, line in commands(call.text):
        match = _FROM_POSITION.fullmatch(line)
        if match is not None:
            values[match[1]] = _argument(match[2], call.args)
    return values | variables(call.text)


def _parted(words: Iterable[str]) -> Iterator[list[str]]:
    """The commands of a line: `cd x && python y` has two."""
    for is_operator, part in itertools.groupby(words, _OPERATORS.__contains__):
        if not is_operator:
            yield list(part)


def _expanded(
    words: Iterable[str], args: tuple[str, ...], values: Mapping[str, str]
) -> Iterator[str]:
    """The words with what is known put in. `$@` becomes all arguments, `${NAME:-x}` the variable or
    `x`, and a variable that is not known stays as it is written.
    """
    for word in words:
        if word in _ALL:
            yield from args
        elif _POSITION.fullmatch(word):
            yield _argument(word, args)
        else:
            with_defaults = _DEFAULT.sub(lambda match: values.get(match[1]) or match[2], word)
            yield Template(with_defaults).safe_substitute(values)


def _argument(word: str, args: tuple[str, ...]) -> str:
    """The argument that `$1` or `${1:-default}` stands for; "" where it was not given."""
    match = _POSITION.fullmatch(word)
    if match is None or int(match[1]) > len(args):
        return ""
    return args[int(match[1]) - 1]


def _is_evaluation(command: list[str]) -> bool:
    """Whether the name of the program that a command runs says that it evaluates."""
    if _EVALUATION_TOOL.search(" ".join(command)):
        return True
    return any(says_evaluation(PurePath(program).stem) for program in _programs(command))


def _programs(command: list[str]) -> Iterator[str]:
    """The programs of a command; the `eval` of the shell itself is none.

    Of `python -m lm_eval` they are `python` and `lm_eval`, of `srun bash eval.sh` also `eval.sh`;
    the file behind an option (`--script eval.py`) is its value.
    """
    if command[0] != "eval" and "=" not in command[0]:
        yield command[0]
    for before, word in itertools.pairwise(command):
        is_file = word.endswith(_PROGRAMS) and not before.startswith("--")
        if is_file or before == "-m":
            yield word


def _with_configs(workdir: Path, words: Iterable[str]) -> Iterator[str]:
    """The words, and what looks like a path in the configurations that they name.

    Relative names are looked up in `workdir`, the folder that the job runs in.
    """
    for word in words:
        yield word
        for match in _TOKEN.finditer(_config(workdir, word)):
            yield match[1] or match[2] or match[3]


def _continued(workdir: Path, words: list[str]) -> Iterator[str]:
    """What a training continues, by the names of its options, variables and fields.

    `--resume PATH`, `--resume=PATH`, `LOAD_CKPT=PATH`, `checkpointer.recipe_checkpoint=PATH`, and
    `resume_from: PATH` in a configuration.
    """
    for before, word in itertools.pairwise(["", *words]):
        name, equals, value = word.rpartition("=")
        if not equals and before.startswith("-"):
            name = before
        if _CONTINUES.search(name):
            yield value
        for match in _FIELD.finditer(_config(workdir, word)):
            if _CONTINUES.search(match[1]):
                yield match[2].strip()


def _config(workdir: Path, word: str) -> str:
    """The text of the configuration that a word names; "" where it names none, or a large one."""
    name = word.rpartition("=")[2]
    if not name.endswith(SUFFIXES):
        return ""
    data = read_start_if_any(workdir / name, MOST_BYTES + 1) or b""
    if len(data) > MOST_BYTES:
        return ""
    return data.decode("utf-8", "replace")


# ── what lies there


def _root_of(workdir: Path, word: str) -> Path | None:
    """The folder of the checkpoint that a word names; None: it names none.

    The word may be the value of an option (`--model=/data/r8`), a folder with weights, or a file of
    weights. It needs a slash: `org` alone may be anything. What a shell would still expand is not
    followed.
    """
    name = word.rpartition("=")[2]
    if name.startswith("~/"):
        name = os.path.expanduser(name)  # noqa: PTH111 - an unknown home stays as it is
    if "/" not in name or not _UNPLAIN.isdisjoint(name):
        return None
    path = Path(os.path.normpath(workdir / name))
    try:
        if path.is_file():
            return _whole(path.parent) if names.is_weights(path.name) else None
        return _whole(path) if _holds_weights(path) else None
    except (OSError, ValueError):
        return None


def _holds_weights(path: Path) -> bool:
    """Whether a folder holds weights, itself or in the folders of a checkpoint's parts.

    Raises:
        OSError: it is no folder, or cannot be read.
    """
    entries = os.listdir(path)
    if any(map(names.is_weights, entries)):
        return True
    # Only a folder that looks like a checkpoint is searched further down: a word may name `/data`.
    if not any(name in entries for name in _ABOVE_WEIGHTS):
        return False
    inner = (str(file.relative_to(path)) for file in path.glob("*/*"))
    return any(map(names.is_weights, inner))


def _whole(path: Path) -> Path:
    """The checkpoint that a folder with weights is, or is a part of: its papers say so.

    Of `step_100/params` it is `step_100`, if the passport lies there.
    """
    above = path.parent
    if _has_papers(path) or not _has_papers(above):
        return path
    return above


def _has_papers(path: Path) -> bool:
    """Whether a passport or a sign-off lies in a folder."""
    return any((path / name).exists() for name in _PAPERS)
