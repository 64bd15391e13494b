"""How far a job prints that it is, from the ends of its two streams."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from watchkeeper.core.events import Advanced, Stalled
from watchkeeper.core.journal import Writer
from watchkeeper.watch.health.progress import SILENT_S, progress_in_output, progress_of


def test_step_and_loss_may_come_from_different_streams(tmp_path):
    """A bar on standard error and losses on standard output are told together, of files of any
    size.
    """
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("x" * 100_000 + "\n{'loss': 5.66, 'epoch': 0.1}\n")
    err.write_text("\r" * 50_000 + " 5%|#| 20/400 [00:01<00:19, 20it/s]")
    now = out.stat().st_mtime
    assert (
        progress_in_output([str(out), str(err)], now) == "step 20/400, loss 5.66, 20/s, 0:19 left"
    )
    assert progress_in_output([str(out), str(tmp_path / "none"), ""], now) == ""


def test_a_job_that_prints_nothing_is_told_with_how_long(tmp_path):
    """Silence is evidence: beyond five minutes it stands beside the last step, or alone."""
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("step 7/10\n")
    err.write_text("")
    for path in (out, err):
        os.utime(path, (1000.0, 1000.0))
    assert progress_in_output([str(out)], 1000.0 + SILENT_S - 1) == "step 7/10"
    assert progress_in_output([str(out)], 1000.0 + 3723) == "step 7/10, nothing printed for 1:02:03"
    assert progress_in_output([str(err)], 1000.0 + 3723) == "nothing printed for 1:02:03"
    os.utime(err, (4700.0, 4700.0))
    assert progress_in_output([str(out), str(err)], 1000.0 + 3723) == "step 7/10"


def test_a_stall_that_the_sidecar_saw_is_told_until_the_run_advances(tmp_path):
    """What the sidecar wrote into the run's folder reaches `status`, with its cause, and goes when
    the run goes on.
    """
    run, attempt = tmp_path / "run", tmp_path / "attempt"
    attempt.mkdir()
    (attempt / "recorder.json").write_text(
        json.dumps({"folder": str(run), "run_id": "r", "writer": "w"})
    )
    sidecar = Writer(run / ".watchkeeper/journal", "sidecar")
    assert progress_of(attempt) == ""
    sidecar.write(
        Stalled,
        since=datetime(2026, 3, 11, 15, tzinfo=UTC),
        limit_s=600.0,
        cause="waiting for a lock",
    )
    assert progress_of(attempt) == "STALLED since 2026-03-11 15:00:00 UTC: waiting for a lock"
    sidecar.write(Advanced, stalled_s=700.0)
    assert progress_of(attempt) == ""
    sidecar.close()
