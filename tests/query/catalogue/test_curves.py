"""The figures of a run, read as columns and row by row."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.query.series.recorded import rows_file, write_rows
from tests.query.test_recording import record
from watchkeeper.core import layout
from watchkeeper.query.catalogue import reader
from watchkeeper.query.catalogue.curves import read_quickly
from watchkeeper.query.series import track

VALUES = st.floats(-100, 100) | st.sampled_from(
    [math.nan, math.inf, 1, 2**60, "a word", None, True]
)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(0, 9),
        st.dictionaries(st.sampled_from(["loss", "val_loss", "acc", "note"]), VALUES),
    ),
    max_size=12,
)


@pytest.mark.parametrize("most_raw", [0, 4096])
def test_figures_by_columns_are_those_by_rows(most_raw, monkeypatch):
    """Both ways of reading a run give the same figures, whatever its rows hold. Without a loss
    either may draw another metric first.
    """
    monkeypatch.setattr(track, "MOST_RAW", most_raw)

    @settings(max_examples=40)
    @given(rows=ROWS)
    def compare(rows):
        with TemporaryDirectory() as name:
            timed = [(at, step, metrics) for at, (step, metrics) in enumerate(rows)]
            write_rows(rows_file(Path(name)), timed)
            quick, _ = reader.read_entry(Path(name))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(reader, "read_quickly", lambda folder: None)
                slow, _ = reader.read_entry(Path(name))
        if slow is None:
            assert quick is None
            return
        assert quick is not None
        assert (quick.rows, bool(quick.spark)) == (slow.rows, bool(slow.spark))
        if quick.spark_metric == slow.spark_metric:
            assert quick.spark == slow.spark
        for metric, figure in slow.figures.items():
            assert repr(quick.figures[metric]) == repr(figure)
        assert quick.figures.keys() == slow.figures.keys()

    compare()


def test_superseded_and_damaged_rows_are_read_one_by_one(tmp_path):
    """Where rows were done again, or a line is damaged, columns do not say what counts."""
    record(tmp_path / "again", [(1, {"loss": 1.0}), (2, {"loss": 1.0})])
    record(tmp_path / "again", [(2, {"loss": 2.0})])
    assert read_quickly(tmp_path / "again") is None
    record(tmp_path / "damaged", [(1, {"loss": 1.0})])
    assert read_quickly(tmp_path / "damaged") is not None
    path = next((tmp_path / "damaged" / layout.METRICS).iterdir())
    with path.open("ab") as file:
        file.write(b"{broken\n")
    assert read_quickly(tmp_path / "damaged") is None
    entry, problems = reader.read_entry(tmp_path / "damaged")
    assert entry is not None and entry.rows == 1
    assert len(problems) == 1
