"""What a job printed is text on our pages: it is neither obeyed nor rendered."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from watchkeeper.report.compose.inert import make_inert, plain_markdown, visible
from watchkeeper.report.compose.page import JobBlock, Page, Value, print_page

NEVER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
ODD = (
    "\x1b]52;c;x\x07\x9b31m\u202eEVIL\u2066\u200b <img src=x onerror=alert(1)> "
    "[see](javascript:alert(1))"
)
PIECES = [
    "<",
    ">",
    "img",
    "/",
    "!",
    "?",
    "\\",
    "[",
    "]",
    "(",
    ")",
    "a",
    " ",
    "`",
    "x=y",
    "&lt;",
    "<!--",
    "\u202e",
    "\x1b",
    "_",
]


class _Tags(HTMLParser):
    """Collects the tags of a rendered page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def tags(text: str) -> set[str]:
    """The tags that a page shows, with every link allowed."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    reader.validateLink = lambda url: True
    parser = _Tags()
    parser.feed(reader.render(text))
    return set(parser.seen)


def test_plain_words_stay_as_they_are() -> None:
    """Text that is harmless already is the same object: logs read as before."""
    for text in ("completed, exit code 0, loss 0.5 < 0.6", "a [b] (c)", "x -> y", "größer ✅ 日本"):
        assert visible(text) is text
        assert plain_markdown(text) == text
    assert visible("日\u3000本 12\u202f000") == "日\u3000本 12\u202f000"


def test_escapes_have_a_form_that_can_be_read() -> None:
    """A character that is not printed stands as its number."""
    assert visible("a\x1b[2J\u202eb\U000e0001") == "a\\u001b[2J\\u202eb\\U000e0001"
    assert plain_markdown("<img> [a](b) \\<i>") == "\\<img> [a]\\(b) \\\\\\<i>"


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_no_text_makes_a_tag_a_link_or_an_escape(text: str) -> None:
    """Whatever a job prints, a page that shows it has only the tags of plain text."""
    shown = f"- 2026-03-11 15:00 UTC — {plain_markdown(text)}\n"
    assert tags(shown) <= {"ul", "li", "p", "code", "em", "strong"}
    assert not NEVER.search(shown)


def test_a_whole_page_is_inert() -> None:
    """Title, fields, notes, job blocks and status lines are all harmless; a link of the user's own
    objective stays one.
    """
    fields = [
        Value("checkpoint", ODD),
        Value("snapshot", ODD, quoted=True),
        Value("code", f"`{ODD}", quoted=True, note=ODD),
    ]
    page = Page(
        f"a {NEVER.pattern and chr(0x202E)}",
        {
            "mode": [Value("objective", "see [the plan](https://example.org)\u202e")],
            "results": fields,
        },
        [JobBlock("1", [Value("node", ODD)], qualifier=ODD)],
        [f"2026-03-11 15:00 UTC — failed: {ODD}"],
    )
    text = print_page(make_inert(page)).text
    assert not NEVER.search(text)
    assert not {"img", "script"} & tags(text)
    assert "[the plan](https://example.org)" in text
    assert "javascript" not in "".join(re.findall(r'href="[^"]*"', MarkdownIt().render(text)))
