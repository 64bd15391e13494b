"""What a request may ask for has bounds."""

from __future__ import annotations

import pytest

from watchkeeper.core.errors import UsageError
from watchkeeper.show.web.parameters import PARAMETERS, scope_of

BAD = [
    ("series", "width", "0"),
    ("series", "width", "2001"),
    ("series", "width", "-1"),
    ("series", "width", "1e3"),
    ("series", "width", "９"),
    ("series", "width", "9" * 400),
    ("series", "from", "nan"),
    ("series", "to", "inf"),
    ("series", "from", "x"),
    ("series", "s", "1"),
    ("series", "s", "-0.1"),
    ("series", "x", "epoch"),
    ("series", "m", "x" * 1001),
    ("series", "m", "a\0b"),
    ("series", "nothing", "1"),
    ("examples", "limit", "201"),
    ("examples", "match", "maybe"),
    ("text", "tail", "0"),
    ("text", "after", "-5"),
    ("compare", "r", "x" * 2001),
    ("overview", "path", "/etc"),
]


@pytest.mark.parametrize(("page", "name", "text"), BAD)
def test_what_is_out_of_bounds_is_refused_by_name(page: str, name: str, text: str) -> None:
    """The error names the parameter, and nothing is guessed in its place."""
    with pytest.raises(UsageError, match=name):
        scope_of(page, "night", [(name, text)])


def test_too_many_of_one_kind_are_refused() -> None:
    """No request asks for runs or metrics without end, or for one thing twice."""
    for page, name, count in (("compare", "r", 51), ("series", "m", 65), ("series", "width", 2)):
        with pytest.raises(UsageError, match=name):
            scope_of(page, "night", [(name, "5")] * count)


@pytest.mark.parametrize("id", ["x" * 2001, "night/\0"])
def test_ids_have_bounds_too(id: str) -> None:
    """An id that nothing could have is refused before it is looked up."""
    with pytest.raises(UsageError):
        scope_of("run", id, [])


def test_each_parameter_has_a_value_where_it_is_not_given() -> None:
    """An empty query is a whole request."""
    for page, known in PARAMETERS.items():
        assert [name for name, _ in scope_of(page, "", []).options] == list(known)


def test_values_are_of_their_kind() -> None:
    """Numbers are numbers, several names stay in their order, and equal requests are equal."""
    query = [("m", "loss"), ("m", "a,b"), ("from", "-1e3"), ("width", "816"), ("s", "0.98")]
    scope = scope_of("series", "night/one", query)
    assert scope.option("m") == ("loss", "a,b")
    assert (scope.option("from"), scope.option("to")) == (-1000.0, None)
    assert (scope.option("width"), scope.option("s"), scope.option("x")) == (816, 0.98, "step")
    assert scope == scope_of("series", "night/one", query[:2] + query[2:][::-1])
