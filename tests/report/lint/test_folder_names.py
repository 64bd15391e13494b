"""Logs, rows and timelines find each other as fast for many as for few."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.runlog.experiments_table import (
    Row,
    names_of,
    parse_experiments,
    same_log,
    spelled,
)
from watchkeeper.report.runlog.file import File
from watchkeeper.report.runlog.read import Log, RowIndex, read
from watchkeeper.report.runlog.timeline_names import TimelineNames

TASKS = st.sampled_from(["a", "a_b", "A-b", "a.b", "b", "a b", "é", "."])
DAYS = st.sampled_from(["2026-05-06", "2026-05-07", "eval", ""])
NAMES = st.builds("{}_{}.md".format, DAYS, TASKS)
PIECES = st.one_of(
    NAMES,
    DAYS,
    TASKS,
    st.sampled_from(
        ["\n", " ", "|", "-", "_", "/", "x", ".md", "\x0b", "[a](arm/", ")", "](", "["]
    ),
)


def is_named_by_search(text: str, name: str) -> bool:
    """What a search of the whole page says."""
    stem = name.removesuffix(".md")
    if re.search(rf"(?<![\w-]){re.escape(stem)}(?![\w-])", text):
        return True
    day, _, task = stem.partition("_")
    words = rf"(?<![\w-]){re.escape(task)}(?![\w-])".replace("_", "[ _-]")
    lines = [line.replace(day, "") for line in text.splitlines() if day in line]
    return bool(task) and any(re.search(words, line, re.IGNORECASE) for line in lines)


@given(text=st.lists(PIECES, max_size=20).map("".join), name=NAMES)
def test_a_name_is_found_where_a_search_finds_it(text, name):
    """A timeline names the logs that a search of the whole page finds, and no other."""
    assert TimelineNames(text).has(name) is is_named_by_search(text, name)


def is_row_of(row: Row, log: Log) -> bool:
    """Whether a row alone is that of a log: by a link to it, else by a name."""
    path = "/".join(log.file.parts)
    if row.links:
        return any(same_log(link, path) or same_log(link, log.file.name) for link in row.links)
    stem = log.file.name.removesuffix(".md")
    return bool(row.spellings & set(map(spelled, names_of(log.day, log.task, stem))))


CELLS = st.lists(PIECES, max_size=5).map(lambda words: "".join(words).replace("\n", " "))


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), max_size=6),
    name=NAMES,
    folder=st.sampled_from([(), ("arm",), ("arm", "x")]),
)
def test_an_index_has_the_rows_that_are_of_a_log(rows, name, folder):
    """The rows of a log are those that link to it or name it, in the order of the table."""
    lines = [f"| {run} | {note} |" for run, note in rows]
    table = parse_experiments("\n".join(["| run | x |", "|---|---|", *lines]))
    file = File(path=name, parts=(*folder, name), text="## Config\n- a: 1\n")
    log = read(file)
    if log is not None:
        assert RowIndex(table).of(log) == [row for row in table if is_row_of(row, log)]
