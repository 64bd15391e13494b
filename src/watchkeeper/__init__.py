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
    from watchkeeper.core.version import __version__
    from watchkeeper.publish.passport.loading import InputContract, Passport, load_passport
    from watchkeeper.query.recording import Recording, load
    from watchkeeper.record import (
        Cadence,
        Interrupted,
        Limit,
        Problem,
        Progress,
        Row,
        Run,
        Step,
        StorageError,
        Table,
        UsageError,
        WatchkeeperError,
        current_run,
        read_rows,
        read_table,
        start_run,
    )

# What is public is imported when it is first used, most of it from the recorder: `import
# watchkeeper` costs nothing.
_HOMES = dict.fromkeys(__all__, "watchkeeper.record") | {
    "__version__": "watchkeeper.core.version",
    "Recording": "watchkeeper.query.recording",
    "load": "watchkeeper.query.recording",
    **dict.fromkeys(
        ("InputContract", "Passport", "load_passport"), "watchkeeper.publish.passport.loading"
    ),
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        value: object = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
