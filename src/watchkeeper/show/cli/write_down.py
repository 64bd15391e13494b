"""What came of a command, written into the journal of the work that it belongs to, and from there
into that work's run log.
"""

from __future__ import annotations

import os
from pathlib import Path

from watchkeeper.core import layout
from watchkeeper.core.disk.ownership import other_owner
from watchkeeper.core.errors import ExperimentError, Problem, WatchkeeperError
from watchkeeper.core.events import Event
from watchkeeper.core.journal import Writer
from watchkeeper.core.settings import load
from watchkeeper.experiment import experiment as experiments
from watchkeeper.query.check import watched_by
from watchkeeper.watch import command_log
from watchkeeper.watch.logs import run_logs


def write_event(folder: Path, command: str, kind: type[Event], fields: dict[str, object]) -> str:
    """Write an event into the journal of a folder; why it could not be written, "" if it was."""
    place = folder / layout.JOURNAL
    if not place.is_dir():
        return f"{folder} has no journal"
    stranger = other_owner(place)
    if stranger:
        return f"its journal belongs to {stranger}"
    if not os.access(place, os.W_OK | os.X_OK):
        return "its journal cannot be written"
    try:
        writer = Writer(place, command)
        writer.write(kind, **fields)
        writer.close()
    except (WatchkeeperError, OSError) as error:
        return str(error)
    return ""


def not_recorded(folder: Path, message: str, hint: str) -> Problem:
    """The warning that something is not in a journal or a run log."""
    return Problem(
        where=str(folder), message=message, hint=hint, severity="warning", code="not-recorded"
    )


def bring_up(folder: Path, problems: list[Problem]) -> bool:
    """Bring the run logs of an experiment up, unless its watcher does; whether there are any."""
    if watched_by(folder) is not None:
        return False
    try:
        experiment = experiments.read(folder)
        return run_logs.rebuild(experiment, load(folder).run_logs) > 0
    except ExperimentError:
        return command_log.show_pages(folder, load(folder).run_logs)  # a run by itself
    except (WatchkeeperError, OSError) as error:
        message = f"the run logs could not be brought up: {error}"
        problems.append(not_recorded(folder, message, f"watchkeeper rebuild {folder}"))
        return False
