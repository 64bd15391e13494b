"""What is known of the versions of wandb."""

from __future__ import annotations

import pytest

from watchkeeper.core.code.wandb_versions import (
    fault_of_server,
    loses_rows,
    may_hang,
    spelled,
    version_of,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("wandb, version 0.31.0\n", (0, 31, 0)),
        ("0.24.0+abc", (0, 24, 0)),
        ("0.31", None),
        ("", None),
        ("9999999999.1.1", (999999, 1, 1)),
    ],
)
def test_the_first_version_of_a_text_counts(text: str, version: tuple[int, int, int] | None):
    """A text without a version has none."""
    assert version_of(text) == version


def test_a_version_is_spelled_as_people_write_it():
    """What was read is written the same way."""
    assert spelled((0, 31, 0)) == "0.31.0"


@pytest.mark.parametrize(
    ("text", "loses", "hangs"),
    [("0.24.0", True, True), ("0.24.1", False, True), ("0.28.2", False, False), ("", False, False)],
)
def test_the_versions_with_faults_are_known(text: str, loses: bool, hangs: bool):
    """One version loses rows; the sync of all before 0.28.2 may hang."""
    assert (loses_rows(text), may_hang(text)) == (loses, hangs)


@pytest.mark.parametrize(
    ("server", "client", "is_refused"),
    [
        ("0.69.9", "0.31.0", True),
        ("0.70.0", "0.31.0", False),
        ("0.69.9", "0.28.0", False),
        ("", "0.31.0", False),
        ("0.69.9", "", False),
    ],
)
def test_an_old_server_refuses_a_new_client(server: str, client: str, is_refused: bool):
    """Where one of the two does not say its version nothing is refused."""
    assert bool(fault_of_server(server, client)) == is_refused
