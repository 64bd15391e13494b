"""When a watch leaves while jobs are still running: on a signal, or when somebody creates the
sentinel file in the experiment's folder.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from watchkeeper.core.errors import StorageError

SENTINEL = ".detach"
_TICK_S = 1.0  # between two looks for the sentinel


class Leaving:
    """The request to leave one watch. `why` is its reason; "": not requested."""

    def __init__(self, folder: Path, monotonic: Callable[[], float]) -> None:
        self.why = ""
        self._sentinel = folder / SENTINEL
        self._monotonic = monotonic
        self._event = threading.Event()

    def request(self, why: str) -> None:
        """Ask the watch to leave; the first reason stays. Safe from a signal handler."""
        self.why = self.why or why
        self._event.set()

    def is_requested(self) -> bool:
        """Whether the watch is to leave now."""
        if not self._event.is_set() and self._sentinel.exists():
            self.request(f"sentinel {SENTINEL}")
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Wait, at most until leaving is requested."""
        until = self._monotonic() + seconds
        while (left := until - self._monotonic()) > 0 and not self.is_requested():
            self._event.wait(min(left, _TICK_S))

    def remove_sentinel(self) -> bool:
        """Remove the sentinel of an earlier watch; returns whether there was one.

        Raises:
            StorageError: it cannot be removed.
        """
        try:
            self._sentinel.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(
                f"cannot remove {self._sentinel}: {error.strerror}", hint="remove it yourself"
            ) from error
        return True
