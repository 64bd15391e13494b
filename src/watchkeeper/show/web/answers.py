"""An answer of the API: the commands' envelope, its lists whole, with `rev` beside `data`. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from watchkeeper.core.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, Problem
from watchkeeper.show.envelope import PROBLEMS, SCHEMA, entry_of, plain
from watchkeeper.show.text import harmless_json

COMMAND = "serve"
_REV_BYTES = 8


class Body(NamedTuple):
    """An answer as bytes, and its `data` alone. `rev` is a hash of the data: while it is the same,
    so is what the page shows.
    """

    rev: str
    data: bytes
    whole: bytes


def body_of(data: Any, summary: str) -> Body:
    """The answer whose `data` is this struct."""
    encoded = msgspec.json.encode(plain(data))
    rev = hashlib.blake2b(encoded, digest_size=_REV_BYTES).hexdigest()
    counts = getattr(data, "counts", {})
    problems = getattr(data, PROBLEMS, ())
    document = _envelope(EXIT_OK, summary, counts, problems)
    document |= {"data": msgspec.Raw(encoded), "rev": rev}
    return Body(rev, encoded, _encoded(document))


def failure(status: int, problems: Sequence[Problem]) -> bytes:
    """The answer to a request that failed with this status of HTTP; its data is null."""
    code = EXIT_USAGE if status < 500 else EXIT_FAILED
    document = _envelope(code, problems[0].message, {}, problems)
    return _encoded({**document, "data": None, "rev": ""})


def _envelope(
    code: int, summary: str, counts: dict[str, int], problems: Sequence[Problem]
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "command": COMMAND,
        "exit_code": code,
        "summary": " ".join(plain(summary).split()),
        "counts": dict(counts),
        PROBLEMS: [plain(entry_of(problem)) for problem in problems],
        "more": {},
    }


def _encoded(document: dict[str, Any]) -> bytes:
    return harmless_json(msgspec.json.encode(document).decode()).encode()
