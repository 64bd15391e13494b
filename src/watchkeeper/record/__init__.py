"""What a process records of itself: a run's start, steps, metric rows, checkpoints and end."""

from watchkeeper.record.rows import Row, read_rows
from watchkeeper.record.run import Run, start_run
from watchkeeper.record.step import Step

__all__ = ["Row", "Run", "Step", "read_rows", "start_run"]
