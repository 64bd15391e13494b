"""Metric rows held as columns are the rows of their lines."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.runfolder import rows as row_format
from watchkeeper.runfolder.columns import decoding
from watchkeeper.runfolder.columns.decoding import Decoding
from watchkeeper.runfolder.columns.held import Columns, Rows
from watchkeeper.runfolder.rows import encode_row, read_file, read_rows

NOW = datetime(2026, 3, 11, tzinfo=UTC)
LATER = NOW.astimezone(timezone(timedelta(hours=2)))
VALUES = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.sampled_from(["NaN", "Infinity", "words", ""]),
)
NAMES = st.sampled_from(["loss", "lr", "é", 'a"b', "time", "step", "\\", "field0"])
SOUND = st.builds(
    encode_row,
    st.sampled_from([NOW, LATER, NOW.replace(tzinfo=None)]),
    st.one_of(st.integers(), st.floats(), st.none(), st.text(max_size=3)),
    st.dictionaries(NAMES, VALUES, max_size=3),
)
ODD = st.sampled_from(
    [
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"\xff\n",
        b'{"time":1,"step":1}\n',
        b'{"time":"2026-03-11T00:00:00Z"}\n',
        b'{"time":"2026-03-11T00:00:00Z","step":1,"loss":1,"loss":2}\n',
        b'{"time":"2026-03-11T00:00:00Z","step":1,"loss":[1,{"a":2}]}\n',
        b'{"ti\0\0\0{"time":"2026-03-11T00:00:00Z","step":7}\n',
        b'{"time":"2026-03-11T00:00:00Z","step":1} {"a":1}\n',
        b' {"time":"2026-03-11T00:00:00Z","step":1,"loss":123456789012345678901234567890} \n',
    ]
)


def read_in_pieces(path, size, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(row_format, "_PIECE_BYTES", size)
        return read_file(path)


@given(
    lines=st.lists(st.one_of(SOUND, SOUND, SOUND, ODD), max_size=12),
    tail=st.sampled_from([b"", b'{"time":']),
    size=st.sampled_from([1, 70, 200, 65536]),
)
def test_pieces_hold_what_their_lines_hold(tmp_path_factory, lines, tail, size):
    """Whatever stands in a file: rows and problems are those of its lines, read one by one."""
    path = tmp_path_factory.mktemp("rows") / "writer.jsonl"
    data = b"".join(lines)
    path.write_bytes(data + tail)
    expected, damages = row_format._line_by_line(data, "writer")
    with pytest.MonkeyPatch.context() as patch:
        rows, problems = read_in_pieces(path, size, patch)
    assert spelled(rows) == spelled(expected)
    places = [f"{path}:{number + 1}" for number, _ in damages]
    assert [problem.where for problem in problems] == places


def spelled(rows):
    """The rows in words that tell 1 from 1.0 and from True, and a NaN from none. The order of names
    in a row is not told.
    """
    return [
        (row.time.isoformat(), repr(row.step), sorted(map(repr, row.metrics.items())), row.writer)
        for row in rows
    ]


def held(*steps):
    """Rows with these steps."""
    rows = Rows()
    for step in steps:
        rows.add("w", Columns([NOW], [step], {"loss": [float(step)]}))
    return rows


def test_rows_are_a_sequence():
    """Rows have a length, places from both ends, slices, and an order, as a list of them has."""
    rows = held(1, 2, 3)
    as_list = list(rows)
    assert len(rows) == 3 and bool(rows) and not Rows()
    assert rows[0] == as_list[0] and rows[-1] == as_list[2]
    assert rows[1:] == as_list[1:] and rows[::-1] == as_list[::-1]
    assert list(reversed(rows)) == as_list[::-1] and as_list[1] in rows
    with pytest.raises(IndexError):
        rows[3]


def test_rows_compare_with_lists():
    """Rows equal a list of the same rows, and add up to one."""
    rows = held(1, 2)
    assert rows == list(rows) and list(rows) == rows and rows == held(1, 2)
    assert rows != held(1) and rows != held(1, 3) and rows != "ab"
    assert rows + list(held(3)) == list(held(1, 2, 3)) == list(held(1)) + held(2, 3)
    assert repr(rows) == repr(list(rows))
    assert pickle.loads(pickle.dumps(rows)) == rows


def test_rows_of_several_kinds_keep_their_order():
    """Other names, other kinds of numbers and other writers begin a block, and no row moves."""
    rows = Rows()
    rows.add("a", Columns([NOW], [1], {"loss": [1.0]}))
    rows.add("a", Columns([], [], {}))
    rows.add("a", Columns([NOW], [2], {"loss": [2]}))
    rows.add("b", Columns([NOW], [3], {"loss": [2**70]}))
    others = Rows()
    others.add("b", Columns([NOW], [None], {}))
    rows.extend(others)
    found = [(row.writer, row.step, row.metrics) for row in rows]
    assert found == [
        ("a", 1, {"loss": 1.0}),
        ("a", 2, {"loss": 2}),
        ("b", 3, {"loss": 2**70}),
        ("b", None, {}),
    ]
    assert [rows[place].step for place in range(4)] == [1, 2, 3, None]


def test_a_file_of_a_million_names_is_read_line_by_line(tmp_path, monkeypatch):
    """With more names than a decoder can have, the rows are read all the same."""
    monkeypatch.setattr(decoding, "MOST_NAMES", 3)
    path = tmp_path / "w.jsonl"
    lines = [encode_row(NOW, step, {f"m{step}": 1.0}) for step in range(40)]
    path.write_bytes(b"".join(lines))
    rows, problems = read_in_pieces(path, 200, monkeypatch)
    assert [row.metrics for row in rows] == [{f"m{step}": 1.0} for step in range(40)]
    assert not problems


def test_a_file_that_is_damaged_everywhere_is_not_decoded_twice_for_ever():
    """After some pieces that had to be read line by line, the others are without a try."""
    tried = Decoding()
    good = encode_row(NOW, 1, {"loss": 0.5})
    assert tried.columns_of(good) is not None
    for _ in range(decoding._MOST_FAILURES):
        assert tried.columns_of(b"damaged\n") is None
    assert tried.columns_of(good) is None


def test_a_run_without_rows_has_none(tmp_path):
    """An empty folder and an empty file are a sequence without rows."""
    assert read_rows(tmp_path) == ([], [])
    (tmp_path / ".watchkeeper/metrics").mkdir(parents=True)
    (tmp_path / ".watchkeeper/metrics/w.jsonl").touch()
    rows, problems = read_rows(tmp_path)
    assert list(rows) == [] and problems == []
    assert json.dumps([row.step for row in rows]) == "[]"
