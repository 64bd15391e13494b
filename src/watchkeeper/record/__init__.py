"""What a process records of itself: a run's start, steps, metric rows, checkpoints and end."""

from watchkeeper.core.errors import Problem, StorageError, UsageError, WatchkeeperError
from watchkeeper.record.display.cadence import Cadence
from watchkeeper.record.display.progress import Progress
from watchkeeper.record.run import Run, current_run
from watchkeeper.record.stages.step import Step
from watchkeeper.record.start import start_run
from watchkeeper.record.stopping.interrupts import Interrupted
from watchkeeper.record.stopping.limits import Limit
from watchkeeper.record.writing.tables import Table, read_table
from watchkeeper.runfolder.columns.held import Row
from watchkeeper.runfolder.rows import read_rows

__all__ = [
    "Cadence",
    "Interrupted",
    "Limit",
    "Problem",
    "Progress",
    "Row",
    "Run",
    "Step",
    "StorageError",
    "Table",
    "UsageError",
    "WatchkeeperError",
    "current_run",
    "read_rows",
    "read_table",
    "start_run",
]
