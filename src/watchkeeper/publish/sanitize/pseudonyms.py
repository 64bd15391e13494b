"""What stands in the place of a private value: the same for the same value everywhere."""

from __future__ import annotations

import re

from watchkeeper.core.text.redaction import REDACTED
from watchkeeper.publish.sanitize.spans import Kind

FORM = re.compile(r"<(?:path|host|job|user|account|address|link|wandb)-\d{1,9}>|<redacted>")
"""A pseudonym, or the sign of a secret that was left out."""


class Pseudonyms:
    """The pseudonyms of one package: `<host-1>`, `<path-2>`. They are counted in the order in which
    values are met, and say nothing about the values.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[Kind, str], str] = {}
        self._counts: dict[Kind, int] = {}

    def name(self, kind: Kind, value: str) -> str:
        """The pseudonym of a value; a secret is `<redacted>`, whichever it is.

        The same value of the same kind gets the same pseudonym, as long as this object lives.
        """
        if kind == "secret":
            return REDACTED
        name = self._names.get((kind, value))
        if name is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"<{kind}-{self._counts[kind]}>"
            self._names[kind, value] = name
        return name
