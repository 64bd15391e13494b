"""The action logs' format, to the letter, and back."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.report.actionlog.block_format import (
    ACTIONS,
    Block,
    duration_words,
    escape,
    parse,
    render,
    render_all,
    unescape,
)

TIMES = st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 1, 1)).map(
    lambda t: t.replace(microsecond=0)
)
TEXT = st.text(max_size=80)
BLOCKS = st.builds(
    Block,
    time=TIMES,
    action=st.sampled_from(sorted(ACTIONS)),
    subject=TEXT,
    details=TEXT,
    result=TEXT,
    duration=TEXT,
)

DOCUMENT = """\
[2025-11-11 11:00:00] DISCOVER_EXPERIMENT
Details: Found experiment at /path/to/experiment
Result: 4 runs configured

[2025-11-11 11:00:05] SUBMIT_JOB: Llama-3.2-1B_r8_lr1e-5
Details: sbatch finetune.slurm
Result: Job ID 1234567

[2025-11-11 11:01:00] STATUS_CHECK
Details: squeue -u $USER --format="%.18i %.9P %.50j %.8u %.2t %.10M %.6D %R"
Result: All 4 jobs PENDING

[2025-11-11 11:45:00] ALL_COMPLETE
Details: All 4 jobs reached terminal states
Result: 4 COMPLETED, 0 FAILED
Duration: 45 minutes
"""


@given(st.lists(BLOCKS, max_size=6))
def test_what_is_rendered_parses_back(blocks: list[Block]) -> None:
    """Any blocks, whatever text they hold, survive a round trip through a log."""
    assert parse(render_all(blocks)) == (blocks, [])


@given(BLOCKS)
def test_each_value_is_one_line(block: Block) -> None:
    """No value can add a line, forge a block or clear a terminal: a block has as many lines as it
    has fields.
    """
    text = render(block)
    assert text.count("\n") == len(text.splitlines()) == (4 if block.duration else 3)
    assert "\x1b" not in text


def test_the_documents_own_example_parses_and_renders_to_its_bytes() -> None:
    """The document's blocks are read without a problem, and written again to the same bytes."""
    blocks, problems = parse(DOCUMENT)
    assert problems == [] and render_all(blocks) == DOCUMENT
    assert blocks[1] == Block(
        time=datetime(2025, 11, 11, 11, 0, 5),
        action="SUBMIT_JOB",
        subject="Llama-3.2-1B_r8_lr1e-5",
        details="sbatch finetune.slurm",
        result="Job ID 1234567",
    )


def test_a_failed_block_never_swallows_the_next_ones_job_id() -> None:
    """A block without its Result, and stray lines, are problems with their line; the blocks around
    them are read.
    """
    text = DOCUMENT.replace("Result: 4 runs configured\n", "") + "stray\n"
    blocks, problems = parse(text, "run.log")
    assert [block.action for block in blocks] == ["SUBMIT_JOB", "STATUS_CHECK", "ALL_COMPLETE"]
    assert [problem.where for problem in problems] == ["run.log:16"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (38.2, "38 seconds"),
        (900, "15 minutes"),
        (2700, "45 minutes"),
        (7500, "2 hours 5 minutes"),
        (7200, "2 hours"),
        (97200, "27 hours"),
        (270000, "3 days 3 hours"),
    ],
)
def test_durations_read_as_in_the_document(seconds: float, words: str) -> None:
    """A duration is said in the largest units that a reader needs."""
    assert duration_words(seconds) == words


@pytest.mark.parametrize(
    "text",
    ["a\u202eb\u2066c", "a\u200bb", "a\U000e0001b", "a\\U000e0001b", "a\\u202eb", "👩\u200d💻"],
)
def test_what_turns_a_line_around_is_shown_and_read_back(text: str) -> None:
    """Bidirectional overrides and characters without width are visible in the log, and the value
    comes back whole.
    """
    line = escape(text)
    assert line.isprintable()
    assert unescape(line) == text


def test_an_escape_of_no_character_stays_as_it_is() -> None:
    """A number beyond the last character, which no value leaves there, is text."""
    assert unescape("\\Uffffffff") == "\\Uffffffff"
