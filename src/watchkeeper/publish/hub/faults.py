"""What an error of huggingface_hub means, in words that hold no token. Knows errors by their names
and their status codes, so that it needs neither the library nor a network.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping

from watchkeeper.core.text import redaction
from watchkeeper.publish.hub.messages import Failed, Fault

MOST_CHARACTERS = 300
BY_STATUS: Mapping[int, Fault] = {
    400: "bad-name",
    401: "token-refused",
    403: "forbidden",
    404: "not-found",
    409: "changed",
    412: "changed",
    429: "busy",
}
_BY_NAME: Mapping[str, Fault] = {
    "GatedRepoError": "gated",
    "HFValidationError": "bad-name",
    "RemoteEntryNotFoundError": "not-found",
    "RepositoryNotFoundError": "not-found",
    "RevisionNotFoundError": "not-found",
}
_LOST = frozenset((
    "ConnectError", "ConnectTimeout", "NetworkError", "PoolTimeout", "ProtocolError", "ReadError",
    "ReadTimeout", "RemoteProtocolError", "LocalProtocolError", "CloseError", "WriteError",
    "WriteTimeout",
))  # fmt: skip
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_ADDRESS = re.compile(r"https?://\S+")
_REQUEST_ID = re.compile(r"\s*\((?:Request ID|Amzn Trace ID|Amz CF ID):[^)]*\)")


class SaidError(Exception):
    """A fault that this side found: the first argument is its kind, the second the words."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(why)
        self.fault = fault


def failed_of(error: BaseException, token: str) -> Failed:
    """What an error means. The gravest of its causes that is known counts.

    `token` is the one that was used, "" for none: it is taken out of the words. An error that is
    not known is of the kind "other".
    """
    chain = list(_chain(error))
    for one in chain:
        fault = _fault_of(one)
        if fault is not None:
            return Failed(fault, words_of(one, token))
    return Failed("other", words_of(chain[-1], token))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _fault_of(error: BaseException) -> Fault | None:
    """The kind of one error; None: it is not known, and its cause may be.

    By its class, then by the status code of the answer, then by what went wrong on this machine.
    """
    if isinstance(error, SaidError):
        return error.fault
    named = _BY_NAME.get(type(error).__name__)
    if named is not None:
        return named
    status = _status_of(error)
    if status:
        return BY_STATUS.get(status, "server" if status >= 500 else "other")
    if type(error).__name__ in _LOST:
        return "lost"
    if isinstance(error, ModuleNotFoundError):
        return "no-library"
    if isinstance(error, OSError):
        return _fault_of_system(error)
    # The library checks the card's metadata before it sends it, and raises a ValueError.
    if "README.md" in str(error):
        return "bad-card"
    return None


def _fault_of_system(error: OSError) -> Fault | None:
    """The kind of an error of this machine; None: it is not known.

    A download whose size is not the one that was promised is an OSError of the library's own,
    without a number.
    """
    if error.errno in _FULL:
        return "disk-full"
    is_of_library = error.errno is None
    if is_of_library and "Consistency check failed" in str(error):
        return "mismatch"
    return None


def _status_of(error: BaseException) -> int:
    """The status code of the answer that an error is about; 0: it is about none."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    if not isinstance(status, int):
        return 0
    return status


def words_of(error: BaseException, token: str) -> str:
    """What an error says, in one line, without the token, other secrets and signed addresses."""
    said = getattr(error, "server_message", None) or str(error)
    status = _status_of(error)
    words = " ".join(without_secrets(str(said), token).split())[:MOST_CHARACTERS]
    if status and str(status) not in words:
        return f"{status} {words}".rstrip()
    return words or type(error).__name__


def without_secrets(text: str, token: str) -> str:
    """The text without the token, and without what an address carries behind its `?`."""
    if token:
        text = text.replace(token, redaction.REDACTED)
    text = _ADDRESS.sub(lambda match: match[0].partition("?")[0], _REQUEST_ID.sub("", text))
    return redaction.redact(text)
