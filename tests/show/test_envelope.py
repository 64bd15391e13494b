"""The envelope of `--json`: its fields, what JSON cannot hold, and lists cut to a page."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import Problem, UsageError
from watchkeeper.show.envelope import MOST_BYTES, Answer, Page, document_of, line_of, plain

WORDS = ("watchkeeper", "status", "exp", "--json")
OWN = ["schema", "command", "exit_code", "summary", "counts", "problems", "more", "data"]


class Row(msgspec.Struct):
    """One entry of a list."""

    key: str
    why: str = "because " * 6


class Data(msgspec.Struct):
    """An answer with two lists."""

    rows: list[Row]
    notes: list[str]
    name: str = "exp"


def answer(data: Any = None, **fields: Any) -> Answer:
    """An answer of `status`."""
    known = {
        "command": "status",
        "exit_code": 0,
        "summary": "2 done",
        "counts": {},
        "problems": [],
        "words": WORDS,
    }
    return Answer(**(known | {"data": data} | fields))


def many(rows: int, notes: int = 0) -> Data:
    """So many rows and notes."""
    return Data(
        rows=[Row(f"run_{number}") for number in range(rows)],
        notes=[f"note {number} " * 4 for number in range(notes)],
    )


def test_every_answer_has_the_same_fields() -> None:
    """The envelope's own fields come in one order, with and without an object."""
    for data in (None, many(2, 1)):
        assert list(json.loads(line_of(answer(data)))) == OWN
    beside = json.loads(line_of(answer(many(2, 1), beside=("rows",))))
    assert list(beside) == [*OWN, "rows"] and beside["rows"] == beside["data"]["rows"]


def test_an_answer_is_one_line() -> None:
    """A newline in a text does not break the line that a reader of lines waits for."""
    assert "\n" not in line_of(answer({"text": "a\nb\u2028\x85"}, summary="a\nb"))


def test_what_json_cannot_hold_is_spelled() -> None:
    """Non-finite numbers are named, times are in UTC, paths are text, and odd bytes do no harm."""
    east = timezone(timedelta(hours=2))
    value = {
        "numbers": (math.nan, math.inf, -math.inf, 0.75),
        "at": datetime(2026, 3, 11, 15, tzinfo=east),
        "also": datetime(2026, 3, 11, 13, tzinfo=UTC),
        "path": Path("a/b"),
        "odd": "a\udcff",
        1: None,
    }
    assert plain(value) == {
        "numbers": ["NaN", "Infinity", "-Infinity", 0.75],
        "at": "2026-03-11T13:00:00Z",
        "also": "2026-03-11T13:00:00Z",
        "path": "a/b",
        "odd": "a\U0010f7ff",
        "1": None,
    }


def test_problems_come_worst_first_with_every_field() -> None:
    """An error stands before a warning, and a field that nobody filled is there too."""
    problems = [
        Problem(where="a", message="odd", severity="note"),
        Problem(where="b", message="bad", code="run-failed", next=("watchkeeper", "run", "exp")),
    ]
    worst, note = document_of(answer(problems=problems))["problems"]
    assert worst == {
        "severity": "error",
        "where": "b",
        "message": "bad",
        "hint": "",
        "code": "run-failed",
        "next": ["watchkeeper", "run", "exp"],
    }
    assert (note["severity"], note["code"], note["next"]) == ("note", "", None)


def test_lists_that_are_whole_leave_their_room_to_the_others() -> None:
    """No room is kept for the next page of a list that has none."""
    lists = {f"list_{number}": [] for number in range(15)}
    line = line_of(answer({"rows": many(5_000).rows, **lists}))
    assert MOST_BYTES - 400 < len(line.encode()) <= MOST_BYTES


@pytest.mark.parametrize("rows", [0, 1, 5_000])
def test_an_answer_is_short_however_much_there_is(rows: int) -> None:
    """With 5,000 rows, notes and problems the answer keeps its size, and counts what it leaves
    out.
    """
    problems = [Problem(where=f"run_{number}", message="failed " * 9) for number in range(rows)]
    line = line_of(answer(many(rows, rows), problems=problems))
    assert len(line.encode()) <= MOST_BYTES
    told = json.loads(line)
    for name, shown in (("problems", told["problems"]), ("rows", told["data"]["rows"])):
        left = told["more"].get(name, {"count": 0})["count"]
        assert len(shown) + left == rows and bool(shown) == bool(rows)


@given(st.integers(0, 60), st.integers(1, 25), st.integers(0, 30))
def test_pages_make_the_whole_list(rows: int, limit: int, notes: int) -> None:
    """Following a list's cursor to its end gives each entry once, in order."""
    data, cursor, keys = many(rows, notes), "", []
    for _ in range(rows + 1):
        told = document_of(answer(data), Page(limit=limit, cursor=cursor))
        keys += [row["key"] for row in told["data"]["rows"]]
        if "rows" not in told["more"]:
            break
        cursor = told["more"]["rows"]["next"][-1]
    assert keys == [row.key for row in data.rows]


def test_the_next_page_is_a_command() -> None:
    """`more` names the command that has the rest; a program's words before `--` take the cursor."""
    told = document_of(answer(many(3)), Page(limit=1))
    assert told["more"] == {"rows": {"count": 2, "next": [*WORDS, "--cursor", "rows:1"]}}
    dashes = document_of(answer(many(3), words=("watchkeeper", "a", "--", "-x")), Page(limit=1))
    assert dashes["more"]["rows"]["next"] == ["watchkeeper", "a", "--cursor", "rows:1", "--", "-x"]
    whole = document_of(answer(many(3), has_cursor=False), Page(limit=1))
    assert whole["more"]["rows"]["next"] == [*WORDS, "--limit", "0"]
    never = document_of(answer(many(3), words=None), Page(limit=1))
    assert never["more"]["rows"] == {"count": 2, "next": None}


def test_no_limit_is_all_of_it() -> None:
    """A limit of 0 leaves nothing out, from the cursor on."""
    told = document_of(answer(many(900, 900)), Page(limit=0))
    assert len(told["data"]["rows"]) == len(told["data"]["notes"]) == 900 and not told["more"]
    rest = document_of(answer(many(900)), Page(limit=0, cursor="rows:890"))
    assert len(rest["data"]["rows"]) == 10


def test_an_entry_that_is_too_long_does_not_stop_the_pages() -> None:
    """One entry is shown even where it is longer than an answer should be."""
    data = Data(rows=[Row("a", "x" * 9_000), Row("b")], notes=[])
    told = document_of(answer(data))
    assert [row["key"] for row in told["data"]["rows"]] == ["a"]
    assert told["more"]["rows"]["next"][-1] == "rows:1"


@pytest.mark.parametrize("cursor", ["rows", "rows:", "rows:-1", "rows:x", "name:1", ":", "rows:²"])
def test_a_cursor_of_another_answer_is_refused(cursor: str) -> None:
    """The refusal repeats the cursor as it was typed."""
    with pytest.raises(UsageError, match="belongs to no list") as refusal:
        document_of(answer(many(3)), Page(cursor=cursor))
    assert repr(cursor) in str(refusal.value) and refusal.value.code == "bad-cursor"
