"""When a watch leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchkeeper.core.errors import StorageError
from watchkeeper.watch.leaving import SENTINEL, Leaving


def never() -> float:
    """A monotonic clock that stands still."""
    return 0.0


def test_the_first_reason_to_leave_stays(tmp_path: Path) -> None:
    """A second signal, or the sentinel after a signal, does not change why the watch left."""
    leaving = Leaving(tmp_path, never)
    assert not leaving.is_requested() and leaving.why == ""
    leaving.request("SIGINT")
    leaving.request("SIGTERM")
    (tmp_path / SENTINEL).touch()
    assert leaving.is_requested() and leaving.why == "SIGINT"


def test_the_sentinel_ends_a_wait_and_an_old_one_is_removed(tmp_path: Path) -> None:
    """A sentinel that lies there at the start is an earlier watch's; one that appears later ends
    every wait.
    """
    (tmp_path / SENTINEL).touch()
    leaving = Leaving(tmp_path, never)
    assert leaving.remove_sentinel() and not leaving.remove_sentinel()
    (tmp_path / SENTINEL).touch()
    leaving.wait(3600)  # by a clock that stands still: only the sentinel ends it
    assert leaving.why == f"sentinel {SENTINEL}"


def test_a_sentinel_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    """The watch would leave at once: the error names the file instead."""
    (tmp_path / SENTINEL).mkdir()
    with pytest.raises(StorageError, match=SENTINEL):
        Leaving(tmp_path, never).remove_sentinel()
