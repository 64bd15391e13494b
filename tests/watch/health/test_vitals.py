"""What is read of a running job: its output, its recorder's folder, and no more than has grown."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper.core.events import Advanced, Checkpoint, Stalled
from watchkeeper.core.journal import Writer
from watchkeeper.watch.health.vitals import OUTPUT_BYTES, Vitals

TRACE = (
    "Traceback (most recent call last):\n  File 'a.py'\nOSError: [Errno 28] No space left on "
    "device: 'w.bin'\n"
)


class Ward:
    """A job with two streams and room for a recorder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.out, self.err, self.attempt, self.run = (
            root / "out",
            root / "err",
            root / "attempt",
            root / "run",
        )
        self.attempt.mkdir()
        self.vitals = Vitals(self.attempt)

    def look(self, now: float = 0.0):
        """One look; `now` by the files' clock."""
        paths = {"output": str(self.out), "error": str(self.err)}
        return self.vitals.read(1.0, now, ran_s=5.0, ends_in_s=None, home=self.root, **paths)

    def prints(self, path: Path, text: str) -> None:
        """Append to a stream."""
        with path.open("a") as file:
            file.write(text)


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    """One job."""
    return Ward(tmp_path)


def test_step_loss_and_rate_are_read_from_both_streams_as_they_grow(ward: Ward) -> None:
    """A bar with carriage returns on standard error, losses on the other, warnings in between;
    steps are counted.
    """
    assert ward.look().size == 0 and ward.look().quiet_s is None
    ward.prints(ward.out, "{'loss': 2.5, 'epoch': 0.1}\n")
    ward.prints(
        ward.err,
        (
            "\r 1%|#| 1/100 [00:00<00:50, 2.0it/s]\nUserWarning: old\n\r 2%|#| 2/100 "
            "[00:01<00:49, 2.0it/s]"
        ),
    )
    found = ward.look()
    assert (found.position.step, found.position.total, found.position.loss, found.rate) == (
        2,
        100,
        "2.5",
        2.0,
    )
    assert found.advances == 2
    assert ward.look().advances == 0
    ward.prints(ward.err, "\r 3%|#| 3/100 [00:02<00:48, 4.0it/s]")
    found = ward.look()
    assert (found.position.step, found.position.loss, found.rate, found.advances) == (
        3,
        "2.5",
        4.0,
        1,
    )


def test_output_of_any_size_costs_its_growth_only(ward: Ward) -> None:
    """Of what a stream has grown by only the end is read, and nothing of what was read before."""
    with ward.err.open("wb") as file:
        file.truncate(50 * OUTPUT_BYTES)
    ward.prints(ward.err, "\nstep 7/10\n")
    assert ward.look().position.step == 7
    assert ward.look().position.step == 7


def test_each_error_is_told_once_with_its_class(ward: Ward) -> None:
    """A line that is repeated with other numbers is the same error; what steps were printed after
    is overcome.
    """
    ward.prints(ward.err, TRACE)
    (fault,) = ward.look().faults
    assert (fault.kind, fault.line, fault.overcome) == ("disk full", TRACE.splitlines()[-1], False)
    ward.prints(ward.err, TRACE)
    assert ward.look().faults == ()
    ward.prints(
        ward.err, "torch.OutOfMemoryError: CUDA out of memory. Tried 2 GiB\nstep 1\nstep 2\n"
    )
    (fault,) = ward.look().faults
    assert (fault.kind, fault.overcome) == ("out of memory", True)
    ward.prints(ward.err, "torch.OutOfMemoryError: CUDA out of memory. Tried 3 GiB\n")
    assert ward.look().faults == ()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("OSError: [Errno 122] Disk quota exceeded", "disk full"),
        ("torch.distributed.DistBackendError: NCCL error in: x.cpp", "NCCL"),
        ("RuntimeError: PytorchStreamWriter failed writing file", "checkpoint I/O"),
        ("ModuleNotFoundError: No module named 'torch'", "import"),
        ("omegaconf.errors.ConfigAttributeError: Key 'lr' is not in struct", "config"),
        ("RuntimeError: CUDA driver version is insufficient for CUDA runtime version", "driver"),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch", "out of memory"),
    ],
)
def test_errors_have_classes(ward: Ward, line: str, kind: str) -> None:
    """Disk, memory, NCCL, checkpoint, import, configuration and driver are told apart."""
    ward.prints(ward.err, f"loading\n{line}\n")
    assert [fault.kind for fault in ward.look().faults] == [kind]


def test_silence_is_measured_by_the_files_own_times(ward: Ward) -> None:
    """A stream that holds something says by its time since when nothing was added; an empty one
    says nothing.
    """
    ward.prints(ward.out, "hello\n")
    ward.prints(ward.err, "")
    os.utime(ward.out, (1000.0, 1000.0))
    assert ward.look(now=1300.0).quiet_s == 300.0


def test_a_recorders_folder_goes_before_the_output(ward: Ward) -> None:
    """Rows, status, checkpoints and the sidecar's stall are read from the run's folder, wherever
    that lies.
    """
    (ward.attempt / "recorder.json").write_text(
        json.dumps({"folder": str(ward.run), "run_id": "r", "writer": "w"})
    )
    rows = ward.run / ".watchkeeper/metrics/w.jsonl"
    rows.parent.mkdir(parents=True)
    status = ward.run / "status/training_status.json"
    status.parent.mkdir()
    status.write_text(
        json.dumps({"step": 2, "total": 50, "loss": 1.5, "steps_per_s": 0.5, "eta_s": 96.0})
    )
    ward.prints(
        rows,
        '{"time":"2026-03-11T15:00:00Z","step":1,"loss":2.5}\n{"time":"2026-03-11T15:00:02Z","step":2,"loss":1.5}\n',
    )
    ward.prints(ward.err, "step 99/99 loss 9\n")
    found = ward.look()
    assert (found.position.step, found.position.total, found.position.loss) == (2, 50, "1.5")
    assert (found.advances, found.rate, found.eta_s, found.stall) == (2, 0.5, 96.0, None)
    training, sidecar = (
        Writer(ward.run / ".watchkeeper/journal", "train"),
        Writer(ward.run / ".watchkeeper/journal", "sidecar"),
    )
    training.write(Checkpoint, path="step_2", files=())
    work = ward.look()
    assert work.checkpoints == 1 and work.work > found.work
    sidecar.write(
        Stalled,
        since=datetime(2026, 3, 11, 15, tzinfo=UTC),
        limit_s=600.0,
        cause="waiting for a lock",
        report="logs/stall.txt",
    )
    stalled = ward.look()
    assert stalled.stall is not None and stalled.stall.report == str(ward.run / "logs/stall.txt")
    assert "waiting for a lock" in stalled.stall.words
    assert stalled.work == work.work  # what the sidecar writes is no advance of the job
    sidecar.write(Advanced, stalled_s=700.0)
    assert ward.look().stall is None
    training.close()
    sidecar.close()


def test_a_loss_that_is_no_number_arrives_as_such(ward: Ward) -> None:
    """`"NaN"` in a metric row is a loss of nan."""
    (ward.attempt / "recorder.json").write_text(json.dumps({"folder": str(ward.run)}))
    rows = ward.run / ".watchkeeper/metrics/w.jsonl"
    rows.parent.mkdir(parents=True)
    ward.prints(rows, '{"time":"2026-03-11T15:00:00Z","step":1,"loss":"NaN"}\n')
    assert ward.look().position.loss == "NaN"


def test_evidence_has_its_source_and_its_date(ward: Ward) -> None:
    """Each stream is named with size, time and what it says; the disk with what is free; the GPU
    only as support.
    """
    ward.prints(ward.err, "step 3/9 loss 2.5\n")
    os.utime(ward.err, (1000.0, 1000.0))
    ward.look()
    found = {Path(one.source).name: one for one in ward.vitals.evidence(3.5)}
    assert found["err"].what == "step 3/9, loss 2.5 (3.5 before)"
    assert (
        found["err"].modified == datetime.fromtimestamp(1000, UTC) and found["err"].size_bytes == 18
    )
    assert found[ward.root.name].what.startswith("disk: ")
    telemetry = ward.run / ".watchkeeper/telemetry/s.jsonl"
    telemetry.parent.mkdir(parents=True)
    gpu = {
        "index": 0,
        "name": "H100",
        "busy": 0.97,
        "used_bytes": 2**30,
        "total_bytes": 80 * 2**30,
        "ours_bytes": 2**30,
    }
    telemetry.write_text(
        json.dumps({"time": "2026-03-11T15:00:00Z", "rss_bytes": 2**30, "gpus": [gpu]}) + "\n"
    )
    (ward.attempt / "recorder.json").write_text(json.dumps({"folder": str(ward.run)}))
    ward.look()
    assert any(
        "GPU 0 97% busy, 1.00 GiB of 80.00 GiB" in one.what for one in ward.vitals.evidence()
    )
