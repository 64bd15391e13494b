"""The third layer: secrets, wherever they stand. In doubt it is one.

What a secret's name is, and how the tokens of known services look, is stated in
core/text/redaction.py, for everything that is recorded. A public text is judged more strictly: a
value that looks random counts as a secret unless it is called a hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from watchkeeper.core.text import redaction
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.rules import near, randomness
from watchkeeper.publish.sanitize.rules.words import words
from watchkeeper.publish.sanitize.spans import Span

_QUOTED = r"\"(?:[^\"\\\n]|\\.){0,2000}\"|'(?:[^'\\\n]|\\.){0,2000}'|`[^`\n]{1,2000}`"
# ── what is given to a name
_ASSIGNED = re.compile(
    r"(?<![\w-])(?P<name>[A-Za-z_-][\w.-]{0,100}(?:[ ](?:key|token|secret|password|phrase))?)"
    r"[\"'`*\])]{0,4}[ \t]{0,8}"
    r"(?::=|=>|===?|=|:(?!//)|<-)[ \t]{0,8}[*]{0,2}[ \t]?[rbfu]?"
    rf"(?P<value>{_QUOTED}|\[[^\]\n]{{1,2000}}\]"
    r"|[|>][-+]?[ \t]*\n[ \t]+[^\n]{1,2000}|[^\s]+)",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"[(\[{,][ ]?[\"'](?P<name>[A-Za-z_][\w.-]{0,100})[\"'][ \t]{0,4},[ \t]{0,4}[rbf]?"
    r"(?P<value>\"[^\"\n]{1,2000}\"|'[^'\n]{1,2000}')"
)
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z][\w.-]{0,60})>(?P<value>[^<>\n]{1,2000})</(?P=name)>")
_BEHIND = re.compile(
    r"(?<![\w.])(?:--?(?P<option>[A-Za-z][\w.-]{1,60})|setenv[ \t]+(?P<variable>\w{1,60})"
    r"|set[ \t]+-[gx]{1,3}[ \t]+(?P<fish>\w{1,60}))[ \t]+"
    rf"(?P<value>{_QUOTED}|[^\s\"'`-][^\s\"'`]*)"
)
_SAID = re.compile(
    r"\b(?:pass ?(?:word|phrase|code)|passwd|api[ -]?keys?|access[ -]?(?:key|token)s?"
    r"|secret(?:[ -]?key)?|auth[ -]?token|token|credentials?|PIN)"
    r"(?:[ \t](?:for|of|to)[ \t](?:the[ \t])?[\w.-]{1,40}){0,2}[ \t](?:is|was|were|are|=|ist)"
    r"[ \t]{1,3}(?:now[ \t]|set to[ \t]|called[ \t])?"
    r"(?P<value>[`\"'][^`\"'\n]{3,200}[`\"']|[^\s,;)]{4,300})",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:pass ?(?:word|phrase)|api[ -]?key|access[ -]?(?:key|token)|secret(?:[ -]?key)?|token)"
    r"[ \t]+[`\"']?(?P<value>(?=[^\s\d]{0,40}\d)(?=[^\sA-Za-z]{0,40}[A-Za-z])[\w.+=-]{10,300})",
    re.IGNORECASE,
)
_PHRASE = re.compile(r"(?:[ \t][a-z]{2,15}){1,12}[ \t]*(?=\r?\n|\Z)")
_PASSWORD = re.compile(r"passw|passphrase", re.IGNORECASE)
_NOT_SAID = words(
    """
    not required wrong needed missing invalid expired read kept stored never only also still used
    taken left always given hidden written made that this what where when valid asked empty ready
    none null true false there here your their from set suppressed masked ignored added removed
    predicted sampled generated appended padded tokenized replaced found printed shown passed
    """
)
# ── what a program or a server is given
_NETRC = re.compile(
    r"\b(?:machine[ \t]+\S{1,200}[ \t\n]+)?login[ \t\n]+(?P<user>\S{1,200})[ \t\n]+"
    r"(?:account[ \t\n]+\S{1,200}[ \t\n]+)?(?:password|passwd)[ \t\n]+(?P<value>\S{1,400})"
    r"|\bmachine[ \t]+\S{1,200}[ \t\n]+(?:password|passwd)[ \t\n]+(?P<alone>\S{1,400})",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?i:\b(?:proxy-)?authorization|\b(?:set-)?cookie"
    r"|\bx-[\w-]{0,40}(?:key|token|auth|secret)[\w-]{0,20})"
    r"[\"'`]{0,2}[ \t]{0,4}[:=][ \t]{0,4}[\"'`]{0,2}(?P<value>[^\"'`\n]{3,4000})"
)
_BEARER = re.compile(
    r"(?i:(?<![A-Za-z0-9])(?:bearer|basic|digest|negotiate)[ \t]+)"
    r"(?P<value>(?=[^\s\"'`]{0,400}[\d_=+/-])[A-Za-z0-9._~+/=-]{6,})"
)
_CURL = re.compile(
    r"(?<![\w./-])(?:curl|wget|https?|httpie)\b[^\n]{0,400}?[ \t]"
    r"(?:-u|--user|-a|--auth|--proxy-user)[ =]{0,2}[\"']?(?P<value>[^\s\"']{1,100}:[^\s\"']{1,300})"
)
_ON_A_LINE = re.compile(
    r"\bsshpass[ \t]+-p[ \t]*(?P<sshpass>\"[^\"\n]{1,200}\"|'[^'\n]{1,200}'|[^\s]{1,200})"
    r"|\bmysql\b[^\n]{0,200}?[ \t]-p(?P<mysql>[^\s-][^\s]{0,200})"
    r"|\bwandb login[ \t]+(?:--?[\w-]{1,40}[ \t]+){0,4}(?P<wandb>[A-Za-z0-9_]{16,200})"
)
# ── addresses
_LOGIN = re.compile(
    r"(?<=://)(?!git@)(?:[^\s/\"'`<>@]{0,200}:[^\s\"'`<>@/]{1,300}@|[^\s/\"'`<>@:]{1,300}@(?=[\w.-]))"
)
_QUERY = re.compile(
    r"(?<=[?&;#])[\w.-]{0,40}(?:token|key|sig|signature|secret|password|passwd|auth|credential"
    r"|session|jwt)[\w.-]{0,40}=(?P<value>[^&#\s\"'`<>]{1,2000})",
    re.IGNORECASE,
)
_PUBLIC_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z ]{0,40}PUBLIC KEY|CERTIFICATE)-----[^-]{0,20000}-----END [A-Z ]{1,60}-----"
)
_LETTER = re.compile(r"[^\W_]")
_SMALL_WORD = re.compile(r"[a-z]{2,12}")
_FURTHER_WORD = re.compile(r"[ \t][A-Za-z0-9]+")


def find(text: str, known: Known) -> Iterator[Span]:
    """Where secrets stand in a text: spans of kind "secret", which may overlap.

    `known` says which commits are public. A public key or certificate in a PEM block is no secret,
    though it looks random.
    """
    small = near.lower(text)
    public = _public_blocks(text)
    for span in _all(text, small, known):
        if not any(start <= span.start < end for start, end in public):
            yield span


def _all(text: str, small: str, known: Known) -> Iterator[Span]:
    """What each rule sees: tokens of known services, values of names, logins, random words."""
    for secret in redaction.secrets_in(text):
        yield _secret(secret.start, secret.end, secret.reason)
    yield from _assigned(text, small)
    yield from _behind(text, small)
    yield from _named(text, small)
    yield from _given(text, small)
    yield from _in_addresses(text, small)
    for place in randomness.find(text, known.commits):
        yield _secret(place.start, place.end, place.reason)


def _public_blocks(text: str) -> list[tuple[int, int]]:
    """Where public keys and certificates stand, as (start, end).

    `-----BEGIN PUBLIC KEY-----` up to its `-----END PUBLIC KEY-----`.
    """
    if "-----BEGIN" not in text:
        return []
    return [match.span() for match in _PUBLIC_BLOCK.finditer(text)]


def _secret(start: int, end: int, reason: str) -> Span:
    """A span without a value: what a secret is stays out of every report."""
    return Span(start, end, "secret", "", reason)


def _assigned(text: str, small: str) -> Iterator[Span]:
    """What is given to the name of a secret, in any syntax.

    `api_key = "…"`, `export TOKEN=…`, `password: …` in YAML, `"secret": "…"` in JSON, a pair
    `("token", "…")` in Python, an element `<apiKey>…</apiKey>` in XML. Behind `password=` all words
    of the line belong to it: a passphrase has spaces.
    """
    for match in near.matches(_ASSIGNED, text, small, redaction.HINTS):
        name = match["name"].replace(" ", "_")
        if _is_secret(name, match["value"]) and not _is_prose(text, match):
            yield _value(match, "the value of a secret's name")
        phrase = _PHRASE.match(text, match.end())
        if phrase is None or "=" not in match[0]:
            continue
        if _PASSWORD.search(name):
            yield _secret(match.start("value"), phrase.end(), "the words of a password")
    for pattern in (_PAIR, _ELEMENT):
        for match in near.matches(pattern, text, small, redaction.HINTS):
            if _is_secret(match["name"], match["value"]):
                yield _value(match, "the value of a secret's name")


def _behind(text: str, small: str) -> Iterator[Span]:
    """What stands behind an option or a word that names a secret.

    `--token …`, `setenv TOKEN …` of csh, `set -gx TOKEN …` of fish; and in a sentence `the password
    is …`, unless an ordinary word follows (`the token is required`).
    """
    for match in near.matches(_BEHIND, text, small, redaction.HINTS):
        name = match["option"] or match["variable"] or match["fish"]
        is_switch = name.startswith("no-")
        if _is_secret(name, match["value"]) and not is_switch:
            yield _value(match, "the value of a secret's name")
    for match in near.matches(_SAID, text, small, redaction.HINTS):
        is_word = _bare(match["value"]).lower() in _NOT_SAID
        is_placeholder = match["value"][0] in "<["
        if not is_word and not is_placeholder:
            yield _value(match, "what a sentence calls a secret")


def _named(text: str, small: str) -> Iterator[Span]:
    """What stands behind the words for a secret, and has digits and letters in it.

    `my token abc123def456`: ten characters or more, without a sign between. A word alone
    (`token embedding`) is none.
    """
    for match in near.matches(_NAMED, text, small, redaction.HINTS):
        yield _value(match, "what stands behind the words for a secret")


def _is_secret(name: str, value: str) -> bool:
    """Whether a value is a secret, by the name that it is given to.

    A value without a letter (`max_tokens: 2048`) is a number, and `<redacted>` is hidden already.
    """
    bare = _bare(value)
    if redaction.REDACTED in value or not _LETTER.search(bare):
        return False
    return redaction.is_secret(name, bare)


def _is_prose(text: str, match: re.Match[str]) -> bool:
    """Whether what looks like an assignment is a sentence (`the secret: anyone who has it`), or a
    verdict (`pass: 5 files are there`).

    More words have to follow on the line, and the first be an ordinary one in small letters.
    """
    further = _FURTHER_WORD.match(text, match.end()) is not None
    if match["name"].lower() == "pass":
        return further
    return further and _SMALL_WORD.fullmatch(match["value"]) is not None


def _value(match: re.Match[str], reason: str) -> Span:
    """The value without the quotes around it, and without a bracket or comma behind it.

    Of a block in YAML (`key: |` and an indented line) it is the line, without its indent.
    """
    start, end = match.span("value")
    value = match["value"]
    if len(value) > 2 and value[0] in "\"'`" and value[-1] == value[0]:
        return _secret(start + 1, end - 1, reason)
    if value[0] in "|>":
        first = re.search(r"\n[ \t]+", value)
        return _secret(start + (first.end() if first else 0), end, reason)
    return _secret(start, start + max(1, len(value.rstrip(",;)}]"))), reason)


def _bare(value: str) -> str:
    """The value without quotes, brackets and the signs of YAML's blocks around it: `"abc",` is
    `abc`.
    """
    return value.strip().strip("\"'`,;()[]{}*|>").strip()


def _given(text: str, small: str) -> Iterator[Span]:
    """What a program or a server is given to know who asks.

    `Authorization: Bearer …` and `Cookie: …`, `curl -u ann:…`, `sshpass -p …`, `mysql -p…`,
    `wandb login …`, and `machine HOST login ann password …` of a netrc file.
    """
    for match in near.matches(_HEADER, text, small, ("authorization", "cookie", "x-")):
        if not match["value"].startswith(redaction.REDACTED):
            yield _value(match, "the value of a header")
    for match in near.matches(_BEARER, text, small, ("bearer", "basic", "digest", "negotiate")):
        yield _value(match, "a credential of a request")
    for match in near.matches(_CURL, text, small, ("curl", "wget", "http")):
        yield _value(match, "a login on a command line")
    for match in near.matches(_ON_A_LINE, text, small, ("sshpass", "mysql", "wandb login")):
        yield _secret(*match.span(match.lastgroup or 0), "a password on a command line")
    for match in near.matches(_NETRC, text, small, ("login", "machine")):
        for group in ("user", "value", "alone"):
            if match[group]:
                yield _secret(*match.span(group), "a login of a netrc file")


def _in_addresses(text: str, small: str) -> Iterator[Span]:
    """Logins and credentials in addresses: `https://ann:…@host/`, `https://host/?token=…`."""
    for match in near.matches(_LOGIN, text, small, ("://",)):
        if not match[0].startswith(redaction.REDACTED):
            yield _secret(match.start(), match.end() - 1, "a login in an address")
    for match in near.matches(_QUERY, text, small, ("?", "&", ";", "#")):
        if not match["value"].startswith(redaction.REDACTED):
            yield _value(match, "a credential in an address")
