"""Columns as DataFrames, and as files that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.query.columns import Column, as_text
from watchkeeper.runfolder.values import spell

if TYPE_CHECKING:
    import pandas
    import polars

_PANDAS_TYPES = {"text": "string", "int": "Int64", "float": "float64", "bool": "boolean"}


def to_pandas(columns: Sequence[Column]) -> pandas.DataFrame:
    """A pandas DataFrame.

    Raises:
        UsageError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise _lacks("pandas") from error
    return pd.DataFrame({column.name: _series(pd, column) for column in columns})


def _series(pd: Any, column: Column) -> Any:
    """A column as a pandas Series. Times are in UTC; whole numbers are plain `int64` where no row
    lacks one, else the `Int64` that knows gaps.
    """
    if column.kind == "time":
        return pd.to_datetime(pd.Series(column.values, dtype="object"), utc=True)
    if column.kind == "int" and None not in column.values:
        return pd.Series(column.values, dtype="int64")
    return pd.Series(column.values, dtype=_PANDAS_TYPES[column.kind])


def to_polars(columns: Sequence[Column]) -> polars.DataFrame:
    """A polars DataFrame.

    Raises:
        UsageError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise _lacks("polars") from error
    types = {
        "text": pl.String,
        "int": pl.Int64,
        "float": pl.Float64,
        "bool": pl.Boolean,
        "time": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(
        [pl.Series(column.name, column.values, dtype=types[column.kind]) for column in columns]
    )


def _lacks(library: str) -> UsageError:
    """That a library is not installed, which the rows themselves do not need."""
    return UsageError(
        f"{library} is not installed", hint=f"pip install {library}, or read `.columns`"
    )


def write(columns: Sequence[Column], path: Path, *, replace: bool = False) -> None:
    """Write the rows as CSV, Parquet or JSON lines, by the suffix of `path`. The file appears
    whole, or not at all.

    Raises:
        UsageError: the suffix is another, the file exists and `replace` is False, or polars, which
            writes Parquet, is not installed.
        StorageError: the file could not be written.
    """
    encode = _FORMATS.get(path.suffix.lower())
    if encode is None:
        known = ", ".join(_FORMATS)
        raise UsageError(f"{path}: its suffix names no format; use one of {known}")
    data = encode(columns)
    if replace:
        files.replace(path, data)
    elif not files.put_new(path, data):
        raise UsageError(f"{path} exists", hint="another name, or --force to replace it")


def _csv(columns: Sequence[Column]) -> bytes:
    """The rows as CSV in UTF-8, with a line of names above them: of `loss` and `note` that is
    `0.5,warm`, and `0.5,` without a note. A text that is no UTF-8 has its odd bytes spelled out.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for row in _rows(columns):
        writer.writerow([_cell(value) for value in row])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> str:
    """A value in CSV; nothing for None."""
    if value is None:
        return ""
    return as_text(value)


def _json_lines(columns: Sequence[Column]) -> bytes:
    """The rows as JSON, one object a line: `{"step":1,"loss":0.5,"note":null}`."""
    names = [column.name for column in columns]
    lines: list[bytes] = []
    for row in _rows(columns):
        fields = dict(zip(names, map(_plain, row), strict=True))
        lines.append(msgspec.json.encode(fields) + b"\n")
    return b"".join(lines)


def _plain(value: Any) -> Any:
    """A value as JSON can have it: NaN and infinities by their names."""
    if isinstance(value, float):
        return spell(value)
    return value


def _parquet(columns: Sequence[Column]) -> bytes:
    """The rows as Parquet, with the types of the columns.

    Raises:
        UsageError: polars is not installed.
    """
    data = io.BytesIO()
    to_polars(columns).write_parquet(data)
    return data.getvalue()


def _rows(columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
    """The rows, each as its values in the order of the columns."""
    return zip(*(column.values for column in columns), strict=True)


_FORMATS: dict[str, Callable[[Sequence[Column]], bytes]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
