"""A script's arguments as settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.reading.arguments import settings_of, words_of


@pytest.mark.parametrize(
    ("args", "settings"),
    [
        (["--lr", "1e-3", "--rank=8"], {"lr": "1e-3", "rank": "8"}),
        (["lr=1e-3", "+model.size=3", "++x=1"], {"lr": "1e-3", "model.size": "3", "x": "1"}),
        (["--bf16", "--lr", "-1e-3"], {"bf16": "true", "lr": "-1e-3"}),
        (["a", "--x", "b", "c"], {"arg1": "a", "x": "b", "arg2": "c"}),
        (["-n", "3", "--", "-.5"], {"n": "3", "arg1": "--", "arg2": "-.5"}),
        (["--data", "a", "--data", "b"], {"data": "a,b"}),
        (["--name="], {"name": ""}),
        ([], {}),
    ],
)
def test_each_form_of_an_option_is_a_setting(args, settings):
    """Options, assignments, switches and other words each have a name."""
    assert settings_of(args) == settings


def test_settings_read_as_a_summary_has_them():
    """Name and value, separated by commas."""
    assert words_of(["--lr", "1e-3", "--rank=8"]) == "lr 1e-3, rank 8"


@given(st.lists(st.text(max_size=12)))
def test_no_word_is_lost(args):
    """Each word is part of a name or a value."""
    settings = settings_of(args)
    text = " ".join([*settings, *settings.values()])
    assert all(word.lstrip("-+").split("=")[0] in text for word in args)
