"""The head of a batch script: the `#SBATCH` directives, read as sbatch reads them.

Source of the rules: sbatch(1), and in Slurm's source `opt.c` (`_opt_batch_script`, `get_argument`,
`_set_options`) and `sbatch.c` (`_get_script_buffer`). The head ends at the first line that is
neither blank nor a comment; every directive line adds its words to one list, which is then read as
a command line and, as there, not beyond the first word that is no option. Departures: a time limit
keeps its seconds (Slurm rounds up to minutes), and abbreviated long options are not recognised.
Directives that mean nothing on one machine (partition, memory) are read past.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import Problem
from watchkeeper.core.text import lazy
from watchkeeper.core.text.odd_bytes import as_text
from watchkeeper.schedulers import arrays

MAGIC = b"#SBATCH"
# The ones `isspace` knows in the C locale.
_SPACE = b" \t\n\v\f\r"
_SPACES = _SPACE.decode()
_SHORT_WITHOUT_VALUE = frozenset("hHIkOQsvVW")
_LONG_WITHOUT_VALUE = frozenset(
    {
        "contiguous", "exclusive", "get-user-env", "help", "hold", "ignore-pbs", "nice", "no-kill",
        "no-requeue", "overcommit", "oversubscribe", "parsable", "propagate", "quiet", "reboot",
        "requeue", "share", "spread-job", "test-only", "usage", "use-min-nodes", "verbose",
        "version", "wait",
    }
)  # fmt: skip
_LONG_NAMES = {
    "J": "job-name", "o": "output", "e": "error", "t": "time", "D": "chdir", "d": "dependency",
    "a": "array", "p": "partition", "A": "account", "G": "gpus", "n": "ntasks", "M": "clusters",
    "N": "nodes", "c": "cpus-per-task",
}  # fmt: skip
_NOT_INHERITED = (b"SLURM_", b"SBATCH_", b"WATCHKEEPER_")
_MOST_WIDTH = 10  # of a number in a file's name: sbatch(1) fills it with zeros up to ten places
_MOST_WIDTH_DIGITS = 15
_UNLIMITED = frozenset({"-1", "unlimited", "infinite"})
_NUMBER = r"\d{1,9}"
_LIMITS = tuple(
    lazy.pattern(pattern, re.ASCII)
    for pattern in (
        rf"(?P<m>{_NUMBER})(?::(?P<s>{_NUMBER}))?",
        rf"(?P<h>{_NUMBER}):(?P<m>{_NUMBER}):(?P<s>{_NUMBER})",
        rf"(?P<d>{_NUMBER})-(?P<h>{_NUMBER})(?::(?P<m>{_NUMBER})(?::(?P<s>{_NUMBER}))?)?",
    )
)
_NEXT_COMPONENT = (("hetjob",), ("packjob",))
# `int` refuses thousands of digits, in words that say nothing of the script.
_COUNT = lazy.pattern(r"[0-9]{1,9}")
_VARIABLE = lazy.pattern(r"\$\{?[A-Za-z_]\w*\}?")
_UNITS_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_RESOURCES = (
    "time", "mem", "mem-per-cpu", "mem-per-gpu", "nodes", "ntasks", "ntasks-per-node",
    "cpus-per-task", "gpus", "gpus-per-node", "gpus-per-task", "gres",
)  # fmt: skip


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A batch script up to its first command.

    `data` is the head's bytes, the `#!` line first. `interpreter` is that line as the kernel reads
    it: a path and at most one argument; () if there is none. `name` is "" if neither the script nor
    the caller gave one. `error` is "" where standard error goes where output goes. `time_limit_s`
    is None for no limit, asked for or not (`has_time_limit`). `folder` is `--chdir`'s, "" for none;
    `dependency`, `array`, `partition`, `account`, `clusters`, `open_mode` likewise. `gpus` is how
    many it asks for on one machine, whatever their type; `gpus_in_all` on all of its nodes.
    `asked`: the long name of each option that asks for time, memory, nodes, tasks or GPUs → its
    value as written.
    """

    data: bytes
    interpreter: tuple[str, ...]
    name: str = ""
    output: str = "slurm-%j.out"
    error: str = ""
    time_limit_s: int | None = None
    folder: str = ""
    open_mode: str = ""
    dependency: str = ""
    array: str = ""
    partition: str = ""
    account: str = ""
    clusters: str = ""
    has_time_limit: bool = False
    gpus: int = 0
    gpus_in_all: int = 0
    asked: Mapping[str, str] = {}
    problems: tuple[Problem, ...] = ()

    @property
    def append(self) -> bool:
        """Whether its output goes behind what is there already."""
        return self.open_mode[:1] in ("a", "A")


class _Fault(ValueError):
    """sbatch would refuse these words; the message says why."""

    def __init__(self, message: str) -> None:
        super().__init__(as_text(message))


def read_head(script: Path | bytes, *, name: str = "", beside: Sequence[str] = ()) -> Head:
    """The head of a script, given as a file or as its bytes.

    `name` is the job's name if the script gives none; a file's is its own. `beside` are options of
    the command line, which outweigh the script's. What sbatch would refuse is a `Problem`.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(script, Path):
        where = str(script)
        name = name or script.name
        source = read_whole(script)
    else:
        where = name or "the script"
        source = script
    data = b"".join(_head_lines(source))
    problems = list(_refusals(source, where))
    options = _options(data, beside, where, problems)
    limit_s = _checked_time_limit(options, where, problems)
    gpus = _checked_gpus(options, where, problems)
    _check_array(options, where, problems)
    problems += _not_expanded(options, where)
    return Head(
        data=data,
        interpreter=_interpreter(data),
        name=options.get("job-name", name),
        output=_file(options.get("output", "")) or _default_output(options),
        error=_file(options.get("error", "")),
        time_limit_s=limit_s,
        folder=options.get("chdir", ""),
        open_mode=options.get("open-mode", ""),
        dependency=options.get("dependency", ""),
        array=options.get("array", ""),
        partition=options.get("partition", ""),
        account=options.get("account", ""),
        clusters=options.get("clusters", ""),
        has_time_limit="time" in options,
        gpus=gpus[0],
        gpus_in_all=gpus[1],
        asked={name: options[name] for name in _RESOURCES if name in options},
        problems=tuple(problems),
    )


def _options(
    data: bytes, beside: Sequence[str], where: str, problems: list[Problem]
) -> dict[str, str]:
    """Long option → value: the directives of the head, and the options `beside`, which outweigh
    them. A fault in either leaves out all of it and what follows.
    """
    options: dict[str, str] = {}
    try:
        words = _OptionReader(_words(data))
        stop = words.read()
        options.update(words.options)
        if stop is not None:
            problems.append(
                Problem(
                    where=where,
                    message=f"'{as_text(stop)}' is no option: sbatch reads no directive after it",
                    hint="put a # before a comment",
                    severity="warning",
                    code="bad-script",
                )
            )
        words = _OptionReader(beside)
        words.read()
        options.update(words.options)
    except _Fault as fault:
        problems.append(
            Problem(
                where=where, message=str(fault), hint="correct that #SBATCH line", code="bad-script"
            )
        )
    return options


def _default_output(options: Mapping[str, str]) -> str:
    """Where output goes that no option places: a file for each task of an array."""
    if "array" in options:
        return "slurm-%A_%a.out"
    return "slurm-%j.out"


def _checked_time_limit(
    options: Mapping[str, str], where: str, problems: list[Problem]
) -> int | None:
    if "time" not in options:
        return None
    try:
        return time_limit_s(options["time"])
    except ValueError as error:
        hint = "write --time=HH:MM:SS or --time=D-HH:MM:SS"
        problems.append(Problem(where=where, message=str(error), hint=hint, code="bad-script"))
        return None


def _check_array(options: Mapping[str, str], where: str, problems: list[Problem]) -> None:
    if "array" not in options:
        return
    try:
        arrays.numbers_of(options["array"])
    except ValueError as error:
        hint = "write --array=0-15 or 1,3,5-7%2"
        problems.append(
            Problem(where=where, message=f"--array: {error}", hint=hint, code="bad-script")
        )


def _checked_gpus(
    options: Mapping[str, str], where: str, problems: list[Problem]
) -> tuple[int, int]:
    """How many GPUs it asks for on one machine, and on all of its nodes."""
    try:
        return gpus_of(options), gpus_of(options, nodes=least_nodes(options))
    except ValueError as error:
        hint = "write --gpus=2, or --gres=gpu:2"
        problems.append(Problem(where=where, message=str(error), hint=hint, code="bad-script"))
        return 0, 0


def least_nodes(options: Mapping[str, str]) -> int:
    """The nodes that `--nodes=2` or `2-4` asks for at least; 1 where it is no number."""
    least = options.get("nodes", "1").partition("-")[0]
    return int(least) if _COUNT.fullmatch(least) else 1


def time_limit_s(text: str) -> int | None:
    """A time limit in seconds; None for no limit (0, UNLIMITED, INFINITE).

    Minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S, as in sbatch(1).

    Raises:
        ValueError: it is none of these.
    """
    if text.lower() in _UNLIMITED:
        return None
    for pattern in _LIMITS:
        match = pattern.fullmatch(text)
        if match is not None:
            seconds = sum(
                _UNITS_S[unit] * int(value)
                for unit, value in match.groupdict().items()
                if value is not None
            )
            return seconds or None
    raise ValueError(f"'{text}' is no time limit")


def gpus_of(options: Mapping[str, str], nodes: int = 1) -> int:
    """How many GPUs a job asks for on one machine, or on that many `nodes`, by --gpus,
    --gpus-per-node, --gpus-per-task or --gres (sbatch(1)): each a number with or without a type
    before it, several types with commas between them.

    Raises:
        ValueError: one of these is no number of GPUs.
    """
    tasks = options.get("ntasks", "1")
    per_task = int(tasks) if _COUNT.fullmatch(tasks) else 1
    gres = ",".join(
        one for one in options.get("gres", "").split(",") if one.partition(":")[0] == "gpu"
    )
    numbers = [
        _gpus("gpus", options.get("gpus", "")),
        _gpus("gpus-per-node", options.get("gpus-per-node", "")) * nodes,
        _gpus("gpus-per-task", options.get("gpus-per-task", "")) * per_task,
        _gpus("gres", gres, of="gpu") * nodes,
    ]
    return max(numbers)


def _gpus(name: str, value: str, of: str = "") -> int:
    total = 0
    for one in filter(None, value.split(",")):
        parts = one.split(":")[1 if of else 0 :]
        if parts:
            last = parts[-1]
        else:
            last = "1"
        if _COUNT.fullmatch(last):
            total += int(last)
        elif of and len(parts) <= 1 and not last.isdigit():  # --gres=gpu:a100 is one of them
            total += 1
        else:
            raise ValueError(f"--{name}={value} is no number of GPUs")
    return total


def expand(
    pattern: str, *, job_id: str, name: str, user: str, node: str, task: tuple[str, str] = ("", "")
) -> str:
    """A file name from Slurm's pattern (sbatch(1), FILENAME PATTERN): %j %A %a %x %u %N %%, and
    widths as in %5j. `task` is an array's id and the task's number, both "" for no array.

    A backslash in the pattern turns expansion off and is left out, as there. Anything else stays as
    it is.
    """
    if "\\" in pattern:
        return pattern.replace("\\", "")
    array_id, number = task
    values = {
        "j": job_id,
        "A": array_id or job_id,
        "a": number or "%a",
        "x": name,
        "u": user,
        "N": node.partition(".")[0],
    }

    def value(match: re.Match[str]) -> str:
        width, letter = match.groups()
        if letter == "%":
            if not width:
                return "%"
            return match.group()
        if letter not in "jAa":
            return values[letter]
        wanted = int(width[:_MOST_WIDTH_DIGITS] or 0)
        return values[letter].zfill(min(wanted, _MOST_WIDTH))

    return re.sub(r"%(\d*)([jAaxuN%])", value, pattern)


def job_environment(
    submitter: Mapping[bytes, bytes], *, job_id: str, name: str, folder: Path, restart: int = 0
) -> dict[bytes, bytes]:
    """What a job that Slurm did not start finds: the submitter's environment without what says of
    the submitter's own job, and what Slurm would say of this one. `folder` is where it was
    submitted.
    """
    kept = {key: value for key, value in submitter.items() if not key.startswith(_NOT_INHERITED)}
    own = {
        "SLURM_JOB_ID": job_id,
        "SLURM_JOB_NAME": name,
        "SLURM_SUBMIT_DIR": str(folder),
        "WATCHKEEPER_JOB_ID": job_id,
    }
    if restart:
        own["SLURM_RESTART_COUNT"] = str(restart)
    return kept | {key.encode(): os.fsencode(value) for key, value in own.items()}


def _head_lines(source: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb"[^\n]*\n|[^\n]+", source):
        line = match.group()
        bare = line.strip(_SPACE)
        if bare and not bare.startswith(b"#"):
            return
        yield line


def _refusals(source: bytes, where: str) -> Iterator[Problem]:
    """What makes sbatch refuse a script whatever its directives."""
    if not source.strip(_SPACE):
        yield Problem(
            where=where,
            message="the batch script is empty",
            hint="write the job's commands into it",
            code="bad-script",
        )
    elif not source.startswith(b"#!"):
        message = "it has no #! line, which sbatch demands"
        yield Problem(
            where=where, message=message, hint="make its first line #!/bin/bash", code="bad-script"
        )
    if b"\r\n" in source:
        message = "it has Windows line ends, which sbatch refuses"
        yield Problem(
            where=where, message=message, hint=f"type: sed -i 's/\\r$//' {where}", code="bad-script"
        )
    if b"\0" in source:
        yield Problem(
            where=where,
            message="it holds a NUL character, which sbatch refuses",
            hint="is it a text file?",
            code="bad-script",
        )


def _not_expanded(options: Mapping[str, str], where: str) -> Iterator[Problem]:
    """Paths that a shell would read otherwise than sbatch: where a folder has such a name, there is
    none.
    """
    for option in ("output", "error", "chdir"):
        value = options.get(option, "")
        if value.startswith("~"):
            sign = "~"
        else:
            sign = next(iter(_VARIABLE.findall(value)), "")
        if not sign:
            continue
        if option == "chdir":
            lost = "the job would run elsewhere"
        else:
            lost = "its output would be lost"
        if option == "chdir":
            folder = value
        else:
            folder = value.rpartition("/")[0]
        is_lost = folder.startswith("~") or _VARIABLE.search(folder) is not None
        message = f"--{option}={value}: sbatch expands no {sign}" + (
            f", and {lost}" if is_lost else ", and takes it as a name"
        )
        hint = (
            "write the whole path; of its own, %u is your user name, %x the job's name and %j "
            "its id"
        )
        yield Problem(
            where=where,
            message=as_text(message),
            hint=hint,
            severity="error" if is_lost else "warning",
            code="bad-script",
        )


def _interpreter(data: bytes) -> tuple[str, ...]:
    """The `#!` line as the kernel reads it (execve(2)): the rest of the line after the path is one
    argument.
    """
    first = data.partition(b"\n")[0]
    if not first.startswith(b"#!"):
        return ()
    return tuple(
        os.fsdecode(word)
        for word in re.split(rb"[ \t]+", first[2:].strip(b" \t"), maxsplit=1)
        if word
    )


def _file(value: str) -> str:
    if value.lower() == "none":
        return "/dev/null"
    return value


def _words(data: bytes) -> list[str]:
    """The words of all directives; of a heterogeneous job, of its first component, which runs the
    script.
    """
    words: list[str] = []
    for line in data.split(b"\n"):
        if line.startswith(MAGIC):
            part = _arguments(os.fsdecode(line[len(MAGIC) :]))
            if part in _NEXT_COMPONENT:
                break
            words.extend(part)
    return words


@lru_cache(maxsize=4096)  # the scripts of a sweep share most of their lines
def _arguments(line: str) -> tuple[str, ...]:
    """The words of one directive: both quotes group, a backslash takes the next character as it is
    even inside them, an unquoted # begins a comment even inside a word.

    Raises:
        _Fault: a word begins with a colon, or a quote is not closed.
    """
    words: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at] in _SPACES:
            at += 1
        if line[at : at + 1] == ":":
            raise _Fault(f"unexpected ':' in '{MAGIC.decode()}{line}'")
        word, at = _next_word(line, at)
        if not word:
            return tuple(words)
        words.append(word)


def _next_word(line: str, at: int) -> tuple[str, int]:
    """The word that begins at this place, and the place behind it; "" at a comment, at the end of
    the line, and for empty quotes.
    """
    word, quote = "", ""
    while not _ends_word(line, at, quote):
        letter = line[at]
        if letter == "#" and not quote:
            break
        at += 1
        if letter == quote:
            quote = ""
        elif letter in "\"'" and not quote:
            quote = letter
        elif letter != "\\":
            word += letter
        elif not _ends_word(line, at, quote):
            word += line[at]
            at += 1
    if quote:
        raise _Fault(f"unmatched {quote} in '{MAGIC.decode()}{line}'")
    return word, at


def _ends_word(line: str, at: int, quote: str) -> bool:
    if at >= len(line):
        return True
    return not quote and line[at] in _SPACES


class _OptionReader:
    """Reads words as getopt_long does. `options`: long option → value, the last one winning."""

    def __init__(self, words: Sequence[str]) -> None:
        self.options: dict[str, str] = {}
        self._words = deque(words)

    def read(self) -> str | None:
        """Read up to the first word that is no option, and return that; None: all were read.

        Raises:
            _Fault: an option has no value, and needs one.
        """
        while self._words:
            word = self._words.popleft()
            if word in ("-", "--") or not word.startswith("-"):
                return word
            if word.startswith("--"):
                self._read_long(word[2:])
            else:
                self._read_short(word[1:])
        return None

    def _read_long(self, text: str) -> None:
        name, equals, value = text.partition("=")
        if equals or name in _LONG_WITHOUT_VALUE:
            self.options[name] = value
            return
        is_known = name in _LONG_NAMES.values()
        if not self._words:
            if is_known:
                raise _Fault(f"--{name} needs a value")
            self.options[name] = ""
            return
        if self._words[0].startswith("-") and not is_known:
            # A flag of another version of Slurm: an option follows, not a value.
            return
        self.options[name] = self._words.popleft()

    def _read_short(self, letters: str) -> None:
        for at, letter in enumerate(letters):
            if letter in _SHORT_WITHOUT_VALUE:
                continue
            value = letters[at + 1 :]
            if not value and self._words:
                value = self._words.popleft()
            elif not value and letter in _LONG_NAMES:
                raise _Fault(f"-{letter} needs a value")
            self.options[_LONG_NAMES.get(letter, letter)] = value
            return
