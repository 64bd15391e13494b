"""Why a job ended badly, named from evidence: what the scheduler says, and what the job's output
says at its end. Pure.

Sources of the words: PyTorch's and CUDA's error strings, NCCL's, slurmstepd's messages, Python's
exceptions, errno's texts.
"""

from __future__ import annotations

import re

import msgspec

from watchkeeper.core.events import Cause
from watchkeeper.core.text import lazy
from watchkeeper.watch.verdict.endings import End


class Named(msgspec.Struct, frozen=True):
    """A cause, and the evidence in words ("" where nothing names one: `unknown`, or "" of a job
    that ended well). `line` is the line of output that names it, "" where the cause is not known
    from there.
    """

    cause: Cause = ""
    words: str = ""
    line: str = ""


_STATES: dict[str, Named] = {
    "TIMEOUT": Named("walltime", "the time limit was over"),
    "DEADLINE": Named("deadline", "its deadline was over"),
    "OUT_OF_MEMORY": Named("memory host", "out of memory on the host"),
    "NODE_FAIL": Named("node", "its node failed"),
    "BOOT_FAIL": Named("node", "its node did not boot"),
    "PREEMPTED": Named("preempted", "preempted by another job"),
}
# Every repetition is bounded, so that a line of any length takes linear time.
# What a line of output says → the cause, the more telling first: a full disk may raise in the
# middle of a checkpoint.
_LINES: tuple[tuple[str, Cause, str], ...] = (
    (
        (
            r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError|HIP out of "
            r"memory|CUBLAS_STATUS_ALLOC_FAILED"
        ),
        "memory gpu",
        "out of memory on the GPU",
    ),
    (
        (
            r"oom[-_ ]kill|Killed process \d{1,20}|MemoryError|[Cc]annot allocate "
            r"memory|DefaultCPUAllocator: can't allocate"
        ),
        "memory host",
        "out of memory on the host",
    ),
    (
        r"Disk quota exceeded",
        "quota",
        "the disk quota was used up",
    ),
    (
        r"No space left on device",
        "disk",
        "the disk was full",
    ),
    (
        r"CANCELLED AT .{0,200} DUE TO TIME LIMIT",
        "walltime",
        "the time limit was over",
    ),
    (
        r"DUE TO PREEMPTION",
        "preempted",
        "preempted by another job",
    ),
    (
        r"DUE TO NODE FAILURE",
        "node",
        "its node failed",
    ),
    (
        (
            r"NCCL error|ncclSystemError|ncclUnhandledCudaError|Watchdog caught collective "
            r"operation timeout"
        ),
        "nccl",
        "the processes lost each other",
    ),
    (
        (
            r"CUDA driver version is insufficient|no CUDA-capable device|No CUDA GPUs are "
            r"available|NVIDIA-SMI has failed"
        ),
        "driver",
        "no usable GPU",
    ),
    (
        r"PytorchStreamWriter failed|SafetensorError|unexpected pos \d{1,20} vs",
        "checkpoint",
        "a checkpoint could not be written or read",
    ),
    (
        r"ModuleNotFoundError|ImportError|command not found|No module named",
        "install",
        "something is not installed",
    ),
    (
        r"ConfigAttributeError|MissingMandatoryValue|InstantiationError"
        r"|yaml\.(?:scanner|parser)\.|unrecognized arguments"
        r"|error: the following arguments are required"
        r"|error: argument .{1,200}: (?:invalid|expected)|[Nn]o such option",
        "config",
        "a bad configuration",
    ),
)
_CANCELLED = lazy.pattern(r"CANCELLED by (\d+)")
_EXCEPTION = lazy.pattern(r"^(?:[\w.]{1,200}\.)?(\w{0,100}(?:Error|Exception|Interrupt|Exit)\b.*)$")
KILLED = 137  # 128 + SIGKILL
PROGRAM_ERROR = "an error of the program: "
"""What stands before the exception that ended a program, in words."""
_TEXT_LIMIT = 300
_MISSING_FILE = lazy.pattern(r"can't open file |: No such file or directory$")
# How a recorder or a wrapper reports an operation that failed once: no cause of anything.
_WORKED = "; the second try worked: check that disk"


def cause_of(end: End, output: str, *, reason: str = "") -> str:
    """The cause in words; "" where nothing names one. Parameters as in `named`."""
    return named(end, output, reason=reason).words


def named(end: End, output: str, *, reason: str = "") -> Named:
    """The cause. `output` is the end of what the job printed, `reason` what the scheduler says.

    The surest first: the scheduler's own state (`TIMEOUT`), a line of the output that names a cause
    (`CUDA out of memory`), SIGKILL, the exception of the last traceback, a file that is missing. A
    traceback names the exception that ended the program, as the user's own error, where nothing
    more telling is found. `Named()`: the job ended well; `unknown`: nothing names one.
    """
    if end.state == "COMPLETED":
        return Named()
    if end.state in _STATES:
        return _STATES[end.state]
    if end.state == "CANCELLED":
        return _cancelled(reason, end.why)
    cause = _in_lines(output)
    if cause is not None:
        return cause
    if end.exit_code == KILLED:
        return Named("unknown", "killed (SIGKILL): often the host's memory was used up")
    exception = _last_exception(output)
    if exception:
        line = exception[:_TEXT_LIMIT]
        return Named("user error", f"{PROGRAM_ERROR}{line}", line)
    last = _last_line(output)
    if _MISSING_FILE.search(last):
        line = last[:_TEXT_LIMIT]
        return Named("user error", f"a file is missing ({line})", line)
    return Named("unknown")


def _last_line(output: str) -> str:
    """The last line that is not blank; "": there is none."""
    return output.rstrip().rpartition("\n")[2].strip()


def _cancelled(reason: str, why: str) -> Named:
    """The cause of a cancelled job: `cancelled by user 1000`, where the scheduler says by whom."""
    by = _CANCELLED.search(reason) or _CANCELLED.search(why)
    if by is None:
        return Named("cancelled", "cancelled")
    return Named("cancelled", f"cancelled by user {by.group(1)}")


def _in_lines(output: str) -> Named | None:
    """The most telling cause that a line names, with the last such line; None if none does.

    `torch.OutOfMemoryError: CUDA out of memory. Tried to allocate …` gives `memory gpu`, with `out
    of memory on the GPU` and that line. A carriage return ends a line: bars are drawn over.
    """
    lines = []
    for line in re.split(r"[\r\n]", output):
        stripped = line.strip()
        if stripped and not stripped.endswith(_WORKED):
            lines.append(stripped)
    for pattern, cause, words in _LINES:
        for line in reversed(lines):
            if re.search(pattern, line):
                shown = line[:_TEXT_LIMIT]
                return Named(cause, f"{words} ({shown})", shown)
    return None


def _last_exception(output: str) -> str:
    """The line that names the exception of the last traceback; "" where there is none.

        Traceback (most recent call last):
          File "train.py", line 3, in <module>
        ValueError: bad learning rate

    gives `ValueError: bad learning rate`, without the module of the exception's class.
    """
    _, mark, last = output.rpartition("Traceback (most recent call last):")
    if not mark:
        return ""
    for line in last.splitlines()[1:]:
        is_indented = not line or line[0].isspace()
        if is_indented:
            continue
        match = _EXCEPTION.match(line.strip())
        if match:
            return match.group(1)
    return ""


# The cause → its class, for errors of a job that still runs. Other causes have no class.
_CLASSES: dict[Cause, str] = {
    "memory gpu": "out of memory",
    "memory host": "out of memory",
    "quota": "disk full",
    "disk": "disk full",
    "nccl": "NCCL",
    "driver": "driver",
    "checkpoint": "checkpoint I/O",
    "install": "import",
    "config": "config",
}
_LINE = lazy.pattern(r"[^\r\n]+")
_ANY = lazy.pattern("|".join(f"(?:{pattern})" for pattern, cause, _ in _LINES if cause in _CLASSES))


def classify(line: str) -> tuple[str, str] | None:
    """The class of the error that a line of output tells, and the cause in words; None where it
    tells none.

    `OSError: [Errno 28] No space left on device` is `disk full`, `the disk was full`. Causes that
    only an end can have, such as a time limit, are no errors of a job that runs.
    """
    for pattern, cause, words in _LINES:
        if cause in _CLASSES and re.search(pattern, line):
            return _CLASSES[cause], words
    return None


def error_lines(text: str) -> list[tuple[int, str]]:
    """The lines of the text that `classify` knows, with where each ends in it: (offset behind the
    line, its first `_TEXT_LIMIT` characters).
    """
    errors = []
    for line in _LINE.finditer(text):
        if not _ANY.search(text, line.start(), line.end()):
            continue
        words = line.group()
        if words.endswith(_WORKED):
            continue
        errors.append((line.end(), words.strip()[:_TEXT_LIMIT]))
    return errors
