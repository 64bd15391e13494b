"""What the sidecar makes of what it sees: an advance, a pause too long, a likely cause."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pytest

import watchkeeper as wk
from watchkeeper.core.errors import UsageError
from watchkeeper.record.options import grace_from, sidecar_from
from watchkeeper.record.sidecar import cause
from watchkeeper.record.sidecar.advance import FLOOR_S, PAUSES, Eye, Pace, Seen
from watchkeeper.record.sidecar.cause import Facts
from watchkeeper.record.sidecar.telemetry import Telemetry, describe
from watchkeeper.record.stopping import stacks
from watchkeeper.runfolder.printed import Position
from watchkeeper.runfolder.telemetry import Sample

NOW = datetime(2026, 3, 11, 15, tzinfo=UTC)


def test_a_stall_is_a_pause_far_longer_than_any_before():
    """Without a limit of its own the alarm comes after five times the longest pause, and never
    before ten minutes.
    """
    pace = Pace(0.0)
    assert pace.limit_s == FLOOR_S and not pace.is_stalled(FLOOR_S - 1) and pace.is_stalled(FLOOR_S)
    for at in (10.0, 20.0, 320.0):
        pace.advanced(at)
    assert pace.longest_s == 300.0 and pace.limit_s == PAUSES * 300.0
    assert not pace.is_stalled(320.0 + 1499) and pace.is_stalled(320.0 + 1500)
    assert "5 times the longest pause" in pace.words()


def test_the_time_before_the_first_advance_is_no_measure():
    """A long start-up does not make a stall of the training late to be seen."""
    pace = Pace(0.0)
    pace.advanced(3000.0)
    assert pace.limit_s == FLOOR_S


def test_a_limit_that_was_set_counts():
    """A limit of the user's is taken as it is, however short."""
    pace = Pace(0.0, 2.0)
    pace.advanced(100.0)
    assert not pace.is_stalled(101.9) and pace.is_stalled(102.0)
    assert pace.words() == "2 s, as set"


def test_rows_of_the_same_training_step_are_no_advance():
    """Output goes on, and the step does not: only another step, or something else that is kept, is
    an advance.
    """
    at_7 = Seen(where=Position(step=7), rows=100)
    assert not Seen(where=Position(step=7), rows=200).is_beyond(at_7)
    assert Seen(where=Position(step=8), rows=200).is_beyond(at_7)
    assert Seen(where=Position(step=1), rows=200).is_beyond(at_7)  # resumed at an earlier one
    assert Seen(where=Position(step=7), rows=100, grown=1).is_beyond(at_7)
    assert Seen(rows=2).is_beyond(Seen(rows=1)) and not Seen(rows=1).is_beyond(Seen(rows=1))


def test_the_eye_sees_what_a_run_leaves(tmp_path):
    """Rows, tables, events and the files that a user named each count, and the last row's step is
    read.
    """
    with wk.start_run(folder=tmp_path, pipeline="training", console=False) as run:
        eye = Eye(tmp_path, files=[str(tmp_path / "ckpt-*")])
        before = eye.look()
        run.log(1, loss=0.5)
        first = eye.look()
        assert first.where.step == 1 and first.is_beyond(before)
        run.log(1, loss=0.25)
        assert not eye.look().is_beyond(first)
        (tmp_path / "ckpt-1").write_bytes(b"weights")
        assert eye.look().is_beyond(first)
        second = eye.look()
        with run.table("raw") as table:
            table.append({"a": 1})
            assert eye.look().is_beyond(second)


def test_the_eye_reads_the_output_of_a_command(tmp_path):
    """A command's steps are read from what it prints; without any, more output is an advance."""
    out = tmp_path / "out"
    eye = Eye(tmp_path, output=["out"])
    nothing = eye.look()
    out.write_text("loading\n")
    loading = eye.look()
    assert loading.is_beyond(nothing)
    out.write_text("loading\nstep 3 loss 0.5\n")
    third = eye.look()
    assert third.where == Position(step=3, loss="0.5") and third.is_beyond(loading)
    out.write_text("loading\nstep 3 loss 0.5\nstill at step 3\n")
    assert not eye.look().is_beyond(third)


FRAMES = {
    "a lock": (
        ("/usr/lib/python3.11/threading.py:324 wait", "/home/me/train.py:42 step"),
        "a lock or a queue, at me/train.py:42 step",
    ),
    "workers": (
        (
            "/x/lib/python3.11/multiprocessing/connection.py:930 wait",
            "/x/site-packages/torch/utils/data/dataloader.py:1200 _get_data",
        ),
        "data: its DataLoader's workers give none",
    ),
    "ranks": (
        ("/x/site-packages/torch/distributed/distributed_c10d.py:2800 all_reduce",),
        "the other ranks",
    ),
    "a child": (
        ("/x/lib/python3.11/subprocess.py:2011 _wait", "/home/me/a.py:1 go"),
        "a child process, at me/a.py:1 go",
    ),
    "network": (
        ("/x/lib/python3.11/ssl.py:1166 read", "/x/site-packages/urllib3/response.py:1 read"),
        "the network",
    ),
}


@pytest.mark.parametrize(("frames", "words"), FRAMES.values(), ids=FRAMES)
def test_the_cause_is_named_from_where_the_main_thread_waits(frames, words):
    """Stacks as the libraries leave them are told in words, with the innermost line of the user's
    own code.
    """
    assert words in cause.of_stall(Facts(main=frames, states=("S",), cpus=0.0))


def test_what_outweighs_the_stack_is_named_first():
    """A filesystem that does not answer, a process that is stopped or blocked, a full disk come
    before where it waits.
    """
    frames = ("/usr/lib/python3.11/threading.py:324 wait",)
    full = Sample(time=NOW, free_bytes=0, disk_bytes=10**12)
    assert "does not answer" in cause.of_stall(Facts(answers=False, main=frames))
    assert "is stopped" in cause.of_stall(Facts(states=("T",), main=frames))
    assert "blocked in the kernel" in cause.of_stall(Facts(states=("D",), main=frames))
    assert "the disk is full" in cause.of_stall(Facts(states=("S",), sample=full, main=frames))
    quota = "could not append to x: Disk quota exceeded"
    assert "nothing can be written" in cause.of_stall(
        Facts(states=("S",), fault=quota, main=frames)
    )
    assert "busy, with 1.0 CPUs" in cause.of_stall(
        Facts(states=("R",), cpus=1.0, main=("/home/me/train.py:3 loop",))
    )
    assert "asleep" in cause.of_stall(
        Facts(states=("S",), cpus=0.0, main=("/home/me/train.py:3 loop",))
    )
    assert "waiting for time to pass" in cause.of_stall(
        Facts(states=("S",), cpus=0.0, kernel="hrtimer_nanosleep")
    )
    assert "not known" in cause.of_stall(Facts())


def test_work_that_waits_for_a_processor_is_busy():
    """Work that is ready to run on a machine without a free processor is not called asleep, and
    the cause says what it lacks.
    """
    starved = cause.of_stall(Facts(states=("R",), cpus=0.02, queued=0.9))
    assert "busy, with 0.0 CPUs, and ready for 0.9 more that the machine has not" in starved
    assert "asleep" in cause.of_stall(Facts(states=("S",), cpus=0.04, queued=0.05))
    assert "the machine has not" not in cause.of_stall(Facts(states=("R",), cpus=1.0, queued=0.05))


def test_a_death_is_laid_to_memory_only_on_evidence():
    """The kernel's own count, or a host without memory, names it; else it is said that nobody
    knows.
    """
    assert "used up" in cause.of_death(Sample(time=NOW, oom_kills=0), Sample(time=NOW, oom_kills=1))
    assert "probably by the kernel" in cause.of_death(
        Sample(time=NOW, host_available_bytes=10**6), None
    )
    assert "without a word" in cause.of_death(
        Sample(time=NOW, host_available_bytes=10**10, oom_kills=1), Sample(time=NOW, oom_kills=1)
    )


def test_telemetry_takes_in_the_children(tmp_path):
    """CPU, memory and threads are of the process and all below it; the disk is the run's."""
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); "
        "input()'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as work:
        work.stdout.readline()
        sample = Telemetry(work.pid, tmp_path).sample(NOW)
        work.stdin.write(b"\n")
    assert sample.processes == 2 and sample.threads >= 2 and sample.rss_bytes > 10**6
    assert sample.free_bytes > 0 and "2 processes" in describe(sample)


def test_a_gpu_is_told_as_nvml_tells_it(tmp_path, monkeypatch):
    """What NVML says of each device is kept, and of its memory what the work itself holds."""

    class Nvml:
        nvmlInit = staticmethod(lambda: None)
        nvmlDeviceGetCount = staticmethod(lambda: 1)
        nvmlDeviceGetHandleByIndex = staticmethod(lambda index: index)
        nvmlDeviceGetName = staticmethod(lambda device: "NVIDIA H100")

        @staticmethod
        def nvmlDeviceGetMemoryInfo(device):
            return type("Memory", (), {"used": 3 * 2**30, "total": 80 * 2**30})

        @staticmethod
        def nvmlDeviceGetUtilizationRates(device):
            return type("Rates", (), {"gpu": 7})

        @staticmethod
        def nvmlDeviceGetComputeRunningProcesses(device):
            process = type("Process", (), {"pid": os.getpid(), "usedGpuMemory": 2**30})
            return [process, type("Process", (), {"pid": 1, "usedGpuMemory": 2**31})]

    monkeypatch.setitem(sys.modules, "pynvml", Nvml)
    sample = Telemetry(os.getpid(), tmp_path).sample(NOW)
    (gpu,) = sample.gpus
    assert (gpu.busy, gpu.ours_bytes, gpu.total_bytes) == (0.07, 2**30, 80 * 2**30)
    assert "GPU 0 7% busy, 1.00 GiB ours of 80.00 GiB" in describe(sample)


def test_without_the_extras_the_disk_is_told_all_the_same(tmp_path, monkeypatch):
    """Where psutil and NVML are not installed their figures are None, and nothing fails."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    telemetry = Telemetry(os.getpid(), tmp_path)
    sample = telemetry.sample(NOW)
    assert sample.rss_bytes is None and sample.free_bytes > 0
    assert telemetry.processes() == ["psutil is not installed: pip install 'watchkeeper[sidecar]'"]


def test_stacks_are_asked_only_of_who_takes_the_signal():
    """A process without a handler would be ended by the signal: it is not sent."""
    with subprocess.Popen(["sleep", "60"]) as work:
        assert stacks.ask(work.pid, stacks.DUMP_SIGNAL) == ""
        assert work.poll() is None
        work.kill()


def test_this_process_writes_its_stacks_and_stops_to():
    """Between `listen` and `forget` the signal brings all threads' stacks; before and after there
    is no handler.
    """
    assert not stacks.listens(os.getpid(), stacks.DUMP_SIGNAL)
    assert stacks.listen(stacks.DUMP_SIGNAL) == "" and stacks.listen(stacks.DUMP_SIGNAL) == ""
    stacks.forget()
    (main, *_) = reversed(stacks.threads(stacks.ask(os.getpid(), stacks.DUMP_SIGNAL)))
    assert any("test_this_process_writes_its_stacks" in frame for frame in main)
    stacks.forget()
    assert not stacks.listens(os.getpid(), stacks.DUMP_SIGNAL)


def test_a_signal_that_the_program_uses_is_left_to_it(tmp_path, capfd):
    """Where the dump signal has a handler of the program's, it stays, and the log says that there
    will be no stacks.
    """
    before = signal.signal(stacks.DUMP_SIGNAL, lambda *_: None)
    try:
        with wk.start_run(folder=tmp_path, pipeline="training", sidecar=True):
            assert signal.getsignal(stacks.DUMP_SIGNAL) is not before
        assert (
            "A stall will be reported without stacks: SIGRTMIN+4 has a handler"
            in capfd.readouterr().err
        )
    finally:
        signal.signal(stacks.DUMP_SIGNAL, before)


def test_the_settings_of_the_sidecar_are_checked_at_the_start():
    """The call wins over the environment; what is none is refused with what to write, and an end
    needs a limit.
    """
    assert sidecar_from(None, None, None, {}) == (True, None, False)
    told = {
        "WATCHKEEPER_SIDECAR": "0",
        "WATCHKEEPER_STALL_S": "1800",
        "WATCHKEEPER_END_STALLED": "1",
    }
    assert sidecar_from(None, None, None, told) == (False, 1800.0, True)
    assert sidecar_from(True, 60.0, False, told) == (True, 60.0, False)
    assert (grace_from({}), grace_from({"WATCHKEEPER_GRACE_S": "5"})) == (30.0, 5.0)
    assert stacks.dump_signal_from(None, {"WATCHKEEPER_DUMP_SIGNAL": "40"}) == 40
    for call in (
        lambda: sidecar_from(None, "soon", None, {}),
        lambda: sidecar_from(None, -1.0, None, {}),
        lambda: sidecar_from(None, None, True, {}),
        lambda: sidecar_from(None, None, None, {"WATCHKEEPER_SIDECAR": "yes"}),
        lambda: stacks.dump_signal_from(9, {}),
        lambda: stacks.dump_signal_from("usr1", {}),
        lambda: grace_from({"WATCHKEEPER_GRACE_S": "0"}),
    ):
        with pytest.raises(UsageError):
            call()


def test_a_short_run_costs_no_sidecar_and_leaves_nothing(tmp_path):
    """A run that ends at once, and says so, starts no second Python, and its folder holds no
    telemetry.
    """
    with wk.start_run(folder=tmp_path, pipeline="training", console=False, sidecar=True) as run:
        run.log(1, loss=0.5)
    kept = [".gitignore", "journal", "metrics", "objects"]
    assert sorted(os.listdir(tmp_path / ".watchkeeper")) == kept
    assert json.loads((tmp_path / "run_manifest.json").read_text())["status"] == "finished"
