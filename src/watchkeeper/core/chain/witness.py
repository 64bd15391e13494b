"""Who has seen a chain: a process that opens a journal names the chains it has read.

A chain inside its own file proves little, since whoever changes the file can compute it again. The
name of it in the file of a process that came later can only be changed there too, and so on to the
last one. Each process therefore names the chains that no sealed file names yet: of commands that
follow one another that is one chain each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from watchkeeper.core.events import AnyEvent, Chained, Opened, Sealed, Unknown

Events = Mapping[str, Sequence[AnyEvent | Unknown]]


def unnamed_heads(events: Events) -> dict[str, str]:
    """Writer → the chain at its last seal, of the writers that no sealed file names so.

    Of two commands, one after the other, the second has named the first one's chain when it opened
    the journal. Once it is sealed itself, only its own chain is left: `{"second": "9f3…"}`.
    """
    sealed: dict[str, str] = {}
    for writer, of_writer in events.items():
        chain = _last_chain(of_writer)
        if chain:
            sealed[writer] = chain
    named: set[str] = set()
    for writer in sealed:
        for opened in _openings(events[writer]):
            named.update(opened.heads.values())
    return {writer: chain for writer, chain in sealed.items() if chain not in named}


def contradicted(events: Events) -> dict[str, list[str]]:
    """Writer → who had read a chain of it that its file does not have now. A file that is gone is
    not among them: the number of events that were read says so already. Empty: no file was changed
    after another one had named it.
    """
    chains = {writer: set(_chains(of_writer)) for writer, of_writer in events.items()}
    witnesses: dict[str, list[str]] = {}
    for witness, of_writer in events.items():
        for opened in _openings(of_writer):
            for writer, chain in opened.heads.items():
                if chain not in chains.get(writer, {chain}):
                    witnesses.setdefault(writer, []).append(witness)
    return witnesses


def _openings(events: Sequence[AnyEvent | Unknown]) -> Iterator[Opened]:
    """The event with which a writer's file begins, where it is an opening: only that one names
    chains.
    """
    for event in events[:1]:
        if isinstance(event, Opened):
            yield event


def _chains(events: Iterable[AnyEvent | Unknown]) -> Iterator[str]:
    """The chains that these events name for the events before them, in the order of the events."""
    for event in events:
        if isinstance(event, Sealed | Chained) and event.chain:
            yield event.chain


def _last_chain(events: Sequence[AnyEvent | Unknown]) -> str:
    """The chain that stands last in a writer's file; "" where it has none yet."""
    return next(_chains(reversed(events)), "")
