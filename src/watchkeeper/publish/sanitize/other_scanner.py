"""What detect-secrets sees in a text: a second list of forms, kept by others.

Its rules by entropy and by keyword are left out: in a package they see hashes, salts and the names
of settings. Our own rules judge those (rules/randomness.py, rules/secrets.py).
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from typing import Any

PACKAGE = "detect-secrets"
_LEFT_OUT = frozenset(
    {
        "Base64 High Entropy String",
        "Hex High Entropy String",
        "Public IP (ipv4)",
        "Secret Keyword",
    }
)


def is_installed() -> bool:
    """Whether detect-secrets can be asked. It is no requirement: our own rules do not
    depend on it.
    """
    return importlib.util.find_spec("detect_secrets") is not None


def find(text: str) -> Iterator[tuple[int, str]]:
    """Of each secret that detect-secrets sees: its line, counted from 1, and of which form it is.

    The form is the scanner's own word for it ("AWS Access Key"). Nothing where detect-secrets is
    not installed.
    """
    if not is_installed():
        return
    for number, line in enumerate(text.split("\n"), 1):
        for detector in _detectors():
            if any(detector.analyze_string(line)):
                yield number, detector.secret_type


@functools.cache
def _detectors() -> tuple[Any, ...]:
    """One detector of each form that is not left out, in the order of their names."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    detectors = []
    for kind, made in sorted(get_mapping_from_secret_type_to_class().items()):
        if kind not in _LEFT_OUT:
            detectors.append(made())
    return tuple(detectors)
