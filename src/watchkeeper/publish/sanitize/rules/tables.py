"""Columns of tables whose headings say that they hold hosts, jobs, users, accounts or secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.core.text import redaction
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.spans import Kind, Span

_RULE = re.compile(
    r"[ \t]*\|?[ \t]*:?-{1,200}:?[ \t]*(?:\|[ \t]*:?-{1,200}:?[ \t]*){0,200}\|?[ \t]*"
)
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "job",
        re.compile(
            r"(?:slurm |array |batch )?job ?(?:id|number|no|nr|#)?|execution ?id|slurm ?id"
            r"|jobidraw"
        ),
    ),
    (
        "host",
        re.compile(
            r"(?:slurm |login |compute )?(?:nodes?|host|hosts|host ?name|node ?list"
            r"|node ?name|machine|server|instance)(?:\(reason\))?"
        ),
    ),
    ("user", re.compile(r"user(?: ?name)?|owner|login|submitted by|launched by|submitter")),
    ("account", re.compile(r"(?:slurm |project )?(?:account|partition|qos|reservation|queue)")),
    ("path", re.compile(r"(?:.* )?(?:path|folder|directory|dir|location)")),
    ("wandb", re.compile(r"(?:w&b|wandb)(?: run)? id")),
)
_EMPTY = re.compile(r"(?:n/?a|none|-+|–|—|pending|unknown|null|\?|)", re.IGNORECASE)
_MACHINE_HEADER = re.compile(
    r"(?m)^[ \t]*(?=[^\n]{0,200}\b(?:JOBID|JobID|JobIDRaw|NODELIST|NodeList)\b)[^\n|]{5,400}$"
)
_REASON = "a column of a table with this heading"
_MOST_CELLS = 100_000


def find(text: str, known: Known) -> Iterator[Span]:
    """The cells of such columns, in tables of Markdown and of Slurm."""
    if "|" in text:
        yield from _in_markdown(text)
    if "JOBID" in text or "JobID" in text or "NODELIST" in text or "NodeList" in text:
        yield from _of_slurm(text)


def _in_markdown(text: str) -> Iterator[Span]:
    lines = _lines(text)
    columns: dict[int, Kind] = {}
    previous: tuple[int, str] = (0, "")
    for start, line in lines:
        if "|" not in line:
            columns = {}
        elif _RULE.fullmatch(line):
            columns = _columns(previous[1])
        elif columns:
            yield from _cells(start, line, columns)
        previous = (start, line)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.splitlines(keepends=True):
        yield at, line.rstrip("\r\n")
        at += len(line)


def _columns(header: str) -> dict[int, Kind]:
    """The private columns of a table: the number of each → its kind."""
    columns: dict[int, Kind] = {}
    for number, (start, end) in enumerate(_places(header)):
        kind = _kind_of(header[start:end])
        if kind is not None:
            columns[number] = kind
    return columns


def _kind_of(heading: str) -> Kind | None:
    bare = re.sub(r"[*_`\s-]+", " ", heading).strip().lower()
    for kind, pattern in _KINDS:
        if pattern.fullmatch(bare):
            return kind
    return "secret" if redaction.is_name(bare.replace(" ", "_")) else None


def _places(line: str) -> Iterator[tuple[int, int]]:
    """Where the cells of a row stand, without the space around them."""
    begin = len(line) - len(line.lstrip(" \t|"))
    for match in re.finditer(r"[^|]*", line[begin:]):
        cell = match[0]
        if not cell and match.start() < len(line) - begin:
            continue
        start = begin + match.start() + len(cell) - len(cell.lstrip())
        yield start, start + len(cell.strip())


def _cells(start: int, line: str, columns: dict[int, Kind]) -> Iterator[Span]:
    for number, (begin, end) in enumerate(_places(line)):
        if number not in columns:
            continue
        cell = line[begin:end].strip("*_`")
        if _EMPTY.fullmatch(cell) or not _is_kind(cell, columns[number]):
            continue
        at = start + line.index(cell, begin)
        yield _span(at, cell, columns[number])


def _is_kind(cell: str, kind: Kind) -> bool:
    """Whether a cell holds what its column's heading says: nodes may be counted, paths are hidden
    only where they are absolute, which paths.py sees.
    """
    if kind == "host":
        return not re.fullmatch(r"[\d.x]*|\([A-Za-z]*\)", cell)
    if kind == "path":
        return False
    return kind != "job" or bool(re.search(r"\d", cell))


def _span(at: int, cell: str, kind: Kind) -> Span:
    value = cell.lower()
    word = ""
    if kind == "job":
        value = re.split(r"[_.\[]", cell)[0]
        word = value if value.isdigit() else ""
    elif kind in ("user", "host"):
        word = cell if re.fullmatch(r"[\w.-]{3,64}", cell) and not cell.isdigit() else ""
    return Span(at, at + len(cell), kind, value, _REASON, word)


def _of_slurm(text: str) -> Iterator[Span]:
    """The cells below the headings that `squeue` and `sacct` print."""
    for header in _MACHINE_HEADER.finditer(text):
        names = header[0].split()
        kinds = {at: kind for at, name in enumerate(names) if (kind := _kind_of(name)) is not None}
        if len(names) < 2 or not kinds:
            continue
        at = header.end() + 1
        for line in text[at : at + _MOST_CELLS].split("\n"):
            if not line.strip():
                break
            yield from _words(at, line, kinds, len(names))
            at += len(line) + 1


def _words(start: int, line: str, kinds: dict[int, Kind], count: int) -> Iterator[Span]:
    words = list(re.finditer(r"\S+", line))
    if set(line) <= {"-", " "}:
        return
    for number, kind in kinds.items():
        at = number
        if kind == "host" and number == count - 1:
            at = len(words) - 1
        if at >= len(words) or not _is_kind(words[at][0], kind) or kind == "secret":
            continue
        yield _span(start + words[at].start(), words[at][0], kind)
