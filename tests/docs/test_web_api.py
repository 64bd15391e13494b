"""docs/web-api.md says what the server answers."""

from __future__ import annotations

import re
from pathlib import Path

from watchkeeper.show.web import feeds, parameters, schema

PAGE = (Path(__file__).parents[2] / "docs" / "web-api.md").read_text()


def row_of(page: str) -> str:
    """The row of the table about a page's answer."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    (row,) = [line for line in rows if re.match(rf"\| `([\w/]+/)?{page}(/[A-Z/]+)?` ", line)]
    return row


def test_every_answer_and_each_of_its_parameters_has_its_row() -> None:
    """A page or parameter that is added is described."""
    assert schema.PAGES.keys() == parameters.PARAMETERS.keys()
    for page, known in parameters.PARAMETERS.items():
        row = row_of(page)
        names = [name for name in known if name != "name"]
        assert not [name for name in names if f"`{name}`" not in row], page


def test_the_bounds_are_those_of_the_program() -> None:
    """The figures in the text are the ones that requests are held to."""
    for figure in (parameters.MOST_WIDTH, parameters.MOST_LINES):
        assert f"{figure:,}" in PAGE
    assert f"at most {parameters.MOST_RUNS})" in row_of("compare")
    assert f"at most {parameters.MOST_METRICS})" in row_of("series")
    assert f"most {feeds.MOST_TABS} pages" in PAGE and f"each {feeds.BEAT_S:.0f} s" in PAGE


def test_every_event_and_its_fields_have_their_row() -> None:
    """What feeds.py sends is what the page lists."""
    sent = set(re.findall(r'(?:_send|event_of)\("(\w+)"', Path(feeds.__file__).read_text()))
    assert sent == set(re.findall(r"^\| `(beat|patch|columns|lines|gone)` ", PAGE, re.MULTILINE))
    for field in ("fields", "by", "set", "drop", "order", "new", "cut"):
        assert f"`{field}`" in row_of("patch")
