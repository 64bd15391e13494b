"""What of an event is private follows from its types, and what nothing is known of is private."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from watchkeeper.core.events import KINDS
from watchkeeper.core.events import private as privacy
from watchkeeper.core.events.base import FreeText, JobId
from watchkeeper.core.events.private import Each, Fields, privacy_of_kind


def of(kind: str, *path: str) -> privacy.Privacy:
    """How private a field is, by its path."""
    here = privacy_of_kind(kind)
    for name in path:
        if isinstance(here, Each):
            here = here.item
        assert isinstance(here, Fields)
        here = here.by_name[name]
    return here


@pytest.mark.parametrize(
    "path",
    [
        ("opened", "host"),
        ("opened", "user"),
        ("submitted", "job_id"),
        ("submitted", "command"),
        ("planned", "items", "args"),
        ("polled", "changes", "facts", "node"),
        ("judged", "learned", "kept"),
        ("judged", "evidence", "source"),
        ("documented", "fields"),
        ("run_started", "config"),
        ("run_started", "code"),
        ("intended", "configs"),
    ],
)
def test_a_field_with_a_sensitivity_is_private_wherever_it_stands(path: tuple[str, ...]) -> None:
    """A private text stays so in a nested struct, a list or a dict, as a value or as a key."""
    assert of(*path) is True


@pytest.mark.parametrize(
    "path",
    [
        ("opened", "kind"),
        ("opened", "writer"),
        ("opened", "saw"),
        ("judged", "metrics"),
        ("judged", "outcome"),
        ("judged", "learned", "final_step"),
        ("planned", "phase"),
        ("planned", "items", "key"),
        ("polled", "changes", "facts", "exit_code"),
    ],
)
def test_numbers_words_of_our_own_and_keys_are_public(path: tuple[str, ...]) -> None:
    """What an evaluation is judged by can be shown to anybody."""
    assert of(*path) is False


def test_an_unknown_kind_is_private_as_a_whole() -> None:
    """Nothing of an event that this version does not know is shown."""
    assert privacy_of_kind("of_a_later_version") is True


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_event_has_is_public(kind: str) -> None:
    """Kind, time, writer and number of each known event are public."""
    for name in ("kind", "time", "writer", "seq"):
        assert of(kind, name) is False


class Inner(msgspec.Struct):
    """A struct with one private field."""

    job: JobId
    number: int = 0


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Any, True),
        (dict[str, Any], True),
        (str, False),
        (list[int], False),
        (int | None, False),
        (FreeText | None, True),
        (dict[FreeText, int], True),
        (tuple[FreeText, ...], True),
        (dict[str, Inner], True),
        (Inner | int, True),
        (Annotated[tuple[FreeText, ...], "note"], True),
        (Inner | None, Fields({"job": True, "number": False})),
        (tuple[Inner, ...], Each(Fields({"job": True, "number": False}))),
    ],
)
def test_a_type_says_how_private_it_is(hint: object, expected: privacy.Privacy) -> None:
    """Every form that a field's type can have is judged, and a mixed one counts as private."""
    assert privacy._privacy_of_type(hint) == expected
