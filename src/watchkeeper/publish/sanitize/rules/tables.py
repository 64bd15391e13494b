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
_SLURM_HEADINGS = ("JOBID", "JobID", "NODELIST", "NodeList")
_REASON = "a column of a table with this heading"
_MOST_CELLS = 100_000


def find(text: str, known: Known) -> Iterator[Span]:
    """The cells of such columns, in tables of Markdown and of Slurm. `known` is not read."""
    if "|" in text:
        yield from _in_markdown(text)
    if any(word in text for word in _SLURM_HEADINGS):
        yield from _of_slurm(text)


def _in_markdown(text: str) -> Iterator[Span]:
    """The private cells of tables, whose columns the line above the rule names.

        | run | node | job id |
        | --- | --- | --- |
        | r8 | gpu7 | 123456 |

    Here `gpu7` and `123456` are yielded. A line without a bar ends the table.
    """
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
    """Each line without its end, and the place in the text where it begins.

    Both ends of lines are taken, as a log may come from Windows.
    """
    at = 0
    for line in text.splitlines(keepends=True):
        yield at, line.rstrip("\r\n")
        at += len(line)


def _columns(header: str) -> dict[int, Kind]:
    """The private columns of a table: the number of each, from 0 → its kind. `header` is the line
    above the rule.
    """
    columns: dict[int, Kind] = {}
    for number, (start, end) in enumerate(_places(header)):
        kind = _kind_of(header[start:end])
        if kind is not None:
            columns[number] = kind
    return columns


def _kind_of(heading: str) -> Kind | None:
    """What a column with this heading holds; None: nothing private.

    Emphasis and case do not count: `**Job-ID**` is `job id`. A heading that names a secret
    (`api_key`) is one of secrets, as core/text/redaction.py judges names.
    """
    bare = re.sub(r"[*_`\s-]+", " ", heading).strip().lower()
    for kind, pattern in _KINDS:
        if pattern.fullmatch(bare):
            return kind
    if redaction.is_name(bare.replace(" ", "_")):
        return "secret"
    return None


def _places(line: str) -> Iterator[tuple[int, int]]:
    """Where the cells of a row stand: (start, end) without the space around them, in characters of
    the line. An empty cell is (start, start).
    """
    begin = len(line) - len(line.lstrip(" \t|"))
    for match in re.finditer(r"[^|]*", line[begin:]):
        cell = match[0]
        if not cell and match.start() < len(line) - begin:
            continue  # the empty match at the bar itself
        start = begin + match.start() + len(cell) - len(cell.lstrip())
        yield start, start + len(cell.strip())


def _cells(start: int, line: str, columns: dict[int, Kind]) -> Iterator[Span]:
    """The private cells of a row that begins at `start` in the text.

    A cell that says that there is nothing (`n/a`, `-`, `pending`) is not one.
    """
    for number, (begin, end) in enumerate(_places(line)):
        if number not in columns:
            continue
        cell = line[begin:end].strip("*_`")
        if _EMPTY.fullmatch(cell) or not _is_kind(cell, columns[number]):
            continue
        at = start + line.index(cell, begin)
        yield _span(at, cell, columns[number])


def _is_kind(cell: str, kind: Kind) -> bool:
    """Whether a cell holds what its column's heading says.

    Below `nodes` may stand how many there are, and `squeue` puts its reason there: `(Priority)`.
    Below `job` stands a job's name or its id, of which only an id has digits. Paths are hidden only
    where they are absolute, which places.py sees without a heading.
    """
    if kind == "host":
        return re.fullmatch(r"[\d.x]*|\([A-Za-z]*\)", cell) is None
    if kind == "path":
        return False
    if kind == "job":
        return re.search(r"\d", cell) is not None
    return True


def _span(at: int, cell: str, kind: Kind) -> Span:
    """The span of a cell at `at`. Of `123456_7.batch` the value, and what is hidden elsewhere, is
    the job `123456`; a user or a host is hidden elsewhere where it has the form of a name.
    """
    value = cell.lower()
    word = ""
    if kind == "job":
        value = re.split(r"[_.\[]", cell)[0]
        if value.isdigit():
            word = value
    elif kind in ("user", "host") and _is_name(cell):
        word = cell
    return Span(at, at + len(cell), kind, value, _REASON, word)


def _is_name(cell: str) -> bool:
    """Whether a cell is one word of 3 to 64 characters, and no number."""
    return re.fullmatch(r"[\w.-]{3,64}", cell) is not None and not cell.isdigit()


def _of_slurm(text: str) -> Iterator[Span]:
    """The cells below the headings that `squeue` and `sacct` print.

        JOBID PARTITION NAME USER ST TIME NODES NODELIST(REASON)
        123456 gpu_long r8 ann R 5:01 1 gpu7

    A table ends at an empty line, or after the first 100,000 characters.
    """
    for header in _MACHINE_HEADER.finditer(text):
        names = header[0].split()
        kinds = _columns_of_slurm(names)
        if len(names) < 2 or not kinds:
            continue
        at = header.end() + 1
        for line in text[at : at + _MOST_CELLS].split("\n"):
            if not line.strip():
                break
            yield from _words(at, line, kinds, len(names))
            at += len(line) + 1


def _columns_of_slurm(names: list[str]) -> dict[int, Kind]:
    """The private columns below these headings: the number of each, from 0 → its kind."""
    columns: dict[int, Kind] = {}
    for number, name in enumerate(names):
        kind = _kind_of(name)
        if kind is not None:
            columns[number] = kind
    return columns


def _words(start: int, line: str, kinds: dict[int, Kind], count: int) -> Iterator[Span]:
    """The private words of a line below `count` headings, which begins at `start` in the text."""
    words = list(re.finditer(r"\S+", line))
    if set(line) <= {"-", " "}:
        return  # the rule that sacct draws below its headings
    for number, kind in kinds.items():
        at = number
        # The nodes come last. A name with a space in it before them shifts the words of a line, so
        # the last heading is that of the last word.
        if kind == "host" and number == count - 1:
            at = len(words) - 1
        if kind == "secret" or at >= len(words):
            continue
        word = words[at]
        if _is_kind(word[0], kind):
            yield _span(start + word.start(), word[0], kind)
