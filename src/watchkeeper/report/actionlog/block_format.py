"""The action logs' format: blocks of a time, an action, its subject, details and result.

    [2025-11-11 11:00:05] SUBMIT_JOB: Llama-3.2-1B_r8_lr1e-5
    Details: sbatch finetune.slurm
    Result: Job ID 1234567

    [2025-11-11 11:45:00] ALL_COMPLETE
    …
    Duration: 45 minutes

UTF-8, LF, a blank line between blocks; each value is one line, with backslash, newline and control
characters escaped. Source of the format: the document "Logging" for experiments run with torchtune
and inspect-ai.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from datetime import datetime

import msgspec

from watchkeeper.core.errors import Problem
from watchkeeper.core.text import lazy

ACTIONS = frozenset(
    {
        "DISCOVER_EXPERIMENT",
        "IDENTIFY_RUNS",
        "SUBMIT_JOB",
        "STATUS_CHECK",
        "STATE_CHANGE",
        "ALL_COMPLETE",
        "VERIFY_FINETUNING",
        "VERIFY_CHECKPOINTS",
        "IDENTIFY_EVALS",
        "SUBMIT_EVAL",
        "SKIP",
        "SUBMIT_ERROR",
        "MONITOR_ERROR",
        "VALIDATE",
        "DETACH",
        "RETRY",
        "HALT",
        "HEALTH",
    }
)

_HEAD = lazy.pattern(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] ([A-Z][A-Z_]*)(?:: (.*))?")
_FIELDS = ("Details", "Result", "Duration")
_TIME = "%Y-%m-%d %H:%M:%S"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `time` is naive: it is a wall clock's, in the experiment's zone. `subject` and
    `duration` may be "".
    """

    time: datetime
    action: str
    subject: str = ""
    details: str = ""
    result: str = ""
    duration: str = ""


def _escape_character(character: str) -> str:
    r"""Write one character so that a line of the log stays one line, and shows what it holds.

    A newline becomes `\n`, a terminal's escape `\u001b`. What can be printed stays.
    """
    if character == "\\":
        return "\\\\"
    if character == "\n":
        return "\\n"
    if character == "\r":
        return "\\r"
    # Control characters, line ends, surrogates; and what turns the text's direction or has no
    # width.
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        number = ord(character)
        if number < 0x10000:
            return f"\\u{number:04x}"
        return f"\\U{number:08x}"
    return character


def escape(value: str) -> str:
    """Write a value as one line; `unescape` reads it back to the same value."""
    if value.isprintable() and "\\" not in value:
        return value
    return "".join(map(_escape_character, value))


_ESCAPE = lazy.pattern(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")


def unescape(line: str) -> str:
    r"""Return the value that `escape` made this line from.

    An escape that `escape` never writes, as people may have typed it, stands for its own letter:
    `\q` is `q`. One beyond Unicode stays as it is.
    """

    def original(match: re.Match[str]) -> str:
        number = int(match[1] or match[2] or "0", 16)
        if match[3]:
            return {"n": "\n", "r": "\r"}.get(match[3], match[3])
        if number <= sys.maxunicode:
            return chr(number)
        return match[0]

    if "\\" in line:
        return _ESCAPE.sub(original, line)
    return line


def render(block: Block) -> str:
    """Write the block's lines, each with its newline, without the blank line between blocks."""
    subject = f": {escape(block.subject)}" if block.subject else ""
    lines = [
        f"[{block.time.strftime(_TIME)}] {block.action}{subject}",
        f"Details: {escape(block.details)}",
        f"Result: {escape(block.result)}",
    ]
    if block.duration:
        lines.append(f"Duration: {escape(block.duration)}")
    return "\n".join(lines) + "\n"


def render_all(blocks: list[Block]) -> str:
    """Write a whole log: the blocks in their order, with a blank line between them. "": no
    blocks.
    """
    return "\n".join(map(render, blocks))


def parse(text: str, name: str = "log") -> tuple[list[Block], list[Problem]]:
    """Read the blocks of a log: what `render_all` wrote, or a person has changed since.

    Lines that belong to no block become problems with their place (`name:line`, from 1). A last
    block without a Result is left out, since its writer may still be writing it; so is one in the
    middle, without a problem.
    """
    blocks: list[Block] = []
    problems: list[Problem] = []
    fields: dict[str, str] | None = None

    def finish() -> None:
        nonlocal fields
        if fields is not None and "result" in fields:
            blocks.append(Block(time=datetime.strptime(fields.pop("time"), _TIME), **fields))  # noqa: DTZ007
        fields = None

    for number, line in enumerate(text.split("\n"), 1):
        head = _HEAD.fullmatch(line)
        if head:
            finish()
            fields = {"time": head[1], "action": head[2], "subject": unescape(head[3] or "")}
            continue
        label, colon, value = line.partition(":")
        if fields is not None and colon and label in _FIELDS and label.lower() not in fields:
            fields[label.lower()] = unescape(value.removeprefix(" "))
        elif line:
            hint = "it is kept in the file and not read"
            problems.append(
                Problem(
                    where=f"{name}:{number}",
                    message="no part of a block",
                    hint=hint,
                    severity="warning",
                    code="unreadable",
                )
            )
    finish()
    return blocks, problems


def duration_words(seconds: float) -> str:
    """Write `38 seconds`, `45 minutes`, `2 hours 5 minutes`, `1 day 3 hours`: rounded to what a
    reader needs.

    From 90 seconds on minutes, from 90 minutes on hours and minutes, from 48 hours on days and
    hours. A negative time, of two clocks that differ, is `0 seconds`.
    """
    whole = max(0, round(seconds))
    if whole < 90:
        return _count(whole, "second")
    minutes = round(whole / 60)
    if minutes < 90:
        return _count(minutes, "minute")
    hours, minutes = divmod(minutes, 60)
    days = 0
    if hours >= 48:
        days, hours = divmod(hours, 24)
        minutes = 0
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute")]
    return " ".join(_count(number, unit) for number, unit in parts if number)


def _count(number: int, unit: str) -> str:
    if number == 1:
        return f"1 {unit}"
    return f"{number} {unit}s"
