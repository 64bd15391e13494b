"""What a process records of itself: a run's start, steps, metric rows, checkpoints and end."""

from watchkeeper.record.interrupts import Interrupted
from watchkeeper.record.limits import Limit
from watchkeeper.record.rows import Row, read_rows
from watchkeeper.record.run import Run, current_run
from watchkeeper.record.start import start_run
from watchkeeper.record.step import Step
from watchkeeper.record.tables import Table, read_table

__all__ = ["Interrupted", "Limit", "Row", "Run", "Step", "Table", "current_run", "read_rows", "read_table", "start_run"]
