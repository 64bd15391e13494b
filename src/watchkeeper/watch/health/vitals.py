"""What a running job leaves, looked at cheaply: one `stat` per file and look, and only what has
grown is read.

A recorder's run folder tells more than output does, and goes first; the output tells errors all the
same. The watch and the recorder meet in these files: nothing is asked of the job, and no GPU or
process is looked at from here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from watchkeeper.core import layout
from watchkeeper.core.disk.tails import Follower, Grown, end_of_file
from watchkeeper.core.events import (
    Advanced,
    AnyEvent,
    Chained,
    Checkpoint,
    Evidence,
    Opened,
    Renamed,
    RunStarted,
    Sealed,
    Stalled,
    Unknown,
    Vanished,
)
from watchkeeper.core.events.choose import all_of
from watchkeeper.core.journal import Journal
from watchkeeper.core.text import lazy
from watchkeeper.core.text.figures import gib
from watchkeeper.runfolder.executions import is_of_training
from watchkeeper.runfolder.link import read_link
from watchkeeper.runfolder.losses import TRAIN_LOSS, loss_of
from watchkeeper.runfolder.planned_steps import PlannedSteps
from watchkeeper.runfolder.printed import Position, advances, bar_rate, position
from watchkeeper.runfolder.rows import OUR_FIELDS, decode_fields
from watchkeeper.runfolder.telemetry import Sample, is_disk_full, read_last_sample
from watchkeeper.schedulers.remote_files import Seen
from watchkeeper.watch.health.judge import Fault, Reading, Stall
from watchkeeper.watch.verdict.causes import classify, error_lines

OUTPUT_BYTES = 262_144  # of what one stream has grown by, the end that is read at one look
ROWS_BYTES = 16_384
STATUS_BYTES = 1_048_576
STATUS = Path("status/training_status.json")
WORK = (layout.TABLES, layout.EXAMPLES)
_MOST_FAULTS = 100  # of one job, reported once each
_CHECKPOINT = lazy.pattern(
    r"checkpoint[^\n\r]*\bsaved\b|\bsav(?:ed|ing)\b[^\n\r]*checkpoint", re.IGNORECASE
)
_OF_THE_SIDECAR = (Stalled, Advanced, Vanished, Opened, Chained, Sealed)
_NOTHING_FAR: Mapping[str, Seen | None] = {}


class _Status(msgspec.Struct, frozen=True):
    """What is read here of the status file; any of it may be of another type."""

    step: Any = None
    total: Any = None
    loss: Any = None
    steps_per_s: Any = None
    eta_s: Any = None


class Recorded:
    """The recorder's run folder of one job, followed: what each look has seen so far.

    `position`, `rate` (steps per second) and `eta_s` are the run's; `modified` is when any of its
    files last grew, in seconds since 1970; `size` and `work` are bytes and events, as in `Reading`.
    `advances` and `checkpoints` are those of the last look.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.position = Position()
        self.rate: float | None = None
        self.eta_s: float | None = None
        self.stall: Stall | None = None
        self.modified: float | None = None
        self.size = 0
        self.work = 0
        self.advances = 0
        self.checkpoints = 0
        self._journal = Journal(folder / layout.JOURNAL, is_evidence=True)
        self._events = 0
        self._planned = PlannedSteps()
        self._rows: dict[str, Follower] = {}
        self._started: dict[str, RunStarted] = {}
        self._leader = ""
        self._status: tuple[int, int] = (0, 0)
        self._status_path = folder / STATUS

    def look(self) -> None:
        """Look once. A folder that is gone holds nothing new."""
        self.advances = self.checkpoints = 0
        self._take_events()
        rows = 0
        for entry in _entries(self.folder / layout.METRICS):
            grown = self._rows.setdefault(entry.name, Follower(entry.path, ROWS_BYTES)).look()
            self._take_rows(grown, entry.name.partition(".")[0])
            rows += grown.size
        others = self._take_work()
        self.size = self._events + rows + others
        self.work = self._events + others
        self._take_status()

    def _take_work(self) -> int:
        """Look at the files that hold the run's tables and examples; their bytes together."""
        size = 0
        for place in WORK:
            for entry in _entries(self.folder / place):
                status = _status(entry.path)
                if status is None:
                    continue
                size += status.st_size
                self._is_newer(status.st_mtime)
        return size

    def _take_events(self) -> None:
        """Take what the journal has that is new. What the sidecar or the journal itself writes is
        no work of the job, and shows no life of it.
        """
        for event in all_of(self._journal.refresh()):
            self._take_event(event)
            if not isinstance(event, _OF_THE_SIDECAR):
                self._events += 1
                self._is_newer(event.time.timestamp())

    def _take_event(self, event: AnyEvent | Unknown) -> None:
        """Take one event, if it says something of where the run is, or how."""
        self._planned.take(event)
        if isinstance(event, Stalled):
            words = f"no advance since {event.since:%Y-%m-%d %H:%M:%S} UTC: {event.cause}"
            report = ""
            if event.report:
                report = str(self.folder / event.report)
            self.stall = Stall(words=words, report=report)
        elif isinstance(event, Advanced):
            self.stall = None
        elif isinstance(event, Checkpoint):
            self.checkpoints += 1
        elif isinstance(event, RunStarted):
            self._started[event.writer] = event
        elif isinstance(event, Renamed) and event.name == str(STATUS):
            self._status_path = self.folder / event.path

    def _leads(self, writer: str, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these rows say where the run is: those of its newest execution that trains. An
        earlier execution's, an evaluation's and a worker's rows do not, once there is such a one.

        The position starts anew with each execution that takes the lead.
        """
        if not self._leader:
            if writer in self._started and _train(rows):
                self._leader = writer
            return True
        if writer == self._leader:
            return True
        mine, leader = self._started.get(writer), self._started[self._leader]
        if mine is None or mine.pipeline != leader.pipeline:
            return False
        if mine.time < leader.time or not _train(rows):
            return False
        self._leader, self.position = writer, Position(total=self._planned.total)
        return True

    def _take_rows(self, grown: Grown, writer: str) -> None:
        """Take the rows that a writer's file has grown by. Each new step is an advance, whoever
        writes; the position is that of the execution that leads.
        """
        if not grown.added:
            return
        self._is_newer(grown.modified)
        rows = []
        for line in grown.text.split("\n"):
            row = _row(line)
            if isinstance(row.get("step"), int | float):
                rows.append(row)
        leads = self._leads(writer, rows)
        before = self.position.step
        for newest in rows:
            step = newest["step"]
            self.advances += step != before
            before = step
            if not leads:
                continue
            # A row without a loss, as of a validation, leaves the last one as it is.
            last_loss = self.position.loss
            loss = loss_of(newest, TRAIN_LOSS)
            if loss is not None:
                last_loss = str(loss)
            self.position = Position(step=step, total=self._planned.total, loss=last_loss)

    def _take_status(self) -> None:
        """Take the status file, if it was written anew: `{"step": 400, "total": 12000, "loss":
        0.5}`.

        Its step counts where it is ahead of the rows, which may be written less often.
        """
        path = self._status_path
        status = _status(path)
        if status is None or (status.st_mtime_ns, status.st_size) == self._status:
            return
        if self._leader and status.st_mtime < self._started[self._leader].time.timestamp():
            return  # an earlier execution's last word
        self._status = (status.st_mtime_ns, status.st_size)
        try:
            written = msgspec.json.decode(end_of_file(path, STATUS_BYTES), type=_Status)
        except (msgspec.DecodeError, RecursionError):
            return
        self.rate, self.eta_s = _number(written.steps_per_s), _number(written.eta_s)
        step, total = _number(written.step), _number(written.total)
        here = self.position
        if step is not None and (here.step is None or step >= here.step):
            here = msgspec.structs.replace(here, step=int(step))
        loss = here.loss
        if written.loss is not None:
            loss = str(written.loss)
        if total is not None:
            self._planned.total = int(total)
        self.position = msgspec.structs.replace(here, total=self._planned.total, loss=loss)

    def _is_newer(self, modified: float | None) -> None:
        """Note that a file grew at this time, in seconds since 1970; None: nobody knows when."""
        if modified is not None:
            self.modified = max(modified, self.modified or 0.0)

    def support(self) -> list[Evidence]:
        """Memory and GPUs as its sidecar last saw them: support for a verdict, never its ground."""
        last = read_last_sample(self.folder)
        if last is None:
            return []
        path, sample = last
        used = _used_words(sample)
        if not used:
            return []
        return [Evidence(source=str(path), what=", ".join(used))]

    def used(self) -> list[str]:
        """The same figures, one text each: `1.50 GiB of memory`, `GPU 0 98% busy, 11.55 GiB of
        80.00 GiB`.
        """
        last = read_last_sample(self.folder)
        if last is None:
            return []
        return _used_words(last[1])


class _Printed(msgspec.Struct):
    """What the streams had that is new at one look."""

    advances: int = 0
    checkpoints: int = 0
    faults: list[Fault] = []


class Vitals:
    """One job's files, followed. `attempt` is the attempt's folder, in which the recorder leaves
    its word.
    """

    def __init__(self, attempt: Path) -> None:
        self._attempt = attempt
        self._recorded: Recorded | None = None
        self._followers: dict[str, Follower] = {}
        self._grown: dict[str, Grown] = {}
        self._positions: dict[str, Position] = {}
        self._rate: float | None = None
        self._reported: set[tuple[str, str]] = set()
        self._free: tuple[str, int, int] | None = None

    def read(
        self,
        at: float,
        now: float,
        *,
        output: str,
        error: str,
        ran_s: float,
        ends_in_s: float | None,
        home: Path,
        far: Mapping[str, Seen | None] = _NOTHING_FAR,
    ) -> Reading:
        """One look. `at` is by the watcher's monotonic clock, `now` by the files' (seconds since
        1970). `output`, `error`: the streams' files, "" where nobody said; `home`: a folder on the
        job's disk; `far`: what was seen of those that are not here.
        """
        self._find_recorder()
        streams = [path for path in dict.fromkeys((output, error)) if path]
        printed = _Printed()
        for path in streams:
            self._read_stream(path, far, printed, has_faults=path == (error or output))
        recorded = self._recorded
        if recorded is None:
            folder = home
            if streams:
                folder = Path(streams[0]).parent
            return Reading(
                at=at,
                ran_s=ran_s,
                quiet_s=self._quiet_s(now),
                size=self._printed_bytes(),
                position=self._position(streams),
                advances=printed.advances,
                rate=self._rate,
                checkpoints=printed.checkpoints,
                faults=tuple(printed.faults),
                ends_in_s=ends_in_s,
                full=self._full(folder),
            )
        recorded.look()
        advanced, checkpoints = printed.advances, printed.checkpoints
        if recorded.position.step is not None:
            advanced, checkpoints = recorded.advances, recorded.checkpoints
        return Reading(
            at=at,
            ran_s=ran_s,
            quiet_s=self._quiet_s(now),
            size=self._printed_bytes() + recorded.size,
            work=recorded.work,
            position=self._position(streams),
            advances=advanced,
            rate=recorded.rate or self._rate,
            eta_s=recorded.eta_s,
            checkpoints=checkpoints,
            faults=tuple(printed.faults),
            stall=recorded.stall,
            ends_in_s=ends_in_s,
            full=self._full(recorded.folder),
        )

    def _read_stream(
        self, path: str, far: Mapping[str, Seen | None], printed: _Printed, *, has_faults: bool
    ) -> None:
        """Read what one stream has grown by into `printed`; `has_faults`: errors are looked for in
        it.

        A line that is not finished, as a bar that is drawn over, counts for the position, and
        errors and checkpoints wait for its end.
        """
        follower = self._followers.setdefault(path, Follower(path, OUTPUT_BYTES))
        grown = self._grown[path] = _grown(follower, path, far)
        if not grown.added:
            return
        text = grown.text + follower.unfinished()
        here = position(text)
        if here is not None:
            known = self._position_of(path)
            printed.advances += advances(text, known)
            if here.step is None:
                here = msgspec.structs.replace(known, loss=here.loss)
            self._positions[path] = here
        self._rate = bar_rate(text) or self._rate
        printed.checkpoints += bool(_CHECKPOINT.search(grown.text))
        if has_faults:
            printed.faults += self._faults(grown.text)

    def _printed_bytes(self) -> int:
        """How many bytes the streams hold, as far as they were looked at."""
        return sum(grown.size for grown in self._grown.values())

    def offset(self, path: str) -> int:
        """How far a stream's file was read, in bytes; 0: not at all."""
        if path in self._followers:
            return self._followers[path].offset
        return 0

    def evidence(self, loss_before: object = None) -> tuple[Evidence, ...]:
        """What the last reading rests on, each with its source and the file's own time."""
        parts: list[Evidence] = []
        if self._recorded is not None:
            words = _position_words(self._recorded.position, loss_before)
            if words or self._recorded.modified is not None:
                parts.append(
                    Evidence(
                        source=str(self._recorded.folder),
                        what=words or "a recorded run, no step yet",
                    )
                )
            parts += self._recorded.support()
        for path, grown in self._grown.items():
            if grown.modified is None:
                continue
            words = _position_words(self._position_of(path), loss_before)
            what = "empty"
            if words:
                what = words
            elif grown.size:
                what = "printed"
            parts.append(
                Evidence(
                    source=path, what=what, size_bytes=grown.size, modified=_time(grown.modified)
                )
            )
        if self._free is not None:
            folder, free, total = self._free
            parts.append(Evidence(source=folder, what=f"disk: {gib(free)} free of {gib(total)}"))
        return tuple(parts)

    def used(self) -> tuple[str, ...]:
        """GPUs, memory and the disk as they were last seen, for people."""
        used: list[str] = []
        if self._recorded is not None:
            used += self._recorded.used()
        if self._free is not None:
            _, free, total = self._free
            used.append(f"disk {gib(free)} free of {gib(total)}")
        return tuple(used)

    def _find_recorder(self) -> None:
        """Look whether a recorder has left its word by now: it starts some time after the job."""
        if self._recorded is not None:
            return
        run_folder = read_link(self._attempt)
        if run_folder is not None:
            self._recorded = Recorded(run_folder)

    def _position_of(self, path: str) -> Position:
        """Where a stream's file last said that the job is; nowhere before it said something."""
        return self._positions.get(path, Position())

    def _position(self, streams: list[str]) -> Position:
        """Where the job is: by its recorder, else by the last of its streams that tells a step.

        The loss of the newest position with a step goes first, then that of any stream.
        """
        if self._recorded is not None and self._recorded.position.step is not None:
            return self._recorded.position
        known = [self._position_of(path) for path in streams]
        steps = [place for place in known if place.step is not None]
        newest = Position()
        if steps:
            newest = steps[-1]
        loss = None
        for place in (*reversed(steps), *known):
            if place.loss is not None:
                loss = place.loss
                break
        return msgspec.structs.replace(newest, loss=loss)

    def _quiet_s(self, now: float) -> float | None:
        """The seconds since any of the job's files grew, by the files' clock; None: there is none,
        or each is empty.
        """
        times = []
        for grown in self._grown.values():
            if grown.modified is not None and grown.size:
                times.append(grown.modified)
        if self._recorded is not None and self._recorded.modified is not None:
            times.append(self._recorded.modified)
        if not times:
            return None
        return max(0.0, now - max(times))

    def _faults(self, text: str) -> list[Fault]:
        """The errors in what is new of the output that were not reported yet, with whether steps
        follow them. At most `_MOST_FAULTS` of one job are reported.
        """
        faults = []
        for end, line in error_lines(text):
            kind = classify(line)
            if kind is None or len(self._reported) >= _MOST_FAULTS:
                continue
            # Numbers change from one repetition to the next.
            name = (kind[0], re.sub(r"\d+", "0", line))
            if name in self._reported:
                continue
            self._reported.add(name)
            faults.append(Fault(kind=kind[0], line=line, overcome=advances(text[end:]) > 0))
        return faults

    def _full(self, folder: Path) -> str:
        """What is to be said of a disk that is full; "": it is not, or cannot be looked at.
        `folder` is any folder on it. What is free is kept for `used`.
        """
        try:
            disk = os.statvfs(folder)
        except OSError:
            return ""
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        self._free = (str(folder), free, total)
        # A filesystem with f_files = 0 does not count files.
        free_files = None
        if disk.f_files:
            free_files = disk.f_favail
        if is_disk_full(free, total, free_files):
            return f"the disk of {folder} is full: {gib(free)} free of {gib(total)}"
        return ""


def _grown(follower: Follower, path: str, far: Mapping[str, Seen | None]) -> Grown:
    """What a file has grown by since the look before; of one that is not here, what was seen of it
    there. `far` maps such files to what was seen (None: the file is not there).
    """
    if path not in far:
        return follower.look()
    seen = far[path]
    if seen is None:
        return Grown()
    return follower.take(seen.inode, seen.size, seen.modified, seen.read)


def _used_words(sample: Sample) -> list[str]:
    """Memory, GPUs and kills for memory, one text each, as a sidecar's sample has them; [] where it
    has none of these. A kill may have been of another job's process on the same node.
    """
    texts: list[str] = []
    if sample.rss_bytes is not None:
        texts.append(f"{gib(sample.rss_bytes)} of memory")
    for gpu in sample.gpus:
        memory = f"{gib(gpu.used_bytes)} of {gib(gpu.total_bytes)}"
        texts.append(f"GPU {gpu.index} {gpu.busy:.0%} busy, {memory}")
    if sample.oom_kills:
        texts.append(f"{sample.oom_kills} processes killed for memory")
    return texts


def _position_words(position: Position, loss_before: object) -> str:
    """`epoch 2, step 30/40, loss 1.5 (1.7 before)`; "" where nothing is known."""
    parts: list[str] = []
    if position.step is not None:
        if position.epoch is not None:
            parts.append(f"epoch {position.epoch}")
        total = ""
        if position.total is not None:
            total = f"/{position.total:,}"
        parts.append(f"step {position.step:,}{total}")
    if position.loss is not None:
        before = ""
        if isinstance(loss_before, int | float):
            before = f" ({loss_before:g} before)"
        parts.append(f"loss {position.loss}{before}")
    return ", ".join(parts)


def _train(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a row among them is a training's: it has a metric such as `loss` or `lr`."""
    for row in rows:
        for name in row:
            if name not in OUR_FIELDS and is_of_training(name):
                return True
    return False


def _row(line: str) -> Mapping[str, Any]:
    """The fields of a line; none of one that is no row, as a torn one."""
    return decode_fields(line.encode()) or {}


def _number(value: object) -> float | None:
    """A value as a number. None: it is none; a bool is none either."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds; nothing where it is not there."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _status(path: Path | str) -> os.stat_result | None:
    """What the filesystem says of a file; None: it is gone, or cannot be looked at."""
    try:
        return os.stat(path)  # noqa: PTH116 - many of them
    except OSError:
        return None


def _time(seconds: float) -> datetime:
    """A file's time, in seconds since 1970, as an aware one in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
