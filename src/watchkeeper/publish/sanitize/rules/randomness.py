"""Words that look random: keys of services that no rule knows, and secrets in Base64."""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Collection, Iterator

from watchkeeper.core.text import redaction
from watchkeeper.core.text.redaction import SecretPlace

_TOKEN = re.compile(r"(?<![\w+/-])(?:[A-Za-z0-9_-]|[+/](?=[A-Za-z0-9+/_=-])){16,}={0,2}")
_HEX40 = re.compile(r"(?<![\w])[0-9a-fA-F]{40}(?![\w])")
_OF_CODE = re.compile(
    r"(?:commit|\bsha-?1?\b|\brev\w*|\bgit\b|\bhash|\btree\b|\bblob\b|\bhead\b|checkout|branch"
    r"|\btag\b|@|/resolve/|snapshots?/|\bcode\b|version|checksum|digest|fingerprint|_sha|sha_"
    r"|\bat\b|\"oid\")[^\n]{0,60}$",
    re.IGNORECASE,
)
_OF_KEYS = re.compile(
    r"(?:login|api|key|token|wandb|netrc|password|secret|credential|auth)[^\n]{0,24}$",
    re.IGNORECASE,
)
_CALLED_HASH = re.compile(
    r"(?:sha-?\d{0,3}|md5|hash\w*|digest|checksum|sig|signature|payload|rawbytes|publickey"
    r"|public_key|key_?id|fingerprint|etag|commit\w*|revision|nonce|uuid|salt|chain|head|cert\w*"
    r"|ssh-(?:rsa|ed25519|dss)|ecdsa-[\w-]+|sk-[\w-]+@openssh\.com)"
    r"[\"'`]{0,2}[ \t]{0,4}[:= ][ \t]{0,4}[\"'`]?(?:sha\d{3}[-:])?$",
    re.IGNORECASE,
)
_ASSIGNS = re.compile(r"[:=][ \t]{0,4}[\"'`]{0,2}$")
_SEGMENT = re.compile(r"[A-Za-z0-9]{16,}")
_STAMP = re.compile(r"\d{8}T\d{6}")
_HEX = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_NO_TOKEN = re.compile(r"[0-9a-f]+|[0-9A-F]+|[a-z_-]+|[A-Z_-]+|[\d_-]+")
_LOGIN = re.compile(r"[\w.@+-]{1,64}:[^\s:/]{3,200}")
_TEXT = re.compile(r"[\x09\x0a\x0d\x20-\x7e\u00a0-\uffff]+")
_PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0",
    "MCowBQYDK2Vw",
    "MIIBIjANBgkqhkiG9w0BAQE",
    "AAAAC3NzaC1",
    "AAAAB3NzaC1",
)
"""How the public keys that people publish begin."""
_FEWEST_CHANGES = 0.3
"""Of the neighbours in a random text at least this share differ in kind: capital, small, digit."""
_FEWEST_CAPITALS = 0.43
"""The same for letters alone, of which half of the neighbours differ; of names a third."""
_LONGEST_BARE = 24
"""A shorter word is looked at only where it is assigned."""
_LONGEST_LOOK = 4000
_IN_BASE64 = "a secret in Base64"


def find(text: str, commits: Collection[str]) -> Iterator[SecretPlace]:
    """Where such words stand in a text. Forty hexadecimal digits are one as well, as a key of W&B
    has them, unless they are one of the commits or the text calls them one.
    """
    for match in _HEX40.finditer(text):
        before = _before(text, match.start())
        if match[0].lower() not in commits and not _is_commit(before):
            yield SecretPlace(*match.span(), "forty hexadecimal digits that are no known commit")
    for match in _TOKEN.finditer(text):
        before = _before(text, match.start())
        reason = _why_secret(match[0], is_assigned=_ASSIGNS.search(before) is not None)
        if reason and (reason == _IN_BASE64 or not _CALLED_HASH.search(before)):
            yield SecretPlace(*match.span(), reason)


def _before(text: str, at: int) -> str:
    """What stands before a place in its line, as far as it matters."""
    return text[max(0, at - 80) : at].rpartition("\n")[2]


def _is_commit(before: str) -> bool:
    if _OF_KEYS.search(before):
        return False
    is_in_address = "://" in before and " " not in before.rpartition("://")[2]
    return is_in_address or _OF_CODE.search(before) is not None


def _why_secret(token: str, *, is_assigned: bool) -> str:
    """Why a long word counts as a secret; "": it does not."""
    if _NO_TOKEN.fullmatch(token) or token.startswith(_PUBLIC_KEY):
        return ""
    if _is_secret_in_base64(token):
        return _IN_BASE64
    if (is_assigned or len(token) >= _LONGEST_BARE) and looks_random(token):
        return "a long word that looks random"
    return ""


def looks_random(text: str) -> bool:
    """Whether 16 letters and digits or more in a row change between kinds as chance does."""
    return any(_is_random(match[0]) for match in _SEGMENT.finditer(text[:_LONGEST_LOOK]))


def _is_random(word: str) -> bool:
    if _HEX.fullmatch(word) or _STAMP.search(word) or word.isdigit():
        return False
    changes = sum(a != b for a, b in itertools.pairwise(map(_kind, word)))
    fewest = _FEWEST_CAPITALS if word.isalpha() else _FEWEST_CHANGES
    return changes >= fewest * (len(word) - 1)


def _kind(letter: str) -> int:
    if letter.isdigit():
        return 0
    if letter.islower():
        return 1
    return 2


def _is_secret_in_base64(token: str) -> bool:
    bare = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    if not _TEXT.fullmatch(decoded):
        return False
    is_secret = next(redaction.secrets_in(decoded), None) is not None
    return is_secret or redaction.redact(decoded) != decoded or bool(_LOGIN.fullmatch(decoded))
