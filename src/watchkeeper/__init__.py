"""Watchkeeper: submits each job once, watches it by evidence, writes down everything, never loses a row."""

__version__ = "0.1.0"

__all__ = [
    "Interrupted",
    "Limit",
    "Row",
    "Run",
    "Step",
    "Table",
    "__version__",
    "current_run",
    "read_rows",
    "read_table",
    "start_run",
]

TYPE_CHECKING = False  # as type checkers read it; importing typing would be most of the cost of this import
if TYPE_CHECKING:
    from watchkeeper.record import Interrupted, Limit, Row, Run, Step, Table, current_run, read_rows, read_table, start_run

# Everything public comes from the recorder, and is imported when it is first used: `import watchkeeper` costs nothing.
_RECORD = frozenset(__all__) - {"__version__"}


def __getattr__(name: str) -> object:
    if name in _RECORD:
        from importlib import import_module

        value: object = getattr(import_module("watchkeeper.record"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
