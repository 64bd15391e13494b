"""The private values that the journals of an experiment and of its runs hold in typed fields.

How sensitive a field is stands in its type (core/events/base.py). Free text is not taken as a
value: it is searched for these values, as every other text is.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.events.private import sensitivity_of
from watchkeeper.publish.sanitize.pseudonyms import Pseudonyms
from watchkeeper.publish.sanitize.spans import Kind, Span

KINDS: Mapping[str, Kind] = {
    "path": "path",
    "host": "host",
    "job id": "job",
    "user": "user",
    "account": "account",
    "secret": "secret",
}
"""The sensitivity of a field → the kind of what it holds."""


class Known:
    """What is known to be private, for one package: kind → values. It gives each value its
    pseudonym, and keeps the names that it learns from one text for the next. `commits` are public:
    forty hexadecimal digits that are one of these are no token.
    """

    def __init__(
        self,
        *,
        paths: Iterable[str] = (),
        hosts: Iterable[str] = (),
        job_ids: Iterable[str] = (),
        users: Iterable[str] = (),
        accounts: Iterable[str] = (),
        secrets: Iterable[str] = (),
        commits: Iterable[str] = (),
    ) -> None:
        self.paths = set(paths)
        self.hosts = set(hosts)
        self.job_ids = set(job_ids)
        self.users = set(users)
        self.accounts = set(accounts)
        self.secrets = set(secrets)
        self.commits = set(commits)
        self.wandb_ids: set[str] = set()
        self.names = Pseudonyms()

    def values(self, kind: Kind) -> set[str]:
        """The values of a kind; an empty set where none are kept by value. The set is the one that
        is kept: what is added to it is known.
        """
        by_kind = {
            "path": self.paths,
            "host": self.hosts,
            "job": self.job_ids,
            "user": self.users,
            "account": self.accounts,
            "secret": self.secrets,
            "wandb": self.wandb_ids,
        }
        return by_kind.get(kind, set())

    def learn(self, spans: Iterable[Span]) -> None:
        """Keep the names that stood where only a private one stands (`ssh ann@node7`).

        They are looked for in the rest of the text, and in the texts that follow.
        """
        for span in spans:
            if span.word:
                self.values(span.kind).add(span.word)


def known_of(experiment: Path, runs: Iterable[Path] = ()) -> Known:
    """What the journals of an experiment and of recorded runs hold that is private.

    `experiment` is the experiment's folder, `runs` are folders of recorded runs. A folder without
    a journal adds nothing.

    Raises:
        NewerJournalError: a later version wrote one of them.
        OSError: a folder cannot be read.
    """
    known = Known()
    for folder in (experiment, *runs):
        for events in journal.read(folder / layout.JOURNAL).events.values():
            add_events(known, events)
    return known


def add_events(known: Known, events: Iterable[object]) -> None:
    """Add what events hold in sensitive fields, and the commits that they name.

    What is not an event of ours, or of a kind that a later version knows, adds nothing.
    """
    for event in events:
        if not isinstance(event, msgspec.Struct):
            continue
        for sensitivity, value in _sensitive_values(event):
            known.values(KINDS[sensitivity]).add(value)
        commit = getattr(event, "git_sha", "")
        if commit:
            known.commits.add(commit)


@functools.cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of a struct's fields with what is said about them: `Annotated[str, SENSITIVE]`.

    They are worked out once for each kind of event, as a journal has thousands of each.
    """
    return get_type_hints(kind, include_extras=True)


def _sensitive_values(struct: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """The sensitive texts in all fields of a struct: sensitivity and text."""
    for name, hint in _hints(type(struct)).items():
        yield from _values_in(getattr(struct, name, None), hint)


def _values_in(value: object, hint: Any) -> Iterator[tuple[str, str]]:
    """The sensitive texts in the value of a field: sensitivity and text.

    `hint` is the field's type. Lists, dicts and structs are walked into; the sensitivity stands at
    the innermost type: `list[Annotated[str, …]]` says it of each item.
    """
    if isinstance(value, msgspec.Struct):
        yield from _sensitive_values(value)
        return
    sensitivity = sensitivity_of(hint)
    if sensitivity:
        is_kept = sensitivity in KINDS  # free text is searched, and not taken as a value
        if is_kept and isinstance(value, str) and value:
            yield sensitivity, value
        return
    if isinstance(value, list | tuple):
        for item in value:
            yield from _values_in(item, _item_hint(hint))
    elif isinstance(value, dict):
        yield from _values_in_dict(value, get_args(hint))


def _values_in_dict(value: dict[Any, Any], hints: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """The sensitive texts among keys and values. `hints` are the types of both; of a dict without
    them nothing is known, and nothing is yielded.
    """
    if len(hints) != 2:
        return
    for key, item in value.items():
        yield from _values_in(key, hints[0])
        yield from _values_in(item, hints[1])


def _item_hint(hint: Any) -> Any:
    """The type of a list's items; None where it is not known."""
    parts = get_args(hint)
    if not parts or get_origin(hint) not in (list, tuple):
        return None
    return parts[0]
