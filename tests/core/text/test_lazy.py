"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import gc
import importlib
import re
from pathlib import Path

import pytest

import watchkeeper
from watchkeeper.core.text import lazy

SOURCE = Path(watchkeeper.__file__).parent


def test_a_pattern_works_as_a_compiled_one():
    """Its methods and flags are those of `re.compile`, on text and on bytes."""
    words = lazy.pattern("(a+)b", re.IGNORECASE)
    assert words.fullmatch("AAB").group(1) == "AA"
    assert words.sub("-", "xabx") == "x-x"
    assert words.groups == 1
    assert lazy.pattern(rb"^\d+$").match(b"12")


def test_a_pattern_is_compiled_at_its_first_use(monkeypatch):
    """Making one compiles nothing, and the second use of a method looks nothing up."""
    compiled = []
    monkeypatch.setattr(re, "compile", lambda *words: compiled.append(words) or _Everything())
    words = lazy.pattern("a")
    assert compiled == []
    assert words.match("anything") == words.match("else") == "a match"
    assert compiled == [("a", 0)]


class _Everything:
    def match(self, text: str) -> str:
        return "a match"


def test_words_that_are_no_pattern_are_an_error_of_re():
    """As `re.compile` says it, at the first use."""
    words = lazy.pattern("(")
    with pytest.raises(re.error):
        words.match("")


def test_every_pattern_of_the_package_is_one():
    """A wrong pattern is seen here, and not first by the user whose text needs it."""
    for path in SOURCE.rglob("*.py"):
        if "lazy.pattern(" in path.read_text():
            parts = path.relative_to(SOURCE.parent).with_suffix("").parts
            importlib.import_module(".".join(parts).removesuffix(".__init__"))
    patterns = [one for one in gc.get_objects() if type(one) is type(lazy.pattern(""))]
    assert len(patterns) > 300
    for one in patterns:
        if one._words != "(":
            assert one.pattern == one._words
