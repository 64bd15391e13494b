"""The third layer: secrets, wherever they stand. In doubt it is one."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.core.text import redaction
from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.spans import Span


def find(text: str, known: Known) -> Iterator[Span]:
    """Where secrets stand in a text."""
    for secret in redaction.secrets_in(text):
        yield Span(secret.start, secret.end, "secret", "", secret.reason)
