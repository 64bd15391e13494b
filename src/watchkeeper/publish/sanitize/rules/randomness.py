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
    """Where such words stand in a text, and why each counts as a secret.

    Forty hexadecimal digits are one as well, as a key of W&B has them, unless they are one of
    `commits` (in lower case) or the words before call them one (`commit 3f2a…`). A word in a place
    where hashes stand (`sha256: …`) counts only if it is a secret in Base64.
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
    """What stands before a place in its line, as far as it matters: at most 80 characters."""
    return text[max(0, at - 80) : at].rpartition("\n")[2]


def _is_commit(before: str) -> bool:
    """Whether forty hexadecimal digits behind this are a commit, by the words before them.

    `checkout 3f2a…` and `https://github.com/a/b/tree/3f2a…` are; `wandb login 3f2a…` is a key,
    whatever else the line says.
    """
    if _OF_KEYS.search(before):
        return False
    is_in_address = "://" in before and " " not in before.rpartition("://")[2]
    return is_in_address or _OF_CODE.search(before) is not None


def _why_secret(token: str, *, is_assigned: bool) -> str:
    """Why a long word counts as a secret; "": it does not.

    `is_assigned`: it stands behind `=` or a colon. There a random word of 16 characters is enough;
    in a sentence it takes 24, as names of models (`MetaLlama38BInstruct`) look random, too.
    """
    if _NO_TOKEN.fullmatch(token) or token.startswith(_PUBLIC_KEY):
        return ""
    if _is_secret_in_base64(token):
        return _IN_BASE64
    is_long_enough = is_assigned or len(token) >= _LONGEST_BARE
    if is_long_enough and looks_random(token):
        return "a long word that looks random"
    return ""


def looks_random(text: str) -> bool:
    """Whether 16 letters and digits or more in a row change between kinds as chance does.

    `q7RmZk2VtW9xLb4N` does, `LlamaForCausalLM` does not. Only the first 4,000 characters are
    looked at.
    """
    segments = _SEGMENT.finditer(text[:_LONGEST_LOOK])
    return any(_is_random(segment[0]) for segment in segments)


def _is_random(word: str) -> bool:
    """Whether the neighbours in a word differ in kind as often as in random text.

    Hexadecimal digits of one case are a hash, and `20260102T030405` is a time; a number is no more
    than that.
    """
    if _HEX.fullmatch(word) or _STAMP.search(word) or word.isdigit():
        return False
    kinds = [_kind(letter) for letter in word]
    changes = sum(first != second for first, second in itertools.pairwise(kinds))
    fewest = _FEWEST_CHANGES
    if word.isalpha():
        fewest = _FEWEST_CAPITALS
    return changes >= fewest * (len(word) - 1)


def _kind(letter: str) -> int:
    """What a character is: 0 for a digit, 1 for a small letter, 2 for a capital."""
    if letter.isdigit():
        return 0
    if letter.islower():
        return 1
    return 2


def _is_secret_in_base64(token: str) -> bool:
    """Whether a word is Base64 of a text that holds a secret, or of `user:password`.

    Both alphabets are taken (`+/` and `-_`), with and without `=` at the end: kubectl and HTTP's
    `Basic` write the one, JSON Web Tokens the other.
    """
    bare = token.rstrip("=").replace("-", "+").replace("_", "/")
    padding = "=" * (-len(bare) % 4)
    try:
        decoded = base64.b64decode(bare + padding, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    if not _TEXT.fullmatch(decoded):
        return False
    if next(redaction.secrets_in(decoded), None) is not None:
        return True
    return redaction.redact(decoded) != decoded or _LOGIN.fullmatch(decoded) is not None
