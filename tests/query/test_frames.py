"""Rows as files that other programs read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core.errors import UsageError
from watchkeeper.query import frames
from watchkeeper.query.columns import OURS, PlacedRow, columns_of
from watchkeeper.runfolder.columns.held import Row

NOON = datetime(2026, 3, 11, 12, tzinfo=UTC)


def placed(step=1, **metrics):
    """A row of run `a`."""
    row = Row(time=NOON, step=step, metrics=metrics, writer="w")
    return PlacedRow("a", "training", 1, row)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int"),
        ([1, 2.5], "float"),
        ([2**63 - 1, -(2**63)], "int"),
        ([1, 2**63], "float"),
        ([True, False], "bool"),
        ([True, 1], "text"),
        (["a", 1], "text"),
        ([None, 1.5], "float"),
        ([None, None], "float"),
    ],
)
def test_a_column_has_the_narrowest_kind_that_holds_its_values(values, kind):
    """All values of a column decide its kind."""
    column = columns_of([placed(x=value) for value in values])[-1]
    assert (column.name, column.kind) == ("x", kind)


def test_an_integer_that_no_float_holds_is_infinite():
    """10^400 beside a float is infinity, with its sign."""
    column = columns_of([placed(x=10**400), placed(x=-(10**400)), placed(x=0.5)])[-1]
    assert list(column.values) == [math.inf, -math.inf, 0.5]


def test_a_metric_with_a_name_of_ours_is_kept_under_another():
    """`run` becomes `run_`, or `run__` where that is a metric too."""
    names = [column.name for column in columns_of([placed(run=1, run_=2, time_s=3)])]
    assert names == [*OURS, "run__", "run_", "time_s"]


@given(
    st.lists(
        st.dictionaries(
            st.text(min_size=1), st.integers() | st.floats() | st.text() | st.booleans() | st.none()
        )
    )
)
def test_every_value_has_its_place(rows):
    """Whatever the metrics, each column has a value per row, None where the row has none."""
    columns = columns_of(
        [
            placed(**{})
            if not row
            else PlacedRow("a", "p", 1, Row(time=NOON, step=1, metrics=row, writer="w"))
            for row in rows
        ]
    )
    assert len({column.name for column in columns}) == len(columns)
    metrics = list(dict.fromkeys(name for row in rows for name in row))
    for metric, column in zip(metrics, columns[len(OURS) :], strict=True):
        assert [value is None for value in column.values] == [
            row.get(metric) is None for row in rows
        ]


def test_csv_is_what_pandas_and_people_read(tmp_path):
    """Quotes, line ends, gaps, NaN and infinities come back from the CSV file."""
    pandas = pytest.importorskip("pandas")
    rows = [
        placed(loss=0.1, note='a "b",\nc'),
        placed(2, loss=math.nan),
        placed(None, loss=math.inf),
    ]
    frames.write(columns_of(rows), tmp_path / "rows.csv")
    text = (tmp_path / "rows.csv").read_text()
    assert text.splitlines()[0] == "run,pipeline,execution,time,step,loss,note"
    assert "a,training,1,2026-03-11T12:00:00+00:00,2,NaN,\n" in text
    frame = pandas.read_csv(tmp_path / "rows.csv")
    assert frame["note"][0] == 'a "b",\nc' and frame["loss"][2] == math.inf


def test_json_lines_have_every_column_in_every_line(tmp_path):
    """A line per row; null for what the row lacks; a number that JSON has not by its name."""
    frames.write(columns_of([placed(loss=math.nan), placed(2, acc=1)]), tmp_path / "rows.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == ["NaN", None]
    assert [line["acc"] for line in lines] == [None, 1]
    assert lines[0]["time"] == "2026-03-11T12:00:00Z"


def test_parquet_is_what_polars_reads(tmp_path):
    """The types survive in Parquet."""
    polars = pytest.importorskip("polars")
    frames.write(columns_of([placed(loss=0.5), placed(2, seen=3)]), tmp_path / "rows.parquet")
    frame = polars.read_parquet(tmp_path / "rows.parquet")
    assert frame["loss"].to_list() == [0.5, None] and frame["seen"].dtype == polars.Int64


def test_a_file_that_exists_is_replaced_only_when_asked(tmp_path):
    """Somebody's file stays as it is; `replace` writes over it."""
    path = tmp_path / "rows.csv"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"rows\.csv exists"):
        frames.write(columns_of([placed(loss=1)]), path)
    assert path.read_text() == "mine"
    frames.write(columns_of([placed(loss=1)]), path, replace=True)
    assert path.read_text().startswith("run,")


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.xlsx"])
def test_an_unknown_format_is_refused_with_those_there_are(tmp_path, name):
    """The error lists the suffixes, and nothing is written."""
    with pytest.raises(UsageError, match=r"\.csv, \.jsonl, \.parquet"):
        frames.write(columns_of([placed(loss=1)]), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
