"""The examples that a run wrote: `.watchkeeper/examples/<writer>.jsonl`, one line of JSON each."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.errors import UsageError
from watchkeeper.query.views.pages import ExampleRow, Examples
from watchkeeper.query.views.run_page.numbers import plain, spelled
from watchkeeper.query.views.run_page.subject import Subject
from watchkeeper.runfolder.metric_rows import value_of

MOST_ROWS = 200
"""Of one answer."""
MOST_CHARACTERS = 4_000
"""Of one text."""
_MOST_BYTES = 64 * 2**20  # of one file
_FIGURES = ("loss", "val_loss", "gap", "golden_tokens", "output_tokens")


class _Example(msgspec.Struct, kw_only=True):
    time: datetime
    step: Any = None
    prompt: str | None = None
    golden: str | None = None
    output: str | None = None
    match: bool | None = None
    loss: Any = None
    val_loss: Any = None
    gap: Any = None
    golden_tokens: Any = None
    output_tokens: Any = None


_decoder = msgspec.json.Decoder(_Example)


class Counts(NamedTuple):
    """How many examples there are, and how many of them match; None: none was compared."""

    total: int
    matching: int | None


def count_examples(subject: Subject) -> Counts:
    """Count the examples of all attempts."""
    examples = list(_examples(subject))
    compared = [example.match for example in examples if example.match is not None]
    if not compared:
        return Counts(len(examples), None)
    return Counts(len(examples), sum(compared))


def read_examples(
    subject: Subject, *, before: int | None = None, limit: int = 20, match: bool | None = None
) -> Examples:
    """The newest examples before number `before`, None: of all; only those that match or that do
    not, if `match` says so.

    Examples are numbered from 0 in the order written, and come newest first. The answer's `before`
    is what to ask for next; None: there are no earlier ones.

        1,000 examples, limit 20 → numbers 999 to 980, `before` 980

    Raises:
        UsageError: `limit` is out of range.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise UsageError(f"{limit} examples were asked for", hint=f"ask for 1 to {MOST_ROWS}")
    rows: list[tuple[int, _Example]] = []
    for number, example in enumerate(_examples(subject)):
        if match is None or example.match is match:
            rows.append((number, example))
    end = len(rows)
    if before is not None:
        end = bisect.bisect_left(rows, before, key=itemgetter(0))
    begin = max(0, end - limit)
    following = None
    if begin:
        following = rows[begin][0]
    shown = [_row(number, example) for number, example in reversed(rows[begin:end])]
    return Examples(rows=shown, total=len(rows), before=following)


def _examples(subject: Subject) -> Iterator[_Example]:
    """The examples of all attempts, writer by writer, in the order written."""
    for folder in subject.folders:
        for path in _files(folder.folder):
            yield from _of_file(path)


def _files(folder: Path) -> Sequence[Path]:
    """The files of examples in a recorded folder, one for each writer; [] where it cannot be
    read.
    """
    try:
        return sorted((folder / layout.EXAMPLES).glob("*.jsonl"))
    except OSError:
        return []


def _of_file(path: Path) -> Iterator[_Example]:
    """The whole lines of a file; what is no example is passed over, and `check` names it."""
    try:
        with open_regular(path) as file:
            data = read_most(file, _MOST_BYTES)
    except OSError:
        return
    for line in data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]:
        try:
            yield _decoder.decode(line.rpartition(b"\0")[2])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


def _row(number: int, example: _Example) -> ExampleRow:
    """An example as a page has it, with the figures that it has."""
    figures = {name: spelled(value_of(getattr(example, name))) for name in _FIGURES}
    return ExampleRow(
        n=number,
        step=plain(value_of(example.step)),
        at=example.time,
        prompt=_cut(example.prompt),
        golden=_cut(example.golden),
        output=_cut(example.output),
        match=example.match,
        figures={name: value for name, value in figures.items() if value is not None},
    )


def _cut(text: str | None) -> str:
    """A text of at most 4,000 characters, with `…` for the rest; "" for none."""
    if text is None:
        return ""
    if len(text) > MOST_CHARACTERS:
        return f"{text[:MOST_CHARACTERS]}…"
    return text
