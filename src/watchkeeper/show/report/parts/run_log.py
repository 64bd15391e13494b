"""A run log as people read it: its headings, its fields, and what a person wrote."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.query.views.pages import Text, TextLine
from watchkeeper.show.report.markup import Markup, recorded, tag
from watchkeeper.show.report.parts.pieces import Section


def run_log_section(name: str, log: Text, others: int) -> Section:
    """The run log of one run; `others` says how many more there are."""
    aside = f"{others} more" if others > 0 else ""
    lines = [line.text for line in log.lines]
    # The lines keep their order and their words, but no heading of the log ends our own section.
    texts = [line.lstrip("# ") for line in lines]
    return Section(f"Run log of {name}", list(_lines(log)), aside, lines=texts, is_kept_whole=False)


def _lines(log: Text) -> Iterator[Markup]:
    for line in log.lines:
        if line.text.strip() and not line.text.startswith("# "):
            yield _line(line)


def _line(line: TextLine) -> Markup:
    """One line: a heading, a field with its name in grey, or words."""
    name = "person" if line.is_person else None
    text = line.text.strip()
    if text.startswith("#"):
        return recorded(text.lstrip("# "), "h3", class_=name)
    words = text.removeprefix("- ").replace("`", "")
    key, colon, value = words.partition(": ")
    if colon and text.startswith("- ") and len(key) < 40 and not key[:1].isdigit():
        label = tag("span", recorded(key), class_="quiet")
        return tag("div", label, " ", recorded(value), class_=name)
    return recorded(words, "div", class_=name)
