"""Result tables: `<name>_partial.csv` while the work runs, `<name>.csv` when it is over.

A writer's rows lie in a file of its own, below `.watchkeeper/tables/`; the partial's name and at
last the final name are given to that very file. So whoever takes a table over, after a death or
beside a writer that is still alive, writes to a new file with the earlier rows in it, and no byte
of another process's is ever changed or lost. Where the program has a file of its own under one of
the two names, both are others (`runfolder.places`), and its file stays as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from watchkeeper.core import layout
from watchkeeper.core.disk import files
from watchkeeper.core.disk.files import AppendFile, open_regular
from watchkeeper.core.errors import Problem, StorageError
from watchkeeper.core.events import TableOpened, TableSealed
from watchkeeper.core.events.choose import of_kind
from watchkeeper.core.ids import name_fault, writer_id
from watchkeeper.core.journal import Clock, utc_now
from watchkeeper.record.writing.cells import FORMATS, Cell, Format, comparable, plain
from watchkeeper.record.writing.homes import Homes
from watchkeeper.runfolder import places
from watchkeeper.runfolder.values import TEXT_LIMIT, fields_of, text

PARTIAL = "_partial"
WAITING_LIMIT = 10_000  # rows kept in memory while the disk takes none
SYNC_S = 30.0  # between two fsyncs

Seal = Callable[..., None]
Opened = Callable[..., None]
Warn = Callable[[str, str], None]
Identity = tuple[int, int, int, int]


class Table:
    """One result table of a run, open for rows. Thread-safe. A row that a signal handler appends in
    the middle of another append is written when that one continues.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        key: str | Sequence[str] | None = None,
        form: Format = FORMATS["csv"],
        clock: Clock = utc_now,
        seal: Seal = lambda **_: None,
        warn: Warn = lambda about, message: None,
        cut_short: Callable[[], bool] = lambda: False,
        records: bool = True,
        agree: Callable[[int], int] = lambda rows: rows,
        homes: Homes | None = None,
        opened: Opened = lambda **_: None,
        refuses: Callable[[str], bool] = lambda what: False,
        left_out: Callable[[str], None] = lambda what: None,
    ) -> None:
        """`seal` gets the fields of a `TableSealed`, `opened` those of a `TableOpened`, `warn` what
        to say once; `homes` knows where the files of the run's folder lie; `cut_short` says at the
        end whether the work was interrupted. Without `records` another process keeps the rows (rank
        0), and this one only knows what was measured; `agree` gets how many rows were found, and
        says how many of them count there. Nothing is raised: what cannot be written waits in memory
        for the next row. `refuses` says whether the run keeps nothing of this kind here; `left_out`
        counts what a table that is sealed does not take.
        """
        if not name_fault(name):
            stem = name
        else:
            stem = quote(text(name), safe="").replace(".", "%2E")[:150] or "table"
        self.name = name
        self.path = self._first = folder / f"{stem}{form.suffix}"
        self.partial = folder / f"{stem}{PARTIAL}{form.suffix}"
        self.lost_rows = 0
        self.complete: bool | None = None
        """None while it is open; then whether the work was done."""
        self._own = folder / layout.TABLES / f"{stem}.{writer_id(clock())}"
        self._format = form
        self._ordered = bool(form.header(["x"]))  # a record's cells are told by their order
        self._key = (key,) if isinstance(key, str) else tuple(key or ())
        self._seal, self._warn, self._cut_short, self._records = seal, warn, cut_short, records
        self._homes, self._opened = homes or Homes(folder), opened
        self._refuses, self._left_out = refuses, left_out
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._writing = False
        self._columns: list[str] = []
        self._measured: set[tuple[Cell, ...]] = set()
        self._contained: set[Identity] = set()
        self._waiting: list[dict[str, Cell]] = []
        self._file: AppendFile | None = None
        self._versions = 0
        self._synced = time.monotonic()
        self._before: list[bytes] = []
        if stem != name:
            warn(f"table {stem}", f"{name!r} cannot name a file; the table is {self.path.name}")
        with self._harmless("earlier rows could not be read; their files are kept"):
            self._take_over(self._choose_names())
            count = agree(len(self._before))
            if not records:
                del self._before[count:]
                self._measured = {
                    self._key_of(self._format.row(self._columns, record)) for record in self._before
                }
        self._rows = self.rows_before = len(self._before)
        if self._before and records:
            with self._harmless("the table cannot be written yet; its rows wait"):
                self._flush()

    def append(self, row: object) -> bool:
        """Add one row: a mapping, a dataclass or a namespace. Any value may be None, and new
        columns may appear at any time.

        Returns True once the row survives the death of the process. False: the disk refused it, so
        it waits in memory for the next append and counts as lost if it is never written; or another
        process records.
        """
        try:
            fields = fields_of(row)
            if fields is None:
                fields = {"value": row}
            cells = _named(fields)
            refused = self._refuses("table rows")
            with self._lock:
                if why := self._refusal(cells):
                    self.lost_rows += 1
                    if refused:
                        return False
                    self._left_out("table rows")
                    self._warn(
                        f"table {self.name}: {why}",
                        f"table {self.name}: a row was not taken: {why}",
                    )
                    return False
                self._waiting.append(cells)
                self._measured.add(self._key_of(cells))
                if not self._records:
                    self._waiting.clear()
                    return False
                if self._writing:
                    return True
                return self._flush()
        except Exception as error:
            self._warn(f"table {self.name}", f"rows of table {self.name} wait in memory: {error}")
            return False

    def __contains__(self, configuration: object) -> bool:
        """Whether the table has a row with this key: a mapping or similar that holds the key's
        columns, or just their values.
        """
        try:
            fields = fields_of(configuration)
            if fields is not None:
                return bool(self._key) and self._key_of(_named(fields)) in self._measured
            if isinstance(configuration, tuple) and len(self._key) != 1:
                values = configuration
            else:
                values = (configuration,)
            return (
                bool(self._key)
                and tuple(comparable(plain(value)) for value in values) in self._measured
            )
        except Exception:  # an unhashable or otherwise strange configuration was never measured
            return False

    def __len__(self) -> int:
        return self._rows + len(self._waiting)

    def close(self, *, complete: bool = True) -> None:
        """Rename the file to its final name and record that. A second call does nothing. If the
        disk refuses it, an error is logged, and the rows stay in the partial file.
        """
        with self._lock:
            if self.complete is not None or self._owner != os.getpid():
                return
            self.complete = complete and not self._cut_short()
            if not self._records:
                return
            with self._harmless("the last rows could not be written"):
                self._flush()
            self.lost_rows += len(self._waiting)
            with self._harmless("the table could not be sealed; its rows are in the partial file"):
                self._give_final_name()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(complete=error is None)

    # ── within

    @contextlib.contextmanager
    def _harmless(self, what: str) -> Iterator[None]:
        """Do something of which a failure costs the table, and never the program: it becomes a
        warning.
        """
        try:
            yield
        except Exception as error:
            self._warn(f"table {self.name}: {what}", f"table {self.name}: {what}: {error}")

    def _refusal(self, cells: Mapping[str, Cell]) -> str:
        """Why a row is not taken; "": it is."""
        if self.complete is not None:
            return "the table is sealed"
        if self._owner != os.getpid():
            return "the table belongs to the process that opened it"
        if cells:
            return ""
        return "it has no columns"

    def _key_of(self, cells: Mapping[str, Cell]) -> tuple[Cell, ...]:
        """The values by which a row is the same as another one."""
        return tuple(comparable(cells.get(column)) for column in self._key)

    def _choose_names(self) -> list[Path]:
        """Names that are free, or ours by the journal; returns the files that were ours, and have
        been changed since.

        Raises:
            StorageError: all are taken.
        """
        final, partial = (
            self._first,
            self._first.with_name(f"{self._first.stem}{PARTIAL}{self._first.suffix}"),
        )
        before = self._homes.home(final.name)
        changed: list[Path] = []
        for number in sorted(
            range(places.MOST), key=lambda number: places.beside(final, number) != before
        ):
            pair = places.beside(final, number), places.beside(partial, number)
            taken = [path for path in pair if not (places.is_free(path) or self._is_ours(path))]
            if not taken:
                self.path, self.partial = pair
                if self._records:
                    self._homes.settle(final.name, self.path)
                return changed
            changed += [
                path
                for path in taken
                if places.is_plain(path) and path.name in self._names_of_ours()
            ]
        raise StorageError(
            f"could not write {final}: other files have all its names", hint="remove some of them"
        )

    def _is_ours(self, path: Path) -> bool:
        """Whether this very file is a table that Watchkeeper wrote in this folder: a name of a file
        of its own, the same bytes, what a seal in the journal says, or the partial table of a
        filesystem without hard links.
        """
        identity = _identity(path)
        if identity is None or not places.is_plain(path):
            return False
        own = self._own_files()
        if identity[:2] in {known[:2] for known in own.values()}:
            return True
        data = path.read_bytes()
        if _is_held(data, own) or self._was_sealed(data):
            return True
        return not own and self._was_opened(path)

    def _was_sealed(self, data: bytes) -> bool:
        """Whether the journal says that a table with these bytes was completed here."""
        sealed = {event.sha256 for event in of_kind(self._homes.events(), TableSealed)}
        return hashlib.sha256(data).hexdigest() in sealed

    def _was_opened(self, path: Path) -> bool:
        """Whether the journal says that a partial table was begun under this name."""
        opened = {event.partial for event in of_kind(self._homes.events(), TableOpened)}
        return self._homes.shown(path) in opened

    def _own_files(self) -> dict[Path, tuple[int, int, int, int]]:
        """Watchkeeper's own files of this table → their identity; those that are there."""
        if not self._own.parent.is_dir():
            return {}
        identities = {
            file: _identity(file) for file in sorted(self._own.parent.glob(f"{self._first.stem}.*"))
        }
        return {file: known for file, known in identities.items() if known is not None}

    def _names_of_ours(self) -> set[str]:
        """The names of tables that the journal says were sealed in this folder."""
        sealed = of_kind(self._homes.events(), TableSealed)
        return {Path(event.path).name for event in sealed}

    def _take_over(self, changed: Sequence[Path]) -> None:
        """The rows of an earlier execution, if there is a key to tell what was measured; else their
        files are kept. Of a file that was `changed` since it was sealed the rows count too, where
        it still has the key.
        """
        if not self._key:
            return
        for place in changed:
            columns, _, _ = self._format.split(place.read_bytes())
            if set(self._key) <= set(columns):
                self._take(place)
        for place in (self.partial, self.path):
            if places.is_plain(place):
                self._take(place)

    def _take(self, place: Path) -> None:
        """Take over the rows of a table that an earlier process left under this name. Damaged ones
        are passed over, and their file is kept.
        """
        identity = _identity(place)
        columns, records, faults = self._format.split(place.read_bytes())
        if self._is_of_another_table(columns):
            return  # the file is kept when its name is needed
        self._add_before(columns, records)
        for record in self._before:
            self._measured.add(self._key_of(self._format.row(self._columns, record)))
        for fault in faults:
            self._warn(
                f"table {place}: {fault}",
                f"{place}: {fault}; the other rows are taken over, the file is kept",
            )
        if identity is not None and not faults:
            self._contained.add(identity)

    def _is_of_another_table(self, columns: list[str]) -> bool:
        """Whether these columns cannot be of the table whose rows were taken so far."""
        if not self._ordered or not self._before:
            return False
        return columns[: len(self._columns)] != self._columns[: len(columns)]

    def _add_before(self, columns: list[str], records: Sequence[bytes]) -> None:
        """Add the rows of a file with these columns to the earlier ones, each row once."""
        wider = max(columns, self._columns, key=len)
        if not self._ordered:
            wider = list(dict.fromkeys([*self._columns, *columns]))
        before = [
            self._format.widen(record, len(self._columns), len(wider)) for record in self._before
        ]
        there = set(before)
        taken = (self._format.widen(record, len(columns), len(wider)) for record in records)
        self._before = before + [record for record in taken if record not in there]
        self._columns = wider

    def _flush(self) -> bool:
        """Write what waits; all of it or, on an error, nothing. Called with the lock held."""
        self._writing = True
        try:
            if self._file is None and self._before:
                self._rewrite(self._columns)
            # Again, should a signal handler have left a row meanwhile.
            while batch := list(self._waiting):
                self._add_columns(batch)
                self._append(b"".join(self._format.record(self._columns, row) for row in batch))
                self._rows += len(batch)
                del self._waiting[: len(batch)]
            return True
        except StorageError:
            excess = len(self._waiting) - WAITING_LIMIT
            if excess > 0:
                del self._waiting[:excess]
                self.lost_rows += excess
            raise
        finally:
            self._writing = False

    def _add_columns(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Have a file with the columns of these rows."""
        if self._file is not None and all(list(row) == self._columns for row in batch):
            return  # as nearly all
        known = set(self._columns)
        names = dict.fromkeys(chain.from_iterable(batch))
        new = [name for name in names if name not in known]
        if self._file is None or (new and self._ordered):
            self._rewrite([*self._columns, *new])
        else:
            self._columns = [*self._columns, *new]

    def _append(self, data: bytes) -> None:
        """Append rows, which reach the disk at least every 30 seconds. What was only half written
        is cut off before anything follows.
        """
        assert self._file is not None
        due = time.monotonic() - self._synced > SYNC_S
        start = self._file.size_bytes
        try:
            self._file.append(data, durable=due)
        except BaseException:
            # Also a KeyboardInterrupt: these rows still wait, and are written to the same place.
            self._file.size_bytes = start
            self._file.trim()
            raise
        if due:
            self._synced = time.monotonic()

    def _where(self) -> Path:
        """Where our file lies: under its own name or, where there are no hard links, under the
        partial one.
        """
        assert self._file is not None
        if self._file.path.exists():
            return self._file.path
        return self.partial

    def _rewrite(self, columns: list[str]) -> None:
        """A new file of ours with these columns and all rows so far; it becomes the partial one."""
        held: Sequence[bytes] = self._before
        if self._file is not None:
            _, held, _ = self._format.split(self._where().read_bytes())
        records = [self._format.widen(record, len(self._columns), len(columns)) for record in held]
        self._versions += 1
        new = AppendFile(
            self._own.with_name(f"{self._own.name}.{self._versions}{self._format.suffix}")
        )
        data = self._format.header(columns) + b"".join(records)
        try:
            new.append(data)
            self._point(new.path, final=False)
        except StorageError:
            new.close()
            with contextlib.suppress(StorageError):
                files.remove(new.path)
            raise
        old, self._file, self._columns, self._before = self._file, new, columns, []
        if old is None:
            self._opened(path=self._homes.shown(self.path), partial=self._homes.shown(self.partial))
        else:
            old.close()
            with contextlib.suppress(StorageError):
                files.remove(old.path)

    def _point(self, file: Path, *, final: bool) -> None:
        """Give our file the partial or the final name. What the program has put there meanwhile
        stays, and both names are others. A file of ours whose rows are not all in this one keeps a
        name of its own.
        """
        path = self.path if final else self.partial
        if places.is_free(path) and files.name_free(path, file):
            return
        if not self._is_ours(path):
            self._move_on(file)
            self._point(file if file.exists() else self.partial, final=final)
            return
        if self._holds_other_rows(path):
            self._keep_aside(path)
        files.name_also(path, file)

    def _holds_other_rows(self, path: Path) -> bool:
        """Whether this file of ours has rows that the present one lacks."""
        identity = _identity(path)
        if identity is None or identity in self._contained:
            return False
        return self._file is None or not _is_same(identity, _identity(self._where()))

    def _keep_aside(self, path: Path) -> None:
        """Keep a file of an earlier table under a separate name, before its name is taken."""
        kept = self._own.with_name(f"{self._own.name}.kept-{path.name}")
        files.name_also(kept, path)
        hint = "" if self._key else "; with key= its rows would have been taken over"
        self._warn(f"table {path} kept", f"the earlier {path.name} is kept as {kept}{hint}")

    def _move_on(self, file: Path) -> None:
        """Take other names than before, since one of them is the program's now."""
        before, identity = self.partial, _identity(file)
        self._choose_names()
        if before != self.partial and _is_same(identity, _identity(before)):
            files.name_also(self.partial, before)
            files.remove(before)

    def _give_final_name(self) -> None:
        """Give the table its final name, with everything on the disk, and seal it in the journal.
        One without a row has no file.
        """
        if self._file is None:
            return  # no row, now or before
        self._file.trim()
        self._file.sync()
        own = self._where()
        sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
        ours = _identity(own)
        self._point(own, final=True)
        for name in (self.partial, own):
            there = _identity(name)
            if _is_same(ours, there):
                files.remove(name)
        files.fsync_folder(self.path.parent)
        self._seal(
            path=str(self.path),
            rows=self._rows,
            bytes=self._file.size_bytes,
            sha256=sha256,
            complete=self.complete,
            columns=tuple(text(column) for column in self._columns),
            rows_before=self.rows_before,
            lost_rows=self.lost_rows,
        )
        self._file.close()


def _named(fields: Mapping[Any, Any]) -> dict[str, Cell]:
    """The cells by column. Two names that are spelled alike, 1 and "1", are told apart by an
    underscore.
    """
    cells: dict[str, Cell] = {}
    for given, value in fields.items():
        name = given
        if given.__class__ is not str or not given.isascii() or len(given) > TEXT_LIMIT:
            name = text(given if isinstance(given, str) else str(given))
        while name in cells:
            name += "_"
        cells[name] = plain(value)
    return cells


def _is_held(data: bytes, own: Mapping[Path, tuple[int, int, int, int]]) -> bool:
    """Whether one of these files of ours has just these bytes."""
    as_long = [file for file, identity in own.items() if identity[2] == len(data)]
    return any(file.read_bytes() == data for file in as_long)


def _is_same(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> bool:
    """Whether two identities are of one file; None: there is no file."""
    return one is not None and other is not None and one[:2] == other[:2]


def _identity(path: Path) -> Identity | None:
    """Which file has this name, and which of its versions; None for none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def read_table(path: str | os.PathLike[str]) -> tuple[list[dict[str, Cell]], list[Problem]]:
    """The rows of a table, a partial one too, and what is damaged in it. A torn tail is not a
    problem: that row was never acknowledged. The suffix decides the format.

    Raises:
        StorageError: it cannot be read.
    """
    place = Path(path)
    form = FORMATS.get(place.suffix.removeprefix("."), FORMATS["csv"])
    try:
        with open_regular(place) as file:
            data = file.read()
    except OSError as error:
        raise StorageError(
            f"could not read {place}: {error.strerror}", hint="is it the right path?"
        ) from error
    columns, records, faults = form.split(data)
    problems = [
        Problem(
            where=str(place), message=fault, hint="the other rows are read", code="not-as-recorded"
        )
        for fault in faults
    ]
    return [form.row(columns, record) for record in records], problems
