"""Watchkeeper: submits each job once, watches it by evidence, writes down everything, never loses a
row.
"""

__all__ = [
    "Cadence",
    "InputContract",
    "Interrupted",
    "Limit",
    "Passport",
    "Problem",
    "Progress",
    "Recording",
    "Row",
    "Run",
    "Step",
    "StorageError",
    "Table",
    "UsageError",
    "WatchkeeperError",
    "__version__",
    "current_run",
    "load",
    "load_passport",
    "read_rows",
    "read_table",
    "start_run",
]

# as type checkers read it; importing typing would be most of the cost of this import
TYPE_CHECKING = False
if TYPE_CHECKING:
    from watchkeeper.core.errors import Problem, StorageError, UsageError, WatchkeeperError
    from watchkeeper.core.version import __version__
    from watchkeeper.publish.passport.loading import InputContract, Passport, load_passport
    from watchkeeper.query.recording import Recording, load
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

# What is public is imported when it is first used: `import watchkeeper` costs nothing, and the
# sidecar does not load the recorder.
_NAMES = {
    "watchkeeper.core.errors": ("Problem", "StorageError", "UsageError", "WatchkeeperError"),
    "watchkeeper.core.version": ("__version__",),
    "watchkeeper.publish.passport.loading": ("InputContract", "Passport", "load_passport"),
    "watchkeeper.query.recording": ("Recording", "load"),
    "watchkeeper.record.display.cadence": ("Cadence",),
    "watchkeeper.record.display.progress": ("Progress",),
    "watchkeeper.record.run": ("Run", "current_run"),
    "watchkeeper.record.stages.step": ("Step",),
    "watchkeeper.record.start": ("start_run",),
    "watchkeeper.record.stopping.interrupts": ("Interrupted",),
    "watchkeeper.record.stopping.limits": ("Limit",),
    "watchkeeper.record.writing.tables": ("Table", "read_table"),
    "watchkeeper.runfolder.columns.held": ("Row",),
    "watchkeeper.runfolder.rows": ("read_rows",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
