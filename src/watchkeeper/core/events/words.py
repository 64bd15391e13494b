"""The events in which people add words to a run: tags and notes."""

from __future__ import annotations

from watchkeeper.core.events.base import Event, FreeText


class Tagged(Event, frozen=True, kw_only=True, omit_defaults=True, tag="tagged"):
    """Somebody gave a run tags, or took some away. `key` names the run of an experiment; "": the
    journal's own run, or the experiment as a whole. `saw[w] = n`: this writer had read n events of
    writer w. It takes away the tags that it had read, so a tag that was given meanwhile stays.
    """

    key: str = ""
    tags: tuple[FreeText, ...] = ()
    removed: tuple[FreeText, ...] = ()
    saw: dict[str, int] = {}


class Noted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="noted"):
    """Somebody wrote a note, one line of text. `key` as in `tagged`."""

    text: FreeText
    key: str = ""
