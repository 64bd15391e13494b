"""An offline run of W&B as a recorded run: its rows, configuration, figures and end in our formats,
in its own folder. The source is read and never changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from watchkeeper.core import journal, layout
from watchkeeper.core.disk import files
from watchkeeper.core.errors import UsageError
from watchkeeper.core.events import (
    Imported,
    Noted,
    Number,
    RunEnded,
    RunStarted,
    SealedRows,
)
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.ids import random_text
from watchkeeper.core.journal import Writer
from watchkeeper.core.layout import TRASH
from watchkeeper.core.text import redaction
from watchkeeper.core.words import tag_fault
from watchkeeper.publish.wandb.offline import Segment, read_segment, started_of
from watchkeeper.publish.wandb.records import Row
from watchkeeper.runfolder import rows as row_format
from watchkeeper.runfolder.values import metric, spell

TOOL: Literal["wandb"] = "wandb"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_ID = 60
_MOST_NOTE = 1_000
_LEFT = object()
"""In place of a value that stays in the source."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ImportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of W&B and the recorded run that was made of it. `is_new` is False where it had been
    imported before and nothing has changed since. `media` counts the images, tables and other
    objects that stay in the source only, by the name they were logged under. `is_unfinished`: the
    source has no end.
    """

    folder: Path
    run_id: str
    name: str
    rows: int
    is_new: bool
    is_unfinished: bool
    media: dict[str, int] = {}


class ChangedSourceError(UsageError):
    """The run was imported before, and its source has other bytes now."""


def import_run(segments: Sequence[Segment], root: Path, *, renew: bool = False) -> ImportedRun:
    """Make a recorded run of these segments of one run, in a new folder below `root`. `renew` puts
    an import of an earlier state of the source away, whole, into `TRASH` beside it.

    Raises:
        ChangedSourceError: it was imported before, and its source has changed.
        UsageError: its folder holds something else.
        StorageError, OSError: it cannot be read or written.
    """
    sources = [_source_of(segment.path) for segment in segments]
    folder = _place_of(root, segments, sources)
    before: Path | None = None
    if folder.exists():
        try:
            return _known(folder, segments, sources)
        except ChangedSourceError:
            if not renew:
                raise
            _refuse_to_renew(folder, segments)
            before = folder
    root.mkdir(parents=True, exist_ok=True)
    building = root / f"{files.TEMPORARY_PREFIX}{folder.name}-{random_text(6)}"
    try:
        media = _build(building, folder, segments, sources)
        if before is not None:
            _put_away(before)
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    files.fsync_folder(root)
    return _answer(folder, segments, is_new=True, media=media)


def _refuse_to_renew(folder: Path, segments: Sequence[Segment]) -> None:
    """Refuse a source that holds less than was imported from it, and an import that people, or a
    sync, wrote into: the earlier one is kept.

    Raises:
        UsageError: one of them is so.
    """
    events = journal.read(folder / layout.JOURNAL).events
    rows_before = sum(event.rows for event in of_kind(events, Imported))
    rows_now = sum(segment.rows for segment in segments)
    if rows_now < rows_before:
        message = f"{segments[0].path.parent} holds {rows_now} rows; {rows_before} were imported"
        hint = f"the import stays as it is; to import what is left: watchkeeper rm {folder}"
        raise UsageError(message, hint=hint)
    imports = {event.writer for event in of_kind(events, Imported)}
    if set(events) - imports:
        message = f"{folder} holds notes, tags or pages that were added after its import"
        hint = f"move it away with `watchkeeper rm {folder}`, then import again"
        raise UsageError(message, hint=hint)


def _put_away(folder: Path) -> None:
    """Move an earlier import, whole, into the trash beside it."""
    trash = folder.parent / TRASH
    files.make_folder(trash)
    files.keep_out_of_git(trash)
    folder.rename(trash / f"{folder.name}-{random_text(6)}")


def _place_of(root: Path, segments: Sequence[Segment], sources: Sequence[_Source]) -> Path:
    """The folder of the run: that of its earlier import, else a free one. Another run that began in
    the same second under the same id keeps its own.
    """
    first = root / folder_name(segments)
    places = (first.with_name(f"{first.name}-{number}") for number in count(2))
    folders = chain([first], places)
    return next(one for one in folders if not _is_of_another(one, segments, sources))


def _is_of_another(folder: Path, segments: Sequence[Segment], sources: Sequence[_Source]) -> bool:
    """Whether a folder has the import of another run: one that began at another time, or whose
    source still lies elsewhere, with other bytes.
    """
    events = journal.read(folder / layout.JOURNAL).events
    before = of_kind(events, Imported)
    if not before:
        return False
    started = min((event.time for event in of_kind(events, RunStarted)), default=None)
    if started != (started_of(segments) or _EPOCH):
        return True
    known = {event.source for event in before}
    known |= {event.sha256 for event in before}
    if any(source.path in known or source.sha256 in known for source in sources):
        return False
    return all(Path(event.source).exists() for event in before)


def folder_name(segments: Sequence[Segment]) -> str:
    """The name of the folder: when the run began, and W&B's id; the same at every import."""
    started = started_of(segments) or _EPOCH
    run_id = segments[0].begin.run_id or segments[0].path.stem
    return f"{started.astimezone(UTC):%Y%m%d-%H%M%S}-{_UNSAFE.sub('_', run_id)[:_MOST_ID]}"


def _answer(
    folder: Path, segments: Sequence[Segment], *, is_new: bool, media: dict[str, int]
) -> ImportedRun:
    begin = segments[-1].begin
    return ImportedRun(
        folder=folder,
        run_id=begin.run_id,
        name=begin.name,
        rows=sum(segment.rows for segment in segments),
        is_new=is_new,
        is_unfinished=segments[-1].end is None,
        media=media,
    )


class _Source(msgspec.Struct, frozen=True):
    """A `.wandb` file as it is now."""

    path: str
    size_bytes: int
    sha256: str


def _source_of(path: Path) -> _Source:
    with files.open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return _Source(str(path.resolve()), os.fstat(file.fileno()).st_size, digest)


def _known(folder: Path, segments: Sequence[Segment], sources: Sequence[_Source]) -> ImportedRun:
    """What an earlier import made of the same files."""
    before = of_kind(journal.read(folder / layout.JOURNAL).events, Imported)
    if not before:
        hint = "move it away, or choose another folder with --into"
        raise UsageError(f"{folder} exists and was not imported", hint=hint)
    now = {source.sha256 for source in sources}
    if now == {event.sha256 for event in before}:
        media = {name: count for event in before for name, count in event.media.items()}
        return _answer(folder, segments, is_new=False, media=media)
    rows = sum(event.rows for event in before)
    count = sum(segment.rows for segment in segments)
    source = segments[0].path.parent
    message = f"{source} has changed since its import: {rows} rows then, {count} now"
    hint = "import again with --renew: the old import is moved into the trash beside it"
    raise ChangedSourceError(message, hint=hint)


def _build(
    building: Path, folder: Path, segments: Sequence[Segment], sources: Sequence[_Source]
) -> dict[str, int]:
    """Write everything into a temporary folder; returns the media that stay in the source."""
    media: dict[str, int] = {}
    for number, (segment, source) in enumerate(zip(segments, sources, strict=True), 1):
        copy = _SegmentCopy(building, folder, segment, source)
        copy.write(execution=number)
        for name, objects in copy.media.items():
            media[name] = media.get(name, 0) + objects
    return media


class _SegmentCopy:
    """One segment, written as one execution of the run: its journal, and its file of rows."""

    def __init__(self, building: Path, folder: Path, segment: Segment, source: _Source) -> None:
        self.media: dict[str, int] = {}
        self._building = building
        self._folder = folder
        self._segment = segment
        self._source = source
        self._now = segment.begin.started or _EPOCH
        self._last_step: int | None = None
        self._seen: set[str] = set()
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._rows = 0

    def write(self, execution: int) -> None:
        """Write the execution, from its start to its end, at the times that the source states."""
        writer = Writer(
            self._building / layout.JOURNAL, "import", clock=lambda: self._now, zone="UTC"
        )
        self._begin(writer, execution)
        folder = self._building / layout.METRICS
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{writer.id}{row_format.SUFFIX}"
        with path.open("xb") as file:
            read_segment(self._segment.path, lambda row: self._put(file, row))
            file.flush()
            os.fsync(file.fileno())
        self._end(writer, path)
        writer.close()

    def _begin(self, writer: Writer, execution: int) -> None:
        begin = self._segment.begin
        writer.write(
            RunStarted,
            run_id=self._folder.name,
            pipeline=begin.project or TOOL,
            folder=str(self._folder),
            config=without_secrets(self._segment.config),
            git_sha=begin.commit,
            execution=execution,
            name=begin.name,
            tags=tuple(tag for tag in begin.tags if not tag_fault(tag)),
        )
        for line in begin.notes.splitlines():
            if line.strip():
                writer.write(Noted, text=line.strip()[:_MOST_NOTE])

    def _put(self, file: BinaryIO, row: Row) -> None:
        """Write one row, without the objects that are no figures."""
        values = {name: self._figure(name, value) for name, value in row.values.items()}
        kept = {name: value for name, value in values.items() if value is not _LEFT}
        if row.time is not None:
            self._now = max(self._now, row.time)
        line = row_format.encode_row(row.time or self._now, row.step, kept)
        file.write(line)
        self._digest.update(line)
        self._bytes += len(line)
        self._rows += 1
        self._seen.update(kept)

    def _figure(self, name: str, value: Any) -> Any:
        """The value, or that it is media, which stay where they are."""
        if isinstance(value, dict) and "_type" in value:
            self.media[name] = self.media.get(name, 0) + 1
            return _LEFT
        return value

    def _end(self, writer: Writer, path: Path) -> None:
        segment = self._segment
        begin = segment.begin
        writer.write(
            Imported,
            tool=TOOL,
            id=begin.run_id,
            source=self._source.path,
            bytes=self._source.size_bytes,
            sha256=self._source.sha256,
            rows=self._rows,
            version=segment.version,
            entity=begin.entity,
            project=begin.project,
            group=begin.group,
            job_type=begin.job_type,
            host=begin.host,
            media=self.media,
            damaged=segment.damaged,
            torn=segment.is_torn,
        )
        if segment.end is None:
            return
        duration_s = (self._now - (begin.started or self._now)).total_seconds()
        if segment.end.runtime_s is not None:
            duration_s = max(duration_s, float(segment.end.runtime_s))
        self._now = (begin.started or self._now) + timedelta(seconds=duration_s)
        writer.write(
            RunEnded,
            status="failed" if segment.end.code else "finished",
            error=f"exit code {segment.end.code}" if segment.end.code else "",
            duration_s=duration_s,
            metric_rows=self._rows,
            totals=self._totals(),
            files=(self._sealed(path),),
        )

    def _sealed(self, path: Path) -> SealedRows:
        return SealedRows(
            path=str(path.relative_to(self._building)),
            rows=self._rows,
            bytes=self._bytes,
            sha256=self._digest.hexdigest(),
        )

    def _totals(self) -> dict[str, Number]:
        """The figures of the summary that no row has."""
        totals: dict[str, Number] = {}
        for name, value in self._segment.summary.items():
            if name in self._seen or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            totals[name] = metric(value)  # type: ignore[assignment]  # a number stays one
        return totals


def without_secrets(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with every secret struck out, at any depth."""
    return {name: _struck_out(str(name), value) for name, value in config.items()}


def _struck_out(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return without_secrets(value)
    if isinstance(value, list):
        return [_struck_out(name, part) for part in value]
    if redaction.is_secret(name, value):
        return redaction.REDACTED
    if isinstance(value, str):
        return redaction.redact(value)
    if isinstance(value, float):
        return spell(value)
    return value
