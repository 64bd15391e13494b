"""A recorded program whose disk fails once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import watchkeeper as wk
from tests.iofaults.injection import Fault, Injection
from tests.iofaults.outcome import Outcome, Trial, sayings
from tests.iofaults.victim import CODE, ROWS
from watchkeeper.core import journal
from watchkeeper.core.events import RunEnded
from watchkeeper.record.writing.tables import read_table

ROOT = Path(__file__).parents[2]
DEADLINE_S = 600


def run(folder: Path, fault: Fault | None = None) -> Trial:
    """Run the program in a new folder, with this fault or none."""
    folder.mkdir(parents=True)
    place, acknowledged, weights = folder / "run", folder / "acknowledged", folder / "weights"
    weights.write_bytes(b"weights")
    (folder / "node").mkdir()
    injection = Injection(folder / "notes", place, fault)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WATCHKEEPER_", "SLURM_"))
    }
    environment = (
        kept | injection.environment | {"WATCHKEEPER_SIDECAR": "0", "TMPDIR": str(folder / "node")}
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.iofaults.victim", place, acknowledged, weights],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    heard = acknowledged.read_text().splitlines() if acknowledged.exists() else []
    there = _kept(place)
    outcome = Outcome(
        failed=injection.has_failed,
        lost=len([row for row in heard if row not in there]) + 2 * ROWS - len(heard),
        changed=int(done.returncode != CODE),
        twice=len(there) - len(set(there)),
        said=sayings(done.stderr, fault),
        unsound=_unsound(place),
        output=f"code {done.returncode}\n{done.stderr}",
    )
    return Trial(outcome, injection.operations())


def _kept(place: Path) -> list[str]:
    rows, _ = wk.read_rows(place)
    there = [f"metric {row.step}" for row in rows]
    for name in ("raw_metrics.csv", "raw_metrics_partial.csv"):
        if (place / name).exists():
            cells, _ = read_table(place / name)
            return there + [f"table {row['number']}" for row in cells]
    return there


def _unsound(place: Path) -> str:
    read = journal.read(place / ".watchkeeper" / "journal")
    problems = [*journal.losses(read), *wk.read_rows(place)[1]]
    events = [event for own in read.events.values() for event in own]
    if not [event for event in events if isinstance(event, RunEnded)]:
        return "no end in the journal"
    return "; ".join(f"{problem.where}: {problem.message}" for problem in problems)
