"""Where a package goes: a repository of models by its name, and the Hub that has it."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

import msgspec

from watchkeeper.core.errors import UsageError

DEFAULT_URL = "https://huggingface.co"
VARIABLE = "HF_ENDPOINT"
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?")
_LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))


class Place(msgspec.Struct, frozen=True):
    """A repository of models, `USER/NAME`, and its Hub's address without a slash at the end."""

    repo: str
    endpoint: str = DEFAULT_URL

    @property
    def page(self) -> str:
        """The address of the repository's page."""
        return f"{self.endpoint}/{self.repo}"


def place_of(repo: str) -> Place:
    """The repository of this name, at the Hub that HF_ENDPOINT names, else Hugging Face's own.

    Raises:
        UsageError: the Hub takes no such name, or a token would travel unencrypted.
    """
    fault = fault_of_name(repo)
    if fault:
        raise UsageError(f"--repo {repo!r}: {fault}", hint="give it as USER/NAME: ada/my-model")
    endpoint = (os.environ.get(VARIABLE) or DEFAULT_URL).rstrip("/")
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise UsageError(f"{VARIABLE} is no address: {endpoint!r}", hint="give it as https://HOST")
    if address.scheme == "http" and address.hostname not in _LOOPBACK:
        raise UsageError(
            f"{VARIABLE} is {endpoint}: a token would cross the network unencrypted",
            hint="give it as https://HOST",
        )
    return Place(repo, endpoint)


def fault_of_name(repo: str) -> str:
    """What is wrong with the name of a repository; "": nothing."""
    parts = repo.split("/")
    if len(parts) != 2:
        return "a user or an organisation, a slash and a name are expected"
    if not all(map(_PART.fullmatch, parts)):
        return (
            "each part has 1 to 96 of the letters A to Z, digits, -, _ and ., and begins with a "
            "letter or a digit"
        )
    if "--" in repo or ".." in repo:
        return "-- and .. are not allowed"
    if parts[1].endswith((".git", ".ipynb")):
        return "it may not end with .git or .ipynb"
    return ""
