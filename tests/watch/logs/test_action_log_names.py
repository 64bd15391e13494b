"""Action logs and what is not ours under their names: it is moved aside whole, and never written
through.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from watchkeeper.core.events import Leased, Opened, Planned
from watchkeeper.watch.logs.action_logs import LiveLogs, rebuild

NOW = datetime(2026, 3, 11, 15, 0, tzinfo=UTC)
NAME = "run-experiment.log"


def journal(more=0):
    """The events of a watcher that has said so many times what it found."""
    head = {"time": NOW, "writer": "w"}
    planned = [
        Planned(**head, seq=2 + number, phase=None, experiment="e", folder="/e", summary="")
        for number in range(1 + more)
    ]
    return {
        "w": [
            Opened(**head, seq=0, schema=1, software="s", purpose="run", zone="UTC"),
            Leased(**head, seq=1, lease=1),
            *planned,
        ]
    }


def obstruct(folder, kind):
    """Put something under the log's name; what must still be there afterwards."""
    path, outside = folder / NAME, folder / "outside"
    if kind == "folder":
        path.mkdir()
    elif kind == "null":
        path.symlink_to("/dev/null")
    elif kind == "dangling":
        path.symlink_to(outside)
    else:
        outside.write_bytes(b"" if kind == "empty link" else b"theirs\n")
        path.symlink_to(outside)
    return outside.read_bytes() if outside.exists() else None


@pytest.mark.parametrize("kind", ["link", "empty link", "dangling", "null", "folder"])
@pytest.mark.parametrize("by", ["watch", "rebuild"])
def test_nothing_is_written_through_a_link(tmp_path, kind, by):
    """A link or a folder under a log's name is moved aside itself; what a link leads to has the
    bytes that it had.
    """
    outside = obstruct(tmp_path, kind)
    if by == "watch":
        assert [path.name for path in LiveLogs(tmp_path).take_over(journal())] == [f"{NAME}.kept-1"]
    else:
        rebuild(tmp_path, journal())
    kept, ours = tmp_path / f"{NAME}.kept-1", tmp_path / NAME
    assert kept.is_symlink() or kept.is_dir()
    assert not ours.is_symlink() and b"DISCOVER_EXPERIMENT" in ours.read_bytes()
    assert (
        (tmp_path / "outside").read_bytes() if (tmp_path / "outside").exists() else None
    ) == outside


def test_a_link_that_appears_while_we_watch_is_moved_aside(tmp_path):
    """The log is replaced by a link in the middle of a watch: the next block goes into a file of
    ours.
    """
    logs = LiveLogs(tmp_path)
    logs.take_over(journal())
    (tmp_path / NAME).rename(tmp_path / "outside")
    (tmp_path / NAME).symlink_to("outside")
    before = (tmp_path / "outside").read_bytes()
    assert [path.name for path in logs.extend(journal(more=1)["w"][-1:], journal(more=1))] == [
        f"{NAME}.kept-1"
    ]
    assert (tmp_path / "outside").read_bytes() == before
    assert (tmp_path / NAME).read_bytes().count(b"DISCOVER_EXPERIMENT") == 2
