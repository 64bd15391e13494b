"""Rows as columns: by the names that a sample of the file has, or as any rows are."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.query.series import reader
from watchkeeper.query.series.decoders import MOST_NAMES, columns_of, whole_decoder
from watchkeeper.query.series.reader import pieces

VALUES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    ["NaN", "-Infinity", "a word", None, True, 7, 2**60]
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["step", "loss", "val_loss", "a/b", 'q"q']), VALUES),
    min_size=1,
    max_size=30,
)


def write(path, rows, damage=()):
    """Write rows a second apart, and after those with these numbers a line that is none."""
    with path.open("w") as file:
        for number, row in enumerate(rows):
            file.write(json.dumps({"time": f"2026-11-27T04:20:{number:02}Z", **row}) + "\n")
            if number in damage:
                file.write('{"time": "no time", "loss": 1}\n')


def read(path, sample_bytes, piece_bytes):
    """The pieces of a file, as text: NaN equals NaN."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "SAMPLE_BYTES", sample_bytes)
        patch.setattr(reader, "PIECE_BYTES", piece_bytes)
        return list(map(repr, pieces(path)))


@given(rows=ROWS, damage=st.sets(st.integers(0, 29), max_size=2), piece=st.integers(40, 2000))
def test_rows_are_the_same_by_known_names_as_by_any(tmp_path_factory, rows, damage, piece):
    """Whatever the rows are, what a decoder of their names reads is what is there."""
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write(path, rows, damage)
    assert read(path, 1, piece) == read(path, 10**9, piece)


def test_a_name_that_comes_late_is_read(tmp_path):
    """A metric that the sample does not have is no less a metric."""
    path = tmp_path / "rows.jsonl"
    write(path, [{"step": number, "loss": 0.5} for number in range(40)] + [{"late": 1.0}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "SAMPLE_BYTES", 100)
        (piece,) = pieces(path)
    assert piece.metrics["late"].figures == [1.0] and len(piece.metrics["loss"].figures) == 40
    assert math.isnan(piece.metrics["late"].steps[0])


def test_columns_are_the_same_of_few_rows_and_of_many():
    """Which way the rows are turned makes no difference."""
    names = ("time", "step", "loss")
    line = b'{"time":"2026-11-27T04:20:00Z","step":1,"loss":0.5}\n'
    decoder = whole_decoder(names)
    few, many = (
        columns_of(decoder.decode_lines(line), names),
        columns_of(decoder.decode_lines(line * 5), names),
    )
    assert {name: column * 5 for name, column in few.items()} == many
    assert few["loss"] == [0.5]


@pytest.mark.parametrize(
    "names",
    [("loss",), ("time", 'q"q'), ("time", *map(str, range(MOST_NAMES)))],
    ids=["without a time", "an escaped name", "too many"],
)
def test_some_names_have_no_decoder(names):
    """Such rows are decoded as any rows are."""
    assert whole_decoder(names) is None
