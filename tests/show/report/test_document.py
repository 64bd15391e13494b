"""The whole file of a report: its policy, its data, its size, and its Markdown."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime

from watchkeeper.show.report import document
from watchkeeper.show.report.document import Report, markdown, md_table, page
from watchkeeper.show.report.parts.pieces import Section, Table

NASTY = "</script><!--<b>&"


def report(**fields):
    """A small report."""
    table = Table(("a|b", "n"), [("x", "1")], right=frozenset({1}))
    known = {
        "name": "r8", "sentence": "22 done.", "rest": "", "question": "", "zone": "UTC",
        "sections": [Section("T", [], tables=[table])], "data": {},
        "made": datetime(2026, 11, 28, 7, 42, tzinfo=UTC),
    }  # fmt: skip
    return Report(**(known | fields))


def data_of(text):
    """The data in a page."""
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])


def test_the_policy_lets_through_its_own_style_and_nothing_else():
    """The hash in the policy is that of the style that the page has."""
    text = page(report())
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src &#x27;sha256-{digest}&#x27;;" in text and "script-src" not in text


def test_data_cannot_end_its_element():
    """What looks like markup in the data is no markup, and comes back as it was."""
    text = page(report(data={"page": {"name": NASTY}}))
    assert NASTY not in text and data_of(text) == {"page": {"name": NASTY}}


def test_a_report_that_is_too_large_leaves_out_data_and_says_which(monkeypatch):
    """The series go first, then the runs; what is shown stays."""
    monkeypatch.setattr(document, "MOST_BYTES", 20_000)
    data = {"series": "x" * 30_000, "runs": "y", "page": "z"}
    kept = data_of(page(report(data=data)))
    assert kept == {"runs": "y", "page": "z", "left_out": ["series"]}
    kept = data_of(page(report(data=data | {"runs": "y" * 30_000})))
    assert kept == {"page": "z", "left_out": ["series", "runs"]}


def test_the_foot_of_a_printed_page_is_a_string_of_the_style():
    """The zone's name, which the journal holds, cannot end the string or the element."""
    text = page(report(zone='UTC"}</style><b>'))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert "made 28 November 2026 07:42 UTC from the journal" in style
    assert text.count("</style>") == 1


def test_a_table_of_markdown_keeps_its_cells():
    """A bar, a star or a line's end in a cell stays in the cell, and figures are flush right."""
    assert md_table(Table(("a|b", "n"), [("x*\ny", "1")], right=frozenset({1}))) == (
        "| a\\|b | n |\n| --- | ---: |\n| x\\* y | 1 |"
    )
    assert markdown(report()).startswith("# r8\n\n**22 done.**\n\n## T\n\n| a\\|b | n |")
