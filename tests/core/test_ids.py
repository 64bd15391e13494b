"""Names: sortable, unique, and never a way out of their folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.core import ids

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
NAMES = st.text(min_size=1, max_size=30).filter(lambda name: not ids.name_fault(name))


def test_run_ids_sort_by_time_and_differ() -> None:
    """A later run's id sorts after an earlier one's; two of the same second differ."""
    assert ids.run_id(NOW) < ids.run_id(NOW + timedelta(seconds=1))
    assert len({ids.run_id(NOW) for _ in range(1000)}) == 1000
    assert ids.run_id(NOW).startswith("20260311-150000-")


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_a_keys_folder_is_reversible_and_stays_inside(names: list[str]) -> None:
    """Every key has one folder below `runs/`, from which the key can be read back."""
    key = "/".join(names)
    folder = ids.key_folder(key)
    assert not folder.is_absolute() and ".." not in folder.parts
    assert ids.folder_key(folder) == key
    assert len(folder.parts) == len(names)


@given(NAMES)
def test_a_name_never_looks_like_an_attempt(name: str) -> None:
    """No part of a key's folder is all digits, since digits name attempts."""
    assert not any(part.isdigit() for part in ids.key_folder(name).parts)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        ".",
        "a/b",
        "/etc",
        "a\nb",
        "a\0b",
        " a",
        "a ",
        "\x1b[31m",
        ".watchkeeper",
        "x" * 300,
    ],
)
def test_names_that_cannot_be_names_say_why(name: str) -> None:
    """A name that is no single folder, or holds control characters, is refused with a reason."""
    assert ids.name_fault(name)


@pytest.mark.parametrize(
    "name",
    ["r8_lr1e-5", "with space", "it's", 'say "x"', "$(reboot)", "ünïcode", "日本", "a;b", "100%"],
)
def test_ordinary_and_odd_names_are_fine(name: str) -> None:
    """Spaces, quotes, shell characters and any script's letters are names."""
    assert ids.name_fault(name) == ""
    assert ids.folder_key(PurePosixPath(ids.key_folder(name))) == name
