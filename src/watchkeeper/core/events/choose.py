"""Events of a journal, chosen by their kind, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TypeVar

from watchkeeper.core.events.base import Event
from watchkeeper.core.events.codec import AnyEvent, Unknown

E = TypeVar("E", bound=Event)

Events = Mapping[str, Iterable[AnyEvent | Unknown]]
"""Writer → its events."""


def all_of(events: Events) -> list[AnyEvent | Unknown]:
    """Every event, writer by writer."""
    return list(chain.from_iterable(events.values()))


def of_kind(events: Events, kind: type[E]) -> list[E]:
    """The events of one kind, writer by writer."""
    return [event for event in all_of(events) if isinstance(event, kind)]
