"""A named stage of a run: what it says of itself while it runs. It is written down when it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from watchkeeper.core.disk.files import TEMPORARY_PREFIX, give_name
from watchkeeper.core.events import Number, OutputFile
from watchkeeper.record.writing.manifest import Earlier, facts_of
from watchkeeper.runfolder.values import number, text

ITEMS_SHOWN = 20  # of a loop, at INFO
NAME_BYTES = 100  # of a step's folder

_numbered = re.compile(r"(\d{2,})_")
_unsafe = re.compile(r"[^\w.=+@,-]")


class Labels:
    """The labels that a run's steps got: numbered, safe as folders, each once."""

    def __init__(self) -> None:
        self.after_fork()
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def after_fork(self) -> None:
        """In the child: a lock that another thread held at the fork is not the child's."""
        self._lock = threading.RLock()

    def take(self, name: str, parent: str = "") -> tuple[str, int]:
        """A new step's label and index. `00_ingest` keeps its own number; `ingest` gets the next
        one of its parent's. A label taken before gets `.2`, `.3` behind it.
        """
        plain = _unsafe.sub("_", name).encode()[:NAME_BYTES].decode("utf-8", "ignore")
        own = _numbered.match(plain)
        with self._lock:
            if own:
                index = int(own[1])
            else:
                index = self._next.get(parent, 0)
            self._next[parent] = max(self._next.get(parent, 0), index + 1)
            if parent and own:
                base = f"{parent}/{plain}"
            elif own:
                base = plain
            else:
                base = f"{parent}/{index:02d}_{plain}".lstrip("/")
            label, count = base, 1
            while label in self._taken:
                count += 1
                label = f"{base}.{count}"
            self._taken.add(label)
        return label, index


class Step:
    """A stage of a run, from `with run.step("00_ingest") as step`."""

    def __init__(
        self,
        name: str,
        label: str,
        index: int,
        run_folder: Path,
        *,
        persist: bool,
        records: bool,
        items_shown: int,
        say: Callable[..., None],
    ) -> None:
        self.name = name
        self.label = label
        """Its path of numbered names, `01_train/00_warmup`."""
        self.index = index
        self.persist = persist
        """Whether the run keeps the artifacts of its steps (`persist_step_outputs`)."""
        self.reused = False
        """An earlier run finished this step on the same inputs: read its `outputs` instead of doing
        the work.
        """
        self.row_count_in: int | None = None
        self.row_count_out: int | None = None
        self.key_metrics: dict[str, Number] = {}
        self.not_numbers: list[str] = []
        self.output_files: list[OutputFile] = []
        self.outputs: dict[str, Path] = {}
        """Its files by name."""
        self.writing_s = 0.0
        self.reused_from = ""
        self.path = run_folder / label
        self._run_folder = run_folder
        self._records = records
        self._items_shown = items_shown
        self._items: Counter[str] = Counter()
        self._writing = 0
        self._say = say

    @property
    def folder(self) -> Path:
        """The folder `<run>/<label>/`, which is created on first use."""
        with contextlib.suppress(OSError):  # whoever writes into it gets the error
            self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def rows(self, *, read: int | None = None, kept: int | None = None) -> None:
        """Record how many rows the stage read and kept. None leaves that number as it is; a later
        call replaces it.
        """
        for attribute, value in (("row_count_in", read), ("row_count_out", kept)):
            if value is None:
                continue
            count = number(value)
            if isinstance(count, int):
                setattr(self, attribute, count)
            else:
                self.not_numbers.append(attribute)

    def metrics(self, **metrics: object) -> None:
        """Record the stage's key figures. Only numbers are kept; None leaves a figure as it is."""
        for name, value in metrics.items():
            if value is None:
                continue
            figure = number(value)
            if figure is None:
                self.not_numbers.append(name)
            else:
                self.key_metrics[name] = figure

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Count the time inside this `with` as writing artifacts, apart from the stage's work."""
        began = time.perf_counter()
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1
            if not self._writing:  # the outermost counts
                self.writing_s += time.perf_counter() - began

    def save(self, name: str, write: Callable[[Path], object], *, what: str = "") -> Path | None:
        """Write an artifact of the stage: `write` is called with a temporary path, and the complete
        file is then renamed to `name` in the stage's folder. Returns its path. None: the run keeps
        no step outputs, and `write` was not called. If another process (rank 0) records, only that
        process calls `write`, and this one returns the path.

        Raises:
            Exception: whatever `write` raised, or the OSError of the disk. An artifact is the
                user's own data.
        """
        if not self.persist:
            return None
        path = self.folder / name
        if not self._records:
            self.outputs[path.name] = path.absolute()
            return path
        with self.writing():
            temporary = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(4)}-{path.name}")
            try:
                write(temporary)
                give_name(temporary, path)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            self.output(path, what=what)
        return path

    def output(self, path: str | os.PathLike[str], *, what: str = "") -> None:
        """Record a file that the stage made, with its size and hash. If the file does not exist, a
        warning is logged.
        """
        place = Path(path)
        if not self._records:
            self.outputs[place.name] = place.absolute()
            return
        try:
            with self.writing():
                facts = facts_of(place, self._run_folder, step=self.label, what=text(what))
        except OSError as error:
            self._say(
                logging.WARNING,
                "step %s: the output %s is not recorded: %s",
                self.label,
                place,
                error,
            )
            return
        self.output_files = [known for known in self.output_files if known.path != facts.path] + [
            facts
        ]
        self.outputs[place.name] = place.absolute()

    def item(self, message: str, *args: object) -> None:
        """Log a line about one iteration of a loop. The first lines of each message are logged at
        INFO (see `run.step(items_shown=)`), the rest at DEBUG; the stage's end reports their
        number.
        """
        self._items[message] += 1
        self._say(
            logging.INFO if self._items[message] <= self._items_shown else logging.DEBUG,
            message,
            *args,
        )

    def _items_left_out(self) -> dict[str, int]:
        """Messages of `item` → how many of them went to DEBUG."""
        return {
            message: count - self._items_shown
            for message, count in self._items.items()
            if count > self._items_shown
        }

    def _take_over(self, earlier: Earlier) -> None:
        """Stand on the finished step of an earlier run."""
        event = earlier.event
        self.reused = True
        self.reused_from = str(earlier.folder)
        self.outputs = dict(earlier.outputs)
        self.row_count_in, self.row_count_out = event.row_count_in, event.row_count_out
        self.key_metrics = dict(event.metrics)
        self.output_files = [
            OutputFile(
                path=str(earlier.folder / old.path),
                size_bytes=old.size_bytes,
                sha256=old.sha256,
                step=old.step,
                what=old.what,
            )
            for old in event.outputs
        ]
