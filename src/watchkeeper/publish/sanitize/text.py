"""Private details in a text: find them, and hide them.

Three layers look: values that the journals name (values.py), the forms of paths, hosts, jobs and
people in free text, and secrets. What they see is replaced until they see nothing more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec

from watchkeeper.core.errors import UsageError
from watchkeeper.publish.sanitize import views
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.pseudonyms import FORM
from watchkeeper.publish.sanitize.rules import addresses, jobs, places, secrets, tables, values
from watchkeeper.publish.sanitize.spans import Kind, Lines, Span, merge, outside

MOST_BYTES = 64 * 2**20
"""A larger text is not searched, which counts as a finding."""
HIDDEN_LINE = "<redacted>"
_ROUNDS = 4
_LETTER = re.compile(r"[^\W_]")
Rule = Callable[[str, Known], Iterable[Span]]
_RULES: tuple[Rule, ...] = (
    values.find,
    places.find,
    addresses.find,
    jobs.find,
    tables.find,
)


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was hidden: in which line of the text as it was, counted from 1, of which
    kind, why, what stands there now, and how many characters it had. Never the value itself.
    """

    line: int
    kind: Kind
    reason: str
    pseudonym: str
    length: int


class Sanitized(msgspec.Struct, frozen=True, kw_only=True):
    """A text without what is private, and what was hidden in it."""

    text: str
    redactions: tuple[Redaction, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something private in a text: its line, counted from 1 (0: the text as a whole), of which
    kind, why it counts as private, and how many characters it has. Never the value itself.
    """

    line: int
    kind: Kind
    reason: str
    length: int = 0


class WouldEmptyError(UsageError):
    """Nothing would be left of the text once what is private is hidden."""

    code = "nothing-left"


def sanitize(text: str, known: Known, *, keep_links: Collection[str] = ()) -> Sanitized:
    """The text with a pseudonym in the place of all that is private.

    `keep_links` are public addresses, which stay as they are unless they hold a secret. `known`
    learns the names that the text gives away, so that the next text of the package hides them too.

    Raises:
        WouldEmptyError: no words would be left but headings and names of fields.
    """
    sanitized = hide(text, known, keep_links=keep_links)
    if _says_something(text) and not _says_something(sanitized.text):
        raise WouldEmptyError(
            f"the text would be empty: all of its words are in {len(sanitized.redactions)} places "
            "that are private",
            hint="write down what was trained, and how, without paths, hosts and job ids",
        )
    return sanitized


def hide(text: str, known: Known, *, keep_links: Collection[str] = ()) -> Sanitized:
    """The same for a short text, such as a field of a passport: it may be nothing but a pseudonym
    afterwards. Raises nothing.

    Hiding can bring new things to light: without `x@`, what remains of a line may read as a path.
    So the text is searched again until nothing is seen; after four rounds, the lines in which
    something still is become `<redacted>` as a whole.
    """
    lines = Lines(text)
    redactions: list[Redaction] = []
    for number in range(_ROUNDS):
        if number and not _private_spans(_touched(text), known, keep_links):
            break
        spans = _private_spans(text, known, keep_links)
        if not spans:
            break
        if number == 0:
            redactions = [_redaction(span, lines, known) for span in spans]
        text = _replaced(text, spans, known)
    else:
        text = _without_lines(text, known, keep_links)
    return Sanitized(text=text, redactions=tuple(redactions))


def find_private(
    text: str | bytes, known: Known, *, keep_links: Collection[str] = ()
) -> list[Finding]:
    """What is private in a text, secrets among it, in the order of the text.

    An empty list: nothing. Bytes that are no UTF-8 and a text that is too large to be searched are
    findings themselves, of line 0.
    """
    readable = _readable(text)
    if isinstance(readable, Finding):
        return [readable]
    return _findings(readable, _private_spans(readable, known, keep_links))


def find_secrets(text: str | bytes, known: Known | None = None) -> list[Finding]:
    """The secrets in a text, and nothing else, in the order of the text.

    `known` says which commits are public; None: none is known. Bytes that are no UTF-8 and a text
    that is too large to be searched are findings themselves, of line 0.
    """
    readable = _readable(text)
    if isinstance(readable, Finding):
        return [readable]
    spans = secrets.find(readable, known or Known())
    return _findings(readable, merge(outside(spans, _pseudonyms_in(readable))))


def _readable(text: str | bytes) -> str | Finding:
    """The text, or why it cannot be searched, as a finding: what was not searched is not clean."""
    if len(text) > MOST_BYTES:
        reason = f"it is larger than the {MOST_BYTES} bytes that are searched"
        return Finding(line=0, kind="secret", reason=reason, length=len(text))
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8, and the file cannot be searched"
        return Finding(line=0, kind="secret", reason=reason, length=len(text))


def _findings(text: str, spans: Sequence[Span]) -> list[Finding]:
    """The spans as what is reported of them: places, kinds and lengths, and never a value."""
    lines = Lines(text)
    return [
        Finding(
            line=lines.number(span.start),
            kind=span.kind,
            reason=span.reason,
            length=span.end - span.start,
        )
        for span in spans
    ]


def _private_spans(text: str, known: Known, keep_links: Collection[str]) -> list[Span]:
    """What is private in the text, in order. Names that are learned from it are kept in `known`."""
    plain = list(views.plain_lines(text))
    spans: list[Span] = []
    for rule in _RULES:
        spans += _everywhere(rule, text, plain, known)
    hidden = list(_everywhere(secrets.find, text, plain, known))
    if any(span.word for span in spans):
        # `ssh ann@node7` taught the name `ann`: look again, for wherever else it stands.
        known.learn(spans)
        spans += _everywhere(values.find, text, plain, known)
    pseudonyms = _pseudonyms_in(text)
    stays = _merge_places([*pseudonyms, *_places_of(text, keep_links)])
    # A link that may stay does not protect a secret in it.
    return merge(itertools.chain(outside(spans, stays), outside(hidden, pseudonyms)))


def _everywhere(rule: Rule, text: str, plain: Iterable[views.View], known: Known) -> Iterator[Span]:
    """What a rule sees in a text, and in its lines as they read without escapes. Places are always
    those in the text as it stands.
    """
    yield from rule(text, known)
    for view in plain:
        for span in rule(view.text, known):
            start, end = view.place(span.start, span.end)
            yield span._replace(start=start, end=end)


def _pseudonyms_in(text: str) -> list[tuple[int, int]]:
    """Where `<host-1>` and the like stand already, as (start, end), in order."""
    if "<" not in text:
        return []
    return [match.span() for match in FORM.finditer(text)]


def _places_of(text: str, links: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where one of these addresses stands as a whole, as (start, end).

    `https://host/a` is not kept within `https://host/a/private`, nor within `https://host/a?key=…`.
    """
    for link in links:
        if link:
            pattern = re.compile(rf"(?<![\w/.-]){re.escape(link)}(?![\w/%&=?#-])")
            yield from (match.span() for match in pattern.finditer(text))


def _merge_places(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The stretches in order, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _redaction(span: Span, lines: Lines, known: Known) -> Redaction:
    """What is kept about a span that was hidden; it gives the value its pseudonym."""
    return Redaction(
        line=lines.number(span.start),
        kind=span.kind,
        reason=span.reason,
        pseudonym=known.names.name(span.kind, span.value),
        length=span.end - span.start,
    )


def _touched(text: str) -> str:
    """The lines that hold a pseudonym: only those can have become something else.

    A second round over all of a long log would cost as much as the first.
    """
    return "\n".join(line for line in text.split("\n") if "<" in line)


def _replaced(text: str, spans: Iterable[Span], known: Known) -> str:
    """The text with the pseudonym of each span in its place. The spans are in order."""
    parts: list[str] = []
    at = 0
    for span in spans:
        parts += [text[at : span.start], known.names.name(span.kind, span.value)]
        at = span.end
    return "".join(parts) + text[at:]


def _without_lines(text: str, known: Known, keep_links: Collection[str]) -> str:
    """The text without the lines in which something private is still seen: `<redacted>` stands in
    the place of each.
    """
    lines = Lines(text)
    private: set[int] = set()
    for span in _private_spans(text, known, keep_links):
        private.update(range(lines.number(span.start), lines.number(span.end - 1) + 1))
    shown = enumerate(text.split("\n"), 1)
    return "\n".join(HIDDEN_LINE if number in private else line for number, line in shown)


def _says_something(text: str) -> bool:
    """Whether a reader learns anything from one of the lines.

    A text of headings and pseudonyms alone does not.
    """
    return any(map(_has_words, text.splitlines()))


def _has_words(line: str) -> bool:
    """Whether a line says more than a heading, a field's name and pseudonyms: `- node: <host-1>`
    does not.
    """
    bare = FORM.sub("", line).strip()
    if not bare or bare.startswith("#"):
        return False
    return _LETTER.search(_FIELD_NAME.sub("", bare)) is not None


_FIELD_NAME = re.compile(r"^[-*+>\s]*[^:\n]{1,60}:(?=\s|$|[*`])[*`\s]*")
