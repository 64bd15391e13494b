"""The first layer: names that are known to be private, wherever they stand in a text.

A text is read once as pieces of letters and of digits; each piece is looked up among the first
pieces of all values, so the number of values costs next to nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.rules import near
from watchkeeper.publish.sanitize.rules.sites import is_public
from watchkeeper.publish.sanitize.rules.words import words
from watchkeeper.publish.sanitize.spans import Kind, Span

_PIECE = re.compile(r"[a-z]+|[0-9]+|[^\W\d_a-z]+")
_SHORTEST_NUMBER = 5
"""A shorter job id is any number: it is hidden where the text calls it one (jobs.py)."""
_WORDS = words(
    """
    me you localhost local root user users admin nobody ubuntu none default null test train training
    eval evaluation data model run runs gpu gpus cpu node nodes host step steps epoch loss log
    logs job jobs task script home scratch work project research lab group general normal debug
    batch main long short low high small large shared standard free priority dev prod will may
    mark max min art dean rob bill grace hope rose frank sandy summer april june august the and
    for with from this that was are has had not but all one two new old out end best last first
    next seed base demo example sample config
    """
)
"""Words that are no names: as a user or an account they are hidden only where the text says so."""
_JOB_WORDS = frozenset({"job", "jobid", "id", "slurm", "j", "jobs", "pbs"})
_RANGE = re.compile(r"\[[\d,-]{1,200}\]")
_DOMAIN = re.compile(r"(?:\.[a-z0-9][\w-]{0,62}){1,8}")
_DIGITS = re.compile(r"\d{1,8}")
_NUMBERED = re.compile(r"(?P<stem>.*[a-z][-_]?)\d{1,8}")
_PLAIN_PATH = re.compile(r"(?:/[\w.@%+=~-]+)+/?")
_REST_OF_PATH = re.compile(r"[/\\][^\s\"'`<>|;,)\]}]{0,1000}")
REASONS: dict[Kind, str] = {
    "path": "a path that the journal names",
    "host": "a host that is named elsewhere",
    "job": "a job id that is named elsewhere",
    "user": "a user who is named elsewhere",
    "account": "an account that is named elsewhere",
    "secret": "a secret of the journal",
    "wandb": "the id of a W&B run that is named elsewhere",
}


class Value(NamedTuple):
    """A private value as texts are searched for it, in lower case. `is_stem`: of numbered hosts,
    and digits or a range follow.
    """

    kind: Kind
    text: str
    is_stem: bool = False


def find(text: str, known: Known) -> Iterator[Span]:
    """Where the known values stand in a text.

    A value is found as a whole word, in any case: the host `gpu7` in `on GPU7:`, not in `mygpu7`.
    A secret is found also within a word. No spans where nothing is known.
    """
    index = _index(known)
    if not index:
        return
    lower = near.lower(text)
    for match in _PIECE.finditer(lower):
        for value, offset in index.get(match[0], ()):
            span = _span_at(lower, match.start() - offset, value)
            if span is not None:
                yield span


def _index(known: Known) -> dict[str, list[tuple[Value, int]]]:
    """The values by their first piece, each with how far into it that piece begins.

    `~ann/data` is kept under `ann`, with 1.
    """
    index: dict[str, list[tuple[Value, int]]] = {}
    for value in set(_searched(known)):
        first = _PIECE.search(value.text)
        if first is not None:
            index.setdefault(first[0], []).append((value, first.start()))
    return index


def _searched(known: Known) -> Iterator[Value]:
    """All that a text is searched for, in lower case.

    Values are brought into the composed form of Unicode (NFC) first: macOS stores `ü` as two
    characters.
    """
    for kind in REASONS:
        for value in known.values(kind):
            text = near.lower(unicodedata.normalize("NFC", value)).strip()
            yield from _spellings(kind, text)


def _spellings(kind: Kind, text: str) -> Iterator[Value]:
    """What a text is searched for, to find one value; nothing where it would be found everywhere.

    A list of hosts is each of them, `123456_7` is also the job `123456`, and a user called `data`
    is none: the word stands in every log.
    """
    if kind == "host":
        # Commas within brackets part numbers: `node[01,04]` is one name.
        for name in re.split(r"[,\s]+(?![^\[]*\])", text):
            yield from _of_host(name)
    elif kind == "job":
        yield from _of_job(text)
    elif kind == "path":
        if _is_odd_path(text):
            yield Value(kind, text.rstrip("/"))
    elif kind == "secret":
        if len(text) > 3:
            yield Value(kind, text)
    elif len(text) > 1 and text not in _WORDS:
        yield Value(kind, text)


def _of_job(text: str) -> Iterator[Value]:
    """A job id as it is, and without what names a task or a step of it (`123456_7`, `123456.0`)."""
    for number in (text, re.split(r"[_.\[]", text)[0]):
        if len(number) >= _SHORTEST_NUMBER:
            yield Value("job", number)


def _is_odd_path(text: str) -> bool:
    """Whether this is an absolute path whose form alone does not show where it ends.

    A plain one (`/data/ann/run7`) is found by its form (places.py), known or not. One with a space
    or a bracket in it (`/data/my data (2)`) is found as a whole only if it is known.
    """
    starts_at_root = text.startswith(("/", "~", "\\"))
    has_drive = re.match(r"[a-z]:[\\/]", text) is not None
    if not starts_at_root and not has_drive:
        return False
    return len(text) > 3 and _PLAIN_PATH.fullmatch(text) is None


def _of_host(name: str) -> Iterator[Value]:
    """What finds a host and its like: of `gpu07.hpc.uni-x.de` its short name, its domain, and the
    stem `gpu` with any number behind it, as the next node of the cluster is as private.
    """
    name = name.strip(".")
    short, _, domain = _RANGE.sub("", name).partition(".")
    if len(short) > 1 and short not in _WORDS and not short.isdigit():
        yield Value("host", short)
    if domain.count(".") and not is_public(domain):
        yield Value("host", domain)
    stem = _stem(name, short)
    word = stem.strip("-_")
    if len(word) > 2 and word not in _WORDS:
        yield Value("host", stem, is_stem=True)


def _stem(name: str, short: str) -> str:
    """What stands before the number or the range of a host: `gpu` of `gpu[01-04]`; "": neither."""
    if "[" in name:
        return name.partition("[")[0]
    numbered = _NUMBERED.fullmatch(short)
    if numbered is None:
        return ""
    return numbered["stem"]


def _span_at(text: str, start: int, value: Value) -> Span | None:
    """The value at `start`, with what belongs to it behind it: the domain of a host, the rest of a
    path. None: it is not there, or it is part of a longer word.

    Of `gpu07.hpc.uni-x.de` the whole is hidden, and the name it is known by is `gpu07`.
    """
    if start < 0 or not text.startswith(value.text, start):
        return None
    end = start + len(value.text)
    if value.kind == "secret":
        return Span(start, end, "secret", "", REASONS["secret"])
    if value.is_stem:
        number = _DIGITS.match(text, end) or _RANGE.match(text, end)
        if number is None:
            return None
        end = number.end()
    if not _is_word(text, start, end, value.kind):
        return None
    name = text[start:end]
    if value.kind == "host":
        further = _DOMAIN.match(text, end)
        if further is not None:
            end = further.end()
    elif value.kind == "path":
        end = _path_end(text, end)
    elif value.kind == "job":
        name = re.split(r"[_.\[]", name)[0]
    return Span(start, end, value.kind, name, REASONS[value.kind])


def _is_word(text: str, start: int, end: int, kind: Kind) -> bool:
    """Whether what stands there is no part of a longer word or number.

    A path may stand directly behind a letter, as in `-C/data/ann`.
    """
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    if kind == "job":
        return _is_whole_number(text, start, end)
    if kind == "path":
        return not _is_letter(after)
    return not _is_letter(before) and not _is_letter(after)


def _is_letter(sign: str) -> bool:
    """A letter or digit of a name; one of a script without spaces between words ends a name.

    `在gpu7上` names `gpu7`.
    """
    return sign.isascii() and sign.isalnum()


def _is_whole_number(text: str, start: int, end: int) -> bool:
    """Whether a job id stands there, and no part of another number: not in `0.123456`, `1,123456`
    or `x123456`, but in `job123456` and `slurm-123456.out`.
    """
    before, after = text[max(0, start - 8) : start], text[end : end + 1]
    if _is_letter(after) or before[-1:].isdigit():
        return False
    if re.search(r"\d[.,]$", before):
        return False
    if _is_letter(before[-1:]):
        word = re.split(r"[^a-z]", before)[-1]
        return word in _JOB_WORDS
    return True


def _path_end(text: str, end: int) -> int:
    """Where a path that is known up to `end` ends: behind the folders and the file that follow."""
    further = _REST_OF_PATH.match(text, end)
    if further is None:
        return end
    return further.end()
