"""`timeline.md` in the forms that people give it."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runlogs import GENERATED
from watchkeeper.report.runlog import timeline
from watchkeeper.report.runlog.timeline import (
    parse_timeline,
    with_entries,
    with_entry,
)
from watchkeeper.report.runlog.timeline_names import TimelineNames

NEW, DAY = "2026-05-06_wide.md", date(2026, 5, 6)
FORMS = [
    ("- `2026-05-04_a.md` - Monday, May 4th\n", "- `2026-05-06_wide.md` - Wednesday, May 6th\n"),
    (
        "* [2026-05-04_a](2026-05-04_a.md) — Monday, May 4th, nice\n",
        "* [2026-05-06_wide](2026-05-06_wide.md) — Wednesday, May 6th\n",
    ),
    ("- Monday, May 4th: `2026-05-04_a.md`\n", "- Wednesday, May 6th: `2026-05-06_wide.md`\n"),
    ("- 2026-05-04_a\n", "- 2026-05-06_wide — Wednesday, May 6th\n"),
    ("1. `2026-05-04_a.md` — Monday, May 4th\n", "2. `2026-05-06_wide.md` — Wednesday, May 6th\n"),
    (
        "1. `2026-05-03_z.md`\n1. `2026-05-04_a.md`\n",
        "1. `2026-05-06_wide.md` — Wednesday, May 6th\n",
    ),
    (
        (
            "| # | log | date | note |\n|---|---|---|---|\n| 1 | `2026-05-04_a.md` | Monday, "
            "May 4th | nice |\n"
        ),
        "| 2 | `2026-05-06_wide.md` | Wednesday, May 6th |  |\n",
    ),
    (
        "| date | task | note |\n|---|---|---|\n| 2026-05-04 | a | nice |\n",
        "| 2026-05-06 | wide |  |\n",
    ),
    (
        "- `2026-05-04_a.md` — Monday, May 4th\n  - a note\n",
        "- `2026-05-06_wide.md` — Wednesday, May 6th\n",
    ),
]


@pytest.mark.parametrize(("before", "line"), FORMS)
def test_a_new_entry_takes_the_form_of_the_others(before: str, line: str) -> None:
    """A list of bullets, links or dates and a table are continued as they are, behind the last
    entry and its notes.
    """
    for text in (before, "# Timeline\n\n" + before):
        after = with_entry(text, NEW, DAY, "arm")
        assert after == text + line
        assert with_entry(after, NEW, DAY, "arm") is None and TimelineNames(after).has(NEW)


def test_a_list_with_the_newest_on_top_gets_the_new_one_there() -> None:
    """Where entries stand newest first, a new one comes above them; a folder's name before the file
    stays.
    """
    before = (
        "# Arm\n- arm/2026-05-05_b.md — Tuesday, May 5th\n- arm/2026-05-04_a.md — Monday, May "
        "4th\n\nwords\n"
    )
    after = with_entry(before, NEW, DAY, "arm")
    assert after == before.replace(
        "# Arm\n", "# Arm\n- arm/2026-05-06_wide.md — Wednesday, May 6th\n"
    )
    counted = "2. `2026-05-05_b.md`\n1. `2026-05-04_a.md`\n"
    assert (
        with_entry(counted, NEW, DAY, "")
        == "3. `2026-05-06_wide.md` — Wednesday, May 6th\n" + counted
    )


def test_line_ends_and_a_missing_last_one_stay() -> None:
    """CRLF is continued as CRLF, and a file without a last newline ends without one."""
    assert with_entry("- `2026-05-04_a.md`\r\n", NEW, DAY, "") == (
        "- `2026-05-04_a.md`\r\n- `2026-05-06_wide.md` — Wednesday, May 6th\r\n"
    )
    assert (
        with_entry("- `2026-05-04_a.md`", NEW, DAY, "")
        == "- `2026-05-04_a.md`\n- `2026-05-06_wide.md` — Wednesday, May 6th"
    )


def test_a_bullet_in_a_numbered_list_is_no_entry_and_a_note_below_one_is_none_either() -> None:
    """A stray bullet that names a log is a finding; one that is indented below an entry belongs to
    it.
    """
    text = (
        "1. `2026-05-04_a.md` — Monday, May 4th\n   - see also 2026-05-03_z.md\n- "
        "2026-05-05_b.md, to be sorted in\n"
    )
    found = parse_timeline(text)
    assert [entry.name for entry in found.entries] == ["2026-05-04_a.md"]
    assert [span.line for span in found.odd] == [3]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("In May: 2026-05-06_wide was the first.", True),
        ("| 2026-05-06 | wide | Wednesday |", True),
        ("2026-05-06 — the Wide run", True),
        ("2026-05-06_wider.md", False),
        ("2026-05-06 — another\nwide", False),
    ],
)
def test_a_log_is_named_in_any_form(text: str, named: bool) -> None:
    """The file, its name without the ending, or date and task in one line name a log; a longer name
    does not.
    """
    assert TimelineNames(text).has(NEW) is named


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GENERATED, st.sampled_from(["", "arm"]))
def test_any_page_can_be_continued(text: str, group: str) -> None:
    """Whatever the page holds, every line of it that is not blank stays, one is added, and a second
    look changes nothing.
    """
    after = with_entry(text, NEW, DAY, group)
    assert after is not None
    left = after.splitlines()
    for line in text.splitlines():
        if line.strip():
            left.remove(line)
    assert with_entry(after, NEW, DAY, group) is None or "```" in text or "~~~" in text


LOGS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "wide", "x_y", "z-1", "q.r"]),
        st.dates(date(2026, 5, 1), date(2026, 5, 9)),
    ),
    max_size=8,
)
PAGES = st.lists(st.sampled_from([form for pair in FORMS for form in pair] + ["# Arm\n", "\n"]))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GENERATED | PAGES.map("".join), LOGS, st.sampled_from(["", "arm"]))
def test_many_entries_are_one_after_the_other(
    text: str, logs: list[tuple[str, date]], group: str
) -> None:
    """Naming many logs at once makes the bytes that naming each by itself makes."""
    named = [(f"{day}_{task}.md", day) for task, day in logs]
    one_by_one = text
    for name, day in named:
        one_by_one = with_entry(one_by_one, name, day, group) or one_by_one
    assert with_entries(text, named, group) == one_by_one


ORDERED = [
    "- `2026-05-05_b.md`\n- `2026-05-04_a.md`\n",
    "2. `2026-05-05_b.md`\n1. `2026-05-04_a.md`\n",
    "# A\n\n- `2026-05-04_a.md`\n  - a note\n- `2026-05-05_b.md`\n",
    "# A\n- `2026-05-05_b.md`\n# B\n- `2026-05-04_a.md`",
    "- `2026-05-05_b.md`\r\n- `notes.md`\r\n- `2026-05-04_a.md`\r\n",
    *(before for before, _ in FORMS),
]


@settings(deadline=None)
@given(
    text=st.sampled_from(ORDERED),
    logs=st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(1, 9)), max_size=8),
)
def test_many_logs_find_their_end_of_the_page(text: str, logs: list[tuple[str, int]]) -> None:
    """Above or below, in any order of days: many logs at once make the bytes that each by itself
    makes.
    """
    named = [(f"2026-05-{day:02d}_{task}.md", date(2026, 5, day)) for task, day in logs]
    one_by_one = text
    for name, day in named:
        one_by_one = with_entry(one_by_one, name, day, "arm") or one_by_one
    assert with_entries(text, named, "arm") == one_by_one


@pytest.mark.parametrize("text", ["", *ORDERED])
def test_a_long_timeline_is_read_a_few_times(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Naming 2,000 new logs reads each line a few times, not once for each of the others."""
    read = []

    def parse(page: str) -> timeline.Timeline:
        read.append(page.count("\n") + 1)
        return parse_timeline(page)

    monkeypatch.setattr(timeline, "parse_timeline", parse)
    logs = [(f"2026-05-06_r{number}.md", DAY) for number in range(2000)]
    before = len(text.splitlines())
    page = with_entries(text, logs, "arm")
    assert len(page.splitlines()) == 2000 + (before or 2)
    assert sum(read) < 12_000
