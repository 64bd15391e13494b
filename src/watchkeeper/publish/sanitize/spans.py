"""Stretches of a text that are private."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

Kind = Literal["path", "host", "job", "user", "account", "address", "link", "wandb", "secret"]


class Span(NamedTuple):
    """The text from `start` to `end` is private, for this reason. `value` is what it stands for in
    one spelling, which gets one pseudonym everywhere. `word` is a name to be hidden elsewhere in
    the text as well, "" for none.
    """

    start: int
    end: int
    kind: Kind
    value: str
    reason: str
    word: str = ""


def merge(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, each stretch once.

    Those that overlap become one, of the kind and value of the longest of them. Where one of them
    is a secret, so is the whole. An empty list for no spans.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            merged[-1] = _joined(merged[-1], span)
        else:
            merged.append(span)
    return merged


def _joined(first: Span, second: Span) -> Span:
    """One span for two that overlap. `first` begins where the second does, or before.

    It reaches to the end of both, with the kind, value and reason of the longer one, or of the
    secret.
    """
    end = max(first.end, second.end)
    if second.kind == "secret" and first.kind != "secret":
        return second._replace(start=first.start, end=end)
    if second.end <= first.end or first.kind == "secret":
        return first._replace(end=end)
    longer = max(first, second, key=lambda span: span.end - span.start)
    return longer._replace(start=first.start, end=end)


def outside(spans: Iterable[Span], kept: Sequence[tuple[int, int]]) -> Iterator[Span]:
    """The spans without those that touch a stretch which stays.

    `kept` are the stretches as (start, end), in order and none over another: public links, and
    pseudonyms that stand there already.
    """
    ends = [end for _, end in kept]
    for span in spans:
        # The first stretch that ends behind the span's start: no other can be touched first.
        at = bisect.bisect_right(ends, span.start)
        is_behind_all = at == len(kept)
        if is_behind_all or kept[at][0] >= span.end:
            yield span


class Lines:
    """The numbers of a text's lines, counted from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def number(self, at: int) -> int:
        """The line in which the character at `at` (from 0) stands."""
        return bisect.bisect_right(self._starts, at)

    def start(self, number: int) -> int:
        """Where a line begins, as a place from 0. `number` counts from 1."""
        return self._starts[number - 1]
