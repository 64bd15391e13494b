"""A run log as people read it: its headings, its fields, and what a person wrote."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.query.views.pages import Text, TextLine
from watchkeeper.show.report.markup import Markup, recorded, tag
from watchkeeper.show.report.parts.pieces import Section


def run_log_section(name: str, log: Text, others: int) -> Section:
    """The run log of one run; `others` says how many more there are."""
    aside = ""
    if others > 0:
        aside = f"{others} more"
    lines = [line.text for line in log.lines]
    # The lines keep their order and their words, but no heading of the log ends our own section.
    texts = [line.lstrip("# ") for line in lines]
    return Section(f"Run log of {name}", list(_lines(log)), aside, lines=texts, is_kept_whole=False)


def _lines(log: Text) -> Iterator[Markup]:
    """The lines as HTML, without empty ones and the log's own title."""
    for line in log.lines:
        is_title = line.text.startswith("# ")
        if line.text.strip() and not is_title:
            yield _line(line)


def _line(line: TextLine) -> Markup:
    """One line: a heading, a field with its name in grey, or words.

    `- learning rate: 1e-4` is a field; `- 18:34: restarted` is a note that begins with a time.
    """
    name = None
    if line.is_person:
        name = "person"
    text = line.text.strip()
    if text.startswith("#"):
        return recorded(text.lstrip("# "), "h3", class_=name)
    words = text.removeprefix("- ").replace("`", "")
    key, colon, value = words.partition(": ")
    is_bullet = text.startswith("- ")
    is_name = len(key) < 40 and not key[:1].isdigit()
    if colon and is_bullet and is_name:
        label = tag("span", recorded(key), class_="quiet")
        return tag("div", label, " ", recorded(value), class_=name)
    return recorded(words, "div", class_=name)
