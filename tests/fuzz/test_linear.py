"""Text from jobs is read in time that grows with its length, and no faster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from watchkeeper.core.disk import tails
from watchkeeper.runfolder import printed as trainlog
from watchkeeper.runfolder import printed_metrics
from watchkeeper.tools import torchtune
from watchkeeper.watch.verdict import causes

SHORT, LONG = 10_000, 100_000  # characters
MOST_GROWTH = 35  # ten times the length: linear time grows tenfold, quadratic time a hundredfold
FLOOR_S = 0.004  # shorter times than this are the clock's, not the reader's

READERS: dict[str, Callable[[str], object]] = {
    "position": trainlog.position,
    "losses": trainlog.losses,
    "val_losses": trainlog.val_losses,
    "advances": trainlog.advances,
    "bar_rate": trainlog.bar_rate,
    "read_line": printed_metrics.read_line,
    "error_lines": causes.error_lines,
    "classify": causes.classify,
    "named": lambda text: causes.named(
        causes.End(state="FAILED", exit_code=1), f"Traceback (most recent call last):\n{text}"
    ),
}
PIECES = [
    "1", "1,", " ", "[", "]", "=", "x", "9/", "1|", "step ", "step  ", "steps", "loss", "loss ",
    "loss:", "val_loss = ", "'loss': 0.5, ", "1/1 [0", "[0:0<0, 1", "Epoch 1", "Epoch ",
    "CANCELLED AT ", "Killed process 1", "a.", "Error", "1|1|Loss: ", "128256, 13, ",
    "step 1/1 loss 1 ", "\t", "-", ".", "1.", "e+1", "nan",
]  # fmt: skip


def cpu_seconds(read: Callable[[str], object], text: str) -> float:
    """The least CPU time of three readings, the floor at the least."""
    times = []
    for _ in range(3):
        began = time.process_time()
        read(text)
        times.append(time.process_time() - began)
    return max(min(times), FLOOR_S)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("piece", PIECES)
def test_a_line_that_repeats_itself_is_read_in_linear_time(name: str, piece: str) -> None:
    """One line of a repeated piece takes at most as much more time as it is longer, with room for
    the machine's noise.
    """
    read = READERS[name]
    short = cpu_seconds(read, (piece * SHORT)[:SHORT])
    long = cpu_seconds(read, (piece * LONG)[:LONG])
    assert long / short < MOST_GROWTH


@pytest.mark.parametrize("piece", PIECES)
def test_a_torchtune_log_of_one_line_is_read_in_linear_time(tmp_path: Path, piece: str) -> None:
    """The end of a log is read in linear time as well."""
    times = []
    for length in (20_000, 200_000):
        path = tmp_path / "log_1.txt"
        path.write_text((piece * length)[:length])
        times.append(cpu_seconds(lambda text: torchtune.read_log(Path(text), "log"), str(path)))
    assert times[1] / times[0] < MOST_GROWTH


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("step 123456789012345678901234 loss 1", None),
        ("loss 1" + "0" * 60 + " step 5", 5),
        ("99999999999999999999999/300 [00:05", None),
        ("step 1,234 of 5,678, loss 0.5", 1234),
        ("steps: " + "9" * 5000, None),
    ],
)
def test_a_number_that_no_training_prints_is_no_step(text: str, step: int | None) -> None:
    """A number with too many digits is left out whole: no part of it is a step or a loss."""
    position = trainlog.position(text)
    assert (position.step if position is not None else None) == step


def test_a_loss_of_too_many_digits_is_no_loss() -> None:
    """The first digits of a number that is too long are not a loss."""
    assert trainlog.losses(f"step 5 loss {'1' * 60}") == []
    assert trainlog.losses("step 5 loss 1.25e-3") == [(5, 0.00125)]


def test_a_pipe_with_an_output_s_name_is_not_waited_for(tmp_path: Path) -> None:
    """A look at a pipe or a device in the place of a job's output returns at once, with nothing."""
    pipe = tmp_path / "slurm-1.out"
    os.mkfifo(pipe)
    assert tails.end_of_file(pipe, 100) == b""
    assert tails.Follower(pipe, 100).look() == tails.Grown()
    assert tails.end_of_file("/dev/zero", 100) == b""
    assert tails.end_of_file(tmp_path, 100) == b""
