"""Rows as bytes, and back."""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.record.writing import cells as cells_module
from watchkeeper.record.writing.cells import FORMATS, comparable, plain

CSV, JSONL = FORMATS["csv"], FORMATS["jsonl"]

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        "",
        " ",
        "007",
        "1e5",
        "NaN",
        "True",
        "None",
        "-",
        "-0",
        "1_000",
        "a,b",
        'say "x"',
        "two\nlines",
        "\r",
        "\0",
        "\ufeff",
        "١٢",
    ]
)
cells = st.none() | st.booleans() | st.integers() | st.floats() | texts


def same(one, other):
    """Equal, of one type, NaN included."""
    return type(one) is type(other) and (one == other or (one != one and other != other))


@given(st.lists(texts, min_size=1, max_size=5, unique=True).flatmap(lambda names: st.tuples(
    st.just(names), st.lists(st.fixed_dictionaries({name: cells for name in names}), max_size=5)
)))  # fmt: skip
def test_csv_gives_back_every_value(table):
    """Numbers, None, NaN, True, commas, quotes, newlines and any letters come back as they were,
    type included.
    """
    columns, rows = table
    data = CSV.header(columns) + b"".join(CSV.record(columns, row) for row in rows)
    read, records, faults = CSV.split(data)
    assert (read, faults) == (columns, [])
    back = [CSV.row(read, record) for record in records]
    assert len(back) == len(rows)
    for row, other in zip(rows, back, strict=True):
        for name in columns:
            lone_empty = len(columns) == 1 and row[name] == ""
            assert same(None if lone_empty else row[name], other[name])


@given(
    st.lists(
        st.dictionaries(
            texts, st.none() | st.integers(-(2**63), 2**63) | st.floats() | st.text("ab,\n\0é")
        )
    )
)
def test_json_lines_give_back_every_value(rows):
    """Whatever fields a row has, they come back."""
    _, records, faults = JSONL.split(b"".join(JSONL.record((), row) for row in rows))
    assert faults == []
    for row, record in zip(rows, records, strict=True):
        other = JSONL.row((), record)
        assert list(row) == list(other)
        assert all(same(row[name], other[name]) for name in row)


@given(st.lists(texts, min_size=1, max_size=4, unique=True), st.integers(1, 4), st.data())
def test_a_widened_record_is_the_record_with_none_behind_it(columns, more, data):
    """New columns midway change no value of the rows before them."""
    wide = [*columns, *(f"\0new {number}" for number in range(more))]
    row = data.draw(st.fixed_dictionaries({name: cells for name in columns}))
    record = CSV.record(columns, row)
    back = CSV.row(wide, CSV.widen(record, len(columns), len(wide)))
    narrow = CSV.row(columns, record)
    assert all(same(narrow[name], back[name]) for name in columns)
    assert all(back[name] is None for name in wide[len(columns) :])


@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=4), st.data())
def test_a_torn_tail_is_never_a_row(rows, data):
    """Cut anywhere, a file gives the rows that were whole before the cut, and no other."""
    records = [CSV.record(["a", "b"], dict(zip("ab", row, strict=True))) for row in rows]
    whole = CSV.header(["a", "b"]) + b"".join(records)
    cut = data.draw(st.integers(4, len(whole)))
    expected, size = [], 4
    for record in records:
        size += len(record)
        if size <= cut:
            expected.append(record)
    assert expected == CSV.split(whole[:cut])[1]


@given(st.binary(max_size=300))
def test_no_bytes_raise(data):
    """Arbitrary bytes are columns, records and faults; each record can be read."""
    for form in FORMATS.values():
        columns, records, _ = form.split(data)
        for record in records:
            form.row(columns, record)


@given(st.lists(st.lists(texts, min_size=3, max_size=3), max_size=4))
def test_pythons_own_reader_reads_the_same_texts(rows):
    """The csv module sees the same cells."""
    data = b"".join(CSV.record("abc", dict(zip("abc", row, strict=True))) for row in rows).decode()
    assert rows == list(csv.reader(io.StringIO(data, newline="")))


class Odd:
    """Cannot even be printed."""

    __slots__ = ()

    def __repr__(self):
        raise RuntimeError


class Lazy:
    """A value that fails when it is looked at."""

    __slots__ = ()

    def item(self):
        """Fail."""
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array(7), 7),
        (np.array([1, 2]), [1, 2]),
        (Decimal("1.5"), 1.5),
        (Path("/a"), "/a"),
        (datetime(2026, 3, 11, tzinfo=UTC), "2026-03-11T00:00:00+00:00"),
        ({"a": (1, None)}, {"a": [1, None]}),
        ("lone \ud800", "lone ?"),
        (10**5000, 10**5000),
        (Odd(), "<Odd, whose repr raised RuntimeError>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_users_hand_in_becomes_plain(value, expected):
    """numpy scalars, arrays, Decimal, paths and times become numbers, lists and texts."""
    assert same(expected, plain(value))


@pytest.mark.parametrize("value", [np.float64("nan"), Decimal("NaN"), float("nan")])
def test_nan_stays_a_number_and_equals_itself_as_a_key(value):
    """A NaN of any library is a float NaN in a cell, and one and the same key."""
    found = plain(value)
    assert isinstance(found, float) and math.isnan(found)
    assert comparable(found) == comparable(float("nan"))


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(
    "value",
    [10**5000, [10**5000], Lazy(), np.zeros(2000), {1: {2: Odd()}}],
    ids=lambda value: type(value).__name__,
)
def test_every_cell_can_be_written_and_read(form, value):
    """What no format can hold as it is becomes bounded text; the row beside it is whole."""
    record = form.record(["a", "b"], {"a": plain(value), "b": 1})
    assert form.row(["a", "b"], record)["b"] == 1
    msgspec.json.encode(form.row(["a", "b"], record)["b"])


def test_a_file_of_another_program_is_read():
    """CRLF and a byte order mark, as other programs write them, are no fault."""
    columns, records, faults = CSV.split(b'\xef\xbb\xbfa,b\r\n1,x\r\n"2",\r\n')
    assert (columns, faults) == (["a", "b"], [])
    assert [CSV.row(columns, record) for record in records] == [
        {"a": 1, "b": "x"},
        {"a": "2", "b": None},
    ]


@pytest.mark.parametrize(
    ("data", "rows", "fault"),
    [
        (
            b"a,b\n1,2\n3\n4,5\n",
            [{"a": 1, "b": 2}, {"a": 4, "b": 5}],
            "record 3: 1 cells where the header names 2",
        ),
        (
            b"a,b\n1,2\n\0\0\0" + b"4,5\n",
            [{"a": 1, "b": 2}, {"a": 4, "b": 5}],
            "record 3: NULs in front of it",
        ),
        (b'a,b\n1,2\n3,"x\n4,5\n', [{"a": 1, "b": 2}], "the last 9 bytes: a quote is never closed"),
    ],
)
def test_damage_is_told_and_the_other_rows_are_read(data, rows, fault):
    """A short record, a hole of NULs, a quote never closed: each is named, and costs no row beside
    it.
    """
    columns, records, faults = CSV.split(data)
    assert [CSV.row(columns, record) for record in records] == rows
    assert faults == [fault]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "cell", ["=1+1", "+1 (555)", "-x", "@SUM(A1)", '=HYPERLINK("x","y")', "\t=1"]
)
def test_a_spreadsheets_formula_is_written_as_it_is(form: str, cell: str) -> None:
    """A text that a spreadsheet takes for a formula stands in the file as it was given, with no
    mark before it, and comes back.
    """
    table = FORMATS[form]
    record = table.record(["a", "b"], {"a": cell, "b": 1})
    assert table.row(["a", "b"], record) == {"a": cell, "b": 1}
    if form == "csv":
        assert next(csv.reader(io.StringIO(record.decode(), newline="")))[0] == cell


@given(
    texts | st.text('aZ_ .:/()-1,"Tue\n\t', max_size=6) | st.sampled_from(["Infinity", "a ", "a"])
)
def test_a_text_has_quotes_where_it_needs_them(words):
    """A text stands bare only if it would be read as the same text."""
    bare = cells_module._name(words) == words and cells_module._bare(words) is words
    assert cells_module._written(words) == (words if bare else cells_module._quoted(words))
