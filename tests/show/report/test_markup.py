"""Recorded text in a report is text, whatever it holds."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.show.report.markup import (
    MOST_CHARACTERS,
    Markup,
    instant,
    join,
    recorded,
    tag,
    visible,
)


class Reader(HTMLParser):
    """What a parser of HTML finds: the elements, their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.handle_data = self.words.append
        self.handle_starttag = lambda name, attributes: self.tags.append((name, dict(attributes)))
        self.feed(text)
        self.close()


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_becomes_markup(words, title):
    """Whatever stands in a text or in an attribute, a parser finds the one element and the text."""
    found = Reader(tag("td", words, title=title))
    assert found.tags == [("td", {"title": visible(title)})]
    assert "".join(found.words) == visible(words)


def test_only_markup_is_put_in_as_it_stands():
    """Children that are markup stay as they are, at any depth; None is left out."""
    inner = tag("b", "x")
    assert isinstance(inner, Markup)
    assert tag("p", [inner, None, [" & "]], class_="a") == '<p class="a"><b>x</b> &amp; </p>'
    assert join([tag("br"), 3]) == "<br/>3"
    assert tag("line", x1=1.0, stroke_width=2.456, y2=None) == '<line x1="1" stroke-width="2.46"/>'


def test_recorded_text_has_a_direction_that_ends_with_it():
    """Text of a program is in a `bdi`, and characters that would turn the rest around are signs."""
    assert recorded("a<b") == "<bdi>a&lt;b</bdi>"
    assert recorded("x", "h3") == "<h3><bdi>x</bdi></h3>"
    assert visible("a\u202eb\x1b[31mred\x1b[0m\x07\x7f") == "a⟨U+202E⟩bred␇␡"
    assert visible("a\u3000b\tc\nd") == "a\u3000b\tc\nd"


def test_a_long_line_is_cut_and_says_by_how_much():
    """A line of more than 4,000 characters is cut; the lines beside it are whole."""
    text = "x" * (MOST_CHARACTERS + 1_500) + "\nshort"
    assert visible(text) == "x" * MOST_CHARACTERS + " … 1,500 more\nshort"


def test_a_time_has_its_exact_form_beside_what_is_shown():
    """A time is a `time` element with ISO 8601; one that is not known is nothing."""
    at = datetime(2026, 11, 27, 18, 34, 55, tzinfo=UTC)
    exact = "2026-11-27T18:34:55+00:00"
    assert instant(at, "18:34") == f'<time datetime="{exact}" title="{exact}">18:34</time>'
    assert instant(None, "") == ""
