"""Looking through every file of a package for what must not leave: it fails closed.

What is no text, or too large to be searched, is a finding unless it is known: weights, pictures, a
tokenizer's model. Of the public events and of signed statements only what they show is searched;
the rest is hashes, salts and signatures.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from watchkeeper.core.disk.files import open_regular, read_most
from watchkeeper.core.errors import UsageError
from watchkeeper.publish import names
from watchkeeper.publish.chain.bundle import events_of
from watchkeeper.publish.checks import Check, of_provenance
from watchkeeper.publish.documents import parse_document
from watchkeeper.publish.package import contents, layout
from watchkeeper.publish.sanitize import other_scanner
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.text import MOST_BYTES, Finding, find_private
from watchkeeper.publish.signoff.signatures import (
    BUILD_TYPE,
    BUILDER,
    PROVENANCE,
    TEST_RESULT,
    VERIFICATION,
)

_MAGIC = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".npy": (b"\x93NUMPY",),
}
# The names of formats: addresses that nobody has to reach.
_FORMATS = (
    PROVENANCE,
    TEST_RESULT,
    VERIFICATION,
    BUILD_TYPE,
    BUILDER,
    "application/vnd.in-toto+json",
    "http://www.w3.org/2000/svg",
    "https://in-toto.io/Statement/v1",
    "https://model_signing/signature/v1.0",
)
_LARGE_PARTS = 3
_MOST_SHOWN = 20
_HINT = "take it out of the checkpoint or the run log, then stage the package again"


def scan(
    root: Path, paths: Iterable[str], known: Known, *, keep_links: Collection[str] = ()
) -> list[Check]:
    """A failed check for each thing in these files of a package that is private, or that cannot be
    looked into; one that passes where there is none. The values themselves are never named. The
    last check says whether detect-secrets looked as well.
    """
    checks: list[Check] = []
    count = 0
    for path in paths:
        count += 1
        found = [*_of_name(path, known), *_of_file(root, path, known, keep_links)]
        checks += _shown(path, found)
    if not checks:
        message = f"nothing private was seen in {count:,} files"
        checks.append(of_provenance("pass", "private", message))
    return [*checks, *_without_other_scanner()]


def _without_other_scanner() -> Iterator[Check]:
    """That nobody else looked, where detect-secrets is not installed."""
    if other_scanner.is_installed():
        return
    message = f"{other_scanner.PACKAGE} is not installed, and did not look for secrets as well"
    hint = "pip install 'watchkeeper[secrets]'"
    yield of_provenance("not_checked", "private-twice", message, hint=hint)


def _of_name(path: str, known: Known) -> list[Finding]:
    """What is private in the path of a file itself."""
    return find_private(path.replace("/", "\n"), known)


def _of_file(root: Path, path: str, known: Known, links: Collection[str]) -> list[Finding]:
    """What is private in one file of a package. Weights are numbers, and are not searched; of a
    vocabulary and of a picture only what can be in one.
    """
    kind = contents.kind_of(path)
    if kind == "weights":
        return []
    try:
        data = _read(root / path)
    except OSError as error:
        return [Finding(line=0, kind="secret", reason=f"it cannot be read: {error.strerror}")]
    if kind == "binary":
        return _of_binary(path, data)
    if kind == "vocabulary":
        return _of_vocabulary(data, known)
    findings: list[Finding] = []
    for text in _texts(path, data):
        findings += find_private(text, known, keep_links=(*_FORMATS, *links))
        findings += _of_other_scanner(text)
    return findings


def _of_other_scanner(text: str | bytes) -> Iterator[Finding]:
    """What detect-secrets sees. Bytes that are no text are a finding already."""
    if isinstance(text, bytes):
        text = text[:MOST_BYTES].decode(errors="replace")
    for line, form in other_scanner.find(text):
        yield Finding(line=line, kind="secret", reason=f"detect-secrets: {form}")


def _read(place: Path) -> bytes:
    """The bytes of a file, up to one more than is searched: a larger one is a finding."""
    with open_regular(place) as file:
        return read_most(file, MOST_BYTES + 1)


def _of_binary(path: str, data: bytes) -> list[Finding]:
    """Whether a file is what its name says."""
    suffix = f".{path.rpartition('.')[2].lower()}"
    magic = _MAGIC.get(suffix)
    if magic is None or data.startswith(magic):
        return []
    reason = f"it does not begin as a {suffix} file does"
    return [Finding(line=0, kind="secret", reason=reason, length=len(data))]


def _of_vocabulary(data: bytes, known: Known) -> list[Finding]:
    """Whether the words of a tokenizer hold a private value that is too long to be a word."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8, and the file cannot be searched"
        return [Finding(line=0, kind="secret", reason=reason, length=len(data))]
    long_paths = {value for value in known.paths if value.count("/") >= _LARGE_PARTS}
    return [
        Finding(line=0, kind="secret", reason="a private value of the run", length=len(value))
        for value in sorted(long_paths | known.secrets)
        if value in text
    ]


def _texts(path: str, data: bytes) -> Iterator[str | bytes]:
    """What of a file is searched."""
    if len(data) > MOST_BYTES:
        yield data
    elif path == layout.EVENTS:
        yield from _shown_events(data)
    elif path in (names.SIGNOFF_SIGNATURE, names.MODEL_SIGNATURE):
        yield from _statements(path, data)
    else:
        yield data


def _shown_events(data: bytes) -> Iterator[str | bytes]:
    """What the events of a bundle show, a text for each: their hashes look like tokens."""
    try:
        events = list(events_of(data.splitlines()))
    except UsageError:
        yield data  # it is none of our bundles: nothing in it is known to be a hash
        return
    for event in events:
        yield "\n".join(_words(event))


def _words(value: Any) -> Iterator[str]:
    """The texts in a value and the names in it, each by itself: `key` is no secret's name here."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]


def _statements(path: str, data: bytes) -> Iterator[str | bytes]:
    """The statements that a file of signatures holds, in plain text."""
    try:
        document = parse_document(data, path)
    except UsageError:
        yield data
        return
    for payload in _payloads(document):
        try:
            yield "\n".join(_words(json.loads(base64.b64decode(payload, validate=True))))
        except (binascii.Error, ValueError, RecursionError):
            yield payload


def _payloads(value: Any) -> Iterator[str]:
    """Every `payload` in a document."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
            payload = one.get("payload")
            if isinstance(payload, str):
                yield payload


def _shown(path: str, findings: list[Finding]) -> Iterator[Check]:
    """The findings of a file as checks: the first few, and how many more there are."""
    for finding in findings[:_MOST_SHOWN]:
        where = f"{path}:{finding.line}" if finding.line else path
        length = f", {finding.length:,} characters" if finding.length else ""
        yield of_provenance(
            "fail", "private", f"{finding.kind}: {finding.reason}{length}", where, _HINT
        )
    rest = len(findings) - _MOST_SHOWN
    if rest > 0:
        yield of_provenance("fail", "private", f"and {rest:,} more like these", path, _HINT)
