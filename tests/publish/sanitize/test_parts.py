"""Spans, windows and views: what the rules stand on."""

from __future__ import annotations

import re

import pytest

from watchkeeper.publish.sanitize.rules import near
from watchkeeper.publish.sanitize.rules.randomness import looks_random
from watchkeeper.publish.sanitize.rules.sites import host_of, is_public
from watchkeeper.publish.sanitize.spans import Lines, Span, merge, outside
from watchkeeper.publish.sanitize.views import plain_lines


def span(start, end, kind="path"):
    """A span of this kind."""
    return Span(start, end, kind, f"{start}", "")


def test_spans_that_overlap_become_one_of_the_longest_kind():
    """Each stretch is replaced once; a secret stays a secret whatever lies around it."""
    assert merge([span(5, 9), span(0, 3)]) == [span(0, 3), span(5, 9)]
    assert [(one.start, one.end, one.kind) for one in merge([span(0, 3), span(1, 9, "host")])] == [
        (0, 9, "host")
    ]
    assert [
        (one.start, one.end, one.kind) for one in merge([span(0, 9), span(2, 4, "secret")])
    ] == [(0, 9, "secret")]
    assert merge([span(0, 3), span(3, 5)]) == [span(0, 3), span(3, 5)]


def test_spans_that_touch_what_stays_are_left_out():
    """A stretch that stays is not hidden in part either."""
    assert list(outside([span(0, 2), span(2, 5), span(6, 8)], [(3, 6)])) == [span(0, 2), span(6, 8)]


def test_lines_are_counted_from_one():
    """A line's number is the one that an editor shows."""
    lines = Lines("a\nb\n")
    assert [lines.number(at) for at in range(4)] == [1, 1, 2, 2]
    assert lines.start(2) == 2


def test_a_match_that_goes_beyond_its_window_is_whole():
    """A long address is hidden to its end, however far that is."""
    text = "x" * 1000 + " key=" + "y" * 5000 + " z"
    (match,) = near.matches(re.compile(r"key=\S+"), text, text, ["key"])
    assert len(match[0]) == 5004


def test_no_part_of_a_text_is_searched_twice():
    """The windows around words lie apart, so a long line of such words takes linear time."""
    small = "job " * 5000
    stretches = near.windows(small, ["job", "ob"])
    assert len(stretches) == 1
    apart = near.windows("job" + " " * 9000 + "job", ["job"])
    assert len(apart) == 2
    assert apart[0][1] < apart[1][0]


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("%2Fhome", "/home"),
        ("%252Fhome", "/home"),
        (r"\/home", "/home"),
        ("&#47;home", "/home"),
        (r"\u002fhome", "/home"),
        ("no\u200bde", "node"),
        ("node17", "node17"),
        ("e\u0301", "é"),
        ("%C3%A9", "é"),
    ],
)
def test_escapes_are_undone_and_keep_their_places(line, plain):
    """A line reads as it is meant, and each character of it stands for those it was written as."""
    (view,) = plain_lines(f"first\n%41 {line}!")
    assert view.text == f"A {plain}!"
    start, end = view.place(2, 2 + len(plain))
    assert f"first\n%41 {line}!"[start:end] == line


def test_a_plain_line_has_no_other_reading():
    """Most lines are read once."""
    assert list(plain_lines("a plain line\nand another, 50 % done")) == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("aB3dE5fG7hI9jK1lM3nO", True),
        ("k3j9x8q2m5z7w1p4v6t0", True),
        ("capitalization_lora_r8", False),
        ("LlamaForCausalLM", False),
        ("DistributedDataParallel", False),
        ("0123456789abcdef" * 2, False),
        ("lora_r8_lr1e-5_bs16_ep3_seed42", False),
        ("run_20260102T030405Z_a1b2c3d4", False),
    ],
)
def test_words_that_people_make_do_not_look_random(word, expected):
    """Chance changes between capitals, small letters and digits more often than people do."""
    assert looks_random(word) is expected


def test_sites_for_everybody_are_known_with_all_below_them():
    """A public site is public below, and a name that only ends like one is not."""
    assert is_public("huggingface.co")
    assert is_public("me@docs.github.com:443")
    assert is_public("localhost:80")
    assert not is_public("nothuggingface.co")
    assert not is_public("huggingface.co.evil.example")
    assert host_of("a:b@[::1]:80") == "[::1]"
