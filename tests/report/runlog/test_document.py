"""Run logs: read without loss, and changed one field at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runlogs import CORPUS, GENERATED, WORDS
from watchkeeper.report.runlog.dates import human, human_date, ordinal, runtime, stamp
from watchkeeper.report.runlog.document import (
    Document,
    Field,
    StatusLine,
    decode,
    encode,
    kind_of,
    lines,
    parse,
    set_field,
)
from watchkeeper.report.runlog.experiments_table import parse_experiments
from watchkeeper.report.runlog.timeline import parse_timeline

LOGS = sorted(CORPUS.rglob("*.md"))

VALUES = st.one_of(st.text(max_size=20), WORDS).map(
    lambda v: v.replace("\n", "").replace("\r", "").strip()
)


def all_fields(document: Document) -> list[Field]:
    """Every field, at every depth, in the order of the text."""
    return [node for node in document.all_nodes() if isinstance(node, Field)]


@given(st.one_of(st.text(), GENERATED))
def test_reading_and_printing_back_is_the_identity(text: str) -> None:
    """Any text comes back from its pieces, which tile it; each piece begins on the line and column
    it says.
    """
    document = parse(text)
    assert document.print_back() == text
    starts = {line.number: line.start for line in lines(text)}
    at = 0
    for span in document.pieces():
        assert span.start == at and starts[span.line] + span.column - 1 == span.start
        at = span.end
    assert at == len(text)


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    """Bytes that are no UTF-8 survive being read as text."""
    assert encode(parse(decode(data)).print_back()) == data


@given(GENERATED, VALUES, st.data())
def test_setting_a_field_changes_that_field_alone(
    text: str, value: str, data: st.DataObject
) -> None:
    """The value reads back, setting it twice is setting it once, and nothing outside the field's
    own value has changed.
    """
    fields = all_fields(parse(text))
    if not fields:
        return
    index = data.draw(st.integers(0, len(fields) - 1))
    field = fields[index]
    changed = set_field(text, field, value)
    start, end = field.raw_span.start, field.raw_span.end
    assert changed.startswith(text[:start]) and changed.endswith(text[end:])
    again = all_fields(parse(changed))
    assert len(again) == len(fields) and again[index].value == value
    assert set_field(changed, again[index], value) == changed
    others = [(f.key, f.value) for i, f in enumerate(fields) if i != index]
    assert [(f.key, f.value) for i, f in enumerate(again) if i != index] == others


def test_a_value_of_two_lines_is_refused() -> None:
    """A value cannot add a line to the log."""
    (field,) = all_fields(parse("- node: a\n"))
    with pytest.raises(ValueError, match="one line"):
        set_field("- node: a\n", field, "b\n## Job")


@pytest.mark.parametrize(
    ("line", "name", "value", "after"),
    [
        ("- execution_id: 12345", "execution_id", "12345", "- execution_id: 7"),
        (
            "- job_id: `2732782` (first submission)",
            "job_id",
            "2732782",
            "- job_id: `7` (first submission)",
        ),
        (
            "- submitted/start: `2026-03-11`  ",
            "submitted_start",
            "2026-03-11",
            "- submitted/start: `7`  ",
        ),
        (
            "- **Mode:** pipeline (data generation)",
            "mode",
            "pipeline (data generation)",
            "- **Mode:** 7",
        ),
        ("**Date**: 2026-04-14\r", "date", "2026-04-14", "**Date**: 7\r"),
        ("- end:", "end", "", "- end: 7"),
        ("- end: ", "end", "", "- end: 7"),
        ("\t* loss@5k:\t0.0215", "loss@5k", "0.0215", "\t* loss@5k:\t7"),
        ("- dataset: `a.hdf5` at `/data`", "dataset", "`a.hdf5` at `/data`", "- dataset: 7"),
    ],
)
def test_a_field_in_each_dialect(line: str, name: str, value: str, after: str) -> None:
    """Backticks, notes, bold keys, tabs and empty values are read, and kept by a splice."""
    (field,) = all_fields(parse(line))
    assert (field.name, field.value) == (name, value)
    assert set_field(line, field, "7") == after


@pytest.mark.parametrize(
    ("heading", "kind", "qualifier"),
    [
        ("Job", "job", ""),
        ("Job (debug rerun)", "job", "debug rerun"),
        ("Job 2", "job", ""),
        ("**W&B**", "wandb", ""),
        ("Next steps", "next", ""),
        ("Results: final", "results", ""),
        ("Job scheduler notes", "", ""),
        ("Infrastructure", "", ""),
    ],
)
def test_headings_of_each_kind(heading: str, kind: str, qualifier: str) -> None:
    """A heading's kind does not depend on its dressing."""
    assert kind_of(heading) == (kind, qualifier)


def test_undated_bullets_belong_to_the_status_line_above() -> None:
    """`- failure reason: …` below a dated line is part of it; ranges, dashes and dates alone are
    times.
    """
    text = (
        "## Status\n- 2026-03-29 12:44-12:47 UTC - failed\n- failure reason: OOM\n- 2026-03-29 "
        "— again\n"
    )
    text += "- 2026-03-30 19:07 — ok\n"
    (section,) = parse(text).of("status")
    first, second, third = section.bullets()
    assert (
        isinstance(first, StatusLine)
        and first.time == "2026-03-29 12:44-12:47 UTC"
        and len(first.children) == 1
    )
    assert isinstance(second, StatusLine) and (second.time, second.text) == ("2026-03-29", "again")
    assert isinstance(third, StatusLine) and third.text == "ok"


def test_code_and_comments_hold_no_fields() -> None:
    """What stands in a code block or a comment is no field and no heading, and a fence that stays
    open is known as such.
    """
    document = parse("# t\n```\n## Job\n- a: 1\n```\n<!--\n- b: 2\n-->\n- c: 3\n~~~\n- d: 4")
    assert [field.name for field in all_fields(document)] == ["c"] and not document.of("job")
    assert [getattr(node, "closed", True) for node in document.all_nodes()].count(False) == 1


def test_a_hostile_file_is_read_in_a_moment() -> None:
    """One line of 2 MB, or 3,000 bullets each in the one above, is read without a stack and in
    linear time.
    """
    for text in (
        "- " + "a" * 2_000_000,
        "#" + " " * 2_000_000 + "#",
        "`" * 500_000,
        "".join(" " * n + "- a:\n" for n in range(3000)),
    ):
        assert parse(text).print_back() == text


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.name)
def test_the_corpus_comes_back(path: Path) -> None:
    """Every log of the corpus is printed back to its bytes."""
    assert encode(parse(decode(path.read_bytes())).print_back()) == path.read_bytes()


@given(st.dates())
def test_a_human_date_reads_back(day: object) -> None:
    """A date written for people is read as the same day, with its weekday."""
    found = human_date(human(day))  # type: ignore[arg-type]
    if day.year >= 1000:  # type: ignore[attr-defined]
        assert found is not None and found.on() == day and found.weekday == day.weekday()  # type: ignore[attr-defined]


def test_times_of_each_dialect() -> None:
    """Zones are compared where they are known, impossible days and hours are none, runtimes have
    days.
    """
    first, second = stamp("`2026-03-11 12:31 UTC`"), stamp("2026-03-11T14:31:00+01:00")
    assert first and second and first.seconds_until(second) == 3600
    local = stamp("2026-03-11 12:31")
    assert local and first.seconds_until(local) is None and stamp("pending") is None
    for text in ("2026-02-30", "2026-03-11 25:00", "2026-13-01"):
        found = stamp(text)
        assert found is not None and found.day is None
    assert (
        runtime("1-00:00:29") == 86429 and runtime("12:00:00") == 43200 and runtime("n/a") is None
    )
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23)] == [
        "st",
        "nd",
        "rd",
        *["th"] * 4,
        "st",
        "nd",
        "rd",
    ]


@given(st.one_of(st.text(), GENERATED))
def test_any_text_is_a_timeline_and_a_summary(text: str) -> None:
    """Timelines and summaries are read from any text, and each entry's places hold what it says."""
    for entry in parse_timeline(text).entries:
        assert entry.name.endswith(text[entry.name_span.start : entry.name_span.end].strip("`"))
        assert text[entry.words_span.start : entry.words_span.end] == entry.words
        assert (text[entry.number_span.start : entry.number_span.end] or "0") == str(
            entry.number
        ).zfill(entry.number_span.end - entry.number_span.start)
    parse_experiments(text)


def test_the_documents_timeline_and_summary() -> None:
    """Entries and rows are read as the document writes them, links too."""
    text = (
        "# Demo Timeline\n1. `2026-02-20_train.md` — Friday, Feb 20th\n2. "
        "[x](2026-02-21_train.md) - Saturday, Feb 21st\n"
    )
    text += "- 2026-02-22_eval.md\n"
    found = parse_timeline(text)
    assert found.title == "Demo Timeline" and [entry.name for entry in found.entries] == [
        "2026-02-20_train.md",
        "2026-02-21_train.md",
    ]
    assert found.entries[1].words == "Saturday, Feb 21st" and [span.line for span in found.odd] == [
        4
    ]
    table = "# Experiments\n\n| run | notes |\n|---|---|\n| train_a_2026-03-11 | ok |\n| `b` | |\n"
    table += "\n| metric | x |\n|--|--|\n| loss | 1 |\n"
    assert [row.run for row in parse_experiments(table)] == ["train_a_2026-03-11", "b"]
