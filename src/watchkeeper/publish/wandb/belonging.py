"""Which runs of W&B belong to a recorded run: those that ran while it ran, on its machine, kept in
a folder that it may have worked in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.code.environment import Environment
from watchkeeper.core.disk.files import read_whole
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import AnyEvent, Number, Opened, RunEnded, RunStarted, Unknown
from watchkeeper.publish.wandb.offline import SUFFIX, Segment, read_segment
from watchkeeper.publish.wandb.records import Row, flat_values
from watchkeeper.runfolder.values import number

_MOST_UP = 4
"""How far above a run's folder the folder may be that it worked in."""
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a recorded run. `ended` is far in the future where it has no end."""

    writer: str
    start: RunStarted
    host: str
    ended: datetime


def executions_of(events: Mapping[str, Sequence[AnyEvent | Unknown]]) -> list[Execution]:
    """The executions of a recorded run, by their start."""
    executions = [one for own in events.values() if (one := _execution(own)) is not None]
    return sorted(executions, key=lambda one: one.start.time)


def _execution(events: Iterable[AnyEvent | Unknown]) -> Execution | None:
    """What one writer recorded; None where it recorded no run."""
    host, start, ended = "", None, _END_OF_TIME
    for event in events:
        if isinstance(event, Opened):
            host = event.host
        elif isinstance(event, RunStarted):
            start = event
        elif isinstance(event, RunEnded):
            ended = event.time
    if start is None:
        return None
    return Execution(writer=start.writer, start=start, host=host, ended=ended)


def belongs(execution: Execution, segment: Segment) -> bool:
    """Whether a run of W&B ran while the execution ran, and nothing says that it ran elsewhere."""
    began = segment.begin.started
    if began is None or began > execution.ended:
        return False
    if (segment.last_time or began) < execution.start.time:
        return False
    # One of the two may state the domain too.
    hosts = {_machine(segment.machine.host or segment.begin.host), _machine(execution.host)}
    if len(hosts - {""}) > 1:
        return False
    jobs = {job.partition("_")[0] for job in (segment.machine.slurm_job, execution.start.job_id)}
    return len(jobs - {""}) < 2


def _machine(host: str) -> str:
    return host.partition(".")[0]


def segments_of(run: Path) -> dict[str, list[Segment]]:
    """The runs of W&B that belong to each execution of a recorded run, by the execution's writer,
    in the order of their start. Of a file that cannot be read nothing is known.
    """
    return Leftovers().segments_of(run)


class Leftovers:
    """What W&B left on this disk: each folder is listed once and each file read once, however many
    recorded runs lie beside them.
    """

    def __init__(self) -> None:
        self._listed: dict[Path, list[tuple[Path, float]]] = {}
        self._read: dict[Path, Kept | None] = {}

    def segments_of(self, run: Path) -> dict[str, list[Segment]]:
        """See the function of this name."""
        executions = executions_of(journal.read(run / layout.JOURNAL).events)
        if not executions:
            return {}
        since_s = executions[0].start.time.timestamp()
        files = self._files(_places(run, executions), since_s)
        kept = [one for one in map(self.kept_in, sorted(files, key=str)) if one is not None]
        return {
            execution.writer: [one.segment for one in kept if belongs(execution, one.segment)]
            for execution in executions
        }

    def kept_in(self, path: Path) -> Kept | None:
        """What a `.wandb` file holds; None where it cannot be read."""
        if path not in self._read:
            self._read[path] = _kept_in(path)
        return self._read[path]

    def _files(self, places: Iterable[Path], since_s: float) -> set[Path]:
        """The `.wandb` files in these places that were written since then."""
        files: set[Path] = set()
        for place in dict.fromkeys(places):
            own = [place] if place.name == "wandb" else []
            for folder in (place / "wandb", *own):
                files |= {path for path, at_s in self._list(folder) if at_s >= since_s}
        return files

    def _list(self, folder: Path) -> list[tuple[Path, float]]:
        """The `.wandb` files in the runs of a folder, and when each was last written, in seconds
        since 1970.
        """
        if folder not in self._listed:
            paths = folder.glob(f"*run-*/*{SUFFIX}")
            files = [path for path in paths if not path.parent.is_symlink()]
            self._listed[folder] = [(path, _written(path)) for path in files]
        return self._listed[folder]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A `.wandb` file: what it says of its run, and the last figure of each metric."""

    segment: Segment
    last: Mapping[str, Number]


def _kept_in(path: Path) -> Kept | None:
    last: dict[str, Number] = {}

    def take(row: Row) -> None:
        for name, value in flat_values(row.values).items():
            figure = number(value)
            if figure is not None:
                last[name] = figure

    try:
        segment = read_segment(path, take)
    except (UsageError, OSError):
        return None
    return Kept(segment=segment, last=last)


def _places(run: Path, executions: Iterable[Execution]) -> Iterator[Path]:
    """The folders that may hold `wandb/`: the run's and those above, where its command began, and
    what WANDB_DIR named.
    """
    above = [run, *run.parents][: _MOST_UP + 1]
    yield from above
    for execution in executions:
        cwd = execution.start.config.get("cwd")
        if isinstance(cwd, str):
            yield Path(cwd)
        named = _wandb_dir(run, execution.start)
        if named:
            yield from (folder / named for folder in above)


def _wandb_dir(run: Path, start: RunStarted) -> str:
    """WANDB_DIR where the run was recorded; "" for none."""
    try:
        data = read_whole(run / layout.OBJECTS / start.environment_sha256)
        environment = msgspec.json.decode(data, type=Environment)
    except (OSError, ValueError, RecursionError):
        return ""
    return environment.variables.get("WANDB_DIR", "")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime + 1
    except OSError:
        return 0.0


def ids_of(segments: Iterable[Segment]) -> list[str]:
    """The ids of the runs that these are segments of, each once."""
    return list(dict.fromkeys(segment.begin.run_id for segment in segments))
