"""How far a job prints that it is, from the ends of its two streams."""

from __future__ import annotations

import os

from watchkeeper.watch.progress import SILENT_S, progress_in_output


def test_step_and_loss_may_come_from_different_streams(tmp_path):
    """A bar on standard error and losses on standard output are told together, of files of any size."""
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("x" * 100_000 + "\n{'loss': 5.66, 'epoch': 0.1}\n")
    err.write_text("\r" * 50_000 + " 5%|#| 20/400 [00:01<00:19, 20it/s]")
    now = out.stat().st_mtime
    assert progress_in_output([str(out), str(err)], now) == "step 20/400, loss 5.66"
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
