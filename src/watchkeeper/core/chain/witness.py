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
    """Writer → the chain at its last seal, of the writers that no sealed file names so."""
    heads = {writer: _last_chain(of_writer) for writer, of_writer in events.items()}
    sealed = {writer: chain for writer, chain in heads.items() if chain}
    named: set[str] = set()
    for writer in sealed:
        for opened in _openings(events[writer]):
            named.update(opened.heads.values())
    return {writer: chain for writer, chain in sealed.items() if chain not in named}


def contradicted(events: Events) -> dict[str, list[str]]:
    """Writer → who had read a chain of it that its file does not have now. A file that is gone is
    not among them: the number of events that were read says so already.
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
    for event in events[:1]:
        if isinstance(event, Opened):
            yield event


def _chains(events: Iterable[AnyEvent | Unknown]) -> Iterator[str]:
    for event in events:
        if isinstance(event, Sealed | Chained) and event.chain:
            yield event.chain


def _last_chain(events: Sequence[AnyEvent | Unknown]) -> str:
    return next(_chains(reversed(events)), "")
