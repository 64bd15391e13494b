"""What is known to be wrong with versions of the package `wandb`, and which server they need.

From W&B's release notes: 0.24.0 may lose rows as it logs; `wandb sync` before 0.28.2 may wait for
ever; 0.28.1 and later speak to a server of 0.70.0 or later.
"""

from __future__ import annotations

from watchkeeper.core.text import lazy

Version = tuple[int, int, int]

LOSES_ROWS: frozenset[Version] = frozenset({(0, 24, 0)})
"""The versions that may lose rows as they log."""
SYNC_IS_BOUNDED: Version = (0, 28, 2)
"""The first version whose sync does not hang."""
NEEDS_NEW_SERVER: Version = (0, 28, 1)
"""The first version that needs a server of `OLDEST_SERVER`."""
OLDEST_SERVER: Version = (0, 70, 0)
_NUMBERS = lazy.pattern(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})")


def version_of(text: str) -> Version | None:
    """The first version in a text, as in `0.31.0+abc`; None for none."""
    match = _NUMBERS.search(text)
    if match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3])


def spelled(version: Version) -> str:
    """A version as people write it: `0.31.0`."""
    return ".".join(map(str, version))


def loses_rows(text: str) -> bool:
    """Whether the version in a text may lose rows as it logs; a text without one: no."""
    return version_of(text) in LOSES_ROWS


def may_hang(text: str) -> bool:
    """Whether the sync of the version in a text may wait for ever; a text without one: no."""
    version = version_of(text)
    return version is not None and version < SYNC_IS_BOUNDED


def fault_of_server(server: str, client: str) -> str:
    """Why a client of this version is refused by a server of that one; "": it is not, or one of
    the two versions is not known.
    """
    theirs, ours = version_of(server), version_of(client)
    if theirs is None or ours is None:
        return ""
    if ours < NEEDS_NEW_SERVER or theirs >= OLDEST_SERVER:
        return ""
    return (
        f"the server is W&B {spelled(theirs)}, and wandb {spelled(ours)} needs "
        f"{spelled(OLDEST_SERVER)} or later"
    )
