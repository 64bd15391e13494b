"""wandb's own sync against a server that takes all, loses rows, or hangs. `make sync-faults` tries
every fault.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.publish.wandb import faults
from tests.publish.wandb.server import FakeServer, Fault
from watchkeeper.publish.tokens import Token
from watchkeeper.publish.wandb.calling import local_wandb
from watchkeeper.publish.wandb.offline import grouped, wandb_files
from watchkeeper.publish.wandb.plan import plan_sync
from watchkeeper.publish.wandb.server import Server
from watchkeeper.publish.wandb.sync import Sent, Syncer


def send(folder: Path, server: FakeServer, *, timeout_s: float) -> Sent:
    """Send the one run in a folder."""
    runs, _ = grouped(wandb_files(folder))
    plan = plan_sync(runs, entity="ent", project="proj")
    token = Token(folder, faults.KEY)
    place = Server(server.url)
    syncer = Syncer(place, token, local_wandb(), timeout_s=timeout_s, settle_s=1, ask_s=3)
    (sent,) = syncer.sync(plan)
    return sent


@pytest.mark.parametrize(
    ("make", "fault", "after", "outcomes", "held"),
    [
        (faults.resumed, "", 0, {"synced"}, range(9, 10)),
        (faults.plain, "lose-rows", 0, {"failed"}, range(1, 20)),
        (faults.plain, "hang", 2, {"unknown", "failed"}, range(1)),
    ],
    ids=["all", "lost", "hangs"],
)
def test_what_is_said_of_a_sync_is_true(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    fault: Fault,
    after: int,
    outcomes: set[str],
    held: range,
) -> None:
    """The rows of all segments arrive once, in order; rows that a server lost are missed though
    W&B marks the run; and a server that never answers ends within its time.
    """
    make(tmp_path)
    monkeypatch.chdir(tmp_path / "wandb")
    with FakeServer().serving() as server:
        server.fault, server.fault_after = fault, after
        sent = send(tmp_path, server, timeout_s=5 if fault == "hang" else 120)
        rows = server.rows.get(faults.RUN, {})
        assert sent.outcome in outcomes and len(rows) in held and server.repeated == 0
        assert [path.name for path in Path().iterdir() if path.name == "wandb"] == []
        assert (sent.why == "") == (sent.outcome == "synced")
