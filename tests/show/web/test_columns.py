"""A chart that takes in the new columns shows what the server has."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.show.web.columns import COLUMNS, added_columns


def name_of(line: dict[str, Any]) -> tuple[str, int, bool]:
    return (line["metric"], line["attempt"], line["superseded"])


def applied(before: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """What an open page does."""
    lines = {name_of(line): line for line in before["lines"]}
    for added in event["lines"]:
        name = name_of(added)
        old = lines.get(name, {column: [] for column in COLUMNS})
        start = added["start"]
        joined = {column: old[column][:start] + added[column] for column in COLUMNS}
        lines[name] = {**{k: v for k, v in added.items() if k != "start"}, **joined}
    rest = {k: v for k, v in event.items() if k not in ("lines", "names", "cut")}
    return {**rest, "lines": [lines[tuple(name)] for name in event["names"]]}


def line_of(metric: str, values: list[int]) -> dict[str, Any]:
    columns = {column: list(values) for column in COLUMNS}
    return {"metric": metric, "attempt": 1, "superseded": False, "bad": [], **columns}


def series_of(values: dict[str, list[int]]) -> dict[str, Any]:
    lines = [line_of(metric, numbers) for metric, numbers in values.items()]
    return {"lines": lines, "rows": sum(map(len, values.values()))}


SERIES = st.dictionaries(
    st.sampled_from(["loss", "val_loss", "lr"]), st.lists(st.integers(0, 2), max_size=6)
).map(series_of)


@given(SERIES, SERIES)
def test_new_columns_lead_from_one_state_to_the_next(before: dict, after: dict) -> None:
    """Applied to what was, they give what is, whatever changed."""
    event, state = added_columns(before, after, 10**6)
    assert applied(before, event) == after == state


@given(SERIES, SERIES)
def test_what_does_not_fit_comes_with_the_next_batch(before: dict, after: dict) -> None:
    """However little fits, a page that takes all batches has everything in the end."""
    state, shown = before, before
    for _ in range(4):
        event, state = added_columns(state, after, 1)
        shown = applied(shown, event)
        assert shown == {**after, "lines": state["lines"]}
    assert shown == after


def test_only_the_end_of_a_line_is_sent() -> None:
    """A row more costs a column, not the line."""
    before = series_of({"loss": list(range(1000))})
    after = series_of({"loss": [*range(999), 5, 6]})
    event, _ = added_columns(before, after, 10**6)
    (line,) = event["lines"]
    assert (line["start"], line["x"]) == (999, [5, 6])
    assert len(msgspec.json.encode(event)) < 400
