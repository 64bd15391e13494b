"""Where a recorded run's files lie: under their own names or, where the program has taken those,
beside them.

`run_manifest.json` then is `run_manifest.watchkeeper.json`, and `run_manifest.watchkeeper-2.json`
where the program has that name too. The rule needs no memory, and the `renamed` event tells readers
which it was. Ours is what the folder's journal says that any version wrote there. A symbolic link
or a folder is never ours.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.events import Renamed, RunEnded, RunStarted
from watchkeeper.core.events.choose import Events, of_kind
from watchkeeper.core.journal import read

RUN_MANIFEST = "run_manifest.json"
MARK = ".watchkeeper"
MOST = 100  # names that are tried for one file


def is_free(path: Path) -> bool:
    """Whether nothing has this name, not even a link that leads nowhere."""
    return not os.path.lexists(path)


def is_plain(path: Path) -> bool:
    """Whether it is a regular file itself: no link, no folder, no pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def beside(path: Path, number: int) -> Path:
    """The name of ours where `number` of them are taken: 0 is the file's own.

    `run_manifest.json`, `run_manifest.watchkeeper.json`, `run_manifest.watchkeeper-2.json` and so
    on.
    """
    if not number:
        return path
    mark = MARK
    if number > 1:
        mark = f"{MARK}-{number}"
    return path.with_name(f"{path.stem}{mark}{path.suffix}")


def names(path: Path) -> Iterator[Path]:
    """The names that a file of ours may have, in the order in which they are tried: `MOST` of
    them.
    """
    return (beside(path, number) for number in range(MOST))


def below(root: Path, name: str) -> Path:
    """`root/name`, around a part of it that is no folder: `logs/run.log` is
    `logs.watchkeeper/run.log` where `logs` is a file.

    `name` is relative, with `/` between its parts. Folders need not exist, and none is made.
    """
    place = root
    *parents, last = Path(name).parts
    for part in parents:
        place = _folder_in(place, part)
    return place / last


def _folder_in(root: Path, name: str) -> Path:
    """The folder of this name in another one, or the first name beside it that is free or a
    folder. Where all are taken, the name itself: making it will fail, and say why.
    """
    for number in range(MOST):
        folder = beside(root / name, number)
        if is_free(folder) or folder.is_dir():
            return folder
    return root / name


def renamed(events: Events) -> dict[str, str]:
    """Which files of the folder have another name, by the last event about each:
    `{"run_manifest.json": "run_manifest.watchkeeper.json"}`. Empty: all have their own. `events`
    are the folder's journal.
    """
    renames = of_kind(events, Renamed)
    renames.sort(key=lambda event: (event.time, event.writer, event.seq))
    return {event.name: event.path for event in renames}


def home(events: Events, name: str) -> str:
    """Where the file of this name lies, by the journal: its own name unless an event says
    another.
    """
    return renamed(events).get(name, name)


def run_manifest_of(folder: Path) -> Path | None:
    """The manifest that a version of ours left of a run in this folder; None where there is none,
    or only the program's.

    A manifest is written when its run ends: of a run without an end, whatever lies there is not
    ours.
    """
    events = read(folder / layout.JOURNAL, is_evidence=True).events
    runs = _ended_runs(events)
    if not runs:
        return None
    first = folder / home(events, RUN_MANIFEST)
    for path in dict.fromkeys((first, *_existing(folder / RUN_MANIFEST))):
        if is_manifest(path, runs):
            return path
    return None


def _ended_runs(events: Events) -> set[str]:
    """The ids of the runs whose end their own writer recorded."""
    flat = list(itertools.chain.from_iterable(events.values()))
    ended = {event.writer for event in flat if isinstance(event, RunEnded)}
    runs = set()
    for event in flat:
        if not isinstance(event, RunStarted):
            continue
        if event.writer in ended:
            runs.add(event.run_id)
    return runs


def _existing(path: Path) -> Iterator[Path]:
    """The names of a file of ours that are taken, up to the first free one: ours lies before it."""
    for place in names(path):
        if is_free(place):
            return
        yield place


def is_manifest(path: Path, runs: Iterable[str]) -> bool:
    """Whether this file has the form of a run's manifest of ours, of one of these runs."""
    return manifest_run(path) in set(runs)


def manifest_run(path: Path) -> str | None:
    """The id of the run whose manifest this is; None where it has not the form of ours, or cannot
    be read.

    A program's own `run_manifest.json` may be any JSON, so that all fields of ours are asked for.
    """
    if not is_plain(path):
        return None
    try:
        manifest = msgspec.json.decode(read_whole(path))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    form = {"run_id", "pipeline", "status", "config", "steps", "metric_rows", "recorder_s"}
    if isinstance(manifest, dict) and form <= manifest.keys():
        return str(manifest["run_id"])
    return None
