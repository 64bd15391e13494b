"""Events of a journal, chosen by their kind, whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TypeVar

import msgspec

from watchkeeper.core.events.base import Event
from watchkeeper.core.events.codec import AnyEvent, Unknown
from watchkeeper.core.events.job import CodeCompared, RunStarted

E = TypeVar("E", bound=Event)

Events = Mapping[str, Iterable[AnyEvent | Unknown]]
"""Writer → its events."""


def all_of(events: Events) -> list[AnyEvent | Unknown]:
    """Every event, writer by writer."""
    return list(chain.from_iterable(events.values()))


def of_kind(events: Events, kind: type[E]) -> list[E]:
    """The events of one kind, writer by writer, those of each writer in their order."""
    return [event for event in all_of(events) if isinstance(event, kind)]


def with_code(started: RunStarted, events: Iterable[AnyEvent | Unknown]) -> RunStarted:
    """The start with what git said of its code later. `events` may hold other writers' too."""
    for event in events:
        if isinstance(event, CodeCompared) and event.writer == started.writer:
            return msgspec.structs.replace(
                started,
                git_dirty=event.git_dirty,
                uncommitted=event.uncommitted,
                git_fault=event.git_fault,
            )
    return started
