"""What a run shows of itself while it runs: tables, progress, cadence, examples and the status
file.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from watchkeeper.core import layout
from watchkeeper.core.disk.spill import SpillingFile
from watchkeeper.core.errors import StorageError
from watchkeeper.core.events import CadenceSet, Event, Number, Progressed, TableOpened, TableSealed
from watchkeeper.core.ids import writer_id
from watchkeeper.record.display.cadence import Cadence, fingerprint
from watchkeeper.record.display.examples import Example, block, example_of, is_utf8
from watchkeeper.record.display.progress import Book, Progress
from watchkeeper.record.display.status import FILE, Status
from watchkeeper.record.ranks import agreed
from watchkeeper.record.recorder import Recorder
from watchkeeper.record.stopping.stops import Stops
from watchkeeper.record.writing.cells import FORMATS
from watchkeeper.record.writing.logged import no_step
from watchkeeper.record.writing.tables import Table
from watchkeeper.runfolder.losses import VAL_LOSS, loss_of
from watchkeeper.runfolder.values import number
from watchkeeper.runfolder.values import training_step as training_step_of

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class Display:
    """What one run shows of itself. `spent_s` is how long examples and the status have taken."""

    def __init__(self, recorder: Recorder, stops: Stops) -> None:
        self.tables: list[Table] = []
        self.status: Status | None = None
        """None: nobody has asked for a status yet."""
        self.spent_s = 0.0
        self._recorder = recorder
        self._stops = stops
        self._book = Book(
            self._write_progress,
            warn=recorder.warn,
            may_stop=self._may_stop,
            shows=recorder.records,
        )
        self._cadence: Cadence | None = None
        self._examples: SpillingFile | None = None
        self._held: Example | None = None  # a full block that waits for its validation loss
        self._showing = threading.RLock()

    def table(self, name: str, key: str | Sequence[str] | None, form: str) -> Table:
        """A result table; see `Run.table`."""
        recorder, interrupts = self._recorder, self._stops.interrupts
        if form not in FORMATS:
            recorder.warn(
                f"format {form}",
                f"table {name}: no format {form!r}, only csv and jsonl; it is written as csv",
            )
        table = Table(
            recorder.folder,
            name,
            key=key,
            form=FORMATS.get(form, FORMATS["csv"]),
            clock=recorder.clock,
            seal=partial(self._write, TableSealed),
            warn=recorder.warn,
            cut_short=lambda: interrupts.was_heard,
            records=recorder.records and not recorder.is_over,
            agree=self._agree_on_rows(name),
            homes=recorder.homes,
            opened=partial(self._write, TableOpened),
            refuses=recorder.refuses,
            left_out=recorder.left_out.add,
        )
        self.tables.append(table)
        return table

    def track(self, iterable: Iterable[T] | None, desc: str, **settings: Any) -> Progress[T]:
        """A loop whose progress is shown; see `Run.track`."""
        return Progress(self._book, iterable, desc, **settings)

    def cadence(
        self,
        *,
        total: int | None,
        validation: Iterable[object] | None,
        status: str | Path | None,
        **settings: Any,
    ) -> Cadence:
        """When to look; see `Run.cadence`."""
        recorder = self._recorder
        cadence = Cadence(**settings, warn=recorder.warn)
        if recorder.is_over:
            recorder.refuses("cadences")
            return cadence
        self._cadence = cadence
        with recorder.harmless("the cadence could not be written down"):
            sha256, items = "", 0
            if validation is not None:
                with recorder.harmless("the validation set has no fingerprint"):
                    sha256, items = fingerprint(validation)
            planned = number(total)
            shown = self._shown(status)
            shown.total = planned if isinstance(planned, int) else None
            shown.full_share = lambda: cadence.full_share
            if sha256:
                self._same_set(shown, sha256, items)
            recorder.write(
                CadenceSet,
                **cadence.settings,
                total=shown.total,
                validation_sha256=sha256,
                validation_items=items,
            )
        return cadence

    def example(self, training_step: object, **parts: Any) -> None:
        """Show what the model makes of an example; see `Run.example`."""
        recorder = self._recorder
        if recorder.refuses("examples"):
            return
        began = time.perf_counter()
        with recorder.harmless("an example could not be shown"):
            example = example_of(recorder.clock(), training_step, **parts)
            if example.step_ is not UNSET:
                message = no_step(
                    "run.example",
                    training_step,
                    "the example is kept without a step, and the value as `step_`",
                )
                recorder.warn("example step", message)
            with self._showing:
                self._release()
                self._shown().show(example)
                if example.tier == "full" and example.val_loss is None:
                    self._held = example
                else:
                    self._keep(self._compared(example))
        self.spent_s += time.perf_counter() - began

    def take_row(self, training_step: object, metrics: dict[str, Any]) -> None:
        """A row was logged; called only when there is a status."""
        began = time.perf_counter()
        if self.status is not None:
            self.status.saw(training_step, metrics)
        if self._held is not None:
            with self._recorder.harmless("an example could not be shown"), self._showing:
                self._compare_held(training_step, loss_of(metrics, VAL_LOSS))
        self.spent_s += time.perf_counter() - began

    def close(self, state: str) -> None:
        """Seal what is open and show how the run ended."""
        recorder = self._recorder
        self._book.close()
        for table in self.tables:
            table.close(complete=False)
        with recorder.harmless("the last example could not be shown"), self._showing:
            self._release()
        if self._examples is not None:
            with recorder.harmless("the examples could not be synced to disk"):
                self._examples.sync()
            self._examples.close()
        if self.status is not None:
            with recorder.harmless("the training status could not be written"):
                self.status.close(state)

    def after_fork(self) -> None:
        """In the child: the tables, the status and the block that waits are the parent's."""
        self._examples, self._held, self._showing = None, None, threading.RLock()

    def training_step(self) -> Number | None:
        """The training step that the loop is at; None if it has named none."""
        if self._cadence is not None and self._cadence.step is not None:
            return self._cadence.step
        if self.status is not None:
            return self.status.step
        return None

    def count_timeout(self) -> None:
        """Show one more time-out in the status."""
        if self.status is not None:
            self.status.timeouts += 1
            with self._recorder.harmless("the training status could not be written"):
                self.status.write()

    # ── examples

    def _compare_held(self, training_step: object, val_loss: object) -> None:
        """Give the block that waits its validation loss; show it when its step is over."""
        held = self._held
        if held is None:
            return
        same_step = held.step == training_step_of(training_step)
        if same_step and val_loss is not None:
            example = msgspec.structs.replace(held, val_loss=number(val_loss))
            self._held = self._compared(example)
            self._release()
        elif not same_step:
            self._release()

    def _compared(self, example: Example) -> Example:
        """The example with the gap that the status has for it."""
        if example.val_loss is None or self.status is None:
            return example
        return msgspec.structs.replace(
            example, train_loss=self.status.gap_loss, gap=self.status.gap
        )

    def _release(self) -> None:
        """Show the full block that waited."""
        held, self._held = self._held, None
        if held is not None:
            self._keep(held)

    def _keep(self, example: Example) -> None:
        """Write the example down, then show it."""
        recorder = self._recorder
        if not recorder.records:
            return
        try:
            if self._examples is None:
                name = f"{writer_id(recorder.clock())}.jsonl"
                self._examples = SpillingFile(recorder.folder / layout.EXAMPLES / name)
            self._examples.append(_encoder.encode(example) + b"\n")
        except StorageError as error:
            recorder.warn(
                "examples", f"an example could not be kept, and later ones may be lost too: {error}"
            )
        if sys.stdout is not None:
            self._print(block(example, symbols=is_utf8(sys.stdout.encoding)))

    def _print(self, block: str) -> None:
        if any(loop.draws for loop in self._book.open_loops):
            # The bar is cleared for the block and drawn again below it.
            import_module("tqdm").tqdm.write(block, file=sys.stdout, end="")
        else:
            sys.stdout.write(block)
        sys.stdout.flush()

    # ── progress and status

    def _write(self, kind: type[Event], **fields: Any) -> None:
        self._recorder.write(kind, **fields)

    def _write_progress(self, **fields: Any) -> None:
        step = self._recorder.pen.rows.last_step
        self._recorder.write(Progressed, **fields, training_step=step)

    def _may_stop(self, depth: int) -> None:
        """Between two items of a loop: stop there if asked, but finish a row that is begun."""
        if depth == 0 or all(table.complete is not None for table in self.tables):
            self._stops.interrupts.listening = True
            self._stops.safe_point()

    def _shown(self, path: str | Path | None = None) -> Status:
        """The status, in this file; None: where it is, or in the usual place."""
        if self.status is None or path is not None:
            recorder = self._recorder
            place: Path | None = recorder.folder / FILE
            if path is not None:
                place = Path(path).absolute()
            if not recorder.records:
                place = None
            self.status = Status(
                place,
                run_id=recorder.run_id,
                pipeline=recorder.pipeline,
                clock=recorder.clock,
                warn=recorder.warn,
                homes=recorder.homes,
            )
        return self.status

    def _same_set(self, shown: Status, sha256: str, items: int) -> None:
        """Warn when the validation set is another one than before."""
        if shown.validation is not None and shown.validation["sha256"] != sha256:
            self._recorder.warn(
                "validation set",
                "the validation set is another than before: its losses cannot be compared",
            )
        shown.validation = {"sha256": sha256, "items": items}

    def _agree_on_rows(self, name: str) -> Callable[[int], int]:
        """How many rows of a table were measured before this execution: all ranks are to skip the
        same work, though rank 0 may have added to it when another one looks.
        """
        folder, rank = self._recorder.folder, self._recorder.rank
        if rank is None:
            return lambda rows: rows
        what = f"rows of table {name} before execution {rank.execution}"
        return lambda rows: int(agreed(folder, rank.group, what, str(rows)))
