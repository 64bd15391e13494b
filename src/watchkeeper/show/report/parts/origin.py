"""Where the figures come from: code, data, environment, the journal with its seal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchkeeper.query.views.origin import Origin
from watchkeeper.query.views.shared import Evidence
from watchkeeper.show.report.markup import Markup, recorded, tag
from watchkeeper.show.report.parts.pieces import Section, Table, pairs

_SHOWN_ABOVE = frozenset({"best", "valid"})
_HASH_DIGITS = 12


def origin_section(evidence: Sequence[Evidence], origin: Origin) -> Section:
    """The section, from what was seen and the journal. Of a hash the page shows the first twelve
    digits, Markdown all.
    """
    shown: list[tuple[str, Markup]] = []
    text: list[tuple[str, str]] = []
    for name, words, digest in _rows(evidence, origin):
        if not digest:
            shown.append((name, tag("span", recorded(words))))
            text.append((name, words))
            continue
        short = tag("code", f"sha256 {digest[:_HASH_DIGITS]}")
        shown.append((name, tag("span", recorded(words), ", ", short)))
        text.append((name, f"{words}, sha256 {digest}"))
    return Section("From", [pairs(shown)], tables=[Table(("what", "which"), text)])


def _rows(evidence: Sequence[Evidence], origin: Origin) -> Iterator[tuple[str, str, str]]:
    """A name, its words and a hash ("": none) for each thing that the figures come from."""
    for one in evidence:
        if one.what not in _SHOWN_ABOVE:
            yield one.what, one.text, ""
    if origin.packages is not None:
        words = f"Python {origin.python}, {origin.packages} packages"
        yield "environment", words, origin.environment_sha256
    yield "journal", journal_words(origin), origin.sha256


def journal_words(origin: Origin) -> str:
    """`171 events of 1 writer, sealed`; `none` where there is no journal."""
    if not origin.writers:
        return "none"
    writers = "1 writer" if origin.writers == 1 else f"{origin.writers:,} writers"
    words = f"{origin.events:,} events of {writers}"
    if not origin.unsealed:
        return f"{words}, sealed"
    if origin.unsealed == origin.writers:
        return f"{words}, not sealed"
    return f"{words}, {origin.unsealed} of them not sealed"
